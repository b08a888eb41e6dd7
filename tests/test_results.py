"""The files in results/: which folder they go to, what they replace and what they leave alone."""

from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, contents, edit_json, make_split, read_json, read_table, train, videos_of

import deepfake_detection_model as ddm
from data.files import InputError, hold_folder
from features.dataset import load_split
from features.results import find_checkpoint, list_predictions

TABLES = {"model.pt", "metrics.json", "predictions.csv", "roc.csv", "originals.csv"}
LOST = "validation accuracy 100.0 %, n = 4"


def test_results_lie_in_a_folder_named_after_the_features_which_another_set_does_not_get(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    make_split(tmp_path / "a/set")
    make_split(tmp_path / "b/set", seed=1)
    first = ["--train-features-file", "a/set/train_features.npy", *QUICK]
    other = [flag.replace("a/set", "b/set") for flag in first]
    results = tmp_path / "results/set"
    ddm.main(first)
    assert contents(results.parent).keys() == {"runs.csv"}
    before = contents(results)
    assert before.keys() == TABLES
    with pytest.raises(InputError, match=r"results/set holds results of a/set/train_f.*: name"):
        ddm.main(other)
    assert contents(results) == before
    capsys.readouterr()
    ddm.main(["--train-features-file", str(tmp_path / first[1]), *QUICK])  # the same set again
    assert f"Replaces   results/set: {LOST}\n" in capsys.readouterr().out
    ddm.main([*other, "--output-dir", "results/set"])  # as it was named


def test_a_new_model_replaces_what_is_of_the_old_one_says_so_and_removes_nothing_else(
    features, tmp_path, capsys
):
    train(tmp_path)
    out = capsys.readouterr().out
    assert "Replaces" not in out and "Stays" not in out
    folder = tmp_path / "results"
    mine = ["holiday.png", "predictions_of_mine.csv", "predict_x.csv", "evaluated/x.json"]
    (folder / "evaluated").mkdir()
    for name in ("roc.png", "originals.png", "methods.csv", *mine):
        (folder / name).write_text("precious")
    train(tmp_path, "--lr", "1e-4")
    lost = f"Replaces   {folder}: {LOST}\n"
    stays = "Stays      evaluated/, predict_x.csv: of an earlier model, not of this one\n"
    assert f"{lost}{stays}" in capsys.readouterr().out
    assert all((folder / name).read_text() == "precious" for name in mine)
    assert contents(folder).keys() == {*TABLES, *mine[:3]}
    busy = pytest.raises(InputError, match=r"another run is writing to .*results")
    with hold_folder(folder, folder / ".lock"), busy:
        train(tmp_path)


def test_each_seed_of_a_training_is_a_line_of_runs_beside_the_folder(tmp_path):
    make_split(tmp_path / "features", n_groups=30, shift=0.05)  # 12 in validation: thirds
    report = train(tmp_path, "--seeds", "2", "--batch-size", "8")
    rows = read_table(tmp_path / "runs.csv")
    settings = {"num_epochs": "2", "lr": "0.001", "batch_size": "8", "val_fraction": "0.2"}
    for seed, (row, of_seed) in enumerate(zip(rows, report["seeds"], strict=True)):
        metrics = videos_of(of_seed, "val")
        wanted = settings | {"seed": str(seed), "test_auc": ""}
        wanted |= {"val_of": "videos", "val_n": str(metrics["n"])}
        for key in ("accuracy", "eer", "auc"):
            wanted[f"val_{key}"] = str(round(metrics[key], 6))
        assert row.items() >= wanted.items()
    assert not (tmp_path / "results/runs.csv").exists()


def test_what_seeds_have_done_is_kept_when_a_later_one_is_interrupted(
    features, tmp_path, monkeypatch
):
    train(tmp_path)
    folder = tmp_path / "results"
    (folder / "roc.png").write_text("of the earlier model")
    train_one, seeds = ddm.train, []

    def interrupt_the_third(splits, training, device):
        if len(seeds) == 2:
            raise KeyboardInterrupt
        seeds.append(training.seed)
        return train_one(splits, training, device)

    monkeypatch.setattr(ddm, "train", interrupt_the_third)
    with pytest.raises(KeyboardInterrupt, match=r"^2 of 5 seeds are saved in .*results$"):
        train(tmp_path, "--seeds", "5", "--seed", "7")
    assert [row["seed"] for row in read_table(tmp_path / "runs.csv")] == ["0", "7", "8"]
    assert {row["seed"] for row in read_table(folder / "predictions.csv")} == {"7", "8"}
    assert [run["seed"] for run in read_json(folder / "metrics.json")["seeds"]] == [7, 8]
    assert ddm.load_model(folder / "model.pt")[1]["settings"]["seed"] == 7
    assert contents(folder).keys() == TABLES
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        train(tmp_path)


TOLD = """
split_unit val_fraction val_of weights weights_sha256 face_margin if_no_face frame_step video_score
group 0.2 videos random 00000000 - skip 0 mean
video 0.2 videos random 00000000 - skip 0 mean
- - videos random 00000000 - skip 0 mean
group 0.2 videos random 00000000 1.3 whole 0 mean
group 0.2 videos random 12345678 - skip 0 mean
group 0.2 videos random 00000000 - skip 10 mean
group 0.2 videos random 00000000 - skip 0 max
frame 0.2 frames - - - - - mean
"""


def test_runs_that_differ_have_lines_that_differ(features, tmp_path, monkeypatch):
    """In files, threshold, how validation was held out, or the code or weights of the features."""
    val = make_split(tmp_path / "val", "val", seed=1)
    for flags in (
        (),
        ("--split-unit", "video"),
        ("--val-features-file", val),
        ("--test-features-file", val),
        ("--max-fpr", "0.1"),
        ("--train-labels-file", features / "train_labels.npy"),
    ):
        train(tmp_path, *map(str, flags))
    path = features / "extraction.json"
    extraction = read_json(path)
    sampling = extraction["sampling"] | {"face_margin": 1.3, "if_no_face": "whole"}
    weights = extraction["weights"] | {"sha256": "1234567890"}
    step = extraction["sampling"] | {"frame_step": 10}
    for key, value in (
        ("code", "edited"),
        ("sampling", sampling),
        ("weights", weights),
        ("sampling", step),
    ):
        edit_json(path, **extraction | {key: value})
        train(tmp_path)
    edit_json(path, **extraction)
    train(tmp_path, "--video-score", "max")

    class DeepfakeMLP(ddm.DeepfakeMLP):
        def forward(self, features):
            return 2 * super().forward(features)

    monkeypatch.setattr(ddm, "DeepfakeMLP", DeepfakeMLP)
    train(tmp_path)
    for name in ("train_videos.csv", "extraction.json"):
        (features / name).unlink()
    train(tmp_path)
    rows = [row | {"time": ""} for row in read_table(tmp_path / "runs.csv")]
    how = [list(row.values())[: list(row).index("val_of")] for row in rows]
    assert len(set(map(tuple, how))) == len(rows) == 13
    assert {row["parameters"] for row in rows} == {"644097"}
    keys, *told = (line.split() for line in TOLD.strip().splitlines())
    found = [[row[key] or "-" for key in keys] for row in rows]
    assert [found[i] for i in (0, 1, 2, 7, 8, 9, 10, 12)] == told


def test_a_table_of_somebody_else_named_runs_is_left_alone(features, tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("number,who\n1,me\n")
    train(tmp_path)
    assert (tmp_path / "runs.csv").read_text() == "number,who\n1,me\n"
    assert "runs.csv gets no line: it has other columns" in capsys.readouterr().out


def test_predictions_are_named_at_a_half_and_at_the_threshold(tmp_path):
    split = load_split(make_split(tmp_path, n_groups=2, frames=1))
    scores = {"val": np.array([np.nextafter(0.3, 0), 0.3, 0.5, 0.9])}
    split.videos[0]["method"] = "FaceSwap"
    rows = list_predictions(7, {"val": split}, scores, 0.3)
    columns = "seed split video label method group people fingerprint score at_0.5 at_T"
    assert list(rows[0]) == columns.split()
    for row, video in zip(rows, split.videos, strict=True):
        assert (row["seed"], row["split"], row["people"]) == (7, "val", video["group"])
        for key in ("video", "method", "group", "fingerprint"):
            assert row[key] == video[key]
    called = [(row["label"], row["at_0.5"], row["at_T"]) for row in rows]
    fakes = [("fake", "real", "real"), ("fake", "real", "fake")]
    assert called == [*fakes, *[("real", "fake", "fake")] * 2]


def test_the_only_model_is_taken_and_of_several_they_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no results/\*/model\.pt: train a model first"):
        find_checkpoint(None, None)
    first, second = (Path("results", name, "model.pt") for name in ("sample", "mine"))
    for file in (first, second):
        file.parent.mkdir(parents=True)
    first.write_text("")
    assert find_checkpoint(None, None) == first
    assert find_checkpoint(None, Path("elsewhere")) == first
    second.write_text("")
    with pytest.raises(InputError, match=f"{second}, {first}"):
        find_checkpoint(None, None)
    assert find_checkpoint(Path("x.pt"), None) == Path("x.pt")
    assert find_checkpoint(None, second.parent) == second
