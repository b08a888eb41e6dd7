"""Pictures of figures: training curves, ROC, scores, the features in two dimensions."""

import textwrap
import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import roc_curve
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from data.files import InputError, replacing
from data.words import CLASSES
from features.dataset import Split
from features.metrics import FEW_VIDEOS
from features.text import TITLES, format_figure, name_kinds, percent

# Okabe and Ito: apart for the colour-blind too
COLOURS = {
    "train": "#0072B2",
    "val": "#D55E00",
    "test": "#009E73",
}
CLASS_COLOURS = ("#56B4E9", "#E69F00")
MARKERS = {"train": "o", "val": "^", "test": "s"}
GREY = "0.4"  # of what is not data


def save_figure(figure: Figure, path: Path, footer: str = "", dpi: int = 120) -> None:
    """Write a picture, with a small line at the bottom that says what it is of."""
    if footer:
        width = int(18 * figure.get_figwidth())  # as many letters fit
        figure.supxlabel(
            textwrap.fill(footer, width),
            x=0.01,
            ha="left",
            fontsize=7,
            color=GREY,
            parse_math=False,
        )
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(temporary, dpi=dpi)
    for line in find_boxes(figure):
        print(f"{path.name} shows boxes, as its font lacks some signs, for: {line}")


def find_boxes(figure: Figure) -> list[str]:
    """Lines of text in a picture with signs that its font has not."""
    signs = get_font(findfont(FontProperties())).get_charmap()
    lines = []
    for text in figure.findobj(Text):
        lines += text.get_text().splitlines()
    return [line for line in dict.fromkeys(lines) if not set(map(ord, line)) <= signs.keys()]


def interval_of(metrics: dict, key: str) -> np.ndarray:
    """(2,) ends of the interval of an EER or AUC in percent.

    NaN, which is not drawn, where it has none, or where a table says `too few videos`.
    """
    ends = metrics.get("intervals", {}).get(key)
    if not ends or min(metrics["n_fake"], metrics["n"] - metrics["n_fake"]) < FEW_VIDEOS:
        return np.full(2, np.nan)
    return 100 * np.array(ends)


# --- Training curves ---


def plot_curves(
    histories: list[list[dict]],
    results: dict,
    path: Path,
    footer: str,
) -> None:
    """Loss, accuracy and EER by epoch; of several seeds the mean, and the range as a band."""
    shown = {name: results[name] for name in ("train", "val")}
    kinds = name_kinds(shown)
    figure = Figure((12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    titles = {}
    for name, result in shown.items():
        metrics = result["videos"]
        titles[name] = f"{TITLES[name]} (n = {metrics['n']} {metrics['of']})"
    draw_curve(left, histories, "log_loss", titles)
    left.axhline(np.log(2), color=GREY, linestyle=":", linewidth=1, label="always 50 %")
    left.set_title(f"log loss of {kinds}")
    left.set_ylabel("log loss, lower is better")
    draw_curve(middle, histories, "accuracy", titles)
    middle.set_title(f"accuracy at 0.5 of {kinds}")
    draw_curve(right, histories, "eer", titles)
    right.set_title(f"EER of {kinds}")
    for axes in (middle, right):
        axes.set_ylabel("%")
        axes.set_ylim(-2, 102)
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
    if len(histories) > 1:
        figure.suptitle(f"mean and range of {len(histories)} seeds", fontsize=10)
    save_figure(figure, path, footer)


def draw_curve(axes: Axes, histories: list[list[dict]], key: str, titles: dict[str, str]) -> None:
    """A figure by epoch, of each split that has a title."""
    epochs = [record["epoch"] for record in histories[0]]
    scale = 1 if key == "log_loss" else 100
    for split, title in titles.items():
        of_seeds = []
        for history in histories:
            of_seeds.append([record[f"{split}_{key}"] for record in history])
        values = scale * np.array(of_seeds, float)  # None becomes NaN, which is not drawn
        axes.plot(
            epochs,
            values.mean(0),
            color=COLOURS[split],
            marker=MARKERS[split],
            markersize=4,
            label=title,
        )
        axes.fill_between(
            epochs,
            values.min(0),
            values.max(0),
            color=COLOURS[split],
            alpha=0.2,
            linewidth=0,
        )


# --- ROC ---


def plot_roc(
    splits: dict[str, Split],
    scores: dict[str, np.ndarray],
    results: dict,
    path: Path,
    footer: str,
    titles: dict[str, str] = TITLES,
) -> None:
    """ROC curves with their EER, of which the thick line is the 95 % interval.

    Raises InputError where no split has both classes.
    """
    with_roc = [name for name, split in splits.items() if len(np.unique(split.labels)) == 2]
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
        metrics = results[name]["videos"]
        title = f"{titles[name]}, {metrics['n']} {metrics['of']}"
        draw_roc(axes, labels, values, metrics, COLOURS[name], title)
    axes.set_title(f"ROC of {name_kinds(results)}")
    axes.set_xlabel("real called fake (FPR), %")
    axes.set_ylabel("fake called fake (1 - FNR), %")
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.11),
        fontsize=8,
        title="dot: EER, thick line: its 95 % interval; in brackets: 95 % intervals",
        title_fontsize=7,
    )
    save_figure(figure, path, footer)


