"""Pictures of figures: training curves, ROC, scores, the features in two dimensions."""

import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import roc_curve
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from data.files import InputError, replacing
from data.words import CLASSES
from features.dataset import Split
from features.text import TITLES, format_figure, has_few_videos, percent

# Okabe and Ito: apart for the colour-blind too
COLOURS = {
    "train": "#0072B2",
    "val": "#D55E00",
    "test": "#009E73",
}
CLASS_COLOURS = ("#56B4E9", "#E69F00")
MARKERS = {"train": "o", "val": "^", "test": "s"}
GREY = "0.4"  # of what is not data
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "fontsize": 8}  # of a legend


def save_figure(figure: Figure, path: Path, footer: str, dpi: int = 120) -> None:
    """Write a picture, with a small line at the bottom that says what it is of.

    A line that is there already stays before it.
    """
    footer = "; ".join(filter(None, (figure.get_supxlabel(), footer)))
    lines = textwrap.fill(footer, int(18 * figure.get_figwidth()))  # as many letters fit
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=GREY, parse_math=False)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it shows boxes
        figure.savefig(temporary, dpi=dpi)


def interval_of(metrics: dict, key: str) -> np.ndarray | None:
    """(2,) ends of the interval of an EER or AUC in percent; None where a table shows none."""
    ends = metrics.get("intervals", {}).get(key)
    return 100 * np.array(ends) if ends and not has_few_videos(metrics) else None


# --- Training curves ---


