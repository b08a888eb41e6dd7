"""Splits: the features that feature_extraction.py left, loaded and checked."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from data.files import InputError, read_csv
from features.extraction import AGAIN, N_FEATURES, Extraction, load_extraction

NEEDED_COLUMNS = ("video", "label", "group")  # of <split>_videos.csv
OTHER_COLUMNS = ("method", "clip", "people", "fingerprint")  # that is empty where it is not there
VIDEO_SCORES = {"mean": np.mean, "median": np.median, "max": np.max}  # of a video's frame scores
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
    video_score: str = "mean"  # of VIDEO_SCORES

    def __repr__(self) -> str:
        n_real, n_fake = np.bincount(self.labels, minlength=2)
        n_videos = len(np.unique(self.video_index)) if self.videos else "unknown"
        return f"<Split: {n_real} real and {n_fake} fake frames of {n_videos} videos>"

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
        """Slices of the n frames, and (k, 1000) features."""
        for start in range(0, len(self.rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            yield chunk, self.gather(self.rows[chunk])

    def part(self, chosen: np.ndarray) -> "Split":
        """Some of the frames, by a mask or an index."""
        names = "rows", "labels", "video_index", "numbers"
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def row(self, index: int) -> dict:
        """What is known of a video: its row in `videos`, or that of a frame that stands alone."""
        if self.videos:
            return self.videos[index]
        return {"video": f"row {index}", "group": str(index)} | dict.fromkeys(OTHER_COLUMNS, "")

    def name(self, index: int) -> str:
        """The identifier of a video."""
        return self.row(index)["video"]

    def group(self, index: int) -> str:
        return self.row(index)["group"]

    def people(self, index: int) -> str:
        """The people in a video with `;` between them, or else its group."""
        return self.row(index)["people"] or self.group(index)

    def fingerprint(self, index: int) -> str:
        """By which a video is known wherever it lies; "" where that is not known."""
        return self.row(index)["fingerprint"]

    def method(self, index: int) -> str:
        """How a fake was made, where that is known."""
        return self.row(index)["method"]

    @property
    def sets(self) -> set[str]:
        """The names of the sets that the videos are of, where several became one."""
        return {self.row(i).get("set", "") for i in np.unique(self.video_index)} - {""}

    @property
    def unit(self) -> str:
        """What videos are counted by: people, or groups where nobody is known."""
        return "person" if any(row["people"] for row in self.videos) else "group"

    def video_scores(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices, labels and scores of the videos, by the (n,) scores of their frames."""
        index, first, inverse = np.unique(self.video_index, return_index=True, return_inverse=True)
        sizes = np.bincount(inverse)
        if self.video_score == "mean":  # fast, after each epoch
            values = np.bincount(inverse, scores) / sizes
        else:
            of_videos = np.split(scores[np.argsort(inverse)], np.cumsum(sizes)[:-1])
            combine = VIDEO_SCORES[self.video_score]
            values = np.array([combine(part) for part in of_videos])
        return index, self.labels[first], values


