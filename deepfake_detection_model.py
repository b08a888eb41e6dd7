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
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from data.decode import quiet_decoder
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import InputError, load_torch_file, printable, replacing, write_csv
from data.layouts import CLASSES, SPLITS, list_video_files
from features.machine import count_cores, free_memory, leave, map_threads, package_versions, pick_device
from features.metrics import bootstrap_intervals, compute_metrics, percent
from features.pictures import plot_prediction, plot_samples
from features.plots import TITLES, format_figure, plot_curves, plot_features, plot_roc, plot_scores
from features.resnet18 import N_FEATURES, extract_video, load_backbone
from features.splits import CHUNK, Split, audit_shortcuts, check_same_extraction, divide, load_split


class DeepfakeMLP(nn.Module):
    """1000 -> 512 -> 256 -> 1 with LeakyReLU and dropout. 644,097 parameters.

    The features are standardised inside; the training part's mean and deviation travel in the state dict as buffers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("deviation", torch.ones(N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, 512),
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


def fit_standardisation(model: DeepfakeMLP, split: Split) -> None:
    """Set the model's mean and deviation to those of the split's frames; constant columns are left as they are."""
    scaler = StandardScaler()
    for rows in np.array_split(split.rows, max(1, len(split.rows) // CHUNK)):
        scaler.partial_fit(split.features[rows].numpy().astype(np.float64))
    model.mean.copy_(torch.from_numpy(scaler.mean_))
    model.deviation.copy_(torch.from_numpy(scaler.scale_))


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
    if 4 * N_FEATURES * len(rows) < free_memory(device) / 2:  # else they stay on the disk, memory-mapped
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
                    raise InputError(f"after epoch {epoch} the loss or a score is not a number: lower --lr ({lr:g})")
                unit, *values = splits[name].by_unit(scores)
                metrics = compute_metrics(*values)
                record |= {f"{name}_{key}": metrics[key] for key in ("accuracy", "eer", "log_loss")}
            history.append(record)
            if select == "best" and record["val_eer"] is None:
                raise InputError("--select best needs both classes in the validation split")
            if select == "best" and (not kept or record["val_eer"] < kept["val_eer"]):
                kept = record | {"weights": copy.deepcopy(model.state_dict())}
            figures = f"accuracy {percent(record['val_accuracy']):>7}   EER {percent(record['val_eer']):>7}"
            line = f"epoch {epoch:>3}/{num_epochs}   loss {loss:.4f}   validation {unit}:   {figures}"
            epochs.write(line, file=sys.stdout)
    if kept:
        model.load_state_dict(kept["weights"])
    return model, (kept or record)["epoch"], history


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
            prediction = CLASSES[int(scores[i] >= 0.5)]
            name = split.videos[video]["video"]
            samples.append((name, split.number[i], CLASSES[label], prediction, percent(scores[i])))
    return samples


def load_checkpoint(path: str | os.PathLike) -> tuple[DeepfakeMLP, dict]:
    """The model, and what else the checkpoint holds. Raises InputError for a file that is not such a checkpoint."""
    checkpoint = load_torch_file(path, "a checkpoint of deepfake_detection_model.py")
    model = DeepfakeMLP()
    try:
        model.load_state_dict(checkpoint["model"], strict=True)
        extraction, threshold = checkpoint["extraction"], checkpoint["thresholds"]["used"]
        if not extraction:
            raise InputError(f"{path} was trained on features without extraction.json: how to make them is unknown")
        extraction["weights"]["name"], extraction["weights"]["sha256"]
        extraction["frames_per_video"] + 1, threshold + 1.0, checkpoint["seen"]["video"]
        if (crop := extraction.get("crop", "none")) != "none":
            crop["detector_sha256"], crop["margin"] + 1.0, crop["no_face"]
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a checkpoint of deepfake_detection_model.py") from error
    return model.eval(), checkpoint


def print_checkpoint(path: Path, checkpoint: dict) -> None:
    print(f"Checkpoint {path}")
    print_features(checkpoint["extraction"])
    print(f"Threshold  T = {checkpoint['thresholds']['used']:.4f}, {checkpoint['thresholds'].get('from')}")
    print("Score      the probability of fake, as far as that data goes: it proves nothing about a single video\n")


def evaluate_files(files: list[Path], checkpoint_file: Path, device: str, output: Path) -> None:
    """--evaluate: the table of extracted features of other data, with a checkpoint and its threshold."""
    model, checkpoint = load_checkpoint(checkpoint_file)
    model.to(pick_device(device))
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
    with replacing(output / "evaluate.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"Written    {output / 'evaluate.json'}")


def predict_videos(
    paths: Iterable, checkpoint: str | os.PathLike = "results/model.pt", device: str = "auto", num_workers: int = 1
) -> Iterator[dict]:
    """Score video files with a checkpoint, with the weights and the sampling it was trained on.

    The iterator gives for each path, in order, a dict with "path", "video", "score": the probability of fake,
    "prediction": real or fake at the checkpoint's threshold, "frames": how many, "spread": the standard deviation of
    their scores, "reason", "numbers" (n,) and "scores" (n,): of the frames. Where a file cannot be scored the score is
    None, the prediction "no decision", and the reason says why. Raises InputError where the checkpoint, its backbone
    or its face detector cannot be used.
    """
    model, saved = load_checkpoint(checkpoint)
    extraction, threshold = saved["extraction"], saved["thresholds"]["used"]
    expected = extraction["weights"]
    backbone, weights = load_backbone(expected["name"], pick_device(device))
    if weights["sha256"] != expected["sha256"]:
        raise InputError(f"{checkpoint} was trained on features of other weights than {expected['name']} is here")
    if (crop := extraction.get("crop", "none")) != "none":
        load_face_detector()  # if it cannot be had, one error says so, and not each video
        if crop["detector_sha256"] != FACE_MODEL_SHA256:
            raise InputError(f"{checkpoint} was trained on faces that another detector found than is here")
    threads = max(1, count_cores() // num_workers)  # of the decoder: a single video gets all cores

    def predict(path) -> dict:
        row = {"path": path, "video": printable(path), "score": None, "prediction": "no decision", "frames": 0}
        row |= {"spread": None, "reason": "", "numbers": [], "scores": []}
        try:
            features, sampled = extract_video(Path(path), backbone, extraction, threads)
        except InputError as error:
            return row | {"reason": str(error)}
        scores = model.score(torch.from_numpy(features))
        score = float(scores.mean())
        row |= {"score": score, "prediction": CLASSES[int(score >= threshold)], "frames": len(scores)}
        return row | {"spread": float(scores.std()), "numbers": sampled.numbers, "scores": scores}

    return map_threads(predict, paths, num_workers)


def print_predictions(paths: list[str], checkpoint_file: Path, device: str, output: Path, plot: bool) -> None:
    """--predict: a line a video as it comes, on the screen and in predict.csv, which an interrupted run keeps."""
    files: list[Path] = []
    for path in map(Path, paths):
        found = list_video_files(path) if path.is_dir() else [path]
        if not found or not path.exists():
            raise InputError(f"--predict {path}: " + ("no such file" if found else "no videos in this folder"))
        files += found
    checkpoint = load_checkpoint(checkpoint_file)[1]
    results = predict_videos(files, checkpoint_file, device, min(len(files), count_cores()))
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
                    except (InputError, OSError) as error:
                        progress.write(f"{picture} is not drawn: {error}", file=sys.stderr)

        columns = ("video", "score", "prediction", "frames", "spread", "reason")
        write_csv(output / "predict.csv", columns, show_each())
    print(f"\nWritten    {output / 'predict.csv'}" + ", predict_*.png" * plot)
    if not scored:
        raise InputError(f"none of the {len(files)} videos could be scored: the table says why")


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

    quiet_decoder()
    output, checkpoint = args.output_dir, args.checkpoint or args.output_dir / "model.pt"
    if args.predict:
        return print_predictions(args.predict, checkpoint, args.device, output, args.plot)
    if args.evaluate:
        return evaluate_files(args.evaluate, checkpoint, args.device, output)

    device, files = pick_device(args.device), {}
    for name in SPLITS:
        path = getattr(args, f"{name}_features_file")
        beside = args.train_features_file.with_name(f"{name}_features.npy")
        if path or beside.is_file():
            files[name] = load_split(path or beside, getattr(args, f"{name}_labels_file"))
    n_real, n_fake = np.bincount(files["train"].labels, minlength=2)
    if 0 in (n_real, n_fake):
        raise InputError(f"{args.train_features_file} has {n_real} real and {n_fake} fake frames: both are needed")
    if "val" in files and args.split_unit != "group":
        raise InputError(f"--split-unit {args.split_unit}: there is a file of validation features, used as it is")
    all_known = all(split.known for split in files.values())
    files = {name: replace(split, known=all_known) for name, split in files.items()}
    check_same_extraction({name: split.extraction for name, split in files.items()})
    output.mkdir(parents=True, exist_ok=True)  # before the training: it may not be possible

    runs = []
    for seed in range(args.seed, args.seed + args.seeds):
        splits, leaks, split_by = divide(files, args.val_fraction, seed, args.split_unit)
        if args.batch_size > (n := len(splits["train"].rows)):
            raise InputError(f"--batch-size {args.batch_size} is more than the {n} training frames: lower it")
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
    versions = package_versions() | {"scikit-learn": sklearn.__version__, "matplotlib": matplotlib.__version__}
    report = {"settings": settings, "versions": versions, "device": str(device), "epoch": epoch}
    report["extraction"] = splits["train"].extraction
    report["thresholds"] = {"default": 0.5, "used": threshold, "from": origin}
    seen = {name: splits["train"].names(name) | splits["val"].names(name) for name in ("video", "group", "clip")}
    seen = {name: sorted(values) if all_known else [] for name, values in seen.items()}
    checkpoint = io.BytesIO()  # written by us: on a full disk torch.save raises what is no OSError
    torch.save({"model": model.cpu().state_dict(), "seen": seen} | report, checkpoint)
    with replacing(output / "model.pt") as path:
        path.write_bytes(checkpoint.getvalue())
    report["split"] = {"by": split_by, "shared": leaks, "shortcuts": shortcuts}
    report |= runs[0] | ({"seeds": runs} if args.seeds > 1 else {})
    with replacing(output / "metrics.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    rows = []
    for name, split in splits.items():
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True):
            row = {"split": name, "video": split.videos[i]["video"], "label": label, "score": score}
            rows.append(row | {"prediction": int(score >= 0.5)})
    with replacing(output / "predictions.csv") as path:
        write_csv(path, rows[0], rows)

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
        except InputError as error:
            (output / name).unlink(missing_ok=True)  # an earlier run's would be taken for this one's
            print(f"{name} is not drawn: {error}")
    print(f"Written    {output}: {', '.join(written)}")


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        leave("interrupted")
