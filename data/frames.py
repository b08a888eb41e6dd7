"""A video's frames as the network sees them: whole or cropped to a face, 224 x 224."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from data.decode import FRAME_CHOICES, SampledVideo, bgr_to_rgb, read_frames
from data.faces import crop_square, detect_faces, follow_face, load_face_detector, shrink
from data.files import InputError

FRAME_SIZE = 224
WHOLE_SIZE = 480  # longer side of the whole frames that are kept for pictures


@dataclass(frozen=True)
class Sampling:
    """How frames are taken from a video: all that they depend on, but for the video itself."""

    frames_per_video: int = 32
    frame_choice: str = FRAME_CHOICES[0]
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
    n, choice = sampling.frames_per_video, sampling.frame_choice
    read = partial(read_frames, path, n, choice=choice, threads=threads)
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
    crops: list[torch.Tensor]  # k of (3, 224, 224)
    picture: np.ndarray | None


def sample_cropped(
    read: Callable[[Callable], SampledVideo], sampling: Sampling, keep_whole: bool
) -> SampledVideo:
    """Frames of the video that `read` reads, cropped to the face of one person.

    Who is followed shows at the end only: so all faces are cut out, and where the person is not
    seen in a frame, the video is read again.
    """
    detector = load_face_detector()

    def cut_all(frame: np.ndarray, number: int) -> Faces:
        boxes = detect_faces(detector, frame)
        crops = [resize_frame(crop_square(frame, box, sampling.face_margin)) for box in boxes]
        return Faces(boxes, frame.shape[1::-1], crops, keep_picture(frame) if keep_whole else None)

    sampled = read(cut_all)
    faces: list[Faces] = sampled.frames
    detections = [scale_boxes(each.boxes, each.size, faces[0].size) for each in faces]
    chosen, boxes = follow_face(detections, sampled.numbers)
    if boxes is None and sampling.if_no_face == "skip":
        raise InputError(f"no face found in {len(chosen)} frames")
    if (chosen >= 0).all():
        frames = [each.crops[k] for each, k in zip(faces, chosen, strict=True)]
    else:
        frames = cut_again(read, sampled.numbers, boxes, faces[0].size, sampling.face_margin)
    facts = sampled.facts | {"face_share": round(float(np.mean(chosen >= 0)), 4)}
    whole = [each.picture for each in faces] if keep_whole else []
    return SampledVideo(torch.stack(frames), sampled.numbers, facts, boxes, whole)


def scale_boxes(boxes: np.ndarray, size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """(..., 4) boxes of a frame of one size (width, height), as they lie in one of another size."""
    scale = np.divide(new_size, size)
    return boxes * np.tile(scale, 2)


def cut_again(
    read: Callable[[Callable], SampledVideo],
    numbers: np.ndarray,
    boxes: np.ndarray | None,
    size: tuple[int, int],
    margin: float,
) -> list[torch.Tensor]:
    """The crops around these boxes in the frames of these numbers; without boxes, whole frames.

    Boxes (n, 4) are as in a frame of this size (width, height): images may differ in size.
    """
    box_at = {}
    if boxes is not None:
        box_at = dict(zip(numbers.tolist(), boxes, strict=True))

    def cut(frame: np.ndarray, number: int) -> torch.Tensor:
        if number in box_at:
            box = scale_boxes(box_at[number], size, frame.shape[1::-1])
            frame = crop_square(frame, box, margin)
        return resize_frame(frame)

    again = read(cut)
    if not np.array_equal(again.numbers, numbers):
        raise InputError("gives other frames each time it is read")
    return again.frames
