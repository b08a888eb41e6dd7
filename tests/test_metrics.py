import itertools
import math
import random
import time
from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics as sk
from sklearn.decomposition import PCA

from features.metrics import bootstrap_intervals, compute_eer, compute_metrics


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """No t-SNE here, which takes seconds: test_evaluation.py draws it."""
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))


def exact_eer(labels, scores):
    """The EER in rational arithmetic: walk along the ROC to where it crosses FPR = FNR."""
    n_fake = sum(labels)
    n_real = len(labels) - n_fake
    points = [(Fraction(0), Fraction(1))]
    for threshold in sorted(set(scores), reverse=True):
        called_fake = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        fakes = sum(called_fake)
        points.append((Fraction(len(called_fake) - fakes, n_real), 1 - Fraction(fakes, n_fake)))
    for (fpr0, fnr0), (fpr1, fnr1) in itertools.pairwise(points):
        if fpr1 >= fnr1:
            share = (fnr0 - fpr0) / ((fnr0 - fpr0) + (fpr1 - fnr1))
            return fpr0 + share * (fpr1 - fpr0)


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


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ((1, 1), (0.2, 0.3), r"values \[1\]: the EER needs both 0 and 1"),
        ((0, 0), (0.2, 0.3), r"values \[0\]"),
        ((), (), r"values \[\]"),
        ((0, 1, 2), (0.1, 0.2, 0.3), r"values \[0, 1, 2\]"),
        ((0, 1), (0.1, 0.2, 0.3), r"shape \(2,\) and scores of shape \(3,\)"),
        ((0, 1), (0.1, math.nan), "NaN"),
    ],
)
def test_eer_refuses(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        compute_eer(labels, scores)


def test_eer_agrees_with_exact_arithmetic_and_ignores_the_scale():
    for labels, scores in random_cases(1000):
        eer, threshold = compute_eer(labels, scores)
        assert eer == pytest.approx(float(exact_eer(labels, scores)), abs=1e-12)
        for monotone in (lambda s: 5 * s - 3, lambda s: s**3, np.exp):
            assert compute_eer(labels, [monotone(score) for score in scores])[0] == eer
        # no threshold brings the two rates nearer to each other
        gaps = {value: abs(gap_of_rates(labels, scores, value)) for value in (*scores, 2)}
        assert abs(gap_of_rates(labels, scores, threshold)) <= min(gaps.values()) + 1e-12


def test_metrics_of_one_class_are_missing_not_invented():
    metrics = compute_metrics(np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]))
    missing = dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision", "balanced_accuracy", "fpr"))
    known = {"n": 3, "n_fake": 3, "majority": 1, "accuracy": 2 / 3, "fnr": 1 / 3}
    assert metrics == pytest.approx(missing | known | {"log_loss": -np.log([0.2, 0.5, 0.9]).mean()})


def test_metrics_agree_with_scikit_learn():
    for seed in range(20):
        labels, scores, _ = some_videos(60, 5, seed)
        metrics = compute_metrics(labels, scores, 0.41)
        for name, expected in reference(labels, scores, 0.41).items():
            found = metrics["at_threshold"][name.split()[1]] if " " in name else metrics[name]
            assert found == pytest.approx(expected), name
        assert metrics["majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()))


def test_bootstrap_agrees_with_drawing_one_by_one():
    labels, scores, groups = some_videos(40, 9)
    found = bootstrap_intervals(labels, scores, groups, 0.41, draws=200, seed=3)
    names, rng, drawn = np.unique(groups), np.random.default_rng(3), []
    n = len(names)
    for times in np.concatenate([rng.multinomial(n, np.full(n, 1 / n), 100) for _ in range(2)]):
        index = np.concatenate([np.flatnonzero(groups == name) for name in np.repeat(names, times)])
        drawn.append(reference(labels[index], scores[index], 0.41))
    for name in drawn[0]:
        expected = np.percentile([figures[name] for figures in drawn], (2.5, 97.5))
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_interval_of_an_accuracy_is_that_of_a_binomial_and_grows_with_the_groups():
    labels = np.arange(400) % 2
    scores = np.where(np.arange(400) % 10 < 8, labels, 1 - labels).astype(float)  # 80 % right
    alone = bootstrap_intervals(labels, scores, np.arange(400))["accuracy"]
    np.testing.assert_allclose(alone, 0.8 + 1.96 * np.sqrt(0.8 * 0.2 / 400) * np.array((-1, 1)), atol=0.006)
    # videos that are wrong together: 40 groups in place of 400 videos
    joined = bootstrap_intervals(labels, scores, np.arange(400) % 10 + 10 * (np.arange(400) // 100))["accuracy"]
    np.testing.assert_allclose(joined, 0.8 + 1.96 * np.sqrt(0.8 * 0.2 / 40) * np.array((-1, 1)), atol=0.03)


def test_bootstrap_of_degenerate_cases():
    labels = np.arange(20) % 2
    perfect = bootstrap_intervals(labels, labels.astype(float), np.arange(20))
    assert perfect["eer"] == [0, 0] and perfect["auc"] == perfect["accuracy"] == [1, 1]
    constant = bootstrap_intervals(labels, np.full(20, 0.3), np.arange(20))
    assert constant["eer"] == constant["auc"] == [0.5, 0.5]
    assert set(bootstrap_intervals(labels, np.full(20, 0.3), np.zeros(20)).values()) == {None}
    few = np.r_[np.ones(19, int), 0]  # the one real video is missing in a third of the draws
    assert set(bootstrap_intervals(few, np.linspace(0, 1, 20), np.arange(20)).values()) == {None}


def test_bootstrap_of_a_large_set_takes_seconds():
    labels, scores, groups = some_videos(5000, 700, levels=10**6)
    start = time.perf_counter()
    low, high = bootstrap_intervals(labels, scores, groups)["auc"]
    assert time.perf_counter() - start < 30
    assert low < sk.roc_auc_score(labels, scores) < high
