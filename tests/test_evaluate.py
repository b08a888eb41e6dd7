"""features/evaluate.py and --evaluate, features/figures.py: T, several sets in one table."""

import os

import numpy as np
import pytest
import sklearn.metrics as sk
from conftest import (
    contents,
    edit_json,
    make_methods,
    make_split,
    make_splits,
    read_json,
    read_table,
    train,
    videos_of,
)

import deepfake_detection_model as ddm
from data.files import InputError, write_csv
from features.compare import compare_results
from features.dataset import load_split
from features.evaluate import list_features
from features.figures import choose_threshold, evaluate, score_frames
from features.metrics import compute_intervals
from features.text import format_figure


@pytest.fixture
def model(tmp_path):
    """A folder with features/, and results/ of a training on them."""
    make_split(tmp_path / "features", n_groups=20)
    train(tmp_path)
    return tmp_path


def figures_of(folder, name: str) -> dict:
    """metrics.json of a set that was evaluated."""
    return read_json(folder / "results/evaluated" / name / "metrics.json")


def evaluate_sets(folder, *paths) -> list[dict]:
    """The rows of evaluated.csv after --evaluate with the model of folder/results.

    Flags may follow the paths.
    """
    flags = ["--output-dir", str(folder / "results"), "--device", "cpu", "--no-pictures"]
    ddm.main([*flags, "--evaluate", *map(str, paths)])
    return read_table(folder / "results/evaluated/evaluated.csv")


def test_each_set_has_a_line_with_its_own_figures(model, capsys):
    near = make_split(model / "near", "test", shift=1.0, seed=1)
    far = make_split(model / "far", "test", shift=-1.0, seed=2)
    before = contents(model / "results")
    rows = {row["set"]: row for row in evaluate_sets(model, near, far)}
    assert contents(model / "results") == before
    detector, checkpoint = ddm.load_model(model / "results/model.pt")
    threshold = checkpoint["thresholds"]["used"]
    for file in (near, far):
        name, split = file.parent.name, load_split(file)
        expected = evaluate(split, score_frames(detector, split), threshold)
        assert figures_of(model, f"{name}_test")["splits"]["test"] == expected
        metrics, row = expected["videos"], rows[name]
        wanted = [metrics["auc"], metrics["eer"], metrics["at_threshold"]["accuracy"]]
        wanted += metrics["intervals"]["auc"]
        columns = ("auc", "eer", "accuracy_at_T", "auc_low", "auc_high")
        assert [float(row[column]) for column in columns] == pytest.approx(wanted, abs=1e-6)
        assert (row["n_real"], row["n_fake"], row["shared"]) == ("10", "10", "False")
    assert float(rows["near"]["auc"]) > 0.9 and float(rows["far"]["auc"]) < 0.1
    compared, _ = compare_results(model / "results", model / "results")
    assert list(compared) == ["val", "far_test", "near_test"]
    assert compared["near_test"]["auc"] == {"difference": 0, "interval": [0, 0]}
    cells = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    for heading in ("Videos near_test", "At T, videos near_test", "near_test 10 + 10"):
        assert heading.split() in cells


def test_the_table_holds_all_sets_of_this_model_and_none_of_another(model, capsys):
    sets = [make_split(model / name, "test", seed=seed) for seed, name in enumerate("ab", 1)]
    val = make_split(model / "b", "val", seed=3)
    one_by_one = [evaluate_sets(model, file) for file in (sets[0], sets[1], val)]
    both = [("a", "test"), ("b", "test"), ("b", "val")]
    assert [(row["set"], row["split"]) for row in one_by_one[-1]] == both
    assert "\nb_val " in capsys.readouterr().out
    assert one_by_one[-1] == evaluate_sets(model, *sets, val)
    for name, changes in (("a", {"sha256": "other"}), ("b", {"thresholds": {"used": 0.7}})):
        edit_json(model / f"results/evaluated/{name}_test/metrics.json", **changes)
    (row,) = evaluate_sets(model, val)
    assert (row["set"], row["split"]) == ("b", "val")
    assert "Left out   a_test, b_test: of another model or T; eval" in capsys.readouterr().out


