"""Pictures of frames: the preview, sample frames, a prediction."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from data.decode import bgr_to_rgb, read_frames, sample_frame_numbers
from data.faces import place_square, shrink
from data.files import InputError, replacing
from data.frames import sample_video
from data.layouts import CLASSES, Video
from features.machine import map_threads
from features.metrics import percent
from features.plots import COLOURS, save_figure


def preview_video(path: Path, settings: dict) -> tuple[str, list[tuple]]:
    """What is found in a video, and of three frames the number, the frame with box and crop, what the network gets."""
    try:
        sampled = sample_video(path, settings)
        shown = sample_frame_numbers(len(sampled.frames), 3)
        boxes = {sampled.numbers[i]: None if sampled.boxes is None else sampled.boxes[i] for i in shown}
        drawn = {}

        def draw(frame: np.ndarray, number: int) -> None:
            if number in boxes:
                if (box := boxes[number]) is not None:
                    left, top, side = place_square(box, settings["crop"]["margin"], frame.shape)
                    thickness = 1 + max(frame.shape) // 200
                    cv2.rectangle(frame, (left, top, side, side), (0, 159, 230), thickness)  # orange
                    cv2.rectangle(frame, np.round(box).astype(int).tolist(), (233, 180, 86), thickness)  # blue
                drawn[number] = bgr_to_rgb(shrink(frame, 480), number)

        read_frames(path, settings["frames_per_video"], draw, settings["frame_choice"])
        if not boxes.keys() <= drawn.keys():
            raise InputError("gives other frames each time it is read")
    except InputError as error:
        return str(error), []
    what = f"face in {100 * sampled.facts['face_share']:.1f} % of" if "face_share" in sampled.facts else "whole"
    rows = [
        (number, drawn[number], sampled.frames[i].permute(1, 2, 0).numpy())
        for i, number in zip(shown, boxes, strict=True)
    ]
    return f"{what} {len(sampled.frames)} frames", rows


def write_preview(videos: list[Video], settings: dict, num_workers: int, path: Path) -> None:
    """A contact sheet of videos, a row each."""
    figure = Figure((12, 2.1 * len(videos)), layout="constrained")
    parts = figure.subfigures(len(videos), 1, squeeze=False)[:, 0]
    with closing(map_threads(lambda video: preview_video(video.path, settings), videos, num_workers)) as previews:
        for video, part, (title, frames) in zip(videos, parts, previews, strict=True):
            part.suptitle(f"{video.video}: {title}", fontsize=9, parse_math=False)
            grid = part.subplots(1, 6, width_ratios=(16, 9) * 3)
            for i, (number, whole, seen) in enumerate(frames):
                grid[2 * i].imshow(whole)
                grid[2 * i].set_title(f"frame {number}", fontsize=8)
                grid[2 * i + 1].imshow(seen)
            for axes in grid:
                axes.axis("off")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def show_frame(axes, frame: torch.Tensor, title: str, **text) -> None:
    axes.imshow(frame.permute(1, 2, 0).numpy())
    axes.set_title(title, fontsize=8, parse_math=False, **text)
    axes.axis("off")


def plot_samples(samples: list[tuple], extraction: dict, path: Path) -> None:
    """The sample frames as the network sees them. Raises InputError where a video cannot be read again."""
    if not {"videos_dir", "frames_per_video"} <= extraction.keys():
        raise InputError("which videos the features are of is not known")
    figure = Figure((11, 6.8), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    grid = figure.subplots(2, max(Counter(truth for _, _, truth, *_ in samples).values()), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    free = {name: list(row) for name, row in zip(CLASSES, grid, strict=True)}  # real above, fake below
    for name, number, truth, prediction, probability in samples:
        file = Path(extraction["videos_dir"], name)
        try:
            sampled = sample_video(file, extraction)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        if number not in sampled.numbers:
            raise InputError(f"{file} has changed since its features were extracted")
        name = name if len(name) < 40 else "…" + name[-38:]  # what fits above a picture
        title = f"{name}\nframe {number}, truth: {truth}, at 0.5: {prediction}\nprobability of fake: {probability}"
        colour = "black" if prediction == truth else COLOURS["val"]
        show_frame(free[truth].pop(0), sampled.frames[list(sampled.numbers).index(number)], title, color=colour)
    save_figure(figure, path)


def plot_prediction(row: dict, extraction: dict, threshold: float, path: Path) -> None:
    """A video's frames in time with their scores, and the curve of the scores."""
    sampled = sample_video(row["path"], extraction)
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
