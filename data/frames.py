"""A video's frames as the network sees them: whole or cropped to a face, 224 x 224."""

import os
from functools import partial

import numpy as np
import torch
from torch import nn

from data.decode import FRAME_CHOICES, SampledVideo, read_frames
from data.faces import crop_square, detect_faces, follow_face, load_face_detector
from data.files import InputError

FRAME_SIZE = 224


def resize_frame(frame: np.ndarray) -> torch.Tensor:
    """(3, 224, 224) uint8 RGB from an (H, W, 3) uint8 BGR frame, within one grey level of PIL's bilinear resize."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]  # a view: channels-last in memory, the fast form
    size = (FRAME_SIZE, FRAME_SIZE)
    return nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)[0].flip(0)


def sample_video(path: str | os.PathLike, settings: dict, threads: int = 1) -> SampledVideo:
    """A video's frames as the network gets them, (3, 224, 224) uint8 RGB, by the settings that extraction.json holds.

    With face crops they are those of one person. Raises InputError with the reason, `no face found` among them.
    """
    choice, crop = settings.get("frame_choice", FRAME_CHOICES[0]), settings.get("crop", "none")
    read = partial(read_frames, path, settings["frames_per_video"], choice=choice, threads=threads)
    if crop == "none":
        return read(lambda frame, number: resize_frame(frame))
    detector = load_face_detector()

    def cut_all(frame: np.ndarray, number: int) -> tuple[np.ndarray, list[torch.Tensor]]:
        found = detect_faces(detector, frame)
        return found, [resize_frame(crop_square(frame, box, crop["margin"])) for box in found]

    sampled = read(cut_all)  # who is followed shows at the end: so all faces are cut out, and no frame is kept
    chosen, boxes = follow_face([found for found, _ in sampled.frames], sampled.numbers)
    if boxes is None and crop["no_face"] == "fail":
        raise InputError(f"no face found in {len(chosen)} frames")
    if (chosen >= 0).all():
        frames = [crops[k] for (_, crops), k in zip(sampled.frames, chosen, strict=True)]
    else:  # read again, now that it is known where to look
        box_at = {} if boxes is None else dict(zip(sampled.numbers.tolist(), boxes, strict=True))

        def cut(frame: np.ndarray, number: int) -> torch.Tensor:
            return resize_frame(crop_square(frame, box_at[number], crop["margin"]) if number in box_at else frame)

        again = read(cut)
        if not np.array_equal(again.numbers, sampled.numbers):
            raise InputError("gives other frames each time it is read")
        frames = again.frames
    facts = sampled.facts | {"face_share": round(float(np.mean(chosen >= 0)), 4)}
    return SampledVideo(frames, sampled.numbers, facts, boxes)
