"""The figures and their intervals, against exact arithmetic, slow references and simulation."""

import itertools
import math
import random
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
import sklearn.metrics as sk

from features.metrics import compute_eer, compute_intervals, compute_metrics, percent

FIGURES = ("accuracy", "eer", "auc")
Z = 1.959964


def exact_eer(labels, scores):
    """The EER in rational arithmetic: walk along the ROC to where it crosses FPR = FNR."""
    n_fake = sum(labels)
    n_real = len(labels) - n_fake
    points = [(Fraction(0), Fraction(1))]
    for threshold in sorted(set(scores), reverse=True):
        called_fake = [y for y, score in zip(labels, scores, strict=True) if score >= threshold]
        fakes = sum(called_fake)
        points.append((Fraction(len(called_fake) - fakes, n_real), 1 - Fraction(fakes, n_fake)))
    for (fpr0, fnr0), (fpr1, fnr1) in itertools.pairwise(points):
        if fpr1 >= fnr1:
            way = (fnr0 - fpr0) / ((fnr0 - fpr0) + (fpr1 - fnr1))
            return fpr0 + way * (fpr1 - fpr0)


def gap_of_rates(labels, scores, threshold):
    """FPR - FNR at a threshold."""
    labels, called_fake = np.array(labels), np.array(scores) >= threshold
    return called_fake[labels == 0].mean() - (~called_fake)[labels == 1].mean()


def random_cases(n):
    rng = random.Random(1)
    while n:
        size = rng.randint(2, 40)
        labels = [rng.randint(0, 1) for _ in range(size)]
        levels = rng.choice((1, 2, 5, 1000))
        if len(set(labels)) == 2:
            n -= 1
            yield labels, [rng.randint(0, levels) / 1024 for _ in range(size)]


