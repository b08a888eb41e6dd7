"""Train an MLP that tells fake videos from real ones on ResNet-18 features, and score videos with it.

Reads   what feature_extraction.py wrote: <split>_features.npy (N, 1000) float32, <split>_labels.npy (N,) int64 with
        1 = fake and 0 = real, and beside them <split>_frames.npy, <split>_videos.csv and extraction.json
Writes  to <output-dir>: model.pt, metrics.json, predictions.csv (a line a video) and pictures

    python deepfake_detection_model.py
    python deepfake_detection_model.py --num-epochs 50 --lr 1e-4 --output-dir results/longer
    python deepfake_detection_model.py --predict clip.mp4 folder_of_clips

A score is the probability of *fake*; a video's score is the mean of its frames' scores. Only the train and the
validation split are looked at during training; no epoch and no threshold is chosen on what is reported.
"""

import argparse
import csv
import json
import os
import sys
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
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

import feature_extraction as fe

CHUNK = 8192  # rows at once where no gradient is needed
TITLES = {"train": "Training Set", "val": "Validation Set", "test": "Test Set"}
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

    def part(self, mask: np.ndarray) -> "Split":
        arrays = {name: getattr(self, name)[mask] for name in ("rows", "labels", "video", "number")}
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

    def units(self, scores: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(labels, scores) of each unit that results are reported in: videos where they are known, and frames."""
        frames = {"frames": (self.labels, scores)}
        return {"videos": self.video_scores(scores)[1:]} | frames if self.known else frames


def load_array(path: Path, ndim: int, kinds: str) -> np.ndarray:
    """A memory-mapped array with a dtype of one of these kinds from a .npy file. Nothing in the file is run."""
    try:
        # "c" (copy on write), since torch wants writable memory; the file itself is never written to
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise fe.InputError(f"{path}: no such file; run feature_extraction.py first, or name another file") from None
    except fe.DAMAGED as error:
        raise fe.InputError(f"{path} is not a .npy file of numbers: extract the features again") from error
    if not isinstance(array, np.ndarray) or array.ndim != ndim or array.dtype.kind not in kinds or not array.size:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
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
    for start in range(0, n, CHUNK):
        bad = np.flatnonzero(~np.isfinite(features[start : start + CHUNK]).all(1))
        if len(bad):
            raise fe.InputError(f"{features_file} has NaN or infinity in row {start + bad[0]}: {again}")

    # without the sidecar files, each frame stands for itself
    video, number, videos = np.arange(n), np.zeros(n, np.int64), [{"video": f"row {i}", "group": i} for i in range(n)]
    frames_file, videos_file = Path(f"{prefix}frames.npy"), Path(f"{prefix}videos.csv")
    if known := frames_file.is_file() and videos_file.is_file():
        frames = load_array(frames_file, 2, "iu")
        with open(videos_file, newline="", encoding="utf-8", errors="replace") as file:
            videos = list(csv.DictReader(file))
        if not videos or not {"video", "label", "group"} <= set(videos[0]):
            raise fe.InputError(f"{videos_file} lacks the columns video,label,group: {again}")
        video, number = frames[:, 0], frames[:, -1]
        video_labels = np.array([row.get("label") for row in videos] + [None])  # None for what is out of range
        of_frame = video_labels[np.where((video >= 0) & (video < len(videos)), video, -1)]
        if frames.shape != (n, 2) or not np.array_equal(of_frame, labels.astype(np.int64).astype(str)):
            raise fe.InputError(f"{frames_file}, {videos_file} do not fit {labels_file}: {again}")
    extraction = features_file.with_name("extraction.json")
    extraction = fe.read_json(extraction) if extraction.is_file() else {}
    labels, rows = labels.astype(np.int64), np.arange(n)
    return Split(torch.from_numpy(features), rows, labels, video, number, videos, known, extraction)


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
    best, least = None, 1.0
    for _, drawn in (
        GroupShuffleSplit(100, test_size=size, random_state=seed).split(index, groups=groups) if size else ()
    ):
        in_val = np.isin(np.arange(len(index)), drawn)
        shares = np.array([in_val[labels == label].mean() for label in (0, 1)])
        off = abs(shares - val_fraction).max()
        if off < least and shares.min() > 0 and shares.max() < 1:
            best, least = in_val, off
    if best is None:
        found = [len(np.unique(groups[labels == label])) for label in (0, 1)]
        found = f"{found[0]} {unit}s with real videos and {found[1]} with fakes"
        hint = ", or try --split-unit video, which leaks" if unit == "group" else ""
        hint = f"add videos, give --val-features-file{hint}"
        raise fe.InputError(f"{found} are too few to hold {val_fraction:g} out: {hint}")
    mask = np.isin(of_frame, index[best])
    return split.part(~mask), split.part(mask)


def check_same_extraction(splits: dict[str, Split]) -> None:
    """Raise fe.InputError where the features of two splits were made differently."""
    for name, split in splits.items():
        for key in ("sha256", "frames_per_video", "frame_choice", "crop"):
            ours, theirs = ((s.extraction | s.extraction.get("weights", {})).get(key) for s in (splits["train"], split))
            if ours != theirs and ours is not None and theirs is not None:
                raise fe.InputError(f"{key} is {ours} for the train features, {theirs} for {name}: extract them alike")


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
    names = ("width", "height", "fps", "frames", "duration", "size")
    index, labels, _ = split.video_scores(split.labels)
    if len(set(labels)) < 2 or not set(names) <= set(split.videos[0]):
        return {}
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

    The features are standardised inside, with the mean and deviation of the training part, which are buffers and so
    travel in the state dict.
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
    fnr = 1 - tpr
    gap = fpr - fnr  # rises from -1 to 1 along the curve
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    eer = fpr[before] + share * (fpr[after] - fpr[before])
    nearest = before if -gap[before] < gap[after] else after
    return float(eer), float(thresholds[nearest])


def compute_metrics(labels: np.ndarray, scores: np.ndarray) -> dict:
    """n, n_fake, accuracy at 0.5, eer, eer_threshold, auc, as fractions; None where one class alone leaves none."""
    both = len(np.unique(labels)) == 2
    eer, threshold = compute_eer(labels, scores) if both else (None, None)
    return {
        "n": len(labels),
        "n_fake": int(labels.sum()),
        "accuracy": float(((scores >= 0.5) == labels).mean()),
        "eer": eer,
        "eer_threshold": threshold,
        "auc": float(roc_auc_score(labels, scores)) if both else None,
    }


def evaluate(split: Split, scores: np.ndarray) -> dict[str, dict]:
    """{"videos": metrics, "frames": metrics} of the (n,) scores of a split's frames."""
    return {unit: compute_metrics(*values) for unit, values in split.units(scores).items()}


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


def train_epoch(model: DeepfakeMLP, optimizer, features, labels, rows, batch_size: int) -> float:
    """One pass in random order over (N, 1000) features; labels (n,) belong to their rows (n,). The mean loss."""
    model.train()
    device, total = model.mean.device, torch.zeros((), device=model.mean.device)
    for batch in torch.randperm(len(rows), device=rows.device).split(batch_size):
        batch = batch.sort().values  # a mapped file is read forwards; within a batch the order does not matter
        logits = model(features[rows[batch]].to(device))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[batch].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)  # no .item() here: it would make the device wait at each step
    return total.item() / len(rows)


