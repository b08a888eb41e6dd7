"""Videos made of images: folders of frames, frames loose among others, photos."""

import os
import shutil
import zlib
from struct import pack

import cv2
import numpy as np
import pytest
import torch
from conftest import (
    encode,
    extract,
    read_table,
    small_backbone,
    touch,
    train,
    write_squares,
)

import deepfake_detection_model as ddm
from data.decode import read_frames
from data.files import InputError, fingerprint
from data.frames import Sampling, sample_video
from data.images import file_key, find_fingerprint, list_images, read_image
from features.resnet18 import extract_video


def draw_frame(seed: int, i: int, size=(32, 24)) -> np.ndarray:
    """(h, w, 3) uint8 BGR: smooth noise that moves a little from frame to frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.roll(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), i, axis=1)


def write_frames(
    folder, seed: int, n: int = 6, name="{:04d}.png", first: int = 0, size=(32, 24)
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        cv2.imwrite(str(folder / name.format(first + i)), draw_frame(seed, i, size))


# --- Which images are a video, in which order ---


def test_numbers_in_names_count(tmp_path):
    names = ["1.jpg", "2.png", "2.5.png", "b3.png", "10.png", "a12.PNG"]
    touch(tmp_path, *reversed(names), ".hidden.png", "notes.txt", "5.png/x")
    assert list_images(tmp_path) == (tmp_path, names)


def test_frames_that_lie_among_others_are_told_by_a_template(tmp_path):
    write_frames(tmp_path, seed=0, n=12, name="000_003_{}.png", first=1)
    write_frames(tmp_path, seed=1, n=2, name="000_{:03d}.png")
    write_frames(tmp_path, seed=2, n=1, name="clip_%03d-{}.png")
    sampled = read_frames(tmp_path / "000_003_{frame}", 12)
    for i, frame in enumerate(sampled.frames):
        assert np.array_equal(frame[..., ::-1], draw_frame(0, i))
    assert read_frames(tmp_path / "000_003_{frame}", 3, step=5).numbers.tolist() == [0, 5, 10]
    assert list_images(tmp_path / "000_{frame}") == (tmp_path, ["000_000.png", "000_001.png"])
    assert list_images(tmp_path / "clip_%03d-{frame}") == (tmp_path, ["clip_%03d-0.png"])
    with pytest.raises(InputError, match="no images in it"):
        read_frames(tmp_path / "004_{frame}", 3)


def test_frames_are_spread_evenly_and_an_unreadable_one_shifts_no_other(tmp_path):
    folder = tmp_path / "v"
    write_frames(folder, seed=0, n=27)
    (folder / "0004.png").write_bytes(b"no picture")
    (folder / "0013.png").unlink()
    (folder / "0013.png").symlink_to(tmp_path / "gone.png")
    sampled = read_frames(folder, 9)
    assert sampled.numbers.tolist() == [1, 7, 10, 16, 19, 22, 25]  # each third, but for 4 and 13
    for number, frame in zip(sampled.numbers, sampled.frames, strict=True):
        assert np.array_equal(frame[..., ::-1], draw_frame(0, number))
    sizes = [path.stat().st_size for path in folder.iterdir() if path.exists()]
    assert sampled.facts == {
        "frames": 27,
        "width": 32,
        "height": 24,
        "fps": "",
        "duration": "",
        "size": sum(sizes),
        "note": "2 of 9 images cannot be read, 0004.png for one",
        "fingerprint": find_fingerprint(folder),
    }
    assert file_key(folder)["size"] == sum(sizes)


def test_a_fingerprint_is_of_the_size_of_each_image_and_of_both_ends(tmp_path):
    folder = tmp_path / "v"
    write_frames(folder, seed=0)
    marks = [find_fingerprint(folder), find_fingerprint(shutil.copytree(folder, tmp_path / "w"))]
    for name in ("0000.png", "0005.png"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + b"x")
        marks.append(find_fingerprint(folder))
    for name, size in (("0002.png", 1), ("0003.png", 2), ("0003.png", 1), ("0002.png", 2)):
        (folder / name).write_bytes(bytes(size))
        marks.append(find_fingerprint(folder))
    assert marks[0] == marks[1] and len(set(marks)) == 7  # also of sizes 1, 2 and 2, 1
    assert find_fingerprint(folder / "0000.png") == fingerprint(folder / "0000.png")


def test_frames_of_a_lossless_video_are_its_frames_and_give_its_features(tmp_path):
    frames = [draw_frame(3, i, (64, 48)) for i in range(20)]
    encode(tmp_path / "v.avi", frames, "FFV1")
    write_frames(tmp_path / "frames", 3, n=20, name="{}.png", size=(64, 48))
    backbone, _ = small_backbone()
    of_video, one = extract_video(tmp_path / "v.avi", backbone, Sampling(7))
    of_frames, other = extract_video(tmp_path / "frames", backbone, Sampling(7))
    assert one.numbers.tolist() == other.numbers.tolist()
    assert torch.equal(one.frames, other.frames)
    np.testing.assert_allclose(of_video, of_frames, atol=1e-5)


# --- What an image looks like ---


def to_bytes(image: np.ndarray, ending: str) -> bytes:
    ok, data = cv2.imencode(ending, image)
    assert ok
    return data.tobytes()


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that holds this orientation alone."""
    entry = pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0MM" + pack(">HIH", 42, 8, 1) + entry
    return jpeg[:2] + pack(">HH", 0xFFE1, len(exif) + 2) + exif + jpeg[2:]


