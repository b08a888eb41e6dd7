"""Figures of other extracted sets with a trained model: what --evaluate does."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import nn

from data.files import InputError, hold_folder, make_folder, read_json, write_csv, write_json
from data.words import SPLITS
from features import screen
from features.audit import share_known
from features.dataset import Split, load_split
from features.extraction import check_alike, describe_extraction
from features.figures import evaluate, list_cells, score_frames
from features.pictures import draw_pictures, pick_samples, plot_samples
from features.plots import plot_roc, plot_scores
from features.results import list_predictions
from features.run import if_interrupted
from features.text import results_table, sets_table, threshold_table

SET_FIGURES = {  # name in evaluated.csv: where the figure stands, its key
    "accuracy_at_T": ("at_threshold", "accuracy"),
    "eer": ("", "eer"),
    "auc": ("", "auc"),
    "fpr_at_T": ("at_threshold", "fpr"),
    "fnr_at_T": ("at_threshold", "fnr"),
}


def set_and_split(features_file: Path) -> tuple[str, str]:
    """What the path of a features file tells, such as `FFbig`, `test`."""
    file = Path(os.path.abspath(features_file))
    return file.parent.name, file.name.removesuffix("features.npy").strip("_") or "all"


def list_features(paths: list[Path]) -> list[Path]:
    """The features files that --evaluate names, and those in its folders.

    Of a folder with a test split all splits but train. Raises InputError for a folder without any.
    """
    files = []
    for path in paths:
        found = [path]
        if not path.exists():
            raise InputError(f"--evaluate {path}: no such file; name features that were extracted")
        if path.is_dir():
            found = [path / f"{split}_features.npy" for split in SPLITS]
            found = [file for file in found if file.is_file()]
            if not found:
                raise InputError(f"--evaluate {path}: no <split>_features.npy in this folder")
            if found[-1].name == "test_features.npy" and len(found) > 1:
                found = [file for file in found if file.name != "train_features.npy"]
            print(f"Evaluates  {path}: {', '.join(file.name for file in found)}")
        files += found
    return files


def evaluate_files(
    paths: list[Path], model: nn.Module, checkpoint: dict, output: Path, pictures: bool
) -> None:
    """Print and write what --evaluate asks for: figures of other extracted sets."""
    files = list_features(paths)
    check_distinct(files)
    screen.print_checkpoint(checkpoint)
    splits = {file: load_split(file) for file in files}
    extractions = {str(file): split.extraction for file, split in splits.items()}
    check_alike({"the model": checkpoint["extraction"]} | extractions)
    names = name_sets(set_and_split(file) for file in files)
    folder = output / "evaluated"
    make_folder(folder, "--output-dir")
    with hold_folder(folder, folder / ".lock"), if_interrupted("the sets above are written"):
        for file, split in splits.items():
            name = names[set_and_split(file)]
            is_shared = screen.may_have_seen(name, split, checkpoint["trained_on"])
            known = share_known(split), checkpoint["split"]["known"]
            whose = screen.whose_intervals(not is_shared, *known)
            evaluate_split(file, name, split, model, checkpoint, folder, pictures, whose)
        reports = gather_evaluated(folder, checkpoint)
        names = name_sets(reports)
        evaluated = {names[key]: report["splits"]["test"] for key, report in reports.items()}
        shared = {names[key] for key, report in reports.items() if report["shared"]}
        print(sets_table(evaluated, shared))
        rows = list_evaluated(reports)
        table = folder / "evaluated.csv"
        write_csv(table, rows[0], rows)
    print(f"\nWritten    {table}")


def name_sets(sets: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """{(set, split): name}: the split is named where there are several of a set."""
    sets = list(sets)
    n_splits = Counter(name for name, _ in sets)
    return {key: ", ".join(key) if n_splits[key[0]] > 1 else key[0] for key in sets}


def gather_evaluated(folder: Path, checkpoint: dict) -> dict[tuple[str, str], dict]:
    """{(set, split): metrics.json} of what this model has scored; that of other models is named."""
    found, others = {}, []
    for file in sorted(folder.glob("*/metrics.json")):
        report = read_json(file)
        same = report.get("thresholds", {}).get("used") == checkpoint["thresholds"]["used"]
        if same and report.get("sha256") == checkpoint["sha256"]:
            found[report["set"], report["of_split"]] = report
        else:
            others.append(file.parent.name)
    if others:
        print(f"Left out   {', '.join(others)}: of another model; evaluate again, or delete them")
    return found


def check_distinct(files: list[Path]) -> None:
    """Raise InputError where two files have the name of one set: its results lie in one folder."""
    first = {}
    for file in files:
        name = ", ".join(set_and_split(file))
        if name in first:
            both = f"{first[name]} and {file} would both be {name}"
            raise InputError(f"--evaluate: {both}: evaluate one, or rename its folder")
        first[name] = file


def evaluate_split(
    file: Path,
    name: str,
    split: Split,
    model: nn.Module,
    checkpoint: dict,
    folder: Path,
    pictures: bool,
    whose: str,
) -> None:
    """Print the figures of one set, and write them to <set>_<split>/ in the folder.

    `whose`: whom intervals are for, see screen.whose_intervals.
    """
    titles = {"test": name}
    thresholds = checkpoint["thresholds"]
    scores = {"test": score_frames(model, split)}
    results = {"test": evaluate(split, scores["test"], thresholds["used"])}
    screen.print_history(split.extraction)
    print(f"\n{results_table(results, whose, titles)}\n")
    print(threshold_table(results, thresholds, titles))
    folder = folder / "_".join(set_and_split(file))
    is_there = folder.is_dir()
    make_folder(folder, "--output-dir")
    if is_there:
        print(f"Replaces   {folder}")
    of_set, of_split = set_and_split(file)
    report = {
        "checkpoint": checkpoint["file"],
        "sha256": checkpoint["sha256"],  # of the model's weights
        "set": of_set,
        "of_split": of_split,
        "features": os.path.relpath(file),
        "thresholds": thresholds,
        "splits": results,
        "shared": whose == "seen",  # with the training
        "extraction": split.extraction and asdict(split.extraction.without_paths()),
    }
    write_json(folder / "metrics.json", report)
    seed = checkpoint["settings"]["seed"]
    predictions = list_predictions(seed, {"test": split}, scores, thresholds["used"])
    write_csv(folder / "predictions.csv", predictions[0], predictions)
    samples = pick_samples(split, scores["test"], seed=0)
    shown = {
        "roc.png": partial(plot_roc, {"test": split}, scores, results, titles=titles),
        "scores.png": partial(plot_scores, {"test": split}, scores, results, titles=titles),
        "sample_frames.png": partial(plot_samples, samples, split.extraction),
    }
    footer = f"{describe_extraction(split.extraction)}; model: {checkpoint['file']}"
    written = ["metrics.json", "predictions.csv"]
    written += draw_pictures(folder, shown, footer, pictures)
    print(f"Written    {folder}: {', '.join(written)}\n")


def list_evaluated(reports: dict[tuple[str, str], dict]) -> list[dict]:
    """The rows of evaluated.csv: one for each set, and one for each of its methods."""
    rows = []
    for (of_set, of_split), report in reports.items():
        results = report["splits"]["test"]
        parts = {"": results["videos"], **results.get("methods", {})}
        for method, metrics in parts.items():
            n_fake = metrics["n_fake"]
            row = {"set": of_set, "split": of_split, "method": method}
            row |= {"n_real": metrics["n"] - n_fake, "n_fake": n_fake, "shared": report["shared"]}
            for column, (place, key) in SET_FIGURES.items():
                figures = metrics[place] if place else metrics
                row |= list_cells(column, figures[key], figures.get("intervals", {}).get(key))
            rows.append(row)
    return rows
