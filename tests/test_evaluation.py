"""Metrics with their intervals, selection, and what a checkpoint is used for afterwards."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from conftest import make_split

import deepfake_detection_model as ddm
import feature_extraction as fe

RUN = ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu"]


def run(folder, *more):
    path = folder / "features/train_features.npy"
    ddm.main(["--train-features-file", str(path), "--output-dir", str(folder / "results"), *RUN, *more])
    return json.loads((folder / "results/metrics.json").read_text())


def some_videos(n, n_groups, seed=0, levels=12):
    """Labels, scores with ties, groups."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = np.clip(np.round(rng.normal(0.4 + 0.2 * labels, 0.25) * levels) / levels, 0, 1)
    return labels, scores, rng.integers(0, n_groups, n)


# --- Metrics and intervals --------------------------------------------------------------------------


def reference(labels, scores, threshold):
    """The figures by scikit-learn."""
    figures = {}
    for prefix, limit in (("", 0.5), ("at_threshold ", threshold)):
        called = scores >= limit
        (tn, fp), (fn, tp) = sk.confusion_matrix(labels, called, labels=(0, 1))
        figures[f"{prefix}accuracy"] = sk.accuracy_score(labels, called)
        figures[f"{prefix}balanced_accuracy"] = sk.balanced_accuracy_score(labels, called)
        figures[f"{prefix}fpr"], figures[f"{prefix}fnr"] = fp / (fp + tn), fn / (fn + tp)
    figures["eer"] = ddm.compute_eer(labels, scores)[0]
    figures["auc"] = sk.roc_auc_score(labels, scores)
    figures["average_precision"] = sk.average_precision_score(labels, scores)
    figures["log_loss"] = sk.log_loss(labels, scores)
    return figures


