"""What a run prints around its tables: headers, warnings, and no line too many."""

import re

import numpy as np
import pytest
from conftest import QUICK, make_split

import deepfake_detection_model as ddm
from features import extraction_screen, screen
from features.audit import audit_leaks, describe_training
from features.dataset import load_split
from features.divide import divide

SETTINGS = {"batch_size": 16, "num_epochs": 25, "lr": 1e-5}


def test_the_header_counts_each_class_in_at_most_ten_lines(tmp_path, capsys):
    splits = {}
    for seed, name in enumerate(("train", "val", "test")):
        splits[name] = load_split(make_split(tmp_path, name, n_groups=5, seed=seed))
    splits["val"] = splits["val"].part(splits["val"].video_index > 2)  # the fakes come first
    division = divide(splits, 0.2, 0, "group")
    screen.print_training(splits, division.report, audit_leaks(splits), SETTINGS, "cpu")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 10 and max(map(len, lines)) <= 100
    assert "Training Set   5 real and 5 fake videos, 40 frames" in lines
    assert "Validation Set 5 real and 2 fake videos, 28 frames" in lines
    assert "Leak audit train, val and test share 0 videos, 0 known people, 0 clips" in lines
    assert "Settings   batch size 16, 25 epochs, lr 1e-05, on cpu" in lines


@pytest.mark.parametrize(("labels", "flag"), [([0, 1], "--train-f"), ([1, 1], "--evaluate")])
def test_what_to_do_next_fits_the_classes(tmp_path, capsys, labels, flag):
    np.save(tmp_path / "train_labels.npy", labels)
    extraction_screen.print_features_written(tmp_path, {"train": 2})
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("Next") and flag in line and str(tmp_path) in line


def test_a_shortcut_is_named_with_its_auc(capsys):
    shortcuts = {"size": {"auc": 0.97, "interval": [0.8, 1.0]}}
    shortcuts["width"] = {"auc": 0.6, "interval": [0.4, 0.8]}
    screen.warn_of_shortcuts(shortcuts, {"videos": {"auc": 0.55}})
    warning = "WARNING: the result means little: the data give the label away by size 97.0 %"
    assert capsys.readouterr().out.splitlines()[0] == warning


def test_a_training_draws_five_pictures_and_the_run_goes_on_without_its_videos(
    trained, tmp_path, capsys
):
    """The videos are those of another folder, and are there; then they are gone."""
    flags = [flag for flag in QUICK if flag != "--no-pictures"]
    flags += ["--train-features-file", str(tmp_path / "features/train_features.npy")]
    flags += ["--output-dir", str(tmp_path / "results")]
    ddm.main(flags)
    pictures = {"training_curves.png", "roc.png", "scores.png", "features.png"}
    found = {path.name for path in (tmp_path / "results").glob("*.png")}
    assert found == pictures | {"sample_frames.png"}
    assert "roc.csv, originals.csv, 5 pictures\n" in capsys.readouterr().out
    extraction = tmp_path / "features/extraction.json"
    gone = re.sub(r'"videos_dir": ".*"', '"videos_dir": "gone"', extraction.read_text())
    extraction.write_text(gone)
    ddm.main(flags)
    found = {path.name for path in (tmp_path / "results").glob("*.png")}
    assert found == pictures  # that of the earlier run is not left
    assert "sample_frames.png is not drawn" in capsys.readouterr().out


def test_the_line_of_an_epoch_is_of_the_validation():
    record = {"epoch": 3, "loss": 0.25, "train_accuracy": 0.9, "train_eer": 0.1}
    record |= {"val_accuracy": 0.75, "val_eer": None}
    line = " ".join(screen.format_epoch(record, 25).split())
    assert line == "epoch 3/25 loss 0.2500 validation accuracy 75.0 % EER n/a"


def test_what_the_model_was_trained_on_is_not_taken_for_unseen(tmp_path, capsys):
    seen = load_split(make_split(tmp_path))
    unseen = load_split(make_split(tmp_path, "val", seed=1))
    for split, is_warned in ((seen, True), (unseen, False)):
        assert screen.may_have_seen("these", split, describe_training([seen])) == is_warned
        assert ("NOT THE FIGURES OF UNSEEN PEOPLE" in capsys.readouterr().out) == is_warned
