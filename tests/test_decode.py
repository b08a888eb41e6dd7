import os
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from conftest import Capture, decode, encode, write_video

from data.decode import ONE_PICTURE, Packets, read_frames, sample_frame_numbers
from data.files import InputError, fingerprint

# The same six frames of 64 x 48 in each clip, made with FFmpeg 5.1:
#   ffmpeg -bitexact -f lavfi -i testsrc2=s=64x48:r=5:d=1.2 -pix_fmt yuv420p -flags +bitexact
# and then for progressive.264
#   -c:v libx264 -crf 8
# for ycgco.mp4
#   -c:v libx264 -crf 8 -colorspace ycgco
# for interlaced.264 and interlaced.mp4
#   -vf setfield=tff -flags +ilme+ildct+bitexact -c:v libx264 -crf 8 -x264-params tff=1
# for interlaced.m2v
#   -vf settb=1/25,setpts=N,setfield=tff -flags +ilme+ildct+bitexact -c:v mpeg2video -q:v 2 -r 25
CLIPS = Path(__file__).parent / "clips"


def write_numbered_video(path, n):
    """A video in which each frame is unlike all others; mp4v has a key frame every 12 frames."""
    noise = np.random.default_rng(0).integers(0, 256, (n, 4, 6, 3), np.uint8)
    return encode(path, [cv2.resize(each, (96, 64)) for each in noise])


def grey(level):
    return np.full((48, 64, 3), level, np.uint8)


def levels_of(sampled):
    """Which frame of write_video each frame shows, by its grey level."""
    return [round((frame.mean() - 20) / 7) for frame in sampled.frames]


class SpyingCapture(Capture):
    """Seeks are counted and, if `lands_on` is set, go there instead."""

    seeks, lands_on = 0, None

    def set(self, name, value):
        if name == cv2.CAP_PROP_POS_FRAMES:
            SpyingCapture.seeks += value > 0
            value = value if self.lands_on is None else self.lands_on
        return self.capture.set(name, value)


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", SpyingCapture)
    monkeypatch.setattr(SpyingCapture, "seeks", 0)
    monkeypatch.setattr(SpyingCapture, "lands_on", None)
    return SpyingCapture


def test_sample_frame_numbers():
    assert sample_frame_numbers(10, 5) == [1, 3, 5, 7, 9]
    assert sample_frame_numbers(9, 1) == [4]
    assert sample_frame_numbers(3, 5) == [0, 1, 2]
    assert sample_frame_numbers(0, 5) == sample_frame_numbers(-7, 5) == []
    assert sample_frame_numbers(0, 5, step=10) == []
    assert sample_frame_numbers(100, 3, step=10) == [0, 10, 20]
    assert sample_frame_numbers(21, 32, step=10) == [0, 10, 20]
    assert sample_frame_numbers(20, 32, step=10) == sample_frame_numbers(11, 2, step=10) == [0, 10]
    for total in range(1, 80):
        for n in range(1, 40):
            numbers = sample_frame_numbers(total, n)
            assert len(numbers) == min(n, total)
            assert numbers == sorted(set(numbers))
            for i, number in enumerate(numbers):  # the frame that holds the middle of its share
                assert number <= (i + 0.5) * total / len(numbers) < number + 1


@pytest.mark.parametrize(
    "name",
    ["clip.mp4", "clip.avi", "-%03d 深度 'x'.MP4", "4.05\u202fPM\u3000\xa0👩\u200d💻\xad.mp4"],
)
def test_read_frames_gives_the_frames_it_names(tmp_path, name):
    path = write_video(tmp_path / name, n=30, size=(66, 48), fps=12.5)
    sampled = read_frames(path, 7)
    assert sampled.numbers.tolist() == sample_frame_numbers(30, 7)
    expected = {"frames": 30, "width": 66, "height": 48, "fps": 12.5, "duration": 2.4, "note": ""}
    expected |= {"size": path.stat().st_size, "fingerprint": fingerprint(path)}
    assert sampled.facts == expected
    assert levels_of(sampled) == sampled.numbers.tolist()
    assert all(frame.shape == (48, 66, 3) and frame.dtype == np.uint8 for frame in sampled.frames)
    assert read_frames(path, 100).numbers.tolist() == list(range(30))
    assert read_frames(write_video(tmp_path / "two.mp4", n=2), 32).numbers.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_every_nth_frame_is_taken_and_frame_0_alone_of_a_short_video(tmp_path, name):
    path = write_video(tmp_path / name, n=30)
    for n, step, numbers in (
        (4, 7, [0, 7, 14, 21]),
        (9, 7, [0, 7, 14, 21, 28]),
        (3, 1, [0, 1, 2]),
        (5, 99, [0]),
        (1, 7, [0]),
    ):
        sampled = read_frames(path, n, step=step)
        assert sampled.numbers.tolist() == levels_of(sampled) == numbers
        assert (sampled.facts["frames"], sampled.facts["note"]) == (30, "")


