import csv
import json
import os
import shutil

import numpy as np
import pytest
from conftest import make_split
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
import feature_extraction as fe
from data.files import InputError, write_csv


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


def edit_videos(folder, split, change):
    path = folder / f"{split}_videos.csv"
    with open(path, newline="") as file:
        rows = [change(row) or row for row in csv.DictReader(file)]
    write_csv(path, rows[0], rows)


def test_a_leak_between_extracted_splits_is_an_error_unless_it_is_the_official_split(tmp_path, capsys):
    folder = tmp_path / "features"
    for seed, split in enumerate(("train", "val", "test")):
        make_split(folder, split, n_groups=5, seed=seed)
    edit_videos(folder, "test", lambda row: row.update(clip=row["clip"].replace("test/", "train/")))
    with pytest.raises(InputError, match=r"train and test share 10 clips, gone/train/fake/000\.mp4 for one"):
        run(tmp_path)
    edit_videos(folder, "test", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and test share 1 groups"):
        run(tmp_path)
    extraction = json.loads((folder / "extraction.json").read_text())
    (folder / "extraction.json").write_text(json.dumps({**extraction, "layout": "Celeb-DF"}))
    report = run(tmp_path)
    assert report["split"]["shared"]["train-test"] == {"videos": 0, "groups": 1, "clips": 10}
    edit_videos(folder, "test", lambda row: row.update(video=row["video"].replace("test/", "train/")))
    with pytest.raises(InputError, match=r"train and test share 10 videos"):  # not even there
        run(tmp_path)
    edit_videos(folder, "test", lambda row: row.update(video=row["video"].replace("train/", "test/")))
    edit_videos(folder, "val", lambda row: row.update(group="train001.mp4"))
    with pytest.raises(InputError, match=r"train and val share 1 groups"):  # the list knows train and test alone
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
    with pytest.raises(InputError, match=r"(train|val) and test share \d+ (videos|groups)"):
        run(tmp_path, "--split-unit", "video")
    make_split(folder, "val")
    with pytest.raises(InputError, match=r"--split-unit frame: there is a file of validation features"):
        run(tmp_path, "--split-unit", "frame")


def test_one_set_extracted_twice_is_recognised(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root, folder in ((str(videos), "features"), (os.path.relpath(videos), "again")):
        fe.main(["--videos-dir", root, "--features-dir", folder, "--weights", "random", "--frames-per-video", "1"])
    with pytest.raises(InputError, match=r"train and test share \d+ videos"):
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