def test_the_score_of_a_video_and_a_threshold_by_hand_are_used_and_kept_apart(tmp_path, capsys):
    val = make_split(tmp_path / "features", "val", n_groups=20, seed=2)
    make_split(tmp_path / "features", n_groups=20)
    train(tmp_path)
    evaluate_sets(tmp_path, val)
    train(tmp_path, "--max-fpr", "0.1", "--video-score", "max")
    said = "Score      of a video: the max of its frames' scores\n"
    assert capsys.readouterr().out.count(said) == 1
    evaluate_sets(tmp_path, make_split(tmp_path / "b", "test", seed=3))
    out = capsys.readouterr().out
    assert said in out and "Left out   features_val: of another model or T; eval" in out
    known = {row["video"]: row for row in read_table(tmp_path / "results/predictions.csv")}
    (row,) = evaluate_sets(tmp_path, val, "--threshold", "0.999")
    out = capsys.readouterr().out
    assert out.count("T = 99.9 %, given by --threshold\n") == 2 and "wanted" not in out
    assert "Left out   b_test: of another model or T" in out and row["set"] == "features"
    model, saved = ddm.load_model(tmp_path / "results/model.pt")
    split = load_split(val)
    folder = tmp_path / "results/evaluated/features_val"
    scores = score_frames(model, split).reshape(-1, 4).max(1)
    for expected, row in zip(scores, read_table(folder / "predictions.csv"), strict=True):
        assert float(row["score"]) == float(known[row["video"]]["score"]) == expected
        assert row["at_T"] == ("fake" if expected >= 0.999 else "real")
    given = {"default": 0.5, "used": 0.999, "from": "given by --threshold", "max_fpr": None}
    assert read_json(folder / "metrics.json")["thresholds"] == given
    reals = np.sort(scores[[row["label"] == "0" for row in split.videos]])
    assert (reals >= saved["thresholds"]["used"]).sum() == 2  # 10 % of the greatest, not the means
    edit_json(folder / "metrics.json", video_score="mean")
    evaluate_sets(tmp_path, tmp_path / "b", "--threshold", "0.999")  # the same weights and T
    assert "Left out   features_val: of another model or T" in capsys.readouterr().out


def test_a_set_that_the_training_has_seen_is_marked(model, capsys, monkeypatch):
    footers = []
    monkeypatch.setattr(
        "features.evaluate.draw_pictures", lambda *arguments: footers.append(arguments[2]) or []
    )
    new = make_split(model / "new", "test", seed=3)
    rows = evaluate_sets(model, model / "features/train_features.npy", new)
    assert [row["shared"] for row in rows] == ["True", "False"]
    printed = capsys.readouterr().out
    assert "new_test shares with the training: 0 videos, 0 known people, 0 clips" in printed
    assert "features_train shares with the training: 40 videos" in printed
    for warning in ("THE FIGURES OF UNSEEN PEOPLE", "als for other people", "als, not for other"):
        assert printed.count(warning) == 1
    assert "features_train *" in printed and "new_test *" not in printed
    assert [footer.startswith("NOT UNSEEN PEOPLE") for footer in footers] == [True, False]


def test_copies_that_were_compressed_again_are_known_by_their_names(model, capsys):
    for name, change in (("again", ""), ("others", "x")):
        other = make_split(model / name, n_groups=20, seed=5)
        table = other.with_name("train_videos.csv")
        rows = read_table(table)
        for row in rows:
            row["clip"] = row["clip"].replace(".mp4", f"{change}.avi")
        write_csv(table, rows[0], rows)
        edit_json(other.with_name("extraction.json"), videos_dir=name)
        capsys.readouterr()
        evaluated = evaluate_sets(model, other)
        assert [row["shared"] for row in evaluated if row["set"] == name] == ["False"]
        warned = "WARNING: 40 clips have a name that the training had, train/fake/000 for one:"
        assert (warned in capsys.readouterr().out) == (name == "again")


@pytest.mark.parametrize(("gone", "rate"), [(0, "fnr"), (1, "fpr")])
def test_a_set_of_one_class_has_its_error_rate(model, capsys, gone, rate):
    file = make_split(model / "one", "test", shift=0.3, seed=1)
    left = np.load(model / "one/test_labels.npy") != gone
    for name in ("features", "labels", "frames"):
        path = model / f"one/test_{name}.npy"
        np.save(path, np.load(path)[left])
    (row,) = evaluate_sets(model, file)
    at_threshold = videos_of(figures_of(model, "one_test"), "test")["at_threshold"]
    assert float(row[f"{rate}_at_T"]) == at_threshold[rate] == 1 - at_threshold["accuracy"]
    assert row["auc"] == row["eer"] == ""
    printed = capsys.readouterr().out
    assert f"{rate.upper()} at T" in printed and "one class alone" in printed


