"""Train an MLP that tells fake videos from real ones on ResNet-18 features, and score videos with it.

Reads   what feature_extraction.py wrote: <split>_features.npy (N, 1000) float32, <split>_labels.npy (N,) int64 with
        1 = fake and 0 = real, and beside them <split>_frames.npy, <split>_videos.csv and extraction.json
Writes  to <output-dir>: model.pt, metrics.json, predictions.csv (a line a video) and pictures

    python deepfake_detection_model.py
    python deepfake_detection_model.py --num-epochs 50 --lr 1e-4 --seeds 5 --output-dir results/longer
    python deepfake_detection_model.py --evaluate features/other/train_features.npy
    python deepfake_detection_model.py --predict clip.mp4 folder_of_clips --plot

A score is the probability of *fake*; a video's score is the mean of its frames' scores. Only the train and the
validation split are looked at during training. The threshold T comes from validation; with --select best so does the
epoch.
"""

import argparse
import copy
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import DetCurveDisplay, average_precision_score, log_loss, roc_auc_score, roc_curve
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

import feature_extraction as fe

CHUNK = 8192  # rows at once where no gradient is needed
TITLES = {"train": "Training Set", "val": "Validation Set", "test": "Test Set"}
CLASS_COLOURS = ("#56B4E9", "#E69F00")
COLOURS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}  # Okabe and Ito: apart for the colour-blind too


# --- Data -----------------------------------------------------------------------------------------


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
        raise fe.InputError(f"{path}: no such file; run feature_extraction.py first, or name another file") from None
    except fe.DAMAGED as error:
        raise fe.InputError(f"{path} is not a .npy file of numbers: extract the features again") from error
    if array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        found = f"{array.dtype} of shape {array.shape}"
        raise fe.InputError(f"{path} holds {found}, expected {ndim}-d numbers: extract the features again")
    return array


def load_split(features_file: Path, labels_file: Path | None = None) -> Split:
    """The split in a features file, a labels file (default: the one beside it) and the sidecar files that are there.

    Raises fe.InputError for all that training would stumble over.
    """
    prefix = str(features_file).removesuffix("features.npy")
    if not labels_file and not str(features_file).endswith("features.npy"):
        raise fe.InputError(f"{features_file} is not named ..._features.npy: its labels need a flag of their own")
    labels_file = labels_file or Path(f"{prefix}labels.npy")
    features, labels = load_array(features_file, 2, "f"), load_array(labels_file, 1, "iub")
    n, again = len(features), "run feature_extraction.py again"
    if features.shape[1] != fe.N_FEATURES or features.dtype != np.float32:
        found = f"{features.dtype} in {features.shape[1]} columns"
        raise fe.InputError(f"{features_file} has {found}, expected float32 in {fe.N_FEATURES}: {again}")
    if len(labels) != n:
        raise fe.InputError(f"{labels_file} has {len(labels)} rows but {features_file} has {n}: {again}")
    if not np.isin(labels, (0, 1)).all():
        found = np.unique(labels)[:5].tolist()
        raise fe.InputError(f"{labels_file} has the labels {found}, expected only 0 (real) and 1 (fake)")
    labels = labels.astype(np.int64)
    for start in range(0, n, CHUNK):
        bad = np.flatnonzero(~np.isfinite(features[start : start + CHUNK]).all(1))
        if len(bad):
            raise fe.InputError(f"{features_file} has NaN or infinity in row {start + bad[0]}: {again}")

    # without the sidecar files, each frame stands for itself
    video, number, videos = np.arange(n), np.zeros(n, np.int64), [{"video": f"row {i}", "group": i} for i in range(n)]
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    if known := frames_file.is_file() and videos_file.is_file():
        frames = load_array(frames_file, 2, "iu")
        videos = fe.read_csv(videos_file)
        if not videos or not {"video", "label", "group"} <= set(videos[0]):
            raise fe.InputError(f"{videos_file} lacks the columns video,label,group: {again}")
        video, number = frames[:, 0], frames[:, -1]
        fits = frames.shape == (n, 2) and video.min() >= 0 and video.max() < len(videos)
        if not fits or not np.array_equal(np.array([row["label"] for row in videos])[video], labels.astype(str)):
            raise fe.InputError(f"{frames_file}, {videos_file} do not fit {labels_file}: {again}")
    extraction = features_file.with_name("extraction.json")
    extraction = fe.read_json(extraction) if extraction.is_file() else {}
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
        raise fe.InputError(f"{found}: add videos, give --val-features-file{hint}")
    mask = np.isin(of_frame, index[best])
    return split.part(~mask), split.part(mask)


def check_same_extraction(extractions: dict[str, dict]) -> None:
    """Raise fe.InputError where features were made otherwise than the first ones; {name: extraction.json}."""

    def describe(extraction: dict) -> dict:
        crop = extraction.get("crop", "none")
        crop = {"crop": "none"} if crop == "none" else crop | {"crop": "faces"}
        return extraction | extraction.get("weights", {}) | crop if extraction else {}

    first, *_ = extractions
    for name, extraction in extractions.items():
        ours, theirs = describe(extractions[first]), describe(extraction)
        for key in ("sha256", "frames_per_video", "frame_choice", "crop", "detector_sha256", "margin", "no_face"):
            if key in ours and key in theirs and ours[key] != theirs[key]:
                raise fe.InputError(f"{key} is {ours[key]} for {first}, {theirs[key]} for {name}: extract them alike")


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
                raise fe.InputError(f"{first} and {second} {example}: put what belongs together into one split")
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
        raise fe.InputError(f"<split>_videos.csv of the validation split: {error}: extract again") from error
    columns["bits per pixel"] = 8 * columns["size"] / (columns["width"] * columns["height"] * columns["frames"])
    aucs = {name: roc_auc_score(labels, values) for name, values in columns.items()}
    return {name: float(max(auc, 1 - auc)) for name, auc in aucs.items()}


# --- Model ----------------------------------------------------------------------------------------


class DeepfakeMLP(nn.Module):
    """1000 -> 512 -> 256 -> 1 with LeakyReLU and dropout. 644,097 parameters.

    The features are standardised inside; the training part's mean and deviation travel in the state dict as buffers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(fe.N_FEATURES))
        self.register_buffer("deviation", torch.ones(fe.N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(fe.N_FEATURES, 512),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 256),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n,) logits of (n, 1000) features: their sigmoid is the score."""
        return self.layers((features - self.mean) / self.deviation).squeeze(-1)

    @torch.inference_mode()
    def score(self, features: torch.Tensor) -> np.ndarray:
        """(n,) float64 probabilities of fake, of (n, 1000) float32 features. Dropout is off."""
        return self.eval()(features.to(self.mean.device)).double().sigmoid().cpu().numpy()


