"""A video turned and mirrored as one sees it."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turn_upright(frame: np.ndarray, angle: float, mirrored: bool) -> np.ndarray:
    """The frame as players show it: turned clockwise by an angle of 0, 90, 180 or 270 degrees.

    The angle is how OpenCV reads the matrix of a phone's video, but by its first row alone. Where
    the matrix mirrors, that turns the frame's rows the right way and its columns the wrong way.
    """
    if angle in TURNS:
        frame = cv2.rotate(frame, TURNS[angle])
    if mirrored:
        frame = cv2.flip(frame, 1 if angle in (90, 270) else 0)
    return frame


def find_boxes(data: mmap.mmap, name: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the content of each box of this name begins and ends, of an MP4 or MOV file."""
    while start + 8 <= end:
        size, header = int.from_bytes(data[start : start + 4]), 8
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16]), 16
        elif size == 0:  # the last one
            size = end - start
        if size < header:
            return
        if data[start + 4 : start + 8] == name:
            yield start + header, min(start + size, end)
        start += size


def is_mirrored(path: Path) -> bool:
    """Whether the matrix of the first video track of an MP4 or MOV file mirrors the picture."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for moov in find_boxes(data, b"moov", 0, len(data)):
            for track in find_boxes(data, b"trak", *moov):
                if data.find(b"vide", *track) < 0:  # its handler
                    continue
                for start, end in find_boxes(data, b"tkhd", *track):
                    start += 52 if data[start] else 40  # by the version of the box
                    if start + 20 <= end:
                        a, b, _, c, d = struct.unpack(">5i", data[start : start + 20])
                        return a * d < b * c
    return False
