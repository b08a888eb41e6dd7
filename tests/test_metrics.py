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
    threshold_at_fpr,
)

FIGURES = ("accuracy", "eer", "auc")
Z = 1.959964


def exact_eer(labels, scores):
    """The EER in rational arithmetic: walk along the ROC to where it crosses FPR = FNR."""
    n_fake = sum(labels)
    n_real = len(labels) - n_fake
    fpr, fnr = Fraction(0), Fraction(1)
    for threshold in sorted(set(scores), reverse=True):
        before = fnr - fpr
        called = [y for y, score in zip(labels, scores, strict=True) if score >= threshold]
        new_fpr = Fraction(called.count(0), n_real)
        fnr = 1 - Fraction(called.count(1), n_fake)
        if new_fpr >= fnr:
            way = before / (before + new_fpr - fnr)
            return fpr + way * (new_fpr - fpr)
        fpr = new_fpr


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
        matrix = sk.confusion_matrix(labels, called, labels=(0, 1), normalize="true")
        (_, figures[f"{prefix}fpr"]), (figures[f"{prefix}fnr"], _) = matrix
        figures[f"{prefix}accuracy"] = sk.accuracy_score(labels, called)
        figures[f"{prefix}balanced_accuracy"] = sk.balanced_accuracy_score(labels, called)
    figures["eer"] = compute_eer(labels, scores)[0]
    figures["auc"] = sk.roc_auc_score(labels, scores)
    figures["average_precision"] = sk.average_precision_score(labels, scores)
    figures["log_loss"] = sk.log_loss(labels, scores)
    return figures


# --- EER ---


@pytest.mark.parametrize(
    ("labels", "scores", "eer"),
    [
        ((0, 1, 1, 1), (5, 2, 6, 7), 1 / 3),
        ((0, 0, 1, 1), (1, 4, 3, 8), 1 / 2),
        ((0, 0, 1, 1), (1, 2, 8, 9), 0),
        ((0, 1), (3, 3), 1 / 2),
    ],
)
def test_eer_table(labels, scores, eer):
    assert compute_eer(labels, scores)[0] == pytest.approx(eer, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ((0, 1, 2), (0.1, 0.2, 0.3), r"values \[0, 1, 2\]"),
        ((0, 1), (0.1, 0.2, 0.3), r"labels of \(2,\), scores of \(3,\)"),
        ((0, 1), (0.1, math.nan), "NaN"),
        ((0, 1), (0.1, math.inf), "infinity"),
    ],
)
def test_what_is_no_label_or_score_is_refused(labels, scores, message):
    groups, fine = np.arange(len(labels)), np.full(len(labels), 0.5)
    calls = [(compute_eer, scores), (compute_intervals, scores, groups)]
    calls += [(compare_scores, scores, fine, groups), (compare_scores, fine, scores, groups)]
    for function, *arguments in calls:
        with pytest.raises(ValueError, match=message):
            function(labels, *arguments)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_eer(label):
    with pytest.raises(ValueError, match=rf"values \[{label}\]: the EER needs both 0 and 1"):
        compute_eer((label, label), (0.2, 0.3))


def test_eer_agrees_with_exact_arithmetic_and_ignores_the_scale():
    for labels, scores in random_cases(150):
        eer, threshold = compute_eer(labels, scores)
        assert eer == pytest.approx(float(exact_eer(labels, scores)), abs=1e-12)
        assert compute_eer(labels, np.exp(scores))[0] == eer
        # no threshold brings the two rates nearer to each other
        gaps = [abs(gap_of_rates(labels, scores, value)) for value in (*scores, 2)]
        assert abs(gap_of_rates(labels, scores, threshold)) <= min(gaps) + 1e-12


def test_metrics_of_one_class_are_missing_not_invented():
    metrics = compute_metrics(np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]))
    names = ("eer", "eer_threshold", "auc", "average_precision", "balanced_accuracy", "fpr")
    known = {"n": 3, "n_fake": 3, "majority": 1, "accuracy": 2 / 3, "fnr": 1 / 3}
    known["log_loss"] = -np.log([0.2, 0.5, 0.9]).mean()
    assert set(metrics.pop("tpr_at_fpr").values()) == {None}
    assert metrics == pytest.approx(dict.fromkeys(names) | known)


