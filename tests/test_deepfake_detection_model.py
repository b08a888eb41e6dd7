"""Script 2 as a whole: the network, training, what a run reports and writes."""

import os

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from conftest import (
    QUICK,
    edit_json,
    extract,
    make_bare,
    make_split,
    make_splits,
    read_json,
    read_table,
    train,
    videos_of,
)

import deepfake_detection_model as ddm
from data.files import InputError
from features.dataset import load_split
from features.divide import Division, hold_out
from features.figures import score_frames
from features.metrics import compute_eer, compute_metrics, compute_rates


def test_the_network_is_the_one_described():
    model = ddm.DeepfakeMLP()
    assert sum(parameter.numel() for parameter in model.parameters()) == 644_097
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Linear", "LeakyReLU", "Dropout"] * 2 + ["Linear"]
    assert model.layers[2].p == model.layers[5].p == 0.2
    features = torch.randn(5, 1000)
    scores = model.score(features)  # without dropout, as what comes after it
    np.testing.assert_allclose(scores, torch.sigmoid(model(features)).detach(), rtol=1e-6)


def test_features_are_standardised_with_the_training_part(tmp_path):
    path = make_split(tmp_path)
    features = np.load(path) * np.linspace(0.1, 50, 1000, dtype=np.float32) + 7
    features[:, 3] = 5  # a constant column
    np.save(path, features)
    training, val, _ = hold_out(load_split(path), 0.2, 0)
    features[val.rows] = 1e6  # what is held out changes nothing
    np.save(path, features)
    model = ddm.DeepfakeMLP()
    ddm.fit_standardisation(model, training)
    np.testing.assert_allclose(model.mean, features[training.rows].mean(0), rtol=1e-4)
    deviation = features[training.rows].std(0)
    deviation[3] = 1
    np.testing.assert_allclose(model.deviation, deviation, rtol=1e-4)


def both_parts(split, val_fraction=0.3) -> dict:
    train, val, _ = hold_out(split, val_fraction, 0)
    return {"train": train, "val": val}


def train_on(splits, **changes):
    settings = {"batch_size": 16, "num_epochs": 1, "lr": 1e-4, "seed": 0} | changes
    return ddm.train(splits, ddm.Training(**settings), torch.device("cpu"))


def same_weights(models) -> bool:
    first, second = (model.state_dict() for model in models)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_chance_stays_chance(tmp_path):
    splits = both_parts(load_split(make_split(tmp_path, n_groups=60, shift=0)))
    model, _, history = train_on(splits, num_epochs=2, lr=1e-3)
    assert history[-1]["train_accuracy"] > 0.9  # it can memorise
    _, labels, scores = splits["val"].video_scores(score_frames(model, splits["val"]))
    assert 0.25 < sk.roc_auc_score(labels, scores) < 0.75  # and that is worth nothing on others


def test_dropout_is_on_in_every_epoch(tmp_path, monkeypatch):
    """Scoring switches it off between epochs."""
    splits, modes = both_parts(load_split(make_split(tmp_path, n_groups=5))), []
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
    """Not on whether features are read from the file or lie on the device."""
    splits = both_parts(load_split(make_split(tmp_path, n_groups=5)))
    mapped, _, history = train_on(splits, num_epochs=2)
    monkeypatch.setattr(ddm, "load_to_gpu", lambda split, device: split.gather(split.rows))
    loaded, _, again = train_on(splits, num_epochs=2)
    assert again == history and same_weights((mapped, loaded))
    assert train_on(splits, num_epochs=2, seed=1)[2] != history


def test_every_frame_is_trained_on_once_an_epoch(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=5))
    gathered, gather = [], split.gather
    split.gather = lambda rows: gathered.append(rows) or gather(rows)
    train_on({"train": split, "val": split.part(split.rows < 8)})
    batches = [rows for rows in gathered if len(rows) <= 16][:3]
    assert [len(rows) for rows in batches] == [16, 16, 8]
    assert all((np.diff(rows) > 0).all() for rows in batches)  # a file is read forwards
    assert sorted(np.concatenate(batches)) == list(range(40))