def test_a_folder_means_its_splits_without_train_where_it_has_a_test_split(tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        make_splits(folder)
    (parts / "test_features.npy").unlink()
    expected = {"whole_val", "whole_test", "parts_train", "parts_val"}
    assert list_features([whole, parts]).keys() == expected
    assert f"Evaluates  {whole}: val_features.npy, test_features.npy" in capsys.readouterr().out


def test_sets_of_one_name_are_not_taken_for_one(model, capsys):
    """Neither in one call nor, without a word, in two."""
    first, second = (make_split(model / name / "set", "test", seed=3) for name in "ab")
    with pytest.raises(InputError, match=r"a/set/.* and .*b/set/.* would both be set_test: eval"):
        evaluate_sets(model, first, second)
    assert not (model / "results/evaluated").exists()
    evaluate_sets(model, first)
    folder = model / "results/evaluated/set_test"
    (folder / "roc.png").write_text("of the earlier call")
    assert "Replaces" not in capsys.readouterr().out
    evaluate_sets(model, second)
    assert f"Replaces   {folder}\n" in capsys.readouterr().out
    assert contents(folder).keys() == {"metrics.json", "predictions.csv"}
    assert figures_of(model, "set_test")["features"] == os.path.relpath(second)


def test_features_of_other_weights_are_refused(model):
    other = make_split(model / "other", "test", seed=5)
    weights = {"name": "mine.pth", "sha256": "1" * 64}
    edit_json(other.with_name("extraction.json"), weights=weights)
    refused = r"the model has .*256 0{8}\), .*test_.*mine.pth .*1{8}\): extract"
    with pytest.raises(InputError, match=refused):
        evaluate_sets(model, other)
    assert not (model / "results/evaluated").exists()


def test_methods_stand_below_their_set_worst_first(model, capsys):
    file = make_methods(model / "two", "test", seed=1)
    by_method = {row["method"]: row for row in evaluate_sets(model, file)}
    assert float(by_method["B"]["auc"]) < 0.1 and float(by_method["A"]["auc"]) > 0.9
    table = capsys.readouterr().out.partition("Evaluated  ")[2]
    assert 0 < table.index("\n  B ") < table.index("\n  A ")


def test_t_is_the_lowest_threshold_with_the_wanted_fpr(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=40))
    of_video = np.linspace(0, 1, len(split.videos))  # reals and fakes mixed: a bad model
    scores = np.random.default_rng(0).permutation(of_video)[split.video_index]
    _, labels, values = split.video_scores(scores)
    reals = np.sort(values[labels == 0])
    for max_fpr in (0.0, 0.05, 0.5):
        threshold, origin = choose_threshold(split, scores, max_fpr)
        assert np.mean(reals >= threshold) <= max_fpr
        below = reals[reals < threshold][-1]  # a lower T would call this real fake too
        assert np.mean(reals >= below) > max_fpr
        assert origin.startswith(f"the lowest with an FPR of at most {100 * max_fpr:.1f} %")


def test_the_table_shows_the_wanted_fpr_beside_the_one_that_test_has(tmp_path, capsys):
    make_split(tmp_path / "features", n_groups=30, shift=0.05)
    make_split(tmp_path / "features", "test", n_groups=30, shift=0.05, seed=5)
    report = train(tmp_path, "--max-fpr", "0.1")
    assert report["thresholds"]["max_fpr"] == 0.1
    assert videos_of(report, "val")["at_threshold"]["fpr"] <= 0.1
    of_test = videos_of(report, "test")["at_threshold"]
    printed = capsys.readouterr().out
    assert "FPR that was wanted" in printed and "at most 10.0 %" in printed
    assert format_figure(of_test, "fpr") in printed


def test_each_method_is_held_against_all_reals(tmp_path):
    split = load_split(make_methods(tmp_path))
    scores = np.random.default_rng(0).random(96)
    index, labels, values = split.video_scores(scores)
    groups = np.array([split.group(i) for i in index])
    methods = evaluate(split, scores, 0.4)["methods"]
    for method, found in zip("AB", methods.values(), strict=True):
        part = (labels == 0) | [split.method(i) == method for i in index]
        assert (found["n"], found["n_fake"]) == (18, 6)
        assert found["auc"] == pytest.approx(sk.roc_auc_score(labels[part], values[part]))
        assert found["intervals"] == compute_intervals(labels[part], values[part], groups[part])


def test_intervals_are_of_groups_and_only_videos_have_them_and_not_those_of_training(tmp_path):
    split = load_split(make_split(tmp_path))
    scores = np.random.default_rng(0).random(80)
    results = evaluate(split, scores, 0.5)
    index, labels, values = split.video_scores(scores)
    found = results["videos"]["intervals"]
    assert found == compute_intervals(labels, values, [split.group(i) for i in index])
    assert found != compute_intervals(labels, values, index)
    assert "intervals" not in results["frames"]
    assert "intervals" not in evaluate(split, scores, 0.5, intervals=False)["videos"]
