"""A video's frames as the network sees them: whole or cropped to a face, 224 x 224."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from data.decode import FRAME_CHOICES, SampledVideo, bgr_to_rgb, read_frames
from data.faces import crop_square, detect_faces, follow_face, load_face_detector, shrink
from data.files import InputError

FRAME_SIZE = 224
WHOLE_SIZE = 480  # longer side of the whole frames that are kept for pictures
AGAIN = "run feature_extraction.py again"


# --- What is done with each video ---


@dataclass(frozen=True)
class Crop:
    """How frames are cropped to a face."""

    margin: float  # side of the crop, in longer sides of the box around the face
    no_face: str  # a video without a face: "fail", or "whole" frames
    detector_sha256: str  # how the hash of the face detector's file starts

    @classmethod
    def from_dict(cls, content) -> "Crop":
        """The crop that asdict wrote. Raises ValueError that names what is missing or wrong."""
        if not isinstance(content, dict):
            raise wrong("crop", content, "null or an object")
        known = [each.name for each in fields(cls)]
        refuse_unknown(content, known, "crop.")
        for name in known:
            if name not in content:
                raise ValueError(f"crop.{name} is missing: {AGAIN}")
        margin = content["margin"]
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        if not is_number or not 1 <= margin < np.inf:
            raise wrong("crop.margin", margin, "a number from 1")
        if content["no_face"] not in ("fail", "whole"):
            raise wrong("crop.no_face", content["no_face"], "fail or whole")
        if not isinstance(content["detector_sha256"], str):
            raise wrong("crop.detector_sha256", content["detector_sha256"], "text")
        return cls(**content)


@dataclass
class Extraction:
    """How the features of a set are made, and of which videos: the content of extraction.json."""

    frames_per_video: int
    frame_choice: str = FRAME_CHOICES[0]
    crop: Crop | None = None  # None: whole frames
    weights: dict = field(default_factory=dict)  # name, sha256, and instead_of where others failed
    device: str = "cpu"
    versions: dict = field(default_factory=dict)  # of packages, and of Python
    videos_dir: str = ""
    layout: str = ""
    compression: str = "all"
    sample: dict | None = None  # how the sample set was drawn, if it is one
    counts: dict = field(default_factory=dict)  # found, used, failed; frames by split

    sampling: ClassVar[str] = "the middle frame of each of n equal shares of the video"
    frame_size: ClassVar[int] = FRAME_SIZE

    def to_dict(self) -> dict:
        """Plain values, for JSON and for the checkpoint."""
        return asdict(self) | {"sampling": self.sampling, "frame_size": self.frame_size}

    @classmethod
    def from_dict(cls, content) -> "Extraction":
        """The extraction that to_dict wrote; its weights must be known.

        Raises ValueError that names what is missing, wrong, or of another version.
        """
        if not isinstance(content, dict):
            raise wrong("the extraction", content, "an object")
        values = dict(content)
        for name, ours in (("sampling", cls.sampling), ("frame_size", cls.frame_size)):
            theirs = values.pop(name, ours)
            if theirs != ours:
                raise wrong(name, theirs, f"{ours!r}, as this version has it")
        refuse_unknown(values, [each.name for each in fields(cls)])
        for name in ("frames_per_video", "weights"):
            if name not in values:
                raise ValueError(f"{name} is missing: {AGAIN}")
        check_types(values)
        if values.get("crop") is not None:
            values["crop"] = Crop.from_dict(values["crop"])
        return cls(**values)

    def recipe(self) -> dict:
        """All that changes features: those of two extractions with one recipe are alike."""
        versions = {}
        for package in ("torch", "torchvision", "opencv"):
            versions[package] = self.versions.get(package, "")
        return {
            "weights": self.weights.get("sha256", ""),
            "frames_per_video": self.frames_per_video,
            "frame_choice": self.frame_choice,
            "sampling": self.sampling,
            "crop": self.crop and asdict(self.crop),
            "frame_size": self.frame_size,
            "device": self.device,
            "versions": versions,
        }


def wrong(name: str, found, wanted: str) -> ValueError:
    return ValueError(f"{name} is {found!r:.80}, expected {wanted}: {AGAIN}")


def refuse_unknown(content: dict, known: list[str], prefix: str = "") -> None:
    for name in content:
        if name not in known:
            raise ValueError(f"{prefix}{name} is from another version of this program: {AGAIN}")


def check_types(values: dict) -> None:
    """Raise ValueError where a value of an extraction, but for its crop, is of a wrong type."""
    n = values["frames_per_video"]
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise wrong("frames_per_video", n, "a whole number from 1")
    choice = values.get("frame_choice", FRAME_CHOICES[0])
    if choice not in FRAME_CHOICES:
        raise wrong("frame_choice", choice, " or ".join(FRAME_CHOICES))
    if values.get("crop") == "none":
        raise ValueError(f"crop is 'none', written by an earlier version of this program: {AGAIN}")
    for name in ("device", "videos_dir", "layout", "compression"):
        if not isinstance(values.get(name, ""), str):
            raise wrong(name, values[name], "text")
    for name in ("weights", "versions", "counts"):
        if not isinstance(values.get(name, {}), dict):
            raise wrong(name, values[name], "an object")
    if not isinstance(values.get("sample"), dict | None):
        raise wrong("sample", values["sample"], "null or an object")
    for name in ("name", "sha256"):
        if not isinstance(values["weights"].get(name), str):
            raise wrong(f"weights.{name}", values["weights"].get(name), "text")


# --- Doing it ---


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
    path: str | os.PathLike, extraction: Extraction, threads: int = 1, keep_whole: bool = False
) -> SampledVideo:
    """A video's frames as the network gets them: (n, 3, 224, 224) uint8 RGB.

    With face crops they are those of one person. With keep_whole, `whole` has the n whole frames as
    RGB arrays, scaled down to a longer side of 480 pixels. Raises InputError with the reason,
    `no face found` among them.
    """
    n, choice = extraction.frames_per_video, extraction.frame_choice
    read = partial(read_frames, path, n, choice=choice, threads=threads)
    if extraction.crop is None:
        return sample_whole(read, keep_whole)
    return sample_cropped(read, extraction.crop, keep_whole)


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

    boxes: np.ndarray  # (k, 4)
    crops: list[torch.Tensor]  # k of (3, 224, 224)
    picture: np.ndarray | None


def sample_cropped(
    read: Callable[[Callable], SampledVideo], crop: Crop, keep_whole: bool
) -> SampledVideo:
    """Frames of the video that `read` reads, cropped to the face of one person.

    Who is followed shows at the end only: so all faces are cut out, and where the person is not
    seen in a frame, the video is read again.
    """
    detector = load_face_detector()

    def cut_all(frame: np.ndarray, number: int) -> Faces:
        boxes = detect_faces(detector, frame)
        crops = [resize_frame(crop_square(frame, box, crop.margin)) for box in boxes]
        return Faces(boxes, crops, keep_picture(frame) if keep_whole else None)

    sampled = read(cut_all)
    faces: list[Faces] = sampled.frames
    chosen, boxes = follow_face([each.boxes for each in faces], sampled.numbers)
    if boxes is None and crop.no_face == "fail":
        raise InputError(f"no face found in {len(chosen)} frames")
    if (chosen >= 0).all():
        frames = [each.crops[k] for each, k in zip(faces, chosen, strict=True)]
    else:
        frames = cut_again(read, sampled.numbers, boxes, crop.margin)
    facts = sampled.facts | {"face_share": round(float(np.mean(chosen >= 0)), 4)}
    whole = [each.picture for each in faces] if keep_whole else []
    return SampledVideo(torch.stack(frames), sampled.numbers, facts, boxes, whole)


def cut_again(
    read: Callable[[Callable], SampledVideo],
    numbers: np.ndarray,
    boxes: np.ndarray | None,
    margin: float,
) -> list[torch.Tensor]:
    """The crops around these boxes (n, 4) in the frames of these numbers; without boxes, whole."""
    box_at = {}
    if boxes is not None:
        box_at = dict(zip(numbers.tolist(), boxes, strict=True))

    def cut(frame: np.ndarray, number: int) -> torch.Tensor:
        if number in box_at:
            frame = crop_square(frame, box_at[number], margin)
        return resize_frame(frame)

    again = read(cut)
    if not np.array_equal(again.numbers, numbers):
        raise InputError("gives other frames each time it is read")
    return again.frames
