"""Pictures of figures: training curves, ROC, scores, the features in two dimensions."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import DetCurveDisplay, roc_curve
from sklearn.preprocessing import StandardScaler

from data.files import InputError, replacing
from data.layouts import CLASSES
from features.metrics import percent
from features.splits import Split

TITLES = {"train": "Training Set", "val": "Validation Set", "test": "Test Set"}
CLASS_COLOURS = ("#56B4E9", "#E69F00")
COLOURS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}  # Okabe and Ito: apart for the colour-blind too


def save_figure(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def format_figure(metrics: dict, key: str) -> str:
    """A figure with its interval, if it has one."""
    value = metrics["at_threshold"][key.split()[1]] if key.startswith("at_threshold") else metrics[key]
    interval = metrics.get("intervals", {}).get(key)
    if key == "log_loss":
        return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
    return percent(value) + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def interval(metrics: dict, key: str) -> np.ndarray:
    """(2,) ends of a figure's interval in percent; NaN, which is not drawn, where it has none."""
    return 100 * np.array(metrics.get("intervals", {}).get(key) or (np.nan, np.nan))


def plot_curves(histories: list[list[dict]], results: dict, path: Path) -> None:
    """Loss, accuracy and EER by epoch; of several seeds the mean, and the range as a band."""
    unit = next(iter(results["train"]))
    figure = Figure((12, 3.8), layout="constrained")
    panels = (("log loss", "log_loss", "nats"), ("accuracy at 0.5", "accuracy", "%"), ("EER", "eer", "%"))
    of_seeds = f", mean and range of {len(histories)} seeds" if len(histories) > 1 else ""
    epochs = [record["epoch"] for record in histories[0]]
    for axes, (title, key, axis_unit) in zip(figure.subplots(1, 3), panels, strict=True):
        for split, marker in (("train", "."), ("val", "s")):
            values = np.array([[record[f"{split}_{key}"] for record in history] for history in histories], float)
            values *= 1 if axis_unit == "nats" else 100  # None has become NaN
            label = f"{TITLES[split]} (n = {results[split][unit]['n']})"
            axes.plot(epochs, values.mean(0), color=COLOURS[split], marker=marker, markersize=4, label=label)
            axes.fill_between(epochs, values.min(0), values.max(0), color=COLOURS[split], alpha=0.2, linewidth=0)
        axes.set_title(f"{title} of {unit}{of_seeds}", fontsize=10)
        axes.set(xlabel="epoch", ylabel=axis_unit, ylim=None if axis_unit == "nats" else (-2, 102))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_roc(splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path) -> None:
    """ROC curves with their EER, of which the thick line is the 95 % interval, and DET curves."""
    figure = Figure((11, 5.4), layout="constrained")
    roc, det = figure.subplots(1, 2)
    roc.plot((0, 100), (100, 0), color="0.7", linewidth=1, linestyle=":")
    roc.annotate("FPR = FNR", (50, 50), (52, 51), color="0.4", fontsize=8)
    for name, split in splits.items():
        unit, labels, values = split.by_unit(scores[name])
        metrics = results[name][unit]
        if metrics["eer"] is None:  # one class alone has no ROC
            continue
        fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
        figures = f"AUC {format_figure(metrics, 'auc')}, EER {format_figure(metrics, 'eer')}"
        roc.plot(100 * fpr, 100 * tpr, color=COLOURS[name], label=f"{TITLES[name]}\n{figures}")
        ends = interval(metrics, "eer")
        roc.plot(ends, 100 - ends, color=COLOURS[name], linewidth=5, alpha=0.4, solid_capstyle="butt")
        roc.plot(100 * metrics["eer"], 100 - 100 * metrics["eer"], "o", color=COLOURS[name], clip_on=False)
        title = TITLES[name] + (": no errors, outside the picture" if metrics["auc"] == 1 else "")
        DetCurveDisplay.from_predictions(labels, values, ax=det, name=title, color=COLOURS[name])
    counts = f"{unit}: " + ", ".join(f"{name} n = {metrics[unit]['n']}" for name, metrics in results.items())
    roc.set(xlabel="real called fake (FPR), %", ylabel="fake called fake (1 - FNR), %", title=f"ROC of {counts}")
    roc.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    det.set(xlabel="real called fake (FPR)", ylabel="fake called real (FNR)", title=f"DET of {counts}")
    roc.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=8)
    det.legend(loc="upper right", fontsize=8)
    save_figure(figure, path)


