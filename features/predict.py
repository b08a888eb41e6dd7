"""New videos and other sets with a trained model: what --predict and --evaluate do.

Both are handed the model, and the checkpoint it came from as load_checkpoint of
deepfake_detection_model.py gives it.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from data.decode import sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import InputError, csv_writer, make_folder, printable, write_json
from data.layouts import list_video_files
from features import screen
from features.dataset import Split, load_split
from features.evaluate import evaluate, score_frames
from features.extraction import Extraction, check_alike
from features.pictures import pick_samples, plot_prediction, plot_samples
from features.plots import plot_roc, plot_scores
from features.resnet18 import extract_video, load_backbone
from features.results import (
    draw_pictures,
    folder_of_set,
    prediction_words,
    remove_predictions,
    write_predictions,
)
from features.run import count_cores, if_interrupted, map_threads, pick_device

PREDICT_COLUMNS = ("video", "score", "at_0.5", "at_T", "frames", "spread", "note", "reason")

# --- New videos -----------------------------------------------------------------------------------


def score_videos(
    paths: Iterable[str | Path],
    model: nn.Module,
    checkpoint: dict,
    device: str,
    num_workers: int,
    pictures: bool,
) -> Iterator[dict]:
    """A dict for each video, in order: see predict_videos of deepfake_detection_model.py."""
    extraction, threshold = checkpoint["extraction"], checkpoint["thresholds"]["used"]
    backbone = load_backbone_of(extraction, device)
    trained_on = set(checkpoint["trained_on"].get("videos", ()))
    threads = max(1, count_cores() // num_workers)  # of a decoder: a single video gets all cores

    def predict(path: str | Path) -> dict:
        row = {"path": path, "video": printable(path), "score": None, "frames": 0, "spread": None}
        row |= dict.fromkeys(("at_0.5", "at_T"), "no decision")
        row |= {"note": "", "reason": "", "numbers": [], "scores": [], "pictures": []}
        try:
            features, sampled = extract_video(Path(path), backbone, extraction.sampling, threads)
        except InputError as error:
            return row | {"reason": str(error)}
        scores = model.score(torch.from_numpy(features))
        score, n = float(scores.mean()), len(scores)
        row |= {"score": score, "frames": n, "spread": float(scores.std())}
        row |= prediction_words(score, threshold)
        row |= {"numbers": sampled.numbers, "scores": scores}
        if f"file {sampled.facts['fingerprint']}" in trained_on:
            row["note"] = "the model was trained or tuned on this video"
        if pictures:
            shown = sample_frame_numbers(n, 8)
            row["pictures"] = [(i, sampled.frames[i].clone()) for i in shown]  # not all frames
        return row

    return map_threads(predict, paths, num_workers, ahead=2 if pictures else 64)


def load_backbone_of(extraction: Extraction | None, device: str) -> nn.Module:
    """The backbone that a model's features were made with, its face detector checked."""
    if extraction is None:
        raise InputError(
            "the model was trained on features without extraction.json: how to make them from "
            "videos is unknown; extract again with feature_extraction.py, and train again"
        )
    expected, sampling = extraction.weights, extraction.sampling
    try:
        backbone, weights = load_backbone(expected["name"], pick_device(device))
    except InputError as error:
        raise InputError(f"the model needs the weights it was trained with: {error}") from error
    if weights["sha256"] != expected["sha256"]:
        changed = f"{expected['name']} holds other weights than the model was trained with"
        raise InputError(f"{changed}: put the old file back, or train again")
    if sampling.face_margin is not None:
        load_face_detector()  # if it cannot be had, one error says so, and not each video
        if sampling.face_model != FACE_MODEL_SHA256:
            raise InputError("the model was trained on faces that another detector found")
    return backbone


def list_videos(paths: list[str]) -> list[Path]:
    """The files that --predict names, and those in its folders."""
    files = []
    for path in paths:
        if not path:
            raise InputError('--predict "": an empty name; expected a video or a folder of videos')
        found = list_video_files(Path(path)) if Path(path).is_dir() else [Path(path)]
        if not Path(path).exists():
            raise InputError(f"--predict {path}: no such file")
        if not found:
            raise InputError(f"--predict {path}: no videos in this folder")
        files += found
    return files


