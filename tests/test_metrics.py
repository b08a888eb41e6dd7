"""The figures and their intervals, against exact arithmetic, slow references and simulation."""

import itertools
import math
import random
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
import sklearn.metrics as sk

from features.metrics import (
    compare_scores,
    compute_eer,
    compute_intervals,
    compute_metrics,
    compute_rate_intervals,
    compute_tpr_at_fpr,
    percent,
    threshold_at_fpr,
)

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


# --- EER ---


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


# --- The other figures ---


def test_metrics_of_one_class_are_missing_not_invented():
    metrics = compute_metrics(np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]))
    names = ("eer", "eer_threshold", "auc", "average_precision", "balanced_accuracy", "fpr")
    known = {"n": 3, "n_fake": 3, "majority": 1, "accuracy": 2 / 3, "fnr": 1 / 3}
    known["log_loss"] = -np.log([0.2, 0.5, 0.9]).mean()
    assert metrics.pop("tpr_at_fpr") == {"0.01": None, "0.05": None}
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


# --- Operating points ---

# reals 0.1 0.4 0.4 0.8, fakes 0.3 0.4 0.6 0.8 0.9; the ROC's points (FPR, TPR) from the top:
# 0.9 (0, 1/5), 0.8 (1/4, 2/5), 0.6 (1/4, 3/5), 0.4 (3/4, 4/5), 0.3 (3/4, 1), 0.1 (1, 1)
TABLE = (0, 0, 0, 0, 1, 1, 1, 1, 1), (0.1, 0.4, 0.4, 0.8, 0.3, 0.4, 0.6, 0.8, 0.9)


@pytest.mark.parametrize(
    ("fpr", "tpr"),
    [
        (0.25, 3 / 5),  # straight up there: the upper end
        (0.5, 7 / 10),  # halfway between the points of 0.6 and 0.4
        (0.75, 1),
        (1, 1),
        (0.24, None),  # one of four reals is already more
    ],
)
def test_tpr_at_fpr_table(fpr, tpr):
    assert compute_tpr_at_fpr(*TABLE, fpr) == (tpr and pytest.approx(tpr, abs=1e-12))


def test_tpr_at_low_fpr_needs_enough_reals_and_a_fake():
    for n_reals, at_5 in ((19, None), (20, 1), (99, 1)):
        labels = np.r_[np.zeros(n_reals, int), 1]
        scores = np.r_[np.linspace(0.1, 0.8, n_reals), 0.75]  # below one or more of the reals
        higher = np.mean(scores[:-1] > 0.75)
        found = compute_metrics(labels, scores)["tpr_at_fpr"]
        assert found == {"0.01": None, "0.05": at_5 and float(higher <= 0.05)}
    labels = np.r_[np.zeros(100, int), 1, 1]
    scores = np.r_[np.arange(100) / 200, 0.494, 0.2]  # one fake is below one real, one below 60
    assert compute_metrics(labels, scores)["tpr_at_fpr"] == {"0.01": 0.5, "0.05": 0.5}
    # all tied: the ROC is the diagonal
    tied = compute_metrics(labels, np.full(102, 0.5))["tpr_at_fpr"]
    assert tied == pytest.approx({"0.01": 0.01, "0.05": 0.05})
    assert compute_tpr_at_fpr(np.zeros(100, int), scores[:100], 0.05) is None


@pytest.mark.parametrize(
    ("max_fpr", "threshold"),
    [
        (0, 0.85),  # above all reals: halfway from 0.8 to the next fake
        (0.24, 0.85),
        (0.25, 0.5),  # from 0.4 to 0.6
        (0.5, 0.5),  # a second real is allowed, but two are tied
        (0.74, 0.5),
        (0.75, 0.2),
        (0.99, 0.2),
    ],
)
def test_threshold_at_fpr_table(max_fpr, threshold):
    assert threshold_at_fpr(*TABLE, max_fpr) == pytest.approx(threshold, abs=1e-12)


def test_where_the_highest_score_is_a_real_nothing_is_called_fake():
    assert threshold_at_fpr((0, 0, 1), (0.2, 0.6, 0.5), 0.1) == pytest.approx(0.8)
    for highest in (1, 1.5):
        threshold = threshold_at_fpr((0, 1, 1), (highest, highest, 0.5), 0.1)
        assert highest < threshold < highest + 1e-9
    below = math.nextafter(0.5, 0)  # no number lies between the two scores
    assert threshold_at_fpr((0, 1), (below, 0.5), 0) == 0.5


def test_threshold_at_fpr_is_the_lowest_that_keeps_to_it():
    for labels, scores in random_cases(200):
        labels, scores = np.array(labels), np.array(scores)
        reals = scores[labels == 0]
        for max_fpr in (0, 0.01, 0.2, 0.5, 0.9):
            threshold = threshold_at_fpr(labels, scores, max_fpr)
            assert np.mean(reals >= threshold) <= max_fpr
            assert np.abs(scores - threshold).min() > 1e-4  # rounding moves no video
            lower = scores[scores < threshold]
            assert np.mean(reals >= lower.max()) > max_fpr