def plot_curves(histories: list[list[dict]], results: dict) -> Figure:
    """Loss, accuracy and EER by epoch; of several seeds the mean, and the range as a band."""
    figure = Figure((12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_curves(left, histories, "log_loss", results)
    left.axhline(np.log(2), color=GREY, linestyle=":", linewidth=1, label="always 50 %")
    left.set(title="log loss", ylabel="log loss, lower is better")
    draw_curves(middle, histories, "accuracy", results)
    middle.set(title="accuracy at 0.5", ylabel="%", ylim=(-2, 102))
    draw_curves(right, histories, "eer", results)
    right.set(title="EER", ylabel="%", ylim=(-2, 102))
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
    if len(histories) > 1:
        figure.suptitle(f"mean and range of {len(histories)} seeds", fontsize=10)
    return figure


def draw_curves(axes: Axes, histories: list[list[dict]], key: str, results: dict) -> None:
    """A figure of training and validation by epoch."""
    epochs = [record["epoch"] for record in histories[0]]
    scale = 1 if key == "log_loss" else 100
    for name in ("train", "val"):
        of_seeds = [[record[f"{name}_{key}"] for record in history] for history in histories]
        values = scale * np.array(of_seeds, float)  # None becomes NaN, which is not drawn
        colour, metrics = COLOURS[name], results[name]["videos"]
        label = f"{TITLES[name]} (n = {metrics['n']} {metrics['of']})"
        style = {"marker": MARKERS[name], "markersize": 4, "color": colour}
        axes.plot(epochs, values.mean(0), label=label, **style)
        lowest, highest = values.min(0), values.max(0)
        axes.fill_between(epochs, lowest, highest, color=colour, alpha=0.2, linewidth=0)


# --- ROC ---


def plot_roc(
    splits: dict[str, Split],
    scores: dict[str, np.ndarray],
    results: dict,
    titles: dict[str, str] = TITLES,
) -> Figure:
    """ROC curves with their EER, of which the thick line is the 95 % interval.

    Raises InputError where no split has both classes.
    """
    with_roc = [name for name in splits if results[name]["videos"]["eer"] is not None]
    if not with_roc:
        raise InputError("one class alone has no ROC")
    figure = Figure((6.4, 7.8), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 100), (0, 100), color=GREY, linewidth=1, linestyle="--")
    axes.annotate("chance", (76, 71), color=GREY, fontsize=8)
    axes.plot((0, 100), (100, 0), color=GREY, linewidth=1, linestyle=":")
    axes.annotate("FPR = FNR", (76, 25), color=GREY, fontsize=8)
    for name in with_roc:
        _, labels, values = splits[name].video_scores(scores[name])
        draw_roc(axes, labels, values, results[name]["videos"], titles[name], COLOURS[name])
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    axes.set(title="ROC", xlabel="real called fake (FPR), %")
    axes.set_ylabel("fake called fake (1 - FNR), %")
    signs = "dot: EER, thick line: its 95 % interval; in brackets: 95 % intervals"
    axes.legend(**BELOW, title=signs, title_fontsize=7)
    return figure


def draw_roc(
    axes: Axes,
    labels: np.ndarray,
    scores: np.ndarray,
    metrics: dict,
    title: str,
    colour: str,
) -> None:
    auc, eer = format_figure(metrics, "auc"), format_figure(metrics, "eer")
    label = f"{title}, {metrics['n']} {metrics['of']}: AUC {auc}, EER {eer}"
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    axes.plot(100 * fpr, 100 * tpr, color=colour, label=label)
    ends = interval_of(metrics, "eer")
    if ends is not None:
        thick = {"linewidth": 5, "alpha": 0.4, "solid_capstyle": "butt"}
        axes.plot(ends, 100 - ends, color=colour, **thick)
    crossing = 100 * metrics["eer"]
    axes.plot(crossing, 100 - crossing, "o", color=colour, clip_on=False, zorder=3)


# --- Scores ---


def plot_scores(
    splits: dict[str, Split],
    scores: dict[str, np.ndarray],
    results: dict,
    titles: dict[str, str] = TITLES,
) -> Figure:
    """A histogram of the scores of each split by class; below it the AUC of each method."""
    methods = [results[name]["methods"] for name in splits]
    most = max(map(len, methods))
    heights = [3.8, 1 + 0.3 * most] if most > 1 else [3.6]
    figure = Figure((4.2 * len(splits), 0.3 + sum(heights)), layout="constrained")
    grid = figure.subplots(len(heights), len(splits), squeeze=False, height_ratios=heights)
    for axes, (name, split) in zip(grid[0], splits.items(), strict=True):
        _, labels, values = split.video_scores(scores[name])
        draw_histogram(axes, labels, values, results[name]["videos"]["at_threshold"]["threshold"])
        axes.set_title(f"{titles[name]}: {len(labels)} {split.of}", parse_math=False)
        axes.set_ylabel(split.of)
    for axes, name, of_split in zip(grid[-1], splits, methods, strict=True):
        if len(of_split) > 1:
            draw_methods(axes, of_split)
            axes.set_title(f"{titles[name]}: method against all reals", fontsize=10)
        elif most > 1:
            axes.set_visible(False)
    return figure


def draw_histogram(axes: Axes, labels: np.ndarray, scores: np.ndarray, threshold: float) -> None:
    parts, names = [], []
    for label, name in enumerate(CLASSES):
        parts.append(100 * scores[labels == label])
        names.append(f"{name} (n = {len(parts[label])})")
    edges = np.linspace(0, 100, 21)
    _, _, bars = axes.hist(parts, edges, color=CLASS_COLOURS, edgecolor="0.3", label=names)
    for bar in bars[1]:
        bar.set_hatch("//")  # apart in print too
    draw_thresholds(axes.axvline, threshold)
    axes.set_xlabel("probability of fake, %")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(**BELOW | {"bbox_to_anchor": (0.5, -0.18)}, ncols=2)


def draw_thresholds(draw_line: Callable, threshold: float) -> None:
    """Lines at 50 % and at T; `draw_line` is axvline or axhline of some axes."""
    draw_line(50, color="0.3", linestyle=":", label="50 %")
    draw_line(100 * threshold, color="0.3", linestyle="--", label=f"T = {percent(threshold)}")


def draw_methods(axes: Axes, methods: dict[str, dict]) -> None:
    """A line for each method with its AUC."""
    names = []
    for i, (method, metrics) in enumerate(methods.items()):
        draw_auc(axes, i, metrics, "o", "0.2")
        names.append(f"{method or 'not named'} (n = {metrics['n_fake']})")
    label_aucs(axes, names)


def draw_auc(axes: Axes, y: float, metrics: dict, marker: str, colour: str, label=None) -> None:
    """An AUC as a dot at this height, on the line of its interval, if it has one."""
    if metrics["auc"] is None:
        return
    ends = interval_of(metrics, "auc")
    if ends is not None:
        axes.plot(ends, (y, y), color=colour, linewidth=2)
    axes.plot(100 * metrics["auc"], y, marker, color=colour, label=label, clip_on=False)


def label_aucs(axes: Axes, names: list[str]) -> None:
    """Name the lines that draw_auc has drawn dots in, and what is seen there."""
    has_intervals = any(len(line.get_xdata()) == 2 for line in axes.lines)
    intervals = "; line: 95 % interval" if has_intervals else ""
    axes.axvline(50, color="0.3", linestyle=":")
    axes.set_xlabel(f"AUC, % (dotted: chance{intervals})", fontsize=9)
    axes.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names], fontsize=7)