def claim(path, n):
    """The AVI, which now says that it has n frames."""
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        start = data.index(tag) + offset
        data[start : start + 4] = n.to_bytes(4, "little")
    data[data.rindex(b"idx1") :] = b""  # the index would give the count away
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("claimed", [0, 3, 31, 100_000])
def test_a_wrong_count_in_the_header_does_not_move_the_frames(tmp_path, claimed):
    path = claim(write_video(tmp_path / "clip.avi", n=30), claimed)
    sampled = read_frames(path, 5)
    assert sampled.facts["frames"] == 30
    assert sampled.facts["note"].startswith(f"30 of {claimed} frames") == (claimed > 30)
    assert sampled.numbers.tolist() == [3, 9, 15, 21, 27]
    assert levels_of(sampled) == [3, 9, 15, 21, 27]


def write_corners(path, matrix):
    """The picture of a video whose corners differ, with a matrix (a, b, c, d) for players."""
    picture, frames = grey(128), []
    picture[:16, :16], picture[:16, -16:], picture[-16:, :16] = (0, 0, 255), (0, 128, 255), 255
    for level in (120, 128, 136, 144):  # a still would not be used
        picture[20:28, 24:40] = level
        frames.append(picture.copy())
    encode(path, frames)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    values = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
    return picture


TURNED = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORED = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]  # as by some front cameras


@pytest.mark.parametrize("matrix", TURNED + MIRRORED)
def test_a_video_is_upright_as_players_show_it(tmp_path, matrix):
    """A pixel at (x, y) of the file is shown at (a x + c y, b x + d y), but for a shift."""
    picture = write_corners(tmp_path / "clip.mp4", matrix)
    a, b, c, d = matrix
    expected = picture[::d, ::a] if a else picture.transpose(1, 0, 2)[::b, ::c]
    sampled = read_frames(tmp_path / "clip.mp4", 2, np.copy)
    assert (sampled.facts["height"], sampled.facts["width"]) == expected.shape[:2]
    for frame in sampled.frames:
        assert np.abs(frame.astype(int) - expected).mean() < 6


# --- Frames that FFmpeg refuses to convert ---


@pytest.mark.parametrize("n", [1, 2, 100])
@pytest.mark.parametrize(
    "name", ["interlaced.264", "interlaced.mp4", "interlaced.m2v", "ycgco.mp4"]
)
def test_video_that_cannot_be_converted_is_true_or_refused(name, n):
    source = decode(CLIPS / "progressive.264")
    try:
        sampled = read_frames(CLIPS / name, n, np.copy)
    except InputError as error:
        assert str(error) == ONE_PICTURE
        return
    # without frame 0 where the decoder cannot return to it
    assert sampled.numbers.tolist() in (sample_frame_numbers(6, n), [1, 2, 3, 4, 5])
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        difference = np.abs(frame.astype(int) - source[number]).mean()
        assert difference < (2 if name.endswith("m2v") else 0.3), number


class StaleCapture(Capture):
    """It converts only some frames, and gives its buffer for the others."""

    converts: ClassVar = ()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.number, self.buffer = -1, np.full((48, 64, 3), 77, np.uint8)

    def grab(self):
        self.number += 1
        return self.capture.grab()

    def set(self, name, value):
        self.number = value - 1 if name == cv2.CAP_PROP_POS_FRAMES else self.number
        return self.capture.set(name, value)

    def retrieve(self):
        ok, frame = self.capture.retrieve()
        if self.number in StaleCapture.converts:
            self.buffer = frame
        return ok, self.buffer.copy()


@pytest.mark.parametrize(
    ("n", "converts", "expected"),
    [
        (12, range(12), [*range(12)]),  # the first one is converted again, at the end
        (1, [], None),
        (4, [0, 1, 7, 10], [1, 7, 10]),
        (4, range(2, 12), [4, 7, 10]),
        (12, range(1, 12), [*range(1, 12)]),
        (12, [0], None),
    ],
)
@pytest.mark.parametrize("tell_frames", [True, False])
def test_a_frame_that_was_not_converted_is_left_out(
    tmp_path, monkeypatch, n, converts, expected, tell_frames
):
    path = write_video(tmp_path / "clip.mp4", n=12)
    monkeypatch.setattr(cv2, "VideoCapture", StaleCapture)
    monkeypatch.setattr(StaleCapture, "converts", converts)
    if not tell_frames:
        monkeypatch.setattr(Packets, "tell_frames", False)
    if expected is None:
        with pytest.raises(InputError, match=f"^{re.escape(ONE_PICTURE)}$"):
            read_frames(path, n)
        return
    sampled = read_frames(path, n)
    assert sampled.numbers.tolist() == expected
    assert levels_of(sampled) == expected
    note = f"{n - len(expected)} of {n} frames left out: repeated or unproven pictures"
    assert sampled.facts["note"] == (note if len(expected) < n else "")