def test_metrics_agree_with_scikit_learn():
    for seed in range(10):
        labels, scores, _ = some_videos(60, 5, seed)
        metrics = compute_metrics(labels, scores, 0.41)
        for name, expected in reference(labels, scores, 0.41).items():
            found = metrics["at_threshold"][name.split()[1]] if " " in name else metrics[name]
            assert found == pytest.approx(expected), name
        assert metrics["majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()))


# --- Operating points ---

# reals 0.1 0.4 0.4 0.8, fakes 0.3 0.4 0.6 0.8 0.9; the ROC's points (FPR, TPR) from the top:
# 0.9 (0, 1/5), 0.8 (1/4, 2/5), 0.6 (1/4, 3/5), 0.4 (3/4, 4/5), 0.3 (3/4, 1), 0.1 (1, 1)
LABELS = np.repeat([0, 1], [4, 5])
SCORES = np.array([1, 4, 4, 8, 3, 4, 6, 8, 9]) / 10


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
    assert compute_tpr_at_fpr(LABELS, SCORES, fpr) == (tpr and pytest.approx(tpr, abs=1e-12))


@pytest.mark.parametrize(
    ("n_reals", "at_1", "at_5"),
    [(19, None, None), (20, None, 1), (100, 0.5, 0.5)],
)
def test_tpr_at_low_fpr_needs_enough_reals_and_a_fake(n_reals, at_1, at_5):
    labels = np.r_[np.zeros(n_reals, int), 1, 1]
    reals = np.arange(n_reals) / 200  # of 100 one is above the first fake, 60 above the second
    scores = np.r_[reals, 0.494, 0.2]
    found = compute_metrics(labels, scores)["tpr_at_fpr"]
    assert found == {"0.01": at_1, "0.05": at_5}
    assert compute_tpr_at_fpr(labels[:-2], reals, 0.05) is None


@pytest.mark.parametrize(
    ("max_fpr", "threshold"),
    [
        (0, 0.85),  # above all reals: halfway from 0.8 to the next fake
        (0.25, 0.5),  # from 0.4 to 0.6
        (0.5, 0.5),  # a second real is allowed, but two are tied
        (0.75, 0.2),
    ],
)
def test_threshold_at_fpr_table(max_fpr, threshold):
    assert threshold_at_fpr(LABELS, SCORES, max_fpr) == pytest.approx(threshold, abs=1e-12)


def test_where_the_highest_score_is_a_real_nothing_is_called_fake():
    labels = np.array((0, 0, 1))
    assert threshold_at_fpr(labels, np.array((0.2, 0.6, 0.5)), 0.1) == pytest.approx(0.8)
    assert 1 < threshold_at_fpr(labels, np.array((0.2, 1, 1)), 0.1) < 1 + 1e-9


# --- Intervals ---


def slow_weights(labels, scores, eer):
    """What the FPR and the TPR gain around the EER, by a walk along the ROC in small steps."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        points.append(tuple(np.mean(scores[labels == y] >= threshold) for y in (0, 1)))
    n = min(sum(labels == 0), sum(labels == 1))
    half = min(1, max(2 * math.sqrt(max(eer * (1 - eer), 0.02) / n), 2 / n))
    gain = np.zeros(2)
    for first, last in itertools.pairwise(points):
        steps = np.linspace(first, last, 2001)
        inside = abs(steps.mean(axis=1).repeat(2).reshape(-1, 2) * 2 - 1) <= half
        gain += (np.diff(steps, axis=0) * inside[1:]).sum(axis=0)
    return gain[::-1] / gain.sum()


def slow_influence(labels, scores, threshold):
    """Of each figure its value, the influence of each video, and of how many it is at most."""
    figures, n_of = reference(labels, scores, threshold), np.bincount(labels)
    weights = slow_weights(labels, scores, figures["eer"])
    right = (scores >= threshold) == labels
    wrong = (scores >= compute_eer(labels, scores)[1]) != labels
    rates = np.array([wrong[labels == y].mean() for y in (0, 1)])
    wins = np.sign(np.subtract.outer(scores, scores) * (2 * labels - 1)[:, None]) / 2 + 0.5
    placed = np.array([wins[i, labels != y].mean() for i, y in enumerate(labels)])
    accuracy, eer, auc = right.mean(), figures["eer"], figures["auc"]
    of_eer = weights[labels] * (wrong - rates[labels]) / n_of[labels]
    return {
        "accuracy": (accuracy, (right - accuracy) / len(labels), len(labels)),
        "eer": (eer, of_eer, 1 / sum(weights**2 / n_of)),
        "auc": (auc, (placed - auc) / n_of[labels], 4 / sum(1 / n_of)),
    }


def slow_variance(influence, groups):
    """The variance pair by pair of videos, and Student's t from a table."""
    people = [set(group.split(";")) for group in groups]
    are_related = np.array([[bool(a & b) for b in people] for a in people])
    k = len(set.union(*people))
    fewer = np.mean([len(each) for each in people]) / k  # videos without a person
    variance = influence @ are_related @ influence * (k - 1) / k / (1 - fewer) ** 2
    return variance, {6: 2.5706, 7: 2.4469, 9: 2.3060}[k]


def slow_number(share, influence, most, groups):
    variance, student = slow_variance(influence, groups)
    return min(most, share * (1 - share) / variance) * (Z / student) ** 2


def slow_interval(share, n):
    """Wilson's interval: where |p - q| = z sqrt(q (1 - q) / n)."""
    a, b, c = 1 + Z**2 / n, -(2 * share + Z**2 / n), share**2
    root = math.sqrt(b**2 - 4 * a * c)
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)]