def test_features_go_to_a_gpu_whole_or_not_at_all(tmp_path, monkeypatch):
    split = load_split(make_split(tmp_path, n_groups=5)).part(np.arange(3, 37))
    assert ddm.load_to_gpu(split, torch.device("cpu")) is None
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda shape, device: empty(shape))
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)
    for free, loaded in ((2 * 34 * 4000, True), (2 * 34 * 4000 - 1, False)):
        monkeypatch.setattr(ddm, "free_gpu_memory", lambda device, free=free: free)
        features = ddm.load_to_gpu(split, torch.device("cuda"))
        assert (features is not None) == loaded
        assert not loaded or np.array_equal(features, split.features[3:37])


def test_both_classes_count_the_same(tmp_path):
    """One real frame to six fakes, and nothing to learn."""
    split = load_split(make_split(tmp_path, n_groups=20, frames=6, shift=0))
    split = split.part((split.labels == 1) | (split.numbers % 6 == 0))
    splits = both_parts(split)
    model, _, _ = train_on(splits, num_epochs=2)
    assert 0.4 < score_frames(model, splits["val"]).mean() < 0.56


def test_select_best_keeps_a_copy_of_the_best_epoch(tmp_path, monkeypatch):
    path = make_split(tmp_path, n_groups=20, shift=0)
    features = np.load(path)
    features[:, 0] = 5 * np.load(tmp_path / "train_labels.npy")  # the label is in the first feature
    np.save(path, features)
    splits = both_parts(load_split(path))
    signs = iter([0.1, 1.0, -1.0] * 2)

    @torch.no_grad()
    def learn_nothing(model, *_):
        for values in model.parameters():
            values.zero_()
        for layer in (model.layers[3], model.layers[6]):
            layer.weight[0, 0] = 1
        model.layers[0].weight[0, 0] = next(signs)
        model.layers[0].weight[0, 1] = 0.5  # noise, which drowns the sign of the first epoch
        return 0.5

    monkeypatch.setattr(ddm, "train_epoch", learn_nothing)
    best, epoch, history = train_on(splits, num_epochs=3, select="best")
    eers = [record["val_eer"] for record in history]
    assert epoch == 2 and eers[1] < eers[0] < eers[2]
    labels = splits["val"].labels
    assert compute_eer(labels, score_frames(best, splits["val"]))[0] < 0.1
    last, epoch, _ = train_on(splits, num_epochs=3)
    assert epoch == 3 and compute_eer(labels, score_frames(last, splits["val"]))[0] > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 1e30}, r"after epoch 1 the loss or a score is not a number: lower --lr"),
        # with one batch an epoch the loss is still finite
        ({"lr": 1e30, "batch_size": 64}, r"after epoch 1 the loss or a score is not a number"),
        ({"batch_size": 65}, "--batch-size 65 is more than the 64 training frames: lower it"),
    ],
)
def test_a_training_that_cannot_be_is_one_clear_line(tmp_path, changes, message):
    splits = both_parts(load_split(make_split(tmp_path)), 0.2)
    with pytest.raises(InputError, match=message):
        train_on(splits, **changes)


def test_a_validation_split_of_one_class_has_no_eer_and_chooses_nothing(features, tmp_path, capsys):
    make_split(features, "val")
    make_bare(features, "val")
    np.save(features / "val_labels.npy", np.ones(80, np.int64))
    report = train(tmp_path)
    assert videos_of(report, "val")["eer"] is None
    assert report["thresholds"]["used"] == 0.5
    assert report["thresholds"]["from"] == "as the validation split has one class alone"
    assert "n/a: one class alone has no such figure" in capsys.readouterr().out
    splits = both_parts(load_split(features / "train_features.npy"))
    splits["val"] = splits["val"].part(splits["val"].labels == 1)
    with pytest.raises(InputError, match="--select best needs both classes in the validation"):
        train_on(splits, select="best")


def scores_in(folder, split) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of a split's videos in predictions.csv."""
    rows = [row for row in read_table(folder / "predictions.csv") if row["split"] == split]
    labels = [("real", "fake").index(row["label"]) for row in rows]
    return np.array(labels), np.array([float(row["score"]) for row in rows])


