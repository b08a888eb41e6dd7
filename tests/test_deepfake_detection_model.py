"""Script 2 as a whole: the network, training, what is reported and written."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from conftest import QUICK, extract, make_split, read_json, read_table, train

import deepfake_detection_model as ddm
from data.files import InputError
from features.metrics import compute_eer, compute_metrics, compute_rates
from features.splits import hold_out, load_split

# --- The network ----------------------------------------------------------------------------------


def test_the_network_is_the_one_described():
    model = ddm.DeepfakeMLP()
    assert sum(parameter.numel() for parameter in model.parameters()) == 644_097
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Linear", "LeakyReLU", "Dropout"] * 2 + ["Linear"]
    dropouts = [layer.p for layer in model.layers if isinstance(layer, torch.nn.Dropout)]
    assert dropouts == [0.2, 0.2]
    features = torch.randn(5, 1000)
    scores = model.score(features)
    assert scores.shape == (5,) and scores.dtype == np.float64
    np.testing.assert_allclose(scores, torch.sigmoid(model(features)).detach().numpy(), rtol=1e-6)


def test_features_are_standardised_with_the_training_part(tmp_path):
    path = make_split(tmp_path)
    features = np.load(path) * np.linspace(0.1, 50, 1000, dtype=np.float32) + 7
    features[:, 3] = 5  # a constant column
    np.save(path, features)
    training, val = hold_out(load_split(path), 0.2, 0)
    model = ddm.DeepfakeMLP()
    ddm.fit_standardisation(model, training)
    np.testing.assert_allclose(model.mean, features[training.rows].mean(0), rtol=1e-4)
    deviation = features[training.rows].std(0)
    deviation[3] = 1
    np.testing.assert_allclose(model.deviation, deviation, rtol=1e-4)
    features[val.rows] = 1e6  # what is held out changes nothing
    np.save(path, features)
    again = ddm.DeepfakeMLP()
    ddm.fit_standardisation(again, hold_out(load_split(path), 0.2, 0)[0])
    assert torch.equal(again.mean, model.mean) and torch.equal(again.deviation, model.deviation)


# --- Training -------------------------------------------------------------------------------------


def both_parts(path, val_fraction=0.3):
    return dict(zip(("train", "val"), hold_out(load_split(path), val_fraction, 0), strict=True))


def train_on(splits, num_epochs=1, lr=1e-4, seed=0, **options):
    return ddm.train(splits, 16, num_epochs, lr, torch.device("cpu"), seed, **options)


def test_chance_stays_chance(tmp_path):
    splits = both_parts(make_split(tmp_path, n_groups=60, shift=0))
    model, _, history = train_on(splits, num_epochs=2, lr=1e-3)
    assert history[-1]["train_accuracy"] > 0.9  # it can memorise
    _, labels, scores = splits["val"].by_unit(ddm.score_frames(model, splits["val"]))
    assert 0.25 < sk.roc_auc_score(labels, scores) < 0.75  # and that is worth nothing on others


def test_dropout_is_on_in_every_epoch(tmp_path, monkeypatch):
    """Scoring switches it off between epochs."""
    splits, modes = both_parts(make_split(tmp_path, n_groups=5)), []
    forward = ddm.DeepfakeMLP.forward

    def spy(model, features):
        modes.append((model.training, all(layer.training for layer in model.layers)))
        return forward(model, features)

    monkeypatch.setattr(ddm.DeepfakeMLP, "forward", spy)
    train_on(splits, num_epochs=3)
    steps = -(-len(splits["train"].rows) // 16)
    assert modes.count((True, True)) == 3 * steps
    assert modes.count((False, False)) == 3 * 2  # both splits, after each epoch


def test_the_order_depends_on_the_seed_alone(tmp_path, monkeypatch):
    """Features that do not fit in memory are read from the file, in the same order."""
    splits = both_parts(make_split(tmp_path, n_groups=5))
    in_memory, _, history = train_on(splits, num_epochs=2)
    monkeypatch.setattr(ddm, "available_memory", lambda device: 0)
    mapped, _, again = train_on(splits, num_epochs=2)
    assert again == history
    states = in_memory.state_dict(), mapped.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    _, _, differs = train_on(splits, num_epochs=2, seed=1)
    assert differs != history


def test_rows_go_to_the_device_in_chunks(tmp_path, monkeypatch):
    split = load_split(make_split(tmp_path, n_groups=5))
    gathered, gather = [], type(split).gather
    monkeypatch.setattr(
        type(split), "gather", lambda self, rows: gathered.append(len(rows)) or gather(self, rows)
    )
    monkeypatch.setattr(ddm, "CHUNK", 16)
    features = ddm.load_rows(split, torch.device("cpu"))
    np.testing.assert_array_equal(features, np.load(tmp_path / "train_features.npy"))
    assert gathered == [16, 16, 8]


def unbalanced(folder, n_fakes=6):
    """Splits without anything to learn, with one real frame to six fakes."""
    split = load_split(make_split(folder, n_groups=20, frames=6, shift=0))
    split = split.part((split.labels == 1) | (split.numbers % n_fakes == 0))
    return dict(zip(("train", "val"), hold_out(split, 0.3, 0), strict=True))


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
            model.layers[0].weight[0, 1] = (
                0.5  # noise, which the sign of the first epochs does not drown
            )
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


@pytest.mark.parametrize("batch_size", [16, 64])  # with one batch an epoch the loss is still finite
def test_training_that_diverges_says_so(tmp_path, batch_size):
    splits = both_parts(make_split(tmp_path), 0.2)
    with pytest.raises(
        InputError, match=r"after epoch 1 the loss or a score is not a number: .*--lr"
    ):
        ddm.train(splits, batch_size, 1, 1e30, torch.device("cpu"), 0)


def test_fewer_rows_than_a_batch_are_one_clear_line(tmp_path):
    splits = both_parts(make_split(tmp_path), 0.2)
    with pytest.raises(InputError, match="--batch-size 65 is more than the 64 training frames"):
        ddm.train(splits, 65, 1, 1e-3, torch.device("cpu"), 0)


def test_select_best_needs_both_classes(tmp_path):
    splits = both_parts(make_split(tmp_path))
    splits["val"] = splits["val"].part(splits["val"].labels == 1)
    model, _, history = train_on(splits)
    assert history[0]["val_eer"] is None
    scores = ddm.score_frames(model, splits["val"])
    found = ddm.choose_threshold(splits["val"], scores)
    assert found == (0.5, "as the validation split has one class alone")
    with pytest.raises(InputError, match="--select best needs both classes in the validation"):
        train_on(splits, select="best")


# --- Results --------------------------------------------------------------------------------------


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


def test_only_videos_have_intervals_and_not_those_of_training(tmp_path):
    split = load_split(make_split(tmp_path))
    scores = np.random.default_rng(0).random(80)
    results = ddm.evaluate(split, scores, 0.5)
    assert results["videos"]["intervals"].keys() == {"accuracy", "eer", "auc"}
    assert "intervals" not in results["frames"]
    assert "intervals" not in ddm.evaluate(split, scores, 0.5, intervals=False)["videos"]


def test_results_are_as_documented_and_agree_with_each_other(tmp_path, capsys):
    make_split(tmp_path / "features")
    report = train(tmp_path)
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == {
        "model.pt",
        "metrics.json",
        "predictions.csv",
    }
    assert report["settings"]["lr"] == 1e-3 and report["settings"]["batch_size"] == 16
    assert report["extraction"]["weights"]["name"] == "random"
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "groups": 0, "clips": 0}
    assert "scikit-learn" in report["versions"]
    threshold = report["thresholds"]["used"]
    rows = read_table(folder / "predictions.csv")
    assert list(rows[0]) == ["split", "video", "label", "score", "at_0.5", "at_T"]
    for split, n in (("train", 16), ("val", 4)):
        members = [row for row in rows if row["split"] == split]
        labels = np.array([("real", "fake").index(row["label"]) for row in members])
        scores = np.array([float(row["score"]) for row in members])
        assert len(members) == n
        expected = compute_metrics(labels, scores)
        found = report["splits"][split]["videos"]
        assert {name: found[name] for name in expected} == pytest.approx(expected)
        assert report["splits"][split]["frames"]["n"] == 4 * n
        for column, limit in (("at_0.5", 0.5), ("at_T", threshold)):
            called = ["fake" if score >= limit else "real" for score in scores]
            assert [row[column] for row in members] == called
    out = capsys.readouterr().out
    assert "UNTRAINED" in out and "train and val share 0 videos, 0 groups, 0 clips" in out
    assert (
        "Training Set    8 real and 8 fake" not in out and "8 real and 8 fake videos, 64 fr" in out
    )
    assert max(map(len, out.splitlines())) <= 100 or str(tmp_path) in out
    assert "--predict" in out.splitlines()[-1]


def test_the_checkpoint_holds_the_standardisation_of_the_training_part_alone(tmp_path):
    path = make_split(tmp_path / "features")
    train(tmp_path)
    training, _ = hold_out(load_split(path), 0.2, 0)
    state = torch.load(tmp_path / "results/model.pt", weights_only=True)["model"]
    features = np.load(path)[training.rows]
    np.testing.assert_allclose(state["mean"], features.mean(0), atol=1e-5)
    np.testing.assert_allclose(state["deviation"], features.std(0), rtol=1e-4)


def test_a_run_learns_and_repeats_exactly(tmp_path):
    make_split(tmp_path / "features", n_groups=20)
    first = train(tmp_path, "--num-epochs", "3")
    assert first["splits"]["val"]["videos"]["accuracy"] > 0.9
    assert first["history"][-1]["loss"] < first["history"][0]["loss"]
    second = train(tmp_path, "--num-epochs", "3", results="again")
    assert second["history"] == first["history"]
    paths = [tmp_path / name / "model.pt" for name in ("results", "again")]
    models = [torch.load(path, weights_only=True)["model"] for path in paths]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_split_files_beside_the_training_files_are_used(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        make_split(tmp_path / "features", split, n_groups=5 + seed, seed=seed)
    report = train(tmp_path)
    counts = [report["splits"][name]["videos"]["n"] for name in ("train", "val", "test")]
    assert counts == [10, 12, 14]
    assert report["split"]["by"] == "as extracted"
    # the test split is looked at after training only
    path = tmp_path / "features/test_features.npy"
    np.save(path, -np.load(path))
    again = train(tmp_path, results="again")
    assert again["history"] == report["history"]
    assert again["splits"]["val"] == report["splits"]["val"]
    assert again["splits"]["test"] != report["splits"]["test"]


def test_bare_arrays_are_split_by_frames_with_a_warning(tmp_path, capsys):
    make_split(tmp_path / "features")
    for name in ("train_frames.npy", "train_videos.csv", "extraction.json"):
        (tmp_path / "features" / name).unlink()
    report = train(tmp_path)
    assert report["splits"]["val"].keys() == {"frames"}
    assert report["splits"]["val"]["frames"]["n"] == 16
    assert "WARNING: validation is INFLATED" in capsys.readouterr().out
    assert len(read_table(tmp_path / "results/predictions.csv")) == 80


def test_a_validation_split_of_one_class_has_no_eer(tmp_path, capsys):
    for split in ("train", "val"):
        make_split(tmp_path / "features", split)
    for name in ("frames.npy", "videos.csv"):
        (tmp_path / f"features/val_{name}").unlink()
    np.save(tmp_path / "features/val_labels.npy", np.ones(80, np.int64))
    report = train(tmp_path)
    assert report["splits"]["val"]["frames"]["eer"] is None
    assert "n/a: one class alone has no such figure" in capsys.readouterr().out


def video_scores(folder, split):
    rows = [row for row in read_table(folder / "predictions.csv") if row["split"] == split]
    labels = [("real", "fake").index(row["label"]) for row in rows]
    return np.array(labels), np.array([float(row["score"]) for row in rows])


def test_the_threshold_comes_from_validation_and_the_table_says_what_chose_the_epoch(
    tmp_path, capsys
):
    for seed, split in enumerate(("train", "val", "test")):
        make_split(tmp_path / "features", split, n_groups=8 + seed, seed=seed, shift=0.1)
    report = train(tmp_path, "--select", "best")
    assert "The validation figures are too good: the epoch was chosen" in capsys.readouterr().out
    threshold = report["thresholds"]["used"]
    val = report["splits"]["val"]["videos"]
    assert 0 < val["eer_threshold"] - threshold < 0.2  # halfway to the next score
    at_eer = compute_rates(*video_scores(tmp_path / "results", "val"), val["eer_threshold"])
    at_threshold = val["at_threshold"]
    assert at_eer == {name: at_threshold[name] for name in at_eer}
    labels, scores = video_scores(tmp_path / "results", "test")
    at = report["splits"]["test"]["videos"]["at_threshold"]
    assert at["threshold"] == threshold
    assert at["accuracy"] == pytest.approx(np.mean((scores >= threshold) == labels))


def test_several_seeds_report_their_spread(tmp_path, capsys):
    make_split(tmp_path / "features", n_groups=12, shift=0.05)
    report = train(tmp_path, "--seeds", "3")
    out = capsys.readouterr().out
    values = [seed["splits"]["val"]["videos"]["auc"] for seed in report["seeds"]]
    assert len(values) == 3 and len(set(values)) > 1
    assert f"{100 * np.mean(values):.1f} % ({100 * np.std(values, ddof=1):.1f})" in out
    assert out.count("Validation Set, videos: accuracy") == 3  # a line after each seed
    alone = train(tmp_path, results="alone")
    assert alone["splits"] == report["splits"] == report["seeds"][0]["splits"]


def test_each_training_is_a_line_of_runs(tmp_path):
    make_split(tmp_path / "features")
    train(tmp_path)
    train(tmp_path, "--seed", "3", results="other")
    rows = read_table(tmp_path / "runs.csv")
    assert [row["seed"] for row in rows] == ["0", "3"]
    assert "lr=0.001" in rows[0]["settings"] and "batch_size" not in rows[0]["settings"]
    report = read_json(tmp_path / "other/metrics.json")
    val = report["splits"]["val"]["videos"]
    for key in ("accuracy", "eer", "auc"):
        assert float(rows[1][f"val_{key}"]) == pytest.approx(val[key])
    assert rows[1]["test_auc"] == ""


def test_results_of_other_settings_are_replaced_with_a_word_and_wholly(tmp_path, capsys):
    make_split(tmp_path / "features")
    train(tmp_path)
    assert "Replaces" not in capsys.readouterr().out
    folder = tmp_path / "results"
    (folder / "evaluated/other_test").mkdir(parents=True)
    for name in ("roc.png", "predict.csv", "predict_0001_x.png"):
        (folder / name).write_text("of the earlier model")
    train(tmp_path)
    assert "Replaces" not in capsys.readouterr().out  # the same again
    (folder / "roc.png").write_text("of the earlier model")
    train(tmp_path, "--lr", "1e-2")
    assert f"Replaces   {folder}, trained otherwise: lr 0.001 -> 0.01\n" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        "model.pt",
        "metrics.json",
        "predictions.csv",
    }


def test_a_new_model_removes_nothing_that_is_not_its_own(tmp_path):
    make_split(tmp_path / "features")
    mine = ["holiday.png", "predictions_of_mine.csv", "predict_notes.png", "evaluated/notes.txt"]
    for name in mine:
        (tmp_path / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / name).write_text("precious")
    train(tmp_path)
    assert all((tmp_path / "results" / name).read_text() == "precious" for name in mine)


def test_a_table_of_somebody_else_named_runs_is_left_alone(tmp_path, capsys):
    make_split(tmp_path / "features")
    (tmp_path / "runs.csv").write_text("number,who\n1,me\n")
    train(tmp_path)
    assert (tmp_path / "runs.csv").read_text() == "number,who\n1,me\n"
    assert "runs.csv gets no line: it has other columns" in capsys.readouterr().out
    assert (tmp_path / "results/model.pt").is_file()


def test_features_made_otherwise_are_announced(tmp_path, capsys):
    make_split(tmp_path / "features")
    train(tmp_path)
    make_split(tmp_path / "features", frames=5)
    capsys.readouterr()
    train(tmp_path)
    assert "trained otherwise: 4 frames a video -> 5 frames a video" in capsys.readouterr().out
    (tmp_path / "results/metrics.json").write_text('{"settings": [1]}')
    train(tmp_path)
    assert "trained otherwise: with unknown settings" in capsys.readouterr().out


def test_results_lie_in_a_folder_named_after_the_features(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_split(tmp_path / "features/mine")
    (tmp_path / "features/mine/notebooks").mkdir()
    file = "features/mine/notebooks/../train_features.npy"
    ddm.main(["--train-features-file", file, *QUICK])
    assert (tmp_path / "results/mine/model.pt").is_file()
    assert (tmp_path / "results/runs.csv").is_file()


def test_one_class_is_an_error(tmp_path):
    make_split(tmp_path / "features")
    (tmp_path / "features/train_videos.csv").unlink()
    path = tmp_path / "features/train_labels.npy"
    np.save(path, np.load(path) * 0)
    with pytest.raises(InputError, match=r"80 real and 0 fake frames: both are needed"):
        train(tmp_path)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--val-fraction", "1"],
        ["--lr", "0"],
        ["--batch-size", "-1"],
        ["--num-epochs", "0"],
        ["--seeds", "0"],
        ["--plot"],
        ["--checkpoint", "x"],
        ["--evaluate", "x", "--predict", "y"],
        ["--select", "worst"],
        ["--val-labels-file", "x"],
        ["--num-epoch", "3"],  # no abbreviations
    ],
)
def test_wrong_flags(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert flags[0] in errors and errors.count("\n") == 2  # short usage, error


# --- Real clips -----------------------------------------------------------------------------------


def test_real_clips_run_through_both_scripts(real_videos, tmp_path):
    """Clips of FaceForensics++ and DFDC side by side in class folders."""
    root = tmp_path / "clips"
    for label, pattern in (
        ("real", "faceforensics/original_sequences/**/*.mp4"),
        ("fake", "faceforensics/manipulated_sequences/**/videos/*.mp4"),
    ):
        (root / label).mkdir(parents=True)
        for path in real_videos.glob(pattern):
            (root / label / path.name).symlink_to(path)
    for metadata in real_videos.glob("dfdc/*/metadata.json"):
        for name, entry in read_json(metadata).items():
            if (metadata.parent / name).is_file():
                (root / entry["label"].lower() / name).symlink_to(metadata.parent / name)
    extract(root, tmp_path / "features")
    assert np.load(tmp_path / "features/train_features.npy").shape == (44, 1000)
    rows = read_table(tmp_path / "features/train_videos.csv")
    groups = {row["video"]: row["group"] for row in rows}
    assert groups["fake/004_982.mp4"] == groups["real/004.mp4"]
    report = train(tmp_path, "--val-fraction", "0.3")
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "groups": 0, "clips": 0}
    (row,) = ddm.predict_videos([root / "real/004.mp4"], tmp_path / "results/model.pt", "cpu")
    assert row["frames"] == 4 and row["note"]


def test_real_trees_run_end_to_end(real_videos, tmp_path):
    for name, n in (("faceforensics", 6), ("dfdc", 8)):
        extract(real_videos / name, tmp_path / name, "--frames-per-video", "2")
        assert len(np.load(tmp_path / name / "train_labels.npy")) == n
    report = train(tmp_path, "--batch-size", "4", features="faceforensics")
    assert report["split"]["by"] == "as extracted"
    assert report["extraction"]["layout"] == "FaceForensics++"
    counts = {name: split["videos"]["n"] for name, split in report["splits"].items()}
    assert counts == {"train": 3, "val": 2, "test": 2}
    assert all(set(shared.values()) == {0} for shared in report["split"]["shared"].values())
    assert report["split"]["shortcuts"]
    with pytest.raises(InputError, match=r"1 groups with real videos and 2 with fakes are too few"):
        train(tmp_path, features="dfdc")
    # with one real video, only frames can be split
    flags = ["--split-unit", "frame", "--batch-size", "4"]
    report = train(tmp_path, *flags, features="dfdc")
    assert report["split"]["shared"]["train-val"]["videos"] > 0


def test_intervals_are_of_groups_not_of_videos(tmp_path):
    split = load_split(make_split(tmp_path))
    scores = np.random.default_rng(0).random(80)
    index, labels, values = split.video_scores(scores)
    found = ddm.evaluate(split, scores, 0.5)["videos"]["intervals"]
    assert found == ddm.compute_intervals(labels, values, [split.group(i) for i in index])
    assert found != ddm.compute_intervals(labels, values, index)


def test_a_labels_file_is_for_the_training_features_alone(tmp_path):
    features = make_split(tmp_path)
    make_split(tmp_path, "val", n_groups=6)
    own = (tmp_path / "train_labels.npy").rename(tmp_path / "own.npy")
    splits = ddm.load_splits({"train": features, "val": None, "test": None}, own, "group")
    n_frames = {name: len(split.labels) for name, split in splits.items()}
    assert n_frames == {"train": 80, "val": 48}


def test_a_line_of_runs_has_the_figures_of_videos_if_there_are_any(tmp_path):
    videos, frames = ({"n": n, "accuracy": n / 100, "eer": 0.5, "auc": 0.5} for n in (12, 48))
    for results in ({"videos": videos, "frames": frames}, {"frames": frames}):
        ddm.append_run(tmp_path / "runs.csv", tmp_path, {}, 0, {"val": results})
    rows = read_table(tmp_path / "runs.csv")
    assert [row["val_n"] for row in rows] == ["12", "48"]
    assert [row["val_accuracy"] for row in rows] == ["0.12", "0.48"]


def test_predictions_are_named_at_a_half_and_at_the_threshold(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=2, frames=1))
    scores = {"val": np.array([0.1, 0.3, 0.5, 0.9])}
    ddm.write_predictions(tmp_path / "predictions.csv", {"val": split}, scores, 0.3)
    rows = read_table(tmp_path / "predictions.csv")
    assert [row["label"] for row in rows] == ["fake", "fake", "real", "real"]
    assert [row["at_0.5"] for row in rows] == ["real", "real", "fake", "fake"]
    assert [row["at_T"] for row in rows] == ["real", "fake", "fake", "fake"]


def test_the_interval_of_a_method_is_that_of_its_videos(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=12, frames=1))
    for i, row in enumerate(split.videos):
        row["method"] = ("Deepfakes", "FaceSwap")[i % 2] if row["label"] == "1" else ""
    scores = np.random.default_rng(0).random(24)
    groups = np.array([split.group(i) for i in split.video_index])
    methods = ddm.evaluate(split, scores, 0.5)["methods"]
    for parity, name in enumerate(("Deepfakes", "FaceSwap")):
        part = (split.labels == 0) | (split.video_index % 2 == parity)
        expected = ddm.compute_intervals(split.labels[part], scores[part], groups[part])
        assert methods[name]["intervals"] == expected


def test_another_seed_is_another_run_and_the_files_are_of_the_first(tmp_path):
    make_split(tmp_path / "features", shift=0.05)
    runs = train(tmp_path, "--seeds", "2", results="both")["seeds"]
    for seed in (0, 1):
        alone = train(tmp_path, "--seed", str(seed), results=f"seed_{seed}")
        assert alone["splits"] == runs[seed]["splits"]
        assert alone["history"] == runs[seed]["history"]
    files = [tmp_path / name / "predictions.csv" for name in ("both", "seed_0", "seed_1")]
    both, first, second = (file.read_text() for file in files)
    assert both == first != second
    models = [ddm.load_checkpoint(file.with_name("model.pt"))[0].state_dict() for file in files]
    both, first, second = (model["layers.6.weight"] for model in models)
    assert torch.equal(both, first) and not torch.equal(both, second)
