from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import decode, encode, picture, write_squares
from PIL import Image

from data.decode import sample_frame_numbers
from data.faces import crop_square, shrink
from data.files import InputError
from data.frames import Sampling, resize_frame, sample_video


def crop_faces(n=8, if_no_face="skip") -> Sampling:
    return Sampling(n, face_margin=1.5, if_no_face=if_no_face)


def is_red(frame: torch.Tensor) -> np.ndarray:
    red, green, _ = frame.numpy()
    return (red > 150) & (green < 100)


def test_each_frame_is_cropped_to_its_own_box_from_the_full_resolution(detector, tmp_path):
    """Stripes of 4 pixels are lost in what the detector gets, 640 of 1920, but not in a crop."""
    lefts, frames = [700, 750, 800, 850], []
    stripes = np.where(np.arange(60) % 4 < 2, 0, 255)
    for left in lefts:
        frame = np.full((1080, 1920, 3), 128, np.uint8)
        cv2.rectangle(frame, (left, 300, 200, 200), (0, 0, 255), -1)
        frame[370:430, left + 70 : left + 130] = stripes[:, None]
        frames.append(frame)
    sampled = sample_video(encode(tmp_path / "a.avi", frames, "MJPG"), crop_faces(4))
    assert sampled.facts["face_share"] == 1
    expected = [[left, 300, 200, 200] for left in lefts]
    assert np.allclose(sampled.boxes, expected, atol=6)
    for crop in sampled.frames:
        red = is_red(crop)
        assert red.mean() == pytest.approx((200**2 - 60**2) / 300**2, abs=0.03)
        assert red[70, 70] and not red[8].any()
        assert crop[1, 100:124, 100:124].float().std() > 60


def test_one_person_is_cropped_to_and_not_the_largest_of_each_frame(detector, tmp_path):
    frames = []
    for i in range(8):
        frame = np.full((120, 320, 3), 100 + 7 * i, np.uint8)
        cv2.rectangle(frame, (20, 30, 40, 40), (0, 0, 255), -1)
        if i in (3, 4):
            cv2.rectangle(frame, (200, 20, 70, 70), (0, 0, 255), -1)
        frames.append(frame)
    path = encode(tmp_path / "a.mp4", frames)
    sampled = sample_video(path, crop_faces())
    assert np.allclose(sampled.boxes, [20, 30, 40, 40], atol=2)
    assert sampled.numbers.tolist() == list(range(8))


@pytest.mark.parametrize("if_no_face", ["skip", "whole"])
def test_frames_without_the_face_are_left_out_and_said(detector, tmp_path, if_no_face):
    places = [None, (24, 30), None, (32, 30), (36, 30), (40, 30), None, None]
    path = write_squares(tmp_path / "a.mp4", places)
    sampled = sample_video(path, crop_faces(if_no_face=if_no_face))
    assert sampled.facts["face_share"] == 0.5
    assert sampled.facts["note"] == "face missing in 4 of 8 frames: left out"
    assert sampled.numbers.tolist() == [1, 3, 4, 5]
    assert np.allclose(sampled.boxes[:, 0], [24, 32, 36, 40], atol=1)
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


@pytest.mark.parametrize("shape", [(1080, 1920), (225, 223), (100, 30)])
def test_resize_is_within_one_grey_level_of_pil(shape):
    frame = picture(*shape)
    ours = resize_frame(frame).permute(1, 2, 0).numpy()
    image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    reference = image.resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(ours, np.asarray(reference, int), rtol=0, atol=1)


# --- The frames that are named are those that are shown ---


def write_walk(path: Path, missing=()) -> Path:
    """A square that walks on by 6 pixels a frame, on a ground that changes, 24 frames."""
    places = [None if i in missing else (8 + 6 * i, 16) for i in range(24)]
    return write_squares(path, places, size=(240, 60), side=24)


def test_whole_frames_are_those_that_are_named(tmp_path):
    path = write_walk(tmp_path / "a.mp4")
    expected = decode(path)
    sampled = sample_video(path, Sampling(5), keep_whole=True)
    assert sampled.numbers.tolist() == sample_frame_numbers(24, 5)
    assert sampled.frames.shape == (5, 3, 224, 224)
    assert sampled.frames.dtype == torch.uint8
    kept = zip(sampled.frames, sampled.whole, sampled.numbers, strict=True)
    for frame, shown, number in kept:
        assert torch.equal(frame, resize_frame(expected[number]))
        assert np.array_equal(shown[..., ::-1], shrink(expected[number], 480))
    assert sampled.boxes is None and "face_share" not in sampled.facts
    assert sample_video(path, Sampling(5)).whole == []


@pytest.mark.parametrize("missing", [(), (2, 16)])
def test_crops_and_boxes_are_those_of_the_frames_that_are_named(detector, tmp_path, missing):
    path = write_walk(tmp_path / "a.mp4", missing)
    expected = decode(path)
    sampled = sample_video(path, crop_faces(5), keep_whole=True)
    numbers = sampled.numbers.tolist()
    assert numbers == [k for k in (2, 7, 12, 16, 21) if k not in missing]
    assert np.allclose(sampled.boxes[:, 0], [8 + 6 * number for number in numbers], atol=2.5)
    kept = zip(sampled.frames, sampled.boxes, sampled.whole, numbers, strict=True)
    for crop, box, shown, number in kept:
        assert torch.equal(crop, resize_frame(crop_square(expected[number], box, 1.5)))
        assert np.array_equal(shown[..., ::-1], shrink(expected[number], 480))
