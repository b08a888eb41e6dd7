import hashlib
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import RedSquareDetector, write_video

import data.faces
import feature_extraction as fe
from data.faces import (
    FACE_MODEL_SHA256,
    crop_square,
    detect_faces,
    follow_face,
    load_face_detector,
    place_square,
)
from data.files import DownloadError, InputError
from data.frames import Sampling, sample_video


def follow(*frames):
    """The index of each frame's box, for boxes given as (x, y, size)."""
    detections = []
    for frame in frames:
        boxes = [(x, y, size, size) for x, y, size in frame]
        detections.append(np.array(boxes, float).reshape(-1, 4))
    return follow_face(detections).tolist()


def place(box):
    return np.array([(box[0] + box[2] / 2) / 2, (box[1] + box[3] / 2) / 2, max(box[2:])])


def cost(first, second):
    larger = max(*first[2:], *second[2:])
    return larger**0.5 * min(0.75, np.linalg.norm(place(first) - place(second)) / larger)


def slow_follow(frames) -> float:
    """The largest sum of roots of sizes less movement, by trying every way through the frames."""

    def nearest(box, frame):
        return min(frame, key=lambda other: np.linalg.norm(place(box) - place(other)))

    def every_way(way, total, rest):
        yield total
        for i, frame in enumerate(rest):
            for box in frame:
                worth = max(box[2:]) ** 0.5
                if not way:
                    yield from every_way((box, frame), worth, rest[i + 1 :])
                elif nearest(way[0], frame) is box and nearest(box, way[1]) is way[0]:
                    gain = worth - cost(way[0], box)
                    yield from every_way((box, frame), total + gain, rest[i + 1 :])

    return max(every_way(None, 0, frames))


@pytest.fixture
def served_model(tmp_path, monkeypatch) -> Path:
    """A file that passes for YuNet, behind the URL from which it is downloaded."""
    monkeypatch.setattr("data.files.COPIES", {})
    path = tmp_path / "server/yunet.onnx"
    path.parent.mkdir()
    path.write_bytes(b"a network that finds faces")
    monkeypatch.setattr("data.faces.FACE_MODEL_URL", path.as_uri())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr("data.faces.FACE_MODEL_SHA256", digest)
    return path


@pytest.fixture
def real_sampling(real_videos, monkeypatch) -> Sampling:
    monkeypatch.setattr("data.files.COPIES", {})
    model = real_videos.parent / "models/face_detection_yunet_2023mar.onnx"
    if not model.is_file():
        pytest.skip(f"{model} is missing")
    load_face_detector(model)
    return Sampling(8, face_margin=1.3, face_model=FACE_MODEL_SHA256)


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((40, 30, 20, 10), 1.0, (40, 25, 20)),  # the longer side counts, around the centre
        ((40, 30, 10, 20), 1.0, (35, 30, 20)),
        ((40, 30, 20, 20), 1.5, (35, 25, 30)),
        ((0, 0, 20, 20), 1.5, (0, 0, 30)),  # shifted inside at the corners
        ((-8, -8, 20, 20), 1.0, (0, 0, 20)),
        ((90, 70, 20, 20), 1.5, (70, 50, 30)),
        ((40, 0, 80, 80), 1.0, (20, 0, 80)),  # as high as the frame
        ((10, 10, 80, 60), 1.125, (5, -5, 90)),  # higher than the frame: all of it is inside
        # larger than the frame: the face as near to the middle as can be
        ((0, 0, 10, 10), 15.0, (-50, -70, 150)),
        ((40, 30, 0.2, 0.1), 1.0, (40, 30, 1)),
    ],
)
def test_the_square_around_a_box(box, margin, expected):
    assert place_square(np.array(box, float), margin, (80, 100, 3)) == expected


def test_a_crop_is_that_part_of_the_frame_continued_at_its_edges():
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 40, 2)
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        box = np.concatenate([rng.uniform(-10, 40, 2), rng.uniform(0.1, 50, 2)])
        crop = crop_square(frame, box, 1.3)
        left, top, side = place_square(box, 1.3, frame.shape)
        endless = np.pad(frame, ((200, 200), (200, 200), (0, 0)), mode="edge")
        expected = endless[200 + top :, 200 + left :][:side, :side]
        assert np.array_equal(crop, expected)
        assert crop.shape == (side, side, 3) and side == max(1, round(1.3 * max(box[2:])))
        for start, length in ((left, width), (top, height)):  # inside, or around all of it
            assert 0 <= start <= start + side <= length or start <= 0 <= length <= start + side