def train(splits: dict[str, Split], batch_size: int, num_epochs: int, lr: float, device: torch.device, seed: int):
    """The model after the last epoch, and a list with a dict of figures for each epoch."""
    torch.manual_seed(seed)
    model = DeepfakeMLP()
    fit_standardisation(model, splits["train"])
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    features, rows = splits["train"].features, torch.from_numpy(splits["train"].rows)
    labels = torch.from_numpy(splits["train"].labels).float()
    if 4 * fe.N_FEATURES * len(rows) < free_memory(device) / 2:  # else they stay on the disk, memory-mapped
        features, labels, rows = features[rows].to(device), labels.to(device), torch.arange(len(rows), device=device)

    history = []
    with tqdm(range(1, num_epochs + 1), desc="training", unit="epoch", disable=None) as epochs:
        for epoch in epochs:
            record = {"epoch": epoch, "loss": train_epoch(model, optimizer, features, labels, rows, batch_size)}
            for name in ("train", "val"):
                scores = score_frames(model, splits[name])
                if not np.isfinite([record["loss"], *scores]).all():
                    raise fe.InputError(f"after epoch {epoch} the loss or a score is not a number: lower --lr ({lr:g})")
                unit, metrics = next(iter(evaluate(splits[name], scores).items()))
                record |= {f"{name}_accuracy": metrics["accuracy"], f"{name}_eer": metrics["eer"]}
            history.append(record)
            epochs.write(
                f"epoch {epoch:>3}/{num_epochs}   loss {record['loss']:.4f}   validation {unit}:   "
                f"accuracy {percent(record['val_accuracy']):>7}   EER {percent(record['val_eer']):>7}",
                file=sys.stdout,
            )
    return model, history


