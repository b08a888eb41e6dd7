"""Chosen frames of a video file or of a video made of images, and the facts of the video."""

import errno
import mmap
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from data.files import InputError, printable
from data.images import find_fingerprint, is_made_of_images, list_images, read_image
from data.upright import is_mirrored, turn_upright

ONE_PICTURE = (
    "all frames taken are one picture: a still (use an image instead), or video that this "
    "OpenCV cannot convert, such as interlaced: `ffmpeg -i in -vf yadif out.mp4`"
)
NO_MEMORY = ("Insufficient memory", "can not be created")  # OpenCV's own, and of its numpy arrays
ATTEMPTS = 3  # to find out how many frames a damaged video has
SEEK_MARGIN = 16  # OpenCV seeks the key frame that is so many frames or more before its aim

Transform = Callable[[np.ndarray], object]  # what to make of a BGR frame
Choose = Callable[[int], list[int]]  # which frames to take, of how many


@dataclass(repr=False)
class SampledVideo:
    """The frames taken from a video, and what is known of the video."""

    frames: Sequence  # what `transform` made of each frame
    numbers: np.ndarray  # (n,) int32, the frames' numbers in the video, ascending
    facts: dict  # as in <split>_videos.csv; width, height: upright; fps: as the container says
    # (n, 4) x, y, width, height of the face, if cropped, in pixels of a frame of that size
    boxes: np.ndarray | None = None
    whole: Sequence = ()  # the n whole frames, small, where they are kept

    def __repr__(self) -> str:
        return f"<SampledVideo: {len(self.numbers)} of {self.facts['frames']} frames>"