# --- Unseen methods ---


def plot_unseen(rows: list[dict]) -> Figure:
    """The AUC of each method when it was not trained on, beside that when it was.

    `rows` are those of features.unseen.measure_unseen.
    """
    figure = Figure((8, 1.8 + 0.6 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = []
    for i, row in enumerate(rows):
        unseen, seen = (f"method {when} in training" for when in ("unseen", "seen"))
        draw_auc(axes, i - 0.15, row["unseen"], "^", COLOURS["val"], None if i else unseen)
        draw_auc(axes, i + 0.15, row["seen"], "o", COLOURS["train"], None if i else seen)
        names.append(f"{row['method']}, {row['split']} (n = {row['seen']['n_fake']})")
    label_aucs(axes, names)
    axes.set_title("Each method's fakes against all reals", fontsize=10)
    figure.legend(loc="outside upper right", fontsize=8, ncols=2)
    return figure


# --- Features ---


def plot_features(splits: dict[str, Split], seed: int, most: int = 600) -> Figure:
    """The features of some frames, as many of each split, in two dimensions.

    More points would hide each other, and take t-SNE long.
    """
    rng = np.random.default_rng(seed)
    parts = {}
    features = []
    for name, split in splits.items():
        drawn = rng.permutation(len(split.rows))[: most // len(splits)]
        parts[name] = split.part(np.sort(drawn))
        features.append(split.gather(parts[name].rows).numpy())
    reduced, placed, shares = reduce_features(np.concatenate(features), seed)
    n = len(reduced)
    figure = Figure((11.2, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_points(left, reduced, parts)
    left.set_title(f"PCA of {n} frames: the two directions in which they differ most", fontsize=10)
    left.set_xlabel(f"component 1 ({percent(shares[0])} of the variance)")
    left.set_ylabel(f"component 2 ({percent(shares[1])} of the variance)")
    draw_points(right, placed, parts)
    right.set_title(f"t-SNE of {n} frames: those that are alike lie together", fontsize=10)
    right.set_xlabel("no unit: who is near means something, distances and directions do not")
    return figure


def reduce_features(features: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 2) points by PCA and by t-SNE of (n, 1000) features; shares of variance of the first.

    Raises InputError where all features are equal.
    """
    scaled = StandardScaler().fit_transform(features)
    if not scaled.any():
        raise InputError("all features are equal")
    pca = PCA(min(50, *scaled.shape), random_state=seed)
    tsne = TSNE(perplexity=min(30, (len(scaled) - 1) / 3), random_state=seed)
    with threadpool_limits(1):  # more would wait for each other by spinning
        reduced = pca.fit_transform(scaled)
        placed = tsne.fit_transform(reduced)
    return reduced[:, :2], placed, pca.explained_variance_ratio_


def draw_points(axes: Axes, points: np.ndarray, parts: dict[str, Split]) -> None:
    """(n, 2) points: first those of the first part, then those of the next; classes by colour."""
    start = 0
    for name, part in parts.items():
        of_part = points[start : start + len(part.labels)]
        start += len(of_part)
        for label, class_name in enumerate(CLASSES):
            x, y = of_part[part.labels == label].T
            axes.scatter(
                x,
                y,
                s=9,
                marker=MARKERS[name],
                color=CLASS_COLOURS[label],
                alpha=0.6,
                linewidth=0,
                label=f"{name}, {class_name} (n = {len(x)})",
            )
    axes.legend(**BELOW, markerscale=2, ncols=len(parts))
