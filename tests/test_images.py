"""Videos made of images: folders of frames, frames loose among others, photos."""

import errno
import os
import shutil
import time
import zlib

import cv2
import numpy as np
import pytest
import torch
from conftest import extract, read_json, read_table, small_backbone, train, write_squares

import deepfake_detection_model as ddm
from data.decode import read_frames
from data.files import InputError, fingerprint
from data.frames import Sampling, sample_video
from data.images import file_key, find_fingerprint, list_images, read_image
from data.layouts import find_videos
from features.resnet18 import extract_video


def draw_frame(seed: int, i: int, size=(32, 24)) -> np.ndarray:
    """(h, w, 3) uint8 BGR: smooth noise that moves a little from frame to frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.roll(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), i, axis=1)


def write_frames(folder, seed: int, n: int = 6, name="{:04d}.png", first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        cv2.imwrite(str(folder / name.format(first + i)), draw_frame(seed, i))


# --- Which images are a video, in which order ---


def test_numbers_in_names_count(tmp_path):
    names = ["1.jpg", "2.png", "2.5.png", "a²3.png", "b3.png", "10.png", "a12.PNG"]
    for name in [*reversed(names), ".hidden.png", "notes.txt"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "5.png").mkdir()
    assert list_images(tmp_path) == (tmp_path, names)


def test_frames_that_lie_among_others_are_told_by_a_template(tmp_path):
    write_frames(tmp_path, seed=0, n=12, name="000_003_{}.png", first=1)
    write_frames(tmp_path, seed=1, n=3, name="000_{:03d}.png")
    write_frames(tmp_path, seed=2, n=2, name="clip_%03d-{}.png")
    sampled = read_frames(tmp_path / "000_003_{frame}", 12)
    for i, frame in enumerate(sampled.frames):
        assert np.array_equal(frame[..., ::-1], draw_frame(0, i))
    assert read_frames(tmp_path / "000_003_{frame}", 3, step=5).numbers.tolist() == [0, 5, 10]
    for template, names in (
        ("000_{frame}", [f"000_{i:03d}.png" for i in range(3)]),
        ("clip_%03d-{frame}", ["clip_%03d-0.png", "clip_%03d-1.png"]),
    ):
        assert list_images(tmp_path / template) == (tmp_path, names)
    for name, reason in (("004", "no such file"), ("004_{frame}", "no images in it")):
        with pytest.raises(InputError, match=reason):
            read_frames(tmp_path / name, 3)


def test_frames_are_spread_evenly_and_an_unreadable_one_shifts_no_other(tmp_path):
    write_frames(tmp_path / "v", seed=0, n=27)
    (tmp_path / "v" / "0004.png").write_bytes(b"no picture")
    png = (tmp_path / "v" / "0013.png").read_bytes()  # of a size that OpenCV refuses
    (tmp_path / "v" / "0013.png").write_bytes(png[:16] + b"\x7f\xff\xff\xff" * 2 + png[24:])
    sampled = read_frames(tmp_path / "v", 9)
    assert sampled.numbers.tolist() == [1, 7, 10, 16, 19, 22, 25]  # each third, but for 4 and 13
    for number, frame in zip(sampled.numbers, sampled.frames, strict=True):
        assert np.array_equal(frame[..., ::-1], draw_frame(0, number))
    assert repr(sampled) == "<SampledVideo: 7 of 27 frames>"
    expected = {"frames": 27, "width": 32, "height": 24, "fps": "", "duration": ""}
    expected["size"] = sum(path.stat().st_size for path in (tmp_path / "v").iterdir())
    expected["note"] = "2 of 9 images cannot be read, 0004.png for one"
    expected["fingerprint"] = find_fingerprint(tmp_path / "v")
    assert sampled.facts == expected


def test_a_fingerprint_is_that_of_the_content_alone(tmp_path):
    """Of one image that of the file; of several, of the size of each and of both ends."""
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
    assert marks[0] == marks[1] and len(set(marks)) == len(marks) - 1  # 1 + 2 bytes, 2 + 1 bytes
    assert find_fingerprint(folder / "0000.png") == fingerprint(folder / "0000.png")


def test_frames_of_a_lossless_video_are_its_frames_and_give_its_features(tmp_path):
    fourcc = cv2.VideoWriter_fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), fourcc, 25, (64, 48))
    (tmp_path / "frames").mkdir()
    for i in range(20):
        frame = draw_frame(3, i, (64, 48))
        writer.write(frame)
        cv2.imwrite(str(tmp_path / f"frames/{i}.png"), frame)
    writer.release()
    backbone, _ = small_backbone()
    of_video, one = extract_video(tmp_path / "v.avi", backbone, Sampling(7))
    of_frames, other = extract_video(tmp_path / "frames", backbone, Sampling(7))
    assert one.numbers.tolist() == other.numbers.tolist()
    assert torch.equal(one.frames, other.frames)
    np.testing.assert_allclose(of_video, of_frames, atol=1e-5)


def test_frames_are_listed_and_not_looked_at(tmp_path):
    """30,000 in a second of the CPU at least: by the walk, and all names of each in order."""
    for i in range(10):
        folder = tmp_path / ("real", "fake")[i % 2] / f"{i}"
        folder.mkdir(parents=True)
        for j in range(300):
            (folder / f"frame_{j}.png").touch()
    spent = []
    for _ in range(3):
        start = time.process_time()
        videos = find_videos(tmp_path)
        assert [len(list_images(video.path)[1]) for video in videos] == [300] * 10
        spent.append(time.process_time() - start)
    assert min(spent) < 0.1, spent


def test_a_broken_link_is_an_unreadable_frame(tmp_path):
    write_frames(tmp_path / "v", seed=0, n=4)
    (tmp_path / "v" / "0000.png").unlink()
    (tmp_path / "v" / "0000.png").symlink_to(tmp_path / "gone.png")
    sampled = read_frames(tmp_path / "v", 4)
    assert sampled.numbers.tolist() == [1, 2, 3]
    assert sampled.facts["note"] == "1 of 4 images cannot be read, 0000.png for one"
    assert sampled.facts["frames"] == 4
    assert file_key(tmp_path / "v") == file_key(tmp_path / "v")
    with pytest.raises(InputError, match=r"^a broken link$"):
        read_frames(tmp_path / "v" / "0000.png", 1)


def test_a_video_of_empty_images_has_a_key_and_a_reason(tmp_path):
    for i in range(3):
        (tmp_path / f"talk_{i}.png").touch()
    assert file_key(tmp_path / "talk_{frame}")["size"] == 0
    with pytest.raises(InputError, match="3 of 3 images cannot be read, talk_0"):
        read_frames(tmp_path / "talk_{frame}", 3)
    with pytest.raises(FileNotFoundError):
        file_key(tmp_path / "other")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOMEM, ""), cv2.error("Insufficient memory"), MemoryError()]
)
def test_where_memory_runs_out_no_image_is_blamed(tmp_path, monkeypatch, error):
    write_frames(tmp_path / "v", seed=0, n=2)

    def read(path):
        raise error

    monkeypatch.setattr("data.decode.read_image", read)
    with pytest.raises(MemoryError, match=r"no memory left to decode .*v: decode fewer at once"):
        read_frames(tmp_path / "v", 2)


# --- What an image looks like ---


def encode(image: np.ndarray, ending: str) -> bytes:
    ok, data = cv2.imencode(ending, image)
    assert ok
    return data.tobytes()


def exif_block(orientation: int) -> bytes:
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation]) + b"\x00\x00"
    return b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that holds this orientation alone."""
    exif = b"Exif\x00\x00" + exif_block(orientation)
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def with_chunk(png: bytes, chunk: bytes) -> bytes:
    """The PNG with one more chunk, name and content, behind its header."""
    length = len(chunk) - 4
    whole = length.to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return png[:33] + whole + png[33:]


