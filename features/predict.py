"""New videos and other sets with a trained model: what --predict and --evaluate do.

Both are handed the model, and the checkpoint it came from as features.checkpoint.load_checkpoint
gives it.
"""

import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import nn

from data.decode import sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import (
    InputError,
    csv_writer,
    hold_folder,
    make_folder,
    printable,
    read_json,
    write_csv,
    write_json,
)
from data.layouts import list_videos
from data.videos import is_template
from data.words import SPLITS
from features import screen
from features.audit import share_known
from features.dataset import Split, load_split
from features.evaluate import evaluate, score_frames
from features.extraction import OTHER_CODE, Extraction, check_alike, hash_extraction_code
from features.pictures import pick_samples, plot_prediction, plot_samples
from features.plots import plot_roc, plot_scores
from features.resnet18 import extract_video, kept_weights, load_backbone
from features.results import (
    PREDICTION_COLUMNS,
    draw_pictures,
    list_predictions,
    prediction_words,
    set_and_split,
)
from features.run import Progress, count_cores, if_interrupted, map_threads, pick_device
from features.tables import results_table, sets_table, threshold_table

COLUMNS = (  # of predict_<name>.csv
    "video",
    "score",
    "at_0.5",
    "at_T",
    "frames",
    "spread",
    "face_share",
    "note",
    "reason",
    "picture",
)

# --- New videos ---


