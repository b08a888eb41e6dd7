import csv
import itertools
import json
import math
import os
import random
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import make_split, write_video
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
import feature_extraction as fe


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """No t-SNE here, which takes seconds: test_evaluation.py draws it."""
    monkeypatch.setattr(ddm, "TSNE", lambda **_: PCA(2))


# --- Metrics --------------------------------------------------------------------------------------


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
    assert ddm.compute_eer(labels, scores)[0] == pytest.approx(eer, abs=1e-12)


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
        ddm.compute_eer(labels, scores)


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


def test_eer_agrees_with_exact_arithmetic_and_ignores_the_scale():
    for labels, scores in random_cases(1000):
        eer, threshold = ddm.compute_eer(labels, scores)
        assert eer == pytest.approx(float(exact_eer(labels, scores)), abs=1e-12)
        for monotone in (lambda s: 5 * s - 3, lambda s: s**3, np.exp):
            assert ddm.compute_eer(labels, [monotone(score) for score in scores])[0] == eer
        # no threshold brings the two rates nearer to each other
        gaps = {value: abs(gap_of_rates(labels, scores, value)) for value in (*scores, 2)}
        assert abs(gap_of_rates(labels, scores, threshold)) <= min(gaps.values()) + 1e-12


def test_metrics_of_one_class_are_missing_not_invented():
    metrics = ddm.compute_metrics(np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]))
    missing = dict.fromkeys(("eer", "eer_threshold", "auc", "average_precision", "balanced_accuracy", "fpr"))
    known = {"n": 3, "n_fake": 3, "majority": 1, "accuracy": 2 / 3, "fnr": 1 / 3}
    assert metrics == pytest.approx(missing | known | {"log_loss": -np.log([0.2, 0.5, 0.9]).mean()})


def test_a_video_scores_the_mean_of_its_frames(tmp_path):
    split = ddm.load_split(make_split(tmp_path, n_groups=3, frames=4))
    scores = np.random.default_rng(0).random(24)
    index, labels, video_scores = split.video_scores(scores)
    assert index.tolist() == list(range(6)) and labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_allclose(video_scores, scores.reshape(6, 4).mean(1))


# --- Data and split -------------------------------------------------------------------------------


@pytest.mark.parametrize("val_fraction", [0.1, 0.2, 0.3, 0.5])
def test_split_shares_no_group_and_keeps_both_classes(tmp_path, val_fraction):
    whole = ddm.load_split(make_split(tmp_path, n_groups=40))
    train, val = ddm.hold_out(whole, val_fraction, seed=3)
    assert not train.names("group") & val.names("group")
    assert len(train.names("group")) + len(val.names("group")) == 40
    assert len(val.names("group")) == pytest.approx(40 * val_fraction, abs=1)
    assert sorted([*train.rows, *val.rows]) == list(range(320))
    assert not set(train.video) & set(val.video)
    for part in (train, val):
        assert part.labels.mean() == 0.5
        np.testing.assert_array_equal(part.labels, whole.labels[part.rows])
    again = ddm.hold_out(whole, val_fraction, seed=3)[1]
    other = ddm.hold_out(whole, val_fraction, seed=4)[1]
    assert again.names("group") == val.names("group") != other.names("group")


def test_split_of_few_and_unequal_groups(tmp_path):
    whole = ddm.load_split(make_split(tmp_path, n_groups=6))
    for row in whole.videos[:6]:
        row["group"] = row["video"]  # the fakes stand alone
    for row in whole.videos[6:10]:
        row["group"] = "one set of reals"
    for seed in range(20):
        train, val = ddm.hold_out(whole, 0.2, seed)
        assert not train.names("group") & val.names("group")
        assert set(train.labels) == set(val.labels) == {0, 1}
    for row in whole.videos[6:]:
        row["group"] = "one set of reals"
    with pytest.raises(fe.InputError, match=r"1 groups with real videos and 6 with fakes are too few"):
        ddm.hold_out(whole, 0.2, 0)


def damage(name, change):
    """A case in which the array `<split>_<name>.npy` is changed."""

    def apply(folder):
        path = folder / f"train_{name}.npy"
        np.save(path, change(np.load(path)))

    return apply


def nan_in_row_5(features):
    features[5, 7] = np.nan
    return features


