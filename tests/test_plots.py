import json

import numpy as np
import pytest
from conftest import make_split

import deepfake_detection_model as ddm
import feature_extraction as fe
from features.plots import plot_scores
from features.splits import load_split

RUN = ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu"]


def run(folder, *more):
    path = folder / "features/train_features.npy"
    ddm.main(["--train-features-file", str(path), "--output-dir", str(folder / "results"), *RUN, *more])
    return json.loads((folder / "results/metrics.json").read_text())


@pytest.fixture
def trained_on_random(videos, tmp_path):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "3", "--device", "cpu"]
    )
    run(tmp_path)
    return tmp_path


def test_fakes_without_a_method_among_others_leave_the_whole_alone(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=12, frames=2))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deep$fakes", "Two", "")[i % 3] if row["label"] == "1" and i < 11 else ""
    scores = np.random.default_rng(0).random(48)
    results = ddm.evaluate(split, scores, 0.4)
    assert results["videos"]["n"] == 24 and results["videos"]["n_fake"] == 12
    assert {name: m["n_fake"] for name, m in results["methods"].items()} == {"": 4, "Deep$fakes": 4, "Two": 4}
    table = ddm.results_table({"A": results, "B": {"frames": results["frames"]}})
    assert "not named" in table and table.splitlines()[0].split() == ["Videos", "A"]
    plot_scores({"train": split}, {"train": scores}, {"train": results}, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 5000


def test_equal_features_cost_a_picture_not_the_run(tmp_path, capsys):
    path = make_split(tmp_path / "features")
    np.save(path, np.ones_like(np.load(path)))
    report = run(tmp_path)
    assert report["splits"]["val"]["videos"]["auc"] == 0.5
    assert "features.png is not drawn: all features are equal" in capsys.readouterr().out


def test_the_pictures_are_drawn(trained_on_random):
    names = {path.name for path in (trained_on_random / "results").glob("*.png")}
    assert names == {"training_curves.png", "roc.png", "scores.png", "features.png", "sample_frames.png"}
