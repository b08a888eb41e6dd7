"""A run, which is what a training gives, and the files in results/ that it leaves."""

import csv
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from sklearn.metrics import roc_curve
from torch import nn

from data.files import InputError, read_json, write_csv, write_json
from data.words import CLASSES
from features.checkpoint import save_checkpoint
from features.dataset import Split, name_set
from features.divide import Division
from features.extraction import package_versions
from features.originals import ORIGINALS_COLUMNS
from features.resnet18 import hash_weights
from features.text import verdict

ROC_COLUMNS = ("split", "threshold", "fpr", "tpr")
RUN_SETTINGS = ("num_epochs", "lr", "batch_size", "select", "video_score", "max_fpr", "no_match")
PICTURES = ("training_curves", "roc", "scores", "features", "sample_frames", "originals", "methods")


@dataclass
class Run:
    """One training with its results."""

    seed: int
    division: Division  # the splits that it worked on, and how they came about
    model: nn.Module
    epoch: int  # which the weights are of
    history: list[dict]  # figures of each epoch
    scores: dict[str, np.ndarray]  # of the frames of each split, and of what was left out
    threshold: float  # T
    threshold_from: str
    results: dict[str, dict]  # what evaluate gives for each split
    half_seen: dict | None = None  # what evaluate gives for what was left out

    @property
    def splits(self) -> dict[str, Split]:
        return self.division.splits


# --- Which folder, which checkpoint ---


def pick_output(output_dir: Path | None, features_files: list[Path]) -> Path:
    """The folder to write to: the one that is named, or results/<name of the features folder>.

    Of several sets it has all names. Raises InputError if it holds results of other features files.
    """
    if output_dir:
        return output_dir
    files = " + ".join(map(os.path.relpath, features_files))  # as metrics.json has them
    folder = Path("results", "+".join(map(name_set, features_files)))
    earlier = files
    with suppress(FileNotFoundError, InputError, LookupError, TypeError):  # of another version
        earlier = read_json(folder / "metrics.json")["settings"]["train_features_file"]
    if earlier != files:
        found = f"{folder} holds results of {earlier}"
        raise InputError(f"{found}: name another folder, or this one, with --output-dir")
    return folder


def find_checkpoint(checkpoint: Path | None, output_dir: Path | None) -> Path:
    """The checkpoint to use: what is named, else that in output_dir, else the only one there is."""
    if checkpoint:
        return checkpoint
    if output_dir and (output_dir / "model.pt").is_file():
        return output_dir / "model.pt"
    models = sorted(Path("results").glob("*/model.pt"))
    if not models:
        found = "there is no results/*/model.pt"
        raise InputError(f"{found}: train a model first, or give --checkpoint")
    if len(models) > 1:
        names = ", ".join(map(str, models))
        raise InputError(f"there are several models, say which with --checkpoint: {names}")
    return models[0]


# --- Tables of one model ---


def prediction_words(score: float, threshold: float) -> dict[str, str]:
    """What a score is called at 0.5 and at T."""
    return {"at_0.5": verdict(score), "at_T": verdict(score, threshold)}


def list_predictions(
    seed: int, splits: dict[str, Split], scores: dict[str, np.ndarray], threshold: float
) -> list[dict]:
    """The rows of predictions.csv of one model: a row a video."""
    rows = []
    for name, split in splits.items():
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True):
            row = {"seed": seed, "split": name, "video": split.name(i), "label": CLASSES[label]}
            row |= {"method": split.method(i), "group": split.group(i), "people": split.people(i)}
            row |= {"fingerprint": split.fingerprint(i), "score": score}
            rows.append(row | prediction_words(score, threshold))
    return rows


def list_roc(splits: dict[str, Split], scores: dict[str, np.ndarray]) -> list[dict]:
    """The rows of roc.csv: the points of the ROC of each split that has both classes."""
    rows = []
    for name, split in splits.items():
        _, labels, values = split.video_scores(scores[name])
        if labels.min() == labels.max():
            continue
        for fpr, tpr, threshold in zip(*roc_curve(labels, values), strict=True):
            rows.append({"split": name, "threshold": threshold, "fpr": fpr, "tpr": tpr})
    return rows


# --- The files of a run ---


