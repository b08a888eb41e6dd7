import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import data.decode
from data.decode import OPENINGS, Packets, read_frames, sample_frame_numbers
from data.files import InputError, fingerprint
from data.frames import resize_frame

OPTION = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def write_numbered_video(path, n):
    """A video in which each frame is unlike all others; mp4v has a key frame every 12 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(n):
        writer.write(cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (96, 64)))
    writer.release()
    return path


def read_all(path):
    """Each frame of a video, read one after the other."""
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return frames


class SpyingCapture:
    """cv2.VideoCapture, but seeks are counted and, if `lands_on` is set, go there instead."""

    original, seeks, lands_on = cv2.VideoCapture, 0, None

    def __init__(self, *arguments):
        self.capture = SpyingCapture.original(*arguments)

    def set(self, name, value):
        if name == cv2.CAP_PROP_POS_FRAMES:
            SpyingCapture.seeks += 1
            value = value if self.lands_on is None else self.lands_on
        return self.capture.set(name, value)

    def __getattr__(self, name):
        return getattr(self.capture, name)


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", SpyingCapture)
    monkeypatch.setattr(SpyingCapture, "seeks", 0)
    monkeypatch.setattr(SpyingCapture, "lands_on", None)
    return SpyingCapture


MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "derandomize": True,
}


def mutate(data, changes, length):
    data = bytearray(data)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    return bytes(data[: int(length * len(data))])


READER = """
import sys
from data.decode import quiet_decoder
from data.files import InputError
from data.frames import Extraction, sample_video
quiet_decoder()
for line in sys.stdin:
    try:
        sampled = sample_video(line.strip(), Extraction(frames_per_video=4))
        assert len(sampled.frames) == len(sampled.numbers) > 0
        assert sampled.facts["frames"] > sampled.numbers[-1]
        print("used", flush=True)
    except InputError as error:
        clear = str(error) and "\\n" not in str(error)
        print("failed" if clear else f"unclear: {error!r}", flush=True)