def draw_roc(
    axes: Axes,
    labels: np.ndarray,
    scores: np.ndarray,
    metrics: dict,
    colour: str,
    title: str,
) -> None:
    auc = format_figure(metrics, "auc")
    eer = format_figure(metrics, "eer")
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    axes.plot(100 * fpr, 100 * tpr, color=colour, label=f"{title}: AUC {auc}, EER {eer}")
    ends = interval_of(metrics, "eer")
    axes.plot(
        ends,
        100 - ends,
        color=colour,
        linewidth=5,
        alpha=0.4,
        solid_capstyle="butt",
    )
    crossing = 100 * metrics["eer"]
    axes.plot(crossing, 100 - crossing, "o", color=colour, clip_on=False, zorder=3)


# --- Scores ---


def plot_scores(
    splits: dict[str, Split],
    scores: dict[str, np.ndarray],
    results: dict,
    path: Path,
    footer: str,
    titles: dict[str, str] = TITLES,
) -> None:
    """A histogram of the scores of each split by class; below it the AUC of each method."""
    methods = [results[name].get("methods", {}) for name in splits]
    most = max(map(len, methods))
    heights = [3.8, 1 + 0.3 * most] if most > 1 else [3.6]
    figure = Figure((4.2 * len(splits), 0.3 + sum(heights)), layout="constrained")
    grid = figure.subplots(len(heights), len(splits), squeeze=False, height_ratios=heights)
    for axes, (name, split) in zip(grid[0], splits.items(), strict=True):
        _, labels, values = split.video_scores(scores[name])
        at_threshold = results[name]["videos"]["at_threshold"]
        draw_histogram(axes, labels, values, at_threshold["threshold"])
        axes.set_title(f"{titles[name]}: {len(labels)} {split.of}", parse_math=False)
        axes.set_ylabel(split.of)
    if most > 1:
        for axes, name, of_split in zip(grid[1], splits, methods, strict=True):
            draw_methods(axes, of_split)
            axes.set_title(f"{titles[name]}: method against all reals", fontsize=10)
            axes.set_visible(len(of_split) > 1)
    save_figure(figure, path, footer)


def draw_histogram(
    axes: Axes,
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float,
) -> None:
    parts, names = [], []
    for label, name in enumerate(CLASSES):
        of_class = 100 * scores[labels == label]
        parts.append(of_class)
        names.append(f"{name} (n = {len(of_class)})")
    _, _, bars = axes.hist(
        parts,
        np.linspace(0, 100, 21),
        color=CLASS_COLOURS,
        edgecolor="0.3",
        label=names,
    )
    for bar in bars[1]:
        bar.set_hatch("//")  # apart in print too
    axes.axvline(50, color="0.3", linestyle=":", label="50 %")
    axes.axvline(100 * threshold, color="0.3", linestyle="--", label=f"T = {percent(threshold)}")
    axes.set_xlabel("probability of fake, %")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=8, ncols=2)


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
    if np.isfinite(ends).all():
        axes.plot(ends, (y, y), color=colour, linewidth=2)
    axes.plot(100 * metrics["auc"], y, marker, color=colour, label=label, clip_on=False)


