"""The files between the two scripts: written, loaded, divided so that groups stay together."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit

from data.files import (
    DAMAGED,
    InputError,
    read_csv,
    read_json,
    reading,
    replacing,
    write_csv,
    write_json,
)
from data.frames import Extraction
from data.layouts import SPLITS, Video
from features.cache import Outcome, load_cached
from features.compare import describe_change
from features.metrics import percent
from features.resnet18 import N_FEATURES

CHUNK = 8192  # rows that are checked at a time
AGAIN = "run feature_extraction.py again"
FILES = ("features.npy", "labels.npy", "frames.npy", "videos.csv")  # of a split, with its name
VIDEO_COLUMNS = ("video", "label", "method", "group", "clip")  # of <split>_videos.csv, the first
NEEDED_COLUMNS = ("video", "label", "group")


# --- Writing --------------------------------------------------------------------------------------


def write_features(
    folder: Path, videos: list[Video], outcomes: list[Outcome], extraction: Extraction
) -> dict[str, int]:
    """Write the files of all splits, from the cache; the number of frames of each split.

    `outcomes` are those of the `videos`, in order. Fills in extraction.counts. Raises InputError.
    """
    splits, failed = sort_outcomes(videos, outcomes)
    n_frames = {}
    for split, members in splits.items():
        n_frames[split] = sum(outcome.frames for _, outcome in members)
    counts = {"found": len(videos), "used": len(videos) - len(failed), "failed": len(failed)}
    extraction.counts = counts | {"frames": n_frames}

    # All are written in full before the first takes its place; the first named here is the last.
    with ExitStack() as stack:

        def new_file(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        write_json(new_file("extraction.json"), extraction.to_dict())
        write_csv(new_file("failed.csv"), ("video", "label", "reason"), failed)
        for split, members in splits.items():
            write_split(split, members, folder, extraction, new_file)
    for split in set(SPLITS) - set(splits):  # only now: on a full disk they stay
        for name in FILES:
            (folder / f"{split}_{name}").unlink(missing_ok=True)
    return n_frames


def sort_outcomes(videos: list[Video], outcomes: list[Outcome]) -> tuple[dict, list[dict]]:
    """{split: pairs of a usable video and its outcome}, and the lines of failed.csv."""
    splits, failed, example = {}, [], {}
    for video, outcome in zip(videos, outcomes, strict=True):
        members = splits.setdefault(video.split, [])
        if outcome.frames:
            members.append((video, outcome))
        else:
            failed.append({"video": video.video, "label": video.label, "reason": outcome.reason})
            example.setdefault(video.split, f"{video.video}: {outcome.reason}")
    for split, members in splits.items():
        if not members:
            raise InputError(f"no video of the {split} split can be used, {example[split]}")
    return {split: splits[split] for split in SPLITS if split in splits}, failed


def write_split(split: str, members: list, folder: Path, extraction: Extraction, new_file) -> None:
    """Gather a split's videos, pairs with their outcomes, from the cache into its new files."""
    n = sum(outcome.frames for _, outcome in members)
    labels, frames = np.empty(n, np.int64), np.empty((n, 2), np.int32)
    rows, end = [], 0
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, N_FEATURES)}
    # not a memory map: on a full disk that kills the process
    with open(new_file(f"{split}_features.npy"), "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index, (video, outcome) in enumerate(members):
            cached = load_cached(video, folder, extraction)
            if cached is None or len(cached.numbers) != outcome.frames:
                changed = f"{video.path} or its cached features changed during the run"
                raise InputError(f"{changed}: run the command again")
            file.write(cached.features.astype("<f4").tobytes())
            start, end = end, end + outcome.frames
            labels[start:end] = video.label
            frames[start:end, 0] = index
            frames[start:end, 1] = cached.numbers
            row = {column: getattr(video, column) for column in VIDEO_COLUMNS}
            people = {"people": ";".join(video.people)}
            rows.append(row | people | cached.facts)
    np.save(new_file(f"{split}_labels.npy"), labels)
    np.save(new_file(f"{split}_frames.npy"), frames)
    write_csv(new_file(f"{split}_videos.csv"), rows[0], rows)


def announce_new_features(folder: Path, extraction: Extraction, splits: set[str]) -> None:
    """Print a line if finished features that were made otherwise will be replaced, or will go."""
    try:
        change = describe_change(load_extraction(folder), extraction)
    except (InputError, OSError):  # damaged, or of another version
        change = "features of unknown settings"
    if change:
        print(f"Replaces   {folder}: {change}")
    others = set(SPLITS) - splits
    gone = sorted(name for name in others if (folder / f"{name}_features.npy").is_file())
    if gone:
        print(f"Removes    {folder}: the {' and the '.join(gone)} split, which the videos lack now")


# --- Loading --------------------------------------------------------------------------------------

# What belongs together, in the words of this project:
# group  videos that must stay on one side of a split: those of the same people, as far as the data
#        set or the names tell; a video that nothing is known of is a group of its own
# clip   the footage that is seen in a video: a fake shows that of the real video it was made from
# unit   what stays in one piece when frames are held out: a group; or a video or a frame, which
#        leaves the same people on both sides
# T      the threshold that is chosen on the validation split: a score of T or more is called fake


@dataclass
class Split:
    """n frames: all rows of a features file or, where two splits share a file, some of them."""

    features: np.ndarray  # (N, 1000) float32, mapped read-only: a row is read when it is used
    rows: np.ndarray  # (n,) int64, where the frames are in `features`, ascending
    labels: np.ndarray  # (n,) int64, 1 = fake
    video_index: np.ndarray  # (n,) into `videos`; where there are none, each frame has its own
    numbers: np.ndarray  # (n,) number of the frame in its video
    videos: list[dict]  # rows of <split>_videos.csv; empty where there is none
    has_videos: bool  # whether results can be of videos
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
        """What results are of, "videos" or else "frames", and the labels and scores of these."""
        if not self.has_videos:
            return "frames", self.labels, scores
        _, labels, means = self.video_scores(scores)
        return "videos", labels, means


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, its labels, and what else lies beside it.

    The labels are those beside the features unless a file is named. Raises InputError for all that
    training would stumble over, and ReadError where the system refuses a file.
    """
    features_file = Path(features_file)
    check_name(features_file, labels_file)
    prefix = str(features_file).removesuffix("features.npy")
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    features = load_array(features_file, 2, "f")
    labels = load_array(labels_file, 1, "iub")
    n, n_labels = len(features), len(labels)
    if features.shape[1] != N_FEATURES or features.dtype != np.float32:
        found = f"{features.dtype} in {features.shape[1]} columns, expected float32 in {N_FEATURES}"
        raise InputError(f"{features_file} has {found}: {AGAIN}")
    if n_labels != n:
        raise InputError(f"{labels_file} has {n_labels} rows but {features_file} has {n}: {AGAIN}")
    if not ((labels == 0) | (labels == 1)).all():
        found = np.unique(labels)[:5].tolist()
        expected = "expected only 0 (real) and 1 (fake)"
        raise InputError(f"{labels_file} has the labels {found}, {expected}")
    labels = np.array(labels, np.int64)
    check_finite(features, features_file)

    rows = np.arange(n)
    video_index, numbers, videos = rows, np.zeros(n, np.int32), []
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    has_videos = frames_file.is_file() and videos_file.is_file()
    if has_videos:
        videos = load_videos(videos_file)
        frames = load_array(frames_file, 2, "iu")
        if not fit(frames, videos, labels):
            raise InputError(f"{frames_file}, {videos_file} do not fit {labels_file}: {AGAIN}")
        video_index, numbers = np.array(frames[:, 0]), np.array(frames[:, 1])
    extraction = load_extraction(features_file.parent)
    return Split(features, rows, labels, video_index, numbers, videos, has_videos, extraction)


def check_name(features_file: Path, labels_file: Path | None) -> None:
    """Raise InputError for a folder, and for a name that does not tell where the labels are."""
    if features_file.is_dir():
        names = sorted(path.name for path in features_file.glob("*_features.npy"))
        expected = " or ".join(names) or "..._features.npy, which feature_extraction.py writes"
        raise InputError(f"{features_file} is a folder: name the file in it, {expected}")
    if not labels_file and not features_file.name.endswith("features.npy"):
        problem = f"{features_file} is not named ..._features.npy, so its labels are not known"
        raise InputError(f"{problem}: rename it, or give --train-labels-file if it is for training")


def load_array(path: Path, ndim: int, kinds: str) -> np.memmap:
    """A read-only map of the array in a .npy file, with a dtype of one of these kinds.

    The file may be larger than the memory, and nothing in it is run. Raises InputError, and
    ReadError where the system refuses the file.
    """
    try:
        with reading(path):
            array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        hint = "run feature_extraction.py first, or name another file"
        raise InputError(f"{path}: no such file; {hint}") from None
    except DAMAGED as error:
        problem = f"{path} is not a .npy file of numbers"
        raise InputError(f"{problem}: extract the features again") from error
    if array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        problem = f"{path} holds {array.dtype} of shape {array.shape}, expected {ndim}-d numbers"
        raise InputError(f"{problem}: extract the features again")
    return array


def check_finite(features: np.memmap, path: Path) -> None:
    """Raise InputError where features hold NaN or infinity. Reads what is written of the file."""
    row_bytes = N_FEATURES * features.itemsize
    for start, end in find_written(path):
        first = max(0, (start - features.offset) // row_bytes)
        last = -(-(end - features.offset) // row_bytes)
        if not features.flags.c_contiguous:  # rows do not lie one after the other
            first, last = 0, len(features)
        for row in range(first, last, CHUNK):
            finite = np.isfinite(features[row : min(row + CHUNK, last)]).all(axis=1)
            if not finite.all():
                found = f"NaN or infinity in row {row + np.argmin(finite)}"
                raise InputError(f"{path} has {found}: {AGAIN}")


def find_written(path: Path) -> Iterator[tuple[int, int]]:
    """Where a file holds bytes, from start to end. What lies between was never written: zeros."""
    size = os.path.getsize(path)
    if not hasattr(os, "SEEK_DATA"):  # Windows
        yield 0, size
        return
    end = 0
    with open(path, "rb") as file:
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno != errno.ENXIO:  # the system cannot tell; ENXIO: no more bytes
                    yield end, size
                return
            yield start, end


def load_videos(path: Path) -> list[dict]:
    """The rows of <split>_videos.csv."""
    videos = read_csv(path)  # with None in a line that was cut off
    if not videos or any(None in map(row.get, NEEDED_COLUMNS) for row in videos):
        raise InputError(f"{path} lacks the columns {','.join(NEEDED_COLUMNS)}: {AGAIN}")
    return videos


def fit(frames: np.ndarray, videos: list[dict], labels: np.ndarray) -> bool:
    """Whether <split>_frames.npy names a video of the right label for each frame."""
    if frames.shape != (len(labels), 2):
        return False
    index = frames[:, 0]
    if index.min() < 0 or index.max() >= len(videos):
        return False
    of_video = [{"0": 0, "1": 1}.get(row["label"], -1) for row in videos]
    return np.array_equal(np.array(of_video, np.int8)[index], labels)


def load_extraction(folder: Path) -> Extraction | None:
    """How the features in a folder were made, if its extraction.json is there to tell."""
    path = folder / "extraction.json"
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return Extraction.from_dict(content)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


# --- Dividing -------------------------------------------------------------------------------------


def divide(
    splits: dict[str, Split], val_fraction: float, seed: int, unit: str
) -> tuple[dict[str, Split], str]:
    """The splits with a validation part, held out if there was none, and how it came about."""
    how = "as extracted"
    if "val" not in splits:
        whole = splits["train"]
        train, val = hold_out(whole, val_fraction, seed, unit)
        how = f"{percent(len(val.rows) / len(whole.rows))} of the frames held out, by {unit}"
        if whole.extraction and "val" in whole.extraction.counts.get("frames", {}):
            how = f"WARNING: val_features.npy of the extraction is gone; {how}"
        splits = splits | {"train": train, "val": val}
    return {name: splits[name] for name in SPLITS if name in splits}, how


def hold_out(
    split: Split, val_fraction: float, seed: int, unit: str = "group"
) -> tuple[Split, Split]:
    """Training and validation part of a split: no unit (group, video or frame) is in both.

    Of 100 random draws the one is taken that comes nearest to the fraction in each class. Copies of
    one file stay together, but for unit frame.
    """
    of_frame = np.arange(len(split.rows)) if unit == "frame" else split.video_index
    index, first = np.unique(of_frame, return_index=True)
    labels = split.labels[first]
    units = index
    if split.videos and unit != "frame":
        units = join_copies([split.videos[i] for i in index], unit)
    drawn = draw_nearest(labels, units, val_fraction, seed)
    if drawn is None:
        n_real, n_fake = (len(np.unique(units[labels == label])) for label in (0, 1))
        found = f"{n_real} {unit}s with real videos and {n_fake} with fakes"
        hint = ", or try --split-unit video, which leaks" if unit == "group" else ""
        problem = f"{found} are too few to hold {val_fraction:g} out"
        raise InputError(f"{problem}: add videos, give --val-features-file{hint}")
    held_out = np.isin(of_frame, index[drawn])
    return split.part(~held_out), split.part(held_out)


def draw_nearest(labels, units, fraction: float, seed: int) -> np.ndarray | None:
    """Indices (k,) of whole units with about this fraction of each class; None if there are none.

    `labels` and `units` are (n,).
    """
    n_units = len(np.unique(units))
    size = min(max(1, round(fraction * n_units)), n_units - 1)
    if size == 0:
        return None
    splitter = GroupShuffleSplit(100, test_size=size, random_state=seed)
    in_class = np.bincount(labels, minlength=2)
    best, least = None, 1.0
    for _, drawn in splitter.split(labels, groups=units):
        shares = np.bincount(labels[drawn], minlength=2) / in_class  # of the real, of the fake
        off = abs(shares - fraction).max()
        if off < least and shares.min() > 0 and shares.max() < 1:
            best, least = drawn, off
    return best


def join_copies(videos: list[dict], unit: str) -> np.ndarray:
    """The unit of each video, its group or itself; units with copies of one file become one."""
    names = [row["group"] for row in videos] if unit == "group" else range(len(videos))
    joined = {}  # name: another of the same unit

    def find(name):
        while name in joined:
            name = joined[name]
        return name

    first = {}  # file: name
    for row, name in zip(videos, names, strict=True):
        file = row.get("fingerprint") or row["video"]
        ours, theirs = find(name), find(first.setdefault(file, name))
        if ours != theirs:
            joined[max(ours, theirs)] = min(ours, theirs)
    return np.array([find(name) for name in names])