def predict_and_print(
    paths: list[str], model: nn.Module, checkpoint: dict, device: str, output: Path, plot: bool
) -> None:
    """Score what --predict names: a line a video as it comes, on the screen and in predict.csv."""
    files = list_videos(paths)
    num_workers = min(len(files), count_cores())
    results = score_videos(files, model, checkpoint, device, num_workers, plot)
    make_folder(output)
    screen.print_checkpoint(checkpoint)
    if (output / "predict.csv").is_file():
        print(f"Replaces   {output / 'predict.csv'} and the pictures of that prediction")
        remove_predictions(output)
    screen.print_prediction_header()
    n_scored = 0
    with (
        if_interrupted(f"{output / 'predict.csv'} holds what was scored"),
        closing(results),
        csv_writer(output / "predict.csv", PREDICT_COLUMNS) as write_row,
        tqdm(total=len(files), unit="video", desc="predicting", disable=None) as bar,
    ):
        for row in results:
            bar.write(screen.format_prediction(row), file=sys.stdout)
            write_row(row)  # at once: an interrupted run keeps what it has
            n_scored += row["score"] is not None
            if plot and row["score"] is not None:
                draw_prediction(row, n_scored, checkpoint, output)
            bar.update()
    print(f"\n{n_scored} scored, {len(files) - n_scored} failed")
    print(f"Written    {output / 'predict.csv'}" + ", predict_*.png" * plot)
    if not n_scored:
        raise InputError(f"none of the {len(files)} videos could be scored: the table says why")


def draw_prediction(row: dict, number: int, checkpoint: dict, output: Path) -> None:
    """Draw the picture of a video that was scored, the `number`-th one."""
    extraction = checkpoint["extraction"]
    footer = f"{screen.describe_extraction(extraction)}; model: {checkpoint['file']}"
    plot_prediction(
        row,
        checkpoint["thresholds"]["used"],
        path=output / f"predict_{number:04d}_{Path(row['video']).stem[:40]}.png",
        footer=footer,
        caution=screen.caution_of(extraction),
    )


# --- Other sets -----------------------------------------------------------------------------------


def evaluate_files(
    files: list[Path], model: nn.Module, checkpoint: dict, output: Path, pictures: bool
) -> None:
    """Print and write what --evaluate asks for: figures of other extracted sets."""
    screen.print_checkpoint(checkpoint)
    splits = {str(file): load_split(file) for file in files}
    extractions = {name: split.extraction for name, split in splits.items()}
    check_alike({"the model": checkpoint["extraction"]} | extractions)
    for name, split in splits.items():
        with if_interrupted("the sets above are written"):
            evaluate_split(name, split, model, checkpoint, output, pictures)


def evaluate_split(
    name: str, split: Split, model: nn.Module, checkpoint: dict, output: Path, pictures: bool
) -> None:
    """Print the figures of one set, and write them to evaluated/<set>_<split>/."""
    threshold = checkpoint["thresholds"]["used"]
    screen.warn_of_what_is_known(name, split, checkpoint["trained_on"])
    scores = {"test": score_frames(model, split)}
    results = {"test": evaluate(split, scores["test"], threshold)}
    print(f"\n{name}\n{screen.results_table(results)}\n")
    print(screen.threshold_table(results, threshold, checkpoint["thresholds"]["from"]))
    folder = output / "evaluated" / folder_of_set(Path(name))
    if folder.is_dir():
        print(f"Replaces   {folder}")
    make_folder(folder)
    report = {
        "checkpoint": checkpoint["file"],
        "features": os.path.abspath(name),
        "thresholds": checkpoint["thresholds"],
        "splits": results,
        "extraction": split.extraction and asdict(split.extraction),
    }
    write_json(folder / "metrics.json", report)
    write_predictions(folder / "predictions.csv", {"test": split}, scores, threshold)
    samples = pick_samples(split, scores["test"], seed=0)
    shown = {
        "roc.png": partial(plot_roc, {"test": split}, scores, results),
        "scores.png": partial(plot_scores, {"test": split}, scores, results),
        "sample_frames.png": partial(plot_samples, samples, split.extraction),
    }
    footer = f"{screen.describe_extraction(split.extraction)}; model: {checkpoint['file']}"
    written = ["metrics.json", "predictions.csv"]
    written += draw_pictures(folder, shown, footer, pictures)
    print(f"\nWritten    {folder}: {', '.join(written)}")
