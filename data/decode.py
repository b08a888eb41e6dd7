"""Evenly spaced frames of any video file, by their number in it."""

import bisect
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data.files import InputError, printable

FRAME_CHOICES = ("exact", "nearest-reference")
MAX_PIXELS = 2**27  # 134 million: four times 8K
OPENING = threading.Lock()


@dataclass
class SampledVideo:
    """The frames taken from a video, and what is known of the video."""

    frames: list  # what `transform` made of each frame
    numbers: np.ndarray  # (n,) int32, the frames' numbers in the video, ascending
    facts: dict  # as in <split>_videos.csv; frames: that decode, fps: as the container says, width, height: upright
    boxes: np.ndarray | None = None  # (n, 4) x, y, width, height in pixels, of the face that was cropped to


def quiet_decoder() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: a broken file is reported once, by us, with its name."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def sample_frame_numbers(total: int, n: int) -> list[int]:
    """The middle of each of n equal shares of a video, ascending and unique; all frames where there are fewer."""
    n = max(0, min(n, total))
    return [(2 * i + 1) * total // (2 * n) for i in range(n)]


def bgr_to_rgb(frame: np.ndarray, number: int) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def read_frames(
    path: str | os.PathLike, n: int, transform: Callable = bgr_to_rgb, choice: str = "exact", threads: int = 1
) -> SampledVideo:
    """n evenly spaced frames of a video, each at the middle of its share of the frames that really decode.

    `transform` gets each of them as (H, W, 3) uint8 BGR, and its number; by default they come back as (H, W, 3) uint8
    RGB. With the `choice` nearest-reference, instead of the exact frame the next one is taken that other frames are
    predicted from; the rest is not decoded. Raises InputError with the reason where the file gives no frame.
    """
    path = Path(path)
    if printable(path) != path.as_posix():
        raise InputError("its name is not valid UTF-8 or has control characters: rename it")
    if not path.is_file():  # also keeps OpenCV from waiting for a named pipe
        missing = "a broken link" if path.is_symlink() else "no such file"
        raise InputError("not a file" if path.exists() else missing)
    if path.stat().st_size == 0:
        raise InputError("empty file")
    try:
        times, is_key, promised = scan_packets(path)
        total, sampled, passes = len(times), None, 0
        if total and total == promised and np.array_equal(np.sort(times), np.arange(total) + times.min()):
            key_frames = np.sort(times[is_key] - times.min())
            sampled = decode(path, n, transform, total, threads, times.min(), key_frames, choice != FRAME_CHOICES[0])
        while sampled is None or sampled.facts["frames"] != total:  # packets gave no frame: go by those that did
            if (passes := passes + 1) > 3:
                raise InputError("gives another number of frames each time it is read")
            total = total if sampled is None else sampled.facts["frames"]
            sampled = decode(path, n, transform, total, 1)  # several threads patch damage in another way each time
    except cv2.error as error:
        raise InputError(f"OpenCV cannot read it: {error.err}") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    if not sampled.frames:
        raise InputError("its frames cannot be converted to BGR")
    return sampled


def open_capture(path: Path, *parameters: int, only_references: bool = False) -> cv2.VideoCapture:
    with OPENING:  # what to skip is said in the environment, which all threads share
        try:
            if only_references:
                os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "avdiscard;nonref"
            capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, parameters)
        finally:
            if only_references:
                del os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"]
    if not capture.isOpened():
        raise InputError(explain_unopened(path))
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        raise InputError(f"{width} x {height} pixels a frame, more than the {MAX_PIXELS} that are accepted")
    return capture


def explain_unopened(path: Path) -> str:
    """Why FFmpeg finds no video stream in a file, as far as its own bytes tell."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] == b"ftyp":  # MP4 and MOV
            index = data.find(b"moov") - 4
            if index < 0 or index + int.from_bytes(data[index : index + 4]) > len(data):
                return "truncated: the index (moov) of this MP4 file is missing or cut off"
            return "damaged MP4 file" if data.find(b"vide", index) > 0 else "no video stream"
        containers = (b"RIFF", b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba", b"0&\xb2u", b"GIF8")  # AVI, Matroska, ...
        return "no video stream, or damaged" if data[:16].startswith(containers) else "not a video"


def scan_packets(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Of each packet the time it is shown at, (n,) int64 in frames, and whether it is a key frame; the header's count.

    Nothing is decoded.
    """
    capture = open_capture(path, cv2.CAP_PROP_FORMAT, -1)
    packets = []
    while capture.grab():
        packets.append((round(capture.get(cv2.CAP_PROP_PTS)), capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)))
    times, is_key = np.array(packets, np.int64).reshape(-1, 2).T
    return times, is_key.astype(bool), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))


def decode(
    path: Path, n: int, transform: Callable, total: int, threads: int, start=None, key_frames=(), only_references=False
) -> SampledVideo | None:
    """Go through a video once, keep the frames that a length of `total` asks for, and find how many there are.

    Frames are counted, or else known by their time, given that of the first as `start`. Only then it is possible to
    jump to a key frame, and to skip frames; None where a frame is not at its time: so a wrong jump is noticed.
    """
    capture = open_capture(path, cv2.CAP_PROP_N_THREADS, threads, only_references=only_references)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace").lower()
    frames, numbers, shape, number = [], [], (0, 0), -1
    wanted = deque(sample_frame_numbers(total, n))
    while True:
        if wanted and not only_references:
            # OpenCV looks for a key frame 16 frames or more before the one it is asked for
            before = bisect.bisect_right(key_frames, wanted[0] - 16)
            if before and key_frames[before - 1] > number + 16:
                capture.set(cv2.CAP_PROP_POS_FRAMES, wanted[0])
                number = wanted[0] - 1
        if not capture.grab():  # decodes; retrieve() converts, which only the wanted frames need
            break
        number += 1
        if start is not None:
            time = round(capture.get(cv2.CAP_PROP_PTS)) - start
            if time < number or (time > number and not only_references):
                return None
            number = time
        if wanted and number >= wanted[0]:
            wanted.popleft()
            ok, frame = capture.retrieve()
            if ok:
                shape = shape if frames else frame.shape[:2]
                frames.append(transform(frame, number))
                numbers.append(number)
    if start is None:
        total = number + 1
    elif wanted or (number + 1 != total and not only_references):
        return None
    if total == 0:
        raise InputError(f"0 frames decoded: codec {codec} not supported by this OpenCV, or damaged")
    promised, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    fps = round(fps, 4) if np.isfinite(fps) and fps > 0 else 0.0
    facts = {"frames": total, "width": shape[1], "height": shape[0], "fps": fps}
    facts |= {"duration": round(total / fps, 4) if fps else "", "size": path.stat().st_size}
    facts["note"] = f"{total} of {promised} frames: truncated, damaged or miscounted" if total < promised else ""
    return SampledVideo(frames, np.array(numbers, np.int32), facts)