def with_clear_colour(frame: np.ndarray, colour: np.ndarray) -> bytes:
    """A PNG of three channels in which one BGR colour is transparent: a chunk after its header."""
    blue, green, red = colour.tolist()
    chunk = b"tRNS" + pack(">HHH", red, green, blue)
    png = to_bytes(frame, ".png")
    return png[:33] + pack(">I", 6) + chunk + pack(">I", zlib.crc32(chunk)) + png[33:]


def test_grey_deep_and_transparent_images_come_out_as_one_sees_them(tmp_path):
    frame = draw_frame(5, 0)
    grey, opaque = frame[..., 0], np.full(frame.shape[:2], 255, np.uint8)
    clear, half = np.dstack([frame, opaque]), np.dstack([frame, opaque // 5])
    clear[:12, :, 3] = 0
    on_white = np.vstack([np.full_like(frame[:12], 255), frame[12:]])
    faint = (frame / 5 + 255 * 4 / 5).round().astype(np.uint8)
    one_white = frame.copy()
    one_white[(frame == frame[0, 0]).all(2)] = 255

    def deep(image):
        return image.astype(np.uint16) * 257

    cases = [  # image, ending, as one sees it
        (grey, ".png", np.dstack([grey] * 3)),
        (deep(grey), ".png", np.dstack([grey] * 3)),
        (deep(frame), ".png", frame),
        (deep(frame), ".tif", frame),
        (clear, ".png", on_white),
        (clear, ".tif", on_white),
        (half, ".tif", faint),
        (deep(half), ".png", faint),
        (frame, ".bmp", frame),
        (frame[:1, :1], ".png", frame[:1, :1]),
    ]
    for image, ending, expected in cases:
        (tmp_path / "x.png").write_bytes(to_bytes(image, ending))  # the ending may be wrong
        assert np.array_equal(read_image(tmp_path / "x.png"), expected), (image.shape, ending)
    (tmp_path / "x.png").write_bytes(with_clear_colour(frame, frame[0, 0]))
    assert np.array_equal(read_image(tmp_path / "x.png"), one_white)


def test_images_are_turned_as_exif_says(tmp_path):
    jpeg = to_bytes(draw_frame(5, 0), ".jpg")
    upright = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    turned = upright.transpose(1, 0, 2)
    expected = [upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]]
    expected += [turned, turned[:, ::-1], turned[::-1, ::-1], turned[::-1]]
    for orientation, image in enumerate(expected, 1):
        (tmp_path / "x.jpg").write_bytes(with_exif(jpeg, orientation))
        assert np.array_equal(read_image(tmp_path / "x.jpg"), image), orientation


def test_damaged_and_odd_files_are_read_or_named(tmp_path):
    frame = draw_frame(0, 0)
    png, jpeg = to_bytes(frame, ".png"), to_bytes(frame, ".jpg")
    fine = {
        "upper.JPG": jpeg,
        "tail.png": png + bytes(100),
        "png_as.jpeg": png,
        "photo.webp": to_bytes(frame, ".webp"),
        "many.tif": cv2.imencodemulti(".tif", [frame, frame])[1].tobytes(),
        "name with %03d and é.png": png,
    }
    broken = {
        "empty.png": b"",
        "text.png": b"not a picture",
        "head.jpg": jpeg[:20],
        "video.jpg": write_squares(tmp_path / "v.mp4", [None] * 3).read_bytes(),
        "huge.png": png[:16] + b"\x7f\xff\xff\xff" * 2 + png[24:],  # OpenCV refuses the size
    }
    for name, data in (fine | broken).items():
        (tmp_path / name).write_bytes(data)
    for name in fine:
        shown = read_frames(tmp_path / name, 1).frames[0]
        np.testing.assert_allclose(shown[..., ::-1].mean((0, 1)), frame.mean((0, 1)), atol=5)
    for name in broken:
        with pytest.raises(InputError, match=r"^cannot be read as an image$"):
            read_frames(tmp_path / name, 1)


# --- From extraction to prediction ---


def test_photos_are_videos_of_one_frame(tmp_path, quick_backbone, capsys):
    root, words = tmp_path / "photos", ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
    for i, word in enumerate(words):
        write_frames(root / "real", seed=10 * i, n=1, name=f"{word}.png")
        write_frames(root / "fake", seed=10 * i + 1, n=1, name=f"{word}.png")
    extract(root, tmp_path / "features")
    assert len(np.load(tmp_path / "features/train_features.npy")) == 16
    train(tmp_path, "--batch-size", "4")
    flags = ["--checkpoint", str(tmp_path / "results/model.pt"), "--device", "cpu"]
    ddm.main([*flags, "--predict", str(root / "real/ant.png"), "--plot"])
    (row,) = read_table(tmp_path / "results/predict_ant.csv")
    assert row["frames"] == "1" and (tmp_path / "results" / row["picture"]).is_file()
    for number, word in enumerate(words):
        (root / f"real/{word}.png").rename(root / f"real/IMG_{number}.png")
    capsys.readouterr()
    ddm.main([*flags, "--predict", str(root)])
    lines = capsys.readouterr().out.splitlines()
    assert f"{root}: each loose image is read as a video of one frame (videos: 16)" in lines


def test_a_face_is_followed_through_frames_of_different_size(tmp_path, detector):
    """The face is in one place of the scene; every second frame has half the size."""
    for i in range(8):
        frame = np.full((240, 320, 3), 128, np.uint8)
        if i != 3:
            cv2.rectangle(frame, (200, 60, 80, 80), (0, 0, 255), -1)
        if i % 2:
            frame = cv2.resize(frame, (160, 120), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"{i}.png"), frame)
    (tmp_path / "8.png").write_bytes(b"")
    sampled = sample_video(tmp_path, Sampling(9, face_margin=1))
    assert sampled.facts["face_share"] == 0.875
    unreadable = "1 of 9 images cannot be read, 8.png for one"
    assert sampled.facts["note"] == f"{unreadable}; face missing in 1 of 8 frames: left out"
    assert sampled.numbers.tolist() == [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_allclose(sampled.boxes, [[200, 60, 80, 80]] * 7, atol=2)
    for crop in sampled.frames:
        red, green, _ = crop.float().mean((1, 2))
        assert red > 240 and green < 12


def test_the_key_of_a_folder_of_frames_changes_with_any_of_its_files(tmp_path):
    write_frames(tmp_path, seed=0)
    keys = [file_key(tmp_path), file_key(tmp_path)]
    os.utime(tmp_path / "0003.png", (1, 1))
    keys.append(file_key(tmp_path))
    (tmp_path / "0005.png").unlink()
    keys.append(file_key(tmp_path))
    assert keys[0] == keys[1] and len({key["images"] for key in keys}) == 3
