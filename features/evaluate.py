"""Figures of other extracted sets with a trained model: what --evaluate does.

A set goes by the name of its folder in evaluated/: DFD_test is features/DFD/test_features.npy.
"""

import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from torch import nn

from data.files import InputError, hold_folder, make_folder, read_json, write_csv, write_json
from data.words import SPLITS
from features import screen
from features.audit import share_known
from features.dataset import Split, load_split, name_set
from features.extraction import check_alike, describe_extraction
from features.figures import evaluate, list_cells, score_frames
from features.pictures import draw_pictures, pick_samples, plot_samples
from features.plots import plot_roc, plot_scores
from features.results import list_predictions
from features.run import if_interrupted, pick_device
from features.text import results_table, sets_table, threshold_table

SCORED_BY = ("sha256", "thresholds", "video_score")  # of a set as of the checkpoint
AT_T = "_at_T"
SET_FIGURES = ("accuracy_at_T", "eer", "auc", "fpr_at_T", "fnr_at_T")  # in evaluated.csv


def set_and_split(file: Path) -> tuple[str, str]:
    """What the path of a features file tells, such as `DFD`, `test`."""
    return name_set(file), file.name.removesuffix("features.npy").strip("_") or "all"


def list_features(paths: list[Path]) -> dict[str, Path]:
    """{name: features file} of what --evaluate names, files and folders.

    Of a folder with a test split all splits but train. Raises InputError for a folder without any,
    and for two files of one name: their results would lie in one folder.
    """
    files = {}
    for path in paths:
        found = [path]
        if not path.exists():
            raise InputError(f"--evaluate {path}: no such file; name features that were extracted")
        if path.is_dir():
            of_splits = [path / f"{split}_features.npy" for split in SPLITS]
            found = [file for file in of_splits if file.is_file()]
            if not found:
                problem = f"--evaluate {path}: no <split>_features.npy there"
                raise InputError(f"{problem}: extract the set first")
            if of_splits[-1] in found and len(found) > 1:
                found = [file for file in found if file != of_splits[0]]
            print(f"Evaluates  {path}: {', '.join(file.name for file in found)}")
        for file in found:
            name = "_".join(set_and_split(file))
            if name in files:
                both = f"{files[name]} and {file} would both be {name}"
                raise InputError(f"--evaluate: {both}: evaluate one, or rename its folder")
            files[name] = file
    return files


def evaluate_files(
    paths: list[Path],
    model: nn.Module,
    checkpoint: dict,
    output: Path,
    device: str,
    pictures: bool,
) -> None:
    """Print and write what --evaluate asks for: figures of other extracted sets."""
    model.to(pick_device(device))
    files = list_features(paths)
    screen.print_checkpoint(checkpoint)
    splits, how = {}, checkpoint["video_score"]
    for name, file in files.items():
        splits[name] = replace(load_split(file), video_score=how)
    extractions = {str(files[name]): split.extraction for name, split in splits.items()}
    check_alike({"the model": checkpoint["extraction"]} | extractions)
    folder = output / "evaluated"
    make_folder(folder, "--output-dir")
    with hold_folder(folder, folder / ".lock"), if_interrupted("the sets above are written"):
        for name, split in splits.items():
            evaluate_split(files[name], split, model, checkpoint, folder / name, pictures)
        reports = gather_evaluated(folder, checkpoint)
        evaluated = {name: report["splits"]["test"] for name, report in reports.items()}
        print(sets_table(evaluated, {name for name in reports if reports[name]["shared"]}))
        rows = [row for report in reports.values() for row in list_evaluated(report)]
        write_csv(folder / "evaluated.csv", rows[0], rows)
    print(f"\nWritten    {folder / 'evaluated.csv'}")


def evaluate_split(
    file: Path, split: Split, model: nn.Module, checkpoint: dict, folder: Path, pictures: bool
) -> None:
    """Print the figures of one set, and write them to a folder."""
    thresholds, titles = checkpoint["thresholds"], {"test": folder.name}
    is_shared = screen.may_have_seen(folder.name, split, checkpoint["trained_on"])
    known = share_known(split), checkpoint["split"]["known"]
    whose = screen.whose_intervals(not is_shared, *known)
    splits, scores = {"test": split}, {"test": score_frames(model, split)}
    results = {"test": evaluate(split, scores["test"], thresholds["used"])}
    screen.print_history(split.extraction)
    print(f"\n{results_table(results, whose, titles)}\n")
    print(threshold_table(results, thresholds, titles))
    if folder.is_dir():
        print(f"Replaces   {folder}")
    make_folder(folder, "--output-dir")
    of_set, of_split = set_and_split(file)
    report = {
        "checkpoint": checkpoint["file"],
        "sha256": checkpoint["sha256"],  # of the model's weights
        "set": of_set,
        "of_split": of_split,
        "features": os.path.relpath(file),
        "thresholds": thresholds,
        "video_score": split.video_score,
        "splits": results,
        "shared": is_shared,  # with the training
        "extraction": split.extraction and asdict(split.extraction.without_paths()),
    }
    write_json(folder / "metrics.json", report)
    seed = checkpoint["settings"]["seed"]
    predictions = list_predictions(seed, splits, scores, thresholds["used"])
    write_csv(folder / "predictions.csv", predictions[0], predictions)
    samples = pick_samples(split, scores["test"], seed=0)
    shown = {
        "roc.png": partial(plot_roc, splits, scores, results, titles=titles),
        "scores.png": partial(plot_scores, splits, scores, results, titles=titles),
        "sample_frames.png": partial(plot_samples, samples, split.extraction),
    }
    footer = f"{describe_extraction(split.extraction)}; model: {checkpoint['file']}"
    if whose == "seen":
        footer = f"NOT UNSEEN PEOPLE: training has or may have seen some of these; {footer}"
    drawn = draw_pictures(folder, shown, footer, pictures)
    print(f"Written    {folder}: {', '.join(['metrics.json', 'predictions.csv', *drawn])}\n")


def gather_evaluated(folder: Path, checkpoint: dict) -> dict[str, dict]:
    """{name: metrics.json} of the sets that this model has scored; those of others are named."""
    found, others = {}, []
    for file in sorted(folder.glob("*/metrics.json")):
        report, name = {"video_score": "mean"} | read_json(file), file.parent.name
        if all(report.get(key) == checkpoint[key] for key in SCORED_BY):
            found[name] = report
        else:
            others.append(name)
    if others:
        print(f"Left out   {', '.join(others)}: of another model or T; evaluate again, or delete")
    return found


def list_evaluated(report: dict) -> list[dict]:
    """The rows of evaluated.csv for a set: one for all of it, and one for each of its methods."""
    rows, results = [], report["splits"]["test"]
    for method, metrics in {"": results["videos"], **results["methods"]}.items():
        n_fake = metrics["n_fake"]
        row = {"set": report["set"], "split": report["of_split"], "method": method}
        row |= {"n_real": metrics["n"] - n_fake, "n_fake": n_fake, "shared": report["shared"]}
        for column in SET_FIGURES:
            figures = metrics["at_threshold"] if column.endswith(AT_T) else metrics
            key = column.removesuffix(AT_T)
            row |= list_cells(column, figures[key], figures.get("intervals", {}).get(key))
        rows.append(row)
    return rows