@pytest.mark.parametrize(("n_people", "of_fakes"), [(6, 1), (9, 1), (7, 2)])
def test_intervals_and_comparisons_agree_with_a_slow_reference(n_people, of_fakes):
    """With one person a video, and where fakes show two of seven."""
    for seed in range(5):
        labels, scores, _ = some_videos(50, n_people, seed)
        rank_in_class = np.where(labels == 1, labels.cumsum(), (1 - labels).cumsum())
        people = [f"{i % n_people}" for i in rank_in_class]  # each has both classes
        for i in np.flatnonzero(labels) if of_fakes == 2 else ():
            people[i] += f";{2 * rank_in_class[i] % n_people}"
        others = np.roll(scores, 3)
        found = compute_intervals(labels, scores, people, 0.41)
        compared = compare_scores(labels, scores, others, people, 0.41, 0.6)
        second = slow_influence(labels, others, 0.6)
        for name, first in slow_influence(labels, scores, 0.41).items():
            numbers = [slow_number(*each, people) for each in (first, second[name])]
            expected = slow_interval(first[0], numbers[0])
            np.testing.assert_allclose(found[name], expected, atol=1e-3, err_msg=name)
            variance, student = slow_variance(second[name][1] - first[1], people)
            half = max(student * math.sqrt(variance), Z * math.sqrt(2) / max(numbers))
            difference = compared[name]["difference"]
            assert difference == pytest.approx(second[name][0] - first[0])
            expected = difference - half, difference + half
            np.testing.assert_allclose(compared[name]["interval"], expected, atol=2e-3)


def test_order_and_kind_of_names_do_not_matter():
    labels, scores, groups = some_videos(60, 6)
    alone = compute_intervals(labels, scores, groups)
    names = [None, "", "id 3", "3", "a" * 300, "ü"]
    for other in ([names[i] for i in groups], [f"{i};{i}" for i in groups]):
        assert compute_intervals(labels, scores, other) == alone
    pairs = [f"{i};{(i + j) % 6}" for j, i in enumerate(groups)]
    found = compute_intervals(labels, scores, pairs)
    assert compute_intervals(labels, scores, [f"{pair};x;y" for pair in pairs]) == found
    turned = [f"{pair[2]};{pair[0]}" for pair in reversed(pairs)]
    for name, expected in compute_intervals(labels[::-1], scores[::-1], turned).items():
        assert found[name] == pytest.approx(expected), name