def test_metrics_agree_with_scikit_learn():
    for seed in range(20):
        labels, scores, _ = some_videos(60, 5, seed)
        metrics = ddm.compute_metrics(labels, scores, 0.41)
        for name, expected in reference(labels, scores, 0.41).items():
            found = metrics["at_threshold"][name.split()[1]] if " " in name else metrics[name]
            assert found == pytest.approx(expected), name
        assert metrics["majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()))


def test_bootstrap_agrees_with_drawing_one_by_one():
    labels, scores, groups = some_videos(40, 9)
    found = ddm.bootstrap_intervals(labels, scores, groups, 0.41, draws=200, seed=3)
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
    alone = ddm.bootstrap_intervals(labels, scores, np.arange(400))["accuracy"]
    np.testing.assert_allclose(alone, 0.8 + 1.96 * np.sqrt(0.8 * 0.2 / 400) * np.array((-1, 1)), atol=0.006)
    # videos that are wrong together: 40 groups in place of 400 videos
    joined = ddm.bootstrap_intervals(labels, scores, np.arange(400) % 10 + 10 * (np.arange(400) // 100))["accuracy"]
    np.testing.assert_allclose(joined, 0.8 + 1.96 * np.sqrt(0.8 * 0.2 / 40) * np.array((-1, 1)), atol=0.03)


def test_bootstrap_of_degenerate_cases():
    labels = np.arange(20) % 2
    perfect = ddm.bootstrap_intervals(labels, labels.astype(float), np.arange(20))
    assert perfect["eer"] == [0, 0] and perfect["auc"] == perfect["accuracy"] == [1, 1]
    constant = ddm.bootstrap_intervals(labels, np.full(20, 0.3), np.arange(20))
    assert constant["eer"] == constant["auc"] == [0.5, 0.5]
    assert set(ddm.bootstrap_intervals(labels, np.full(20, 0.3), np.zeros(20)).values()) == {None}
    few = np.r_[np.ones(19, int), 0]  # the one real video is missing in a third of the draws
    assert set(ddm.bootstrap_intervals(few, np.linspace(0, 1, 20), np.arange(20)).values()) == {None}


def test_bootstrap_of_a_large_set_takes_seconds():
    labels, scores, groups = some_videos(5000, 700, levels=10**6)
    start = time.perf_counter()
    low, high = ddm.bootstrap_intervals(labels, scores, groups)["auc"]
    assert time.perf_counter() - start < 30
    assert low < sk.roc_auc_score(labels, scores) < high


def test_fakes_without_a_method_among_others_leave_the_whole_alone(tmp_path):
    split = ddm.load_split(make_split(tmp_path, n_groups=12, frames=2))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deep$fakes", "Two", "")[i % 3] if row["label"] == "1" and i < 11 else ""
    scores = np.random.default_rng(0).random(48)
    results = ddm.evaluate(split, scores, 0.4)
    assert results["videos"]["n"] == 24 and results["videos"]["n_fake"] == 12
    assert {name: m["n_fake"] for name, m in results["methods"].items()} == {"": 4, "Deep$fakes": 4, "Two": 4}
    table = ddm.results_table({"A": results, "B": {"frames": results["frames"]}})
    assert "not named" in table and table.splitlines()[0].split() == ["Videos", "A"]
    ddm.plot_scores({"train": split}, {"train": scores}, {"train": results}, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 5000


def test_each_method_is_held_against_all_reals(tmp_path):
    split = ddm.load_split(make_split(tmp_path, n_groups=12, frames=2))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deepfakes", "FaceSwap")[i % 2] if row["label"] == "1" else ""
    scores = np.random.default_rng(0).random(48)
    results = ddm.evaluate(split, scores, 0.4)
    assert list(results["methods"]) == ["Deepfakes", "FaceSwap"]
    index, labels, values = split.video_scores(scores)
    part = (labels == 0) | (index % 2 == 0)
    found = results["methods"]["Deepfakes"]
    assert (found["n"], found["n_fake"]) == (18, 6)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels[part], values[part]))
    low, high = found["intervals"]["auc"]
    assert low <= found["auc"] <= high


# --- Training and selection -------------------------------------------------------------------------


def unbalanced(folder, n_fakes=6):
    """Splits without anything to learn, with one real frame to six fakes."""
    split = ddm.load_split(make_split(folder, n_groups=20, frames=6, shift=0))
    split = split.part((split.labels == 1) | (split.number % n_fakes == 0))
    return dict(zip(("train", "val"), ddm.hold_out(split, 0.3, 0), strict=True))


def test_class_balance_weights_the_loss(tmp_path):
    splits, means = unbalanced(tmp_path), {}
    for balance in ("weight", "none"):
        model, _, _ = ddm.train(splits, 16, 2, 1e-4, torch.device("cpu"), 0, balance)
        means[balance] = ddm.score_frames(model, splits["val"]).mean()
    assert 0.4 < means["weight"] < 0.56 and means["none"] > means["weight"] + 0.05, means


def test_select_best_keeps_a_copy_of_the_best_epoch(tmp_path, monkeypatch):
    path = make_split(tmp_path, n_groups=10, shift=0)
    features = np.load(path)
    features[:, 0] = 5 * np.load(tmp_path / "train_labels.npy")  # the label is in the first feature
    np.save(path, features)
    splits = dict(zip(("train", "val"), ddm.hold_out(ddm.load_split(path), 0.3, 0), strict=True))
    signs = iter([0.1, 1.0, -1.0] * 2)

    def learn_nothing(model, *_):
        with torch.no_grad():
            for layer in (model.layers[0], model.layers[3], model.layers[6]):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[0, 0] = 1
            model.layers[0].weight[0, 1] = 0.5  # noise, which the sign of the first epochs does not drown
            sign = next(signs)
            model.layers[0].weight[0, 0] = sign
        return 0.5

    monkeypatch.setattr(ddm, "train_epoch", learn_nothing)
    device = torch.device("cpu")
    best, epoch, history = ddm.train(splits, 16, 3, 1e-5, device, 0, select="best")
    eers = [record["val_eer"] for record in history]
    assert epoch == 2 and eers[1] < eers[0] < eers[2]
    labels = splits["val"].labels
    assert ddm.compute_eer(labels, ddm.score_frames(best, splits["val"]))[0] < 0.1
    last, epoch, _ = ddm.train(splits, 16, 3, 1e-5, device, 0)
    assert epoch == 3 and ddm.compute_eer(labels, ddm.score_frames(last, splits["val"]))[0] > 0.9


def test_select_best_needs_both_classes(tmp_path):
    make_split(tmp_path / "features")
    val = ddm.load_split(make_split(tmp_path / "features", "val", n_groups=6))
    keep = val.labels == 1
    for name in ("features", "labels", "frames"):
        path = tmp_path / f"features/val_{name}.npy"
        np.save(path, np.load(path)[keep])
    report = run(tmp_path)
    assert report["thresholds"] == {
        "default": 0.5,
        "used": 0.5,
        "from": "as the validation split has one class alone",
    }
    with pytest.raises(fe.InputError, match="--select best needs both classes in the validation split"):
        run(tmp_path, "--select", "best")


def test_equal_features_cost_a_picture_not_the_run(tmp_path, capsys):
    path = make_split(tmp_path / "features")
    np.save(path, np.ones_like(np.load(path)))
    report = run(tmp_path)
    assert report["splits"]["val"]["videos"]["auc"] == 0.5
    assert "features.png is not drawn: all features are equal" in capsys.readouterr().out


def video_scores(folder, split):
    with open(folder / "results/predictions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return (np.array([column(row[name]) for row in rows]) for name, column in (("label", int), ("score", float)))


def test_the_table_says_what_chose_the_epoch_and_the_threshold(tmp_path, capsys):
    for seed, split in enumerate(("train", "val", "test")):
        make_split(tmp_path / "features", split, n_groups=8 + seed, seed=seed, shift=0.1)
    report = run(tmp_path, "--select", "best")
    out = capsys.readouterr().out
    assert (
        "Validation (chose the epoch)" in out
        and "Validation Set " not in out.split("\nWeights after")[1].split("Frame ")[0]
    )
    threshold = report["thresholds"]["used"]
    val = report["splits"]["val"]["videos"]
    assert 0 < val["eer_threshold"] - threshold < 0.2  # halfway to the next score
    at_eer = ddm.compute_rates(*video_scores(tmp_path, "val"), val["eer_threshold"])
    assert at_eer == {name: value for name, value in val["at_threshold"].items() if name != "threshold"}
    with open(tmp_path / "results/predictions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    called = [float(row["score"]) >= threshold for row in rows]
    truth = [row["label"] == "1" for row in rows]
    at = report["splits"]["test"]["videos"]["at_threshold"]
    assert at["threshold"] == threshold and at["accuracy"] == pytest.approx(np.mean(np.equal(called, truth)))


def test_several_seeds_report_their_spread(tmp_path, capsys):
    make_split(tmp_path / "features", n_groups=12, shift=0.05)
    report = run(tmp_path, "--seeds", "3")
    out = capsys.readouterr().out
    values = [seed["splits"]["val"]["videos"]["auc"] for seed in report["seeds"]]
    assert len(values) == 3 and len(set(values)) > 1
    assert f"{100 * np.mean(values):.1f} % ({100 * np.std(values, ddof=1):.1f} %)" in out
    alone = run(tmp_path)
    assert alone["splits"] == report["splits"] == report["seeds"][0]["splits"]


@pytest.mark.parametrize(
    "flags",
    [["--plot"], ["--seeds", "0"], ["--evaluate", "x", "--predict", "y"], ["--checkpoint", "x"], ["--select", "worst"]],
)
def test_wrong_flags(flags):
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags)
    assert caught.value.code == 2


# --- With a checkpoint ------------------------------------------------------------------------------


def test_evaluate_scores_other_data_and_warns_of_what_was_seen(tmp_path, capsys):
    make_split(tmp_path / "features")
    report = run(tmp_path)
    other = make_split(tmp_path / "other", "test", n_groups=7, seed=5)
    arguments = ["--output-dir", str(tmp_path / "results"), "--device", "cpu", "--evaluate"]
    capsys.readouterr()
    before = (tmp_path / "results/model.pt").read_bytes()
    ddm.main([*arguments, str(other), str(tmp_path / "features/train_features.npy")])
    out = capsys.readouterr().out
    assert f"{other} shares with its training: 0 videos, 0 groups, 0 clips" in out
    assert "train_features.npy shares with its training: 20 videos" in out and "NOT THOSE OF UNSEEN PEOPLE" in out
    results = json.loads((tmp_path / "results/evaluate.json").read_text())["splits"][str(other)]
    model, checkpoint = ddm.load_checkpoint(tmp_path / "results/model.pt")
    split = ddm.load_split(other)
    threshold = checkpoint["thresholds"]["used"]
    assert threshold == report["thresholds"]["used"]
    assert results["videos"] == ddm.evaluate(split, ddm.score_frames(model, split), threshold)["videos"]
    assert (tmp_path / "results/model.pt").read_bytes() == before
    extraction = json.loads((tmp_path / "other/extraction.json").read_text())
    extraction["weights"]["sha256"] = "1" * 64
    (tmp_path / "other/extraction.json").write_text(json.dumps(extraction))
    with pytest.raises(fe.InputError, match=r"sha256 is 000.* for the checkpoint.*extract them alike"):
        ddm.main([*arguments, str(other)])


@pytest.fixture
def trained(videos, tmp_path):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "3", "--device", "cpu"]
    )
    run(tmp_path)
    return tmp_path


def test_a_process_that_knows_only_the_checkpoint_scores_a_video(trained, videos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(trained / "results/model.pt", elsewhere / "detector.pt")
    shutil.copy(videos / "fake/000_003.mp4", elsewhere / "clip.mp4")
    command = [sys.executable, ddm.__file__, "--checkpoint", "detector.pt", "--predict", "clip.mp4", "--plot"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "UNTRAINED" in done.stdout and "proves nothing about a single video" in done.stdout
    with open(trained / "results/predictions.csv", newline="") as file:
        known = {row["video"]: float(row["score"]) for row in csv.DictReader(file)}
    with open(elsewhere / "results/predict.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["video", "score", "prediction", "frames", "spread", "reason"]
    assert float(row["score"]) == pytest.approx(known["fake/000_003.mp4"], abs=1e-4)
    threshold = ddm.load_checkpoint(elsewhere / "detector.pt")[1]["thresholds"]["used"]
    assert row["prediction"] == fe.CLASSES[float(row["score"]) >= threshold] and row["frames"] == "3"
    assert (elsewhere / "results/predict_0001_clip.png").stat().st_size > 5000


def test_an_interrupted_prediction_keeps_what_it_has(trained, videos, monkeypatch):
    extract, done = fe.extract_video, []

    def interrupted(path, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path)
        return extract(path, *rest)

    monkeypatch.setattr(fe, "extract_video", interrupted)
    monkeypatch.setattr(fe, "count_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        ddm.main(["--output-dir", str(trained / "results"), "--device", "cpu", "--predict", str(videos)])
    with open(trained / "results/predict.csv", newline="") as file:
        assert [Path(row["video"]) for row in csv.DictReader(file)] == done


def test_odd_names_do_not_stop_the_pictures(trained, videos, capsys):
    folder = videos / "odd"
    folder.mkdir()
    names = ["b$\\frac$.mp4", f"{'long' * 60}.mp4", "%03d 'x'.mp4"]
    for name in names:
        shutil.copy(videos / "fake/000_003.mp4", folder / name)
    ddm.main(["--output-dir", str(trained / "results"), "--device", "cpu", "--predict", str(folder), "--plot"])
    assert len(list((trained / "results").glob("predict_*.png"))) == 3
    with open(trained / "results/predict.csv", newline="") as file:
        assert sorted(Path(row["video"]).name for row in csv.DictReader(file)) == sorted(names)


def test_broken_files_get_no_decision(trained, videos, capsys):
    (videos / "real/broken.mp4").write_text("no video")
    ddm.main(["--output-dir", str(trained / "results"), "--device", "cpu", "--predict", str(videos / "real")])
    assert "real/broken.mp4: not a video" in capsys.readouterr().out
    rows = list(ddm.predict_videos([videos / "real/broken.mp4"], trained / "results/model.pt", "cpu"))
    assert rows[0]["prediction"] == "no decision" and rows[0]["score"] is None and rows[0]["reason"] == "not a video"


def test_the_pictures_are_drawn(trained):
    names = {path.name for path in (trained / "results").glob("*.png")}
    assert names == {"training_curves.png", "roc.png", "scores.png", "features.png", "sample_frames.png"}
