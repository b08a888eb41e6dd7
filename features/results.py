"""The files in results/: predictions, the list of runs, which checkpoint is meant."""

import csv
import os
import time
from contextlib import suppress
from pathlib import Path

from data.files import InputError, protect, read_json, replacing, write_csv
from data.frames import Extraction
from data.layouts import CLASSES
from features.compare import describe_change
from features.splits import Split

TABLES = ("metrics.json", "predictions.csv")
PICTURES = (
    "training_curves.png",
    "roc.png",
    "scores.png",
    "features.png",
    "sample_frames.png",
)
CHANGE_THE_MODEL = (  # of the parameters of a training
    "train_features_file",
    "train_labels_file",
    "val_features_file",
    "test_features_file",
    "val_fraction",
    "split_unit",
    "batch_size",
    "num_epochs",
    "lr",
    "class_balance",
    "select",
    "seed",
    "seeds",
)


def default_folder(features_file: Path) -> Path:
    """results/<name of the folder of the features>."""
    return Path("results", Path(os.path.abspath(features_file)).parent.name)


def prediction_words(score: float, threshold: float) -> dict[str, str]:
    """What a score is called at 0.5 and at T; a score of exactly the threshold is called fake."""
    return {"at_0.5": CLASSES[int(score >= 0.5)], "at_T": CLASSES[int(score >= threshold)]}


def write_predictions(path: Path, splits: dict[str, Split], scores: dict, threshold: float) -> None:
    """predictions.csv: a line a video."""
    rows = []
    for name, split in splits.items():
        for i, label, score in zip(*split.video_scores(scores[name]), strict=True):
            row = {"split": name, "video": split.name(i), "label": CLASSES[label], "score": score}
            rows.append(row | prediction_words(score, threshold))
    with replacing(path) as temporary:
        write_csv(temporary, rows[0], rows)


def append_run(
    path: Path, features_file: Path, changed: dict, seed: int, results: dict[str, dict]
) -> None:
    """Add a line to runs.csv, so that runs can be compared; `changed` are settings not default."""
    row = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "features": str(features_file),
        "settings": " ".join(f"{name}={value}" for name, value in changed.items()),
        "seed": seed,
    }
    for split in ("val", "test"):
        result = results.get(split, {})
        metrics = result.get("videos") or result.get("frames") or {}
        for key in ("n", "accuracy", "eer", "auc"):
            row[f"{split}_{key}"] = metrics.get(key)
    try:
        is_new = not path.is_file() or not path.stat().st_size
        if not is_new and path.read_text(encoding="utf-8").split("\n")[0] != ",".join(row):
            print(f"WARNING: {path} gets no line: it has other columns")
            return
        with open(path, "a", newline="", encoding="utf-8") as file:  # several runs may write to it
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(protect(row))
    except (OSError, UnicodeDecodeError) as error:  # the results themselves are written already
        print(f"WARNING: {path} gets no line: {error}")


def announce_new_model(output: Path, settings: dict, extraction: Extraction | None) -> None:
    """Say in one line that results of other settings or features are about to be replaced."""
    try:
        report = read_json(output / "metrics.json")
        earlier, features = report["settings"], Extraction.from_dict(report["extraction"])
        differences = []
        for name in CHANGE_THE_MODEL:
            if earlier[name] != settings[name]:
                differences.append(f"{name} {earlier[name]} -> {settings[name]}")
        change = describe_change(features, extraction) if extraction else ""
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        differences, change = ["with unknown settings"], ""
    if differences or change:
        differences += [change] if change else []
        print(f"Replaces   {output}, trained otherwise: {', '.join(differences)}")


def remove_predictions(output: Path) -> None:
    """The files of an earlier --predict."""
    for path in [*output.glob("predict_[0-9][0-9][0-9][0-9]_*.png"), output / "predict.csv"]:
        path.unlink(missing_ok=True)


def remove_results_of_the_earlier_model(output: Path) -> None:
    """Pictures and tables that would be taken for those of the new model; nothing else."""
    remove_predictions(output)
    for folder in [output, *output.glob("evaluated/*/")]:
        for name in PICTURES if folder == output else (*PICTURES, *TABLES):
            (folder / name).unlink(missing_ok=True)
    for folder in (*output.glob("evaluated/*/"), output / "evaluated"):
        with suppress(OSError):  # somebody else's files are in it, or there is no such folder
            folder.rmdir()


def find_checkpoint(checkpoint: Path | None, output_dir: Path | None) -> Path:
    """The checkpoint to use: the one that is named, else the only one in results/."""
    if checkpoint or output_dir:
        return checkpoint or output_dir / "model.pt"
    models = sorted(Path("results").glob("*/model.pt"))
    if not models:
        raise InputError(
            "there is no results/*/model.pt: train a model first, or give --checkpoint"
        )
    if len(models) > 1:
        names = ", ".join(map(str, models))
        raise InputError(f"there are several models, say which with --checkpoint: {names}")
    return models[0]


def folder_of_set(features_file: Path, parent: Path) -> Path:
    """A folder for the results of a features file, `other_test`: a new one, or its own."""
    file = Path(os.path.abspath(features_file))
    name = f"{file.parent.name}_{file.name.removesuffix('features.npy').strip('_') or 'all'}"
    for folder in (parent / name, *(parent / f"{name}_{i}" for i in range(2, 10_000))):
        try:
            if read_json(folder / "metrics.json").get("features") == str(file):
                break
        except (OSError, InputError):
            if not folder.exists():
                break
    return folder