def test_no_error_is_not_no_doubt():
    """With nothing wrong an interval ends where it would for as many videos as there are groups."""
    labels = np.arange(32) % 2
    doubt = Z**2 / (8 + Z**2)
    low, high = [0, doubt], [1 - doubt, 1]
    cases = [(labels * 0.8 + 0.1, (high, low, high)), (0.9 - labels * 0.8, (low, high, low))]
    for scores, expected in cases:
        found = compute_intervals(labels, scores, np.arange(32) // 4)
        np.testing.assert_allclose([found[name] for name in FIGURES], expected, atol=1e-6)


def test_intervals_hold_the_estimate_whatever_the_input():
    sizes = itertools.product(range(12), ((12, 2), (30, 9)))
    cases = [some_videos(*size, seed) for seed, size in sizes]
    labels = np.arange(20) % 2
    cases.append((labels, np.full(20, 0.3), np.arange(20)))
    cases.append((labels, np.linspace(0, 1, 20), np.arange(20) < 2))  # one group has nearly all
    for labels, scores, groups in cases:
        metrics = compute_metrics(labels, scores)
        for name, found in compute_intervals(labels, scores, groups).items():
            if found is not None:
                low, high = found
                assert 0 <= low <= metrics[name] <= high <= 1 and low < high


def test_where_nothing_can_be_known_there_is_no_interval():
    labels, scores, each = np.arange(20) % 2, np.linspace(0, 1, 20), np.arange(20)
    assert set(compute_intervals(labels, scores, np.zeros(20)).values()) == {None}
    # of one real video: how reals of other people fare is unknown
    for labels in (np.ones(20, int), np.arange(20) > 0):
        found = compute_intervals(labels, scores, each)
        assert found["accuracy"] and found["eer"] is found["auc"] is None
        found = compute_rate_intervals(labels, scores, each, 0.5)
        assert found["accuracy"] and found["fnr"] and found["fpr"] is None


def test_a_large_set_needs_no_table_of_pairs():
    labels, scores, groups = some_videos(50_000, 20_000, levels=10**6)
    low, high = compute_intervals(labels, scores, groups)["auc"]
    assert low < sk.roc_auc_score(labels, scores) < high < low + 0.02


# Trees to simulate: of each video its label and its people


def single(n_real, n_fake):
    return [(0, (i,)) for i in range(n_real)] + [(1, (n_real + i,)) for i in range(n_fake)]


def in_groups(n_groups, in_group):
    return [(k % 2, (i,)) for i in range(n_groups) for k in range(in_group)]


def swapped(n_people, n_fakes):
    """People who are all swapped with each other: one connected part."""
    rng = random.Random(0)
    reals = [(0, (i,)) for i in range(n_people) for _ in range(4)]
    return reals + [(1, tuple(rng.sample(range(n_people), 2))) for _ in range(n_fakes)]


def draw_scores(rng, tree, eers, spread):
    """Labels, people, and the scores of detectors of these true EERs, as many as there are.

    The logits of a class have this spread: 0.2 of the variance is how easy people are, 0.2 how fake
    they look, 0.6 the video; half of each is common to all detectors.
    """
    labels = np.array([label for label, _ in tree])
    first, last = np.array([(people[0], people[-1]) for _, people in tree]).T
    names = [";".join(map(str, people)) for _, people in tree]

    def draw(n, variance):
        common, own = rng.normal(size=(1, n)), rng.normal(size=(len(eers), n))
        return math.sqrt(variance / 2) * (common + own)

    def of_people():
        values = draw(1 + max(last), 0.2)
        both = values[:, first] + values[:, last]
        return both / np.where(first == last, 2, math.sqrt(2))

    sign = 2 * labels - 1
    effects = sign * of_people() + of_people() + draw(len(tree), 0.6)
    means = np.array([[-NormalDist().inv_cdf(eer)] for eer in eers])
    logits = np.array(spread)[labels] * (sign * means + effects)
    return labels, names, 1 / (1 + np.exp(-logits))


def true_figures(eer, spread):
    """Accuracy at 0.5, EER and AUC of such a detector."""
    ratio = sum(spread) / math.hypot(*spread)
    auc = NormalDist().cdf(-NormalDist().inv_cdf(eer) * ratio)
    return np.array([1 - eer, eer, auc])


@pytest.mark.parametrize(
    ("tree", "eers", "spread"),
    [
        (in_groups(8, 4), (0.05, 0.05), (1, 1)),  # the percentile bootstrap covers 56 to 80 %
        (in_groups(16, 20), (0.26, 0.2), (1, 1)),  # intervals from videos cover about half
        (single(40, 40), (0.2, 0.15), (2, 0.3)),  # for equal weights of both classes 90 %
        (swapped(28, 150), (0.15, 0.15), (1, 1)),  # one part: none
    ],
)
def test_intervals_hold_the_truth_of_simulated_detectors(tree, eers, spread):
    rng, found, figures, differences = np.random.default_rng(7), [], [], []
    for _ in range(100):
        labels, people, (a, b) = draw_scores(rng, tree, eers, spread)
        compared = compare_scores(labels, a, b, people).values()
        intervals = [*compute_intervals(labels, b, people).values()]
        found.append([*intervals, *(each["interval"] for each in compared)])
        differences.append([each["difference"] for each in compared])
        accuracy = np.mean((b >= 0.5) == labels)
        figures.append([accuracy, compute_eer(labels, b)[0], sk.roc_auc_score(labels, b)])
    first, truth = (true_figures(eer, spread) for eer in eers)
    truth = np.r_[truth, truth - first]
    low, high = np.moveaxis(found, 2, 0)
    holds = np.mean((low <= truth + 1e-12) & (truth <= high + 1e-12), axis=0)
    assert min(holds) >= 0.9, holds
    needed = 2 * Z * np.r_[np.std(figures, axis=0), np.std(differences, axis=0)]
    assert eers[0] < 0.1 or max(np.mean(high - low, axis=0) / needed) < 1.5  # else too few errors


def test_intervals_of_rates_are_those_of_an_accuracy_in_one_class():
    labels, scores, groups = some_videos(60, 9)
    found = compute_rate_intervals(labels, scores, groups, 0.41)
    assert found["accuracy"] == compute_intervals(labels, scores, groups, 0.41)["accuracy"]
    for name, label in (("fpr", 0), ("fnr", 1)):
        mine = labels == label
        alone = compute_intervals(labels[mine], scores[mine], groups[mine], 0.41)["accuracy"]
        assert found[name] == pytest.approx([1 - alone[1], 1 - alone[0]]), name


# --- Comparison of two scorers ---


def test_scores_that_err_alike_here_may_differ_elsewhere():
    labels, groups = np.arange(40) % 2, np.arange(40) // 4
    perfect = 0.2 + 0.6 * labels
    other = perfect + np.linspace(-0.1, 0.1, 40)
    bound = Z * math.sqrt(2) / 10  # ten groups in which both are right
    for found in compare_scores(labels, perfect, other, groups).values():
        assert found["difference"] == 0
        assert found["interval"] == pytest.approx([-bound, bound], abs=1e-6)


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
    fakes = compare_scores(np.ones(20, int), scores, scores**2, np.arange(20))
    assert fakes["accuracy"]["interval"] and fakes["auc"] == fakes["eer"]
    assert fakes["eer"] == {"difference": None, "interval": None}
    worst = compare_scores(labels, 1.0 * labels, 1.0 - labels, np.arange(20))
    assert worst["accuracy"]["interval"][0] == -1
