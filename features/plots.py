"""Pictures of figures: training curves, ROC, scores, the features in two dimensions."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import roc_curve
from sklearn.preprocessing import StandardScaler

from data.files import InputError, replacing
from data.layouts import CLASSES
from features.metrics import percent
from features.splits import Split

TITLES = {"train": "Training Set", "val": "Validation Set", "test": "Test Set"}
# Okabe and Ito: apart for the colour-blind too
COLOURS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}
CLASS_COLOURS = ("#56B4E9", "#E69F00")
MARKERS = {"train": "o", "val": "^", "test": "s"}


def save_figure(figure: Figure, path: Path, footer: str = "", dpi: int = 120) -> None:
    """Write a picture, with a small line at the bottom that says what it is of."""
    if footer:
        lines = textwrap.fill(footer, int(18 * figure.get_figwidth()))  # letters that fit
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color="0.4", parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def interval_of(metrics: dict, key: str) -> np.ndarray:
    """(2,) ends of a figure's interval in percent; NaN, which is not drawn, where it has none."""
    ends = metrics.get("intervals", {}).get(key)
    return 100 * np.array(ends or (np.nan, np.nan))


def describe_figure(metrics: dict, key: str) -> str:
    """A figure with its interval, if it has one."""
    low, high = interval_of(metrics, key)
    return percent(metrics[key]) + ("" if np.isnan(low) else f" [{low:.1f}, {high:.1f}]")


# --- Training curves ------------------------------------------------------------------------------