# --- Tables and pictures --------------------------------------------------------------------------


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def results_table(results: dict[str, dict]) -> str:
    """Accuracy, EER and AUC of each split, per video and per frame, each with its n."""
    lines = [f"{'':<22}" + "".join(f"{TITLES[split]:>26}" for split in results)]
    for unit in results["train"]:
        columns = [metrics[unit] for metrics in results.values() if unit in metrics]
        for name, key in (("Accuracy at 0.5", "accuracy"), ("EER", "eer"), ("AUC", "auc")):
            cells = [f"{percent(column[key])}  (n = {column['n']})" for column in columns]
            lines.append(f"{name:<16}{unit:<6}" + "".join(f"{cell:>26}" for cell in cells))
        cells = [f"{column['n'] - column['n_fake']} real, {column['n_fake']} fake" for column in columns]
        lines.append(f"{'':<16}{unit:<6}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def pick_samples(split: Split, seed: int, per_class: int = 4) -> np.ndarray:
    """Indices of some of a split's frames: the middle one of a few videos of each class, drawn at random."""
    rng = np.random.default_rng(seed)
    index, labels, _ = split.video_scores(split.labels)
    chosen = [np.sort(rng.permutation(index[labels == label])[:per_class]) for label in (0, 1)]
    frames = [np.flatnonzero(split.video == video) for video in np.concatenate(chosen)]
    return np.array([rows[len(rows) // 2] for rows in frames])


def samples_table(split: Split, scores: np.ndarray, samples: np.ndarray) -> str:
    names = [split.videos[split.video[i]]["video"] for i in samples]
    width = max(map(len, names))
    lines = [f"{'Video':<{width}}  Frame  Truth  Prediction  Probability of fake"]
    for name, i in zip(names, samples, strict=True):
        truth, prediction = fe.CLASSES[split.labels[i]], fe.CLASSES[int(scores[i] >= 0.5)]
        lines.append(f"{name:<{width}}  {split.number[i]:>5}  {truth:<5}  {prediction:<10}  {percent(scores[i]):>7}")
    return "\n".join(lines)


def save_figure(figure: Figure, path: Path) -> None:
    with fe.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def plot_curves(history: list[dict], results: dict, path: Path) -> None:
    figure = Figure((12, 3.6), layout="constrained")
    loss, accuracy, eer = figure.subplots(1, 3)
    epochs = [record["epoch"] for record in history]
    loss.plot(epochs, [record["loss"] for record in history], color=COLOURS["train"], marker=".")
    loss.set(title="Training loss", xlabel="epoch", ylabel="binary cross-entropy")
    unit = next(iter(results["train"]))
    for axes, key, title in ((accuracy, "accuracy", f"Accuracy of {unit} at 0.5"), (eer, "eer", f"EER of {unit}")):
        for split, marker in (("train", "."), ("val", "s")):
            values = [100 * np.array(record[f"{split}_{key}"], float) for record in history]  # None becomes NaN
            label = f"{TITLES[split]} (n = {results[split][unit]['n']})"
            axes.plot(epochs, values, color=COLOURS[split], marker=marker, markersize=4, label=label)
        axes.set(title=title, xlabel="epoch", ylabel="%", ylim=(-2, 102))
        axes.legend()
    save_figure(figure, path)


def plot_roc(splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path) -> None:
    figure = Figure((5.6, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 100), (100, 0), color="0.7", linewidth=1, linestyle=":")
    axes.annotate("FPR = FNR", (50, 50), (52, 51), color="0.4", fontsize=8)
    unit = next(iter(results["train"]))
    for name, split in splits.items():
        metrics = results[name][unit]
        if metrics["eer"] is None:  # one class alone has no ROC
            continue
        fpr, tpr, _ = roc_curve(*split.units(scores[name])[unit], drop_intermediate=False)
        figures = f"AUC {percent(metrics['auc'])}, EER {percent(metrics['eer'])}, n = {metrics['n']}"
        axes.plot(100 * fpr, 100 * tpr, color=COLOURS[name], label=f"{TITLES[name]}: {figures}")
        axes.plot(100 * metrics["eer"], 100 - 100 * metrics["eer"], "o", color=COLOURS[name], clip_on=False)
    axes.set(xlabel="real called fake (FPR), %", ylabel="fake called fake (1 - FNR), %", title=f"ROC of {unit}")
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, path)


def plot_samples(split: Split, scores: np.ndarray, samples: np.ndarray, path: Path) -> None:
    """The sample frames as the network sees them, read again from the videos. Raises fe.InputError where that fails."""
    if not {"videos_dir", "frames_per_video", "frame_choice"} <= split.extraction.keys() or not split.known:
        raise fe.InputError("which videos the features are of is not known")
    figure = Figure((11, 6.6), layout="constrained")
    grid = figure.subplots(2, np.bincount(split.labels[samples]).max(), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], frame_on=False)
    free = [list(row) for row in grid]  # real above, fake below
    for i in samples:
        name, truth, prediction = split.videos[split.video[i]]["video"], split.labels[i], int(scores[i] >= 0.5)
        try:
            file = Path(split.extraction["videos_dir"], name)
            sampled = fe.read_frames(
                file, split.extraction["frames_per_video"], fe.resize_frame, split.extraction["frame_choice"]
            )
            frame = sampled.frames[sampled.numbers.tolist().index(split.number[i])]
        except fe.InputError as error:
            raise fe.InputError(f"{file}: {error}") from error
        except ValueError:
            raise fe.InputError(f"{file} has changed since its features were extracted") from None
        axes = free[truth].pop(0)
        axes.imshow(frame.permute(1, 2, 0).numpy())
        axes.set_title(
            f"{name if len(name) < 40 else '…' + name[-38:]}\n"  # what fits above a picture
            f"frame {split.number[i]}, truth: {fe.CLASSES[truth]}, prediction: {fe.CLASSES[prediction]}\n"
            f"probability of fake: {percent(scores[i])}",
            color="black" if prediction == truth else COLOURS["val"],
            fontsize=8,
        )
    save_figure(figure, path)


# --- Scoring new videos ---------------------------------------------------------------------------


def load_checkpoint(path: str | os.PathLike) -> tuple[DeepfakeMLP, dict]:
    """The model, and how its features were made. Raises fe.InputError for a file that is not such a checkpoint."""
    checkpoint = fe.load_torch_file(path, "a checkpoint of deepfake_detection_model.py")
    model = DeepfakeMLP()
    try:
        model.load_state_dict(checkpoint["model"], strict=True)
        extraction = checkpoint["extraction"]
        if not extraction:
            raise fe.InputError(f"{path} was trained on features without extraction.json: how to make them is unknown")
        (
            extraction["weights"]["name"],
            extraction["weights"]["sha256"],
            extraction["frames_per_video"] + 1,
            extraction["frame_choice"],
        )
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise fe.InputError(f"{path} is not a checkpoint of deepfake_detection_model.py") from error
    return model.eval(), extraction


def predict_videos(
    paths: Iterable,
    checkpoint: str | os.PathLike = "results/model.pt",
    device: str = "auto",
    num_workers: int = 1,
    threads: int = 1,
) -> Iterator[dict]:
    """Score video files with a checkpoint, with the weights and the sampling it was trained on.

    Yields {"video", "score", "prediction", "frames", "reason"} for each path, in order; `score` is the probability
    of fake and `prediction` "real" or "fake" at 0.5. Where a file cannot be scored `score` is None, `prediction`
    "no decision" and `reason` says why. Raises fe.InputError where the checkpoint or its backbone cannot be used.
    """
    model, extraction = load_checkpoint(checkpoint)
    expected = extraction["weights"]
    backbone, weights = fe.load_backbone(expected["name"], fe.pick_device(device))
    if weights["sha256"] != expected["sha256"]:
        raise fe.InputError(f"{checkpoint} was trained on features of other weights than {expected['name']} is here")
    if expected["name"] == "random":
        print("WARNING: the backbone of this checkpoint is UNTRAINED")

    def predict(path) -> dict:
        row = {"video": fe.printable(path), "score": None, "prediction": "no decision", "frames": 0, "reason": ""}
        try:
            features, _ = fe.extract_video(Path(path), backbone, extraction, threads)
        except (fe.InputError, OSError) as error:
            return row | {"reason": str(error)}
        score = float(model.score(torch.from_numpy(features)).mean())
        return row | {"score": score, "prediction": fe.CLASSES[int(score >= 0.5)], "frames": len(features)}

    yield from fe.map_threads(predict, paths, num_workers)


def print_predictions(paths: list[str], checkpoint: Path, device: str, csv_file: Path) -> None:
    """The table and the CSV of --predict."""
    files: list[Path] = []
    for path in map(Path, paths):
        found = fe.list_video_files(path) if path.is_dir() else [path]
        if not found or not path.exists():
            raise fe.InputError(f"--predict {path}: " + ("no such file" if found else "no videos in this folder"))
        files += found
    cores = fe.count_cores()
    with closing(predict_videos(files, checkpoint, device, cores, max(1, cores // len(files)))) as results:
        rows = list(tqdm(results, total=len(files), unit="video", desc="predicting", disable=None))
    width = max(5, *(len(row["video"]) for row in rows))
    print(f"{'Video':<{width}}  Frames  Prediction   Probability of fake")
    for row in rows:
        probability = row["reason"] or f"{percent(row['score']):>7}"
        print(f"{row['video']:<{width}}  {row['frames']:>6}  {row['prediction']:<11}  {probability}")
    csv_file.parent.mkdir(parents=True, exist_ok=True)
    with fe.replacing(csv_file) as path:
        fe.write_csv(path, ("video", "score", "prediction", "frames", "reason"), rows)
    print(f"\nWritten    {csv_file}")
    if not any(row["frames"] for row in rows):
        raise fe.InputError(f"none of the {len(rows)} videos could be scored: the table says why")


# --- The run --------------------------------------------------------------------------------------


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
    add(
        "--split-unit",
        choices=("group", "video", "frame"),
        default="group",
        help=f"to hold out; the others leak {default}",
    )
    add("--test-features-file", type=Path, help="if not test_features.npy beside the training features")
    add("--test-labels-file", type=Path, help="if not test_labels.npy beside them")
    # training
    add("--batch-size", type=int, default=16, help=f"frames {default}")
    add("--num-epochs", type=int, default=25, help=f"the weights after the last one are kept {default}")
    add("--lr", type=float, default=1e-5, help=f"learning rate of Adam {default}")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"auto is cuda where there is one {default}")
    add("--seed", type=int, default=0, help=f"of the split, the weights, the order and the dropout {default}")
    # what to write
    add("--output-dir", type=Path, default="results", help=f"where to write {default}")
    # scoring videos instead of training
    add("--predict", nargs="+", metavar="PATH", help="score these videos or folders instead of training")
    add("--checkpoint", type=Path, help="for --predict, if not model.pt in --output-dir")
    args = parser.parse_args(argv)
    if not 0 < args.val_fraction < 1:
        parser.error(f"--val-fraction is {args.val_fraction}, expected a fraction between 0 and 1")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed is {args.seed}, expected 0 to {2**32 - 1}")
    if args.checkpoint and not args.predict:
        parser.error("--checkpoint goes with --predict: training writes a new one")
    for name in ("val", "test"):
        if getattr(args, f"{name}_labels_file") and not getattr(args, f"{name}_features_file"):
            parser.error(f"--{name}-labels-file needs --{name}-features-file")
    for flag, value in (("--batch-size", args.batch_size), ("--num-epochs", args.num_epochs), ("--lr", args.lr)):
        if not value > 0:
            parser.error(f"{flag} is {value}, expected more than 0")

    fe.quiet_decoder()
    output = args.output_dir
    if args.predict:
        print_predictions(args.predict, args.checkpoint or output / "model.pt", args.device, output / "predict.csv")
        return

    device = fe.pick_device(args.device)
    splits = {"train": load_split(args.train_features_file, args.train_labels_file)}
    n_real, n_fake = np.bincount(splits["train"].labels, minlength=2)
    if 0 in (n_real, n_fake):
        raise fe.InputError(f"{args.train_features_file} has {n_real} real and {n_fake} fake frames: both are needed")
    for name in ("val", "test"):
        path = getattr(args, f"{name}_features_file")
        beside = args.train_features_file.with_name(f"{name}_features.npy")
        if path or beside.is_file():
            splits[name] = load_split(path or beside, getattr(args, f"{name}_labels_file"))
    split_by, extraction, allowed = "as extracted", splits["train"].extraction, set()
    if extraction.get("layout") == "Celeb-DF":  # its official test list shares people with what is left to train on
        allowed = {(pair, name) for pair in ("train-test", "val-test") for name in ("group", "clip")}
    if "val" not in splits:
        splits["train"], splits["val"] = hold_out(splits["train"], args.val_fraction, args.seed, args.split_unit)
        split_by = (
            f"{percent(len(splits['val'].rows) / (n_real + n_fake))} of the frames held out, by {args.split_unit}"
        )
        shared = {"group": (), "video": ("group", "clip"), "frame": ("group", "clip", "video")}[args.split_unit]
        allowed |= {("train-val", name) for name in shared}
    elif args.split_unit != "group":
        raise fe.InputError(
            f"--split-unit {args.split_unit}: there is a file of validation features, which is used as it is"
        )
    all_known = all(split.known for split in splits.values())
    splits = {name: replace(splits[name], known=all_known) for name in fe.SPLITS if name in splits}
    check_same_extraction(splits)
    leaks = audit_leaks(splits, allowed) if all_known else {}
    shortcuts = audit_shortcuts(splits["val"]) if all_known else {}
    output.mkdir(parents=True, exist_ok=True)  # before the training: it may not be possible

    weights = extraction.get("weights", {}).get("name", "unknown")
    drawn = " (the drawn sample set)" if extraction.get("sample") else ""
    print(f"Features   {args.train_features_file}, of {extraction.get('videos_dir', 'unknown videos')}{drawn}")
    print(f"Backbone   ResNet-18, weights: {weights}")
    if weights == "random":
        print("WARNING: the backbone is UNTRAINED: these figures say nothing about ImageNet features")
    for name, split in splits.items():
        units = {unit: labels for unit, (labels, _) in split.units(split.labels).items()}
        counts = [f"{len(y) - y.sum()} real and {y.sum()} fake {unit}" for unit, y in units.items()]
        groups = f", {len(split.names('group'))} groups" if split.known else ""
        print(f"{TITLES[name]:<14} {', '.join(counts)}{groups}")
    print(f"Split      {split_by}")
    for pair, shared in leaks.items():
        print(f"Leak audit {pair} share " + ", ".join(f"{n} {name}" for name, n in shared.items()))
    if any(n for shared in leaks.values() for n in shared.values()):
        print("WARNING: the splits share what they should not: the figures are NOT THOSE OF UNSEEN PEOPLE")
    if not all_known:
        print("WARNING: without <split>_frames.npy and <split>_videos.csv nobody knows which frames are of one video:")
        print("WARNING: they may be in training AND validation, which INFLATES the validation figures")
    print(f"Settings   batch size {args.batch_size}, {args.num_epochs} epochs, lr {args.lr:g}, seed {args.seed}")
    print(f"Device     {device}, torch {torch.__version__}\n", flush=True)

    model, history = train(splits, args.batch_size, args.num_epochs, args.lr, device, args.seed)
    scores = {name: score_frames(model, split) for name, split in splits.items()}
    results = {name: evaluate(split, scores[name]) for name, split in splits.items()}
    samples = pick_samples(splits["val"], args.seed)
    print(f"\n{results_table(results)}\n\n{samples_table(splits['val'], scores['val'], samples)}\n")

    auc = results["val"].get("videos", {}).get("auc")
    if shortcuts:
        table = ", ".join(f"{name} {percent(value)}" for name, value in shortcuts.items())
        print(f"Shortcut audit, AUC of one column alone on validation: {table}")
        if strong := [name for name, value in shortcuts.items() if value > min(0.75, auc)]:
            print(f"WARNING: {', '.join(strong)} alone: an AUC above 75 % or above the model's own, {percent(auc)}:")
            print("WARNING: the data gives the label away, and the result means little")

    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    versions = fe.package_versions() | {"scikit-learn": sklearn.__version__, "matplotlib": matplotlib.__version__}
    report = {"settings": settings, "versions": versions, "device": str(device), "extraction": extraction}
    with fe.replacing(output / "model.pt") as path:
        thresholds = {"default": 0.5, "val_eer": next(iter(results["val"].values()))["eer_threshold"]}
        torch.save({"model": model.cpu().state_dict(), "thresholds": thresholds} | report, path)
    with fe.replacing(output / "metrics.json") as path:
        report |= {
            "split": {"by": split_by, "shared": leaks, "shortcuts": shortcuts},
            "splits": results,
            "history": history,
        }
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    rows = [
        {
            "split": name,
            "video": split.videos[i]["video"],
            "label": label,
            "score": score,
            "prediction": int(score >= 0.5),
        }
        for name, split in splits.items()
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True)
    ]
    with fe.replacing(output / "predictions.csv") as path:
        fe.write_csv(path, rows[0], rows)
    plot_curves(history, results, output / "training_curves.png")
    plot_roc(splits, scores, results, output / "roc.png")
    pictures = "training_curves.png, roc.png"
    try:
        plot_samples(splits["val"], scores["val"], samples, output / "sample_frames.png")
        pictures += ", sample_frames.png"
    except fe.InputError as error:
        (output / "sample_frames.png").unlink(missing_ok=True)  # an earlier run's would be taken for this one's
        print(f"sample_frames.png is not drawn: {error}")
    print(f"Written    {output}: model.pt, metrics.json, predictions.csv, {pictures}")


if __name__ == "__main__":
    try:
        main()
    except (fe.InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
