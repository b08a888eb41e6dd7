"""The files in results/: which folder they go to, what they replace and what they leave alone."""

from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, contents, make_split, read_json, read_table, train

import deepfake_detection_model as ddm
from data.files import InputError, hold_folder, write_json
from features.dataset import load_split
from features.results import find_checkpoint, list_predictions

TABLES = {"model.pt", "metrics.json", "predictions.csv", "roc.csv", "originals.csv"}


def test_results_lie_in_a_folder_named_after_the_features_which_another_set_does_not_get(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    make_split(tmp_path / "a/set")
    make_split(tmp_path / "b/set", seed=1)
    (tmp_path / "a/set/notebooks").mkdir()
    ddm.main(["--train-features-file", "a/set/notebooks/../train_features.npy", *QUICK])
    assert contents(tmp_path / "results").keys() == {"runs.csv"}
    before = contents(tmp_path / "results/set")
    assert before.keys() == TABLES
    other = ["--train-features-file", "b/set/train_features.npy", *QUICK]
    with pytest.raises(InputError, match=r"results/set holds results of a/set/train_f.*: name"):
        ddm.main(other)
    assert contents(tmp_path / "results/set") == before
    capsys.readouterr()
    ddm.main(["--train-features-file", str(tmp_path / "a/set/train_features.npy"), *QUICK])
    lost = "Replaces   results/set: validation accuracy 100.0 %, n = 4\n"
    assert lost in capsys.readouterr().out  # the same set again
    ddm.main([*other, "--output-dir", "results/set"])  # as it was named
    (tmp_path / "results/set/metrics.json").write_text('{"settings": [')  # nobody's any more
    ddm.main(["--train-features-file", "a/set/train_features.npy", *QUICK])
    assert "Replaces   results/set\n" in capsys.readouterr().out


def test_a_new_model_replaces_what_is_of_the_old_one_says_so_and_removes_nothing_else(
    tmp_path, capsys
):
    make_split(tmp_path / "features")
    train(tmp_path)
    out = capsys.readouterr().out
    assert "Replaces" not in out and "Stays" not in out
    folder = tmp_path / "results"
    mine = ["holiday.png", "predictions_of_mine.csv", "predict_x.csv", "evaluated/set/x.json"]
    (folder / "evaluated/set").mkdir(parents=True)
    for name in ("roc.png", "originals.png", "methods.csv", *mine):
        (folder / name).write_text("precious")
    train(tmp_path, "--lr", "1e-4")
    lost = f"Replaces   {folder}: validation accuracy 100.0 %, n = 4\n"
    stays = "Stays      evaluated/, predict_x.csv: of an earlier model, not of this one\n"
    assert f"{lost}{stays}" in capsys.readouterr().out
    assert all((folder / name).read_text() == "precious" for name in mine)
    names = {*TABLES, ".lock", "evaluated", *mine[:3]}
    assert {path.name for path in folder.iterdir()} == names


def test_where_nothing_can_be_written_the_flag_is_named_before_anything_is_replaced(
    tmp_path, capsys
):
    make_split(tmp_path / "features")
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"results is not a folder.*: name another with --output-"):
        train(tmp_path)
    assert "Replaces" not in capsys.readouterr().out
    assert (tmp_path / "results").read_text() == "a file"


def test_one_training_writes_to_a_folder_at_a_time(tmp_path):
    make_split(tmp_path / "features")
    folder = tmp_path / "results"
    folder.mkdir()
    busy = pytest.raises(InputError, match=r"another run is writing to .*results")
    with hold_folder(folder, folder / ".lock"), busy:
        train(tmp_path)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    train(tmp_path)


def test_each_seed_of_a_training_is_a_line_of_runs_beside_the_folder(tmp_path):
    make_split(tmp_path / "features", n_groups=30, shift=0.05)  # 12 in validation: thirds
    report = train(tmp_path, "--seeds", "2", "--batch-size", "8")
    rows = read_table(tmp_path / "runs.csv")
    settings = {"num_epochs": "2", "lr": "0.001", "batch_size": "8", "val_fraction": "0.2"}
    for seed, (row, of_seed) in enumerate(zip(rows, report["seeds"], strict=True)):
        assert row.items() >= settings.items()
        assert row["seed"] == str(of_seed["seed"]) == str(seed)
        metrics = of_seed["splits"]["val"]["videos"]
        assert row["val_of"] == "videos" and row["val_n"] == str(metrics["n"])
        for key in ("accuracy", "eer", "auc"):
            assert row[f"val_{key}"] == str(round(metrics[key], 6))
        assert row["test_auc"] == ""
    assert not (tmp_path / "results/runs.csv").exists()


def test_what_seeds_have_done_is_kept_when_a_later_one_is_interrupted(tmp_path, monkeypatch):
    make_split(tmp_path / "features")
    train(tmp_path)
    (tmp_path / "results/roc.png").write_text("of the earlier model")
    train_one, seeds = ddm.train, []

    def interrupt_the_third(splits, training, device):
        if len(seeds) == 2:
            raise KeyboardInterrupt
        seeds.append(training.seed)
        return train_one(splits, training, device)

    monkeypatch.setattr(ddm, "train", interrupt_the_third)
    with pytest.raises(KeyboardInterrupt, match=r"^2 of 5 seeds are saved in .*results$"):
        train(tmp_path, "--seeds", "5", "--seed", "7")
    folder = tmp_path / "results"
    assert [row["seed"] for row in read_table(tmp_path / "runs.csv")] == ["0", "7", "8"]
    assert {row["seed"] for row in read_table(folder / "predictions.csv")} == {"7", "8"}
    assert [run["seed"] for run in read_json(folder / "metrics.json")["seeds"]] == [7, 8]
    assert ddm.load_model(folder / "model.pt")[1]["settings"]["seed"] == 7
    assert contents(folder).keys() == TABLES
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        train(tmp_path)


