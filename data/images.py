"""Videos made of images: frames in a folder or loose, photos; by what any video is known."""

import hashlib
import os
import re
from bisect import bisect_left, bisect_right
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from data.files import fingerprint
from data.videos import compile_names, is_template
from data.words import IMAGE_SUFFIXES

# --- Which images, in which order ---


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def is_made_of_images(path: Path) -> bool:
    """Whether a video's path is a folder of frames, loose frames or an image."""
    return is_template(path.name) or path.is_dir() or (path.is_file() and is_image(path.name))


def list_images(path: Path) -> tuple[Path, list[str]]:
    """The folder and names of a video's images, in order: 2.png comes before 10.png.

    Frames that lie loose in a folder are named by a template, see compile_names: a/000_003_{frame}
    for a/000_003_0017.png. No names where there are none. Raises OSError.
    """
    if is_template(path.name):
        folder = path.parent
        names = select_names(list_names(folder, folder.stat().st_mtime_ns), path.name)
    elif path.is_dir():
        folder, names = path, list_names(path, path.stat().st_mtime_ns)
    else:
        return path.parent, [path.name]
    return folder, sorted(names, key=natural_key)


@lru_cache(maxsize=64)  # a folder may hold the frames of a thousand videos
def list_names(folder: Path, mtime_ns: int) -> list[str]:
    """The sorted names of all images of a folder, which is read again when its time changes.

    No image is looked at: there may be a million.
    """
    with os.scandir(folder) as scan:
        return sorted(entry.name for entry in scan if is_image(entry.name) and not entry.is_dir())


def select_names(names: list[str], template: str) -> list[str]:
    """Those of the sorted names that have the form of a template."""
    begin = template.partition("{")[0]
    first = bisect_left(names, begin)
    last = bisect_right(names, begin, key=lambda name: name[: len(begin)])
    regex = compile_names(template)
    return [name for name in names[first:last] if regex.fullmatch(name.rpartition(".")[0])]


def natural_key(name: str) -> tuple[list[int], str]:
    """A key to sort names by the numbers in them, then by name."""
    return [int(number) for number in re.findall("[0-9]+", name)], name


def count_images(path: Path) -> int:
    """How many images a video is made of; 0 for a video file, and where nothing can be read."""
    try:
        return len(list_images(path)[1]) if is_made_of_images(path) else 0
    except OSError:
        return 0


# --- What a video is, without decoding it ---


def file_key(path: Path) -> dict:
    """What changes when a video's file does, or the images that it is made of. Raises OSError."""
    if not (is_template(path.name) or path.is_dir()):
        stat = path.stat()
        return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    folder, names = list_images(path)
    digest, total = hashlib.sha256(), 0
    for name in names:
        size, mtime_ns = size_and_time(folder / name)
        digest.update(os.fsencode(name) + f" {size} {mtime_ns}\n".encode())
        total += size
    return {"size": total, "images": digest.hexdigest()}


def size_and_time(image: Path) -> tuple[int, int]:
    """Bytes, and time of change in ns; zeros for a broken link: that is an unreadable image."""
    try:
        stat = image.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def find_fingerprint(path: Path) -> str:
    """What a video is, wherever it lies: its size in bytes and a hash. Raises OSError.

    That of a file or of one image is its `fingerprint`. Of several images it hashes their sizes and
    the two ends, the first and the last that can be read.
    """
    if not is_made_of_images(path):
        return fingerprint(path)
    folder, names = list_images(path)
    images = [folder / name for name in names]
    if len(images) == 1:
        return fingerprint(images[0])
    sizes = [size_and_time(image)[0] for image in images]
    readable = [image for image in images if os.access(image, os.R_OK)]
    ends = [fingerprint(image) for image in (*readable[:1], *readable[-1:])]
    digest = hashlib.sha256(f"{sizes} {''.join(ends)}".encode())
    return f"{sum(sizes)}-{digest.hexdigest()[:16]}"


# --- Reading one ---


def read_image(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, as one sees it; None where it cannot be read.

    16 bits become 8, what is transparent lies on white, and what is opaque is turned as EXIF says.
    Raises cv2.error and OSError.
    """
    if not path.is_file():  # a broken link; or a pipe, which would be waited for
        return None
    # not cv2.imread: it would take clip_%03d.png for a sequence, and on Windows want ASCII
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None or is_opaque(data):
        return image
    whole = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if whole is None or whole.shape[2:] != (4,):
        return image
    return lay_on_white(whole)


def is_opaque(data: np.ndarray) -> bool:
    """Whether the head of a file rules out transparency: JPEG, and most grey and RGB PNG."""
    head = data[:4096].tobytes().partition(b"IDAT")[0]
    if head.startswith(b"\x89PNG"):
        return head[25:26] in (b"\0", b"\2") and b"tRNS" not in head
    return head.startswith(b"\xff\xd8")


def lay_on_white(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of an (H, W, 4) BGRA image of 8 or 16 bits, as it looks on white."""
    most = np.iinfo(image.dtype).max
    colours, opacity = np.split(image.astype(np.float32) / most, [3], axis=2)
    return (255 * (colours * opacity + 1 - opacity)).round().astype(np.uint8)