def write(name, data):
    return lambda folder: (folder / f"train_{name}").write_bytes(data)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda folder: (folder / "train_features.npy").unlink(), r"train_features\.npy: no such file; run feature"),
        (lambda folder: (folder / "train_labels.npy").unlink(), r"train_labels\.npy: no such file"),
        (damage("labels", lambda a: a[:-2]), r"train_labels\.npy has 78 rows but .*train_features\.npy has 80: run"),
        (damage("features", lambda a: a[:, :512]), r"float32 in 512 columns, expected float32 in 1000"),
        (damage("features", lambda a: a.astype(np.float64)), r"float64 in 1000 columns"),
        (damage("features", lambda a: a[0]), r"holds float32 of shape \(1000,\), expected 2-d"),
        (damage("features", lambda a: a[:0]), r"holds float32 of shape \(0, 1000\)"),
        (damage("features", nan_in_row_5), r"NaN or infinity in row 5"),
        (damage("labels", lambda a: a + 1), r"has the labels \[1, 2\], expected only 0 \(real\) and 1 \(fake\)"),
        (damage("labels", lambda a: a * 0), r"do not fit .*train_labels\.npy"),
        (damage("labels", lambda a: a.astype(float)), r"holds float64 of shape"),
        (damage("labels", lambda a: a.astype(object)), r"train_labels\.npy is not a \.npy file of numbers"),
        (damage("frames", lambda a: a[:-1]), r"train_frames\.npy, .*do not fit.*run feature_extraction\.py again"),
        (damage("frames", lambda a: a[:, :1]), r"do not fit"),
        (damage("frames", lambda a: a + 20), r"do not fit"),
        (write("features.npy", b""), r"train_features\.npy is not a \.npy file of numbers"),
        (write("features.npy", b"1.0 2.0\n"), r"train_features\.npy is not a \.npy file of numbers"),
        (write("videos.csv", b"a,b\n1,2\n"), r"train_videos\.csv lacks the columns video,label,group"),
        (lambda folder: (folder / "extraction.json").write_text("{"), r"extraction\.json is not valid JSON"),
    ],
)
def test_wrong_inputs_are_one_clear_line(tmp_path, apply, message):
    make_split(tmp_path / "features")
    apply(tmp_path / "features")
    with pytest.raises(fe.InputError, match=message) as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_one_class_without_sidecar_files(tmp_path):
    make_split(tmp_path / "features")
    (tmp_path / "features/train_videos.csv").unlink()
    damage("labels", lambda a: a * 0)(tmp_path / "features")
    with pytest.raises(fe.InputError, match=r"80 real and 0 fake frames: both are needed"):
        run(tmp_path)


@pytest.mark.parametrize(
    "flags", [["--val-fraction", "1"], ["--lr", "0"], ["--batch-size", "-1"], ["--num-epochs", "0"]]
)
def test_wrong_flags(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags)
    assert caught.value.code == 2
    assert f"{flags[0]} is" in capsys.readouterr().err


# --- Model and training ---------------------------------------------------------------------------


def run(folder, *more, features="features", results="results"):
    ddm.main(
        ["--train-features-file", str(folder / features / "train_features.npy"), "--output-dir", str(folder / results)]
        + ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu", *more]
    )
    return json.loads((folder / results / "metrics.json").read_text())


def test_the_network_is_the_one_described():
    model = ddm.DeepfakeMLP()
    assert sum(parameter.numel() for parameter in model.parameters()) == 644_097
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Linear", "LeakyReLU", "Dropout"] * 2 + ["Linear"]
    assert [layer.p for layer in model.layers if isinstance(layer, torch.nn.Dropout)] == [0.2, 0.2]
    features = torch.randn(5, 1000)
    scores = model.score(features)
    assert scores.shape == (5,) and scores.dtype == np.float64
    np.testing.assert_allclose(scores, torch.sigmoid(model(features)).detach().numpy(), rtol=1e-6)


