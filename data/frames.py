"""A video's frames as the network sees them: whole or cropped to a face, 224 x 224."""

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from data.decode import SampledVideo, bgr_to_rgb, read_frames
from data.faces import (
    crop_square,
    detect_faces,
    follow_face,
    load_face_detector,
    scale_boxes,
    shrink,
)
from data.files import InputError

FRAME_SIZE = 224
WHOLE_SIZE = 480  # longer side of the whole frames that are kept for pictures


@dataclass(frozen=True)
class Sampling:
    """How frames are taken from a video: all that they depend on, but for the video itself."""

    frames_per_video: int = 32
    frame_step: int = 0  # frames 0, N, 2 N, ...; 0: evenly spaced
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


def sample_video(
    path: str | os.PathLike, sampling: Sampling, threads: int = 1, keep_whole: bool = False
) -> SampledVideo:
    """A video's frames as the network gets them: (n, 3, 224, 224) uint8 RGB.

    With face crops they are those of one person. Frames without the person are left out; where
    nobody is found in any, all are whole frames or the video fails. With keep_whole, `whole` has
    the n whole frames as RGB arrays, scaled down to a longer side of 480 pixels. Raises InputError
    with the reason, `no face found` among them.
    """
    margin = sampling.face_margin
    detector = None if margin is None else load_face_detector()
    may_be_whole = detector is None or sampling.if_no_face == "whole"

    def prepare(frame: np.ndarray) -> tuple:
        """What is kept of a frame. The frame itself is not: a video's would need gigabytes.

        Who is followed shows at the end only: so all faces are cut out.
        """
        boxes = detect_faces(detector, frame) if detector else np.empty((0, 4))
        crops = [resize_frame(crop_square(frame, box, margin)) for box in boxes]
        if may_be_whole:
            crops.append(resize_frame(frame))
        picture = bgr_to_rgb(shrink(frame, WHOLE_SIZE)) if keep_whole else None
        return frame.shape, boxes, crops, picture

    sampled = read_frames(path, sampling.frames_per_video, prepare, threads, sampling.frame_step)
    facts, n = sampled.facts, len(sampled.frames)
    shapes, boxes, crops, pictures = zip(*sampled.frames, strict=True)
    shape = facts["height"], facts["width"]
    detections = [scale_boxes(each, old, shape) for each, old in zip(boxes, shapes, strict=True)]
    chosen = follow_face(detections)
    used = np.flatnonzero(chosen >= 0)
    if detector:
        facts["face_share"] = round(len(used) / n, 4)
    if len(used):
        sampled.boxes = np.array([detections[i][chosen[i]] for i in used])
    elif may_be_whole:
        used = np.arange(n)  # and of each the last crop, -1
    else:
        raise InputError(f"no face found in {n} frames")
    if len(used) < n:
        missing = f"face missing in {n - len(used)} of {n} frames: left out"
        facts["note"] = "; ".join(filter(None, (facts["note"], missing)))
    sampled.frames = torch.stack([crops[i][chosen[i]] for i in used])
    sampled.numbers = sampled.numbers[used]
    sampled.whole = [pictures[i] for i in used] if keep_whole else []
    return sampled
