"""The figures of a split: its frames' scores, the threshold T, results by video and by method."""

import numpy as np
from torch import nn

from features.dataset import Split
from features.metrics import (
    compute_intervals,
    compute_metrics,
    compute_rate_intervals,
    threshold_at_fpr,
)
from features.text import percent


def score_frames(model: nn.Module, split: Split) -> np.ndarray:
    """(n,) float64 scores of the frames of a split, by a model with the method `score`."""
    scores = np.empty(len(split.rows))
    for chunk, features in split.chunks():
        scores[chunk] = model.score(features)
    return scores


def choose_threshold(
    split: Split, scores: np.ndarray, max_fpr: float | None = None
) -> tuple[float, str]:
    """The threshold T by the (n,) scores of the validation frames, and where it comes from.

    The one where FPR and FNR are nearest; 0.5 with one class alone. With `max_fpr`, the lowest one
    whose FPR is at most that.
    """
    _, labels, values = split.video_scores(scores)
    n_fake = labels.sum()
    counts = f"{len(labels) - n_fake} real and {n_fake} fake validation {split.of}"
    if max_fpr is not None and labels.min() == 0:
        origin = f"the lowest with an FPR of at most {percent(max_fpr)} on {counts}"
        return threshold_at_fpr(labels, values, max_fpr), origin
    chosen = compute_metrics(labels, values)["eer_threshold"]
    if chosen is None:
        return 0.5, "as the validation split has one class alone"
    # Halfway to the next score: rounding on another machine must not change what T calls fake.
    below = max(values[values < chosen], default=chosen)
    return float(chosen + below) / 2, f"where FPR and FNR of {counts} are nearest"


def evaluate(split: Split, scores: np.ndarray, threshold: float, intervals: bool = True) -> dict:
    """{"videos": metrics, "frames": metrics, "methods": {name: metrics}} of a split; also "sets".

    `scores` (n,) are those of its frames. The fakes of each method are held against all reals of
    the split. Only the figures of videos have intervals. Where it is not known which frames are of
    one video, each counts as a video, without intervals, and "frames" is missing.
    """
    index, labels, values = split.video_scores(scores)
    people = np.array([split.people(i) for i in index])
    methods = np.array([split.method(i) for i in index])

    def measure(part: np.ndarray) -> dict:
        metrics = {"of": split.of} | compute_metrics(labels[part], values[part], threshold)
        if not split.has_videos:
            return metrics
        names = {name for names in people[part].tolist() for name in names.split(";")}
        metrics |= {"unit": split.unit, "n_units": len(names)}
        if intervals:
            videos = labels[part], values[part], people[part]
            metrics["intervals"] = compute_intervals(*videos)
            metrics["at_threshold"]["intervals"] = compute_rate_intervals(*videos, threshold)
        return metrics

    names = np.unique(methods[labels == 1]).tolist()
    by_method = {}
    if any(names):
        by_method = {name: measure((labels == 0) | (methods == name)) for name in names}
    result = {"videos": measure(np.ones(len(labels), bool))}
    if split.has_videos:
        result["frames"] = compute_metrics(split.labels, scores, threshold)
    sets = np.array([split.row(i).get("set", "") for i in index])
    if any(sets):  # several
        result["sets"] = {name: measure(sets == name) for name in np.unique(sets).tolist()}
    return result | {"methods": by_method}


def list_cells(column: str, value: float | None, interval: list[float] | None) -> dict:
    """The cells of a figure in a CSV: the value, and the ends of its interval; empty where None."""
    low, high = interval or (None, None)
    cells = {column: value, f"{column}_low": low, f"{column}_high": high}
    return {name: cell if cell is None else round(cell, 6) for name, cell in cells.items()}