def plot_curves(histories: list[list[dict]], results: dict, path: Path, footer: str) -> None:
    """Loss, accuracy and EER by epoch; of several seeds the mean, and the range as a band."""
    unit = next(iter(results["train"]))
    figure = Figure((12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    of_seeds = f", mean and range of {len(histories)} seeds" if len(histories) > 1 else ""
    for axes, key, title in (
        (left, "log_loss", "log loss"),
        (middle, "accuracy", "accuracy at 0.5"),
        (right, "eer", "EER"),
    ):
        draw_curve(axes, histories, key, {name: results[name][unit]["n"] for name in results})
        axes.set_title(f"{title} of {unit}{of_seeds}", fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
        if key == "log_loss":
            axes.set_ylabel("nats")
        else:
            axes.set(ylabel="%", ylim=(-2, 102))
    save_figure(figure, path, footer)


def draw_curve(axes: Axes, histories: list[list[dict]], key: str, n: dict[str, int]) -> None:
    """A figure by epoch, of the training and of the validation split."""
    epochs = [record["epoch"] for record in histories[0]]
    scale = 1 if key == "log_loss" else 100
    for split, marker in (("train", "."), ("val", "s")):
        of_seeds = [[record[f"{split}_{key}"] for record in history] for history in histories]
        values = scale * np.array(of_seeds, float)  # None becomes NaN, which is not drawn
        colour, label = COLOURS[split], f"{TITLES[split]} (n = {n[split]})"
        axes.plot(epochs, values.mean(0), color=colour, marker=marker, markersize=4, label=label)
        lowest, highest = values.min(0), values.max(0)
        axes.fill_between(epochs, lowest, highest, color=colour, alpha=0.2, linewidth=0)


# --- ROC ------------------------------------------------------------------------------------------


def plot_roc(
    splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path, footer: str
) -> None:
    """ROC curves with their EER, of which the thick line is the 95 % interval."""
    figure = Figure((6.4, 7.8), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 100), (0, 100), color="0.6", linewidth=1, linestyle="--")
    axes.annotate("chance", (75, 75), (76, 71), color="0.4", fontsize=8)
    axes.plot((0, 100), (100, 0), color="0.6", linewidth=1, linestyle=":")
    axes.annotate("FPR = FNR", (75, 25), (76, 25), color="0.4", fontsize=8)
    for name, split in splits.items():
        unit, labels, values = split.by_unit(scores[name])
        metrics = results[name][unit]
        if metrics["eer"] is None:  # one class alone has no ROC
            continue
        fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
        colour = COLOURS[name]
        figures = f"AUC {describe_figure(metrics, 'auc')}, EER {describe_figure(metrics, 'eer')}"
        label = f"{TITLES[name]}, {metrics['n']} {unit}: {figures}"
        axes.plot(100 * fpr, 100 * tpr, color=colour, label=label)
        eer, ends = 100 * metrics["eer"], interval_of(metrics, "eer")
        axes.plot(ends, 100 - ends, color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
        axes.plot(eer, 100 - eer, "o", color=colour, clip_on=False, zorder=3)
    axes.set(xlabel="real called fake (FPR), %", ylabel="fake called fake (1 - FNR), %")
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal", title=f"ROC of {unit}")
    note = "dot: EER, thick line: its 95 % interval; in brackets: 95 % intervals"
    legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), fontsize=8, title=note)
    legend.get_title().set_fontsize(7)
    save_figure(figure, path, footer)


# --- Scores ---------------------------------------------------------------------------------------


def plot_scores(
    splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path, footer: str
) -> None:
    """A histogram of the scores of each split by class; below it the AUC of each method."""
    methods = {name: results[name].get("methods", {}) for name in splits}
    n_rows = 2 if any(len(of_split) > 1 for of_split in methods.values()) else 1
    figure = Figure((4.2 * len(splits), 0.3 + 3.6 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, len(splits), squeeze=False)
    for axes, (name, split) in zip(grid[0], splits.items(), strict=True):
        unit, labels, values = split.by_unit(scores[name])
        threshold = results[name]["frames"]["at_threshold"]["threshold"]
        draw_histogram(axes, labels, values, threshold)
        axes.set(title=f"{TITLES[name]}: {len(labels)} {unit}", ylabel=unit)
    for axes, (name, of_split) in zip(grid[1:].flat, methods.items(), strict=False):
        draw_methods(axes, of_split, COLOURS[name])
        axes.set_title(f"{TITLES[name]}: method against all reals", fontsize=10)
        axes.set_visible(len(of_split) > 1)
    save_figure(figure, path, footer)


def draw_histogram(axes: Axes, labels: np.ndarray, scores: np.ndarray, threshold: float) -> None:
    parts = [scores[labels == label] for label in (0, 1)]
    names = [f"{CLASSES[label]} (n = {len(parts[label])})" for label in (0, 1)]
    edges = np.linspace(0, 1, 21)
    *_, (_, fakes) = axes.hist(parts, edges, color=CLASS_COLOURS, edgecolor="0.3", label=names)
    for bar in fakes:
        bar.set_hatch("//")  # apart in print too
    axes.axvline(0.5, color="0.3", linestyle=":", label="0.5")
    axes.axvline(threshold, color="0.3", linestyle="--", label=f"T = {threshold:.3f}")
    axes.set_xlabel("probability of fake")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def draw_methods(axes: Axes, methods: dict[str, dict], colour: str) -> None:
    """A bar for the AUC of each method, with its interval."""
    for method, metrics in methods.items():
        if metrics["auc"] is None:
            continue
        name = method.replace("$", r"\$") or "not named"
        label = f"{name} (n = {metrics['n_fake']})"
        axes.barh(label, 100 * metrics["auc"], color=colour)
        axes.plot(interval_of(metrics, "auc"), (label, label), color="black", marker="|")
    axes.axvline(50, color="0.3", linestyle=":")
    axes.set(xlabel="AUC, % (95 % interval)", xlim=(0, 105))
    axes.tick_params("y", labelsize=7)


# --- Features -------------------------------------------------------------------------------------


def plot_features(
    splits: dict[str, Split], seed: int, path: Path, footer: str, most: int = 2000
) -> None:
    """The features of some frames, as many of each split, in two dimensions, by PCA and t-SNE."""
    rng = np.random.default_rng(seed)
    parts = {}
    for name, split in splits.items():
        drawn = rng.permutation(len(split.rows))[: most // len(splits)]
        parts[name] = split.part(np.sort(drawn))
    features = [part.gather(part.rows).numpy() for part in parts.values()]
    features = StandardScaler().fit_transform(np.concatenate(features))
    if not features.any():
        raise InputError("all features are equal")
    pca = PCA(min(50, *features.shape), random_state=seed)
    reduced = pca.fit_transform(features)
    perplexity = min(30, (len(reduced) - 1) / 3)
    neighbours = TSNE(perplexity=perplexity, random_state=seed).fit_transform(reduced)
    shares = [percent(share) for share in pca.explained_variance_ratio_[:2]]

    figure = Figure((11.2, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_points(left, reduced[:, :2], parts)
    left.set_title(f"PCA of {len(reduced)} frames")
    left.set_xlabel(f"component 1 ({shares[0]} of the variance)")
    left.set_ylabel(f"component 2 ({shares[1]} of the variance)")
    draw_points(right, neighbours, parts)
    right.set_title(f"t-SNE of {len(reduced)} frames")
    right.set_xlabel("no unit: neighbours alone mean something")
    save_figure(figure, path, footer)


def draw_points(axes: Axes, points: np.ndarray, parts: dict[str, Split]) -> None:
    """(n, 2) points, those of one part after those of the other; classes have colours."""
    start = 0
    for name, part in parts.items():
        of_part = points[start : start + len(part.labels)]
        start += len(part.labels)
        for label, colour in enumerate(CLASS_COLOURS):
            x, y = of_part[part.labels == label].T
            title = f"{name}, {CLASSES[label]} (n = {len(x)})"
            style = {"s": 9, "marker": MARKERS[name], "alpha": 0.6, "linewidth": 0}
            axes.scatter(x, y, color=colour, label=title, **style)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncols": len(parts)}
    axes.legend(fontsize=8, markerscale=2, **place)
