"""Face crops through both scripts, with a detector that finds red squares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import extract, read_json, read_table, train, write_squares

import deepfake_detection_model as ddm
from data.faces import FACE_MODEL_SHA256
from data.files import InputError
from features.audit import audit_shortcuts
from features.dataset import load_split
from features.extraction import check_alike

pytestmark = pytest.mark.usefixtures("quick_backbone", "detector")
WHOLE = ["--crop-faces", "--if-no-face", "whole"]
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
    return tmp_path / "results/model.pt"


def test_a_run_with_crops_says_how_they_are_made(faces, tmp_path, capsys):
    extract(faces, tmp_path, "--crop-faces", "--frame-step", "3")
    assert np.load(tmp_path / "train_frames.npy")[:6, 1].tolist() == [0, 3, 6] * 2
    report = read_json(tmp_path / "extraction.json")
    sampling = {"frames_per_video": 4, "frame_step": 3, "face_margin": 1.3}
    sampling |= {"if_no_face": "skip", "face_model": FACE_MODEL_SHA256}
    assert report["sampling"] == sampling and report["counts"]["failed"] == 1
    (failed,) = read_table(tmp_path / "failed.csv")
    assert failed["reason"] == "no face found in 3 frames"
    rows = read_table(tmp_path / "train_videos.csv")
    assert {row["face_share"] for row in rows} == {"1.0"}
    output = capsys.readouterr().out
    assert "Faces      cropped, margin 1.3" in output
    assert "+ 1 failed (1 real, 0 fake)\n" in output


def test_a_prediction_repeats_the_crops(trained_on_faces, faces, tmp_path):
    model, _ = ddm.load_model(trained_on_faces)
    split = load_split(tmp_path / "features/train_features.npy")
    features = split.gather(np.arange(4))
    paths = [faces / "fake/1.mp4", faces / "real/nobody.mp4"]
    found, nobody = ddm.predict_videos(paths, trained_on_faces, "cpu")
    assert np.allclose(found["scores"], model.score(features), atol=1e-6)
    assert found["face_share"] == 1
    assert found["note"].startswith("the model was trained or")
    assert nobody["at_T"] == "no decision" and nobody["score"] is None
    assert nobody["reason"] == "no face found in 4 frames"


def test_a_video_without_a_face_is_scored_as_in_training_and_says_so(faces, tmp_path):
    extract(faces, tmp_path / "features", *WHOLE)
    train(tmp_path, *QUICK)
    path = write_squares(tmp_path / "new.mp4", [None] * 9)
    (row,) = ddm.predict_videos([path], tmp_path / "results/model.pt", "cpu")
    assert len(row["scores"]) == 4 and row["face_share"] == 0
    assert row["note"].startswith("no face found: whole frames were scored")


def test_other_crops_are_made_anew_and_never_mixed(faces, tmp_path):
    extract(faces, tmp_path)
    whole = load_split(tmp_path / "train_features.npy")
    problem = r"with no --crop-faces, not --crop-faces --face-margin 1\.3: .*-dir, .*--overwrite"
    with pytest.raises(InputError, match=problem):
        extract(faces, tmp_path, *WHOLE)
    extract(faces, tmp_path, *WHOLE, "--overwrite")
    cropped = load_split(tmp_path / "train_features.npy")
    same = (whole.features == cropped.features).all(1)
    assert same.tolist() == [False] * 16 + [True] * 4  # the last is the one without a face
    problem = r"train has --crop-faces --face-margin 1\.3, val has no --crop-faces: extract"
    with pytest.raises(InputError, match=problem):
        check_alike({"train": cropped.extraction, "val": whole.extraction})


def test_the_flags_of_crops_are_kept_and_how_often_a_face_is_found_is_a_shortcut(faces, tmp_path):
    extract(faces, tmp_path, *WHOLE, "--face-margin", "1.75")
    split = load_split(tmp_path / "train_features.npy")
    sampling = split.extraction.sampling
    assert (sampling.face_margin, sampling.if_no_face) == (1.75, "whole")
    assert split.extraction.counts["failed"] == 0
    shortcuts = audit_shortcuts(split)
    # one real of three has none
    assert shortcuts["face_share"]["auc"] == pytest.approx(2 / 3)


def test_a_checkpoint_of_another_detector_is_refused(trained_on_faces, faces):
    checkpoint = torch.load(trained_on_faces, weights_only=True)
    checkpoint["extraction"]["sampling"]["face_model"] = "0" * 64
    torch.save(checkpoint, trained_on_faces)
    with pytest.raises(InputError, match="trained on faces that another detector found"):
        ddm.predict_videos([faces / "fake/1.mp4"], trained_on_faces, "cpu")