def plot_scores(splits: dict[str, Split], scores: dict[str, np.ndarray], results: dict, path: Path) -> None:
    """A histogram of the scores of each split by class, with the thresholds; below them each method's AUC."""
    methods = {name: of.get("methods", {}) for name, of in results.items()}
    n_rows = 2 if any(len(of) > 1 for of in methods.values()) else 1
    figure = Figure((4.2 * len(splits), 3.6 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, len(splits), squeeze=False)
    for axes, (name, split) in zip(grid[0], splits.items(), strict=True):
        unit, labels, values = split.by_unit(scores[name])
        parts = [values[labels == label] for label in (0, 1)]
        names = [f"{CLASSES[label]} (n = {len(parts[label])})" for label in (0, 1)]
        *_, (_, fakes) = axes.hist(parts, np.linspace(0, 1, 21), color=CLASS_COLOURS, edgecolor="0.3", label=names)
        for bar in fakes:
            bar.set_hatch("//")  # apart in print too
        axes.axvline(0.5, color="0.3", linestyle=":", label="0.5")
        threshold = results[name]["frames"]["at_threshold"]["threshold"]
        axes.axvline(threshold, color="0.3", linestyle="--", label=f"T = {threshold:.3f}")
        axes.set(title=f"{TITLES[name]}: {len(labels)} {unit}", xlabel="probability of fake", ylabel=unit)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    for axes, (name, of) in zip(grid[1:].flat, methods.items(), strict=False):
        axes.set_visible(len(of) > 1)
        for method, metrics in of.items():
            if metrics["auc"] is not None:
                title = f"{method or 'not named'} (n = {metrics['n_fake']})".replace("$", r"\$")
                axes.barh(title, 100 * metrics["auc"], color=COLOURS[name])
                axes.plot(interval(metrics, "auc"), (title, title), color="black", marker="|")
        axes.axvline(50, color="0.3", linestyle=":")
        axes.set(title=f"{TITLES[name]}: method against all reals", xlabel="AUC, % (95 % interval)", xlim=(0, 105))
        axes.tick_params("y", labelsize=7)
    save_figure(figure, path)


def plot_features(splits: dict[str, Split], seed: int, path: Path, most: int = 2000) -> None:
    """The features of some frames, as many of each split, in two dimensions, by PCA and by t-SNE."""
    rng, n = np.random.default_rng(seed), most // len(splits)
    splits = {name: split.part(np.sort(rng.permutation(len(split.rows))[:n])) for name, split in splits.items()}
    features = np.concatenate([split.features[split.rows].numpy() for split in splits.values()])
    labels = np.concatenate([split.labels for split in splits.values()])
    names = np.repeat(list(splits), [len(split.rows) for split in splits.values()])
    features = StandardScaler().fit_transform(features)
    if not features.any():
        raise InputError("all features are equal")
    pca = PCA(min(50, *features.shape), random_state=seed)
    reduced = pca.fit_transform(features)
    neighbours = TSNE(perplexity=min(30, (len(labels) - 1) / 3), random_state=seed).fit_transform(reduced)
    first, second = (f"{percent(share)} of the variance" for share in pca.explained_variance_ratio_[:2])
    figure = Figure((11.2, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(title=f"PCA of {len(labels)} frames", xlabel=f"component 1 ({first})", ylabel=f"component 2 ({second})")
    right.set(title=f"t-SNE of {len(labels)} frames", xlabel="no unit: neighbours alone mean something")
    for axes, points in ((left, reduced[:, :2]), (right, neighbours)):
        for name, marker in zip(splits, "o^s", strict=False):
            for label, colour in enumerate(CLASS_COLOURS):
                mine = (names == name) & (labels == label)
                title = f"{name}, {CLASSES[label]} (n = {mine.sum()})"
                axes.scatter(*points[mine].T, s=9, marker=marker, color=colour, alpha=0.6, linewidth=0, label=title)
        axes.legend(fontsize=8, markerscale=2)
    save_figure(figure, path)