def with_clear_colour(frame: np.ndarray, colour: np.ndarray) -> bytes:
    """A PNG of three channels in which one BGR colour is transparent."""
    blue, green, red = colour.tolist()
    return with_chunk(encode(frame, ".png"), b"tRNS" + bytes([0, red, 0, green, 0, blue]))


def test_grey_deep_transparent_and_turned_images_come_out_as_one_sees_them(tmp_path):
    frame = draw_frame(5, 0)
    grey = frame[..., 0]
    clear = np.dstack([frame, np.full(grey.shape, 255, np.uint8)])
    clear[:12, :, 3] = 0
    on_white = frame.copy()
    on_white[:12] = 255
    half = np.dstack([frame, np.full(grey.shape, 51, np.uint8)])  # a fifth of it is seen
    faint = (frame / 5 + 255 * 4 / 5).round().astype(np.uint8)
    one_white = frame.copy()
    one_white[(frame == frame[0, 0]).all(2)] = 255
    cases = {
        "grey.png": (encode(grey, ".png"), np.dstack([grey] * 3)),
        "deep.png": (encode(frame.astype(np.uint16) << 8, ".png"), frame),
        "deep.tif": (encode(frame.astype(np.uint16) * 257, ".tif"), frame),
        "deep_grey.png": (encode(grey.astype(np.uint16) << 8, ".png"), np.dstack([grey] * 3)),
        "clear.png": (encode(clear, ".png"), on_white),
        "clear.tif": (encode(clear, ".tif"), on_white),
        "deep_half.png": (encode(half.astype(np.uint16) * 257, ".png"), faint),
        "half.png": (encode(half, ".png"), faint),
        "half.tif": (encode(half, ".tif"), faint),
        "one_colour_clear.png": (with_clear_colour(frame, frame[0, 0]), one_white),
        "turned.png": (
            with_chunk(encode(frame, ".png"), b"eXIf" + exif_block(6)),
            np.rot90(frame, -1),
        ),
        "plain.bmp": (encode(frame, ".bmp"), frame),
        "wrong_ending.png": (encode(frame, ".bmp"), frame),
        "one.png": (encode(frame[:1, :1], ".png"), frame[:1, :1]),
    }
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(read_image(tmp_path / name), expected), name
    jpeg = encode(frame, ".jpg")
    upright = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, -1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright),
    }
    for orientation, expected in turns.items():
        (tmp_path / "turned.jpg").write_bytes(with_orientation(jpeg, orientation))
        assert np.array_equal(read_image(tmp_path / "turned.jpg"), expected), orientation