@pytest.mark.parametrize(("labels", "scores", "message"), WRONG_INPUT)
def test_operating_points_refuse(labels, scores, message):
    for find in (compute_tpr_at_fpr, threshold_at_fpr):
        with pytest.raises(ValueError, match=message):
            find(labels, scores, 0.1)


def test_operating_points_refuse_other_rates():
    for find, wrong in ((compute_tpr_at_fpr, (0, -0.1, 1.1, 5)), (threshold_at_fpr, (-0.1, 1, 5))):
        for fpr in wrong:
            with pytest.raises(ValueError, match=f"an FPR of .*{fpr}: expected"):
                find(*TABLE, fpr)
    with pytest.raises(ValueError, match="needs 0 too"):
        threshold_at_fpr((1, 1), (0.2, 0.3), 0.1)


# --- Intervals ---


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


def test_intervals_of_rates_are_those_of_an_accuracy_in_one_class():
    labels, scores, groups = some_videos(60, 9)
    found = compute_rate_intervals(labels, scores, groups, 0.41)
    assert found["accuracy"] == compute_intervals(labels, scores, groups, 0.41)["accuracy"]
    for name, label in (("fpr", 0), ("fnr", 1)):
        mine = labels == label
        alone = compute_intervals(labels[mine], scores[mine], groups[mine], 0.41)["accuracy"]
        assert found[name] == pytest.approx([1 - alone[1], 1 - alone[0]]), name
    fakes = compute_rate_intervals(np.ones(20, int), scores[:20], np.arange(20), 0.5)
    assert fakes["accuracy"] and fakes["fpr"] is None and fakes["fnr"]
    one_real = compute_rate_intervals(np.arange(20) > 0, scores[:20], np.arange(20), 0.5)
    assert one_real["fpr"] is None and one_real["fnr"]


# --- Comparison of two scorers ---


def two_scorers(rng, n_groups, in_group, accuracies, alike):
    """Labels, scores (2, n) of these true accuracies, groups of as many reals as fakes.

    Logits have a variance of 1 in a class: 0.2 is how easy a group is, 0.2 how fake it looks, 0.6
    the video. The part `alike` of each is common to both scorers.
    """
    labels = np.tile(np.arange(in_group) % 2, n_groups)
    groups = np.repeat(np.arange(n_groups), in_group)

    def draw(n, variance):
        common, own = rng.normal(size=(1, n)), rng.normal(size=(2, n))
        return math.sqrt(variance) * (math.sqrt(alike) * common + math.sqrt(1 - alike) * own)

    easy, looks, video = draw(n_groups, 0.2), draw(n_groups, 0.2), draw(len(labels), 0.6)
    quantiles = np.array([[NormalDist().inv_cdf(accuracy)] for accuracy in accuracies])
    logits = (2 * labels - 1) * (quantiles + easy[:, groups]) + looks[:, groups] + video
    return labels, 1 / (1 + np.exp(-logits)), groups


def true_differences(accuracy_a, accuracy_b):
    quantiles = [NormalDist().inv_cdf(accuracy) for accuracy in (accuracy_a, accuracy_b)]
    auc_a, auc_b = (NormalDist().cdf(math.sqrt(2) * quantile) for quantile in quantiles)
    difference = accuracy_b - accuracy_a
    return {"accuracy": difference, "eer": -difference, "auc": auc_b - auc_a}


def simulate_comparison(n_groups, in_group, accuracies, alike, draws):
    """Of each figure how often the interval holds the true difference, and how often it excludes 0.

    Also how wide it is in standard deviations of the differences found.
    """
    rng = np.random.default_rng(0)
    truth = true_differences(*accuracies)
    found = []
    for _ in range(draws):
        labels, (a, b), groups = two_scorers(rng, n_groups, in_group, accuracies, alike)
        compared = compare_scores(labels, a, b, groups)
        found.append([(each["difference"], *each["interval"]) for each in compared.values()])
    results = {}
    for name, values in zip(FIGURES, np.swapaxes(found, 0, 1), strict=True):
        difference, low, high = values.T
        holds = (low <= truth[name] + 1e-12) & (truth[name] <= high + 1e-12)
        excludes = (low > 0) | (high < 0)
        width = np.mean(high - low) / difference.std()
        results[name] = holds.mean(), excludes.mean(), width
    return results


@pytest.mark.parametrize(
    ("n_groups", "accuracies", "widest"),
    [
        (8, (0.8, 0.8), 5.7),  # Student's interval of eight groups is 4.7 deviations wide
        (20, (0.85, 0.92), 4.6),
        (60, (0.85, 0.85), 4.3),
    ],
)
def test_comparison_holds_the_true_difference(n_groups, accuracies, widest):
    results = simulate_comparison(n_groups, 4, accuracies, 0.5, 150)
    for name, (holds, excludes, width) in results.items():
        assert holds >= 0.92, name
        assert width < widest, name
        if accuracies[0] == accuracies[1]:
            assert excludes <= 0.06, name


