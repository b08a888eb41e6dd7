"""Draw a small sample set of real and fake videos, so that the pipeline runs without data.

Nobody may redistribute the public deepfake sets, so these people are drawn. Each has a real video
and a fake one, which differs in the face alone. People come in pairs: one wears the other's face
(FaceSwap), the other's eyes and mouth move as those of the first (Reenactment). Both are made as
the first deepfakes were: a small picture scaled up, not quite of the right colour and blended in
under a soft mask, from crude to hardly visible. What a detector scores on them says nothing about
real deepfakes.

Writes real/000.mp4, fake/FaceSwap/000_001.mp4 and fake/Reenactment/001_000.mp4 (target_source),
256 x 256, 18 frames at 12.5 fps, and sample.json, which marks the folder and holds settings.

    python data/make_sample.py
    python data/make_sample.py --people 20 --output-dir small_sample
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from functools import partial
from math import pi
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from tqdm import tqdm

SAMPLE_DIR = Path(__file__).resolve().with_name("sample")
DRAWN_BY = "data/make_sample.py"
SIZE, FRAMES, FPS = 256, 18, 12.5  # few frames: a first run should take minutes
CENTRE = 128, 124  # pixels: where the middle of a face is drawn
FOCUS = 0.6, 1.6  # sigma of the camera's blur, pixels: a blurred face need not be a fake one
FACE_UNIT = 82  # pixels: about half a face's height
# The range of quality of a method's fakes: 0 is the crudest fake, 1 the finest
QUALITY = {"FaceSwap": (0.05, 0.65), "Reenactment": (0.35, 1)}
# What the crudest fake has, and the finest
FLAWS = {
    "picture_size": (16, 85),  # pixels, of the whole picture, before it is scaled up
    "colour_error": (15, 3),  # sigma of the difference from the target's skin, grey levels
    "seam_blur": (0.7, 4.5),  # sigma of the soft mask, pixels
}
# What a fake repaints: ellipses of x, y, half width, half height, in face units
AREAS = {
    "FaceSwap": [(0, 0.1, 0.7, 0.77)],
    "Reenactment": [(0, -0.2, 0.64, 0.26), (0, 0.56, 0.38, 0.24)],
}
# How people differ, in face units: a face is from about -1 to 1, y is down; widths are halves
SHAPE = {
    "width": (0.70, 0.84),
    "eye_gap": (0.30, 0.38),
    "eye_width": (0.13, 0.18),
    "nose": (0.22, 0.36),
    "mouth": (0.20, 0.32),
    "long_hair": (0.9, 1.5),
}
# Near which a person's colours lie: BGR in hexadecimal digits
COLOURS = {
    "skin": "b2cef0 8cb2e2 7096cc 567ab2 3e5a8a 2c3e62",
    "hair": "1c1a18 24344e 345886 6096c4 2a3c84 969698",
    "iris": "5a3c1e 3c6e46 1e3250",
    "clothes": "32281e 5a5046 3c4664 8c8278 bebeb4",
}


class Moment(NamedTuple):
    """What differs from frame to frame."""

    camera: np.ndarray  # (2, 3): from the upright picture to what the camera sees of it
    light: float  # what the lamp adds as it flickers, grey levels
    yaw: float  # how far eyes, nose and mouth are turned aside, face units
    eye_open: float
    mouth_open: float


def make_person(rng: Generator) -> SimpleNamespace:
    """Values of SHAPE and COLOURS, the light and pores of the skin, and the room behind."""
    person = SimpleNamespace()
    for name, bounds in SHAPE.items():
        setattr(person, name, rng.uniform(*bounds))
    for name, colours in COLOURS.items():
        colour = list(bytes.fromhex(rng.choice(colours.split())))
        setattr(person, name, np.clip(colour + rng.normal(0, 8, 3), 8, 250))
    light = np.linspace(-1, 1, SIZE) * rng.uniform(-24, 24)  # from one side
    pores = rng.normal(0, 6, (SIZE, SIZE))
    person.relief = (light + cv2.GaussianBlur(pores, (0, 0), 1))[..., None]
    person.room = make_room(rng)
    return person


def make_room(rng: Generator) -> np.ndarray:
    """A picture (SIZE, SIZE, 3) of furniture, pictures on the wall, perhaps a window."""
    room = cv2.resize(rng.uniform(90, 150, (2, 2, 3)), (SIZE, SIZE))
    for _ in range(rng.integers(4, 12)):
        left, top = rng.integers(0, SIZE, 2)
        width, height = rng.integers(20, 110, 2)
        room[top : top + height, left : left + width] = rng.uniform(100, 140, 3)
    return cv2.GaussianBlur(room, (0, 0), rng.uniform(0.8, 4)).astype(np.uint8)


def make_moments(rng: Generator) -> list[Moment]:
    """A head that turns, blinks and speaks before a hand-held camera."""
    seconds = np.arange(FRAMES) / FPS
    speeds = rng.uniform((0.2, 0.2, 0.2, 0.2, 1), (0.9, 0.9, 0.9, 0.9, 2), (1, 5))
    turns = seconds[:, None] * speeds + rng.random(5)
    eye_open = np.ones(FRAMES)
    for blink in rng.integers(0, FRAMES - 4, 2):
        eye_open[blink : blink + 4] = (0.45, 0.05, 0.05, 0.5)
    # varies the size of the files more than a fake face does
    flicker = rng.normal(0, rng.uniform(0, 8), FRAMES)
    place, zoom = rng.uniform((-14, -6), (14, 10)), rng.uniform(0.94, 1.06)
    moments = []
    for wave, light, lids in zip(np.sin(2 * pi * turns), flicker, eye_open, strict=True):
        x, y, roll, yaw, speech = wave
        camera = cv2.getRotationMatrix2D(CENTRE, 7 * roll, zoom)
        camera[:, 2] += place + (8 * x, 5 * y)
        moments.append(Moment(camera, light, 0.09 * yaw, lids, 0.15 * abs(speech)))
    return moments


def fill(canvas, x, y, half_width, half_height, colour) -> None:
    """Fill an ellipse that is given in face units."""
    unit = 16 * FACE_UNIT  # OpenCV takes sixteenths of a pixel, by its last argument
    centre = round(16 * CENTRE[0] + unit * x), round(16 * CENTRE[1] + unit * y)
    axes = round(unit * half_width), round(unit * half_height)
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA, 4)


def draw_still(person: SimpleNamespace) -> np.ndarray:
    """What stays the same in all frames: (SIZE, SIZE, 3) uint8 BGR, nothing but ellipses."""
    still = person.room.copy()
    paint = partial(fill, still)
    skin, hair, width = person.skin, person.hair, person.width
    paint(0, 0.1, width * person.long_hair, person.long_hair, hair * 0.85)
    paint(0, 0, width + 0.15, 0.2, skin * 0.88)  # ears
    paint(0, 2, 1.25, 0.95, person.clothes)
    paint(0, 0.95, 0.4, 0.42, skin * 0.78)  # neck
    paint(0, -0.12, width * 1.12, 1.12, hair)
    face = np.zeros((SIZE, SIZE, 1), np.uint8)
    fill(face, 0, 0.04, width, 1.03, 255)
    fill(face, 0, -1.34, 1.3, 0.65, 0)  # up to the hairline
    share = face / 255
    still = share * (skin + person.relief) + (1 - share) * still
    return still.clip(0, 255).astype(np.uint8)


def draw_face(person: SimpleNamespace, still: np.ndarray, moment: Moment) -> np.ndarray:
    """The still picture with eyes, nose and mouth as they are at this moment."""
    canvas = still.copy()
    paint = partial(fill, canvas)
    skin, yaw = person.skin, moment.yaw
    wide = person.eye_width
    lid = 0.6 * wide * moment.eye_open
    iris = min(lid, 0.55 * wide)
    for x in (yaw - person.eye_gap, yaw + person.eye_gap):
        paint(x, -0.16, wide * 1.25, wide, skin * 0.86)
        paint(x, -0.175, wide * 1.05, lid + 0.015, (24, 24, 30))  # lashes
        paint(x, -0.16, wide, lid, (236, 238, 240))
        paint(x + yaw * 0.2, -0.16, iris, iris, person.iris)
        paint(x + yaw * 0.2, -0.16, iris / 2, iris / 2, (16, 14, 14))
        paint(x, -0.38, wide * 1.2, 0.03, person.hair * 0.8)
    x, y = yaw * 1.4, person.nose
    paint(x - 0.06, y / 2, 0.012, y / 2, skin * 0.8)
    paint(x, y, 0.12, 0.05, skin * 0.82)
    paint(x, y, 0.08, 0.016, skin * 0.4)  # nostrils
    x, half, opening = yaw * 1.1, person.mouth, moment.mouth_open / 2
    paint(x, 0.53 + opening, half, half / 5 + opening, skin * (0.72, 0.62, 0.92))
    paint(x, 0.53 + opening, half * 0.86, 0.008 + opening, (40, 28, 60))
    paint(x, 0.54, half * 0.6, min(opening, 0.02), (225, 230, 232))  # teeth
    return canvas


def draw_frames(rng: Generator, source_rng: Generator, method: str) -> Iterator[tuple]:
    """Each frame of a person's real video, with that of the fake: (SIZE, SIZE, 3) uint8 BGR."""
    target, source = make_person(rng), make_person(source_rng)
    moments, source_moments = make_moments(rng), make_moments(source_rng)
    swapped = method == "FaceSwap"
    quality = rng.uniform(*QUALITY[method])
    flaws = {name: np.interp(quality, (0, 1), ends) for name, ends in FLAWS.items()}
    face = copy(source if swapped else target)
    face.skin = target.skin + rng.normal(0, flaws["colour_error"], 3)
    mask = np.zeros((SIZE, SIZE), np.float32)
    for ellipse in AREAS[method]:
        fill(mask, *ellipse, 1)
    mask = cv2.GaussianBlur(mask, (0, 0), flaws["seam_blur"])
    small = [round(flaws["picture_size"])] * 2
    still, face_still = draw_still(target), draw_still(face)
    film = partial(film_frame, focus=rng.uniform(*FOCUS))
    for moment, driver in zip(moments, moments if swapped else source_moments, strict=True):
        real = draw_face(target, still, moment)
        fake = draw_face(face, face_still, driver._replace(yaw=moment.yaw))
        fake = cv2.resize(fake, small, interpolation=cv2.INTER_AREA)
        fake = cv2.resize(fake, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        fake = cv2.blendLinear(fake, real, mask, 1 - mask)
        yield film(real, moment), film(fake, moment)


def film_frame(picture: np.ndarray, moment: Moment, focus: float) -> np.ndarray:
    seen = cv2.warpAffine(picture, moment.camera, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.GaussianBlur(seen, (0, 0), focus)
    return cv2.add(seen, (moment.light, moment.light, moment.light, 0))


def write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, FPS, (SIZE, SIZE))
    if not writer.isOpened():
        raise OSError(f"{path}: cannot write MPEG-4 video; install opencv-python from PyPI")
    for frame in frames:
        writer.write(frame)
    writer.release()
    written = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)
    if written != len(frames):
        raise OSError(f"{path}: not written completely; is the disk full?")