def make_report(run: Run, settings: dict, device: torch.device, code: str) -> dict:
    """What metrics.json and the checkpoint both hold; `code` is a hash of that of the model."""
    extraction = run.splits["train"].extraction
    versions = {"scikit-learn": sklearn.__version__, "matplotlib": matplotlib.__version__}
    n_parameters = sum(weights.numel() for weights in run.model.parameters())
    thresholds = {"default": 0.5, "used": run.threshold, "from": run.threshold_from}
    return {
        "sha256": hash_weights(run.model.cpu()),
        "network": {"parameters": n_parameters, "code": code},
        "settings": settings,
        "versions": package_versions() | versions,
        "device": str(device),
        "epoch": run.epoch,
        "extraction": extraction and asdict(extraction.without_paths()),
        "thresholds": thresholds | {"max_fpr": settings["max_fpr"]},
    }


def write_run(
    output: Path, runs: list[Run], report: dict, trained_on: dict, matches: list[dict]
) -> list[str]:
    """Write the model of the first run and the tables; their names.

    `trained_on` is what audit.describe_training gives, `matches` the rows of originals.csv.
    """
    run = runs[0]
    for name in ("methods.csv", *(f"{picture}.png" for picture in PICTURES)):  # of an earlier model
        (output / name).unlink(missing_ok=True)
    save_checkpoint(output / "model.pt", run.model, report, trained_on, run.results["val"])
    seeds, predictions = [], []
    for each in runs:
        figures = {"seed": each.seed, "splits": each.results, "left_out": each.half_seen}
        seeds.append(figures | {"history": each.history})
        splits = each.splits | each.division.left_out
        predictions += list_predictions(each.seed, splits, each.scores, each.threshold)
    report = report | seeds[0]
    if len(runs) > 1:
        of_seeds = zip(seeds, runs, strict=True)
        report["seeds"] = [figures | {"split": each.division.report} for figures, each in of_seeds]
    write_json(output / "metrics.json", report)
    write_csv(output / "predictions.csv", predictions[0], predictions)
    write_csv(output / "roc.csv", ROC_COLUMNS, list_roc(run.splits, run.scores))
    write_csv(output / "originals.csv", ORIGINALS_COLUMNS, matches)
    return ["model.pt", "metrics.json", "predictions.csv", "roc.csv", "originals.csv"]


def name_seed(runs: list[Run]) -> str:
    """Which seed the model in a results folder is of."""
    return f"seed {runs[0].seed}" + (f", the first of {len(runs)}" if len(runs) > 1 else "")


def describe_run(report: dict) -> dict:
    """How a run was made, for runs.csv: what differs between two runs must tell them apart.

    `report` is what metrics.json holds. A cell is empty where nothing was held out, or where it is
    not known how the features were made.
    """
    settings, unit = report["settings"], report["split"]["unit"]
    extraction = report["extraction"] or {"weights": {}, "sampling": {}}
    weights, sampling = extraction["weights"], extraction["sampling"]
    row = {"features": settings["train_features_file"], "labels": settings["train_labels_file"]}
    row |= {name: settings[f"{name}_file"] for name in ("val_features", "test_features")}
    row |= {"features_code": extraction.get("code"), "weights": weights.get("name")}
    row["weights_sha256"] = weights.get("sha256", "")[:8]
    for name in ("face_margin", "if_no_face", "frames_per_video", "frame_step"):
        row[name] = sampling.get(name)
    row |= {"parameters": report["network"]["parameters"], "model_code": report["network"]["code"]}
    row |= {name: settings[name] for name in RUN_SETTINGS}
    row["split_unit"], parts = unit, report["split"].get("parts", ())
    fractions = {f"{name}_fraction": name for name in ("val", "test")}
    return row | {key: settings[key] if fractions[key] in parts else None for key in fractions}


def append_run(path: Path, report: dict, run: Run) -> None:
    """Add a line to runs.csv, so that runs can be compared."""
    row = {"time": time.strftime("%Y-%m-%d %H:%M:%S"), "seed": run.seed}
    row |= describe_run(report | {"split": run.division.report})
    for split in ("val", "test"):
        metrics = run.results.get(split, {}).get("videos", {})
        row[f"{split}_of"] = metrics.get("of")
        for key in ("n", "accuracy", "eer", "auc"):
            value = metrics.get(key)
            row[f"{split}_{key}"] = value if value is None else round(value, 6)
    try:
        header = path.read_text(encoding="utf-8").partition("\n")[0] if path.is_file() else ""
        if header and header != ",".join(row):
            print(f"WARNING: {path} gets no line: it has other columns; rename it for a new one")
            return
        with open(path, "a", newline="", encoding="utf-8") as file:  # several runs may write to it
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if not header:
                writer.writeheader()
            writer.writerow(row)
    except (OSError, UnicodeDecodeError) as error:  # the results themselves are written already
        print(f"WARNING: {path} gets no line: {error}")