def test_runs_that_differ_have_lines_that_differ(tmp_path, monkeypatch):
    """In files, threshold, how validation was held out, or the code or weights of the features."""
    folder = tmp_path / "features"
    make_split(folder)
    val = make_split(tmp_path / "val", "val", seed=1)
    train(tmp_path)
    train(tmp_path, "--split-unit", "video")
    train(tmp_path, "--val-features-file", str(val.parent))
    train(tmp_path, "--test-features-file", str(val))
    train(tmp_path, "--max-fpr", "0.1")
    train(tmp_path, "--train-labels-file", str(folder / "train_labels.npy"))
    path = folder / "extraction.json"
    extraction = read_json(path)
    write_json(path, extraction | {"code": "edited"})
    train(tmp_path)
    sampling = extraction["sampling"] | {"face_margin": 1.3, "if_no_face": "whole"}
    write_json(path, extraction | {"sampling": sampling})
    train(tmp_path)
    extraction["weights"]["sha256"] = "1234567890"
    write_json(path, extraction)
    train(tmp_path)
    train(tmp_path, "--video-score", "max")
    extraction["sampling"]["frame_step"] = 10
    write_json(path, extraction)
    train(tmp_path)

    class DeepfakeMLP(ddm.DeepfakeMLP):
        def forward(self, features):
            return 2 * super().forward(features)

    monkeypatch.setattr(ddm, "DeepfakeMLP", DeepfakeMLP)
    train(tmp_path)
    for name in ("train_videos.csv", "extraction.json"):
        (folder / name).unlink()
    train(tmp_path)
    rows = [row | {"time": ""} for row in read_table(tmp_path / "runs.csv")]
    how = [list(row.values())[: list(row).index("val_of")] for row in rows]
    assert len(set(map(tuple, how))) == len(rows) == 13
    assert {row["parameters"] for row in rows} == {"644097"}
    keys = ("split_unit", "val_fraction", "val_of", "weights", "weights_sha256")
    keys += ("face_margin", "if_no_face", "frames_per_video", "frame_step", "video_score")
    told = [[row[key] for key in keys] for row in rows]
    weights = ["random", "0" * 8]
    assert told[0] == ["group", "0.2", "videos", *weights, "", "skip", "4", "0", "mean"]
    assert told[1] == ["video", "0.2", "videos", *weights, "", "skip", "4", "0", "mean"]
    assert told[2] == ["", "", "videos", *weights, "", "skip", "4", "0", "mean"]
    assert told[7] == ["group", "0.2", "videos", *weights, "1.3", "whole", "4", "0", "mean"]
    assert told[8][:-2] == ["group", "0.2", "videos", "random", "12345678", "", "skip", "4"]
    assert told[12] == ["frame", "0.2", "frames", *[""] * 6, "mean"]
    assert told[9][-2:] == ["0", "max"] and told[10][-2:] == ["10", "mean"]


def test_a_table_of_somebody_else_named_runs_is_left_alone(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("number,who\n1,me\n")
    make_split(tmp_path / "features")
    train(tmp_path)
    assert (tmp_path / "runs.csv").read_text() == "number,who\n1,me\n"
    assert "runs.csv gets no line: it has other columns" in capsys.readouterr().out


def test_what_the_model_needs_is_told_by_the_training_features(tmp_path, capsys):
    """Not by those of validation, which may be bare or of another set."""
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "bare", "val", seed=1)
    (tmp_path / "bare/extraction.json").unlink()
    train(tmp_path, "--val-features-file", str(val))
    assert "--predict" in capsys.readouterr().out.splitlines()[-1]


def test_predictions_are_named_at_a_half_and_at_the_threshold(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=2, frames=1))
    scores = {"val": np.array([np.nextafter(0.3, 0), 0.3, 0.5, 0.9])}
    split.videos[0]["method"] = "FaceSwap"
    rows = list_predictions(7, {"val": split}, scores, 0.3)
    columns = "seed split video label method group people fingerprint score at_0.5 at_T"
    assert list(rows[0]) == columns.split()
    expected = {"seed": [7] * 4, "split": ["val"] * 4, "method": ["FaceSwap", "", "", ""]}
    for name, of_video in (("video",) * 2, ("group",) * 2, ("people", "group")):
        expected[name] = [row[of_video] for row in split.videos]
    expected["fingerprint"] = [row["fingerprint"] for row in split.videos]
    expected["label"] = ["fake", "fake", "real", "real"]
    expected["at_0.5"] = ["real", "real", "fake", "fake"]
    expected["at_T"] = ["real", "fake", "fake", "fake"]
    for name, values in expected.items():
        assert [row[name] for row in rows] == values, name


def test_the_only_model_is_taken_and_of_several_they_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no results/\*/model\.pt: train a model first"):
        find_checkpoint(None, None)
    for name in ("sample", "mine"):
        (tmp_path / "results" / name).mkdir(parents=True)
    (tmp_path / "results/sample/model.pt").write_text("")
    assert find_checkpoint(None, None) == Path("results/sample/model.pt")
    assert find_checkpoint(None, Path("elsewhere")) == Path("results/sample/model.pt")
    (tmp_path / "results/mine/model.pt").write_text("")
    with pytest.raises(InputError, match=r"results/mine/model\.pt, results/sample/model\.pt"):
        find_checkpoint(None, None)
    assert find_checkpoint(Path("x.pt"), None) == Path("x.pt")
    assert find_checkpoint(None, Path("results/mine")) == Path("results/mine/model.pt")
