"""The files in results/: which folder they go to, what they replace and what they leave alone."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import QUICK, contents, make_split, read_json, read_table, train

import deepfake_detection_model as ddm
from data.files import InputError, hold_folder, write_json
from features.dataset import load_split
from features.originals import Originals
from features.pictures import draw_run
from features.results import (
    PREDICTION_COLUMNS,
    RUN_FILES,
    RUN_SETTINGS,
    append_run,
    find_checkpoint,
    list_predictions,
)

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
    assert lost in capsys.readouterr().out  # the same set and settings again
    assert not (tmp_path / "results/set/runs.csv").exists()
    ddm.main([*other, "--output-dir", "results/set"])  # as it was named
    (tmp_path / "results/set/metrics.json").write_text('{"settings": [')  # nobody's any more
    ddm.main(["--train-features-file", "a/set/train_features.npy", *QUICK])


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
    for name in ("roc.png", *mine):
        (folder / name).write_text("precious")
    train(tmp_path, "--lr", "1e-4", "--max-fpr", "0.1")
    lost = (
        "validation accuracy 100.0 %, n = 4; --lr 0.001, now 0.0001; --max-fpr not given, now 0.1"
    )
    stays = "Stays      evaluated/, predict_x.csv: of an earlier model, not of this one"
    assert f"Replaces   {folder}: {lost}\n{stays}\n" in capsys.readouterr().out
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
    with (
        hold_folder(folder, folder / ".lock"),
        pytest.raises(InputError, match=r"another run is writing to .*results"),
    ):
        train(tmp_path)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    train(tmp_path)


def test_each_seed_of_a_training_is_a_line_of_runs_beside_the_folder(tmp_path):
    make_split(tmp_path / "features", n_groups=30, shift=0.05)  # 12 in validation: thirds
    report = train(tmp_path, "--seeds", "2", "--batch-size", "8")
    rows = read_table(tmp_path / "runs.csv")
    assert [row["seed"] for row in rows] == ["0", "1"]
    settings = {"num_epochs": "2", "lr": "0.001", "batch_size": "8", "val_fraction": "0.2"}
    for row, of_seed in zip(rows, report["seeds"], strict=True):
        assert {name: row[name] for name in settings} == settings
        assert row["seed"] == str(of_seed["seed"])
        for key in ("accuracy", "eer", "auc"):
            assert row[f"val_{key}"] == str(round(of_seed["splits"]["val"]["videos"][key], 6))
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
    """In files, threshold, or the code of the model or of the features."""
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "val", "val", seed=1)
    labels = tmp_path / "features/train_labels.npy"
    train(tmp_path)
    train(tmp_path, "--val-features-file", str(val.parent))
    train(tmp_path, "--test-features-file", str(val))
    train(tmp_path, "--max-fpr", "0.1")
    train(tmp_path, "--train-labels-file", str(labels))

    class DeepfakeMLP(ddm.DeepfakeMLP):
        def forward(self, features):
            return 2 * super().forward(features)

    monkeypatch.setattr(ddm, "DeepfakeMLP", DeepfakeMLP)
    train(tmp_path)
    path = tmp_path / "features/extraction.json"
    write_json(path, read_json(path) | {"code": "edited"})
    train(tmp_path)
    rows = [row | {"time": ""} for row in read_table(tmp_path / "runs.csv")]
    how = [list(row.values())[: list(row).index("val_of")] for row in rows]
    assert len(set(map(tuple, how))) == len(rows) == 7
    assert {row["parameters"] for row in rows} == {"644097"}


SETTINGS = dict.fromkeys([*RUN_FILES.values(), *RUN_SETTINGS, "val_fraction"])
NETWORK = {"parameters": 1, "code": ""}
REPORT = {"settings": SETTINGS, "split": {"unit": None}, "extraction": None, "network": NETWORK}


def run_of(results: dict) -> SimpleNamespace:
    division = SimpleNamespace(report=REPORT["split"])
    return SimpleNamespace(seed=0, results=results, division=division)


def test_a_line_of_runs_has_the_figures_of_videos_if_there_are_any(tmp_path):
    videos, frames = ({"n": n, "accuracy": n / 100, "eer": 0.5, "auc": 0.5} for n in (12, 48))
    of_frames = {"videos": frames | {"of": "frames"}}
    for results in ({"videos": videos | {"of": "videos"}, "frames": frames}, of_frames):
        append_run(tmp_path / "runs.csv", REPORT, [run_of({"val": results})])
    rows = read_table(tmp_path / "runs.csv")
    assert [row["val_of"] for row in rows] == ["videos", "frames"]
    assert [row["val_n"] for row in rows] == ["12", "48"]
    assert [row["val_accuracy"] for row in rows] == ["0.12", "0.48"]


def test_runs_tell_how_validation_was_held_out_and_features_were_made(tmp_path):
    folder = tmp_path / "features"
    make_split(folder)
    train(tmp_path, "--split-unit", "video")
    make_split(folder, "val", seed=1)
    train(tmp_path)
    for name in ("val_features.npy", "train_videos.csv", "extraction.json"):
        (folder / name).unlink()
    train(tmp_path)
    keys = ("split_unit", "val_fraction", "val_of", "weights", "face_margin", "frames_per_video")
    assert [[row[key] for key in keys] for row in read_table(tmp_path / "runs.csv")] == [
        ["video", "0.2", "videos", "random", "", "4"],
        ["", "", "videos", "random", "", "4"],
        ["frame", "0.2", "frames", "", "", ""],
    ]


def test_a_table_of_somebody_else_named_runs_is_left_alone(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("number,who\n1,me\n")
    append_run(tmp_path / "runs.csv", REPORT, [run_of({})])
    assert (tmp_path / "runs.csv").read_text() == "number,who\n1,me\n"
    assert "runs.csv gets no line: it has other columns" in capsys.readouterr().out


def test_what_the_model_needs_is_told_by_the_training_features(tmp_path, capsys, monkeypatch):
    """Not by those of validation, which may be bare or of another set."""
    make_split(tmp_path / "features")
    val = make_split(tmp_path / "bare", "val", seed=1)
    (tmp_path / "bare/extraction.json").unlink()
    footers = []
    monkeypatch.setattr(ddm, "draw_run", lambda *_: [])
    train(tmp_path, "--val-features-file", str(val))
    assert "--predict" in capsys.readouterr().out.splitlines()[-1]
    run = SimpleNamespace(splits={"train": load_split(tmp_path / "features/train_features.npy")})
    run.splits["val"] = load_split(val)
    run.seed, run.history, run.scores, run.results = 0, [], {}, {}
    monkeypatch.setattr(
        "features.pictures.draw_pictures", lambda *args: footers.append(args[2]) or []
    )
    draw_run(tmp_path, [run], [], Originals({}), True)
    assert footers == ["features, ResNet-18 weights: random; seed 0"] * 2


def test_predictions_are_named_at_a_half_and_at_the_threshold(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=2, frames=1))
    scores = {"val": np.array([np.nextafter(0.3, 0), 0.3, 0.5, 0.9])}
    split.videos[0]["method"] = "FaceSwap"
    rows = list_predictions(7, {"val": split}, scores, 0.3)
    assert tuple(rows[0]) == PREDICTION_COLUMNS
    assert [row["seed"] for row in rows] == [7] * 4
    assert [row["method"] for row in rows] == ["FaceSwap", "", "", ""]
    for name in ("group", "fingerprint"):
        assert [row[name] for row in rows] == [row[name] for row in split.videos]
    assert [row["people"] for row in rows] == [row["group"] for row in split.videos]
    assert [row["label"] for row in rows] == ["fake", "fake", "real", "real"]
    assert [row["at_0.5"] for row in rows] == ["real", "real", "fake", "fake"]
    assert [row["at_T"] for row in rows] == ["real", "fake", "fake", "fake"]


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
