"""The files between the two scripts: written, loaded, divided into training and validation, audited."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupShuffleSplit

from data.files import DAMAGED, InputError, read_csv, read_json, write_csv
from data.layouts import SPLITS, Video
from features.cache import load_cached
from features.metrics import percent
from features.resnet18 import N_FEATURES

CHUNK = 8192  # rows at once where no gradient is needed


def write_split(videos: list[Video], n: int, folder: Path, settings: dict, prefix: str, new_file: Callable) -> None:
    """Gather a split's cached videos, n frames in all. `new_file(name)` gives the path to write a file to."""
    labels, frames, rows, end = np.empty(n, np.int64), np.empty((n, 2), np.int32), [], 0
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, N_FEATURES)}
    with open(new_file(f"{prefix}_features.npy"), "wb") as file:  # not a memory map: a full disk would kill the process
        np.lib.format.write_array_header_1_0(file, header)
        for index, video in enumerate(videos):
            cached = load_cached(video, folder, settings)
            if cached is None:
                raise InputError(f"{video.path} or its cached features changed during the run: run the command again")
            part = slice(end, end := end + len(cached["numbers"]))
            file.write(cached["features"].astype("<f4").tobytes())
            labels[part], frames[part, 0], frames[part, 1] = video.label, index, cached["numbers"]
            rows.append(
                {key: getattr(video, key) for key in ("video", "label", "method", "group", "clip")} | cached["row"]
            )
    np.save(new_file(f"{prefix}_labels.npy"), labels)
    np.save(new_file(f"{prefix}_frames.npy"), frames)
    write_csv(new_file(f"{prefix}_videos.csv"), rows[0], rows)


