"""Face crops through both scripts, with a detector that finds red squares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import extract, read_json, read_table, train, write_squares

import deepfake_detection_model as ddm
import feature_extraction
from data.faces import FACE_MODEL_SHA256
from data.files import DownloadError, InputError
from features.audit import audit_shortcuts
from features.compare import check_same_extraction
from features.splits import load_split

pytestmark = pytest.mark.usefixtures("quick_backbone", "detector")
QUICK = ["--num-epochs", "1", "--batch-size", "4", "--val-fraction", "0.5"]


@pytest.fixture
def faces(tmp_path) -> Path:
    """Two videos of each class with a square, and a real one without."""
    for i, label in enumerate(("real", "fake", "real", "fake")):
        write_squares(tmp_path / f"videos/{label}/{i}.mp4", [(10 * i + j, 30) for j in range(8)])
    write_squares(tmp_path / "videos/real/nobody.mp4", [None] * 8)
    return tmp_path / "videos"


@pytest.fixture
def trained_on_faces(faces, tmp_path) -> Path:
    extract(faces, tmp_path / "features", "--crop-faces")
    train(tmp_path, *QUICK)
    return tmp_path


def test_a_run_with_crops_says_how_they_are_made(faces, tmp_path, capsys):
    extract(faces, tmp_path / "features", "--crop-faces")
    report = read_json(tmp_path / "features/extraction.json")
    crop = {"margin": 1.3, "no_face": "fail", "detector_sha256": FACE_MODEL_SHA256}
    assert report["crop"] == crop and report["counts"]["failed"] == 1
    (failed,) = read_table(tmp_path / "features/failed.csv")
    assert failed["reason"] == "no face found in 4 frames"
    rows = read_table(tmp_path / "features/train_videos.csv")
    assert {row["face_share"] for row in rows} == {"1.0"}
    output = capsys.readouterr().out
    assert "Faces      cropped, margin 1.3" in output
    assert "+ 1 failed (1 real, 0 fake)\n" in output


def test_a_prediction_repeats_the_crops(trained_on_faces, faces):
    model, _ = ddm.load_checkpoint(trained_on_faces / "results/model.pt")
    features = torch.from_numpy(np.load(trained_on_faces / "features/train_features.npy"))
    paths = [faces / "fake/1.mp4", faces / "real/nobody.mp4"]
    rows = list(ddm.predict_videos(paths, trained_on_faces / "results/model.pt", "cpu"))
    assert np.allclose(rows[0]["scores"], model.score(features[:4]), atol=1e-6)
    assert rows[1]["at_T"] == "no decision" and rows[1]["score"] is None
    assert rows[1]["reason"] == "no face found in 4 frames"


def test_a_prediction_that_cannot_begin_keeps_the_earlier_table(
    trained_on_faces, faces, monkeypatch
):
    def gone(copy=None):
        raise DownloadError("no detector")

    monkeypatch.setattr(ddm, "load_face_detector", gone)
    results = trained_on_faces / "results"
    (results / "predict.csv").write_text("of an earlier run")
    with pytest.raises(DownloadError, match="no detector"):
        ddm.main(["--predict", str(faces / "fake/1.mp4"), "--output-dir", str(results)])
    assert (results / "predict.csv").read_text() == "of an earlier run"


def test_other_crops_are_made_anew_and_never_mixed(faces, tmp_path, capsys):
    extract(faces, tmp_path / "f")
    whole = np.load(tmp_path / "f/train_features.npy")
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    assert "0 taken from an earlier run, 5 done again" in capsys.readouterr().out
    cropped = np.load(tmp_path / "f/train_features.npy")
    assert whole.shape == cropped.shape == (20, 1000)
    same = [np.array_equal(*rows) for rows in zip(whole, cropped, strict=True)]
    assert same == [False] * 16 + [True] * 4  # the last is the one without a face
    extract(faces, tmp_path / "g")
    extractions = {}
    for split, folder in (("train", "f"), ("val", "g")):
        extractions[split] = load_split(tmp_path / folder / "train_features.npy").extraction
    with pytest.raises(InputError, match="crop"):
        check_same_extraction(extractions)


def test_how_often_a_face_is_found_is_a_shortcut_too(faces, tmp_path):
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    shortcuts = audit_shortcuts(load_split(tmp_path / "f/train_features.npy"))
    assert shortcuts["face_share"]["auc"] == pytest.approx(2 / 3)  # one real of three has none
    extract(faces, tmp_path / "g")
    assert "face_share" not in audit_shortcuts(load_split(tmp_path / "g/train_features.npy"))


def test_a_checkpoint_of_another_detector_is_refused(trained_on_faces, faces):
    path = trained_on_faces / "results/model.pt"
    checkpoint = torch.load(path, weights_only=True)
    for changes, message in (
        ({"detector_sha256": "0" * 64}, "that another detector found"),
        ({"margin": None}, "model.pt is damaged"),
    ):
        crop = checkpoint["extraction"]["crop"] | changes
        extraction = checkpoint["extraction"] | {"crop": crop}
        torch.save(checkpoint | {"extraction": extraction}, trained_on_faces / "other.pt")
        with pytest.raises(InputError, match=message.replace("model.pt", "other.pt")):
            ddm.predict_videos([faces / "fake/1.mp4"], trained_on_faces / "other.pt", "cpu")


def test_without_a_detector_the_run_says_where_to_get_it(videos, tmp_path, monkeypatch):
    def missing(copy=None):
        raise DownloadError("yunet.onnx cannot be had: put it there")

    monkeypatch.setattr(feature_extraction, "load_face_detector", missing)
    with pytest.raises(DownloadError, match=r"yunet\.onnx cannot be had"):
        extract(videos, tmp_path / "features", "--crop-faces")
    assert not (tmp_path / "features").exists()


def test_the_flags_of_crops_are_written_as_they_are_given(faces, tmp_path):
    flags = ["--crop-faces", "--face-margin", "1.75", "--no-face", "whole"]
    extract(faces, tmp_path / "features", *flags)
    extraction = load_split(tmp_path / "features/train_features.npy").extraction
    assert (extraction.crop.margin, extraction.crop.no_face) == (1.75, "whole")
    assert extraction.counts["failed"] == 0
