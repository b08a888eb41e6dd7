"""A video's frames as the network sees them: whole or cropped to a face, 224 x 224."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from data.decode import SampledVideo, bgr_to_rgb, read_frames
from data.faces import crop_square, detect_faces, follow_face, load_face_detector, shrink
from data.files import InputError

FRAME_SIZE = 224
WHOLE_SIZE = 480  # longer side of the whole frames that are kept for pictures


@dataclass(frozen=True)
class Sampling:
    """How frames are taken from a video: all that they depend on, but for the video itself."""

    frames_per_video: int = 32
    face_margin: float | None = None  # side of the crop in longer sides of the face; None: no crop
    if_no_face: str = "skip"  # what becomes of a video without a face; or "whole": whole frames
    face_model: str = ""  # sha256 of the face detector


def resize_frame(frame: np.ndarray) -> torch.Tensor:
    """(3, 224, 224) uint8 RGB from an (H, W, 3) uint8 BGR frame.

    Within one grey level of PIL's bilinear resize.
    """
    # a view: channels-last in memory, the fast form
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
    size = (FRAME_SIZE, FRAME_SIZE)
    resized = nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return resized[0].flip(0)


def keep_picture(frame: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB from a BGR frame: the whole frame, small enough to keep."""
    return bgr_to_rgb(shrink(frame, WHOLE_SIZE))


def sample_video(
    path: str | os.PathLike, sampling: Sampling, threads: int = 1, keep_whole: bool = False
) -> SampledVideo:
    """A video's frames as the network gets them: (n, 3, 224, 224) uint8 RGB.

    With face crops they are those of one person. With keep_whole, `whole` has the n whole frames as
    RGB arrays, scaled down to a longer side of 480 pixels. Raises InputError with the reason,
    `no face found` among them.
    """
    read = partial(read_frames, path, sampling.frames_per_video, threads=threads)
    if sampling.face_margin is None:
        return sample_whole(read, keep_whole)
    return sample_cropped(read, sampling, keep_whole)


def sample_whole(read: Callable[[Callable], SampledVideo], keep_whole: bool) -> SampledVideo:
    """Whole frames of the video that `read` reads."""

    def prepare(frame: np.ndarray, number: int) -> tuple[torch.Tensor, np.ndarray | None]:
        return resize_frame(frame), keep_picture(frame) if keep_whole else None

    sampled = read(prepare)
    resized, pictures = zip(*sampled.frames, strict=True)
    whole = list(pictures) if keep_whole else []
    return SampledVideo(torch.stack(resized), sampled.numbers, sampled.facts, whole=whole)


@dataclass
class Faces:
    """What is found in a frame. The frame itself is not kept: a video's would need gigabytes."""

    boxes: np.ndarray  # (k, 4), in pixels of this frame
    size: tuple[int, int]  # width, height of this frame
    crops: list[torch.Tensor]  # k of (3, 224, 224), and the whole frame where that may be used
    picture: np.ndarray | None


def sample_cropped(
    read: Callable[[Callable], SampledVideo], sampling: Sampling, keep_whole: bool
) -> SampledVideo:
    """Frames of the video that `read` reads, cropped to the face of one person.

    Who is followed shows at the end only: so all faces are cut out. Frames without the person are
    left out; where nobody is found in any, all are whole frames or the video fails.
    """
    detector = load_face_detector()
    may_be_whole = sampling.if_no_face == "whole"

    def cut_all(frame: np.ndarray, number: int) -> Faces:
        boxes = detect_faces(detector, frame)
        crops = [resize_frame(crop_square(frame, box, sampling.face_margin)) for box in boxes]
        crops += [resize_frame(frame)] if may_be_whole else []
        return Faces(boxes, frame.shape[1::-1], crops, keep_picture(frame) if keep_whole else None)

    sampled = read(cut_all)
    faces: list[Faces] = sampled.frames
    facts, n = sampled.facts, len(faces)
    size = facts["width"], facts["height"]
    detections = [scale_boxes(each.boxes, each.size, size) for each in faces]
    chosen = follow_face(detections)
    used = np.flatnonzero(chosen >= 0)
    facts["face_share"] = round(len(used) / n, 4)
    boxes = None
    if len(used):
        boxes = np.array([detections[i][chosen[i]] for i in used])
    elif may_be_whole:
        used = np.arange(n)  # and of each the last crop, -1
    else:
        raise InputError(f"no face found in {n} frames")
    if len(used) < n:
        missing = f"face missing in {n - len(used)} of {n} frames: left out"
        facts["note"] = "; ".join(filter(None, (facts["note"], missing)))
    frames = torch.stack([faces[i].crops[chosen[i]] for i in used])
    whole = [faces[i].picture for i in used] if keep_whole else []
    return SampledVideo(frames, sampled.numbers[used], facts, boxes, whole)


def scale_boxes(boxes: np.ndarray, size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """(k, 4) boxes of a frame of one size (width, height), as they lie in one of another size."""
    return boxes * np.tile(np.divide(new_size, size), 2)