def find_features(path: Path, split: str) -> Path:
    """The features file that a path means: of a folder the one of the split, or the only one.

    To train on, a folder that holds val_features.npy or test_features.npy alone does not do.
    """
    if not path.is_dir():
        return path
    names = [file.name for file in path.glob("*features.npy")]
    not_meant = ("val_features.npy", "test_features.npy") if split == "train" else ()
    if len(names) == 1 and names[0] not in not_meant:
        return path / names[0]
    return path / f"{split}_features.npy"


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, with its labels and what else lies beside it.

    Or with the labels in another file. Raises InputError for all that training would stumble over.
    """
    features_file = Path(features_file)
    if not labels_file and not features_file.name.endswith("features.npy"):
        problem = f"{features_file} is not named ..._features.npy, so its labels are not known"
        raise InputError(f"{problem}: rename it, or give --train-labels-file to train on it")
    prefix = str(features_file).removesuffix("features.npy")
    frames_file = Path(f"{prefix}frames.npy")
    videos_file = Path(f"{prefix}videos.csv")
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    expected = f"float32 of shape (n, {N_FEATURES})"
    features = load_array(features_file, np.floating, (None, N_FEATURES), expected)
    n = len(features)
    rows = np.arange(n)
    labels = load_array(labels_file, np.generic, (n,), f"the {n} rows of {features_file}")
    if not np.isin(labels, (0, 1)).all():
        found = np.unique(labels)[:5].tolist()
        raise InputError(f"{labels_file} has the labels {found}, expected only 0 (real), 1 (fake)")
    missing = tuple(path.name for path in (frames_file, videos_file) if not path.is_file())
    frames = np.stack([rows, np.zeros_like(rows)], axis=1)
    videos = []
    if not missing:
        frames = load_array(frames_file, np.integer, (n, 2), f"whole numbers of shape ({n}, 2)")
        videos = load_videos(videos_file)
        check_labels(labels, labels_file, frames[:, 0], videos, videos_file)
    labels = np.array(labels, np.int64)
    video_index, numbers = frames.T.copy()
    extraction = load_extraction(features_file.parent)
    folder = layout = ""
    if extraction:
        folder, layout = extraction.videos_dir, extraction.layout
    # a hash: a checkpoint keeps it, which need not tell where somebody's videos lie
    root = hashlib.sha256(folder.encode()).hexdigest()[:8] if extraction else ""
    for row in videos:
        row |= {"set": "", "home": "", "root": root, "layout": layout}  # see sets.join_sets
        row["file"] = Path(folder, row["video"])
    split = Split(features, rows, labels, video_index, numbers, videos, extraction, missing)
    for chunk, part in split.chunks():
        is_finite = part.isfinite().all(dim=1)
        if not is_finite.all():
            row = chunk.start + int(is_finite.int().argmin())
            raise InputError(f"{features_file} has NaN or infinity in row {row}: {AGAIN}")
    return split


def check_labels(
    labels: np.ndarray, labels_file: Path, index: np.ndarray, videos: list[dict], videos_file: Path
) -> None:
    """Raise InputError where labels of frames are not those of their videos."""
    if index.min() < 0 or index.max() >= len(videos):
        raise InputError(f"{videos_file} does not have the videos of _frames.npy: {AGAIN}")
    told = np.array([row["label"] for row in videos])[index]
    wrong = np.flatnonzero(told != labels.astype(int).astype("U1"))
    if len(wrong):
        row = wrong[0]
        ours = f"{labels_file} has {labels[row]} in row {row}"
        video = videos[index[row]]["video"]
        theirs = f"{videos_file} has {told[row]} for its video, {video}"
        remedy = "make them agree, or take both from one extraction"
        raise InputError(f"{ours}, {theirs} ({len(wrong)} such rows): {remedy}")


def load_array(path: Path, kind: type, shape: tuple, expected: str) -> np.memmap:
    """A read-only map of the array in a .npy file, of this kind and shape (None: any length).

    The file may be larger than the memory, and nothing in it is run. Raises InputError and OSError.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run feature_extraction.py first") from None
    except OSError:
        raise
    except Exception as error:
        raise InputError(f"{path} is not a .npy file of numbers: {AGAIN}") from error
    is_shape = shape[0] in (None, *array.shape[:1]) and shape[1:] == array.shape[1:]
    if not (is_shape and array.size and np.issubdtype(array.dtype, kind)):
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{path} holds {found}, expected {expected}: {AGAIN}")
    return array


def load_videos(path: Path) -> list[dict]:
    """The rows of <split>_videos.csv, with all columns that Split knows."""
    rows = read_csv(path)  # with None in a line that was cut off
    if not rows or any(None in map(row.get, NEEDED_COLUMNS) for row in rows):
        raise InputError(f"{path} lacks the columns {','.join(NEEDED_COLUMNS)}: {AGAIN}")
    for row in rows:
        row |= {name: row.get(name) or "" for name in OTHER_COLUMNS}
    complete_people(rows)
    return rows


def complete_people(videos: list[dict]) -> None:
    """Give a video of which nobody is known all people of its group: it may show any of them."""
    in_group = defaultdict(set)
    for row in videos:
        in_group[row["group"]].update(filter(None, row["people"].split(";")))
    for row in videos:
        row["people"] = row["people"] or ";".join(sorted(in_group[row["group"]]))


def name_set(features_file: Path) -> str:
    """The name of a set: that of the folder of its features."""
    return Path(os.path.abspath(features_file)).parent.name
