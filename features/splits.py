"""The files between the two scripts: written, loaded, divided into training and validation."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit

from data.files import DAMAGED, InputError, read_csv, read_json, reading, replacing, write_csv
from data.frames import Extraction
from data.layouts import SPLITS, Video
from features.cache import Outcome, load_cached
from features.metrics import percent
from features.resnet18 import N_FEATURES

CHUNK = 8192  # rows that are checked at a time
FILES = ("features.npy", "labels.npy", "frames.npy", "videos.csv")  # of a split, with its name
AGAIN = "run feature_extraction.py again"


# --- Written --------------------------------------------------------------------------------------


def write_features(
    folder: Path, videos: list[Video], outcomes: list[Outcome], extraction: Extraction
) -> dict[str, int]:
    """Write all final files of an extraction; the number of frames of each split.

    Every file is written in full before the first takes its place. extraction.json comes last of
    them, and files of splits that this run does not have go only after that. Fills in
    extraction.counts. Raises InputError where no video of a split can be used.
    """
    splits, failed = divide_outcomes(videos, outcomes)
    n_frames = {}
    for split, members in splits.items():
        n_frames[split] = sum(outcome.frames for _, outcome in members)
    counts = {"found": len(videos), "used": len(videos) - len(failed), "failed": len(failed)}
    extraction.counts = counts | {"frames": n_frames}
    announce_replacement(folder, extraction)
    with ExitStack() as stack:

        def new_file(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        # The first that is entered is the last to take its place.
        text = json.dumps(extraction.to_dict(), indent=2) + "\n"
        new_file("extraction.json").write_text(text, encoding="utf-8")
        write_csv(new_file("failed.csv"), ("video", "label", "reason"), failed)
        for split, members in splits.items():
            used = [video for video, _ in members]
            write_split(split, used, n_frames[split], folder, extraction, new_file)
    for split in set(SPLITS) - set(splits):  # of an earlier run: not a part of this one
        for name in FILES:
            (folder / f"{split}_{name}").unlink(missing_ok=True)
    return n_frames


def divide_outcomes(videos: list[Video], outcomes: list[Outcome]) -> tuple[dict, list[dict]]:
    """{split: pairs of a usable video and its outcome}, and the lines of failed.csv."""
    splits, failed = {}, []
    for video, outcome in zip(videos, outcomes, strict=True):
        members = splits.setdefault(video.split, [])
        if outcome.frames:
            members.append((video, outcome))
        else:
            failed.append({"video": video.video, "label": video.label, "reason": outcome.reason})
    for split, members in splits.items():
        if not members:
            example = f"{failed[0]['video']}: {failed[0]['reason']}"
            raise InputError(f"no video of the {split} split can be used, {example}")
    return {split: splits[split] for split in SPLITS if split in splits}, failed


def announce_replacement(folder: Path, extraction: Extraction) -> None:
    """Say in one line that finished features of other videos or other settings are replaced."""
    file = folder / "extraction.json"
    try:
        earlier = Extraction.from_dict(read_json(file))
    except FileNotFoundError:
        return
    except ValueError:  # of another version of this program
        print(f"Replaces   {folder}: features of another version of this program")
        return
    ours, theirs = describe(extraction), describe(earlier)
    differences = [
        f"{name} {theirs[name]} -> {ours[name]}" for name in ours if ours[name] != theirs[name]
    ]
    if differences:
        print(f"Replaces   {folder}: {', '.join(differences)}")


def describe(extraction: Extraction) -> dict[str, str]:
    """What tells two extractions apart, in words."""
    crop = extraction.crop
    return {
        "videos": extraction.videos_dir,
        "compression": extraction.compression,
        "frames a video": str(extraction.frames_per_video),
        "frame choice": extraction.frame_choice,
        "weights": describe_weights(extraction),
        "faces": f"margin {crop.margin:g}, no face: {crop.no_face}" if crop else "not cropped",
        "face detector": crop.detector_sha256[:8] if crop else "",
    }


def describe_weights(extraction: Extraction) -> str:
    weights = extraction.weights
    return f"{weights.get('name')} (sha256 {weights.get('sha256', '')[:8]})"


def write_split(
    split: str,
    videos: list[Video],
    n: int,
    folder: Path,
    extraction: Extraction,
    new_file: Callable[[str], Path],
) -> None:
    """Gather the cached videos of a split, n frames in all; `new_file` gives paths to write to."""
    labels, frames = np.empty(n, np.int64), np.empty((n, 2), np.int32)
    rows, end = [], 0
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, N_FEATURES)}
    # not a map: on a full disk that kills the process
    with open(new_file(f"{split}_features.npy"), "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index, video in enumerate(videos):
            cached = load_cached(video, folder, extraction)
            if cached is None:
                changed = "or its cached features changed during the run"
                raise InputError(f"{video.path} {changed}: run the command again")
            part = slice(end, end + len(cached.numbers))
            end = part.stop
            file.write(cached.features.astype("<f4").tobytes())
            labels[part] = video.label
            frames[part, 0] = index
            frames[part, 1] = cached.numbers
            rows.append(describe_video(video) | cached.facts)
    np.save(new_file(f"{split}_labels.npy"), labels)
    np.save(new_file(f"{split}_frames.npy"), frames)
    write_csv(new_file(f"{split}_videos.csv"), rows[0], rows)


def describe_video(video: Video) -> dict:
    """What the data set tells of a video, for its line in <split>_videos.csv."""
    columns = ("video", "label", "method", "group", "clip")
    return {name: getattr(video, name) for name in columns} | {"people": ";".join(video.people)}


# --- Loaded ---------------------------------------------------------------------------------------

# group  videos that must stay on one side of a split, since the same people are in them; where
#        nothing is known of a video, it is a group of its own
# clip   the footage that is seen in a video: of a fake, that of its target
# unit   what results are of: videos or, where nobody knows which frames are of one, frames
# T      the threshold that is chosen on the validation split; a score of at least T is called fake


@dataclass
class Split:
    """n frames: all rows of a features file or, where two splits share a file, some of them."""

    features: np.ndarray  # (N, 1000) float32, mapped read-only: a row is read when it is used
    rows: np.ndarray  # (n,) int64, where the frames are in `features`, ascending
    labels: np.ndarray  # (n,) int64, 1 = fake
    video_index: np.ndarray  # (n,) into `videos`; where there are none, each frame has its own
    numbers: np.ndarray  # (n,) number of the frame in its video
    videos: list[dict]  # rows of <split>_videos.csv
    has_videos: bool  # whether it is known which frames are of one video
    extraction: Extraction | None  # how the features were made, if that is known

    def gather(self, rows: np.ndarray) -> torch.Tensor:
        """(k, 1000) float32 copy of rows of `features`."""
        return torch.from_numpy(self.features[rows])

    def part(self, chosen: np.ndarray) -> "Split":
        """Some of the frames, by a mask or an index."""
        arrays = {}
        for name in ("rows", "labels", "video_index", "numbers"):
            arrays[name] = getattr(self, name)[chosen]
        return replace(self, **arrays)

    def name(self, index: int) -> str:
        """The identifier of a video."""
        return self.videos[index]["video"] if self.videos else f"row {index}"

    def group(self, index: int) -> str:
        return self.videos[index]["group"] if self.videos else str(index)

    def video_scores(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices, labels and scores of the videos: the mean of the (n,) scores of their frames."""
        index, first, inverse = np.unique(self.video_index, return_index=True, return_inverse=True)
        means = np.bincount(inverse, scores) / np.bincount(inverse)
        return index, self.labels[first], means

    def by_unit(self, scores: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
        """The unit of results, and the labels and scores of the units."""
        if not self.has_videos:
            return "frames", self.labels, scores
        _, labels, means = self.video_scores(scores)
        return "videos", labels, means


def load_array(path: Path, ndim: int, kinds: str) -> np.ndarray:
    """An array with a dtype of these kinds, mapped read-only. Nothing in the file is run.

    Raises InputError; ReadError where the system refuses the file.
    """
    try:
        # Read-only pages do not count as memory in use: a file may be larger than the memory.
        with reading(path):
            array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        hint = "run feature_extraction.py first, or name another file"
        raise InputError(f"{path}: no such file; {hint}") from None
    except DAMAGED as error:
        raise InputError(
            f"{path} is not a .npy file of numbers: extract the features again"
        ) from error
    if array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{path} holds {found}, expected {ndim}-d numbers: {AGAIN}")
    return array


def check_features(features: np.ndarray, path: Path) -> None:
    """Raise InputError for another shape or type, and for NaN and infinity."""
    if features.shape[1] != N_FEATURES or features.dtype != np.float32:
        found = f"{features.dtype} in {features.shape[1]} columns"
        raise InputError(f"{path} has {found}, expected float32 in {N_FEATURES}: {AGAIN}")
    for start in range(0, len(features), CHUNK):
        chunk = features[start : start + CHUNK]
        # A sum is quicker than looking at each number, and not finite if one of them is not.
        if not np.isfinite(chunk.sum(dtype=np.float64)):
            row = start + np.flatnonzero(~np.isfinite(chunk).all(1))[0]
            raise InputError(f"{path} has NaN or infinity in row {row}: {AGAIN}")


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, its labels, and the files beside it that are there.

    The labels are those beside the features unless a file is named. Raises InputError for all
    that training would stumble over.
    """
    if features_file.is_dir():
        example = features_file / "train_features.npy"
        raise InputError(f"{features_file} is a folder: name the file in it, {example} for one")
    prefix = str(features_file).removesuffix("features.npy")
    if not labels_file and prefix == str(features_file):
        raise InputError(
            f"{features_file} is not named ..._features.npy: which labels are its own?"
        )
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    features = load_array(features_file, 2, "f")
    labels = load_array(labels_file, 1, "iub")
    check_features(features, features_file)
    n = len(features)
    if len(labels) != n:
        raise InputError(
            f"{labels_file} has {len(labels)} rows but {features_file} has {n}: {AGAIN}"
        )
    if not np.isin(labels, (0, 1)).all():
        found = np.unique(labels)[:5].tolist()
        raise InputError(f"{labels_file} has the labels {found}, expected 0 (real) and 1 (fake)")
    labels = labels.astype(np.int64)

    video_index, numbers, videos = np.arange(n), np.zeros(n, np.int64), []
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    has_videos = frames_file.is_file() and videos_file.is_file()
    if has_videos:
        video_index, numbers, videos = load_videos(frames_file, videos_file, labels)
    extraction = load_extraction(features_file.with_name("extraction.json"))
    rows = np.arange(n)
    return Split(features, rows, labels, video_index, numbers, videos, has_videos, extraction)


def load_videos(frames_file: Path, videos_file: Path, labels: np.ndarray) -> tuple:
    """Which video each frame is of, its number in it, and the rows of <split>_videos.csv."""
    frames, videos = load_array(frames_file, 2, "iu"), read_csv(videos_file)
    if not videos or not {"video", "label", "group"} <= set(videos[0]):
        raise InputError(f"{videos_file} lacks the columns video,label,group: {AGAIN}")
    index, numbers = frames[:, 0], frames[:, -1]
    fits = frames.shape == (len(labels), 2) and index.min() >= 0 and index.max() < len(videos)
    if fits:
        is_fake = np.array([row["label"] == "1" for row in videos])
        is_real = np.array([row["label"] == "0" for row in videos])
        fits = np.where(labels == 1, is_fake[index], is_real[index]).all()
    if not fits:
        raise InputError(f"{frames_file}, {videos_file} do not fit the labels: {AGAIN}")
    return index, numbers, videos


def load_extraction(file: Path) -> Extraction | None:
    if not file.is_file():
        return None
    try:
        return Extraction.from_dict(read_json(file))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


# --- Divided --------------------------------------------------------------------------------------


def check_same_extraction(extractions: dict[str, Extraction | None]) -> None:
    """Raise InputError where features were made otherwise than the first; {name: extraction}."""
    known = {name: each for name, each in extractions.items() if each is not None}
    first = next(iter(known), None)
    for name, extraction in known.items():
        ours, theirs = describe(known[first]), describe(extraction)
        ours["weights' sha256"] = known[first].weights.get("sha256")
        theirs["weights' sha256"] = extraction.weights.get("sha256")
        for key in ours:
            of_the_set = ("videos", "compression")
            same_weights = ours["weights' sha256"] == theirs["weights' sha256"]
            if key in of_the_set or (key == "weights" and same_weights):
                continue
            if ours[key] != theirs[key]:
                differs = f"{key}: {ours[key]} for {first}, {theirs[key]} for {name}"
                raise InputError(f"{differs}: extract them alike")


def hold_out(
    split: Split, val_fraction: float, seed: int, unit: str = "group"
) -> tuple[Split, Split]:
    """Training and validation part of a split: no unit (group, video or frame) in both.

    Of 100 random draws the one is taken that comes nearest to the fraction in each class.
    """
    of_frame = np.arange(len(split.rows)) if unit == "frame" else split.video_index
    index, first = np.unique(of_frame, return_index=True)
    labels = split.labels[first]
    groups = index
    if unit == "group":
        groups = np.unique([split.group(i) for i in index], return_inverse=True)[1]
    best = draw_nearest(labels, groups, val_fraction, seed)
    if best is None:
        n_real, n_fake = (len(np.unique(groups[labels == label])) for label in (0, 1))
        found = f"{n_real} {unit}s with real videos and {n_fake} with fakes"
        hint = ", or try --split-unit video, which leaks" if unit == "group" else ""
        raise InputError(
            f"{found} are too few to hold {val_fraction:g} out: add videos, "
            f"give --val-features-file{hint}"
        )
    mask = np.isin(of_frame, index[best])
    return split.part(~mask), split.part(mask)


def draw_nearest(
    labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int
) -> np.ndarray | None:
    """Indices of whole groups that hold about this fraction of both classes; None if none do."""
    n_groups = len(np.unique(groups))
    size = min(max(1, round(fraction * n_groups)), n_groups - 1)
    if size < 1:
        return None
    draws = GroupShuffleSplit(100, test_size=size, random_state=seed).split(labels, groups=groups)
    of_class = np.bincount(labels, minlength=2)
    best, least = None, 1.0
    for _, drawn in draws:
        shares = np.bincount(labels[drawn], minlength=2) / of_class
        off = abs(shares - fraction).max()
        if off < least and shares.min() > 0 and shares.max() < 1:
            best, least = drawn, off
    return best


def divide(
    splits: dict[str, Split], val_fraction: float, seed: int, unit: str
) -> tuple[dict[str, Split], str]:
    """The splits with a validation part, and how they were divided."""
    if "val" in splits:
        return {name: splits[name] for name in SPLITS if name in splits}, "as extracted"
    whole = splits["train"]
    train, val = hold_out(whole, val_fraction, seed, unit)
    how = f"{percent(len(val.rows) / len(whole.rows))} of the frames held out, by {unit}"
    counts = whole.extraction.counts if whole.extraction else {}
    if "val" in counts.get("frames", {}):
        how += ", NOT the validation part that was extracted: val_features.npy is gone"
    divided = splits | {"train": train, "val": val}
    return {name: divided[name] for name in SPLITS if name in divided}, how