@dataclass
class Split:
    """n frames: all rows of a features file or, where two splits share a file, some of them."""

    features: torch.Tensor  # (N, 1000) float32, memory-mapped: a row is read when it is used
    rows: np.ndarray  # (n,) int64, where the frames are in `features`, ascending
    labels: np.ndarray  # (n,) int64, 1 = fake
    video: np.ndarray  # (n,) index into `videos`
    number: np.ndarray  # (n,) number of the frame in its video
    videos: list[dict]  # rows of <split>_videos.csv; where there is none, each frame stands for itself
    known: bool  # whether there is one
    extraction: dict  # how the features were made

    def part(self, chosen: np.ndarray) -> "Split":  # a mask or an index
        arrays = {name: getattr(self, name)[chosen] for name in ("rows", "labels", "video", "number")}
        return replace(self, **arrays)

    def names(self, column: str) -> set[str]:
        """What a column of `videos` holds for the videos of this split, below the folder that they are in."""
        root = self.extraction.get("videos_dir")
        names = {self.videos[i].get(column) for i in np.unique(self.video)}
        return {f"{root}/{name}" for name in names if name}

    def video_scores(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices into `videos`, labels and scores of the videos: the mean of the (n,) scores of their frames."""
        index, first, inverse = np.unique(self.video, return_index=True, return_inverse=True)
        return index, self.labels[first], np.bincount(inverse, scores) / np.bincount(inverse)

    def by_unit(self, scores: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
        """What results are of, videos or, where those are not known, frames, and the labels and scores of these."""
        return ("videos", *self.video_scores(scores)[1:]) if self.known else ("frames", self.labels, scores)


def load_array(path: Path, ndim: int, kinds: str) -> np.ndarray:
    """A memory-mapped array with a dtype of one of these kinds from a .npy file. Nothing in the file is run."""
    try:
        # "c" (copy on write), since torch wants writable memory; the file itself is never written to
        array = np.lib.format.open_memmap(path, "c")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run feature_extraction.py first, or name another file") from None
    except DAMAGED as error:
        raise InputError(f"{path} is not a .npy file of numbers: extract the features again") from error
    if array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{path} holds {found}, expected {ndim}-d numbers: extract the features again")
    return array


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, a labels file (default: the one beside it) and the sidecar files that are there.

    Raises InputError for all that training would stumble over.
    """
    prefix = str(features_file).removesuffix("features.npy")
    if not labels_file and not str(features_file).endswith("features.npy"):
        raise InputError(f"{features_file} is not named ..._features.npy: its labels need a flag of their own")
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    features, labels = load_array(features_file, 2, "f"), load_array(labels_file, 1, "iub")
    n, again = len(features), "run feature_extraction.py again"
    if features.shape[1] != N_FEATURES or features.dtype != np.float32:
        found = f"{features.dtype} in {features.shape[1]} columns"
        raise InputError(f"{features_file} has {found}, expected float32 in {N_FEATURES}: {again}")
    if len(labels) != n:
        raise InputError(f"{labels_file} has {len(labels)} rows but {features_file} has {n}: {again}")
    if not np.isin(labels, (0, 1)).all():
        found = np.unique(labels)[:5].tolist()
        raise InputError(f"{labels_file} has the labels {found}, expected only 0 (real) and 1 (fake)")
    labels = labels.astype(np.int64)
    for start in range(0, n, CHUNK):
        bad = np.flatnonzero(~np.isfinite(features[start : start + CHUNK]).all(1))
        if len(bad):
            raise InputError(f"{features_file} has NaN or infinity in row {start + bad[0]}: {again}")

    # without the sidecar files, each frame stands for itself
    video, number, videos = np.arange(n), np.zeros(n, np.int64), [{"video": f"row {i}", "group": i} for i in range(n)]
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    if known := frames_file.is_file() and videos_file.is_file():
        frames = load_array(frames_file, 2, "iu")
        videos = read_csv(videos_file)
        if not videos or not {"video", "label", "group"} <= set(videos[0]):
            raise InputError(f"{videos_file} lacks the columns video,label,group: {again}")
        video, number = frames[:, 0], frames[:, -1]
        fits = frames.shape == (n, 2) and video.min() >= 0 and video.max() < len(videos)
        if not fits or not np.array_equal(np.array([row["label"] for row in videos])[video], labels.astype(str)):
            raise InputError(f"{frames_file}, {videos_file} do not fit {labels_file}: {again}")
    extraction = features_file.with_name("extraction.json")
    extraction = read_json(extraction) if extraction.is_file() else {}
    return Split(torch.from_numpy(features), np.arange(n), labels, video, number, videos, known, extraction)


def hold_out(split: Split, val_fraction: float, seed: int, unit: str = "group") -> tuple[Split, Split]:
    """Training and validation part of a split: no unit (group, video or frame) in both.

    Of 100 random draws the one is taken that comes nearest to the fraction in each class.
    """
    of_frame = np.arange(len(split.rows)) if unit == "frame" else split.video
    index, first = np.unique(of_frame, return_index=True)
    labels = split.labels[first]
    groups = np.array([split.videos[i]["group"] for i in index]) if unit == "group" else index
    n_groups = len(np.unique(groups))
    size = min(max(1, round(val_fraction * n_groups)), n_groups - 1)
    draws = GroupShuffleSplit(100, test_size=size, random_state=seed).split(index, groups=groups) if size else ()
    best, least = None, 1.0
    for _, drawn in draws:
        shares = np.bincount(labels[drawn], minlength=2) / np.bincount(labels, minlength=2)  # of the real, of the fake
        off = abs(shares - val_fraction).max()
        if off < least and shares.min() > 0 and shares.max() < 1:
            best, least = drawn, off
    if best is None:
        n_real, n_fake = (len(np.unique(groups[labels == label])) for label in (0, 1))
        found = f"{n_real} {unit}s with real videos and {n_fake} with fakes are too few to hold {val_fraction:g} out"
        hint = ", or try --split-unit video, which leaks" if unit == "group" else ""
        raise InputError(f"{found}: add videos, give --val-features-file{hint}")
    mask = np.isin(of_frame, index[best])
    return split.part(~mask), split.part(mask)


def check_same_extraction(extractions: dict[str, dict]) -> None:
    """Raise InputError where features were made otherwise than the first ones; {name: extraction.json}."""

    def describe(extraction: dict) -> dict:
        crop = extraction.get("crop", "none")
        crop = {"crop": "none"} if crop == "none" else crop | {"crop": "faces"}
        return extraction | extraction.get("weights", {}) | crop if extraction else {}

    first, *_ = extractions
    for name, extraction in extractions.items():
        ours, theirs = describe(extractions[first]), describe(extraction)
        for key in ("sha256", "frames_per_video", "frame_choice", "crop", "detector_sha256", "margin", "no_face"):
            if key in ours and key in theirs and ours[key] != theirs[key]:
                raise InputError(f"{key} is {ours[key]} for {first}, {theirs[key]} for {name}: extract them alike")


def audit_leaks(splits: dict[str, Split], allowed: set[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Number of videos, groups and target clips that each pair of splits shares.

    `allowed` holds pairs of splits with what they may share; other sharing raises InputError.
    """
    audit = {}
    for first, second in combinations(splits, 2):
        pair = f"{first}-{second}"
        both = {name: splits[first].names(name) & splits[second].names(name) for name in ("video", "group", "clip")}
        audit[pair] = {f"{name}s": len(shared) for name, shared in both.items()}
        for name, shared in both.items():
            if shared and (pair, name) not in allowed:
                example = f"share {len(shared)} {name}s, {min(shared)} for one"
                raise InputError(f"{first} and {second} {example}: put what belongs together into one split")
    return audit


def audit_shortcuts(split: Split) -> dict[str, float]:
    """The AUC that each trivial column of <split>_videos.csv reaches alone, in either direction, if there are any."""
    names = ["width", "height", "fps", "frames", "duration", "size"]
    index, labels, _ = split.video_scores(split.labels)
    if len(set(labels)) < 2 or not set(names) <= set(split.videos[0]):
        return {}
    names += ["face_share"] if "face_share" in split.videos[0] else []  # with face crops
    try:
        columns = {name: np.array([float(split.videos[i][name] or -1) for i in index]) for name in names}
    except ValueError as error:
        raise InputError(f"<split>_videos.csv of the validation split: {error}: extract again") from error
    columns["bits per pixel"] = 8 * columns["size"] / (columns["width"] * columns["height"] * columns["frames"])
    aucs = {name: roc_auc_score(labels, values) for name, values in columns.items()}
    return {name: float(max(auc, 1 - auc)) for name, auc in aucs.items()}


def divide(splits: dict[str, Split], val_fraction: float, seed: int, unit: str) -> tuple[dict, dict, str]:
    """Splits with a validation part, what the leak audit finds they share, and how they were divided."""
    allowed, by = set(), "as extracted"
    if splits["train"].extraction.get("layout") == "Celeb-DF":  # its official test list shares people with the rest
        allowed = {(pair, name) for pair in ("train-test", "val-test") for name in ("group", "clip")}
    if "val" not in splits:
        train_part, val_part = hold_out(splits["train"], val_fraction, seed, unit)
        by = f"{percent(len(val_part.rows) / len(splits['train'].rows))} of the frames held out, by {unit}"
        splits = splits | {"train": train_part, "val": val_part}
        shared = {"group": (), "video": ("group", "clip"), "frame": ("group", "clip", "video")}[unit]
        allowed |= {("train-val", name) for name in shared}
    splits = {name: splits[name] for name in SPLITS if name in splits}
    return splits, audit_leaks(splits, allowed) if splits["train"].known else {}, by
