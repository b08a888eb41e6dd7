"""Evenly spaced frames of a video file or of a video made of images."""

import bisect
import errno
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from data.convert import OPTIONS, check_conversion, differ, is_mirrored, turn_upright
from data.files import InputError, fingerprint, printable
from data.images import fingerprint_images, is_made_of_images, list_images, read_image

FRAME_CHOICES = ("exact", "nearest-reference")
OPTIONS_LOCK = threading.Lock()
SKIP = "avdiscard;nonref"  # frames that no other is predicted from
NO_MEMORY = ("Insufficient memory", "can not be created")  # OpenCV's own, and of its numpy arrays
MAX_PIXELS = 2**27  # 134 million: four times 8K
ATTEMPTS = 3  # to find out how many frames a damaged video has
SEEK_MARGIN = 16  # OpenCV seeks the key frame that is so many frames or more before its aim

Transform = Callable[[np.ndarray, int], object]  # of a BGR frame and its number


@dataclass(repr=False)
class SampledVideo:
    """The frames taken from a video, and what is known of the video."""

    frames: list  # what `transform` made of each frame
    numbers: np.ndarray  # (n,) int32, the frames' numbers in the video, ascending
    # as in <split>_videos.csv; frames: that decode, fps: as the container says, width, height: as
    # one sees them, upright
    facts: dict
    # (n, 4) x, y, width, height of the face, if cropped, in pixels of the first frame taken
    boxes: np.ndarray | None = None
    whole: list = field(default_factory=list)  # the n whole frames, small, where they are kept

    def __repr__(self) -> str:
        return f"<SampledVideo: {len(self.numbers)} of {self.facts['frames']} frames>"