def test_comparison_agrees_with_a_slow_reference():
    """Student's interval of the influences, each found by leaving a group's videos out."""
    labels = np.tile([0, 1], 20)
    groups = np.arange(40) // 4
    rng = np.random.default_rng(3)
    a, b = np.round(rng.normal(0.4 + 0.2 * labels, 0.25, (2, 40)).clip(0, 1), 2)
    found = compare_scores(labels, a, b, groups, 0.4, 0.6)

    def accuracy(part):
        return np.mean(((b >= 0.6) == labels)[part]) - np.mean(((a >= 0.4) == labels)[part])

    def auc(part):
        return sk.roc_auc_score(labels[part], b[part]) - sk.roc_auc_score(labels[part], a[part])

    for name, figure in (("accuracy", accuracy), ("auc", auc)):
        everything = figure(np.full(40, True))
        left_out = [figure(groups != group) for group in range(10)]
        half = 2.2622 * math.sqrt(9 / 10 * np.sum((left_out - np.mean(left_out)) ** 2))  # jackknife
        assert found[name]["difference"] == pytest.approx(everything)
        expected = [everything - half, everything + half]
        np.testing.assert_allclose(found[name]["interval"], expected, rtol=0.03, err_msg=name)


def test_comparison_has_the_figures_differences_and_is_antisymmetric():
    labels, a, groups = some_videos(60, 9)
    b = some_videos(60, 9, seed=1)[1]
    found = compare_scores(labels, a, b, groups, 0.4, 0.6)
    turned = compare_scores(labels, b, a, groups, 0.6, 0.4)
    figures_a, figures_b = reference(labels, a, 0.4), reference(labels, b, 0.6)
    for name in FIGURES:
        key = "at_threshold accuracy" if name == "accuracy" else name
        expected = figures_b[key] - figures_a[key]
        assert found[name]["difference"] == pytest.approx(expected)
        low, high = found[name]["interval"]
        assert turned[name]["interval"] == pytest.approx([-high, -low])
        assert low < expected < high


def test_scores_that_err_alike_here_may_differ_elsewhere():
    labels, groups = np.arange(40) % 2, np.arange(40) // 4
    perfect = 0.2 + 0.6 * labels
    other = perfect + np.linspace(-0.1, 0.1, 40)
    found = compare_scores(labels, perfect, other, groups)
    for name in FIGURES:  # ten groups in which both are right
        bound = Z * math.sqrt(2) / 10
        assert found[name] == {
            "difference": 0,
            "interval": pytest.approx([-bound, bound], abs=1e-6),
        }
    # both wrong on the same five of 40: they tell that a group does not err as one
    wrong = np.isin(np.arange(40), (0, 5, 10, 15, 20))
    a, b = np.where(wrong, 1 - perfect, perfect), np.where(wrong, 1 - other, other)
    low, high = compare_scores(labels, a, b, groups)["accuracy"]["interval"]
    assert -bound < low < -Z * math.sqrt(2) / 40 and high == -low


def test_the_same_scores_differ_nowhere_unless_by_their_thresholds():
    labels, scores, groups = some_videos(60, 9)
    same = compare_scores(labels, scores, scores.copy(), groups)
    assert all(same[name] == {"difference": 0, "interval": [0, 0]} for name in FIGURES)
    found = compare_scores(labels, scores, scores, groups, 0.5, 0.501)  # moves no video here
    low, high = found["accuracy"]["interval"]
    assert found["accuracy"]["difference"] == 0 and low == -high < 0
    assert found["auc"]["interval"] == [0, 0]


def test_comparison_is_unknown_where_an_interval_is():
    labels, scores = np.arange(20) % 2, np.linspace(0, 1, 20)
    one_group = compare_scores(labels, scores, scores[::-1], np.zeros(20))
    assert one_group["auc"] == {"difference": pytest.approx(-0.1), "interval": None}
    assert one_group["accuracy"]["interval"] is None
    fakes = compare_scores(np.ones(20, int), scores, scores**2, np.arange(20))
    assert fakes["accuracy"]["interval"]
    assert fakes["eer"] == fakes["auc"] == {"difference": None, "interval": None}
    one_real = compare_scores(np.arange(20) > 0, scores, scores[::-1], np.arange(20))
    assert one_real["auc"] == {"difference": -1, "interval": None}
    worst = compare_scores(labels, 1.0 * labels, 1.0 - labels, np.arange(20))
    assert worst["accuracy"]["interval"][0] == -1


@pytest.mark.parametrize(("labels", "scores", "message"), WRONG_INPUT)
def test_comparison_refuses(labels, scores, message):
    groups = np.arange(len(labels))
    fine = np.full(len(labels), 0.5)
    for a, b in ((scores, scores), (fine, scores), (scores, fine)):
        with pytest.raises(ValueError, match=message):
            compare_scores(labels, a, b, groups)
    with pytest.raises(ValueError, match=r"groups of shape \(3,\)"):
        compare_scores([0, 1], [0.2, 0.3], [0.2, 0.3], [0, 1, 2])
