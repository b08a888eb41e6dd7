"""What a run prints around its tables: headers, warnings, and no line too many."""

import re

import pytest
from conftest import QUICK, make_splits
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
from data.words import SPLITS
from features import screen
from features.audit import audit_leaks
from features.dataset import load_split
from features.divide import divide

SETTINGS = {"batch_size": 16, "num_epochs": 25, "lr": 1e-5}


def test_the_header_counts_each_class_in_at_most_ten_lines(tmp_path, capsys):
    make_splits(tmp_path, n_groups=5)
    splits = {name: load_split(tmp_path / f"{name}_features.npy") for name in SPLITS}
    splits["val"] = splits["val"].part(splits["val"].video_index > 2)  # the fakes come first
    division = divide(splits, 0.2, 0, "group")
    screen.print_training(splits, division.report, audit_leaks(splits), SETTINGS, "cpu")
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert len(lines) <= 10 and max(map(len, lines)) <= 100
    for line in (
        "Training Set   5 real and 5 fake videos, 40 frames",
        "Validation Set 5 real and 2 fake videos, 28 frames",
        "Leak audit train, val and test share 0 videos, 0 known people, 0 clips",
        "Settings   batch size 16, 25 epochs, lr 1e-05, on cpu",
    ):
        assert line in lines
    record = {"epoch": 3, "loss": 0.25, "train_accuracy": 0.9, "train_eer": 0.1}
    record |= {"val_accuracy": 0.75, "val_eer": None}
    line = " ".join(screen.format_epoch(record, 25).split())
    assert line == "epoch 3/25 loss 0.2500 validation accuracy 75.0 % EER n/a"


def test_a_shortcut_is_named_with_its_auc(capsys):
    shortcuts = {"size": {"auc": 0.97, "interval": [0.8, 1.0]}}
    shortcuts["width"] = {"auc": 0.6, "interval": [0.4, 0.8]}
    screen.warn_of_shortcuts(shortcuts, {"videos": {"auc": 0.55}})
    warning = "WARNING: the result means little: the data give the label away by size 97.0 %"
    assert capsys.readouterr().out.splitlines()[0] == warning


@pytest.mark.parametrize("gone", [False, True])
def test_a_training_draws_five_pictures_and_goes_on_without_its_videos(
    trained, gone, monkeypatch, capsys
):
    monkeypatch.setattr("features.plots.TSNE", lambda **_: PCA(2))
    features, results = trained / "features", trained / "results"
    if gone:
        path = features / "extraction.json"
        path.write_text(re.sub(r'"videos_dir": ".*"', '"videos_dir": "gone"', path.read_text()))
    (results / "sample_frames.png").write_text("of an earlier run")
    flags = [flag for flag in QUICK if flag != "--no-pictures"]
    flags += ["--train-features-file", str(features / "train_features.npy")]
    ddm.main([*flags, "--output-dir", str(results)])
    pictures = {"training_curves.png", "roc.png", "scores.png", "features.png"}
    if not gone:
        pictures.add("sample_frames.png")
    assert {path.name for path in results.glob("*.png")} == pictures
    printed = capsys.readouterr().out
    assert f"roc.csv, originals.csv, {len(pictures)} pictures\n" in printed
    assert ("sample_frames.png is not drawn" in printed) == gone
