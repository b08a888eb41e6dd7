"""Accuracy, EER and AUC of scores, at 0.5 and at T, and their 95 % intervals."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

Z = NormalDist().inv_cdf(0.975)  # 1.96: the intervals are 95 % intervals


def percent(fraction: float | None) -> str:
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def check_scores(labels, scores) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores as arrays (n,). Raises ValueError for wrong shapes and values."""
    labels = np.asarray(labels)
    scores = np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        found = f"labels of shape {labels.shape} and scores of shape {scores.shape}"
        raise ValueError(f"{found}: expected two of (n,)")
    values = np.unique(labels).tolist()
    if not values or not set(values) <= {0, 1}:
        raise ValueError(f"labels have the values {values}: expected 0 and 1")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity")
    return labels.astype(int), scores


def compute_eer(labels, scores) -> tuple[float, float]:
    """Equal error rate, and the threshold nearest to it: predict fake where score >= threshold.

    labels (n,) of 0 and 1 = fake, scores (n,) higher = more fake. The EER is the rate at which
    the false positive rate (real called fake) equals the false negative rate (fake called real).
    Both are taken on the points of the ROC, with a straight line between neighbours; tied scores
    move together, and both end points are points too. The threshold is that of the neighbour
    where the two rates differ less. Raises ValueError for one class alone.
    """
    labels, scores = check_scores(labels, scores)
    if labels.min() == labels.max():
        raise ValueError(f"labels have the values [{labels[0]}]: the EER needs both 0 and 1")
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    gap = fpr - (1 - tpr)  # rises from -1 to 1
    after = np.argmax(gap >= 0)
    before = after - 1
    way = -gap[before] / (gap[after] - gap[before])
    eer = fpr[before] + way * (fpr[after] - fpr[before])
    nearest = before if -gap[before] < gap[after] else after
    return float(eer), float(thresholds[nearest])


def compute_rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """Accuracy, balanced accuracy, FPR and FNR where score >= threshold is called fake.

    None where a class that the figure needs is missing.
    """
    wrong = (scores >= threshold) != labels
    rates = {
        "accuracy": float(1 - wrong.mean()),
        "balanced_accuracy": None,
        "fpr": None,
        "fnr": None,
    }
    for name, label in (("fpr", 0), ("fnr", 1)):
        of_class = wrong[labels == label]
        if len(of_class):
            rates[name] = float(of_class.mean())
    if None not in (rates["fpr"], rates["fnr"]):
        rates["balanced_accuracy"] = 1 - (rates["fpr"] + rates["fnr"]) / 2
    return rates


def compute_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float | None = None,
) -> dict:
    """The figures of (n,) labels and scores, as fractions; None where a class is missing.

    Accuracy, FPR and FNR are those at 0.5, and below `at_threshold` those at a given threshold.
    `majority` is the accuracy of always naming the more frequent class.
    """
    n = len(labels)
    n_fake = int(labels.sum())
    metrics = {
        "n": n,
        "n_fake": n_fake,
        "majority": max(n_fake, n - n_fake) / n,
    }
    metrics |= compute_rates(labels, scores, 0.5)
    metrics |= dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision"))
    metrics["log_loss"] = float(log_loss(labels, scores, labels=(0, 1)))
    if 0 < n_fake < n:
        metrics["eer"], metrics["eer_threshold"] = compute_eer(labels, scores)
        metrics["auc"] = float(roc_auc_score(labels, scores))
        metrics["average_precision"] = float(average_precision_score(labels, scores))
    if threshold is not None:
        rates = compute_rates(labels, scores, threshold)
        metrics["at_threshold"] = {"threshold": threshold, **rates}
    return metrics


# --- Intervals ------------------------------------------------------------------------------------


def student_quantile(df: int) -> float:
    """The 97.5 % quantile of Student's t, as a series in z (Abramowitz and Stegun 26.7.5).

    Within 1 % of the true value from two degrees of freedom on, 11 % too small for one.
    """
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / df**power for power, term in enumerate(terms, start=1))


@dataclass(frozen=True)
class Estimate:
    """A figure of some videos, and what each group of them does to it."""

    share: float
    influence: np.ndarray  # (groups,), the sum over a group's videos; all together 0
    n: float  # at most as many independent videos would tell as much
    n_groups: int