def test_features_are_standardised_with_the_training_part(tmp_path):
    path = make_split(tmp_path)
    features = np.load(path) * np.linspace(0.1, 50, 1000, dtype=np.float32) + 7
    features[:, 3] = 5  # a constant column
    np.save(path, features)
    train, val = ddm.hold_out(ddm.load_split(path), 0.2, 0)
    model = ddm.DeepfakeMLP()
    ddm.fit_standardisation(model, train)
    np.testing.assert_allclose(model.mean, features[train.rows].mean(0), rtol=1e-4)
    deviation = features[train.rows].std(0)
    deviation[3] = 1
    np.testing.assert_allclose(model.deviation, deviation, rtol=1e-4)
    features[val.rows] = 1e6  # what is held out changes nothing
    np.save(path, features)
    again = ddm.DeepfakeMLP()
    ddm.fit_standardisation(again, ddm.hold_out(ddm.load_split(path), 0.2, 0)[0])
    assert torch.equal(again.mean, model.mean) and torch.equal(again.deviation, model.deviation)


def test_the_checkpoint_holds_the_standardisation_of_the_training_part_alone(tmp_path):
    path = make_split(tmp_path / "features")
    run(tmp_path)
    train, _ = ddm.hold_out(ddm.load_split(path), 0.2, 0)
    state = torch.load(tmp_path / "results/model.pt", weights_only=True)["model"]
    np.testing.assert_allclose(state["mean"], np.load(path)[train.rows].mean(0), atol=1e-5)
    np.testing.assert_allclose(state["deviation"], np.load(path)[train.rows].std(0), rtol=1e-4)


def test_a_run_learns_and_repeats_exactly(tmp_path):
    make_split(tmp_path / "features", n_groups=20)
    first = run(tmp_path, "--num-epochs", "3")
    assert first["splits"]["val"]["videos"]["accuracy"] > 0.9
    assert first["history"][-1]["loss"] < first["history"][0]["loss"]
    second = run(tmp_path, "--num-epochs", "3", results="again")
    other = run(tmp_path, "--num-epochs", "3", "--seed", "1", results="other")
    assert second["history"] == first["history"] != other["history"]
    models = [torch.load(tmp_path / name / "model.pt", weights_only=True)["model"] for name in ("results", "again")]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_chance_stays_chance(tmp_path):
    make_split(tmp_path / "features", n_groups=60, shift=0)
    metrics = run(tmp_path)["splits"]
    assert metrics["train"]["frames"]["accuracy"] > 0.9  # it can memorise
    assert 0.25 < metrics["val"]["videos"]["auc"] < 0.75  # and that is worth nothing on other groups


