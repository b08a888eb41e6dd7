"""New videos with a trained model: what --predict does.

It is handed the model, and the checkpoint it came from as features.checkpoint.load_checkpoint
gives it.
"""

import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import torch
from torch import nn

from data.decode import sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import InputError, csv_writer, make_folder, printable, write_json
from data.layouts import list_videos
from data.videos import is_template
from features import screen
from features.dataset import VIDEO_SCORES
from features.extraction import (
    OTHER_CODE,
    Extraction,
    caution_of,
    describe_extraction,
    hash_extraction_code,
)
from features.pictures import plot_prediction
from features.plots import save_figure
from features.resnet18 import extract_video, kept_weights, load_backbone
from features.results import prediction_words
from features.run import Progress, count_cores, if_interrupted, map_threads, pick_device

PREDICT_COLUMNS = ["video", "score", "at_0.5", "at_T", "frames", "spread", "face_share"]
PREDICT_COLUMNS += ["note", "reason", "picture"]  # of predict_<name>.csv


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
    combine = VIDEO_SCORES[checkpoint["video_score"]]
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
        score = float(combine(scores))
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
    sampling, sha256 = extraction.sampling, extraction.weights["sha256"]
    name = weights or extraction.weights["name"]
    if name not in ("imagenet", "random"):
        name = weights or str(kept_weights(sha256))
    try:
        backbone, found = load_backbone(name, pick_device(device))
    except InputError as error:
        needed = f"the weights it was trained with, sha256 {sha256[:8]}"
        raise InputError(f"the model needs {needed}, --weights FILE: {error}") from error
    if found["sha256"] != sha256:
        hashes = f"sha256 {found['sha256'][:8]}, not {sha256[:8]}"
        problem = f"{name} holds other weights than the model was trained with ({hashes})"
        raise InputError(f"{problem}: name the right file with --weights FILE, or train again")
    if sampling.face_margin is not None:
        load_face_detector(face_model)  # if it cannot be had, one error says so, not each video
        if sampling.face_model != FACE_MODEL_SHA256:
            raise InputError("the model was trained on faces that another detector found")
    if extraction.code not in ("", hash_extraction_code()):
        print(f"WARNING: the model's features and those of these videos {OTHER_CODE}")
    return backbone


def list_named(paths: list[str]) -> list[Path]:
    """The videos that --predict names, and those in its folders."""
    files = []
    for path in paths:
        if not is_template(path) and not os.path.exists(path):
            raise InputError(f"--predict {path}: no such file")
        found, notes = list_videos(Path(path)) if os.path.isdir(path) else ([Path(path)], [])
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
    output: Path,
    device: str,
    weights: str | None,
    face_model: Path | None,
    plot: bool,
) -> None:
    """Score what --predict names: a line a video as it comes, on the screen and in a table."""
    extraction = checkpoint["extraction"]
    backbone = load_backbone_of(extraction, device, weights, face_model)
    files = list_named(paths)
    num_workers = min(len(files), count_cores())
    results = score_videos(files, model, checkpoint, backbone, num_workers, plot)
    make_folder(output, "--output-dir")
    table = claim_table(output, paths[0])
    screen.print_checkpoint(checkpoint)
    screen.print_own_figures(checkpoint)
    screen.print_prediction_header()
    footer = f"{describe_extraction(extraction)}; model: {checkpoint['file']}"
    rows, threshold = [], checkpoint["thresholds"]["used"]
    as_said = caution_of(extraction), checkpoint["video_score"]
    with (
        if_interrupted(f"{table} holds what was scored"),
        closing(results),
        csv_writer(table, PREDICT_COLUMNS) as write_row,
        Progress(len(files), "predicting") as progress,
    ):
        for row in results:
            progress.write(screen.format_prediction(row), file=sys.stdout)
            row["picture"] = ""
            if plot and row["score"] is not None:
                row["picture"] = f"{table.stem}_{len(rows) + 1:04d}.png"
                figure = plot_prediction(row, threshold, *as_said)
                save_figure(figure, output / row["picture"], footer)
            row.pop("pictures", None)
            write_row(row)  # at once: an interrupted run keeps what it has
            rows.append(row)
            progress.update(row["frames"])
    report = {"model": checkpoint["file"], "thresholds": checkpoint["thresholds"], "videos": rows}
    write_json(table.with_suffix(".json"), report)
    screen.print_predictions_written(rows, table, plot, checkpoint["thresholds"]["from"])
    if all(row["score"] is None for row in rows):
        raise InputError(f"none of the {len(files)} videos could be scored: the table says why")