def quiet_decoder() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr.

    A broken file is reported once, by us, with its name.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def sample_frame_numbers(total: int, n: int) -> list[int]:
    """The middle of each of n equal shares of a video, ascending and unique.

    All frames where there are fewer than n.
    """
    n = max(0, min(n, total))
    return [(2 * i + 1) * total // (2 * n) for i in range(n)]


def bgr_to_rgb(frame: np.ndarray, number: int = 0) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def read_frames(
    path: str | os.PathLike,
    n: int,
    transform: Transform = bgr_to_rgb,
    choice: str = "exact",
    threads: int = 1,
) -> SampledVideo:
    """n evenly spaced frames of a video, each at the middle of its share of the video.

    Only frames that really decode count. `transform` gets each of the n as (H, W, 3) uint8 BGR, and
    its number; by default they come back as (H, W, 3) uint8 RGB. With the `choice`
    nearest-reference, instead of the exact frame the next one is taken that other frames are
    predicted from; the rest is not decoded. The path of a video made of images: see list_images.
    Raises InputError with the reason where the file gives no frame, and MemoryError where the
    machine has no memory left: that says nothing of the file.
    """
    path = Path(path)
    try:
        if is_made_of_images(path):
            sampled = read_images(path, n, transform)
        else:
            sampled = decode_file(path, n, transform, choice, threads)
    except (cv2.error, OSError, MemoryError) as error:
        if tells_no_memory(error):
            raise MemoryError(f"no memory left to decode {path}: decode fewer at once") from error
        if isinstance(error, OSError):
            raise InputError(f"cannot be read: {error.strerror}") from error
        reason = " ".join(str(error).split())  # not error.err: all threads share that
        raise InputError(f"OpenCV cannot read it: {reason}") from error
    if not sampled.frames:
        raise InputError("its frames cannot be converted to BGR")
    return sampled


def tells_no_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def decode_file(
    path: Path, n: int, transform: Transform, choice: str, threads: int
) -> SampledVideo:
    """read_frames of a video file."""
    check_file(path)
    packets = scan_packets(path)
    sampled = None
    if packets.tell_frames:
        sampled = decode_by_time(path, n, transform, packets, threads, choice)
    if sampled is None:
        sampled = decode_until_sure(path, n, transform, len(packets.times), choice)
    sampled.facts["fingerprint"] = fingerprint(path)
    return sampled


def check_file(path: Path) -> None:
    """Raise InputError where no video can be opened."""
    if printable(path) != path.as_posix():
        raise InputError("its name is not valid UTF-8 or has control characters: rename it")
    if not path.is_file():  # also keeps OpenCV from waiting for a named pipe
        missing = "a broken link" if path.is_symlink() else "no such file"
        raise InputError("not a file" if path.exists() else missing)
    if path.stat().st_size == 0:
        raise InputError("empty file")


def read_images(path: Path, n: int, transform: Transform) -> SampledVideo:
    """read_frames of a video made of images; one that cannot be read is left out and noted."""
    folder, names = list_images(path)
    frames, numbers, unreadable = [], [], []
    shape = (0, 0)
    for number in sample_frame_numbers(len(names), n):
        frame = None
        try:
            frame = read_image(folder / names[number])
        except (cv2.error, OSError) as error:  # such as a size that OpenCV refuses, a broken link
            if tells_no_memory(error):
                raise
        if frame is None:
            unreadable.append(printable(names[number]))
            continue
        if not frames:
            shape = frame.shape[:2]
        frames.append(transform(frame, number))
        numbers.append(number)
    note = f"{len(unreadable)} of {len(numbers) + len(unreadable)} images cannot be read"
    if not frames:
        if len(names) < 2:
            raise InputError("cannot be read as an image" if names else "no images in it")
        raise InputError(f"{note}, {unreadable[0]} for one")
    mark, size = fingerprint_images([folder / name for name in names])
    facts = {
        "frames": len(names),
        "width": shape[1],
        "height": shape[0],
        "fps": "",
        "duration": "",
        "size": size,
        "note": f"{note}, {unreadable[0]} for one" if unreadable else "",
        "fingerprint": mark,
    }
    return SampledVideo(frames, np.array(numbers, np.int32), facts)


# --- Opening a file ---


def open_capture(path: Path, *parameters: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        raise InputError(explain_unopened(path))
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        size = f"{width} x {height} pixels a frame"
        raise InputError(f"{size}, more than the {MAX_PIXELS} that are accepted")
    return capture


def open_to_decode(path: Path, threads: int, options: str | None = None) -> cv2.VideoCapture:
    """A capture that decodes with these options of FFmpeg, `""` for none.

    OpenCV takes options from the environment alone, which all threads share: so where some are set,
    all decoders must be opened with `options`, in turn. In a run that never sets any they are None,
    and nobody waits.
    """
    with nullcontext() if options is None else OPTIONS_LOCK:
        if options is not None:
            os.environ[OPTIONS] = options
        try:
            capture = open_capture(path, cv2.CAP_PROP_N_THREADS, threads)
        finally:
            if options is not None:
                os.environ[OPTIONS] = ""
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # see turn_upright
    return capture


def explain_unopened(path: Path) -> str:
    """Why FFmpeg finds no video stream in a file, as far as its own bytes tell."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] == b"ftyp":  # MP4 and MOV
            index = data.find(b"moov") - 4
            if index < 0 or index + int.from_bytes(data[index : index + 4]) > len(data):
                return "truncated: the index (moov) of this MP4 file is missing or cut off"
            return "damaged MP4 file" if data.find(b"vide", index) > 0 else "no video stream"
        # AVI, Matroska, ...
        containers = (b"RIFF", b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba", b"0&\xb2u", b"GIF8")
        known = data[:16].startswith(containers)
        return "no video stream, or damaged" if known else "not a video"


# --- Packets ---


@dataclass
class Packets:
    """The packets of a video: what its container says of its frames. Nothing is decoded for it."""

    times: np.ndarray  # (n,) int64, the time at which each is shown, in frames
    is_key: np.ndarray  # (n,) bool, whether it is a key frame
    promised: int  # number of frames that the header promises

    @property
    def tell_frames(self) -> bool:
        """Whether the times number the frames one after the other, as many as were promised."""
        n = len(self.times)
        if n == 0 or n != self.promised:
            return False
        return np.array_equal(np.sort(self.times), np.arange(n) + self.times.min())

    @property
    def key_frames(self) -> np.ndarray:
        """The numbers of the key frames, ascending."""
        return np.sort(self.times[self.is_key] - self.times.min())


def scan_packets(path: Path) -> Packets:
    capture = open_capture(path, cv2.CAP_PROP_FORMAT, -1)
    times, is_key = [], []
    while capture.grab():
        times.append(round(capture.get(cv2.CAP_PROP_PTS)))
        is_key.append(capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) != 0)
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Packets(np.array(times, np.int64), np.array(is_key, bool), promised)


# --- Decoding ---
#
# A frame is known by its time, or by counting the frames before it. By its time is faster, since
# frames may be jumped over or left out, but it needs packets that number the frames, and gives up
# where a frame does not come at its time. Counting works with any file: each frame is decoded.


def decode_by_time(
    path: Path, n: int, transform: Transform, packets: Packets, threads: int, choice: str
) -> SampledVideo | None:
    """n frames of a video by their times; None where a frame is not at its time.

    So a jump to a wrong place is noticed. Before each `grab` the number of the last frame that was
    decoded, jumped over or left out is `number`, and no frame is wanted up to it: the next frame
    has the time `number + 1`, or a later one where frames are left out, and no earlier one ever.
    """
    only_references = choice != FRAME_CHOICES[0]
    capture = open_to_decode(path, threads, SKIP if only_references else None)
    total, start, key_frames = len(packets.times), packets.times.min(), packets.key_frames
    wanted = deque(sample_frame_numbers(total, n))
    taken = Taken(path, transform)
    number = -1
    while capture.grab():  # decodes
        number += 1
        time = round(capture.get(cv2.CAP_PROP_PTS)) - start
        left_out = time - number
        if left_out < 0 or (left_out > 0 and not only_references):
            return None
        number = time
        if wanted and number >= wanted[0]:
            wanted.popleft()
            taken.take(capture, number)
        elif taken.before is None:
            taken.convert(capture)
        if wanted and not only_references:
            number = jump_ahead(capture, number, wanted[0], key_frames)
    if wanted or (number + 1 != total and not only_references):
        return None
    return taken.describe(capture, total)


def jump_ahead(capture: cv2.VideoCapture, number: int, wanted: int, key_frames: np.ndarray) -> int:
    """The number of the frame before the next one, after a jump towards `wanted` if it pays."""
    n_before = bisect.bisect_right(key_frames, wanted - SEEK_MARGIN)
    if n_before and key_frames[n_before - 1] > number + SEEK_MARGIN:
        capture.set(cv2.CAP_PROP_POS_FRAMES, wanted)
        return wanted - 1
    return number


def decode_by_count(
    path: Path, n: int, transform: Transform, expected: int, choice: str
) -> SampledVideo:
    """The frames that a length of `expected` asks for; `frames` of its facts is the true length."""
    exact = choice == FRAME_CHOICES[0]
    # with several threads FFmpeg patches damage in another way each time
    capture = open_to_decode(path, threads=1, options=None if exact else "")
    wanted = set(sample_frame_numbers(expected, n))
    taken = Taken(path, transform)
    total = 0
    while capture.grab():
        if total in wanted:
            taken.take(capture, total)
        elif total == 0:
            taken.convert(capture)
        total += 1
    if total == 0:
        fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
        codec = fourcc.decode("ascii", "replace").lower()
        raise InputError(
            f"0 frames decoded: codec {codec} not supported by this OpenCV, or damaged"
        )
    sampled = taken.describe(capture, total)
    if not exact:
        words = "frames taken exactly: its packets do not tell where the reference frames are"
        sampled.facts["note"] = "; ".join(filter(None, (sampled.facts["note"], words)))
    return sampled


def decode_until_sure(
    path: Path, n: int, transform: Transform, expected: int, choice: str
) -> SampledVideo:
    """n frames of a video by counting, read again where there are more or fewer than expected."""
    for _ in range(ATTEMPTS):
        sampled = decode_by_count(path, n, transform, expected, choice)
        if sampled.facts["frames"] == expected:
            return sampled
        expected = sampled.facts["frames"]
    raise InputError("gives another number of frames each time it is read")


class Taken:
    """The frames taken from a video so far.

    Where FFmpeg refuses to convert a frame to BGR, OpenCV 4.13 and later give what their buffer
    holds: the frame that was converted before it, or at first any memory. So a frame is sure if it
    differs from the one before it.
    """

    def __init__(self, path: Path, transform: Transform):
        self.path, self.transform = path, transform
        self.frames, self.numbers = [], []
        self.mirrored = is_mirrored(path)
        self.shape = (0, 0)
        self.before = None  # the frame that was converted last, as OpenCV gave it
        self.begin = None  # the frame taken that was converted first of all
        self.sure = True  # of all others

    def convert(self, capture: cv2.VideoCapture) -> np.ndarray | None:
        """The frame that was grabbed, (H, W, 3) uint8 BGR; None where that fails."""
        ok, frame = capture.retrieve()
        if not ok:
            return None
        self.before = frame
        return frame

    def take(self, capture: cv2.VideoCapture, number: int) -> None:
        """Add the frame that was grabbed; nothing where it cannot be converted."""
        before = self.before
        frame = self.convert(capture)
        if frame is None:
            return
        if before is None:
            self.begin = frame
        else:
            self.sure &= differ(frame, before)
        frame = turn_upright(frame, capture.get(cv2.CAP_PROP_ORIENTATION_META), self.mirrored)
        if not self.frames:
            self.shape = frame.shape[:2]
        self.frames.append(self.transform(frame, number))
        self.numbers.append(number)

    def begin_is_sure(self, capture: cv2.VideoCapture) -> bool:
        """Whether the first frame comes out as it did, now that there is another one before it."""
        if self.begin is None:
            return True
        before = self.before
        capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        ok, again = capture.read()
        return ok and differ(again, before) and np.array_equal(again, self.begin)

    def describe(self, capture: cv2.VideoCapture, total: int) -> SampledVideo:
        """What was taken, with the facts of the video of `total` frames.

        Raises InputError where FFmpeg refused to convert a frame.
        """
        if not (self.sure and self.begin_is_sure(capture)):
            check_conversion(self.path)
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = round(fps, 4) if np.isfinite(fps) and fps > 0 else 0.0
        note = f"{total} of {promised} frames: truncated, damaged or miscounted"
        facts = {
            "frames": total,
            "width": self.shape[1],
            "height": self.shape[0],
            "fps": fps,
            "duration": round(total / fps, 4) if fps else "",
            "size": self.path.stat().st_size,
            "note": note if total < promised else "",
        }
        return SampledVideo(self.frames, np.array(self.numbers, np.int32), facts)
