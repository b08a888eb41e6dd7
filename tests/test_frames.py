from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from data.files import InputError
from data.frames import resize_frame, sample_video

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


def face_settings(n=8, margin=1.5, no_face="fail"):
    return {"frames_per_video": n, "crop": {"margin": margin, "no_face": no_face}}


def is_red(frame: torch.Tensor) -> np.ndarray:
    pixels = frame.permute(1, 2, 0).numpy()
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 100)


def picture(height, width, seed=0):
    """A BGR picture with coarse shapes and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.float32), (width, height))
    return np.clip(coarse + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def test_each_frame_is_cropped_to_its_own_box_from_the_full_resolution(detector, tmp_path):
    places = [(700 + 50 * i, 300) for i in range(8)]
    path = write_squares(tmp_path / "a.mp4", places, size=(1920, 1080), side=200)
    sampled = sample_video(path, face_settings())
    assert sampled.facts["face_share"] == 1
    assert np.allclose(sampled.boxes, [(x, y, 200, 200) for x, y in places], atol=6)
    for frame in sampled.frames:
        assert frame.shape == (3, 224, 224) and frame.dtype == torch.uint8
        red = is_red(frame)
        assert red.mean() == pytest.approx(1 / 1.5**2, abs=0.03) and red[112, 112] and not red[8].any()


def test_crops_are_as_sharp_as_the_video(detector, tmp_path):
    """Stripes of 4 pixels are lost in what the detector gets, 640 pixels of 1920, but not in a crop of 224 pixels."""
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (1920, 1080))
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    cv2.rectangle(frame, (800, 400, 150, 150), (0, 0, 255), -1)
    frame[450:500, 850:900] = np.where(np.arange(50) % 4 < 2, 0, 255)[None, :, None]
    for _ in range(3):
        writer.write(frame)
    writer.release()
    for crop in sample_video(tmp_path / "a.avi", face_settings(n=3)).frames:
        assert crop[1, 90:130, 90:130].float().std() > 60


def test_one_person_is_cropped_to_and_not_the_largest_of_each_frame(detector, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 120))
    for i in range(8):
        frame = np.full((120, 320, 3), 128, np.uint8)
        cv2.rectangle(frame, (20, 30, 40, 40), (0, 0, 255), -1)
        cv2.rectangle(frame, (35, 45, 10, 10), (255, 0, 0), -1)  # the one with a blue nose
        if i in (3, 4):
            cv2.rectangle(frame, (200, 20, 70, 70), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    sampled = sample_video(tmp_path / "a.mp4", face_settings())
    assert np.allclose(sampled.boxes, [20, 30, 40, 40], atol=2)
    assert all(frame[2, 112, 112] > 150 > frame[0, 112, 112] for frame in sampled.frames)


def test_frames_without_a_face_are_cropped_where_it_should_be(detector, tmp_path):
    places = [(20, 30), (24, 30), None, (32, 30), (36, 30), (40, 30), None, None]
    sampled = sample_video(write_squares(tmp_path / "a.mp4", places), face_settings())
    assert sampled.facts["face_share"] == 0.625
    assert np.allclose(sampled.boxes[:, 0], [20, 24, 28, 32, 36, 40, 40, 40], atol=1)
    red = [is_red(frame).mean() for frame in sampled.frames]
    expected = [0 if place is None else 1 / 1.5**2 for place in places]
    assert np.allclose(red, expected, atol=0.04)
    for frame, box in zip(sampled.frames, sampled.boxes, strict=True):
        if not is_red(frame).any():  # the grey that is there, not a frame that stands for it
            assert abs(frame.float().mean() - 128) < 6 and np.isfinite(box).all()


def test_a_video_without_a_face_fails_or_gives_whole_frames(detector, tmp_path):
    path = write_squares(tmp_path / "a.mp4", [None] * 8)
    with pytest.raises(InputError, match=r"^no face found in 8 frames$"):
        sample_video(path, face_settings())
    sampled = sample_video(path, face_settings(no_face="whole"))
    whole = sample_video(path, {"frames_per_video": 8})
    assert sampled.facts["face_share"] == 0 and "face_share" not in whole.facts
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(sampled.frames, whole.frames, strict=True))


@pytest.mark.parametrize("shape", [(1080, 1920), (256, 256), (225, 223), (480, 640), (100, 30), (16, 16)])
def test_resize_is_within_one_grey_level_of_pil(shape):
    frame = picture(*shape)
    ours = resize_frame(frame).permute(1, 2, 0).numpy().astype(int)
    image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    reference = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - reference).max() <= 1