def find_interval(estimate: Estimate) -> list[float] | None:
    """[low, high] of a figure that is a share.

    Videos of a group err together: influences are summed by group, and the squares of the sums
    give the variance (Obuchowski 1997). As many independent videos as would have that variance, at
    most the real number, and less where groups are few (Korn and Graubard 1998), go into Wilson's
    interval.
    """
    share, n_groups = estimate.share, estimate.n_groups
    if n_groups < 2:
        return None
    variance = n_groups / (n_groups - 1) * (estimate.influence @ estimate.influence)
    spread = share * (1 - share)
    if spread < 1e-12:  # nothing is wrong, or everything: nothing tells how alike a group is
        effective = n_groups
    else:
        effective = min(estimate.n, spread / max(variance, 1e-30))
        effective *= (Z / student_quantile(n_groups - 1)) ** 2
    # Wilson 1927
    shrink = 1 + Z**2 / effective
    centre = (share + Z**2 / (2 * effective)) / shrink
    half = Z * np.sqrt(spread / effective + (Z / (2 * effective)) ** 2) / shrink
    # rounding must not leave the share itself outside
    low = max(0, min(share, centre - half))
    high = min(1, max(share, centre + half))
    return [float(low), float(high)]


def place(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of the `others` that lies below each score; of those equal to it, half."""
    others = np.sort(others)
    below = np.searchsorted(others, scores, side="left")
    not_above = np.searchsorted(others, scores, side="right")
    return (below + not_above) / (2 * len(others))


def count(group: np.ndarray) -> int:
    """The number of different groups."""
    return len(np.unique(group))


def check_videos(labels, scores, groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and numbers of the groups from 0 on, as arrays (n,).

    Raises ValueError for other shapes and for scores that are not finite.
    """
    labels, scores = check_scores(labels, scores)
    groups = np.asarray(groups, dtype=str)
    if groups.shape != labels.shape:
        raise ValueError(f"groups of shape {groups.shape}: expected {labels.shape} as of labels")
    return labels, scores, np.unique(groups, return_inverse=True)[1]


def estimate_share(outcome: np.ndarray, part: np.ndarray, group: np.ndarray) -> Estimate | None:
    """The share of the videos in `part` (n,) whose `outcome` (n,) is true; None of no videos."""
    n = int(part.sum())
    if n == 0:
        return None
    share = outcome[part].mean()
    influence = np.where(part, (outcome - share) / n, 0)
    return Estimate(share, np.bincount(group, influence), n, count(group[part]))


def estimate_figures(
    labels: np.ndarray,
    scores: np.ndarray,
    group: np.ndarray,
    threshold: float,
) -> dict[str, Estimate | None]:
    """Accuracy, EER and AUC with the influence of each group; None where a class is missing.

    Each figure is a share, and each video has an influence on it. For the accuracy it is right or
    wrong, for the EER right or wrong at the EER's threshold, and for the AUC it lies above some
    share of the other class (DeLong 1988).
    """
    n = len(labels)
    right = (scores >= threshold) == labels
    figures = {"accuracy": estimate_share(right, np.full(n, True), group), "eer": None, "auc": None}
    if labels.min() == labels.max():
        return figures

    eer, eer_threshold = compute_eer(labels, scores)
    wrong = (scores >= eer_threshold) != labels
    reals, fakes = scores[labels == 0], scores[labels == 1]
    auc = place(fakes, reals).mean()
    eer_influence, auc_influence = np.empty(n), np.empty(n)
    for label, placed in ((0, 1 - place(reals, fakes)), (1, place(fakes, reals))):
        mine = labels == label
        wrong_rate = wrong[mine].mean()
        eer_influence[mine] = (wrong[mine] - wrong_rate) / (2 * len(placed))
        auc_influence[mine] = (placed - auc) / len(placed)
    # of classes of different size: as many videos, half of each class, would tell as much
    n_balanced = 4 / (1 / len(reals) + 1 / len(fakes))
    n_groups = min(count(group[labels == 0]), count(group[labels == 1]))
    for name, share, influence in (("eer", eer, eer_influence), ("auc", auc, auc_influence)):
        figures[name] = Estimate(share, np.bincount(group, influence), n_balanced, n_groups)
    return figures


def compute_intervals(labels, scores, groups, threshold: float = 0.5) -> dict:
    """95 % intervals {"accuracy": [low, high], "eer": ..., "auc": ...} of videos in groups.

    labels, scores, groups (n,); the accuracy is that at the threshold. None where there is one
    group, and for EER and AUC where a class has one group or none. Raises ValueError for other
    shapes and for scores that are not finite.
    """
    figures = estimate_figures(*check_videos(labels, scores, groups), threshold)
    return {name: found and find_interval(found) for name, found in figures.items()}


def compare_scores(
    labels,
    scores_a,
    scores_b,
    groups,
    threshold_a: float = 0.5,
    threshold_b: float = 0.5,
) -> dict:
    figures_a = estimate_figures(*check_videos(labels, scores_a, groups), threshold_a)
    figures_b = estimate_figures(*check_videos(labels, scores_b, groups), threshold_b)