def test_results_are_as_documented_and_agree_with_each_other(features, tmp_path, capsys):
    report = train(tmp_path)
    folder, out = tmp_path / "results", capsys.readouterr().out
    assert report["settings"]["lr"] == 1e-3 and "predict" not in report["settings"]
    assert report["extraction"]["weights"]["name"] == "random"
    assert report["split"].items() >= {"unit": "group", "warnings": []}.items()
    assert report["split"]["by"] == "by group: 2 of 10 groups held out, 20.0 % of the frames"
    points = read_table(folder / "roc.csv")
    for split, n in (("train", 16), ("val", 4)):
        labels, scores = scores_in(folder, split)
        assert len(labels) == n
        expected = compute_metrics(labels, scores)
        found = videos_of(report, split)
        assert found["tpr_at_fpr"] == expected.pop("tpr_at_fpr")
        assert {name: found[name] for name in expected} == pytest.approx(expected)
        assert report["splits"][split]["frames"]["n"] == 4 * n
        of_split = [point for point in points if point["split"] == split]
        assert of_split
        for point in of_split:
            called_fake = scores >= float(point["threshold"])
            rates = [called_fake[labels == label].mean() for label in (0, 1)]
            assert [float(point["fpr"]), float(point["tpr"])] == pytest.approx(rates)
    assert "UNTRAINED" in out and "train and val share 0 videos, 0 known people, 0 clips" in out
    assert "--predict" in out.splitlines()[-1]
    saved, _ = ddm.load_model(folder / "model.pt")
    split = load_split(features / "train_features.npy")
    index, _, scores = split.video_scores(score_frames(saved, split))
    known = {split.name(i): score for i, score in zip(index, scores, strict=True)}
    for row in read_table(folder / "predictions.csv"):
        assert float(row["score"]) == pytest.approx(known[row["video"]], abs=1e-6)


def test_originals_are_not_looked_for_where_that_is_not_wanted(features, tmp_path, monkeypatch):
    monkeypatch.setattr(ddm, "keep_originals", pytest.fail)
    train(tmp_path, "--no-match")


def test_split_files_beside_the_training_files_are_used(tmp_path):
    make_splits(tmp_path / "features")
    report = train(tmp_path)
    assert [videos_of(report, split)["n"] for split in report["splits"]] == [20, 20, 20]
    assert report["split"]["by"] == "as extracted" and report["split"]["unit"] is None
    # the test split is looked at after training only
    path = tmp_path / "features/test_features.npy"
    np.save(path, -np.load(path))
    again = train(tmp_path, results="again")
    assert again["history"] == report["history"]
    assert again["splits"]["val"] == report["splits"]["val"]
    assert again["splits"]["test"] != report["splits"]["test"]


def test_bare_arrays_are_divided_by_frames_and_the_run_says_so(features, tmp_path, capsys):
    make_bare(features)
    (features / "extraction.json").unlink()
    report = train(tmp_path)
    assert "frames" not in report["splits"]["val"]
    figures = videos_of(report, "val")
    assert (figures["of"], figures["n"], "intervals" in figures) == ("frames", 16, False)
    assert len(read_table(tmp_path / "results/predictions.csv")) == 80
    out = capsys.readouterr().out
    by = "by frame: 16 of 80 frames held out, 20.0 % of the frames"
    assert (report["split"]["by"], report["split"]["unit"]) == (by, "frame")
    (warning,) = report["split"]["warnings"]
    assert warning.startswith("INFLATED: frames of a video may be on both sides; train_")
    assert f"Split      {by}\nWARNING: {warning}\n" in out
    assert "WARNING: no extraction.json beside the features: --predict will not work" in out
    assert "Next" not in out