@pytest.mark.parametrize(("last", "first"), [(40, [0]), (20, [])])  # as the first: not provable
def test_a_repeated_picture_is_left_out_and_the_others_keep_their_numbers(tmp_path, last, first):
    levels = [20, 20, 90, 90, 90, 160, 160, last]
    path = encode(tmp_path / "slides.mp4", [grey(level) for level in levels])
    for n, expected in ((8, [*first, 2, 5, 7]), (4, [3, 5, 7]), (2, [2, 6])):
        sampled = read_frames(path, n)
        assert sampled.numbers.tolist() == expected and sampled.facts["frames"] == 8
        shown = [frame.mean() for frame in sampled.frames]
        np.testing.assert_allclose(shown, [levels[number] for number in expected], atol=3.5)


@pytest.mark.parametrize("n", [1, 12])
def test_a_still_is_refused_and_the_remedy_named(tmp_path, n):
    path = encode(tmp_path / "still.avi", [grey(90)] * n, "MJPG")
    with pytest.raises(InputError, match=r"one picture: a still .use an image instead., or"):
        read_frames(path, 4)


@pytest.mark.parametrize("lands_on", [0, 1, 5])
def test_the_first_frame_is_left_out_where_the_decoder_does_not_return_to_it(
    tmp_path, spy, lands_on
):
    spy.lands_on = lands_on
    sampled = read_frames(write_video(tmp_path / "clip.mp4", n=6), 6)
    assert sampled.numbers.tolist() == [0, 1, 2, 3, 4, 5][lands_on > 0 :]


# --- What goes wrong ---


