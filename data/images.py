"""A video made of images: a folder of frames, frames loose among others, or a photo."""

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from data.files import fingerprint
from data.walk import IMAGE_SUFFIXES, NUMBERED

# --- Which images, in which order -----------------------------------------------------------------


def is_image(path: Path) -> bool:
    """Whether a path is that of an image by its name."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def is_made_of_images(path: Path) -> bool:
    """Whether a video's path is a folder of frames, an image, or what loose frames are named."""
    if path.is_file():
        return is_image(path)
    return path.is_dir() or (path.parent.is_dir() and bool(list_images(path)))


def list_images(path: Path) -> list[Path]:
    """The images of a video, in order: numbers in their names count, so 2.png is before 10.png.

    Frames that lie loose in a folder are named by what their names have in common: a/000_003 for
    a/000_003_0017.png. Empty where there are none. Raises OSError.
    """
    if path.is_dir():
        return list_by_prefix(path, path.stat().st_mtime_ns)[None]
    if is_image(path):
        return [path]
    folder = path.parent
    return list_by_prefix(folder, folder.stat().st_mtime_ns).get(path.name, [])


@lru_cache(maxsize=64)  # a folder may hold the frames of a thousand videos
def list_by_prefix(folder: Path, mtime_ns: int) -> dict[str | None, list[Path]]:
    """{what stands before the number: images}, in order; None: all images of the folder."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    images = sorted((folder / name for name in names if is_image(Path(name))), key=natural_key)
    by_prefix = {None: images}
    for image in images:
        match = NUMBERED.fullmatch(image.stem)
        if match:
            by_prefix.setdefault(match[1], []).append(image)
    return by_prefix


def natural_key(path: Path) -> tuple:
    """A key to sort names by the numbers in them."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part for part in parts], path.name


# --- What a video is, without reading it ----------------------------------------------------------


def file_key(path: Path) -> dict:
    """What changes when a video's file does, or the images that it is made of. Raises OSError."""
    if path.is_file():
        stat = path.stat()
        return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    digest, size = hashlib.sha256(), 0
    for image in list_images(path):
        stat = image.stat()
        digest.update(f"{image.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        size += stat.st_size
    if not size:
        path.stat()  # raises that there is no such file
    return {"size": size, "images": digest.hexdigest()}


def fingerprint_images(images: list[Path]) -> str:
    """What a video made of images is, wherever it lies: their sizes and a hash of the two ends.

    Of one image, fingerprint of the file. Raises OSError.
    """
    if len(images) == 1:
        return fingerprint(images[0])
    sizes = [image.stat().st_size for image in images]
    ends = fingerprint(images[0]) + fingerprint(images[-1])
    digest = hashlib.sha256(f"{sizes} {ends}".encode())
    return f"{sum(sizes)}-{digest.hexdigest()[:16]}"


# --- Reading one ----------------------------------------------------------------------------------


def read_image(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, as one sees it; None where it cannot be read.

    16 bits become 8, what is transparent lies on white, and EXIF's rotation is applied to JPEG.
    Raises cv2.error and OSError.
    """
    # not cv2.imread: it would take clip_%03d.png for a sequence, and on Windows want ASCII
    data = np.fromfile(path, np.uint8)
    if not len(data):
        return None
    is_jpeg = data[:2].tobytes() == b"\xff\xd8"
    image = cv2.imdecode(data, cv2.IMREAD_COLOR if is_jpeg else cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    image = to_bytes(image)
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return lay_on_white(image) if image.shape[2] == 4 else image


def to_bytes(image: np.ndarray) -> np.ndarray:
    """The image with 8 bits: of 16 the upper ones; of floats, 0 to 1 become 0 to 255."""
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        return np.clip(255 * image.astype(np.float32), 0, 255).round().astype(np.uint8)
    return image


def lay_on_white(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) of an (H, W, 4) BGRA image, as it looks on white."""
    opacity = image[..., 3:].astype(np.float32) / 255
    return (image[..., :3] * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