def some_videos(n, n_groups, seed=0, levels=12):
    """Labels, scores with ties, groups."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = np.clip(np.round(rng.normal(0.4 + 0.2 * labels, 0.25) * levels) / levels, 0, 1)
    return labels, scores, rng.integers(0, n_groups, n)


def reference(labels, scores, threshold):
    """The figures by scikit-learn."""
    figures = {}
    for prefix, limit in (("", 0.5), ("at_threshold ", threshold)):
        called = scores >= limit
        (tn, fp), (fn, tp) = sk.confusion_matrix(labels, called, labels=(0, 1))
        figures[f"{prefix}accuracy"] = sk.accuracy_score(labels, called)
        figures[f"{prefix}balanced_accuracy"] = sk.balanced_accuracy_score(labels, called)
        figures[f"{prefix}fpr"], figures[f"{prefix}fnr"] = fp / (fp + tn), fn / (fn + tp)
    figures["eer"] = compute_eer(labels, scores)[0]
    figures["auc"] = sk.roc_auc_score(labels, scores)
    figures["average_precision"] = sk.average_precision_score(labels, scores)
    figures["log_loss"] = sk.log_loss(labels, scores)
    return figures


# --- EER ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "scores", "eer"),
    [
        ((0, 1, 1, 1), (0.5, 0.2, 0.6, 0.7), 1 / 3),
        ((0, 1, 0, 1), (0.5, 0.5, 0.5, 0.5), 1 / 2),
        ((0, 0, 1, 1), (0.1, 0.4, 0.35, 0.8), 1 / 2),
        ((0, 0, 1, 1), (0.1, 0.2, 0.8, 0.9), 0),
        ((0, 0, 1, 1), (0.9, 0.8, 0.2, 0.1), 1),
        ((0, 1), (0.3, 0.3), 1 / 2),
    ],
)
def test_eer_table(labels, scores, eer):
    assert compute_eer(labels, scores)[0] == pytest.approx(eer, abs=1e-12)


WRONG_INPUT = [
    ((), (), r"values \[\]"),
    ((0, 1, 2), (0.1, 0.2, 0.3), r"values \[0, 1, 2\]"),
    ((0, 1), (0.1, 0.2, 0.3), r"shape \(2,\) and scores of shape \(3,\)"),
    (((0, 1),), ((0.1, 0.2),), r"shape \(1, 2\)"),
    ((0, 1), (0.1, math.nan), "NaN"),
    ((0, 1), (0.1, math.inf), "infinity"),
]
ONE_CLASS = [
    ((1, 1), (0.2, 0.3), r"values \[1\]: the EER needs both 0 and 1"),
    ((0, 0), (0.2, 0.3), r"values \[0\]"),
]


@pytest.mark.parametrize(("labels", "scores", "message"), WRONG_INPUT + ONE_CLASS)
def test_eer_refuses(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        compute_eer(labels, scores)


def test_eer_agrees_with_exact_arithmetic_and_ignores_the_scale():
    for labels, scores in random_cases(300):
        eer, threshold = compute_eer(labels, scores)
        assert eer == pytest.approx(float(exact_eer(labels, scores)), abs=1e-12)
        for monotone in (lambda s: 5 * s - 3, lambda s: s**3, np.exp):
            assert compute_eer(labels, [monotone(score) for score in scores])[0] == eer
        # no threshold brings the two rates nearer to each other
        gaps = {value: abs(gap_of_rates(labels, scores, value)) for value in (*scores, 2)}
        assert abs(gap_of_rates(labels, scores, threshold)) <= min(gaps.values()) + 1e-12


# --- The other figures ----------------------------------------------------------------------------


def test_metrics_of_one_class_are_missing_not_invented():
    metrics = compute_metrics(np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]))
    names = ("eer", "eer_threshold", "auc", "average_precision", "balanced_accuracy", "fpr")
    known = {"n": 3, "n_fake": 3, "majority": 1, "accuracy": 2 / 3, "fnr": 1 / 3}
    known["log_loss"] = -np.log([0.2, 0.5, 0.9]).mean()
    assert metrics == pytest.approx(dict.fromkeys(names) | known)


def test_metrics_agree_with_scikit_learn():
    for seed in range(20):
        labels, scores, _ = some_videos(60, 5, seed)
        metrics = compute_metrics(labels, scores, 0.41)
        for name, expected in reference(labels, scores, 0.41).items():
            found = metrics["at_threshold"][name.split()[1]] if " " in name else metrics[name]
            assert found == pytest.approx(expected), name
        assert metrics["majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()))


def test_percent():
    assert percent(0.1234) == "12.3 %"
    assert percent(None) == "n/a"


# --- Intervals ------------------------------------------------------------------------------------


def slow_intervals(labels, scores, groups, threshold):
    """compute_intervals, video by video and pair by pair, with Student's t from a table."""
    student = {5: 2.5706, 8: 2.3060}
    figures = reference(labels, scores, threshold)
    figures["accuracy"] = figures["at_threshold accuracy"]
    eer_threshold = compute_eer(labels, scores)[1]
    n, n_of = len(labels), {0: sum(labels == 0), 1: sum(labels == 1)}
    sums = {name: dict.fromkeys(groups, 0.0) for name in FIGURES}
    for y, score, group in zip(labels, scores, groups, strict=True):
        right = (score >= threshold) == y
        sums["accuracy"][group] += (right - figures["accuracy"]) / n
        own = [(s >= eer_threshold) != y for s, y2 in zip(scores, labels, strict=True) if y2 == y]
        wrong = (score >= eer_threshold) != y
        sums["eer"][group] += (wrong - np.mean(own)) / (2 * n_of[y])
        wins = []
        for other, y2 in zip(scores, labels, strict=True):
            if y2 != y:
                win = 0.5 if score == other else float((score > other) == (y == 1))
                wins.append(win)
        sums["auc"][group] += (np.mean(wins) - figures["auc"]) / n_of[y]
    intervals, g = {}, len(set(groups))
    for name in FIGURES:
        p = figures[name]
        variance = g / (g - 1) * sum(value**2 for value in sums[name].values())
        most = n if name == "accuracy" else 4 / (1 / n_of[0] + 1 / n_of[1])
        k = min(most, p * (1 - p) / variance) * (Z / student[g - 1]) ** 2
        # Wilson's interval: where |p - q| = z sqrt(q (1 - q) / k)
        a, b, c = 1 + Z**2 / k, -(2 * p + Z**2 / k), p**2
        root = math.sqrt(b**2 - 4 * a * c)
        intervals[name] = [(-b - root) / (2 * a), (-b + root) / (2 * a)]
    return intervals


@pytest.mark.parametrize("n_groups", [6, 9])
def test_intervals_agree_with_a_slow_reference(n_groups):
    for seed in range(5):
        labels, scores, _ = some_videos(50, n_groups, seed)
        rank_in_class = np.where(labels == 1, labels.cumsum(), (1 - labels).cumsum())
        groups = rank_in_class % n_groups  # each has both classes
        found = compute_intervals(labels, scores, groups, 0.41)
        expected = slow_intervals(labels, scores, groups, 0.41)
        for name in FIGURES:
            np.testing.assert_allclose(found[name], expected[name], atol=2e-4, err_msg=name)


def wilson(share, n):
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2)
    return centre - half, centre + half