def test_results_are_as_documented_and_agree_with_each_other(tmp_path, capsys):
    make_split(tmp_path / "features")
    report = run(tmp_path)
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == {
        *("model.pt", "metrics.json", "predictions.csv"),
        *("training_curves.png", "roc.png", "scores.png", "features.png"),
    }
    assert report["settings"]["lr"] == 1e-3 and report["settings"]["batch_size"] == 16
    assert report["extraction"]["weights"]["name"] == "random"
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "groups": 0, "clips": 0}
    assert "scikit-learn" in report["versions"]
    with open(folder / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["split", "video", "label", "score", "prediction"]
    for split, n in (("train", 16), ("val", 4)):
        members = [row for row in rows if row["split"] == split]
        labels = np.array([int(row["label"]) for row in members])
        scores = np.array([float(row["score"]) for row in members])
        assert len(members) == n
        expected = ddm.compute_metrics(labels, scores)
        assert {name: report["splits"][split]["videos"][name] for name in expected} == pytest.approx(expected)
        assert report["splits"][split]["frames"]["n"] == 4 * n
        assert [int(row["prediction"]) for row in members] == (scores >= 0.5).astype(int).tolist()
    out = capsys.readouterr().out
    assert "UNTRAINED" in out and "train-val share 0 videos, 0 groups, 0 clips" in out
    assert "Training Set" in out and "16 (8 real, 8 fake)" in out and "64 (32 real, 32 fake)" in out
    assert "sample_frames.png is not drawn" in out


def test_split_files_beside_the_training_files_are_used(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        make_split(tmp_path / "features", split, n_groups=5 + seed, seed=seed)
    report = run(tmp_path)
    assert [report["splits"][split]["videos"]["n"] for split in ("train", "val", "test")] == [10, 12, 14]
    assert report["split"]["by"] == "as extracted"
    # the test split is looked at after training only
    np.save(tmp_path / "features/test_features.npy", -np.load(tmp_path / "features/test_features.npy"))
    again = run(tmp_path, results="again")
    assert again["history"] == report["history"]
    assert again["splits"]["val"] == report["splits"]["val"]
    assert again["splits"]["test"] != report["splits"]["test"]


def test_the_held_out_part_is_as_near_to_the_fraction_as_the_groups_allow(tmp_path):
    whole = ddm.load_split(make_split(tmp_path, n_groups=50))
    sizes = (26, 8, 6, 5, 5)  # groups of very unequal size, as the people of Celeb-DF are joined
    names = [f"group {i}" for i, size in enumerate(sizes) for _ in range(size)] * 2
    for row, name in zip(whole.videos, names, strict=True):
        row["group"] = name
    for seed in range(5):
        train, val = ddm.hold_out(whole, 0.2, seed)
        assert not train.names("group") & val.names("group")
        assert 0.1 <= len(val.rows) / len(whole.rows) <= 0.3
    for fraction in (1e-6, 0.01, 0.99):
        train, val = ddm.hold_out(ddm.load_split(tmp_path / "train_features.npy"), fraction, 0)
        assert abs(len(val.rows) / len(whole.rows) - fraction) < 0.06
        assert set(train.labels) == set(val.labels) == {0, 1}


def edit_videos(folder, split, change):
    path = folder / f"{split}_videos.csv"
    with open(path, newline="") as file:
        rows = [change(row) or row for row in csv.DictReader(file)]
    fe.write_csv(path, rows[0], rows)


def test_a_leak_between_extracted_splits_is_an_error_unless_it_is_the_official_split(tmp_path, capsys):
    folder = tmp_path / "features"
    for seed, split in enumerate(("train", "val", "test")):
        make_split(folder, split, n_groups=5, seed=seed)
    edit_videos(folder, "test", lambda row: row.update(clip=row["clip"].replace("test/", "train/")))
    with pytest.raises(fe.InputError, match=r"train and test share 10 clips, gone/train/fake/000\.mp4 for one"):
        run(tmp_path)
    edit_videos(folder, "test", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(fe.InputError, match=r"train and test share 1 groups"):
        run(tmp_path)
    extraction = json.loads((folder / "extraction.json").read_text())
    (folder / "extraction.json").write_text(json.dumps({**extraction, "layout": "Celeb-DF"}))
    report = run(tmp_path)
    assert report["split"]["shared"]["train-test"] == {"videos": 0, "groups": 1, "clips": 10}
    edit_videos(folder, "test", lambda row: row.update(video=row["video"].replace("test/", "train/")))
    with pytest.raises(fe.InputError, match=r"train and test share 10 videos"):  # not even there
        run(tmp_path)
    edit_videos(folder, "test", lambda row: row.update(video=row["video"].replace("train/", "test/")))
    edit_videos(folder, "val", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(fe.InputError, match=r"train and val share 1 groups"):  # the list knows train and test alone
        run(tmp_path)
    edit_videos(folder, "val", lambda row: row.update(group="val"))
    report = run(tmp_path)
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "groups": 0, "clips": 0}
    out = capsys.readouterr().out
    assert "Leak audit train-test share 0 videos, 1 groups, 10 clips" in out
    assert "WARNING: the splits share what they should not" in out


@pytest.mark.parametrize(("unit", "leaks"), [("group", False), ("video", True), ("frame", True)])
def test_split_unit_shows_what_a_leak_is_worth(tmp_path, unit, leaks, capsys):
    """Features that tell the videos of a group apart from all others, and nothing of the label beyond the group."""
    path = make_split(tmp_path / "features", n_groups=120, frames=3, shift=0)
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(240) % 2, 3)  # both videos of a group have its label
    edit_videos(tmp_path / "features", "train", lambda row: row.update(label=int(row["group"][5:8]) % 2))
    people = np.repeat(np.tile(rng.normal(size=(120, 1000)), (2, 1)), 3, 0)
    np.save(path, (people + 0.3 * rng.normal(size=people.shape)).astype(np.float32))
    np.save(tmp_path / "features/train_labels.npy", labels)
    report = run(tmp_path, "--split-unit", unit, "--num-epochs", "6")
    shared = report["split"]["shared"]["train-val"]
    assert (shared["groups"] > 0) == leaks and (shared["videos"] > 0) == (unit == "frame")
    assert ("NOT THOSE OF UNSEEN PEOPLE" in capsys.readouterr().out) == leaks
    accuracy = report["splits"]["val"]["frames"]["accuracy"]
    assert accuracy > 0.75 if leaks else accuracy < 0.75


def test_split_unit_does_not_excuse_other_files(tmp_path):
    folder = tmp_path / "features"
    make_split(folder)
    for name in ("features.npy", "labels.npy", "frames.npy", "videos.csv"):
        shutil.copy(folder / f"train_{name}", folder / f"test_{name}")
    with pytest.raises(fe.InputError, match=r"(train|val) and test share \d+ (videos|groups)"):
        run(tmp_path, "--split-unit", "video")
    make_split(folder, "val")
    with pytest.raises(fe.InputError, match=r"--split-unit frame: there is a file of validation features"):
        run(tmp_path, "--split-unit", "frame")


def test_one_set_extracted_twice_is_recognised(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root, folder in ((str(videos), "features"), (os.path.relpath(videos), "again")):
        fe.main(["--videos-dir", root, "--features-dir", folder, "--weights", "random", "--frames-per-video", "1"])
    with pytest.raises(fe.InputError, match=r"train and test share \d+ videos"):
        run(tmp_path, "--test-features-file", "again/train_features.npy")


def test_shortcuts_are_named(tmp_path, capsys):
    make_split(tmp_path / "features", n_groups=20)

    def add_columns(row):
        known = {"width": 640, "height": 480, "fps": "", "frames": 100, "duration": ""}
        return row | known | {"size": 1000 + 500 * (row["label"] == "0") + int(row["video"][-6:-4])}

    edit_videos(tmp_path / "features", "train", add_columns)
    shortcuts = run(tmp_path)["split"]["shortcuts"]
    assert shortcuts["size"] == shortcuts["bits per pixel"] == 1.0  # smaller files are fakes
    assert {shortcuts[name] for name in ("width", "height", "fps", "frames", "duration")} == {0.5}
    out = capsys.readouterr().out
    assert "WARNING: size, bits per pixel alone: an AUC above 75 % or above the model's own, 100.0 %" in out


def test_a_validation_split_of_one_class_has_no_eer(tmp_path, capsys):
    for split in ("train", "val"):
        make_split(tmp_path / "features", split)
    folder = tmp_path / "features"
    for name in ("frames.npy", "videos.csv"):
        (folder / f"val_{name}").unlink()
    np.save(folder / "val_labels.npy", np.ones(80, np.int64))
    report = run(tmp_path)
    assert report["splits"]["val"]["frames"]["eer"] is None
    assert "n/a" in capsys.readouterr().out


def test_bare_arrays_are_split_by_frames_with_a_warning(tmp_path, capsys):
    make_split(tmp_path / "features")
    for name in ("train_frames.npy", "train_videos.csv", "extraction.json"):
        (tmp_path / "features" / name).unlink()
    report = run(tmp_path)
    assert report["splits"]["val"].keys() == {"frames"}
    assert report["splits"]["val"]["frames"]["n"] == 16
    out = capsys.readouterr().out
    assert "WARNING" in out and "INFLATES" in out


def test_features_that_do_not_fit_in_memory_train_the_same(tmp_path, monkeypatch):
    make_split(tmp_path / "features")
    in_memory = run(tmp_path)
    monkeypatch.setattr(ddm, "free_memory", lambda device: 0)
    assert run(tmp_path, results="mapped")["history"] == in_memory["history"]


def test_splits_extracted_differently_are_refused(tmp_path):
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "other", "val", frames=2)
    with pytest.raises(fe.InputError, match=r"frames_per_video is 4 for train, 2 for val: extract them alike"):
        run(tmp_path, "--val-features-file", str(val))


@pytest.mark.parametrize("batch_size", ["16", "64"])  # with one batch an epoch the loss itself is still finite
def test_training_that_diverges_says_so(tmp_path, batch_size):
    make_split(tmp_path / "features")
    with pytest.raises(fe.InputError, match=r"after epoch 1 the loss or a score is not a number: lower --lr"):
        run(tmp_path, "--lr", "1e30", "--batch-size", batch_size)


def test_fewer_rows_than_a_batch_are_one_clear_line(tmp_path):
    make_split(tmp_path / "features")
    with pytest.raises(fe.InputError, match="--batch-size 65 is more than the 64 training frames: lower it"):
        run(tmp_path, "--batch-size", "65")


def test_memory_mapped_features_are_never_written_to(tmp_path):
    path = make_split(tmp_path / "features")
    before = path.read_bytes()
    run(tmp_path)
    assert path.read_bytes() == before


# --- Checkpoint and prediction, from real video files ---------------------------------------------


@pytest.fixture
def trained(videos, tmp_path, random_weights):
    """Both scripts run over small videos, with weights from own.pth."""
    random_weights = shutil.copy(random_weights, tmp_path / "own.pth")
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", str(random_weights)]
        + ["--frames-per-video", "3", "--device", "cpu"]
    )
    run(tmp_path)
    return tmp_path


def test_end_to_end(trained, videos, capsys):
    results = trained / "results"
    assert (results / "sample_frames.png").read_bytes().startswith(b"\x89PNG")
    with open(results / "predictions.csv", newline="") as file:
        known = {row["video"]: float(row["score"]) for row in csv.DictReader(file)}
    assert len(known) == 10

    # the checkpoint alone gives the same scores from the video files
    (videos / "fake/broken.mp4").write_text("no video")
    assert ddm.load_checkpoint(results / "model.pt")[1]["extraction"]["frames_per_video"] == 3
    checkpoint = torch.load(results / "model.pt", weights_only=True)
    threshold = checkpoint["thresholds"]["used"]
    assert 0 <= threshold <= 1
    before = (results / "predictions.csv").read_bytes()
    capsys.readouterr()
    ddm.main(["--predict", str(videos), str(videos / "real/000.mp4"), "--output-dir", str(results), "--device", "cpu"])
    out = capsys.readouterr().out
    with open(results / "predict.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        name = str(row["video"]).removeprefix(f"{videos}/")
        assert name in out
        if name == "fake/broken.mp4":
            assert (row["score"], row["prediction"], row["frames"]) == ("", "no decision", "0")
            assert row["reason"].startswith("not a video") and row["reason"] in out
        else:
            assert float(row["score"]) == pytest.approx(known[name], abs=1e-4)
            assert row["prediction"] == fe.CLASSES[known[name] >= threshold] and row["frames"] == "3"
    assert (results / "predictions.csv").read_bytes() == before
    single = next(ddm.predict_videos([videos / "real/000.mp4"], results / "model.pt", "cpu"))
    assert single["score"] == pytest.approx(known["real/000.mp4"], abs=1e-4)


def test_predict_refuses_other_weights_and_useless_input(trained, videos, tmp_path):
    arguments = ["--output-dir", str(trained / "results"), "--device", "cpu", "--predict"]
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "text.mp4", "none of the 1 videos could be scored"),
        (tmp_path / "empty", "no videos in this folder"),
        (tmp_path / "missing.mp4", "no such file"),
    ):
        with pytest.raises(fe.InputError, match=message):
            ddm.main([*arguments, str(path)])
    torch.save(fe.resnet18(weights=None).state_dict(), trained / "own.pth")
    with pytest.raises(fe.InputError, match=r"model\.pt was trained on features of other weights than .*own\.pth"):
        ddm.main([*arguments, str(videos / "real/000.mp4")])
    (trained / "own.pth").unlink()
    with pytest.raises(fe.InputError, match=r"own\.pth: no such file"):
        ddm.main([*arguments, str(videos / "real/000.mp4")])


