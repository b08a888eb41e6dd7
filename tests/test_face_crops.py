import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import deepfake_detection_model as ddm
import feature_extraction as fe
from data.faces import (
    FACE_MODEL_SHA256,
)
from data.files import DownloadError, InputError, read_csv
from features.splits import audit_shortcuts, check_same_extraction, load_split

DETECTOR_USERS = ("data.frames", "feature_extraction", "deepfake_detection_model")


def place(box):
    return np.array([(box[0] + box[2] / 2) / 2, (box[1] + box[3] / 2) / 2, max(box[2:])])


class RedSquareDetector:
    """Finds what is red, as cv2.FaceDetectorYN finds faces."""

    def setInputSize(self, size):
        self.size = tuple(size)

    def detect(self, frame):
        assert frame.shape[1::-1] == self.size and max(self.size) <= 640
        red = (frame[..., 2] > 150) & (frame[..., 1] < 100)
        *_, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        boxes = [[*square[:4], *[0] * 11] for square in stats[1:] if square[4] > 50]  # the first is what is not red
        return 1, np.array(boxes, np.float32) if boxes else None


@pytest.fixture
def detector(monkeypatch):
    for room in DETECTOR_USERS:
        monkeypatch.setattr(f"{room}.load_face_detector", lambda copy=None: RedSquareDetector())


def write_squares(path: Path, places, size=(160, 120), side=40) -> Path:
    """A grey video with a red square at each frame's place (x, y), or with none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    for place in places:
        frame = np.full((size[1], size[0], 3), 128, np.uint8)
        if place is not None:
            cv2.rectangle(frame, place, (place[0] + side - 1, place[1] + side - 1), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def faces(tmp_path) -> Path:
    """Two videos of each class with a square, and a real one without."""
    for i, label in enumerate(("real", "fake", "real", "fake")):
        write_squares(tmp_path / f"videos/{label}/{i}.mp4", [(10 * i + j, 30) for j in range(8)])
    write_squares(tmp_path / "videos/real/nobody.mp4", [None] * 8)
    return tmp_path / "videos"


def extract(faces, folder, *more):
    flags = ["--videos-dir", str(faces), "--features-dir", str(folder), "--weights", "random", "--device", "cpu"]
    fe.main([*flags, "--frames-per-video", "4", *more])
    return json.loads((folder / "extraction.json").read_text())


def train(features, results):
    flags = ["--train-features-file", str(features / "train_features.npy"), "--output-dir", str(results)]
    ddm.main([*flags, "--num-epochs", "1", "--batch-size", "4", "--val-fraction", "0.5", "--device", "cpu"])


def test_a_run_with_crops_and_a_prediction_that_repeats_them(detector, faces, tmp_path, capsys, monkeypatch):
    report = extract(faces, tmp_path / "f", "--crop-faces")
    crop = {"detector_sha256": FACE_MODEL_SHA256, "margin": 1.3, "no_face": "fail"}
    assert report["crop"] == crop and report["counts"]["failed"] == 1
    (failed,) = read_csv(tmp_path / "f/failed.csv")
    assert failed["reason"] == "no face found in 4 frames"
    assert {row["face_share"] for row in read_csv(tmp_path / "f/train_videos.csv")} == {"1.0"}
    output = capsys.readouterr().out
    assert "Faces      cropped by YuNet, margin 1.3" in output and "+ 1 failed (1 real, 0 fake)\n" in output

    train(tmp_path / "f", tmp_path / "r")
    assert (tmp_path / "r/sample_frames.png").is_file()
    model, _ = ddm.load_checkpoint(tmp_path / "r/model.pt")
    features = np.load(tmp_path / "f/train_features.npy")
    rows = list(ddm.predict_videos([faces / "fake/1.mp4", faces / "real/nobody.mp4"], tmp_path / "r/model.pt", "cpu"))
    assert np.allclose(rows[0]["scores"], model.score(torch.from_numpy(features[:4])), atol=1e-6)
    assert rows[1]["prediction"] == "no decision" and rows[1]["reason"] == "no face found in 4 frames"

    def gone(copy=None):
        raise DownloadError("no detector")

    for room in DETECTOR_USERS:
        monkeypatch.setattr(f"{room}.load_face_detector", gone)
    (tmp_path / "r/predict.csv").write_text("of an earlier run")
    with pytest.raises(DownloadError, match="no detector"):
        ddm.main(["--predict", str(faces / "fake/1.mp4"), "--output-dir", str(tmp_path / "r"), "--device", "cpu"])
    assert (tmp_path / "r/predict.csv").read_text() == "of an earlier run"


def test_other_crops_are_made_anew_and_never_mixed(detector, faces, tmp_path, capsys):
    extract(faces, tmp_path / "f")
    whole = np.load(tmp_path / "f/train_features.npy")
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    assert "0 taken from an earlier run, 5 done again" in capsys.readouterr().out
    cropped = np.load(tmp_path / "f/train_features.npy")
    assert whole.shape == cropped.shape == (20, 1000)
    same = [np.array_equal(*rows) for rows in zip(whole, cropped, strict=True)]
    assert same == [False] * 16 + [True] * 4  # the last is the one without a face
    extract(faces, tmp_path / "g")
    split, other = (load_split(tmp_path / name / "train_features.npy") for name in "fg")
    with pytest.raises(InputError, match="crop is faces for train, none for val"):
        check_same_extraction({"train": split.extraction, "val": other.extraction})
    del other.extraction["crop"]  # made before there were crops
    with pytest.raises(InputError, match="crop is faces for train, none for val"):
        check_same_extraction({"train": split.extraction, "val": other.extraction})
    wider = split.extraction | {"crop": split.extraction["crop"] | {"margin": 2.0}}
    with pytest.raises(InputError, match=r"^margin is 1.3 for train, 2.0 for val: extract them alike$"):
        check_same_extraction({"train": split.extraction, "val": wider})


def test_how_often_a_face_is_found_is_a_shortcut_too(detector, faces, tmp_path):
    extract(faces, tmp_path / "f", "--crop-faces", "--no-face", "whole")
    split = load_split(tmp_path / "f/train_features.npy")
    assert audit_shortcuts(split)["face_share"] == pytest.approx(2 / 3)  # one real of three has none
    extract(faces, tmp_path / "g")
    assert "face_share" not in audit_shortcuts(load_split(tmp_path / "g/train_features.npy"))


def test_a_checkpoint_of_other_crops_is_refused(detector, faces, tmp_path):
    extract(faces, tmp_path / "f", "--crop-faces")
    train(tmp_path / "f", tmp_path / "r")
    checkpoint = torch.load(tmp_path / "r/model.pt", weights_only=True)
    for crop, message in (
        ({"detector_sha256": "0" * 64}, "that another detector found"),
        ({"margin": None}, "is not a checkpoint of"),
    ):
        extraction = checkpoint["extraction"] | {"crop": checkpoint["extraction"]["crop"] | crop}
        torch.save(checkpoint | {"extraction": extraction}, tmp_path / "other.pt")
        with pytest.raises(InputError, match=message):
            ddm.predict_videos([faces / "fake/1.mp4"], tmp_path / "other.pt", "cpu")
