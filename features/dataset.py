"""The features that script 1 left, loaded and checked."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from data.files import InputError, read_csv
from data.words import SPLITS
from features.extraction import AGAIN, N_FEATURES, Extraction, check_alike, load_extraction

NEEDED_COLUMNS = ("video", "label", "group")  # of <split>_videos.csv
CHUNK = 8192  # frames at a time where all are read and no gradient is needed


# --- Loading ---

# What belongs together, in the words of this project:
# people  who is in a video, as far as the data set or the names tell: of a swap these are two;
#         where nobody is known, the group stands in place of a person
# group   videos that hang together: those that share people, directly or through others; a video
#         that nothing is known of is a group of its own
# clip    the footage that is seen in a video: a fake shows that of the real video it was made from
# unit    what is held out in one piece: a group or a person; or a video or a frame, which leaves
#         the same people on both sides
# T       the threshold that is chosen on the validation split: a score of T or more is called fake


@dataclass(repr=False)
class Split:
    """n frames: all rows of a features file or, where two splits share a file, some of them."""

    features: np.ndarray  # (N, 1000) float, mapped read-only: a row is read when it is used
    rows: np.ndarray  # (n,) int64, where the frames are in `features`, ascending
    labels: np.ndarray  # (n,) int64, 1 = fake
    video_index: np.ndarray  # (n,) into `videos`; where there are none, each frame has its own
    numbers: np.ndarray  # (n,) number of the frame in its video
    videos: list[dict]  # rows of <split>_videos.csv; empty where there is none
    extraction: Extraction | None  # how the features were made, if that is known
    missing: tuple[str, ...] = ()  # files without which nobody knows the videos

    def __repr__(self) -> str:
        n_fake = int(self.labels.sum())
        n_videos = len(np.unique(self.video_index)) if self.videos else "unknown"
        classes = f"{len(self.labels) - n_fake} real, {n_fake} fake"
        return f"<Split: {len(self.labels)} frames ({classes}) of {n_videos} videos>"

    @property
    def has_videos(self) -> bool:
        """Whether it is known which frames are of one video."""
        return bool(self.videos)

    @property
    def of(self) -> str:
        """What results are of: where videos are not known, each frame counts as one."""
        return "videos" if self.videos else "frames"

    def gather(self, rows: np.ndarray) -> torch.Tensor:
        """(k, 1000) float32 copy of rows of `features`."""
        return torch.from_numpy(self.features[rows].astype(np.float32, copy=False))

    def chunks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Slices of the n frames, and their features (k, 1000)."""
        for start in range(0, len(self.rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            yield chunk, self.gather(self.rows[chunk])

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

    def people(self, index: int) -> str:
        """The people in a video, `;` between them, or else its group."""
        row = self.videos[index] if self.videos else {}
        return row.get("people") or self.group(index)

    def fingerprint(self, index: int) -> str:
        """By which a video is known wherever it lies; "" where that is not known."""
        return (self.videos[index].get("fingerprint") or "") if self.videos else ""

    @property
    def unit(self) -> str:
        """What videos are counted by: people, or groups where nobody is known."""
        return "person" if any(row.get("people") for row in self.videos) else "group"

    def method(self, index: int) -> str:
        """How a fake was made, where that is known."""
        return (self.videos[index].get("method") or "") if self.videos else ""

    def video_scores(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices, labels and scores of the videos: the mean of the (n,) scores of their frames."""
        index, first, inverse = np.unique(self.video_index, return_index=True, return_inverse=True)
        means = np.bincount(inverse, scores) / np.bincount(inverse)
        return index, self.labels[first], means


def find_features(path: Path | None, split: str) -> Path | None:
    """The features file that a path means: of a folder the one of the split, or the only one.

    Only to train on is val_features.npy or test_features.npy not what is meant.
    """
    if not path or not path.is_dir():
        return path
    file, found = path / f"{split}_features.npy", list(path.glob("*features.npy"))
    others = [path / "val_features.npy", path / "test_features.npy"] if split == "train" else []
    return found[0] if len(found) == 1 and found[0] not in others else file


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, its labels, and what else lies beside it.

    The labels are those beside the features unless a file is named. Raises InputError for all that
    training would stumble over.
    """
    features_file = Path(features_file)
    check_features_name(features_file, labels_file)
    prefix = str(features_file).removesuffix("features.npy")
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    features = load_array(features_file, 2, "f", f"float32 in {N_FEATURES} columns")
    if features.shape[1] != N_FEATURES:
        found = f"{features.shape[1]} columns, expected {N_FEATURES}"
        raise InputError(f"{features_file} has {found}: {AGAIN}")
    labels = load_labels(labels_file, len(features), features_file)
    rows = np.arange(len(features))
    video_index, numbers, videos = rows, np.zeros(len(rows), np.int32), []
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    missing = tuple(path.name for path in (frames_file, videos_file) if not path.is_file())
    if not missing:
        videos = load_videos(videos_file)
        frames = load_array(frames_file, 2, "iu", "whole numbers in 2 columns")
        check_consistent(frames_file, frames, videos_file, videos, labels_file, labels)
        video_index, numbers = np.array(frames[:, 0]), np.array(frames[:, 1])
    extraction = load_extraction(features_file.parent)
    split = Split(features, rows, labels, video_index, numbers, videos, extraction, missing)
    check_finite(split, features_file)
    return split


def load_labels(path: Path, n: int, features_file: Path) -> np.ndarray:
    """(n,) int64 labels of the n rows of a features file. Raises InputError."""
    labels = load_array(path, 1, "iubf", "0 (real) and 1 (fake)")
    if len(labels) != n:
        raise InputError(f"{path} has {len(labels)} rows but {features_file} has {n}: {AGAIN}")
    if not ((labels == 0) | (labels == 1)).all():
        found = np.unique(labels)[:5].tolist()
        raise InputError(f"{path} has the labels {found}, expected only 0 (real) and 1 (fake)")
    return np.array(labels, np.int64)


def check_features_name(features_file: Path, labels_file: Path | None) -> None:
    """Raise InputError for a folder, and for a name that does not tell where the labels are."""
    if features_file.is_dir():
        names = sorted(path.name for path in features_file.glob("*_features.npy"))
        expected = " or ".join(names) or "..._features.npy, which feature_extraction.py writes"
        raise InputError(f"{features_file} is a folder: name the file in it, {expected}")
    if not labels_file and not features_file.name.endswith("features.npy"):
        problem = f"{features_file} is not named ..._features.npy, so its labels are not known"
        raise InputError(f"{problem}: rename it, or give --train-labels-file if it is for training")


def load_array(path: Path, ndim: int, kinds: str, expected: str) -> np.memmap:
    """A read-only map of the array in a .npy file, with a dtype of one of these kinds.

    The file may be larger than the memory, and nothing in it is run. Raises InputError and OSError.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        hint = "run feature_extraction.py first, or name another file"
        raise InputError(f"{path}: no such file; {hint}") from None
    except OSError:
        raise
    except Exception as error:
        raise InputError(f"{path} is not a .npy file of numbers: {AGAIN}") from error
    if array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{path} holds {found}, expected {expected}: {AGAIN}")
    return array


def check_finite(split: "Split", path: Path) -> None:
    """Raise InputError where features hold NaN or infinity."""
    for chunk, features in split.chunks():
        finite = features.isfinite().all(dim=1)
        if not finite.all():
            row = chunk.start + int(finite.int().argmin())
            raise InputError(f"{path} has NaN or infinity in row {row}: {AGAIN}")


def load_videos(path: Path) -> list[dict]:
    """The rows of <split>_videos.csv."""
    videos = read_csv(path)  # with None in a line that was cut off
    if not videos or any(None in map(row.get, NEEDED_COLUMNS) for row in videos):
        raise InputError(f"{path} lacks the columns {','.join(NEEDED_COLUMNS)}: {AGAIN}")
    complete_people(videos)
    return videos


def complete_people(videos: list[dict]) -> None:
    """Give a video of which nobody is known all people of its group: it may show any of them."""
    in_group = defaultdict(set)
    for row in videos:
        in_group[row["group"]].update(filter(None, (row.get("people") or "").split(";")))
    for row in videos:
        row["people"] = row.get("people") or ";".join(sorted(in_group[row["group"]]))


def check_consistent(
    frames_file: Path,
    frames: np.ndarray,
    videos_file: Path,
    videos: list[dict],
    labels_file: Path,
    labels: np.ndarray,
) -> None:
    """Raise InputError where <split>_frames.npy names no video of the right label for a frame."""
    index = frames[:, 0]
    if frames.shape != (len(labels), 2) or index.min() < 0 or index.max() >= len(videos):
        raise InputError(f"{frames_file}, {videos_file} do not fit {labels_file}: {AGAIN}")
    of_video = [{"0": 0, "1": 1}.get(row["label"], -1) for row in videos]
    wrong = np.flatnonzero(np.array(of_video, np.int8)[index] != labels)
    if len(wrong):
        row, video = wrong[0], videos[index[wrong[0]]]
        ours = f"{labels_file} has {labels[row]} in row {row}"
        theirs = f"{videos_file} has {video['label']} for its video, {video['video']}"
        remedy = "make them agree, or take labels and videos from one extraction"
        raise InputError(f"{ours}, {theirs} ({len(wrong)} such rows): {remedy}")


def load_splits(
    files: dict[str, Path | None], train_labels_file: Path | None = None
) -> dict[str, Split]:
    """The splits of the files that are named, {split: file}, and of those beside train's."""
    splits = {}
    for name in SPLITS:
        file = files[name] or files["train"].with_name(f"{name}_features.npy")
        if files[name] or file.is_file():
            labels_file = train_labels_file if name == "train" else None
            splits[name] = load_split(file, labels_file)
    n_real, n_fake = np.bincount(splits["train"].labels, minlength=2)
    if 0 in (n_real, n_fake):
        found = f"{n_real} real and {n_fake} fake frames"
        other = "for one class there is --evaluate, with a model trained on both"
        raise InputError(f"{files['train']} has {found}: training needs both; {other}")
    check_alike({name: split.extraction for name, split in splits.items()})
    return splits