def test_interval_of_an_accuracy_is_that_of_a_binomial_and_grows_with_the_groups():
    labels = np.arange(400) % 2
    right = np.arange(400) % 10 < 8
    scores = np.where(right, labels, 1 - labels).astype(float)
    alone = compute_intervals(labels, scores, np.arange(400))["accuracy"]
    np.testing.assert_allclose(alone, wilson(0.8, 400), atol=0.001)
    # videos that are wrong together: 40 groups in place of 400 videos
    groups = np.arange(400) % 10 + 10 * (np.arange(400) // 100)
    joined = compute_intervals(labels, scores, groups)["accuracy"]
    np.testing.assert_allclose(joined, wilson(0.8, 40), atol=0.01)


def test_no_error_is_not_no_doubt():
    """With nothing wrong an interval ends where it would for as many videos as there are groups."""
    labels = np.arange(32) % 2
    for scores, best in ((labels * 0.8 + 0.1, 1), (0.9 - labels * 0.8, 0)):
        found = compute_intervals(labels, scores, np.arange(32) // 4)
        for name, share in (("accuracy", best), ("auc", best), ("eer", 1 - best)):
            doubt = Z**2 / (8 + Z**2)
            expected = [0, doubt] if share == 0 else [1 - doubt, 1]
            np.testing.assert_allclose(found[name], expected, atol=1e-6, err_msg=name)


def test_intervals_hold_the_estimate_whatever_the_input():
    cases = [
        some_videos(n, n_groups, seed) for seed in range(30) for n, n_groups in ((12, 2), (30, 9))
    ]
    labels = np.arange(20) % 2
    cases.append((labels, np.full(20, 0.3), np.arange(20)))
    cases.append((labels, np.linspace(0, 1, 20), np.arange(20) < 2))  # one group has nearly all
    for labels, scores, groups in cases:
        found = compute_intervals(labels, scores, groups)
        metrics = compute_metrics(labels, scores)
        for name in FIGURES:
            if found[name] is not None:
                low, high = found[name]
                assert 0 <= low <= metrics[name] <= high <= 1
                assert low < high


def test_where_nothing_can_be_known_there_is_no_interval():
    labels, scores = np.arange(20) % 2, np.linspace(0, 1, 20)
    assert set(compute_intervals(labels, scores, np.zeros(20)).values()) == {None}
    fakes = compute_intervals(np.ones(20, int), scores, np.arange(20))
    assert fakes["accuracy"] and fakes["eer"] is None and fakes["auc"] is None
    # one real video: how reals of other people fare is unknown
    few = compute_intervals(np.r_[np.ones(19, int), 0], scores, np.arange(20))
    assert few["accuracy"] and few["eer"] is None and few["auc"] is None


def test_groups_are_names_of_any_kind():
    labels, scores, groups = some_videos(40, 6)
    expected = compute_intervals(labels, scores, groups)
    names = [None, "", "id 3", "3", "a" * 300, "ü"]
    for other in (groups.tolist(), [names[i] for i in groups], groups.astype(float)):
        assert compute_intervals(labels, scores, other) == expected
    order = np.random.default_rng(0).permutation(40)
    shuffled = compute_intervals(labels[order], scores[order], groups[order])
    for name in FIGURES:
        assert shuffled[name] == pytest.approx(expected[name])


@pytest.mark.parametrize(("labels", "scores", "message"), WRONG_INPUT)
def test_intervals_refuse(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        compute_intervals(labels, scores, np.arange(len(labels)))


def test_intervals_refuse_other_groups():
    with pytest.raises(ValueError, match=r"groups of shape \(3,\)"):
        compute_intervals([0, 1], [0.2, 0.3], [0, 1, 2])


def test_intervals_of_a_large_set():
    labels, scores, groups = some_videos(100_000, 20_000, levels=10**6)
    low, high = compute_intervals(labels, scores, groups)["auc"]
    assert low < sk.roc_auc_score(labels, scores) < high < low + 0.01


@pytest.mark.parametrize(
    ("n_groups", "in_group", "accuracy"),
    [
        (8, 4, 0.95),  # the percentile bootstrap covers 56 to 80 %
        (20, 4, 0.99),  # and here 9 to 26 %
        (16, 20, 0.74),  # intervals from videos instead of groups cover about half
    ],
)
def test_intervals_hold_the_truth_of_simulated_detectors(n_groups, in_group, accuracy):
    """Groups of as many real and fake videos, some easier than others; 150 sets each."""
    rng = np.random.default_rng(7)
    quantile = NormalDist().inv_cdf(accuracy)
    auc = NormalDist().cdf(math.sqrt(2) * quantile)
    truth = {"accuracy": accuracy, "eer": 1 - accuracy, "auc": auc}
    labels = np.tile(np.arange(in_group) % 2, n_groups)
    groups = np.repeat(np.arange(n_groups), in_group)
    held = dict.fromkeys(FIGURES, 0)
    accuracies, widths = [], []
    for _ in range(150):
        ease = math.sqrt(2) * quantile + rng.normal(size=n_groups)[groups]
        logits = (2 * labels - 1) * ease + rng.normal(size=len(labels))
        scores = 1 / (1 + np.exp(-logits))
        found = compute_intervals(labels, scores, groups)
        for name, (low, high) in found.items():
            held[name] += low <= truth[name] <= high
        accuracies.append(np.mean((scores >= 0.5) == labels))
        widths.append(np.subtract(*found["accuracy"][::-1]))
    for name, n in held.items():
        assert n >= 0.92 * 150, (name, n)
    low, high = np.percentile(accuracies, (2.5, 97.5))
    with_errors = np.array(accuracies) < 1
    assert np.mean(np.array(widths)[with_errors]) < 2.5 * (high - low)
