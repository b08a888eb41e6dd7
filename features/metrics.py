"""Accuracy, EER and AUC of scores, and their intervals."""

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve


def cross_rates(fpr: np.ndarray, fnr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where FPR and FNR are equal, along the last axis of (..., k) rates: the rate, and the index of the nearest point.

    FPR rises from 0 to 1 and FNR falls from 1 to 0, with a straight line between neighbours.
    """
    gap = fpr - fnr
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    (fpr0, fpr1), (gap0, gap1) = ([np.take_along_axis(x, i, -1) for i in (after - 1, after)] for x in (fpr, gap))
    rate = fpr0 - gap0 / (gap1 - gap0) * (fpr1 - fpr0)
    return rate[..., 0], np.where(-gap0 < gap1, after - 1, after)[..., 0]


def compute_eer(labels, scores) -> tuple[float, float]:
    """Equal error rate, and the threshold nearest to it: predict fake where score >= threshold.

    labels (n,) of 0 and 1 = fake, scores (n,) higher = more fake. The EER is the rate at which the false positive
    rate (real called fake) equals the false negative rate (fake called real). Both are taken on the points of the
    ROC, on which tied scores move together and both end points lie, with a straight line between neighbours.
    The threshold is that of the neighbour where the two rates differ less. Raises ValueError for one class alone.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels of shape {labels.shape} and scores of shape {scores.shape}: expected two of (n,)")
    if not np.array_equal(np.unique(labels), (0, 1)):
        raise ValueError(f"labels have the values {np.unique(labels).tolist()}: the EER needs both 0 and 1")
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    eer, nearest = cross_rates(fpr, 1 - tpr)
    return float(eer), float(thresholds[nearest])


def compute_rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """Accuracy, balanced accuracy, FPR and FNR where score >= threshold is called fake; None without the class."""
    wrong = (scores >= threshold) != labels
    fpr, fnr = (float(wrong[labels == label].mean()) if (labels == label).any() else None for label in (0, 1))
    balanced = None if fpr is None or fnr is None else 1 - (fpr + fnr) / 2
    return {"accuracy": float(1 - wrong.mean()), "balanced_accuracy": balanced, "fpr": fpr, "fnr": fnr}


def compute_metrics(labels: np.ndarray, scores: np.ndarray, threshold: float | None = None) -> dict:
    """The figures of (n,) labels and scores, rates as fractions; None where one class alone leaves none.

    Accuracy, FPR and FNR are those at 0.5, and below `at_threshold` those at the threshold that is given.
    `majority` is the accuracy of always naming the more frequent class.
    """
    n, n_fake = len(labels), int(labels.sum())
    metrics = {"n": n, "n_fake": n_fake, "majority": max(n_fake, n - n_fake) / n, **compute_rates(labels, scores, 0.5)}
    metrics |= dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision"))
    metrics["log_loss"] = float(log_loss(labels, scores, labels=(0, 1)))
    if 0 < n_fake < n:
        metrics["eer"], metrics["eer_threshold"] = compute_eer(labels, scores)
        metrics["auc"] = float(roc_auc_score(labels, scores))
        metrics["average_precision"] = float(average_precision_score(labels, scores))
    if threshold is not None:
        metrics["at_threshold"] = {"threshold": threshold, **compute_rates(labels, scores, threshold)}
    return metrics


def bootstrap_intervals(labels, scores, groups, threshold: float = 0.5, draws: int = 1000, seed: int = 0) -> dict:
    """95 % intervals {figure: [low, high]} of what compute_metrics gives: percentiles over draws of whole groups.

    Groups, (n,), are drawn with replacement, as many as there are (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13). A draw is a weight for each group; all weighted figures are computed side by side.
    Draws that lack a class are left out; None where they are more than a tenth, or where there is one group only.
    """
    names, group = np.unique(groups, return_inverse=True)
    order = np.argsort(-scores, kind="stable")
    labels, scores, group = labels[order], scores[order], group[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # tied scores move together
    called = {"": (scores >= 0.5).sum(), "at_threshold ": (scores >= threshold).sum()}  # fake: the first so many
    losses = -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), np.finfo(float).eps, 1))
    rng, found = np.random.default_rng(seed), []
    for start in range(0, draws, 100):  # so many at a time bound the memory
        size = min(100, draws - start)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size)[:, group].astype(float)
        fakes, reals = (np.pad((weights * (labels == label)).cumsum(1), ((0, 0), (1, 0))) for label in (1, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            tpr, fpr = fakes / fakes[:, -1:], reals / reals[:, -1:]
            figures = {}
            for prefix, k in called.items():
                right = fakes[:, k] + reals[:, -1] - reals[:, k]
                figures[f"{prefix}accuracy"] = right / weights.sum(1)
                figures[f"{prefix}balanced_accuracy"] = (tpr[:, k] + 1 - fpr[:, k]) / 2
                figures[f"{prefix}fpr"], figures[f"{prefix}fnr"] = fpr[:, k], 1 - tpr[:, k]
            precision = fakes[:, ends + 1] / (fakes + reals)[:, ends + 1]
            tpr, fpr = (np.pad(rate[:, ends + 1], ((0, 0), (1, 0))) for rate in (tpr, fpr))
            figures["eer"] = cross_rates(fpr, 1 - tpr)[0]
            figures["auc"] = np.trapezoid(tpr, fpr, axis=1)
            figures["average_precision"] = (np.diff(tpr) * np.nan_to_num(precision)).sum(1)
            figures["log_loss"] = weights @ losses / weights.sum(1)
        both = (fakes[:, -1] > 0) & (reals[:, -1] > 0)
        found.append({name: values[both] for name, values in figures.items()})
    values = {name: np.concatenate([block[name] for block in found]) for name in found[0]}
    if len(names) < 2 or len(values["auc"]) < 0.9 * draws:
        return dict.fromkeys(values)
    return {name: np.percentile(drawn, (2.5, 97.5)).tolist() for name, drawn in values.items()}


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"
