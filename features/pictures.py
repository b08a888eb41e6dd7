"""Pictures of frames: the preview, sample frames, a prediction; all pictures of a run."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from data.decode import sample_frame_numbers
from data.faces import place_square
from data.files import InputError
from data.frames import Sampling, sample_video
from data.videos import Video
from data.words import CLASSES
from features.dataset import Split
from features.extraction import Extraction, describe_extraction
from features.originals import Originals
from features.plots import (
    COLOURS,
    draw_thresholds,
    plot_curves,
    plot_features,
    plot_roc,
    plot_scores,
    save_figure,
)
from features.results import Run, name_seed
from features.run import map_threads
from features.text import percent, shorten, verdict

BLUE, ORANGE = (86, 180, 233), (230, 159, 0)  # RGB, of the face's box and of the crop


def show_frame(axes: Axes, frame: torch.Tensor | np.ndarray, title: str = "", **text) -> None:
    """A frame as (3, h, w) tensor or (h, w, 3) array, uint8 RGB."""
    if isinstance(frame, torch.Tensor):
        frame = frame.permute(1, 2, 0).numpy()
    axes.axis("off")
    axes.imshow(frame)
    axes.set_title(title, fontsize=8, parse_math=False, **text)


# --- The preview ---


def draw_face(picture: np.ndarray, box: np.ndarray, margin: float, full_size: tuple) -> None:
    """Draw a face's box and the crop around it into a picture that is smaller than the frame.

    `box` is in pixels of the frame, whose height and width are `full_size`.
    """
    scale = picture.shape[1] / full_size[1]
    square_left, square_top, side = place_square(box, margin, full_size)
    thickness = 1 + max(picture.shape) // 200
    crop = square_left, square_top, side, side
    for rectangle, colour in ((crop, ORANGE), (box, BLUE)):
        left, top, width, height = np.asarray(rectangle) * scale
        corners = (left, top), (left + width, top + height)
        cv2.rectangle(picture, *np.round(corners).astype(int).tolist(), colour, thickness)


def preview_video(video: Video, sampling: Sampling) -> tuple[str, list[tuple]]:
    """A title, and (number, whole frame, what the network gets) of three frames of a video.

    No frames of one that cannot be used. It is read once, and only small pictures of it are kept.
    """
    try:
        sampled = sample_video(video.path, sampling, keep_whole=True)
    except InputError as error:
        return f"{shorten(video.video, 80)} cannot be used: {error}", []
    facts, n = sampled.facts, len(sampled.frames)
    found = f"{n} whole frames"
    if sampling.face_margin:
        found = f"{n} frames, face in {percent(facts['face_share'])} of the sampled ones"
    frames = []
    for i in sample_frame_numbers(n, 3):
        picture = sampled.whole[i]
        if sampled.boxes is not None:
            full_size = facts["height"], facts["width"]
            draw_face(picture, sampled.boxes[i], sampling.face_margin, full_size)
        # a copy: a view would keep all frames
        frames.append((sampled.numbers[i], picture, sampled.frames[i].clone()))
    return f"{shorten(video.video, 120)}: {found}", frames


def draw_preview(part: SubFigure, title: str, frames: list[tuple]) -> None:
    """A row of the contact sheet; a line for a video that cannot be used."""
    colour = "black" if frames else COLOURS["val"]
    part.suptitle(title, fontsize=9, color=colour, parse_math=False)
    if not frames:
        return
    grid = part.subplots(1, 6, width_ratios=(16, 9) * 3)
    for axes in grid:
        axes.axis("off")
    for (number, whole, seen), left, right in zip(frames, grid[::2], grid[1::2], strict=False):
        show_frame(left, whole, f"frame {number}")
        show_frame(right, seen)


def write_preview(
    videos: list[Video], sampling: Sampling, num_workers: int, path: Path, footer: str
) -> None:
    """A contact sheet of videos: a row each, and a line for one that cannot be used."""
    preview_one = partial(preview_video, sampling=sampling)
    with closing(map_threads(preview_one, videos, num_workers)) as results:
        previews = list(results)
    heights = [2.1 if frames else 0.3 for _, frames in previews]
    figure = Figure((12, sum(heights) + 0.3), layout="constrained")
    parts = figure.subfigures(len(previews), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, preview in zip(parts, previews, strict=True):
        draw_preview(part, *preview)
    save_figure(figure, path, footer, dpi=100)


# --- Sample frames ---


def pick_samples(split: Split, scores: np.ndarray, seed: int, per_class: int = 4) -> list[dict]:
    """The middle frame of a few videos of each class, drawn at random; none of unknown videos.

    `scores` (n,) are those of the split's frames. Of each: "video" (its identifier), "file",
    "number" (of the frame), "label", and "score" and "video_score" (of the frame and of the video).
    """
    if not split.has_videos:
        return []
    rng, samples = np.random.default_rng(seed), []
    index, labels, video_scores = split.video_scores(scores)
    for label in (0, 1):
        of_class = np.flatnonzero(labels == label)
        for k in np.sort(rng.permutation(of_class)[:per_class]):
            i = middle_frame(split, index[k])
            sample = {key: split.row(index[k])[key] for key in ("video", "file")}
            sample |= {"number": int(split.numbers[i]), "label": label, "score": float(scores[i])}
            samples.append(sample | {"video_score": float(video_scores[k])})
    return samples


def middle_frame(split: Split, video_index: int) -> int:
    """Which of the split's frames is the middle one of a video."""
    frames = np.flatnonzero(split.video_index == video_index)
    return frames[len(frames) // 2]


def find_frame(file: Path, number: int, extraction: Extraction) -> torch.Tensor:
    """The frame of this number, (3, 224, 224). Raises InputError where it is not there."""
    try:
        sampled = sample_video(file, extraction.sampling)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    numbers = sampled.numbers.tolist()
    if number not in numbers:
        raise InputError(f"{file} has changed since its features were extracted")
    return sampled.frames[numbers.index(number)]


def make_grid(figure: Figure, n_rows: int, n_columns: int) -> np.ndarray:
    """(n_rows, n_columns) places for frames with titles of several lines."""
    figure.get_layout_engine().set(h_pad=0.1)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    return grid


def plot_samples(samples: list[dict], extraction: Extraction | None) -> Figure:
    """The sample frames as the network sees them, real above and fake below.

    Raises InputError where a video cannot be read again.
    """
    if not samples or extraction is None:
        raise InputError("which videos the features are of is not known")
    n_columns = max(Counter(sample["label"] for sample in samples).values())
    figure = Figure((11, 7.4), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.98))  # room above the titles
    free = [list(row) for row in make_grid(figure, 2, n_columns)]
    for sample in samples:
        truth = CLASSES[sample["label"]]
        called, video_called = verdict(sample["score"]), verdict(sample["video_score"])
        title = (
            f"{shorten(sample['video'], 39)}\n"
            f"frame {sample['number']}, truth: {truth}\n"
            f"probability of fake: {percent(sample['score'])}, called {called}\n"
            f"of the whole video: {percent(sample['video_score'])}, called {video_called}"
        )
        colour = "black" if video_called == truth else COLOURS["val"]
        if colour != "black":
            figure.supxlabel("orange: the video is called wrong at 0.5")
        frame = find_frame(sample["file"], sample["number"], extraction)
        show_frame(free[sample["label"]].pop(0), frame, title, color=colour)
    return figure