def test_damaged_and_odd_files_are_read_or_named(tmp_path):
    frame = draw_frame(0, 0)
    png, jpeg, bmp = (encode(frame, ending) for ending in (".png", ".jpg", ".bmp"))
    fine = {
        "upper.JPG": jpeg,
        "tail.png": png + bytes(100),
        "bmp_as.png": bmp,
        "png_as.jpeg": png,
        "photo.webp": encode(frame, ".webp"),
        "many.tif": cv2.imencodemulti(".tif", [frame, frame])[1].tobytes(),
        "name with % and é.png": png,
    }
    broken = {
        "empty.png": b"",
        "text.png": b"not a picture",
        "head.jpg": jpeg[:20],
        "head.png": png[:8],
        "video.jpg": write_squares(tmp_path / "v.mp4", [None] * 3).read_bytes(),
        "noise.webp": b"RIFF\x10\x00\x00\x00WEBP" + bytes(range(50)),
        "header.bmp": bmp[:60],
        "huge.png": png[:16] + b"\x7f\xff\xff\xff" * 2 + png[24:],
    }
    for name, data in (fine | broken).items():
        (tmp_path / name).write_bytes(data)
    for name in fine:
        shown = read_frames(tmp_path / name, 1).frames[0]
        assert shown.shape == frame.shape and np.abs(shown[..., ::-1] - frame * 1.0).mean() < 9
    for name in broken:
        with pytest.raises(InputError, match=r"^cannot be read as an image$"):
            read_frames(tmp_path / name, 1)


# --- From extraction to prediction ---