def score_frames(model: DeepfakeMLP, split: Split) -> np.ndarray:
    """(n,) float64 scores of the frames of a split."""
    return np.concatenate([model.score(split.features[rows]) for rows in torch.from_numpy(split.rows).split(CHUNK)])


# --- Metrics --------------------------------------------------------------------------------------


def cross_rates(fpr: np.ndarray, fnr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where FPR and FNR are equal, along the last axis of (..., k) rates: the rate, and the index of the nearest point.

    FPR rises from 0 to 1 and FNR falls from 1 to 0, with a straight line between neighbours.
    """
    gap = fpr - fnr
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    (fpr0, fpr1), (gap0, gap1) = ([np.take_along_axis(x, i, -1) for i in (after - 1, after)] for x in (fpr, gap))
    rate = fpr0 - gap0 / (gap1 - gap0) * (fpr1 - fpr0)
    return rate[..., 0], np.where(-gap0 < gap1, after - 1, after)[..., 0]


def compute_eer(labels, scores) -> tuple[float, float]:
    """Equal error rate, and the threshold nearest to it: predict fake where score >= threshold.

    labels (n,) of 0 and 1 = fake, scores (n,) higher = more fake. The EER is the rate at which the false positive
    rate (real called fake) equals the false negative rate (fake called real). Both are taken on the points of the
    ROC, on which tied scores move together and both end points lie, with a straight line between neighbours.
    The threshold is that of the neighbour where the two rates differ less. Raises ValueError for one class alone.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels of shape {labels.shape} and scores of shape {scores.shape}: expected two of (n,)")
    if not np.array_equal(np.unique(labels), (0, 1)):
        raise ValueError(f"labels have the values {np.unique(labels).tolist()}: the EER needs both 0 and 1")
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    eer, nearest = cross_rates(fpr, 1 - tpr)
    return float(eer), float(thresholds[nearest])


def compute_rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """Accuracy, balanced accuracy, FPR and FNR where score >= threshold is called fake; None without the class."""
    wrong = (scores >= threshold) != labels
    fpr, fnr = (float(wrong[labels == label].mean()) if (labels == label).any() else None for label in (0, 1))
    balanced = None if fpr is None or fnr is None else 1 - (fpr + fnr) / 2
    return {"accuracy": float(1 - wrong.mean()), "balanced_accuracy": balanced, "fpr": fpr, "fnr": fnr}


def compute_metrics(labels: np.ndarray, scores: np.ndarray, threshold: float | None = None) -> dict:
    """The figures of (n,) labels and scores, rates as fractions; None where one class alone leaves none.

    Accuracy, FPR and FNR are those at 0.5, and below `at_threshold` those at the threshold that is given.
    `majority` is the accuracy of always naming the more frequent class.
    """
    n, n_fake = len(labels), int(labels.sum())
    metrics = {"n": n, "n_fake": n_fake, "majority": max(n_fake, n - n_fake) / n, **compute_rates(labels, scores, 0.5)}
    metrics |= dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision"))
    metrics["log_loss"] = float(log_loss(labels, scores, labels=(0, 1)))
    if 0 < n_fake < n:
        metrics["eer"], metrics["eer_threshold"] = compute_eer(labels, scores)
        metrics["auc"] = float(roc_auc_score(labels, scores))
        metrics["average_precision"] = float(average_precision_score(labels, scores))
    if threshold is not None:
        metrics["at_threshold"] = {"threshold": threshold, **compute_rates(labels, scores, threshold)}
    return metrics


def bootstrap_intervals(labels, scores, groups, threshold: float = 0.5, draws: int = 1000, seed: int = 0) -> dict:
    """95 % intervals {figure: [low, high]} of what compute_metrics gives: percentiles over draws of whole groups.

    Groups, (n,), are drawn with replacement, as many as there are (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13). A draw is a weight for each group; all weighted figures are computed side by side.
    Draws that lack a class are left out; None where they are more than a tenth, or where there is one group only.
    """
    names, group = np.unique(groups, return_inverse=True)
    order = np.argsort(-scores, kind="stable")
    labels, scores, group = labels[order], scores[order], group[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # tied scores move together
    called = {"": (scores >= 0.5).sum(), "at_threshold ": (scores >= threshold).sum()}  # fake: the first so many
    losses = -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), np.finfo(float).eps, 1))
    rng, found = np.random.default_rng(seed), []
    for start in range(0, draws, 100):  # so many at a time bound the memory
        size = min(100, draws - start)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size)[:, group].astype(float)
        fakes, reals = (np.pad((weights * (labels == label)).cumsum(1), ((0, 0), (1, 0))) for label in (1, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            tpr, fpr = fakes / fakes[:, -1:], reals / reals[:, -1:]
            figures = {}
            for prefix, k in called.items():
                right = fakes[:, k] + reals[:, -1] - reals[:, k]
                figures[f"{prefix}accuracy"] = right / weights.sum(1)
                figures[f"{prefix}balanced_accuracy"] = (tpr[:, k] + 1 - fpr[:, k]) / 2
                figures[f"{prefix}fpr"], figures[f"{prefix}fnr"] = fpr[:, k], 1 - tpr[:, k]
            precision = fakes[:, ends + 1] / (fakes + reals)[:, ends + 1]
            tpr, fpr = (np.pad(rate[:, ends + 1], ((0, 0), (1, 0))) for rate in (tpr, fpr))
            figures["eer"] = cross_rates(fpr, 1 - tpr)[0]
            figures["auc"] = np.trapezoid(tpr, fpr, axis=1)
            figures["average_precision"] = (np.diff(tpr) * np.nan_to_num(precision)).sum(1)
            figures["log_loss"] = weights @ losses / weights.sum(1)
        both = (fakes[:, -1] > 0) & (reals[:, -1] > 0)
        found.append({name: values[both] for name, values in figures.items()})
    values = {name: np.concatenate([block[name] for block in found]) for name in found[0]}
    if len(names) < 2 or len(values["auc"]) < 0.9 * draws:
        return dict.fromkeys(values)
    return {name: np.percentile(drawn, (2.5, 97.5)).tolist() for name, drawn in values.items()}


def choose_threshold(split: Split, scores: np.ndarray) -> tuple[float, str]:
    """The threshold T of the validation split, given the scores (n,) of its frames, and where it comes from."""
    unit, labels, values = split.by_unit(scores)
    chosen = compute_metrics(labels, values)["eer_threshold"]
    if chosen is None:
        return 0.5, "as the validation split has one class alone"
    # halfway to the next score: rounding elsewhere does not change what the scores at the threshold are called
    below = max(values[values < chosen], default=chosen)
    return float(chosen + below) / 2, f"at the EER of the validation {unit}"


def evaluate(split: Split, scores: np.ndarray, threshold: float) -> dict[str, dict]:
    """{"videos": metrics with intervals, "methods": {name: metrics with intervals}, "frames": metrics} of a split.

    `scores` (n,) are those of its frames. A method's fakes are held against all reals of the split. Without videos
    there are frames alone.
    """
    frames = compute_metrics(split.labels, scores, threshold)
    if not split.known:
        return {"frames": frames}
    index, labels, values = split.video_scores(scores)
    groups, methods = (np.array([split.videos[i].get(name, "") for i in index]) for name in ("group", "method"))

    def measure(part: np.ndarray) -> dict:
        metrics = compute_metrics(labels[part], values[part], threshold)
        if metrics["auc"] is not None:
            metrics["intervals"] = bootstrap_intervals(labels[part], values[part], groups[part], threshold)
        return metrics

    names = [str(name) for name in np.unique(methods[labels == 1])]
    by_method = {name: measure((labels == 0) | (methods == name)) for name in names if names != [""]}
    return {"videos": measure(labels >= 0), "frames": frames, "methods": by_method}


# --- Training -------------------------------------------------------------------------------------


def fit_standardisation(model: DeepfakeMLP, split: Split) -> None:
    """Set the model's mean and deviation to those of the split's frames; constant columns are left as they are."""
    scaler = StandardScaler()
    for rows in np.array_split(split.rows, max(1, len(split.rows) // CHUNK)):
        scaler.partial_fit(split.features[rows].numpy().astype(np.float64))
    model.mean.copy_(torch.from_numpy(scaler.mean_))
    model.deviation.copy_(torch.from_numpy(scaler.scale_))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or that the machine has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**32


def train_epoch(model: DeepfakeMLP, optimizer, features, labels, weights, rows, batch_size: int) -> float:
    """One pass in random order over (N, 1000) features; labels, weights (n,) belong to their rows (n,). Mean loss."""
    model.train()
    device, total = model.mean.device, torch.zeros((), device=model.mean.device)
    for batch in torch.randperm(len(rows), device=rows.device).split(batch_size):
        batch = batch.sort().values  # a mapped file is read forwards; within a batch the order does not matter
        logits, truth = model(features[rows[batch]].to(device)), labels[batch].to(device)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth, weights[batch].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)  # no .item() here: it would make the device wait at each step
    return total.item() / len(rows)


def train(splits: dict[str, Split], batch_size: int, num_epochs: int, lr: float, device: torch.device, seed: int,
          class_balance: str = "weight", select: str = "last"):  # fmt: skip
    """The model, the epoch that its weights are of, and a list with a dict of figures for each epoch.

    With `class_balance` weight each class has the same weight in the loss, with none each frame. With `select` best
    the weights are a copy of those of the epoch with the lowest validation EER, with last those after the last epoch.
    """
    torch.manual_seed(seed)
    model = DeepfakeMLP()
    fit_standardisation(model, splits["train"])
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    features, rows = splits["train"].features, torch.from_numpy(splits["train"].rows)
    labels = torch.from_numpy(splits["train"].labels)
    weights = len(labels) / 2 / labels.bincount(minlength=2) if class_balance == "weight" else torch.ones(2)
    labels, weights = labels.float(), weights[labels]
    if 4 * fe.N_FEATURES * len(rows) < free_memory(device) / 2:  # else they stay on the disk, memory-mapped
        features, labels, weights = features[rows].to(device), labels.to(device), weights.to(device)
        rows = torch.arange(len(rows), device=device)

    history, kept = [], None
    with tqdm(range(1, num_epochs + 1), desc="training", unit="epoch", disable=None) as epochs:
        for epoch in epochs:
            loss = train_epoch(model, optimizer, features, labels, weights, rows, batch_size)
            record = {"epoch": epoch, "loss": loss}
            for name in ("train", "val"):
                scores = score_frames(model, splits[name])
                if not np.isfinite([loss, *scores]).all():
                    raise fe.InputError(f"after epoch {epoch} the loss or a score is not a number: lower --lr ({lr:g})")
                unit, *values = splits[name].by_unit(scores)
                metrics = compute_metrics(*values)
                record |= {f"{name}_{key}": metrics[key] for key in ("accuracy", "eer", "log_loss")}
            history.append(record)
            if select == "best" and record["val_eer"] is None:
                raise fe.InputError("--select best needs both classes in the validation split")
            if select == "best" and (not kept or record["val_eer"] < kept["val_eer"]):
                kept = record | {"weights": copy.deepcopy(model.state_dict())}
            figures = f"accuracy {percent(record['val_accuracy']):>7}   EER {percent(record['val_eer']):>7}"
            line = f"epoch {epoch:>3}/{num_epochs}   loss {loss:.4f}   validation {unit}:   {figures}"
            epochs.write(line, file=sys.stdout)
    if kept:
        model.load_state_dict(kept["weights"])
    return model, (kept or record)["epoch"], history


# --- Tables and pictures --------------------------------------------------------------------------

FIGURES = (  # title, key in the metrics and in the intervals
    ("accuracy at 0.5", "accuracy"),
    ("  always the majority", "majority"),
    ("  balanced accuracy", "balanced_accuracy"),
    ("  real called fake, FPR", "fpr"),
    ("  fake called real, FNR", "fnr"),
    ("accuracy at T", "at_threshold accuracy"),
    ("  real called fake, FPR", "at_threshold fpr"),
    ("  fake called real, FNR", "at_threshold fnr"),
    ("EER", "eer"),
    ("AUC", "auc"),
    ("average precision", "average_precision"),
    ("log loss (nats)", "log_loss"),
)


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def format_figure(metrics: dict, key: str) -> str:
    """A figure with its interval, if it has one."""
    value = metrics["at_threshold"][key.split()[1]] if key.startswith("at_threshold") else metrics[key]
    interval = metrics.get("intervals", {}).get(key)
    if key == "log_loss":
        return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
    return percent(value) + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def format_table(rows: list[tuple]) -> str:
    """Lines of cells in columns as wide as they need to be, the first to the left and the others to the right."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    return "\n".join(lines)


def print_features(extraction: dict) -> None:
    weights = extraction.get("weights", {}).get("name", "unknown")
    drawn = " (the drawn sample set)" if extraction.get("sample") else ""
    crop = extraction.get("crop", "none")
    faces = "" if crop == "none" else f": faces, margin {crop['margin']:g}"
    print(f"Features   of {extraction.get('videos_dir', 'unknown videos')}{drawn}{faces}")
    print(f"Backbone   ResNet-18, weights: {weights}")
    if weights == "random":
        print("WARNING: the backbone is UNTRAINED: these figures say nothing about ImageNet features")


def results_table(results: dict[str, dict]) -> str:
    """All figures of {title: results} side by side: of videos, of each method's videos, and of frames."""
    tables, found, notes = [], [], []
    for unit in ("videos", "frames"):
        columns = {title: metrics[unit] for title, metrics in results.items() if unit in metrics}
        if columns:
            rows = [(f"{unit.capitalize():<26}", *(f"{title:>28}" for title in columns))]
            rows += [("n", *(f"{m['n']} ({m['n'] - m['n_fake']} real, {m['n_fake']} fake)" for m in columns.values()))]
            rows += [(title, *(format_figure(m, key) for m in columns.values())) for title, key in FIGURES]
            tables.append(format_table(rows))
            found += columns.values()
    for title, metrics in results.items():
        rows = [(f"Method, {title}", "n fake", "n real", "EER", "AUC")]
        for name, m in metrics.get("methods", {}).items():
            counts = m["n_fake"], m["n"] - m["n_fake"]
            rows.append((name or "not named", *counts, format_figure(m, "eer"), format_figure(m, "auc")))
        if len(rows) > 1:
            tables.append(format_table(rows))
    if any(m["eer"] is None for m in found):
        notes.append("n/a: one class alone has no such figure")
    if any(m.get("intervals", {}).get("auc") for m in found):
        notes.append("In brackets: 95 % intervals, by bootstrap over groups with the model and T as they are.")
        notes.append("One of no width says that no draw held an error, not that there is no doubt.")
    return "\n\n".join([*tables, "\n".join(notes)]).rstrip()


def seeds_table(runs: list[dict], titles: dict[str, str]) -> str:
    """Mean and standard deviation (n - 1) over the results of several seeds."""
    unit = next(iter(runs[0]["train"]))
    rows = [(f"{unit.capitalize()}, mean (sd) of {len(runs)} seeds", *(f"{titles[name]:>28}" for name in runs[0]))]
    for title, key in FIGURES:
        if key in ("accuracy", "eer", "auc", "log_loss"):
            cells = []
            for name in runs[0]:
                values = [run[name][unit][key] for run in runs]
                both = [None, None] if None in values else [np.mean(values), np.std(values, ddof=1)]
                mean, deviation = (f"{value:.3f}" if key == "log_loss" else percent(value) for value in both)
                cells.append(f"{mean} ({deviation})")
            rows.append((title, *cells))
    return format_table(rows)


def pick_samples(split: Split, scores: np.ndarray, seed: int, per_class: int = 4) -> list[tuple]:
    """The middle frame of a few videos of each class, drawn at random: (video, frame, truth, at 0.5, score) of each."""
    rng, samples = np.random.default_rng(seed), []
    index, labels, _ = split.video_scores(scores)
    for label in (0, 1):
        for video in np.sort(rng.permutation(index[labels == label])[:per_class]):
            frames = np.flatnonzero(split.video == video)
            i = frames[len(frames) // 2]
            prediction = fe.CLASSES[int(scores[i] >= 0.5)]
            name = split.videos[video]["video"]
            samples.append((name, split.number[i], fe.CLASSES[label], prediction, percent(scores[i])))
    return samples


def save_figure(figure: Figure, path: Path) -> None:
    with fe.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def interval(metrics: dict, key: str) -> np.ndarray:
    """(2,) ends of a figure's interval in percent; NaN, which is not drawn, where it has none."""
    return 100 * np.array(metrics.get("intervals", {}).get(key) or (np.nan, np.nan))


def show_frame(axes, frame: torch.Tensor, title: str, **text) -> None:
    axes.imshow(frame.permute(1, 2, 0).numpy())
    axes.set_title(title, fontsize=8, parse_math=False, **text)
    axes.axis("off")


def plot_curves(histories: list[list[dict]], results: dict, path: Path) -> None:
    """Loss, accuracy and EER by epoch; of several seeds the mean, and the range as a band."""
    unit = next(iter(results["train"]))
    figure = Figure((12, 3.8), layout="constrained")
    panels = (("log loss", "log_loss", "nats"), ("accuracy at 0.5", "accuracy", "%"), ("EER", "eer", "%"))
    of_seeds = f", mean and range of {len(histories)} seeds" if len(histories) > 1 else ""
    epochs = [record["epoch"] for record in histories[0]]
    for axes, (title, key, axis_unit) in zip(figure.subplots(1, 3), panels, strict=True):
        for split, marker in (("train", "."), ("val", "s")):
            values = np.array([[record[f"{split}_{key}"] for record in history] for history in histories], float)
            values *= 1 if axis_unit == "nats" else 100  # None has become NaN
            label = f"{TITLES[split]} (n = {results[split][unit]['n']})"
            axes.plot(epochs, values.mean(0), color=COLOURS[split], marker=marker, markersize=4, label=label)
            axes.fill_between(epochs, values.min(0), values.max(0), color=COLOURS[split], alpha=0.2, linewidth=0)
        axes.set_title(f"{title} of {unit}{of_seeds}", fontsize=10)
        axes.set(xlabel="epoch", ylabel=axis_unit, ylim=None if axis_unit == "nats" else (-2, 102))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_roc(splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path) -> None:
    """ROC curves with their EER, of which the thick line is the 95 % interval, and DET curves."""
    figure = Figure((11, 5.4), layout="constrained")
    roc, det = figure.subplots(1, 2)
    roc.plot((0, 100), (100, 0), color="0.7", linewidth=1, linestyle=":")
    roc.annotate("FPR = FNR", (50, 50), (52, 51), color="0.4", fontsize=8)
    for name, split in splits.items():
        unit, labels, values = split.by_unit(scores[name])
        metrics = results[name][unit]
        if metrics["eer"] is None:  # one class alone has no ROC
            continue
        fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
        figures = f"AUC {format_figure(metrics, 'auc')}, EER {format_figure(metrics, 'eer')}"
        roc.plot(100 * fpr, 100 * tpr, color=COLOURS[name], label=f"{TITLES[name]}\n{figures}")
        ends = interval(metrics, "eer")
        roc.plot(ends, 100 - ends, color=COLOURS[name], linewidth=5, alpha=0.4, solid_capstyle="butt")
        roc.plot(100 * metrics["eer"], 100 - 100 * metrics["eer"], "o", color=COLOURS[name], clip_on=False)
        title = TITLES[name] + (": no errors, outside the picture" if metrics["auc"] == 1 else "")
        DetCurveDisplay.from_predictions(labels, values, ax=det, name=title, color=COLOURS[name])
    counts = f"{unit}: " + ", ".join(f"{name} n = {metrics[unit]['n']}" for name, metrics in results.items())
    roc.set(xlabel="real called fake (FPR), %", ylabel="fake called fake (1 - FNR), %", title=f"ROC of {counts}")
    roc.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    det.set(xlabel="real called fake (FPR)", ylabel="fake called real (FNR)", title=f"DET of {counts}")
    roc.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=8)
    det.legend(loc="upper right", fontsize=8)
    save_figure(figure, path)


def plot_scores(splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path) -> None:
    """A histogram of the scores of each split by class, with the thresholds; below them each method's AUC."""
    methods = {name: of.get("methods", {}) for name, of in results.items()}
    n_rows = 2 if any(len(of) > 1 for of in methods.values()) else 1
    figure = Figure((4.2 * len(splits), 3.6 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, len(splits), squeeze=False)
    for axes, (name, split) in zip(grid[0], splits.items(), strict=True):
        unit, labels, values = split.by_unit(scores[name])
        parts = [values[labels == label] for label in (0, 1)]
        names = [f"{fe.CLASSES[label]} (n = {len(parts[label])})" for label in (0, 1)]
        *_, (_, fakes) = axes.hist(parts, np.linspace(0, 1, 21), color=CLASS_COLOURS, edgecolor="0.3", label=names)
        for bar in fakes:
            bar.set_hatch("//")  # apart in print too
        axes.axvline(0.5, color="0.3", linestyle=":", label="0.5")
        threshold = results[name]["frames"]["at_threshold"]["threshold"]
        axes.axvline(threshold, color="0.3", linestyle="--", label=f"T = {threshold:.3f}")
        axes.set(title=f"{TITLES[name]}: {len(labels)} {unit}", xlabel="probability of fake", ylabel=unit)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    for axes, (name, of) in zip(grid[1:].flat, methods.items(), strict=False):
        axes.set_visible(len(of) > 1)
        for method, metrics in of.items():
            if metrics["auc"] is not None:
                title = f"{method or 'not named'} (n = {metrics['n_fake']})".replace("$", r"\$")
                axes.barh(title, 100 * metrics["auc"], color=COLOURS[name])
                axes.plot(interval(metrics, "auc"), (title, title), color="black", marker="|")
        axes.axvline(50, color="0.3", linestyle=":")
        axes.set(title=f"{TITLES[name]}: method against all reals", xlabel="AUC, % (95 % interval)", xlim=(0, 105))
        axes.tick_params("y", labelsize=7)
    save_figure(figure, path)


def plot_features(splits: dict[str, Split], seed: int, path: Path, most: int = 2000) -> None:
    """The features of some frames, as many of each split, in two dimensions, by PCA and by t-SNE."""
    rng, n = np.random.default_rng(seed), most // len(splits)
    splits = {name: split.part(np.sort(rng.permutation(len(split.rows))[:n])) for name, split in splits.items()}
    features = np.concatenate([split.features[split.rows].numpy() for split in splits.values()])
    labels = np.concatenate([split.labels for split in splits.values()])
    names = np.repeat(list(splits), [len(split.rows) for split in splits.values()])
    features = StandardScaler().fit_transform(features)
    if not features.any():
        raise fe.InputError("all features are equal")
    pca = PCA(min(50, *features.shape), random_state=seed)
    reduced = pca.fit_transform(features)
    neighbours = TSNE(perplexity=min(30, (len(labels) - 1) / 3), random_state=seed).fit_transform(reduced)
    first, second = (f"{percent(share)} of the variance" for share in pca.explained_variance_ratio_[:2])
    figure = Figure((11.2, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(title=f"PCA of {len(labels)} frames", xlabel=f"component 1 ({first})", ylabel=f"component 2 ({second})")
    right.set(title=f"t-SNE of {len(labels)} frames", xlabel="no unit: neighbours alone mean something")
    for axes, points in ((left, reduced[:, :2]), (right, neighbours)):
        for name, marker in zip(splits, "o^s", strict=False):
            for label, colour in enumerate(CLASS_COLOURS):
                mine = (names == name) & (labels == label)
                title = f"{name}, {fe.CLASSES[label]} (n = {mine.sum()})"
                axes.scatter(*points[mine].T, s=9, marker=marker, color=colour, alpha=0.6, linewidth=0, label=title)
        axes.legend(fontsize=8, markerscale=2)
    save_figure(figure, path)


def plot_samples(samples: list[tuple], extraction: dict, path: Path) -> None:
    """The sample frames as the network sees them. Raises fe.InputError where a video cannot be read again."""
    if not {"videos_dir", "frames_per_video"} <= extraction.keys():
        raise fe.InputError("which videos the features are of is not known")
    figure = Figure((11, 6.8), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    grid = figure.subplots(2, max(Counter(truth for _, _, truth, *_ in samples).values()), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    free = {name: list(row) for name, row in zip(fe.CLASSES, grid, strict=True)}  # real above, fake below
    for name, number, truth, prediction, probability in samples:
        file = Path(extraction["videos_dir"], name)
        try:
            sampled = fe.sample_video(file, extraction)
        except fe.InputError as error:
            raise fe.InputError(f"{file}: {error}") from error
        if number not in sampled.numbers:
            raise fe.InputError(f"{file} has changed since its features were extracted")
        name = name if len(name) < 40 else "…" + name[-38:]  # what fits above a picture
        title = f"{name}\nframe {number}, truth: {truth}, at 0.5: {prediction}\nprobability of fake: {probability}"
        colour = "black" if prediction == truth else COLOURS["val"]
        show_frame(free[truth].pop(0), sampled.frames[list(sampled.numbers).index(number)], title, color=colour)
    save_figure(figure, path)


# --- With a checkpoint: other data, new videos -----------------------------------------------------


def load_checkpoint(path: str | os.PathLike) -> tuple[DeepfakeMLP, dict]:
    """The model, and what else the checkpoint holds. Raises fe.InputError for a file that is not such a checkpoint."""
    checkpoint = fe.load_torch_file(path, "a checkpoint of deepfake_detection_model.py")
    model = DeepfakeMLP()
    try:
        model.load_state_dict(checkpoint["model"], strict=True)
        extraction, threshold = checkpoint["extraction"], checkpoint["thresholds"]["used"]
        if not extraction:
            raise fe.InputError(f"{path} was trained on features without extraction.json: how to make them is unknown")
        extraction["weights"]["name"], extraction["weights"]["sha256"]
        extraction["frames_per_video"] + 1, threshold + 1.0, checkpoint["seen"]["video"]
        if (crop := extraction.get("crop", "none")) != "none":
            crop["detector_sha256"], crop["margin"] + 1.0, crop["no_face"]
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise fe.InputError(f"{path} is not a checkpoint of deepfake_detection_model.py") from error
    return model.eval(), checkpoint


def print_checkpoint(path: Path, checkpoint: dict) -> None:
    print(f"Checkpoint {path}")
    print_features(checkpoint["extraction"])
    print(f"Threshold  T = {checkpoint['thresholds']['used']:.4f}, {checkpoint['thresholds'].get('from')}")
    print("Score      the probability of fake, as far as that data goes: it proves nothing about a single video\n")


def evaluate_files(files: list[Path], checkpoint_file: Path, device: str, output: Path) -> None:
    """--evaluate: the table of extracted features of other data, with a checkpoint and its threshold."""
    model, checkpoint = load_checkpoint(checkpoint_file)
    model.to(fe.pick_device(device))
    print_checkpoint(checkpoint_file, checkpoint)
    results, splits = {}, {str(file): load_split(file) for file in files}
    extractions = {name: split.extraction for name, split in splits.items()}
    check_same_extraction({"the checkpoint": checkpoint["extraction"]} | extractions)
    for name, split in splits.items():
        if not split.extraction:
            print(f"WARNING: {name} has no extraction.json: it may be made with other weights or another crop")
        if split.known and checkpoint["seen"]["video"]:
            shared = {what: len(split.names(what) & set(seen)) for what, seen in checkpoint["seen"].items()}
            counts = ", ".join(f"{n} {what}s" for what, n in shared.items())
            print(f"Leak audit {name} shares with its training: {counts}")
            if any(shared.values()):
                print("WARNING: the model has seen these: the figures are NOT THOSE OF UNSEEN PEOPLE")
        else:
            print(f"WARNING: which videos {name} or the training has is unknown: the model may have seen them")
        results[name] = evaluate(split, score_frames(model, split), checkpoint["thresholds"]["used"])
    print(f"\n{results_table(results)}\n")
    output.mkdir(parents=True, exist_ok=True)
    report = {"checkpoint": str(checkpoint_file), "thresholds": checkpoint["thresholds"], "splits": results}
    with fe.replacing(output / "evaluate.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"Written    {output / 'evaluate.json'}")


def predict_videos(
    paths: Iterable, checkpoint: str | os.PathLike = "results/model.pt", device: str = "auto", num_workers: int = 1
) -> Iterator[dict]:
    """Score video files with a checkpoint, with the weights and the sampling it was trained on.

    The iterator gives for each path, in order, a dict with "path", "video", "score": the probability of fake,
    "prediction": real or fake at the checkpoint's threshold, "frames": how many, "spread": the standard deviation of
    their scores, "reason", "numbers" (n,) and "scores" (n,): of the frames. Where a file cannot be scored the score is
    None, the prediction "no decision", and the reason says why. Raises fe.InputError where the checkpoint, its backbone
    or its face detector cannot be used.
    """
    model, saved = load_checkpoint(checkpoint)
    extraction, threshold = saved["extraction"], saved["thresholds"]["used"]
    expected = extraction["weights"]
    backbone, weights = fe.load_backbone(expected["name"], fe.pick_device(device))
    if weights["sha256"] != expected["sha256"]:
        raise fe.InputError(f"{checkpoint} was trained on features of other weights than {expected['name']} is here")
    if (crop := extraction.get("crop", "none")) != "none":
        fe.load_face_detector()  # if it cannot be had, one error says so, and not each video
        if crop["detector_sha256"] != fe.FACE_MODEL_SHA256:
            raise fe.InputError(f"{checkpoint} was trained on faces that another detector found than is here")
    threads = max(1, fe.count_cores() // num_workers)  # of the decoder: a single video gets all cores

    def predict(path) -> dict:
        row = {"path": path, "video": fe.printable(path), "score": None, "prediction": "no decision", "frames": 0}
        row |= {"spread": None, "reason": "", "numbers": [], "scores": []}
        try:
            features, sampled = fe.extract_video(Path(path), backbone, extraction, threads)
        except fe.InputError as error:
            return row | {"reason": str(error)}
        scores = model.score(torch.from_numpy(features))
        score = float(scores.mean())
        row |= {"score": score, "prediction": fe.CLASSES[int(score >= threshold)], "frames": len(scores)}
        return row | {"spread": float(scores.std()), "numbers": sampled.numbers, "scores": scores}

    return fe.map_threads(predict, paths, num_workers)


def plot_prediction(row: dict, extraction: dict, threshold: float, path: Path) -> None:
    """A video's frames in time with their scores, and the curve of the scores."""
    sampled = fe.sample_video(row["path"], extraction)
    shown = [len(row["scores"]) * (2 * i + 1) // 16 for i in range(8)]
    figure = Figure((12, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 8, height_ratios=(1, 1.6))
    for column, i in enumerate(sorted(set(shown))):
        title = f"frame {row['numbers'][i]}\n{percent(row['scores'][i])}"
        show_frame(figure.add_subplot(grid[0, column]), sampled.frames[i], title)
    axes = figure.add_subplot(grid[1, :])
    axes.plot(row["numbers"], 100 * row["scores"], color=COLOURS["train"], marker=".")
    axes.axhline(100 * row["score"], color=COLOURS["val"], label=f"mean of {row['frames']} frames")
    axes.axhline(100 * threshold, color="0.3", linestyle="--", label=f"threshold {percent(threshold)}")
    axes.set(xlabel="frame", ylabel="probability of fake, %", ylim=(-2, 102))
    axes.legend(fontsize=8)
    title = f"{row['video'][-80:]}: {percent(row['score'])}, {row['prediction']}; proves nothing by itself"
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path)


def print_predictions(paths: list[str], checkpoint_file: Path, device: str, output: Path, plot: bool) -> None:
    """--predict: a line a video as it comes, on the screen and in predict.csv, which an interrupted run keeps."""
    files: list[Path] = []
    for path in map(Path, paths):
        found = fe.list_video_files(path) if path.is_dir() else [path]
        if not found or not path.exists():
            raise fe.InputError(f"--predict {path}: " + ("no such file" if found else "no videos in this folder"))
        files += found
    checkpoint = load_checkpoint(checkpoint_file)[1]
    results = predict_videos(files, checkpoint_file, device, min(len(files), fe.count_cores()))
    output.mkdir(parents=True, exist_ok=True)
    print_checkpoint(checkpoint_file, checkpoint)
    print("Probability of fake  Prediction   Frames  Spread of their scores  Video")
    scored = []
    with closing(results), tqdm(total=len(files), unit="video", desc="predicting", disable=None) as progress:

        def show_each() -> Iterator[dict]:
            for row in results:
                figures = f"{percent(row['score']):>19}  {row['prediction']:<11}  {row['frames']:>6}"
                reason = row["reason"] and f": {row['reason']}"
                progress.write(f"{figures}  {percent(row['spread']):>22}  {row['video']}{reason}", file=sys.stdout)
                progress.update()
                yield row  # written before the picture is tried
                if row["frames"]:
                    scored.append(row["video"])
                    picture = output / f"predict_{len(scored):04d}_{Path(row['video']).stem[:40]}.png"
                    try:
                        if plot:
                            plot_prediction(row, checkpoint["extraction"], checkpoint["thresholds"]["used"], picture)
                    except (fe.InputError, OSError) as error:
                        progress.write(f"{picture} is not drawn: {error}", file=sys.stderr)

        columns = ("video", "score", "prediction", "frames", "spread", "reason")
        fe.write_csv(output / "predict.csv", columns, show_each())
    print(f"\nWritten    {output / 'predict.csv'}" + ", predict_*.png" * plot)
    if not scored:
        raise fe.InputError(f"none of the {len(files)} videos could be scored: the table says why")


# --- The run --------------------------------------------------------------------------------------


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
    splits = {name: splits[name] for name in fe.SPLITS if name in splits}
    return splits, audit_leaks(splits, allowed) if splits["train"].known else {}, by


def print_header(splits: dict[str, Split], leaks: dict, split_by: str, class_balance: str) -> None:
    train, known = splits["train"], splits["train"].known
    print_features(train.extraction)
    for name, split in splits.items():
        unit, labels, _ = split.by_unit(split.labels)
        units = {unit: labels, "frames": split.labels}
        counts = [f"{len(y) - y.sum()} real and {y.sum()} fake {unit}" for unit, y in units.items()]
        groups = f", {len(split.names('group'))} groups" if known else ""
        print(f"{TITLES[name]:<14} {', '.join(counts)}{groups}")
    real_weight, fake_weight = len(train.labels) / 2 / np.bincount(train.labels, minlength=2)
    weighted = f"a real frame counts {real_weight:.2f}, a fake one {fake_weight:.2f}"
    print(f"Balance    {class_balance}: {weighted if class_balance == 'weight' else 'each frame counts the same'}")
    print(f"Split      {split_by}")
    for pair, shared in leaks.items():
        print(f"Leak audit {pair} share " + ", ".join(f"{n} {name}" for name, n in shared.items()))
    if any(n for shared in leaks.values() for n in shared.values()):
        print("WARNING: the splits share what they should not: the figures are NOT THOSE OF UNSEEN PEOPLE")
    if not known:
        print("WARNING: without <split>_frames.npy and <split>_videos.csv nobody knows which frames are of one video:")
        print("WARNING: they may be in training AND validation, which INFLATES the validation figures")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Train an MLP on ResNet-18 features to tell fake videos from real ones, or score videos with it.",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong.",
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    # what to read; a file of labels that is not named is the one beside the features
    add("--train-features-file", type=Path, default="features/train_features.npy", help=default)
    add("--train-labels-file", type=Path, help="if not train_labels.npy beside the features")
    add("--val-features-file", type=Path, help="if not val_features.npy beside the training features")
    add("--val-labels-file", type=Path, help="if not val_labels.npy beside them")
    add("--val-fraction", type=float, default=0.2, help=f"to hold out where no validation file is {default}")
    add("--split-unit", choices=("group", "video", "frame"), default="group", help=f"held out; others leak {default}")
    add("--test-features-file", type=Path, help="if not test_features.npy beside the training features")
    add("--test-labels-file", type=Path, help="if not test_labels.npy beside them")
    # training
    add("--batch-size", type=int, default=16, help=f"frames {default}")
    add("--num-epochs", type=int, default=25, help=default)
    add("--lr", type=float, default=1e-5, help=f"learning rate of Adam {default}")
    add("--class-balance", choices=("weight", "none"), default="weight", help=f"of the loss {default}")
    add("--select", choices=("last", "best"), default="last", help=f"epoch; best: by the validation EER {default}")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"auto is cuda where there is one {default}")
    add("--seed", type=int, default=0, help=f"of the split, the weights, the order and the dropout {default}")
    add("--seeds", type=int, default=1, help=f"train so often, from --seed on; files are of the first {default}")
    # what to write
    add("--output-dir", type=Path, default="results", help=f"where to write {default}")
    # with a checkpoint, instead of training
    add("--evaluate", nargs="+", type=Path, metavar="FEATURES_FILE", help="extracted features of other data")
    add("--predict", nargs="+", metavar="PATH", help="videos, or folders of videos, to score")
    add("--plot", action="store_true", help="with --predict: a picture for each video")
    add("--checkpoint", type=Path, help="for these two, if not model.pt in --output-dir")
    args = parser.parse_args(argv)
    checks = [
        (0 < args.val_fraction < 1, f"--val-fraction is {args.val_fraction}, expected a fraction between 0 and 1"),
        (0 <= args.seed < 2**32 - args.seeds, f"--seed is {args.seed}, expected 0 to {2**32 - 1 - args.seeds}"),
        (not args.checkpoint or args.predict or args.evaluate, "--checkpoint goes with --predict or --evaluate"),
        (not args.plot or args.predict, "--plot goes with --predict"),
        (not args.predict or not args.evaluate, "--predict and --evaluate: one at a time"),
        (not args.val_labels_file or args.val_features_file, "--val-labels-file needs --val-features-file"),
        (not args.test_labels_file or args.test_features_file, "--test-labels-file needs --test-features-file"),
    ]
    for name in ("batch_size", "num_epochs", "lr", "seeds"):
        value = getattr(args, name)
        checks.append((value > 0, f"--{name.replace('_', '-')} is {value}, expected more than 0"))
    for fine, message in checks:
        if not fine:
            parser.error(message)

    fe.quiet_decoder()
    output, checkpoint = args.output_dir, args.checkpoint or args.output_dir / "model.pt"
    if args.predict:
        return print_predictions(args.predict, checkpoint, args.device, output, args.plot)
    if args.evaluate:
        return evaluate_files(args.evaluate, checkpoint, args.device, output)

    device, files = fe.pick_device(args.device), {}
    for name in fe.SPLITS:
        path = getattr(args, f"{name}_features_file")
        beside = args.train_features_file.with_name(f"{name}_features.npy")
        if path or beside.is_file():
            files[name] = load_split(path or beside, getattr(args, f"{name}_labels_file"))
    n_real, n_fake = np.bincount(files["train"].labels, minlength=2)
    if 0 in (n_real, n_fake):
        raise fe.InputError(f"{args.train_features_file} has {n_real} real and {n_fake} fake frames: both are needed")
    if "val" in files and args.split_unit != "group":
        raise fe.InputError(f"--split-unit {args.split_unit}: there is a file of validation features, used as it is")
    all_known = all(split.known for split in files.values())
    files = {name: replace(split, known=all_known) for name, split in files.items()}
    check_same_extraction({name: split.extraction for name, split in files.items()})
    output.mkdir(parents=True, exist_ok=True)  # before the training: it may not be possible

    runs = []
    for seed in range(args.seed, args.seed + args.seeds):
        splits, leaks, split_by = divide(files, args.val_fraction, seed, args.split_unit)
        if args.batch_size > (n := len(splits["train"].rows)):
            raise fe.InputError(f"--batch-size {args.batch_size} is more than the {n} training frames: lower it")
        if not runs:
            print_header(splits, leaks, split_by, args.class_balance)
            print(f"Settings   batch size {args.batch_size}, {args.num_epochs} epochs, lr {args.lr:g}")
            print(f"Device     {device}, torch {torch.__version__}")
        print(f"\nSeed {seed}", flush=True)
        model, epoch, history = train(splits, args.batch_size, args.num_epochs, args.lr, device, seed,
                                      args.class_balance, args.select)  # fmt: skip
        scores = {name: score_frames(model, split) for name, split in splits.items()}
        threshold, origin = choose_threshold(splits["val"], scores["val"])
        results = {name: evaluate(split, scores[name], threshold) for name, split in splits.items()}
        runs.append({"splits": results, "history": history})
        if seed == args.seed:
            first = splits, leaks, split_by, model, epoch, scores, threshold, origin, results

    splits, leaks, split_by, model, epoch, scores, threshold, origin, results = first
    samples = pick_samples(splits["val"], scores["val"], args.seed)
    titles = TITLES | ({"val": "Validation (chose the epoch)"} if args.select == "best" else {})
    print(f"\nWeights after epoch {epoch} of seed {args.seed}")
    print(f"T = {threshold:.4f}, {origin}\n")
    print(results_table({titles[name]: metrics for name, metrics in results.items()}))
    if args.seeds > 1:
        print(f"\n{seeds_table([run['splits'] for run in runs], titles)}")
        print(f"Each seed has its own weights and order{', and holds out its own part' * ('val' not in files)}.")
    print(f"\n{format_table([('Video', 'Frame', 'Truth', 'At 0.5', 'Probability of fake'), *samples])}\n")
    shortcuts = audit_shortcuts(splits["val"]) if all_known else {}
    if shortcuts:
        auc = results["val"]["videos"]["auc"]
        table = ", ".join(f"{name} {percent(value)}" for name, value in shortcuts.items())
        print(f"Shortcut audit, AUC of one column alone on validation: {table}")
        if strong := [name for name, value in shortcuts.items() if value > min(0.75, max(auc, 0.5))]:
            print(f"WARNING: {', '.join(strong)} alone: an AUC above 75 % or above the model's own, {percent(auc)}:")
            print("WARNING: the data gives the label away, and the result means little")

    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    versions = fe.package_versions() | {"scikit-learn": sklearn.__version__, "matplotlib": matplotlib.__version__}
    report = {"settings": settings, "versions": versions, "device": str(device), "epoch": epoch}
    report["extraction"] = splits["train"].extraction
    report["thresholds"] = {"default": 0.5, "used": threshold, "from": origin}
    seen = {name: splits["train"].names(name) | splits["val"].names(name) for name in ("video", "group", "clip")}
    seen = {name: sorted(values) if all_known else [] for name, values in seen.items()}
    checkpoint = io.BytesIO()  # written by us: on a full disk torch.save raises what is no OSError
    torch.save({"model": model.cpu().state_dict(), "seen": seen} | report, checkpoint)
    with fe.replacing(output / "model.pt") as path:
        path.write_bytes(checkpoint.getvalue())
    report["split"] = {"by": split_by, "shared": leaks, "shortcuts": shortcuts}
    report |= runs[0] | ({"seeds": runs} if args.seeds > 1 else {})
    with fe.replacing(output / "metrics.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    rows = []
    for name, split in splits.items():
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True):
            row = {"split": name, "video": split.videos[i]["video"], "label": label, "score": score}
            rows.append(row | {"prediction": int(score >= 0.5)})
    with fe.replacing(output / "predictions.csv") as path:
        fe.write_csv(path, rows[0], rows)

    written = ["model.pt", "metrics.json", "predictions.csv"]
    for name, plot, values in (
        ("training_curves.png", plot_curves, ([run["history"] for run in runs], results)),
        ("roc.png", plot_roc, (splits, scores, results)),
        ("scores.png", plot_scores, (splits, scores, results)),
        ("features.png", plot_features, (splits, args.seed)),
        ("sample_frames.png", plot_samples, (samples, splits["val"].extraction if all_known else {})),
    ):
        try:
            plot(*values, output / name)
            written.append(name)
        except fe.InputError as error:
            (output / name).unlink(missing_ok=True)  # an earlier run's would be taken for this one's
            print(f"{name} is not drawn: {error}")
    print(f"Written    {output}: {', '.join(written)}")


if __name__ == "__main__":
    try:
        main()
    except (fe.InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        fe.leave("interrupted")
