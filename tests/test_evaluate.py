"""The figures of a split, by video, by frame and by method."""

import numpy as np
import pytest
import sklearn.metrics as sk
from conftest import make_split

from features.dataset import load_split
from features.evaluate import evaluate
from features.metrics import compute_intervals


def test_each_method_is_held_against_all_reals(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=12, frames=2))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deepfakes", "FaceSwap")[i % 2] if row["label"] == "1" else ""
    scores = np.random.default_rng(0).random(48)
    methods = evaluate(split, scores, 0.4)["methods"]
    assert list(methods) == ["Deepfakes", "FaceSwap"]
    index, labels, values = split.video_scores(scores)
    groups = np.array([split.group(i) for i in index])
    for parity, found in enumerate(methods.values()):
        part = (labels == 0) | (index % 2 == parity)
        assert (found["n"], found["n_fake"]) == (18, 6)
        assert found["auc"] == pytest.approx(sk.roc_auc_score(labels[part], values[part]))
        expected = compute_intervals(labels[part], values[part], groups[part])
        assert found["intervals"] == expected


def test_intervals_are_of_groups_and_only_videos_have_them_and_not_those_of_training(tmp_path):
    split = load_split(make_split(tmp_path))
    scores = np.random.default_rng(0).random(80)
    results = evaluate(split, scores, 0.5)
    index, labels, values = split.video_scores(scores)
    found = results["videos"]["intervals"]
    assert found.keys() == {"accuracy", "eer", "auc"}
    assert found == compute_intervals(labels, values, [split.group(i) for i in index])
    assert found != compute_intervals(labels, values, index)
    assert "intervals" not in results["frames"]
    assert "intervals" not in evaluate(split, scores, 0.5, intervals=False)["videos"]