# --- A prediction ---


def draw_scores(figure: Figure, row: dict, threshold: float, video_score: str) -> None:
    """Some frames of a video above the curve of its scores."""
    grid = figure.add_gridspec(2, 8, height_ratios=(1, 1.6))
    for column, (i, frame) in enumerate(row["pictures"]):
        title = f"frame {row['numbers'][i]}\n{percent(row['scores'][i])}"
        show_frame(figure.add_subplot(grid[0, column]), frame, title)
    axes = figure.add_subplot(grid[1, :])
    axes.plot(row["numbers"], 100 * np.array(row["scores"]), color=COLOURS["train"], marker=".")
    label = f"{video_score} of {row['frames']} frames, {percent(row['score'])}"
    axes.axhline(100 * row["score"], color=COLOURS["val"], label=label)
    draw_thresholds(axes.axhline, threshold)
    axes.set(xlabel="frame", ylabel="probability of fake, %", ylim=(-2, 102))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)


def plot_prediction(
    row: dict, threshold: float, caution: str = "", video_score: str = "mean"
) -> Figure:
    """Some frames of a video with their scores, and the curve of all scores; a photo by itself.

    `row` is what predict_videos gives for a video that could be scored, with its pictures;
    `caution`, if any, says what the score does not mean.
    """
    figure = Figure((12, 5), layout="constrained")
    if len(row["numbers"]) == 1:
        show_frame(figure.subplots(), row["pictures"][0][1])
    else:
        draw_scores(figure, row, threshold, video_score)
    called = f"at 0.5: {row['at_0.5']}, at T: {row['at_T']}; proves nothing by itself"
    title = f"{shorten(row['video'], 80)}: {percent(row['score'])}, {called}"
    colour = "black"
    if caution:
        title, colour = f"This model was {caution}\n{title}", COLOURS["val"]
    figure.suptitle(title, color=colour, fontsize=11, parse_math=False)
    return figure


