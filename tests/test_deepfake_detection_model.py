import csv
import json

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from conftest import make_split
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
import feature_extraction as fe
from data.files import InputError
from features.metrics import compute_eer, compute_metrics, compute_rates
from features.splits import hold_out, load_split


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """No t-SNE here, which takes seconds: test_evaluation.py draws it."""
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))


def run(folder, *more, features="features", results="results"):
    ddm.main(
        ["--train-features-file", str(folder / features / "train_features.npy"), "--output-dir", str(folder / results)]
        + ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu", *more]
    )
    return json.loads((folder / results / "metrics.json").read_text())


def unbalanced(folder, n_fakes=6):
    """Splits without anything to learn, with one real frame to six fakes."""
    split = load_split(make_split(folder, n_groups=20, frames=6, shift=0))
    split = split.part((split.labels == 1) | (split.number % n_fakes == 0))
    return dict(zip(("train", "val"), hold_out(split, 0.3, 0), strict=True))


RUN = ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu"]


def video_scores(folder, split):
    with open(folder / "results/predictions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return (np.array([column(row[name]) for row in rows]) for name, column in (("label", int), ("score", float)))


@pytest.mark.parametrize(
    "flags", [["--val-fraction", "1"], ["--lr", "0"], ["--batch-size", "-1"], ["--num-epochs", "0"]]
)
def test_wrong_flags(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags)
    assert caught.value.code == 2
    assert f"{flags[0]} is" in capsys.readouterr().err


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
    train, val = hold_out(load_split(path), 0.2, 0)
    model = ddm.DeepfakeMLP()
    ddm.fit_standardisation(model, train)
    np.testing.assert_allclose(model.mean, features[train.rows].mean(0), rtol=1e-4)
    deviation = features[train.rows].std(0)
    deviation[3] = 1
    np.testing.assert_allclose(model.deviation, deviation, rtol=1e-4)
    features[val.rows] = 1e6  # what is held out changes nothing
    np.save(path, features)
    again = ddm.DeepfakeMLP()
    ddm.fit_standardisation(again, hold_out(load_split(path), 0.2, 0)[0])
    assert torch.equal(again.mean, model.mean) and torch.equal(again.deviation, model.deviation)


def test_the_checkpoint_holds_the_standardisation_of_the_training_part_alone(tmp_path):
    path = make_split(tmp_path / "features")
    run(tmp_path)
    train, _ = hold_out(load_split(path), 0.2, 0)
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
        expected = compute_metrics(labels, scores)
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
    monkeypatch.setattr("deepfake_detection_model.free_memory", lambda device: 0)
    assert run(tmp_path, results="mapped")["history"] == in_memory["history"]


@pytest.mark.parametrize("batch_size", ["16", "64"])  # with one batch an epoch the loss itself is still finite
def test_training_that_diverges_says_so(tmp_path, batch_size):
    make_split(tmp_path / "features")
    with pytest.raises(InputError, match=r"after epoch 1 the loss or a score is not a number: lower --lr"):
        run(tmp_path, "--lr", "1e30", "--batch-size", batch_size)


def test_fewer_rows_than_a_batch_are_one_clear_line(tmp_path):
    make_split(tmp_path / "features")
    with pytest.raises(InputError, match="--batch-size 65 is more than the 64 training frames: lower it"):
        run(tmp_path, "--batch-size", "65")


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
    with pytest.raises(InputError, match=r"1 groups with real videos and 2 with fakes are too few"):
        run(tmp_path, features="dfdc")
    report = run(
        tmp_path, "--split-unit", "frame", "--batch-size", "4", features="dfdc"
    )  # with one real video, only frames can be split
    assert report["split"]["shared"]["train-val"]["videos"] > 0


def test_each_method_is_held_against_all_reals(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=12, frames=2))
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
    splits = dict(zip(("train", "val"), hold_out(load_split(path), 0.3, 0), strict=True))
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
    assert compute_eer(labels, ddm.score_frames(best, splits["val"]))[0] < 0.1
    last, epoch, _ = ddm.train(splits, 16, 3, 1e-5, device, 0)
    assert epoch == 3 and compute_eer(labels, ddm.score_frames(last, splits["val"]))[0] > 0.9


def test_select_best_needs_both_classes(tmp_path):
    make_split(tmp_path / "features")
    val = load_split(make_split(tmp_path / "features", "val", n_groups=6))
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
    with pytest.raises(InputError, match="--select best needs both classes in the validation split"):
        run(tmp_path, "--select", "best")


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
    at_eer = compute_rates(*video_scores(tmp_path, "val"), val["eer_threshold"])
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
def test_flags_that_do_not_fit(flags):
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags)
    assert caught.value.code == 2
