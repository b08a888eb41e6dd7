from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import picture, write_squares
from PIL import Image

from data.decode import read_frames, sample_frame_numbers
from data.faces import crop_square, shrink
from data.files import InputError
from data.frames import Sampling, resize_frame, sample_video


def crop_faces(n=8, margin=1.5, if_no_face="skip") -> Sampling:
    return Sampling(n, face_margin=margin, if_no_face=if_no_face)


def write(path: Path, frames, fourcc="mp4v") -> Path:
    """A video of these frames."""
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 25, size)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def is_red(frame: torch.Tensor) -> np.ndarray:
    pixels = frame.permute(1, 2, 0).numpy()
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 100)


def test_each_frame_is_cropped_to_its_own_box_from_the_full_resolution(detector, tmp_path):
    places = [(700 + 50 * i, 300) for i in range(8)]
    path = write_squares(tmp_path / "a.mp4", places, size=(1920, 1080), side=200)
    sampled = sample_video(path, crop_faces())
    assert sampled.facts["face_share"] == 1
    assert np.allclose(sampled.boxes, [(x, y, 200, 200) for x, y in places], atol=6)
    for frame in sampled.frames:
        assert frame.shape == (3, 224, 224) and frame.dtype == torch.uint8
        red = is_red(frame)
        assert red.mean() == pytest.approx(1 / 1.5**2, abs=0.03)
        assert red[112, 112] and not red[8].any()


def test_crops_are_as_sharp_as_the_video(detector, tmp_path):
    """Stripes of 4 pixels are lost in what the detector gets, 640 of 1920, but not in a crop."""
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    cv2.rectangle(frame, (800, 400, 150, 150), (0, 0, 255), -1)
    frame[450:500, 850:900] = np.where(np.arange(50) % 4 < 2, 0, 255)[None, :, None]
    path = write(tmp_path / "a.avi", [frame] * 3, "MJPG")
    for crop in sample_video(path, crop_faces(n=3)).frames:
        assert crop[1, 90:130, 90:130].float().std() > 60


def test_one_person_is_cropped_to_and_not_the_largest_of_each_frame(detector, tmp_path):
    frames = []
    for i in range(8):
        frame = np.full((120, 320, 3), 128, np.uint8)
        cv2.rectangle(frame, (20, 30, 40, 40), (0, 0, 255), -1)
        cv2.rectangle(frame, (35, 45, 10, 10), (255, 0, 0), -1)  # the one with a blue nose
        if i in (3, 4):
            cv2.rectangle(frame, (200, 20, 70, 70), (0, 0, 255), -1)
        frames.append(frame)
    sampled = sample_video(write(tmp_path / "a.mp4", frames), crop_faces())
    assert np.allclose(sampled.boxes, [20, 30, 40, 40], atol=2)
    assert all(frame[2, 112, 112] > 150 > frame[0, 112, 112] for frame in sampled.frames)


@pytest.mark.parametrize("if_no_face", ["skip", "whole"])
def test_frames_without_the_face_are_left_out_and_said(detector, tmp_path, if_no_face):
    places = [None, (24, 30), None, (32, 30), (36, 30), (40, 30), None, None]
    path = write_squares(tmp_path / "a.mp4", places)
    sampled = sample_video(path, crop_faces(if_no_face=if_no_face), keep_whole=True)
    assert sampled.facts["face_share"] == 0.5
    assert sampled.facts["note"] == "face missing in 4 of 8 frames: left out"
    assert sampled.numbers.tolist() == [1, 3, 4, 5]
    assert np.allclose(sampled.boxes[:, 0], [24, 32, 36, 40], atol=1)
    assert len(sampled.whole) == len(sampled.frames) == 4
    for frame in sampled.frames:
        assert is_red(frame).mean() == pytest.approx(1 / 1.5**2, abs=0.04)


def test_a_video_without_a_face_fails_or_gives_whole_frames(detector, tmp_path):
    path = write_squares(tmp_path / "a.mp4", [None] * 8)
    with pytest.raises(InputError, match=r"^no face found in 8 frames$"):
        sample_video(path, crop_faces())
    sampled = sample_video(path, crop_faces(if_no_face="whole"))
    whole = sample_video(path, Sampling(8))
    assert sampled.facts["face_share"] == 0 and "face_share" not in whole.facts
    assert torch.equal(sampled.frames, whole.frames)


@pytest.mark.parametrize("shape", [(1080, 1920), (256, 256), (225, 223), (100, 30)])
def test_resize_is_within_one_grey_level_of_pil(shape):
    frame = picture(*shape)
    ours = resize_frame(frame).permute(1, 2, 0).numpy().astype(int)
    image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    reference = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - reference).max() <= 1


# --- The frames that are named are those that are shown ---


@pytest.fixture
def reads(monkeypatch) -> list:
    """How often a video was read."""
    calls = []

    def read(path, *arguments, **keywords):
        calls.append(path)
        return read_frames(path, *arguments, **keywords)

    monkeypatch.setattr("data.frames.read_frames", read)
    return calls


def read_all(path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return frames


def write_walk(path: Path, missing=()) -> Path:
    """A square that walks on by 6 pixels a frame, on a ground that changes, 24 frames."""
    frames = []
    for i in range(24):
        frame = np.full((60, 240, 3), 60 + 6 * i, np.uint8)
        if i not in missing:
            cv2.rectangle(frame, (8 + 6 * i, 16, 24, 24), (0, 0, 255), -1)
        frames.append(frame)
    return write(path, frames)


@pytest.mark.parametrize("keep_whole", [False, True])
def test_whole_frames_are_those_that_are_named(tmp_path, reads, keep_whole):
    path = write_walk(tmp_path / "a.mp4")
    expected = read_all(path)
    sampled = sample_video(path, Sampling(5), keep_whole=keep_whole)
    assert sampled.numbers.tolist() == sample_frame_numbers(24, 5)
    assert sampled.frames.shape == (5, 3, 224, 224) and sampled.frames.dtype == torch.uint8
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        assert torch.equal(frame, resize_frame(expected[number]))
        assert not torch.equal(frame, resize_frame(expected[number + 1]))
    assert sampled.boxes is None and "face_share" not in sampled.facts
    assert len(sampled.whole) == (5 if keep_whole else 0) and len(reads) == 1
    for shown, number in zip(sampled.whole, sampled.numbers, strict=keep_whole):
        assert np.array_equal(shown[..., ::-1], shrink(expected[number], 480))


@pytest.mark.parametrize("missing", [(), (2, 16)])
def test_crops_and_boxes_are_those_of_the_frames_that_are_named(detector, tmp_path, reads, missing):
    path = write_walk(tmp_path / "a.mp4", missing)
    expected = read_all(path)
    sampled = sample_video(path, crop_faces(n=5), keep_whole=True)
    numbers = sampled.numbers.tolist()
    assert numbers == [k for k in (2, 7, 12, 16, 21) if k not in missing] and len(reads) == 1
    assert np.allclose(sampled.boxes[:, 0], [8 + 6 * number for number in numbers], atol=2.5)
    for frame, box, number in zip(sampled.frames, sampled.boxes, numbers, strict=True):
        assert torch.equal(frame, resize_frame(crop_square(expected[number], box, 1.5)))
    for shown, number in zip(sampled.whole, numbers, strict=True):
        assert np.array_equal(shown[..., ::-1], shrink(expected[number], 480))