def test_a_set_of_frames_runs_from_extraction_to_training(tmp_path, quick_backbone):
    """What other trees of frames are taken for is held in test_layouts.py."""
    root = tmp_path / "set"
    fakes = root / "manipulated_sequences/Deepfakes/c23"
    for i in range(8):
        write_frames(root / f"original_sequences/youtube/c23/frames/{i:03d}", seed=10 * i)
        write_frames(fakes / f"frames/{i:03d}_{i ^ 1:03d}", seed=10 * i + 1)
    write_frames(fakes / "masks/000_001", seed=99)
    extract(root, tmp_path / "features")
    rows = read_table(tmp_path / "features" / "train_videos.csv")
    assert [row["label"] for row in rows] == ["1"] * 8 + ["0"] * 8
    counts = read_json(tmp_path / "features" / "extraction.json")["counts"]
    assert counts["used"] == 16 and counts["left_out"] == 1
    features = np.load(tmp_path / "features" / "train_features.npy")
    expected, _ = extract_video(root / rows[3]["video"], small_backbone()[0], Sampling(4))
    assert np.array_equal(features[12:16], expected)
    report = train(tmp_path)
    assert report["split"]["shared"]["train-val"] == {"videos": 0, "people": 0, "clips": 0}


def test_photos_are_videos_of_one_frame(tmp_path, quick_backbone, capsys):
    root = tmp_path / "photos"
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
        for i, word in enumerate(["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]):
            frame = draw_frame(10 * i + (label == "fake"), 0)
            cv2.imwrite(str(root / label / f"{word}.png"), frame)
    extract(root, tmp_path / "features")
    assert len(np.load(tmp_path / "features" / "train_features.npy")) == 16
    train(tmp_path, "--batch-size", "4")
    flags = ["--checkpoint", str(tmp_path / "results/model.pt"), "--device", "cpu"]
    ddm.main([*flags, "--predict", str(root / "real/ant.png"), "--plot"])
    (row,) = read_table(tmp_path / "results" / "predict_ant.csv")
    assert row["frames"] == "1" and (tmp_path / "results" / row["picture"]).is_file()
    capsys.readouterr()
    for number, photo in enumerate(sorted((root / "real").iterdir())):
        photo.rename(photo.with_name(f"IMG_{number}.png"))
    ddm.main([*flags, "--predict", str(root)])
    lines = capsys.readouterr().out.splitlines()
    assert f"{root}: each loose image is read as a video of one frame (videos: 16)" in lines


def test_faces_are_cropped_in_frames_as_in_the_video_whose_frames_they_are(tmp_path, detector):
    folder = tmp_path / "frames"
    folder.mkdir()
    video = write_squares(tmp_path / "v.mp4", [(10 * i, 30) for i in range(8)])
    for number, frame in enumerate(read_frames(video, 8).frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])
    sampling = Sampling(4, face_margin=1.3)
    of_video = sample_video(video, sampling)
    of_frames = sample_video(folder, sampling)
    assert torch.equal(of_frames.frames, of_video.frames)
    assert np.array_equal(of_frames.boxes, of_video.boxes)
    assert of_frames.facts["face_share"] == 1


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


@pytest.mark.skipif(os.name != "posix", reason="names are Unicode there, and there are no pipes")
def test_odd_names_and_pipes_among_frames_do_not_stop_a_run(tmp_path):
    write_frames(tmp_path / "v", seed=0, n=3)
    os.mkfifo(tmp_path / "v" / "0003.png")
    (tmp_path / "v" / os.fsdecode(b"0004\xff\n.png")).write_bytes(b"")
    assert file_key(tmp_path / "v") == file_key(tmp_path / "v")
    sampled = read_frames(tmp_path / "v", 5)
    assert sampled.numbers.tolist() == [0, 1, 2]
    (tmp_path / "v" / "0003.png").unlink()
    note = read_frames(tmp_path / "v", 4).facts["note"]
    assert note == "1 of 4 images cannot be read, 0004\\udcff\\n.png for one"


def test_the_key_of_a_folder_of_frames_changes_with_any_of_its_files(tmp_path):
    folder = tmp_path / "v"
    write_frames(folder, seed=0)
    keys = [file_key(folder), file_key(folder)]
    os.utime(folder / "0003.png", (1, 1))
    keys.append(file_key(folder))
    (folder / "0005.png").unlink()
    keys.append(file_key(folder))
    assert keys[0] == keys[1] and len({key["images"] for key in keys[1:]}) == 3
    assert keys[3]["size"] == sum(path.stat().st_size for path in folder.iterdir())
