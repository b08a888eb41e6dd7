"""Accuracy, EER, AUC and operating points of scores, 95 % intervals, the difference of two."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

Z = NormalDist().inv_cdf(0.975)  # 1.96: the intervals are 95 % intervals
FEW_VIDEOS = 5  # of a class: with fewer an EER or an AUC means nothing
LOW_FPRS = (0.01, 0.05)  # where metrics.json says how many fakes are found


def check_scores(labels, scores) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores as arrays (n,). Raises ValueError for wrong shapes and values."""
    labels = np.asarray(labels)
    scores = np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        found = f"labels of {labels.shape}, scores of {scores.shape}"
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
    the false positive rate (real called fake) equals the false negative rate (fake called real),
    on the points of the ROC, end points too, with a straight line between neighbours; tied scores
    move together. The threshold is that of the neighbour where the two rates differ less. Raises
    ValueError for one class alone.
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


def compute_tpr_at_fpr(labels, scores, fpr: float) -> float | None:
    """The share of fakes called fake at the threshold where this share of reals is, too.

    On the ROC as compute_eer; where it rises straight up, the upper end. None without fakes, and
    with fewer than 1 / fpr reals, since one of them alone is more than this share.
    """
    n_fake = np.sum(labels)
    if n_fake == 0 or len(labels) - n_fake < 1 / fpr:
        return None
    fprs, tprs, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(np.interp(fpr, fprs, tprs))


def threshold_at_fpr(labels: np.ndarray, scores: np.ndarray, max_fpr: float) -> float:
    """The lowest threshold at which at most this share (below 1) of the reals is called fake.

    labels (n,) with a real, scores (n,) from 0 to 1. Above the highest real that may not be called
    fake it lies halfway to the next higher score, or to 1 where there is none, so that rounding on
    another machine does not move a video. Above 1 if that real has 1.
    """
    reals = np.sort(scores[labels == 0])[::-1]
    shares = np.arange(1, len(reals) + 1) / len(reals)  # called fake down to each real
    highest = float(reals[shares > max_fpr][0])
    higher = float(min(scores[scores > highest], default=1))
    return max((highest + higher) / 2, math.nextafter(highest, math.inf))


def compute_rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """Accuracy, balanced accuracy, FPR and FNR where score >= threshold is called fake.

    None where a class that the figure needs is missing.
    """
    wrong = (scores >= threshold) != labels
    classes = wrong[labels == 0], wrong[labels == 1]
    fpr, fnr = (float(each.mean()) if len(each) else None for each in classes)
    rates = {"accuracy": float(1 - wrong.mean()), "balanced_accuracy": None, "fpr": fpr, "fnr": fnr}
    if None not in (fpr, fnr):
        rates["balanced_accuracy"] = 1 - (fpr + fnr) / 2
    return rates


def compute_metrics(labels: np.ndarray, scores: np.ndarray, threshold: float | None = None) -> dict:
    """The figures of (n,) labels and scores, as fractions; None where a class is missing.

    Accuracy, FPR and FNR are those at 0.5, and below `at_threshold` those at a given threshold.
    `majority` is the accuracy of always naming the more frequent class.
    """
    n = len(labels)
    n_fake = int(labels.sum())
    metrics = {"n": n, "n_fake": n_fake, "majority": max(n_fake, n - n_fake) / n}
    metrics |= compute_rates(labels, scores, 0.5)
    metrics |= dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision"))
    metrics["log_loss"] = float(log_loss(labels, scores, labels=(0, 1)))
    if 0 < n_fake < n:
        metrics["eer"], metrics["eer_threshold"] = compute_eer(labels, scores)
        metrics["auc"] = float(roc_auc_score(labels, scores))
        metrics["average_precision"] = float(average_precision_score(labels, scores))
    metrics["tpr_at_fpr"] = {str(fpr): compute_tpr_at_fpr(labels, scores, fpr) for fpr in LOW_FPRS}
    if threshold is not None:
        rates = compute_rates(labels, scores, threshold)
        metrics["at_threshold"] = {"threshold": threshold} | rates
    return metrics


# --- Intervals ---


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
    """A figure that is a share, and what the videos of each person do to it."""

    share: float
    of_people: np.ndarray  # each the sum of the influences of the person's videos
    of_pairs: np.ndarray  # the same of the videos that show both of two people
    n: float  # of as many independent videos, at most
    n_people: int
    per_video: float  # people, 1 to 2

    def variance(self) -> float:
        """The variance of the figure by the influences on it.

        Videos that share a person err together, others do not (Obuchowski 1997); each two that do
        count once, also where they share both people (Aronow, Samii and Assenova 2015). Without a
        person the figure is of a share per_video / n_people fewer videos, which the jackknife's
        factor allows for: where each video shows one, it is n / (n - 1).
        """
        n = self.n_people
        squares = max(0.0, self.of_people @ self.of_people - self.of_pairs @ self.of_pairs)
        fewer = (n - 1) / max(1.0, n - self.per_video)
        return n / (n - 1) * squares * fewer**2

    def effective_number(self) -> float:
        """As many independent videos as would have the variance of the estimate.

        At most their real number, and less where people are few (Korn and Graubard 1998).
        """
        spread = self.share * (1 - self.share)
        if (
            spread < 1e-12
        ):  # nothing is wrong, or everything: nothing tells how alike a person's are
            return self.n_people
        effective = min(self.n, spread / max(self.variance(), 1e-30))
        return effective * (Z / student_quantile(self.n_people - 1)) ** 2