def quiet_decoder() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: we report a broken file, with its name."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def sample_frame_numbers(total: int, n: int, step: int = 0) -> list[int]:
    """Up to n numbers of frames, ascending: 0, step, 2 step, ...; all where there are fewer.

    With step 0 they are evenly spaced: the middle of each of n equal shares of the video.
    """
    if step:
        return list(range(0, total, step))[:n]
    n = max(0, min(n, total))
    return [(2 * i + 1) * total // (2 * n) for i in range(n)]


def bgr_to_rgb(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def read_frames(
    path: str | os.PathLike,
    n: int,
    transform: Transform = bgr_to_rgb,
    threads: int = 1,
    step: int = 0,
) -> SampledVideo:
    """The frames of a video that sample_frame_numbers chooses of all its frames.

    Only frames that really decode count, and of a video file those are left out that are the same
    picture as the one before: see Taken. `transform` gets each as (H, W, 3) uint8 BGR; by default
    they come back as RGB. The path of a video made of images: see list_images. Raises InputError
    with the reason where the file gives no frame, and MemoryError where the machine has no memory
    left: that says nothing of the file.
    """
    path = Path(path)
    choose = partial(sample_frame_numbers, n=n, step=step)
    try:
        if is_made_of_images(path):
            return read_images(path, choose, transform)
        return decode_file(path, choose, transform, threads)
    except (cv2.error, OSError, MemoryError) as error:
        if tells_no_memory(error):
            raise MemoryError(f"no memory left to decode {path}: decode fewer at once") from error
        if isinstance(error, OSError):
            raise InputError(f"cannot be read: {error.strerror}") from error
        reason = " ".join(str(error).split())  # not error.err: all threads share that
        raise InputError(f"OpenCV cannot read it: {reason}") from error


def tells_no_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def decode_file(path: Path, choose: Choose, transform: Transform, threads: int) -> SampledVideo:
    """read_frames of a video file."""
    check_file(path)
    packets = scan_packets(path)
    sampled = None
    if packets.tell_frames:
        sampled = decode_by_time(path, choose, transform, packets, threads)
    return sampled or decode_by_count(path, choose, transform, len(packets.times))


def check_file(path: Path) -> None:
    """Raise InputError where no video can be opened."""
    if printable(path) != path.as_posix():
        raise InputError("its name is not valid UTF-8 or has control characters: rename it")
    if not path.is_file():  # also keeps OpenCV from waiting for a named pipe
        missing = "a broken link" if path.is_symlink() else "no such file"
        raise InputError("not a file" if path.exists() else missing)
    if path.stat().st_size == 0:
        raise InputError("empty file")


def read_images(path: Path, choose: Choose, transform: Transform) -> SampledVideo:
    """read_frames of a video made of images; one that cannot be read is left out and noted."""
    folder, names = list_images(path)
    taken, unreadable, shape = {}, [], None
    for number in choose(len(names)):
        try:
            frame = read_image(folder / names[number])
        except (cv2.error, OSError) as error:  # such as a size that OpenCV refuses, a broken link
            if tells_no_memory(error):
                raise
            frame = None
        if frame is None:
            unreadable.append(printable(names[number]))
        else:
            shape = shape or frame.shape
            taken[number] = transform(frame)
    note = ""
    if unreadable:
        n_read = len(taken) + len(unreadable)
        note = f"{len(unreadable)} of {n_read} images cannot be read, {unreadable[0]} for one"
    if not taken:
        alone = "cannot be read as an image" if names else "no images in it"
        raise InputError(note if len(names) > 1 else alone)
    return describe(path, taken, shape, len(names), "", note)


def describe(
    path: Path, taken: dict[int, object], shape: tuple, total: int, fps: float | str, note: str
) -> SampledVideo:
    """The frames taken, by number, and the facts of a video of `total` frames of this shape."""
    numbers = sorted(taken)  # frame 0 may be the last one taken
    fingerprint = find_fingerprint(path)
    facts = {
        "frames": total,
        "width": shape[1],
        "height": shape[0],
        "fps": fps,
        "duration": round(total / fps, 4) if fps else "",
        "size": int(fingerprint.partition("-")[0]),
        "note": note,
        "fingerprint": fingerprint,
    }
    return SampledVideo([taken[number] for number in numbers], np.array(numbers, np.int32), facts)


# --- Opening a file ---


def open_capture(path: Path, *parameters: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        raise InputError(explain_unopened(path))
    return capture


def open_to_decode(path: Path, threads: int) -> cv2.VideoCapture:
    capture = open_capture(path, cv2.CAP_PROP_N_THREADS, threads)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # see turn_upright
    return capture


def explain_unopened(path: Path) -> str:
    """Why FFmpeg finds no video stream in a file, as far as its own bytes tell."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] != b"ftyp":  # not MP4 or MOV
            others = (b"RIFF", b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba", b"0&\xb2u", b"GIF8")
            return "no video stream, or damaged" if data[:4].startswith(others) else "not a video"
        index = data.find(b"moov") - 4
        if index < 0 or index + int.from_bytes(data[index : index + 4]) > len(data):
            return "truncated: the index (moov) of this MP4 file is missing or cut off"
        return "damaged MP4 file" if data.find(b"vide", index) > 0 else "no video stream"


# --- Packets ---


@dataclass
class Packets:
    """What the container of a video says of its frames. Nothing is decoded for it."""

    times: np.ndarray  # (n,) int64, the time at which each is shown, in frames
    is_key: np.ndarray  # (n,) bool, whether it is a key frame
    promised: int  # number of frames that the header promises

    @property
    def tell_frames(self) -> bool:
        """Whether the times number the frames one after the other, as many as were promised."""
        steps = np.diff(np.sort(self.times))
        return 0 < len(self.times) == self.promised and bool((steps == 1).all())

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
# A frame is known by its time, or by counting those before it. By time is faster, as frames may be
# jumped over, but needs packets that number the frames, and each frame at its time. Counting works
# with any file: each frame is decoded.


def decode_by_time(
    path: Path, choose: Choose, transform: Transform, packets: Packets, threads: int
) -> SampledVideo | None:
    """Frames of a video by their times; None where one is not at its time: a jump went wrong."""
    capture = open_to_decode(path, threads)
    total, start, key_frames = len(packets.times), packets.times.min(), packets.key_frames
    wanted = choose(total)
    taken = Taken(path, transform, capture, wanted)
    number = -1  # of the last frame that was decoded or jumped over
    while capture.grab():  # decodes
        number += 1
        if round(capture.get(cv2.CAP_PROP_PTS)) - start != number:
            return None
        taken.look(number)
        number = jump_ahead(capture, number, wanted, key_frames)
    return taken.finish(total) if number + 1 == total else None


def jump_ahead(
    capture: cv2.VideoCapture, number: int, wanted: list[int], key_frames: np.ndarray
) -> int:
    """The number of the frame before the next one, after a jump towards a wanted one if it pays."""
    ahead = bisect_right(wanted, number)
    if ahead == len(wanted):
        return number
    aim = wanted[ahead]
    n_before = bisect_right(key_frames, aim - SEEK_MARGIN)
    if n_before and key_frames[n_before - 1] > number + SEEK_MARGIN:
        capture.set(cv2.CAP_PROP_POS_FRAMES, aim)
        return aim - 1
    return number


def decode_by_count(
    path: Path, choose: Choose, transform: Transform, expected: int
) -> SampledVideo:
    """Frames of a video by counting, read again where there are more or fewer than expected."""
    for _ in range(ATTEMPTS):
        # with several threads FFmpeg patches damage in another way each time
        capture = open_to_decode(path, threads=1)
        taken = Taken(path, transform, capture, choose(expected))
        total = 0
        while capture.grab():
            taken.look(total)
            total += 1
        if total == 0:
            fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
            codec = f"codec {fourcc.decode('ascii', 'replace').lower()}"
            raise InputError(f"0 frames decoded: {codec} not supported by this OpenCV, or damaged")
        if total == expected:
            return taken.finish(total)
        expected = total
    raise InputError("gives another number of frames each time it is read")


class Taken:
    """The frames taken from a video so far.

    Where FFmpeg refuses to convert a frame to BGR, OpenCV 4.13 and later give what their buffer
    holds: the frame that was converted before it, or at first any memory. So only a frame that
    differs from the one converted before it is taken.
    """

    def __init__(
        self, path: Path, transform: Transform, capture: cv2.VideoCapture, wanted: list[int]
    ):
        self.path, self.transform, self.capture = path, transform, capture
        self.wanted = set(wanted)
        self.mirrored = is_mirrored(path)
        self.frames = {}  # by number, what `transform` made of each
        self.shape = None  # of the first one taken
        self.first = self.last = None  # frame 0, and what was converted last, as OpenCV gave them

    def look(self, number: int) -> None:
        """Take the frame that was grabbed, if it is wanted. The first one is only converted.

        So are all others where it alone is wanted: it is proved by one that differs, see finish.
        """
        if number in self.wanted or self.last is None or self.wanted == {0}:
            if self.convert() and number in self.wanted:
                self.take(number)
            elif number == 0:
                self.first = self.last

    def convert(self) -> bool:
        """Convert the frame that was grabbed; whether it differs from the one before."""
        before = self.last
        ok, frame = self.capture.retrieve()
        if not ok:
            return False
        self.last = frame
        if before is None or before.shape != frame.shape:
            return False
        return not all(map(np.array_equal, frame, before))  # as a rule the first rows differ

    def take(self, number: int) -> None:
        """Take the frame that was converted last."""
        angle = self.capture.get(cv2.CAP_PROP_ORIENTATION_META)
        frame = turn_upright(self.last, angle, self.mirrored)
        self.shape = self.shape or frame.shape
        self.frames[number] = self.transform(frame)

    def finish(self, total: int) -> SampledVideo:
        """What was taken from a video of `total` frames; InputError where that is nothing.

        Frame 0 is taken now, if it comes out as it did: there is another one before it.
        """
        if 0 in self.wanted:
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            if self.capture.grab() and self.convert() and np.array_equal(self.last, self.first):
                self.take(0)
        if self.wanted == {0} and not self.frames and not np.array_equal(self.last, self.first):
            raise InputError("frame 0 alone is wanted, and it cannot be proven: take more frames")
        if not self.frames:
            raise InputError(ONE_PICTURE)
        promised = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        fps = round(fps, 4) if np.isfinite(fps) and fps > 0 else 0.0
        notes = []
        if total < promised:
            notes.append(f"{total} of {promised} frames: truncated, damaged or miscounted")
        n = len(self.wanted)
        if missing := n - len(self.frames):
            notes.append(f"{missing} of {n} frames left out: repeated or unproven pictures")
        return describe(self.path, self.frames, self.shape, total, fps, "; ".join(notes))