def test_files_that_give_no_frame(tmp_path):
    whole, avi = (write_video(tmp_path / name).read_bytes() for name in ("whole.mp4", "whole.avi"))
    codec = "0 frames decoded: codec zzzz not supported by this OpenCV|no video stream, or damaged"
    control = "its name is not valid UTF-8 or has control characters"
    files = {
        "empty.mp4": (b"", "empty file"),
        "text.mp4": (b"not a video " * 100, "not a video"),
        "truncated.mp4": (whole[: len(whole) // 2], "truncated: the index"),
        "no_video.mp4": (whole.replace(b"vide", b"soun"), "no video stream"),
        "riff.avi": (b"RIFF" + bytes(100), "no video stream, or damaged"),
        "codec.avi": (avi.replace(b"MJPG", b"ZZZZ"), codec),
        os.fsdecode(b"na\xffme.mp4"): (whole, control),
        "li\nne.mp4": (whole, control),
    }
    reasons = {"folder.mp4": "no images in it", "pipe.mp4": "not a file"}
    reasons |= {"missing.mp4": "no such file", "link.mp4": "a broken link"}
    for name, (content, reasons[name]) in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=f"^({reason})"):
            read_frames(tmp_path / name, 4)


def test_a_seek_gives_the_frame_that_reading_through_gives(tmp_path, monkeypatch, spy):
    path = write_numbered_video(tmp_path / "clip.mp4", 90)
    expected = decode(path)
    monkeypatch.setattr("data.decode.decode_by_count", None)  # not needed: no seek goes wrong
    for number in range(1, 90):  # each frame is sought once
        monkeypatch.setattr(
            "data.decode.sample_frame_numbers", lambda *_, number=number, **__: [number]
        )
        sampled = read_frames(path, 1, np.copy)
        assert sampled.numbers.tolist() == [number] and sampled.facts["frames"] == 90
        np.testing.assert_array_equal(sampled.frames[0], expected[number])
    assert spy.seeks == 50  # of those with a key frame far enough from the first and from it


@pytest.mark.parametrize("lands_on", [0, 40, 149])
def test_a_seek_that_goes_wrong_is_noticed(tmp_path, spy, lands_on):
    path = write_numbered_video(tmp_path / "clip.mp4", 150)
    spy.lands_on, expected = lands_on, decode(path)
    sampled = read_frames(path, 3, np.copy)
    assert spy.seeks == 1  # then never again
    assert sampled.numbers.tolist() == [25, 75, 125]
    np.testing.assert_array_equal(sampled.frames, [expected[k] for k in (25, 75, 125)])


def test_frames_of_real_clips(real_videos, spy):
    left_out = 0
    for path in sorted((real_videos / "awkward").iterdir()):
        expected = decode(path) if path.suffix in (".mp4", ".mkv", ".webm", ".ts", ".avi") else []
        for n in (2, 16) if expected else ():
            wanted = sample_frame_numbers(len(expected), n)
            pairs = pairwise([0, *wanted])
            new = [k for before, k in pairs if not np.array_equal(expected[k], expected[before])]
            if not new:
                with pytest.raises(InputError, match="one picture"):
                    read_frames(path, n)
                continue
            sampled = read_frames(path, n, np.copy)
            assert sampled.facts["frames"] == len(expected), path
            # and the first one, where it is wanted and the decoder can return to it
            assert sampled.numbers[sampled.numbers > 0].tolist() == new, path
            left_out += len(wanted) - len(new)
            for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
                np.testing.assert_array_equal(frame, expected[number], err_msg=str(path))
    assert spy.seeks > 2 and left_out > 5


class LimitedCapture(Capture):
    """It gives so many frames: the next one of `limits` for each opening."""

    limits: ClassVar = []

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.left = LimitedCapture.limits.pop(0)

    def grab(self):
        self.left -= 1
        return self.left >= 0 and self.capture.grab()

    def set(self, name, value):
        self.left = 1 if name == cv2.CAP_PROP_POS_FRAMES else self.left  # back to the first one
        return self.capture.set(name, value)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([12], [1, 4, 7, 10]),
        ([10, 6, 6], [0, 2, 3, 5]),
        ([11, 10, 9], None),  # three attempts, not more
        ([11, 12, 11, 11], None),
    ],
)
def test_a_video_is_read_again_until_its_length_is_sure(tmp_path, monkeypatch, limits, expected):
    path = write_video(tmp_path / "clip.mp4", n=12)
    packets = Packets(np.arange(12), np.zeros(12, bool), promised=13)
    monkeypatch.setattr("data.decode.scan_packets", lambda path: packets)
    monkeypatch.setattr(LimitedCapture, "limits", list(limits))
    monkeypatch.setattr(cv2, "VideoCapture", LimitedCapture)
    if expected is None:
        with pytest.raises(InputError, match=r"^gives another number of frames each time"):
            read_frames(path, 4)
        assert len(LimitedCapture.limits) == len(limits) - 3
    else:
        sampled = read_frames(path, 4)
        assert sampled.numbers.tolist() == expected and not LimitedCapture.limits
        assert sampled.facts["frames"] == limits[-1]
        assert levels_of(sampled) == expected


def test_frames_that_are_lost_at_the_end_are_noticed(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", n=12)
    for_packets, lost = 99, 11
    monkeypatch.setattr(LimitedCapture, "limits", [for_packets, lost, lost, lost])
    monkeypatch.setattr(cv2, "VideoCapture", LimitedCapture)
    sampled = read_frames(path, 4)
    assert sampled.facts["frames"] == 11 and sampled.numbers.tolist() == [1, 4, 6, 9]
    assert sampled.facts["note"] == "11 of 12 frames: truncated, damaged or miscounted"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (cv2.error("no\nmore files"), InputError, "OpenCV cannot read it: no more files$"),
        (OSError(5, "disk on fire"), InputError, "cannot be read: disk on fire$"),
        (MemoryError("5.93 MiB"), MemoryError, r"no memory left to decode .*clip\.mp4: decode f"),
        (cv2.error("(-4:Insufficient memory) F"), MemoryError, "no memory left to decode"),
    ],
)
def test_what_fails_is_told_and_no_memory_is_not_the_fault_of_the_file(
    tmp_path, error, kind, message
):
    def fail(frame):
        raise error

    with pytest.raises(kind, match=f"^{message}"):
        read_frames(write_video(tmp_path / "clip.mp4"), 4, fail)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_damaged_containers_are_used_or_named(tmp_path, suffix):
    path = write_video(tmp_path / f"clip{suffix}", n=12)
    whole, rng, found = path.read_bytes(), random.Random(0), set()
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(7)):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice((len(whole), rng.randrange(len(whole))))])
        try:
            sampled = read_frames(path, 4)
            assert sampled.facts["frames"] > sampled.numbers[-1] >= 0
            found.add("used")
        except InputError as error:
            assert str(error) and "\n" not in str(error)
            found.add("failed")
    assert found == {"used", "failed"}