@pytest.mark.parametrize(("bare", "audited"), [("test", "train-val"), ("val", "train-test")])
def test_bare_arrays_of_one_split_take_nothing_from_the_others(tmp_path, capsys, bare, audited):
    make_splits(tmp_path / "features")
    make_bare(tmp_path / "features", bare)
    report = train(tmp_path, "--seeds", "2")
    assert report["split"]["shared"].keys() == {audited}
    (other,) = {"val", "test"} - {bare}
    assert videos_of(report, bare)["of"] == "frames"
    assert videos_of(report, other)["intervals"]["auc"]
    out = capsys.readouterr().out
    assert f"Leak audit train and {other} share 0 videos, 0 known people, 0 clips\n" in out
    assert f": not audited, the videos of {bare} are not known" in out
    results = str(tmp_path / "results")
    ddm.main(["--compare", results, results])
    assert f"left out {bare} of {results}: which frames are of" in capsys.readouterr().out


def test_the_extraction_is_told_on_but_not_where_videos_lie(
    features, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = features / "extraction.json"
    counts = {"found": 36, "failed": 5, "failed_real": 3, "failed_fake": 2, "left_out": 4}
    said = {"counts": counts, "notes": ["people may be on both sides"]}
    weights = read_json(path)["weights"] | {"name": f"{tmp_path}/own.pth"}
    edit_json(path, **said, videos_dir=f"{tmp_path}/videos", weights=weights)
    lines = "Failed     5 of 36 videos: 3 real, 2 fake; see failed.csv\n"
    lines += "Left out   4 of 36 videos; see failed.csv\n"
    lines += "Note       people may be on both sides\n"
    report = train(tmp_path)
    assert lines in capsys.readouterr().out
    evaluate = ["--output-dir", "results", "--evaluate", "features/train_features.npy"]
    ddm.main([*evaluate, "--no-pictures"])
    assert lines in capsys.readouterr().out
    of_set = read_json(tmp_path / "results/evaluated/features_train/metrics.json")
    for saved in (report, of_set):
        assert saved["extraction"].items() >= said.items()
    files = {file.name: file for file in (tmp_path / "results").rglob("*.*")}
    assert {"model.pt", "metrics.json", "predictions.csv", "evaluated.csv"} <= files.keys()
    for file in files.values():
        assert os.fsencode(tmp_path) not in file.read_bytes()


def test_the_threshold_comes_from_validation_and_the_table_says_what_chose_the_epoch(
    tmp_path, capsys
):
    make_splits(tmp_path / "features", shift=0.1)
    report = train(tmp_path, "--select", "best")
    assert "The validation figures are too good: the epoch was chosen" in capsys.readouterr().out
    threshold = report["thresholds"]["used"]
    val, test = (videos_of(report, split) for split in ("val", "test"))
    assert 0 < val["eer_threshold"] - threshold < 0.2  # halfway to the next score
    at_eer = compute_rates(*scores_in(tmp_path / "results", "val"), val["eer_threshold"])
    assert at_eer == {name: val["at_threshold"][name] for name in at_eer}
    labels, scores = scores_in(tmp_path / "results", "test")
    accuracy = np.mean((scores >= threshold) == labels)
    assert test["at_threshold"]["threshold"] == threshold
    assert test["at_threshold"]["accuracy"] == pytest.approx(accuracy)


def test_each_seed_is_a_run_of_its_own_and_the_files_are_of_the_first(tmp_path, capsys):
    make_split(tmp_path / "features", n_groups=12, shift=0.05)
    report = train(tmp_path, "--seeds", "3", results="all")
    out = capsys.readouterr().out
    values = [videos_of(seed, "val")["auc"] for seed in report["seeds"]]
    assert len(values) == 3 and len(set(values)) > 1
    assert f"{100 * np.mean(values):.1f} % ({100 * np.std(values, ddof=1):.1f})" in out
    assert out.count("Validation Set, videos: accuracy") == 3  # a line after each seed
    assert "\nSeed 0, the first of 3:\nVideos  " in out
    rows = read_table(tmp_path / "all/predictions.csv")
    saved, _ = ddm.load_model(tmp_path / "all/model.pt")
    for seed, of_seed in enumerate(report["seeds"][:2]):
        alone = train(tmp_path, "--seed", str(seed), results="alone")
        for key in ("seed", "splits", "history"):
            assert alone[key] == of_seed[key]
        mine = [row for row in rows if row["seed"] == str(seed)]
        assert mine == read_table(tmp_path / "alone/predictions.csv")
        model, _ = ddm.load_model(tmp_path / "alone/model.pt")
        assert same_weights((saved, model)) == (seed == 0)
    assert report["splits"] == report["seeds"][0]["splits"]
    assert len(rows) == 3 * 24


def test_all_seeds_hold_out_by_one_unit(monkeypatch):
    def divide(splits, val_fraction, seed, unit, test_fraction):
        return Division({}, {}, {"unit": "person" if seed == 1 else unit})

    monkeypatch.setattr("features.divide.divide", divide)
    for n_seeds, unit in ((1, "group"), (3, "person")):
        divisions = ddm.divide_for_seeds({}, 0.2, range(n_seeds), "group")
        assert [each.report["unit"] for each in divisions] == [unit] * n_seeds


WRONG_FLAGS = """
--val-fraction 1
--lr 0
--batch-size -1
--weights x
--max-fpr 1
--video-score min: invalid choice: 'min' (choose from
--predict x --video-score max: --video-score is not used with --predict
--predict x --threshold 1.1: --threshold is 1.1, not 0 to 1
--evaluate x --threshold nan: --threshold is nan, not 0 to 1
--threshold 0: --threshold goes with --predict or --evaluate
--evaluate x --predict y
--seed -1
--plot: --plot goes with --predict
--checkpoint x: --checkpoint goes with --predict or --evaluate
--evaluate x --max-fpr 0.01: --max-fpr is not used with --evaluate
--predict x --lr 1e-4: --lr is not used with --predict: leave it out
--evaluate x --plot: --plot is not used with --evaluate
--test-fraction -0.1
--test-fraction 0.8: --test-fraction is 0.8, expected 0 to less than 0.8
--compare a b --output-dir c: --output-dir is not used with --compare
"""


@pytest.mark.parametrize("line", WRONG_FLAGS.strip().splitlines())
def test_a_wrong_flag_and_one_that_would_not_be_used_are_named(line, capsys):
    flags, _, message = line.partition(": ")
    with pytest.raises(SystemExit) as caught:
        ddm.main(flags.split())
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert (message or flags.split()[0]) in errors
    assert errors.count("\n") == 2  # short usage, error


def test_flags_of_what_is_held_out_are_refused_where_nothing_is(tmp_path):
    make_splits(tmp_path / "features")
    for flags in ("--val-fraction 0.3", "--split-unit person"):
        with pytest.raises(InputError, match=f"{flags}: there is a file of validation features"):
            train(tmp_path, *flags.split())
    train(tmp_path, "--split-unit", "video")  # excuses what the splits share
    make_split(tmp_path / "features", "test")
    with pytest.raises(InputError, match=r"--test-fraction 0\.2: there is a file of test features"):
        train(tmp_path, "--test-fraction", "0.2")


def test_a_test_part_changes_nothing_of_the_model_and_is_the_same_for_all_seeds(tmp_path):
    path = make_split(tmp_path / "features", n_groups=20)
    flags = "--test-fraction", "0.2", "--no-match", "--select", "best"
    report = train(tmp_path, *flags, "--seeds", "2")
    rows = read_table(tmp_path / "results/predictions.csv")
    parts = [[row["video"] for row in rows if row["split"] == "test"][i::2] for i in (0, 1)]
    tested = {row["video"] for row in rows if row["split"] == "test" and row["seed"] == "0"}
    assert len(tested) == 8 and len(parts[0]) == len(parts[1]) == 8
    assert tested == {row["video"] for row in rows if row["split"] == "test"}
    by_seed = [row["video"] for row in rows if row["split"] == "val"]
    assert len(by_seed) == 16 > len(set(by_seed))  # each seed validates on others
    features, split = np.load(path), load_split(path)
    features[[split.name(i) in tested for i in split.video_index]] = 1e3
    np.save(path, features)
    again = train(tmp_path, *flags)
    for key in ("sha256", "thresholds", "epoch"):
        assert again[key] == report[key]
    assert again["splits"]["val"] == report["splits"]["val"]
    assert again["splits"]["test"] != report["splits"]["test"]
    runs = read_table(tmp_path / "runs.csv")
    assert {(row["val_fraction"], row["test_fraction"], row["test_n"]) for row in runs} == {
        ("0.2", "0.2", "8")
    }


def test_a_test_part_is_held_out_where_validation_is_extracted(tmp_path):
    make_split(tmp_path / "features", n_groups=20)
    make_split(tmp_path / "features", "val", seed=1)
    split = train(tmp_path, "--test-fraction", "0.25", "--split-unit", "person")["split"]
    by = "by group: 5 of 20 groups held out for test, 25.0 % of the frames"
    assert split["by"] == by and list(split["shared"]) == ["train-val", "train-test", "val-test"]
    (run,) = read_table(tmp_path / "runs.csv")
    assert (run["val_fraction"], run["test_fraction"]) == ("", "0.25")


# --- Several sets in one training ---


def test_several_sets_are_one_training_with_figures_of_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, (name, shift) in enumerate((("a", 1), ("b", 0))):
        make_split(tmp_path / name, n_groups=20, shift=shift, seed=seed)
    make_split(tmp_path / "b", "test", n_groups=6, seed=2)
    how = (tmp_path / "b/extraction.json").read_text()
    (tmp_path / "b/extraction.json").write_text(how.replace('"gone"', '"videos of b"'))
    ddm.main(["--train-features-file", "a", "b", *QUICK])
    report = read_json(tmp_path / "results/a+b/metrics.json")
    out = capsys.readouterr().out
    assert "WARNING: test is of b alone\n" in out
    assert "Features   a + b, ResNet-18 weights: random\n" in out
    files = "a/train_features.npy + b/train_features.npy"
    assert report["settings"]["train_features_file"] == files
    rows = read_table(tmp_path / "results/a+b/predictions.csv")
    held_out = [row for row in rows if row["split"] == "val"]
    sets = report["splits"]["val"]["sets"]
    for name, metrics in sets.items():
        mine = [row for row in held_out if row["video"].startswith(f"{name}/train/")]
        assert metrics["n"] == len(mine)
        right = np.mean([row["label"] == row["at_0.5"] for row in mine])
        assert metrics["accuracy"] == pytest.approx(right)
    assert list(sets) == ["a", "b"] and sets["a"]["auc"] > 0.9 > sets["b"]["auc"]
    assert {row["video"][:7] for row in rows if row["split"] == "test"} == {"b/test/"}
    assert read_table(tmp_path / "results/runs.csv")[0]["features"] == files
    saved = ddm.load_model("results/a+b/model.pt")[1]
    assert saved["extraction"].name == "a + b"
    make_split(tmp_path / "c/b")
    found = r"results/a\+b holds results of a/train_features\.npy \+ b/train"
    with pytest.raises(InputError, match=found):
        ddm.main(["--train-features-file", "b/../a", "c/b", *QUICK])
    ddm.main(["--train-features-file", "b/../a", "b", *QUICK])  # the same two


# --- Real clips ---


def test_a_real_tree_runs_end_to_end(real_videos, tmp_path, quick_backbone):
    few = "--methods", "Deepfakes", "--frames-per-video", "2"
    extract(real_videos / "faceforensics", tmp_path / "features", *few)
    report = train(tmp_path, "--batch-size", "4")
    assert report["split"]["by"] == "as extracted"
    assert report["extraction"]["layout"] == "FaceForensics++"
    counts = {name: split["videos"]["n"] for name, split in report["splits"].items()}
    assert counts == {"train": 2, "val": 1, "test": 1}
    assert all(set(shared.values()) == {0} for shared in report["split"]["shared"].values())
    real = real_videos / "awkward/UPPER.MP4"
    (row,) = ddm.predict_videos([real], tmp_path / "results/model.pt", "cpu")
    assert row["frames"] == 2 and 0 <= row["score"] <= 1