"""


class Reader:
    """read_frames in a process of its own, which is started again when a decoder has crashed it."""

    def __init__(self):
        self.start()

    def start(self):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        repository = Path(data.decode.__file__).parents[1]
        command = [sys.executable, "-c", READER]
        self.process = subprocess.Popen(command, cwd=repository, text=True, **pipes)

    def read(self, path):
        print(path, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if not answer:
            status, errors = self.process.wait(), self.process.stderr.read()
            self.start()
            return "crashed" if status < 0 else errors
        return answer


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.process.communicate()


def test_sample_frame_numbers():
    assert sample_frame_numbers(10, 5) == [1, 3, 5, 7, 9]
    assert sample_frame_numbers(9, 1) == [4]
    assert sample_frame_numbers(3, 5) == [0, 1, 2]
    assert sample_frame_numbers(0, 5) == sample_frame_numbers(-7, 5) == []
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
    assert sampled.facts == {
        "frames": 30,
        "width": 66,
        "height": 48,
        "fps": 12.5,
        "duration": 2.4,
        "size": path.stat().st_size,
        "note": "",
        "fingerprint": fingerprint(path),
    }
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        assert frame.shape == (48, 66, 3) and frame.dtype == np.uint8
        assert abs(frame.mean() - (20 + 7 * number)) < 3.5
    assert read_frames(path, 100).numbers.tolist() == list(range(30))
    assert read_frames(write_video(tmp_path / "one.mp4", n=1), 32).numbers.tolist() == [0]


def test_read_frames_gives_rgb(tmp_path):
    path = write_video(tmp_path / "red.mp4", colour=(10, 20, 230))
    for frame in (
        read_frames(path, 1).frames[0],
        read_frames(path, 1, lambda frame, number: resize_frame(frame)).frames[0],
    ):
        channels = np.moveaxis(np.asarray(frame), 0, -1) if frame.shape[0] == 3 else frame
        assert channels[..., 0].mean() > 200 and channels[..., 2].mean() < 40


@pytest.mark.parametrize("claimed", [0, 3, 31, 100_000])
def test_a_wrong_count_in_the_header_does_not_move_the_frames(tmp_path, claimed):
    path = write_video(tmp_path / "clip.avi", n=30)
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        start = data.index(tag) + offset
        data[start : start + 4] = claimed.to_bytes(4, "little")
    data[data.rindex(b"idx1") :] = b""  # the index would give the count away
    path.write_bytes(data)
    sampled = read_frames(path, 5)
    assert sampled.facts["frames"] == 30
    assert sampled.facts["note"].startswith(f"30 of {claimed} frames") == (claimed > 30)
    assert sampled.numbers.tolist() == [3, 9, 15, 21, 27]
    assert [round((frame.mean() - 20) / 7) for frame in sampled.frames] == [3, 9, 15, 21, 27]


def test_orientation_in_the_metadata_is_applied(tmp_path):
    path = write_video(tmp_path / "clip.mp4", size=(64, 48))
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44  # the matrix: a quarter turn
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    sampled = read_frames(path, 2)
    assert (sampled.facts["width"], sampled.facts["height"]) == (48, 64)
    assert sampled.frames[0].shape == (64, 48, 3)


def test_files_that_give_no_frame(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    undecodable = os.fsdecode(b"na\xffme")
    (tmp_path / f"{undecodable}.mp4").write_bytes(whole)
    reasons = {
        undecodable: "its name is not valid UTF-8",
        "empty": "empty file",
        "text": "not a video",
        "folder": "not a file",
        "pipe": "not a file",
        "missing": "no such file",
        "truncated": "truncated: the index",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason):
            read_frames(tmp_path / f"{name}.mp4", 4)


def test_a_seek_gives_the_frame_that_reading_through_gives(tmp_path, monkeypatch, spy):
    path = write_numbered_video(tmp_path / "clip.mp4", 90)
    expected = read_all(path)
    assert len(expected) == 90
    monkeypatch.setattr("data.decode.decode_by_count", None)  # not needed: no seek goes wrong
    for number in range(90):  # each frame is sought once
        monkeypatch.setattr("data.decode.sample_frame_numbers", lambda *_, number=number: [number])
        sampled = read_frames(path, 1, lambda frame, number: frame.copy())
        assert sampled.numbers.tolist() == [number] and sampled.facts["frames"] == 90
        np.testing.assert_array_equal(sampled.frames[0], expected[number])
    assert spy.seeks == 50  # of those with a key frame far enough from the first and from it


@pytest.mark.parametrize("lands_on", [0, 40, 149])
def test_a_seek_that_goes_wrong_is_noticed(tmp_path, spy, lands_on):
    path = write_numbered_video(tmp_path / "clip.mp4", 150)
    spy.lands_on, expected = lands_on, read_all(path)
    sampled = read_frames(path, 3, lambda frame, number: frame.copy())
    assert spy.seeks == 1  # then never again
    assert sampled.numbers.tolist() == [25, 75, 125]
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        np.testing.assert_array_equal(frame, expected[number])


def test_seeks_and_reference_frames_of_real_clips(real_videos, spy):
    skipped = 0
    for path in sorted(real_videos.rglob("*.*")):
        is_video = path.suffix in (".mp4", ".mkv", ".webm", ".ts", ".avi")
        if not is_video or path.stat().st_size > 1e6:
            continue
        expected = read_all(path)
        for n, choice in (
            ((2, "exact"), (16, "exact"), (16, "nearest-reference")) if expected else ()
        ):
            sampled = read_frames(path, n, lambda frame, number: frame.copy(), choice)
            wanted = sample_frame_numbers(len(expected), n)
            assert sampled.facts["frames"] == len(expected), path
            if choice == "exact":
                assert sampled.numbers.tolist() == wanted
            else:
                assert len(sampled.numbers) == len(wanted), path
                late = sampled.numbers - wanted
                assert (late >= 0).all() and (late < 8).all(), path
                skipped += sampled.numbers.tolist() != wanted
            for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
                np.testing.assert_array_equal(frame, expected[number], err_msg=f"{path} {choice}")
    assert spy.seeks > 2 and skipped > 5


@pytest.mark.parametrize("tell_frames", [True, False])
def test_each_frame_is_the_one_that_its_number_names(tmp_path, monkeypatch, tell_frames):
    """By time and by counting: never a neighbour, neither in what is given to transform."""
    path = write_numbered_video(tmp_path / "clip.mp4", 40)
    expected = read_all(path)
    if not tell_frames:
        monkeypatch.setattr(Packets, "tell_frames", False)
    for choice in ("exact", "nearest-reference"):
        sampled = read_frames(path, 7, lambda frame, number: (frame, number), choice)
        assert [number for _, number in sampled.frames] == sampled.numbers.tolist()
        assert sampled.numbers.tolist() == sample_frame_numbers(40, 7)
        for frame, number in sampled.frames:
            np.testing.assert_array_equal(frame, expected[number])
            assert not np.array_equal(frame, expected[number + 1])


class LimitedCapture:
    """cv2.VideoCapture that gives so many frames: the next one of `limits` for each opening."""

    original, limits = cv2.VideoCapture, []

    def __init__(self, *arguments):
        self.capture = LimitedCapture.original(*arguments)
        self.left = LimitedCapture.limits.pop(0)

    def grab(self):
        self.left -= 1
        return self.left >= 0 and self.capture.grab()

    def __getattr__(self, name):
        return getattr(self.capture, name)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([12], [1, 4, 7, 10]),
        ([10, 10], [1, 3, 6, 8]),
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
        for frame, number in zip(sampled.frames, expected, strict=True):
            assert abs(frame.mean() - (20 + 7 * number)) < 3.5


def test_frames_that_are_lost_at_the_end_are_noticed(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", n=12)
    for_packets, lost = 99, 11
    monkeypatch.setattr(LimitedCapture, "limits", [for_packets, lost, lost, lost])
    monkeypatch.setattr(cv2, "VideoCapture", LimitedCapture)
    sampled = read_frames(path, 4)
    assert sampled.facts["frames"] == 11 and sampled.numbers.tolist() == [1, 4, 6, 9]
    assert sampled.facts["note"] == "11 of 12 frames: truncated, damaged or miscounted"


@pytest.mark.parametrize("choice", ["exact", "nearest-reference"])
def test_files_are_opened_at_the_same_time(tmp_path, monkeypatch, choice):
    path = write_video(tmp_path / "clip.mp4")
    original = cv2.VideoCapture
    everybody = threading.Barrier(3, timeout=20)  # breaks if one has to wait for another

    def open_together(*arguments):
        everybody.wait()
        return original(*arguments)

    monkeypatch.setattr(cv2, "VideoCapture", open_together)
    with ThreadPoolExecutor(3) as pool:
        reads = [pool.submit(read_frames, path, 4, choice=choice) for _ in range(3)]
    for read in reads:
        assert read.result().numbers.tolist() == [1, 4, 7, 10]
    assert OPTION not in os.environ


def test_an_exact_opening_never_sees_the_option_of_another_thread(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4")
    original = cv2.VideoCapture
    seen = {"exact": [], "nearest-reference": []}
    thread = threading.local()

    def open_slowly(*arguments):
        before = os.environ.get(OPTION)
        time.sleep(0.001)
        capture = original(*arguments)
        seen[thread.choice].append((before, os.environ.get(OPTION)))
        return capture

    def read(choice):
        thread.choice = choice
        return read_frames(path, 4, choice=choice).numbers.tolist()

    monkeypatch.setattr(cv2, "VideoCapture", open_slowly)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, list(seen) * 20)) == [[1, 4, 7, 10]] * 40
    nothing, skip = (None, None), ("avdiscard;nonref", "avdiscard;nonref")
    assert seen["exact"] == [nothing] * 40
    assert sorted(seen["nearest-reference"], key=str) == [skip] * 20 + [nothing] * 20
    assert OPTION not in os.environ


@pytest.mark.parametrize("first", [True, False])
def test_who_opens_with_the_option_and_who_opens_without_wait_for_each_other(first):
    entered = threading.Event()

    def enter():
        with OPENINGS.enter(only_references=not first):
            entered.set()

    with OPENINGS.enter(only_references=first):
        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.1)
    other.join(60)
    assert entered.is_set() and OPTION not in os.environ


def test_a_failed_opening_lets_the_next_one_in(tmp_path, monkeypatch):
    def fail(*arguments):
        raise cv2.error("no more files")

    path = write_video(tmp_path / "clip.mp4")
    packets = Packets(np.arange(12), np.zeros(12, bool), promised=12)
    monkeypatch.setattr("data.decode.scan_packets", lambda path: packets)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", fail)
        for choice in ("exact", "nearest-reference"):
            with pytest.raises(InputError, match=r"^OpenCV cannot read it: no more files$"):
                read_frames(path, 4, choice=choice)
    assert OPTION not in os.environ
    for choice in ("exact", "nearest-reference"):
        assert len(read_frames(path, 4, choice=choice).frames) == 4


def test_threads_that_read_exact_and_reference_frames_of_real_clips_do_not_mix(real_videos):
    path = real_videos / "awkward/opengop_bframes.mp4"
    choices = ["exact", "nearest-reference"]

    def read(choice):
        return read_frames(path, 8, choice=choice)

    alone = [read(choice) for choice in choices]
    assert alone[0].numbers.tolist() != alone[1].numbers.tolist()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, choices * 6))
    for expected, sampled in zip(alone * 6, together, strict=True):
        assert sampled.numbers.tolist() == expected.numbers.tolist()
        np.testing.assert_array_equal(sampled.frames, expected.frames)


def test_a_picture_of_absurd_size_fails(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", size=(64, 48))
    monkeypatch.setattr("data.decode.MAX_PIXELS", 3000)
    with pytest.raises(
        InputError, match="64 x 48 pixels a frame, more than the 3000 that are accepted"
    ):
        read_frames(path, 4)


def test_files_that_only_look_like_videos(tmp_path):
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "no_video.mp4").write_bytes(whole.replace(b"vide", b"soun"))
    (tmp_path / "riff.avi").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    clip = write_video(tmp_path / "clip.avi").read_bytes()
    (tmp_path / "codec.avi").write_bytes(clip.replace(b"MJPG", b"ZZZZ"))
    for name, reason in {
        "no_video.mp4": "no video stream",
        "riff.avi": "no video stream, or damaged",
        "link.mp4": "a broken link",
        "codec.avi": "codec zzzz not supported by this OpenCV|no video stream, or damaged",
    }.items():
        with pytest.raises(InputError, match=reason):
            read_frames(tmp_path / name, 4)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_damaged_containers(tmp_path, reader, suffix):
    whole = write_video(tmp_path / f"whole{suffix}", n=12).read_bytes()
    seen = []

    @settings(max_examples=40, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0))
    def check(changes, length):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(mutate(whole, changes, length))
        seen.append(reader.read(path))
        assert seen[-1] in ("used", "failed", "crashed")

    check()
    assert {"used", "failed"} <= set(seen)