def score_videos(
    paths: Iterable[str | Path],
    model: nn.Module,
    checkpoint: dict,
    backbone: nn.Module,
    num_workers: int,
    pictures: bool,
) -> Iterator[dict]:
    """A dict for each video, in order: see predict_videos of deepfake_detection_model.py."""
    sampling = checkpoint["extraction"].sampling
    threshold = checkpoint["thresholds"]["used"]
    trained_on = set(checkpoint["trained_on"].get("videos", ()))
    threads = max(1, count_cores() // num_workers)  # of a decoder: a single video gets all cores

    def predict(path: str | Path) -> dict:
        row = {"video": printable(path), "score": None, "frames": 0, "spread": None}
        row |= dict.fromkeys(("at_0.5", "at_T"), "no decision")
        row |= {"face_share": None, "note": "", "reason": "", "numbers": [], "scores": []}
        try:
            features, sampled = extract_video(Path(path), backbone, sampling, threads)
        except InputError as error:
            return row | {"reason": str(error)}
        scores = model.score(torch.from_numpy(features))
        score = float(scores.mean())
        row |= {"score": score, "frames": len(scores), "spread": float(scores.std())}
        row |= prediction_words(score, threshold)
        row |= {"numbers": sampled.numbers.tolist(), "scores": scores.tolist()}
        row["face_share"] = sampled.facts.get("face_share")
        row["note"] = describe_video(sampled.facts, trained_on)
        if pictures:
            shown = sample_frame_numbers(len(scores), 8)
            row["pictures"] = [(i, sampled.frames[i].clone()) for i in shown]  # not all frames
        return row

    return map_threads(predict, paths, num_workers, ahead=2 if pictures else 64)


def describe_video(facts: dict, trained_on: set[str]) -> str:
    """What one should know of a video that was scored: damage, no face, seen in training."""
    notes = [facts["note"]] if facts["note"] else []
    if facts.get("face_share") == 0:
        notes.append("no face found: whole frames were scored, by a model that knows faces")
    if f"file {facts['fingerprint']}" in trained_on:
        notes.append("the model was trained or tuned on this video")
    return "; ".join(notes)


def load_backbone_of(
    extraction: Extraction | None,
    device: str,
    weights: str | None = None,
    face_model: Path | None = None,
) -> nn.Module:
    """The backbone that a model's features were made with, its face detector checked.

    `weights` and `face_model` are files of one's own; they are known by their hashes. Weights that
    feature_extraction.py was given are found in torch's cache, where it has put them.
    """
    if extraction is None:
        raise InputError(
            "the model was trained on features without extraction.json: how to make them from "
            "videos is unknown; extract again with feature_extraction.py, and train again"
        )
    expected, sampling = extraction.weights, extraction.sampling
    name = weights or expected["name"]
    if name not in ("imagenet", "random"):
        name = weights or str(kept_weights(expected["sha256"]))
    try:
        backbone, found = load_backbone(name, pick_device(device))
    except InputError as error:
        needed = f"the weights it was trained with, sha256 {expected['sha256'][:8]}"
        raise InputError(f"the model needs {needed}, --weights FILE: {error}") from error
    if found["sha256"] != expected["sha256"]:
        hashes = f"sha256 {found['sha256'][:8]}, not {expected['sha256'][:8]}"
        problem = f"{name} holds other weights than the model was trained with ({hashes})"
        raise InputError(f"{problem}: name the right file with --weights FILE, or train again")
    if sampling.face_margin is not None:
        load_face_detector(face_model)  # if it cannot be had, one error says so, not each video
        if sampling.face_model != FACE_MODEL_SHA256:
            raise InputError("the model was trained on faces that another detector found")
    if extraction.code not in ("", hash_extraction_code()):
        print(f"WARNING: the model's features and these {OTHER_CODE}")
    return backbone


def list_named(paths: list[str]) -> list[Path]:
    """The videos that --predict names, and those in its folders."""
    files = []
    for path in paths:
        if not path:
            raise InputError('--predict "": an empty name; expected a video or a folder of videos')
        found, notes = [Path(path)], []
        if Path(path).is_dir():
            found, notes = list_videos(Path(path))
        if not is_template(path) and not Path(path).exists():
            raise InputError(f"--predict {path}: no such file")
        if not found:
            raise InputError(f"--predict {path}: no videos in this folder")
        for note in notes:
            print(f"{printable(path)}: {note}")
        files += found
    return files


def claim_table(output: Path, asked_for: str) -> Path:
    """A new file predict_<name>.csv for this call alone, also where others write at this moment."""
    name = re.sub(r"[^\w.-]+", "_", Path(os.path.abspath(asked_for)).stem)[:40]
    for number in itertools.count(1):
        path = output / f"predict_{name}{f'_{number}' if number > 1 else ''}.csv"
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path


def predict_and_print(
    paths: list[str],
    model: nn.Module,
    checkpoint: dict,
    backbone: nn.Module,
    output: Path,
    plot: bool,
) -> None:
    """Score what --predict names: a line a video as it comes, on the screen and in a table."""
    files = list_named(paths)
    num_workers = min(len(files), count_cores())
    results = score_videos(files, model, checkpoint, backbone, num_workers, plot)
    make_folder(output, "--output-dir")
    table = claim_table(output, paths[0])
    screen.print_checkpoint(checkpoint)
    screen.print_own_figures(checkpoint)
    screen.print_prediction_header()
    rows = []
    with (
        if_interrupted(f"{table} holds what was scored"),
        closing(results),
        csv_writer(table, COLUMNS) as write_row,
        Progress(len(files), "predicting") as progress,
    ):
        for row in results:
            progress.write(screen.format_prediction(row), file=sys.stdout)
            row["picture"] = ""
            if plot and row["score"] is not None:
                row["picture"] = f"{table.stem}_{len(rows) + 1:04d}.png"
                draw_prediction(row, checkpoint, output / row["picture"])
            row.pop("pictures", None)
            write_row(row)  # at once: an interrupted run keeps what it has
            rows.append(row)
            progress.update(row["frames"])
    report = {"model": checkpoint["file"], "thresholds": checkpoint["thresholds"], "videos": rows}
    write_json(table.with_suffix(".json"), report)
    screen.print_predictions_written(rows, table, plot)
    if all(row["score"] is None for row in rows):
        raise InputError(f"none of the {len(files)} videos could be scored: the table says why")


def draw_prediction(row: dict, checkpoint: dict, path: Path) -> None:
    """Draw the picture of a video that was scored."""
    extraction = checkpoint["extraction"]
    footer = f"{screen.describe_extraction(extraction)}; model: {checkpoint['file']}"
    caution = screen.caution_of(extraction)
    plot_prediction(row, checkpoint["thresholds"]["used"], path, footer, caution)


# --- Other sets ---

SET_FIGURES = {  # name in evaluated.csv: where the figure stands, its key
    "accuracy_at_T": ("at_threshold", "accuracy"),
    "eer": ("", "eer"),
    "auc": ("", "auc"),
    "fpr_at_T": ("at_threshold", "fpr"),
    "fnr_at_T": ("at_threshold", "fnr"),
}


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
    check_names(files)
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
            is_shared = screen.warn_of_what_is_known(name, split, checkpoint["trained_on"])
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
        same = report["thresholds"]["used"] == checkpoint["thresholds"]["used"]
        if same and report.get("sha256") == checkpoint["sha256"]:
            found[report["set"], report["split"]] = report
        else:
            others.append(file.parent.name)
    if others:
        print(f"Left out   {', '.join(others)}: of another model; evaluate again, or delete them")
    return found


def check_names(files: list[Path]) -> None:
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
        "split": of_split,
        "features": os.path.relpath(file),
        "thresholds": thresholds,
        "splits": results,
        "shared": whose == "seen",  # with the training
        "extraction": split.extraction and asdict(split.extraction.without_paths()),
    }
    write_json(folder / "metrics.json", report)
    seed = checkpoint["settings"]["seed"]
    predictions = list_predictions(seed, {"test": split}, scores, thresholds["used"])
    write_csv(folder / "predictions.csv", PREDICTION_COLUMNS, predictions)
    samples = pick_samples(split, scores["test"], seed=0)
    shown = {
        "roc.png": partial(plot_roc, {"test": split}, scores, results, titles=titles),
        "scores.png": partial(plot_scores, {"test": split}, scores, results, titles=titles),
        "sample_frames.png": partial(plot_samples, samples, split.extraction),
    }
    footer = f"{screen.describe_extraction(split.extraction)}; model: {checkpoint['file']}"
    written = ["metrics.json", "predictions.csv"]
    written += draw_pictures(folder, shown, footer, pictures)
    print(f"Written    {folder}: {', '.join(written)}\n")


def list_evaluated(reports: dict[tuple[str, str], dict]) -> list[dict]:
    """The rows of evaluated.csv: one for each set, and one for each of its methods."""
    rows = []
    for (of_set, of_split), report in reports.items():
        results = report["splits"]["test"]
        parts = {"": results.get("videos") or results["frames"], **results.get("methods", {})}
        for method, metrics in parts.items():
            n_fake = metrics["n_fake"]
            row = {"set": of_set, "split": of_split, "method": method}
            row |= {"n_real": metrics["n"] - n_fake, "n_fake": n_fake, "shared": report["shared"]}
            for column, (place, key) in SET_FIGURES.items():
                figures = metrics[place] if place else metrics
                low, high = figures.get("intervals", {}).get(key) or (None, None)
                row |= {column: figures[key], f"{column}_low": low, f"{column}_high": high}
            rows.append(row)
    return rows