def label_aucs(axes: Axes, names: list[str]) -> None:
    """Name the lines that draw_auc has drawn dots in, and what is seen there."""
    has_intervals = any(len(line.get_xdata()) == 2 for line in axes.lines)
    intervals = "; line: 95 % interval" if has_intervals else ""
    axes.axvline(50, color="0.3", linestyle=":")
    axes.set_xlabel(f"AUC, % (dotted: chance{intervals})", fontsize=9)
    axes.set_xlim(0, 100)
    escaped = [name.replace("$", r"\$") for name in names]
    axes.set_yticks(range(len(names)), escaped, fontsize=7)
    axes.set_ylim(len(names) - 0.5, -0.5)


# --- Unseen methods ---


def plot_unseen(rows: list[dict], path: Path, footer: str) -> None:
    """The AUC of each method when it was not trained on, beside that when it was.

    `rows` are those of features.unseen.measure_unseen.
    """
    figure = Figure((8, 1.8 + 0.6 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = []
    for i, row in enumerate(rows):
        for shift, when, marker, colour in (
            (-0.15, "unseen", "^", COLOURS["val"]),
            (0.15, "seen", "o", COLOURS["train"]),
        ):
            label = f"method {when} in training" if i == 0 else None
            draw_auc(axes, i + shift, row[when], marker, colour, label)
        names.append(f"{row['method']}, {row['split']} (n = {row['seen']['n_fake']})")
    label_aucs(axes, names)
    axes.set_title("Each method's fakes against all reals", fontsize=10)
    figure.legend(loc="outside upper right", fontsize=8, ncols=2)
    save_figure(figure, path, footer)


# --- Features ---


def plot_features(
    splits: dict[str, Split],
    seed: int,
    path: Path,
    footer: str,
    most: int = 600,
) -> None:
    """The features of some frames, as many of each split, in two dimensions.

    By PCA and by t-SNE. Raises InputError where all features are equal. More points hide each
    other, and take t-SNE long.
    """
    rng = np.random.default_rng(seed)
    parts, features = {}, []
    for name, split in splits.items():
        drawn = rng.permutation(len(split.rows))[: most // len(splits)]
        parts[name] = split.part(np.sort(drawn))
        features.append(split.gather(parts[name].rows).numpy())
    scaled = StandardScaler().fit_transform(np.concatenate(features))
    if not scaled.any():
        raise InputError("all features are equal")
    n = len(scaled)
    pca = PCA(min(50, *scaled.shape), random_state=seed)
    tsne = TSNE(perplexity=min(30, (n - 1) / 3), random_state=seed)
    with threadpool_limits(1):  # more would wait for each other by spinning
        reduced = pca.fit_transform(scaled)
        placed = tsne.fit_transform(reduced)

    figure = Figure((11.2, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_points(left, reduced[:, :2], parts)
    left.set_title(f"PCA of {n} frames: the two directions in which they differ most", fontsize=10)
    first, second = pca.explained_variance_ratio_[:2]
    left.set_xlabel(f"component 1 ({percent(first)} of the variance)")
    left.set_ylabel(f"component 2 ({percent(second)} of the variance)")
    draw_points(right, placed, parts)
    right.set_title(f"t-SNE of {n} frames: those that are alike lie together", fontsize=10)
    right.set_xlabel("no unit: who is near means something, distances and directions do not")
    save_figure(figure, path, footer)


def draw_points(axes: Axes, points: np.ndarray, parts: dict[str, Split]) -> None:
    """(n, 2) points: first those of the first part, then those of the next; classes by colour."""
    start = 0
    for name, part in parts.items():
        n = len(part.labels)
        of_part = points[start : start + n]
        start += n
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
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.11),
        fontsize=8,
        markerscale=2,
        ncols=len(parts),
    )