class People:
    """Who is in each of n videos, as numbers from 0 on; of more than two people the first two."""

    def __init__(self, names: Iterable[str]) -> None:
        """names: those of the people in a video, with `;` between them."""
        both = [(name.split(";") * 2)[:2] for name in names]  # one person twice
        known, people = np.unique(both, return_inverse=True)
        people = people.reshape(-1, 2)
        pair = np.unique(np.sort(people, axis=1), axis=0, return_inverse=True)[1]
        self.n_known = len(known)
        self.first, self.second, self.pair = *people.T, pair.reshape(-1)
        self.are_two = self.first != self.second

    def count(self, part: np.ndarray) -> int:
        """The number of people in the videos of a mask (n,)."""
        return len(np.union1d(self.first[part], self.second[part]))

    def estimate(self, share: float, influence: np.ndarray, n: float, n_people: int) -> Estimate:
        """A figure by the (n,) influences of the videos on it."""
        of_two = influence * self.are_two
        of_people = np.bincount(self.first, influence, self.n_known)
        of_people += np.bincount(self.second, of_two, self.n_known)
        of_pairs = np.bincount(self.pair, of_two)
        per_video = 1 + float(np.mean(self.are_two))
        return Estimate(share, of_people, of_pairs, n, n_people, per_video)

    def estimate_share(self, outcome: np.ndarray, part: np.ndarray) -> Estimate | None:
        """The share of the videos in a part (n,) whose outcome (n,) is true; None of no videos."""
        n = int(part.sum())
        if n == 0:
            return None
        share = outcome[part].mean()
        influence = np.where(part, (outcome - share) / n, 0)
        return self.estimate(share, influence, n, self.count(part))


def find_interval(estimate: Estimate | None) -> list[float] | None:
    """[low, high] of a figure: Wilson's interval (1927) of the effective number of videos."""
    if estimate is None or estimate.n_people < 2:
        return None
    share = estimate.share
    effective = estimate.effective_number()
    shrink = 1 + Z**2 / effective
    centre = (share + Z**2 / (2 * effective)) / shrink
    half = Z * np.sqrt(share * (1 - share) / effective + (Z / (2 * effective)) ** 2) / shrink
    # rounding must not leave the share itself outside
    low = max(0, min(share, centre - half))
    high = min(1, max(share, centre + half))
    return [float(low), float(high)]


def compare_estimates(a: Estimate | None, b: Estimate | None, same: bool) -> dict:
    """{"difference": b - a, "interval": [low, high]} of a figure of two scorers of the same videos.

    The difference of the influences is the influence of the difference, and Student's t makes the
    interval of its variance. Two scorers that err alike here may differ on other videos: the
    variance is at least that of two videos judged otherwise, one in favour of each. Only the
    `same` scores twice differ nowhere.
    """
    difference = None if a is None else float(b.share - a.share)
    if a is None or a.n_people < 2:
        return {"difference": difference, "interval": None}
    of_people, of_pairs = b.of_people - a.of_people, b.of_pairs - a.of_pairs
    variance = replace(b, of_people=of_people, of_pairs=of_pairs).variance()
    least = Z * np.sqrt(2) / max(a.effective_number(), b.effective_number())
    half = max(student_quantile(a.n_people - 1) * np.sqrt(variance), least)
    half = 0.0 if same else float(half)
    interval = [max(-1.0, difference - half), min(1.0, difference + half)]
    return {"difference": difference, "interval": interval}


def placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of the `others` below each score, of those equal to it half (DeLong 1988)."""
    others = np.sort(others)
    below = np.searchsorted(others, scores, side="left")
    not_above = np.searchsorted(others, scores, side="right")
    return (below + not_above) / (2 * len(others))


def check_videos(labels, scores, groups) -> tuple[np.ndarray, np.ndarray, People]:
    """Labels and scores as arrays (n,), and who is in each video. Raises ValueError."""
    labels, scores = check_scores(labels, scores)
    groups = np.asarray(groups, dtype=str)
    if groups.shape != labels.shape:
        raise ValueError(f"groups of {groups.shape}: expected {labels.shape} as of labels")
    return labels, scores, People(groups.tolist())


def weigh_classes(labels: np.ndarray, scores: np.ndarray, eer: float) -> tuple[float, float]:
    """How much the errors of reals and those of fakes move the EER, together 1.

    Where fakes lie densely around the threshold and reals do not, a threshold that moves to where
    both rates are equal again changes the FNR much and the FPR little, so that the errors of the
    reals decide. The slope of the ROC around the EER tells how densely both lie.
    """
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    n_rarer = min(np.bincount(labels))
    spread = max(eer * (1 - eer), 0.02)
    half = min(1.0, max(2 * np.sqrt(spread / n_rarer), 2 / n_rarer))
    way = 1 - half, 1 + half  # of FPR + TPR, which is 1 at the EER
    gain_fpr, gain_tpr = (np.diff(np.interp(way, fpr + tpr, rate))[0] for rate in (fpr, tpr))
    both = gain_fpr + gain_tpr
    return float(gain_tpr / both), float(gain_fpr / both)


def estimate_figures(
    labels: np.ndarray, scores: np.ndarray, people: People, threshold: float
) -> dict[str, Estimate | None]:
    """Accuracy, EER and AUC with the influence of each person; None where a class is missing.

    Each figure is a share, and each video has an influence on it. For the accuracy it is right or
    wrong, for the EER right or wrong at the EER's threshold, and for the AUC it lies above some
    share of the other class (DeLong 1988).
    """
    accuracy = people.estimate_share((scores >= threshold) == labels, labels >= 0)
    if labels.min() == labels.max():
        return {"accuracy": accuracy, "eer": None, "auc": None}
    eer, eer_threshold = compute_eer(labels, scores)
    weights = weigh_classes(labels, scores, eer)
    wrong = (scores >= eer_threshold) != labels
    classes = real, fake = labels == 0, labels == 1
    placed = np.empty(len(labels))
    placed[real] = 1 - placements(scores[real], scores[fake])
    placed[fake] = placements(scores[fake], scores[real])
    auc = placed[fake].mean()
    of_eer, of_auc = np.empty((2, len(labels)))  # influences
    n_reals, n_fakes = real.sum(), fake.sum()
    for mine, weight, n in zip(classes, weights, (n_reals, n_fakes), strict=True):
        of_eer[mine] = weight * (wrong[mine] - wrong[mine].mean()) / n
        of_auc[mine] = (placed[mine] - auc) / n
    # Of classes that count otherwise than by their numbers: as many videos would tell as much
    n_eer = 1 / (weights[0] ** 2 / n_reals + weights[1] ** 2 / n_fakes)
    n_auc = 4 / (1 / n_reals + 1 / n_fakes)
    n_people = min(people.count(mine) for mine in classes)
    return {
        "accuracy": accuracy,
        "eer": people.estimate(eer, of_eer, n_eer, n_people),
        "auc": people.estimate(auc, of_auc, n_auc, n_people),
    }


def compute_intervals(labels, scores, groups, threshold: float = 0.5) -> dict:
    """95 % intervals {"accuracy": [low, high], "eer": ..., "auc": ...} of videos of people.

    labels, scores, groups (n,); a group is a name, or those of two people with `;` between them.
    The accuracy is that at the threshold. None where there is one person, and for EER and AUC where
    a class has one or none. Raises ValueError for other shapes and for scores that are not finite.
    """
    figures = estimate_figures(*check_videos(labels, scores, groups), threshold)
    return {name: find_interval(estimate) for name, estimate in figures.items()}


def compute_rate_intervals(labels, scores, groups, threshold: float) -> dict:
    """95 % intervals {"accuracy": [low, high], "fpr": ..., "fnr": ...} at a threshold.

    None where the class has one person or none. Otherwise as compute_intervals.
    """
    labels, scores, people = check_videos(labels, scores, groups)
    wrong = (scores >= threshold) != labels
    estimates = {
        "accuracy": people.estimate_share(~wrong, labels >= 0),
        "fpr": people.estimate_share(wrong, labels == 0),
        "fnr": people.estimate_share(wrong, labels == 1),
    }
    return {name: find_interval(estimate) for name, estimate in estimates.items()}


def compare_scores(
    labels, scores_a, scores_b, groups, threshold_a: float = 0.5, threshold_b: float = 0.5
) -> dict:
    """How much accuracy, EER and AUC of b are above those of a, on the same videos of people.

    {"accuracy": {"difference": b - a, "interval": [low, high]}, "eer": ..., "auc": ...}. Input,
    intervals and errors are those of compute_intervals; a difference is None where a class is
    missing.
    """
    labels, scores_a, people = check_videos(labels, scores_a, groups)
    scores_b = check_scores(labels, scores_b)[1]
    figures_a = estimate_figures(labels, scores_a, people, threshold_a)
    figures_b = estimate_figures(labels, scores_b, people, threshold_b)
    same_scores = np.array_equal(scores_a, scores_b)
    comparison = {}
    for name, a in figures_a.items():
        same = same_scores and (name != "accuracy" or threshold_a == threshold_b)
        comparison[name] = compare_estimates(a, figures_b[name], same)
    return comparison