# --- Originals ---


def plot_originals(found: Originals, most: int = 8) -> Figure:
    """The nearest pairs of a video and the real one that it looks like, their middle frames.

    Raises InputError where there are none, or where a video cannot be read again.
    """
    known = {name for name, split in found.splits.items() if split.extraction}
    shown = [row for row in found.matches if {row["split"], row["real_split"]} <= known][:most]
    if not shown:
        raise InputError("no fake looks like a real video here")
    n, n_rows = len(found.matches), -(-len(shown) // 2)
    figure = Figure((11, 3.4 * n_rows + 0.9), layout="constrained")
    some = f"The nearest {len(shown)} of {n} pairs" if n > most else "Pairs"
    of_what = "distance 0: the same footage; ratio: to the distance of the next real video"
    figure.suptitle(f"{some} of a video and the real one it looks like ({of_what})", fontsize=10)
    pairs = make_grid(figure, n_rows, 4).reshape(-1, 2)
    for match, (left, right) in zip(shown, pairs, strict=False):
        figures = f"distance {match['distance']:.2f}, ratio {match['ratio']:.2f}"
        show_middle(left, found.splits[match["split"]], match["video"], figures)
        show_middle(right, found.splits[match["real_split"]], match["real"], match["outcome"])
    return figure


def show_middle(axes: Axes, split: Split, video: str, remark: str) -> None:
    """The middle frame of a video as the network sees it."""
    index = [row["video"] for row in split.videos].index(video)
    i = middle_frame(split, index)
    number, label = int(split.numbers[i]), CLASSES[split.labels[i]]
    title = f"{label}: {shorten(video, 30)}\nframe {number}\n{remark}"
    show_frame(axes, find_frame(split.row(index)["file"], number, split.extraction), title)


# --- All pictures of a run ---


def draw_pictures(
    folder: Path, pictures: dict[str, Callable], footer: str, wanted: bool
) -> list[str]:
    """Draw pictures, {file name: function that gives the figure}; the names of those drawn.

    Those of an earlier model go first, also where none are `wanted`.
    """
    for name in pictures:
        (folder / name).unlink(missing_ok=True)
    drawn = []
    for name, plot in pictures.items() if wanted else ():
        try:
            save_figure(plot(), folder / name, footer)
            drawn.append(name)
        except InputError as error:
            print(f"{name} is not drawn: {error}")
    return drawn


def draw_run(
    output: Path, runs: list[Run], samples: list[dict], found: Originals, wanted: bool
) -> list[str]:
    """Draw all pictures, the curves of all seeds, the rest of the first; those that were drawn."""
    run = runs[0]
    figures = run.splits, run.scores, run.results
    histories = [each.history for each in runs]
    curves = {"training_curves.png": partial(plot_curves, histories, run.results)}
    pictures = {
        "roc.png": partial(plot_roc, *figures),
        "scores.png": partial(plot_scores, *figures),
        "features.png": partial(plot_features, run.splits, run.seed),
        "sample_frames.png": partial(plot_samples, samples, run.splits["val"].extraction),
    }
    if found.matches:
        pictures["originals.png"] = partial(plot_originals, found)
    made = describe_extraction(run.splits["train"].extraction)
    all_seeds = f"seeds {run.seed} to {runs[-1].seed}" if len(runs) > 1 else name_seed(runs)
    drawn = draw_pictures(output, curves, f"{made}; {all_seeds}", wanted)
    return drawn + draw_pictures(output, pictures, f"{made}; {name_seed(runs)}", wanted)
