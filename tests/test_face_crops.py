"""Face crops through both scripts, with a detector that finds red squares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import contents, extract, read_json, read_table, train, write_squares

import deepfake_detection_model as ddm
from data.faces import FACE_MODEL_SHA256
from data.files import DownloadError, InputError
from features.audit import audit_shortcuts
from features.dataset import load_split
from features.extraction import check_alike

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
    extract(faces, tmp_path / "features", "--crop-faces", "--frame-step", "3")
    assert np.load(tmp_path / "features/train_frames.npy")[:6, 1].tolist() == [0, 3, 6] * 2
    report = read_json(tmp_path / "features/extraction.json")
    sampling = {"frames_per_video": 4, "frame_step": 3, "face_margin": 1.3}
    sampling |= {"if_no_face": "skip", "face_model": FACE_MODEL_SHA256}
    assert report["sampling"] == sampling and report["counts"]["failed"] == 1
    (failed,) = read_table(tmp_path / "features/failed.csv")
    assert failed["reason"] == "no face found in 3 frames"
    rows = read_table(tmp_path / "features/train_videos.csv")
    assert {row["face_share"] for row in rows} == {"1.0"}
    output = capsys.readouterr().out
    assert "Faces      cropped, margin 1.3" in output
    assert "+ 1 failed (1 real, 0 fake)\n" in output


def test_a_prediction_repeats_the_crops(trained_on_faces, faces):
    model, _ = ddm.load_model(trained_on_faces / "results/model.pt")
    features = torch.from_numpy(np.load(trained_on_faces / "features/train_features.npy"))
    paths = [faces / "fake/1.mp4", faces / "real/nobody.mp4"]
    rows = list(ddm.predict_videos(paths, trained_on_faces / "results/model.pt", "cpu"))
    assert np.allclose(rows[0]["scores"], model.score(features[:4]), atol=1e-6)
    assert rows[0]["face_share"] == 1 and rows[0]["note"].startswith("the model was trained or")
    assert rows[1]["at_T"] == "no decision" and rows[1]["score"] is None
    assert rows[1]["reason"] == "no face found in 4 frames"


def test_a_prediction_that_cannot_begin_leaves_the_folder_as_it_was(
    trained_on_faces, faces, monkeypatch
):
    def gone(copy=None):
        raise DownloadError("no detector")

    monkeypatch.setattr("features.predict.load_face_detector", gone)
    results = trained_on_faces / "results"
    before = contents(results)
    with pytest.raises(DownloadError, match="no detector"):
        ddm.main(["--predict", str(faces / "fake/1.mp4"), "--output-dir", str(results)])
    assert contents(results) == before


def test_a_video_without_a_face_is_scored_as_in_training_and_says_so(faces, tmp_path):
    extract(faces, tmp_path / "features", "--crop-faces", "--if-no-face", "whole")
    train(tmp_path, *QUICK)
    path = write_squares(tmp_path / "new.mp4", [None] * 9)
    (row,) = ddm.predict_videos([path], tmp_path / "results/model.pt", "cpu")
    assert len(row["scores"]) == 4 and row["face_share"] == 0
    assert row["note"].startswith("no face found: whole frames were scored")


def test_other_crops_are_made_anew_and_never_mixed(faces, tmp_path):
    extract(faces, tmp_path / "f")
    whole = np.load(tmp_path / "f/train_features.npy")
    crops = ["--crop-faces", "--if-no-face", "whole"]
    problem = r"with no --crop-faces, not --crop-faces --face-margin 1\.3: .*-dir, .*--overwrite"
    with pytest.raises(InputError, match=problem):
        extract(faces, tmp_path / "f", *crops)
    extract(faces, tmp_path / "f", *crops, "--overwrite")
    cropped = np.load(tmp_path / "f/train_features.npy")
    assert whole.shape == cropped.shape == (20, 1000)
    same = [np.array_equal(*rows) for rows in zip(whole, cropped, strict=True)]
    assert same == [False] * 16 + [True] * 4  # the last is the one without a face
    extract(faces, tmp_path / "g")
    extractions = {}
    for split, folder in (("train", "f"), ("val", "g")):
        extractions[split] = load_split(tmp_path / folder / "train_features.npy").extraction
    problem = r"train has --crop-faces --face-margin 1\.3, val has no --crop-faces: extract"
    with pytest.raises(InputError, match=problem):
        check_alike(extractions)


def test_the_flags_of_crops_are_kept_and_how_often_a_face_is_found_is_a_shortcut(faces, tmp_path):
    flags = ["--crop-faces", "--face-margin", "1.75", "--if-no-face", "whole"]
    extract(faces, tmp_path / "f", *flags)
    split = load_split(tmp_path / "f/train_features.npy")
    sampling = split.extraction.sampling
    assert (sampling.face_margin, sampling.if_no_face) == (1.75, "whole")
    assert split.extraction.counts["failed"] == 0
    shortcuts = audit_shortcuts(split)
    assert shortcuts["face_share"]["auc"] == pytest.approx(2 / 3)  # one real of three has none
    extract(faces, tmp_path / "g")
    assert "face_share" not in audit_shortcuts(load_split(tmp_path / "g/train_features.npy"))


def test_a_checkpoint_of_another_detector_is_refused(trained_on_faces, faces):
    path = trained_on_faces / "results/model.pt"
    checkpoint = torch.load(path, weights_only=True)
    extraction = checkpoint["extraction"]
    changed = extraction | {"sampling": extraction["sampling"] | {"face_model": "0" * 64}}
    torch.save(checkpoint | {"extraction": changed}, trained_on_faces / "other.pt")
    with pytest.raises(InputError, match="trained on faces that another detector found"):
        ddm.predict_videos([faces / "fake/1.mp4"], trained_on_faces / "other.pt", "cpu")