def draw_videos(folder: Path, seed: int, fake: tuple[int, int, str]) -> None:
    """Write the real video of the target and the fake that is made of it."""
    target, source, method = fake
    frames = draw_frames(default_rng((seed, target)), default_rng((seed, source)), method)
    reals, fakes = zip(*frames, strict=True)
    write_video(folder / f"real/{target:03d}.mp4", reals)
    write_video(folder / f"fake/{method}/{target:03d}_{source:03d}.mp4", fakes)


def is_drawn(folder: Path, settings: str, overwrite: bool) -> bool:
    """Whether the set is there and stays. Raises OSError where the folder must be left alone."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    mark = folder / "sample.json"
    found = mark.read_text(errors="replace") if mark.is_file() else ""
    if f'"drawn_by": "{DRAWN_BY}"' not in found:
        raise OSError(f"{folder} was not drawn by this script: name another with --output-dir")
    if found != settings and not overwrite:
        raise OSError(f"{folder} has other settings: add --overwrite, or another --output-dir")
    return not overwrite


def draw_set(output: Path, settings: str, people: int, seed: int, num_workers: int) -> None:
    """Draw in a folder of another name, and rename it at the end: the set is whole or absent."""
    fakes = []
    for i in range(0, people, 2):
        fakes += [(i, i + 1, "FaceSwap"), (i + 1, i, "Reenactment")]
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".sample-", dir=output.parent))
    spawn = get_context("spawn")  # a fork of a process with threads can hang
    try:
        with ProcessPoolExecutor(num_workers, spawn, cv2.setNumThreads, (1,)) as pool:
            done = pool.map(partial(draw_videos, folder, seed), fakes)
            list(tqdm(done, "drawing", people, unit="person", disable=None))
        (folder / "sample.json").write_text(settings)
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description="Draw the sample set: real and fake videos of drawn people.", allow_abbrev=False
    )
    known = hasattr(os, "sched_getaffinity")  # in a container not all cores are there
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count()
    cores = min(cores, 61)  # Windows waits for no more processes
    where = "folder to write to (default: sample, beside this script)"
    parser.add_argument("--output-dir", metavar="DIR", type=Path, default=SAMPLE_DIR, help=where)
    add = partial(parser.add_argument, metavar="N", type=int)
    add("--people", default=100, help="an even number from 2 to 998 (default: %(default)s)")
    add("--seed", default=0, help="another number draws other people (default: %(default)s)")
    add("--num-workers", default=cores, help="people at once (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    args = parser.parse_args(argv)
    if args.people % 2 or not 2 <= args.people <= 998:
        parser.error(f"--people is {args.people}, expected an even number from 2 to 998")
    if args.seed < 0:
        parser.error(f"--seed is {args.seed}, expected 0 or more")
    if args.num_workers < 1:
        parser.error(f"--num-workers is {args.num_workers}, expected 1 or more")
    return args


def main(argv=None):
    args = parse_args(argv)
    folder = args.output_dir
    settings = {
        "drawn_by": DRAWN_BY,
        "note": "drawn people: no figure measured on them says anything about real deepfakes",
        "seed": args.seed,
        "people": args.people,
        "frames": FRAMES,
        "fps": FPS,
        "quality": QUALITY,
        "flaws": FLAWS,
    }
    settings = json.dumps(settings, indent=2) + "\n"
    contents = f"{args.people} real and {args.people} fake videos"
    if is_drawn(folder, settings, args.overwrite):
        print(f"{folder} is there already: {contents}")
    else:
        draw_set(folder, settings, args.people, args.seed, args.num_workers)
        size = sum(path.stat().st_size for path in folder.rglob("*.mp4"))
        print(f"{contents} ({size / 1e6:.1f} MB) in {folder}")
    script = Path(__file__).resolve().parents[1] / "feature_extraction.py"
    print(f'Next: python "{script}" --videos-dir "{folder}"')


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
