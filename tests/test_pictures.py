import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_video
from sklearn.decomposition import PCA

import deepfake_detection_model as ddm
import feature_extraction as fe


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


def test_a_video_that_is_gone_or_changed_costs_its_picture_not_the_run(tmp_path, capsys):
    for i in range(6):
        write_video(tmp_path / f"videos/real/{i}.mp4")
        write_video(tmp_path / f"videos/fake/{i}_.mp4", colour=(0, 0, 200))
    fe.main(
        ["--videos-dir", str(tmp_path / "videos"), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "1", "--device", "cpu"]
    )
    run(tmp_path, "--batch-size", "4")
    assert (tmp_path / "results/sample_frames.png").is_file()
    for path in (tmp_path / "videos").rglob("*.mp4"):
        write_video(path, n=3)
    run(tmp_path, "--batch-size", "4")
    assert "has changed since its features were extracted" in capsys.readouterr().out
    assert not (tmp_path / "results/sample_frames.png").exists()  # of the earlier run
    shutil.rmtree(tmp_path / "videos")
    run(tmp_path, "--batch-size", "4")
    assert "no such file" in capsys.readouterr().out
    assert (tmp_path / "results/metrics.json").is_file()


def test_the_sample_picture_shows_the_frames_it_names(videos, tmp_path, monkeypatch):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "features"), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu"]
    )
    shown = []

    def save(figure, path):
        shown.extend((axes.get_title(), axes.get_images()[0].get_array()) for axes in figure.axes if axes.get_images())

    monkeypatch.setattr("features.pictures.save_figure", save)
    run(tmp_path)
    assert len(shown) >= 4
    for title, picture in shown:
        number = int(title.split("frame ")[1].split(",")[0])
        assert abs(picture.mean() - (20 + 7 * number)) < 3.5  # the grey level that frame was written with
        assert ("real/" in title) == ("truth: real" in title)


def test_the_preview_shows_videos_and_extracts_nothing(detector, faces, tmp_path, capsys):
    for i, more in enumerate((["--crop-faces"], [])):
        flags = ["--videos-dir", str(faces), "--features-dir", str(tmp_path / f"f{i}"), "--frames-per-video", "4"]
        fe.main([*flags, "--preview", "9", *more])
        assert [path.name for path in (tmp_path / f"f{i}").iterdir()] == ["preview.png"]
        sheet = cv2.imread(str(tmp_path / f"f{i}/preview.png"))
        assert sheet.shape[0] == 5 * 210  # a row for each video that is there
        for colour in ((0, 159, 230), (233, 180, 86)):  # of the crop and of the box, which whole frames have not
            assert (abs(sheet.astype(int) - colour).max(2) < 40).any() == ("--crop-faces" in more)
        assert "5 of 5 videos; nothing was extracted" in capsys.readouterr().out