def test_wrong_checkpoints(tmp_path):
    torch.save({"model": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "other.pt")
    torch.save({"weights": 1}, tmp_path / "keys.pt")
    (tmp_path / "text.pt").write_text("model")
    for name in ("other.pt", "keys.pt", "text.pt", "missing.pt"):
        with pytest.raises(fe.InputError, match=rf"{name}.*checkpoint of deepfake_detection_model"):
            ddm.load_checkpoint(tmp_path / name)


def test_real_clips_run_through_both_scripts(real_videos, tmp_path):
    root = tmp_path / "clips"
    for label, pattern in (
        ("real", "faceforensics/original_sequences/**/*.mp4"),
        ("fake", "faceforensics/manipulated_sequences/**/videos/*.mp4"),
    ):
        (root / label).mkdir(parents=True)
        for path in real_videos.glob(pattern):
            (root / label / path.name).symlink_to(path)
    for metadata in real_videos.glob("dfdc/*/metadata.json"):
        for name, entry in json.loads(metadata.read_text()).items():
            if (metadata.parent / name).is_file():
                (root / entry["label"].lower() / name).symlink_to(metadata.parent / name)
    fe.main(
        ["--videos-dir", str(root), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu"]
    )
    assert np.load(tmp_path / "features/train_features.npy").shape == (44, 1000)
    with open(tmp_path / "features/train_videos.csv", newline="") as file:
        groups = {row["video"]: row["group"] for row in csv.DictReader(file)}
    assert groups["fake/004_982.mp4"] == groups["real/004.mp4"]
    report = run(tmp_path, "--val-fraction", "0.3")
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "groups": 0, "clips": 0}
    ddm.main(["--predict", str(root / "real/004.mp4"), "--output-dir", str(tmp_path / "results"), "--device", "cpu"])


def test_real_trees_run_end_to_end(real_videos, tmp_path, capsys):
    for name, n in (("faceforensics", 6), ("dfdc", 8)):
        fe.main(
            ["--videos-dir", str(real_videos / name), "--features-dir", str(tmp_path / name), "--weights", "random"]
            + ["--frames-per-video", "2", "--device", "cpu"]
        )
        assert len(np.load(tmp_path / name / "train_labels.npy")) == n
    report = run(tmp_path, "--batch-size", "4", features="faceforensics")
    assert report["split"]["by"] == "as extracted" and report["extraction"]["layout"] == "FaceForensics++"
    assert {name: split["videos"]["n"] for name, split in report["splits"].items()} == {"train": 3, "val": 2, "test": 2}
    assert all(set(shared.values()) == {0} for shared in report["split"]["shared"].values())
    assert "Shortcut audit" in capsys.readouterr().out
    with pytest.raises(fe.InputError, match=r"1 groups with real videos and 2 with fakes are too few"):
        run(tmp_path, features="dfdc")
    report = run(
        tmp_path, "--split-unit", "frame", "--batch-size", "4", features="dfdc"
    )  # with one real video, only frames can be split
    assert report["split"]["shared"]["train-val"]["videos"] > 0


def test_a_video_that_is_gone_or_changed_costs_its_picture_not_the_run(tmp_path, capsys):
    for i in range(6):
        write_video(tmp_path / f"videos/real/{i}.mp4")
        write_video(tmp_path / f"videos/fake/{i}_.mp4", colour=(0, 0, 200))
    fe.main(
        ["--videos-dir", str(tmp_path / "videos"), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "1", "--device", "cpu"]
    )
    run(tmp_path, "--batch-size", "4")
    assert (tmp_path / "results/sample_frames.png").is_file()
    for path in (tmp_path / "videos").rglob("*.mp4"):
        write_video(path, n=3)
    run(tmp_path, "--batch-size", "4")
    assert "has changed since its features were extracted" in capsys.readouterr().out
    assert not (tmp_path / "results/sample_frames.png").exists()  # of the earlier run
    shutil.rmtree(tmp_path / "videos")
    run(tmp_path, "--batch-size", "4")
    assert "no such file" in capsys.readouterr().out
    assert (tmp_path / "results/metrics.json").is_file()


def test_the_sample_picture_shows_the_frames_it_names(videos, tmp_path, monkeypatch):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu"]
    )
    shown = []

    def save(figure, path):
        shown.extend((axes.get_title(), axes.get_images()[0].get_array()) for axes in figure.axes if axes.get_images())

    monkeypatch.setattr(ddm, "save_figure", save)
    run(tmp_path)
    assert len(shown) >= 4
    for title, picture in shown:
        number = int(title.split("frame ")[1].split(",")[0])
        assert abs(picture.mean() - (20 + 7 * number)) < 3.5  # the grey level that frame was written with
        assert ("real/" in title) == ("truth: real" in title)