FACE, OTHER = (100, 50, 60), (1500, 50, 100)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([[]] * 3, [-1] * 3),
        # a frame without a box is passed over
        ([[], [(10, 10, 50)], [], [], [(40, 10, 80)], []], [-1, 0, -1, -1, 0, -1]),
        # a constant person is preferred to a larger one who is there for a moment
        ([[FACE], [FACE, (300, 50, 90)], [(300, 50, 90), FACE], [FACE], [FACE]], [0, 0, 1, 0, 0]),
        # a single jump away is taken for an error
        *(
            ([[FACE]] * 4 + [[wrong]] + [[FACE]] * 4, [0] * 4 + [-1] + [0] * 4)
            for wrong in ((400, 300, 50), (400, 300, 200), (100, 50, 300))
        ),
        # a person who walks is followed, and one who has moved for good
        *(([[(step * i, 50, 60)] for i in range(12)], [0] * 12) for step in (20, 90, 200)),
        ([[(0, 50, 60)]] * 6 + [[(200, 50, 60)]] * 6, [0] * 12),
        # a larger person who leaves is not continued by another
        ([[OTHER, FACE]] * 20 + [[FACE]] * 12, [1] * 20 + [0] * 12),
        # one huge box is not worth a person
        ([[FACE]] * 16 + [[(0, 0, 2000)]] + [[FACE]] * 15, [0] * 16 + [-1] + [0] * 15),
        # the first two are far apart, but nearest to each other: nothing lies between them
        ([[(60, 0, 10)], [(10, 0, 10)], [(900, 900, 1), (950, 950, 1)]], [0, 0, -1]),
    ],
)
def test_one_person_is_followed(frames, expected):
    assert follow(*frames) == expected


def test_the_way_is_the_best_of_all_ways():
    rng = np.random.default_rng(1)
    for _ in range(80):
        frames = [
            np.column_stack([rng.uniform(0, 200, (k, 2)), rng.uniform(20, 90, (k, 2))])
            for k in rng.integers(0, 4, rng.integers(1, 6))
        ]
        chosen = follow_face(frames)
        way = [frames[i][k] for i, k in enumerate(chosen) if k >= 0]
        total = sum(max(box[2:]) ** 0.5 for box in way) - sum(cost(*pair) for pair in pairwise(way))
        assert total == pytest.approx(slow_follow([list(boxes) for boxes in frames]))


MEMORY = "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9"


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        ("bo\nom", InputError, "the face detector failed: bo om$"),
        (MEMORY, MemoryError, "no memory left to decode"),  # says nothing of the video
    ],
)
def test_an_error_of_the_detector_is_not_called_one_of_the_video(
    tmp_path, monkeypatch, problem, kind, message
):
    class FailingDetector(RedSquareDetector):
        def detect(self, frame):
            raise cv2.error(problem)

    monkeypatch.setattr("data.frames.load_face_detector", FailingDetector)
    path = write_video(tmp_path / "clip.mp4")
    with pytest.raises(kind, match=f"^{message}"):
        sample_video(path, Sampling(4, face_margin=1.3))


def test_boxes_are_scaled_back_along_each_side_and_the_largest_are_kept():
    class Crowd(RedSquareDetector):
        def detect(self, frame):
            boxes = [[i, 0, 600 + i, 5, *[0] * 11] for i in range(20)]
            return 1, np.array(boxes, np.float32)

    frame = np.zeros((30, 4000, 3), np.uint8)  # 640 x 5 for the detector: rounded, from 4.8
    expected = [[6.25 * i, 0, 6.25 * (600 + i), 30] for i in range(19, 11, -1)]
    np.testing.assert_allclose(detect_faces(Crowd(), frame), expected)


def test_real_faces_are_found_and_none_in_noise(real_videos, real_sampling, capfd):
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
    for name in ("004.mp4", "519_515.mp4"):
        (clip,) = real_videos.rglob(name)
        sampled = sample_video(clip, real_sampling)
        assert sampled.facts["face_share"] >= 0.95, clip
        sides = sampled.boxes[:, 2:].max(1)
        assert sides.min() > 40 and sides.max() < 2 * sides.min(), clip
    with pytest.raises(InputError, match=r"^no face found in 8 frames$"):
        sample_video(real_videos / "awkward/noise.mp4", real_sampling)
    assert capfd.readouterr() == ("", "")


def test_without_the_detector_the_error_says_what_to_get_and_no_folder_is_left(
    served_model, videos, tmp_path, torch_home
):
    served_model.unlink()
    flags = ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f"), "--crop-faces"]
    with pytest.raises(DownloadError, match=r"yunet\.onnx cannot be had") as error:
        fe.main(flags)
    place = torch_home / "hub/checkpoints/yunet.onnx"
    for part in (served_model.as_uri(), data.faces.FACE_MODEL_SHA256, place, "--face-model FILE"):
        assert str(part) in str(error.value)
    (tmp_path / "another.onnx").write_bytes(b"another network")
    with pytest.raises(InputError, match=r"another\.onnx is damaged or another file"):
        fe.main([*flags, "--face-model", str(tmp_path / "another.onnx")])
    assert not (tmp_path / "f").exists()
