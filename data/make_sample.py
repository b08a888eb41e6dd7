"""Draw a small sample set of real and fake videos, so that the pipeline runs without data.

Nobody may redistribute the public deepfake sets, so these people are drawn, not filmed. Each has a
real video and a fake one, which differs from it in the face alone. People come in pairs: one wears
the other's face (FaceSwap), the other's eyes and mouth move as those of the first (Reenactment).
Both are made as the first deepfakes were: a small picture scaled up, partly matched in colour and
blended in under a soft mask, each with a quality of its own, from crude to hardly visible. What a
detector scores on them says nothing about real deepfakes.

Writes real/000.mp4, fake/FaceSwap/000_003.mp4 and fake/Reenactment/003_000.mp4 (target_source),
256 x 256, 25 fps, 1.6 s, and sample.json, which marks the folder as drawn and holds the settings.

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
from functools import partial
from math import cos, degrees, pi, sin
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from tqdm import tqdm

SAMPLE_DIR = Path(__file__).resolve().with_name("sample")
MAX_WORKERS = 61  # Windows waits for no more processes
SIZE, FRAMES, FPS = 256, 40, 25
BORDER = 32  # pixels: how far the background reaches beyond the picture
TEXTURE_SIZE = 160  # pixels: the skin is a square picture of 2.4 face units
# What the crudest fake has, and the finest
QUALITY = {
    "picture_size": [20, 140],  # pixels, of the whole frame, before it is scaled up
    "colour_match": [0.1, 0.9],  # share of the difference of the two skins that is taken away
    "seam_blur": [0.7, 4.5],  # sigma of the soft mask, pixels
    "jitter": [1.2, 0.3],  # sigma of the fake face's place from frame to frame, pixels
}
# What a fake repaints: ellipses of x, y, half width, half height, in face units
AREAS = {
    "FaceSwap": ((0, 0.14, 0.66, 0.76),),
    "Reenactment": ((-0.34, -0.2, 0.3, 0.26), (0.34, -0.2, 0.3, 0.26), (0, 0.56, 0.38, 0.24)),
}
# How people differ, in face units: a face is from about -1 to 1, y is down; widths are halves
SHAPE = {
    "width": (0.70, 0.84),
    "eye_gap": (0.30, 0.38),
    "eye_width": (0.13, 0.18),
    "brow": (0.015, 0.045),
    "nose": (0.22, 0.36),
    "mouth": (0.20, 0.32),
    "long_hair": (0.9, 1.5),
}
# Near which a person's colours lie: BGR in hexadecimal digits
COLOURS = {
    "skin": ("b2cef0", "8cb2e2", "7096cc", "567ab2", "3e5a8a", "2c3e62"),
    "hair": ("1c1a18", "24344e", "345886", "6096c4", "2a3c84", "969698"),
    "iris": ("5a3c1e", "3c6e46", "1e3250"),
}


class Pose(NamedTuple):
    """Where the head is in one frame and what the face does."""

    x: float
    y: float
    scale: float  # pixels a face unit
    roll: float  # radians
    yaw: float = 0  # shift of the inner face, face units
    eye_open: float = 1
    mouth_open: float = 0


def make_person(rng: Generator) -> SimpleNamespace:
    """Values of SHAPE and COLOURS, clothes, and pictures of the skin (texture) and background."""
    shape = {name: rng.uniform(*bounds) for name, bounds in SHAPE.items()}
    person = SimpleNamespace(**shape, clothes=muted_colours(rng), background=make_background(rng))
    for name, colours in COLOURS.items():
        colour = list(bytes.fromhex(rng.choice(colours)))
        setattr(person, name, np.clip(colour + rng.normal(0, 8, 3), 8, 250))
    y, x = np.mgrid[-1 : 1 : TEXTURE_SIZE * 1j, -1 : 1 : TEXTURE_SIZE * 1j]
    light = rng.uniform(-16, 16) * x - rng.uniform(0, 14) * y - 16 * (x**2 + y**2)
    pores = cv2.GaussianBlur(rng.normal(0, rng.uniform(6, 12), x.shape), (0, 0), 0.9)
    texture = person.skin + (light + pores)[..., None]
    person.texture = np.clip(texture, 0, 255).astype(np.uint8)
    return person


def muted_colours(rng: Generator, *shape: int) -> np.ndarray:
    """Random colours (*shape, 3), half way to their grey, as most things in a room are."""
    colours = rng.uniform(20, 235, (*shape, 3))
    return (colours + colours.mean(-1, keepdims=True)) / 2


def make_background(rng: Generator) -> np.ndarray:
    side = SIZE + 2 * BORDER
    image = cv2.resize(muted_colours(rng, 2, 2).astype(np.float32), (side, side))
    for _ in range(rng.integers(4, 12)):  # furniture, pictures, a window
        x, y, width, height = rng.integers((0, 0, 20, 20), (side, side, 110, 110))
        image[y : y + height, x : x + width] = muted_colours(rng)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 4.0))
    image += rng.normal(0, rng.uniform(1, 6), (side, side, 1))
    return (110 + 0.15 * image).astype(np.uint8)  # little contrast: it is the face that counts


def make_poses(rng: Generator) -> list[Pose]:
    turns = rng.uniform(0.2, 0.9, (6, 1)) * np.arange(FRAMES) / FPS + rng.random((6, 1))
    x, y, distance, roll, yaw, mood = np.sin(2 * pi * turns)
    (x0, y0), scale = rng.uniform((112, 112), (144, 128)), rng.uniform(84, 94)
    eye_open = np.ones(FRAMES)
    for blink in rng.integers(0, FRAMES - 4, 2):
        eye_open[blink : blink + 4] = (0.45, 0.05, 0.05, 0.5)
    speech = np.sin(2 * pi * rng.uniform(2.5, 4) * np.arange(FRAMES) / FPS)
    mouth_open = np.abs(0.08 * mood + 0.06 * speech) * rng.uniform(0.4, 1.3)
    place = (x0 + 8 * x, y0 + 5 * y, scale * (1 + 0.03 * distance), 0.12 * roll, 0.09 * yaw)
    return [Pose(*values) for values in zip(*place, eye_open, mouth_open, strict=True)]


def head_matrix(pose: Pose) -> np.ndarray:
    """Map (2, 3) from face units to pixels."""
    x, y = pose.scale * cos(pose.roll), pose.scale * sin(pose.roll)
    return np.array([[x, -y, pose.x], [y, x, pose.y]])


def fill(canvas, pose: Pose, x, y, half_width, half_height, colour) -> None:
    """Fill an ellipse that is given in face units."""
    centre = head_matrix(pose) @ (x, y, 1)
    axes = pose.scale * np.array([half_width, half_height])
    centre, axes = np.round(16 * np.stack([centre, axes])).astype(int).tolist()  # 1/16 pixel
    angle, colour = degrees(pose.roll), np.ravel(colour).astype(float).tolist()
    cv2.ellipse(canvas, centre, axes, angle, 0, 360, colour, cv2.FILLED, cv2.LINE_AA, shift=4)


def draw_person(person: SimpleNamespace, pose: Pose) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) uint8 BGR, nothing but ellipses."""
    left, top = BORDER - round(pose.x - 128), BORDER - round(pose.y - 120)  # a hand-held camera
    canvas = person.background[top : top + SIZE, left : left + SIZE].copy()
    paint = partial(fill, canvas, pose)
    skin, width = person.skin, person.width
    paint(0, 0, width + 0.15, 0.2, skin * 0.88)  # ears
    paint(0, 0.1, width * person.long_hair, person.long_hair, person.hair * 0.85)
    body = Pose(pose.x * 0.4 + 77, pose.y * 0.3 + 84, 62, pose.roll * 0.2)
    fill(canvas, body, 0, 2.5, 1.75, 1.35, person.clothes)
    paint(0, 0.95, 0.4, 0.42, skin * 0.78)  # neck
    paint(0, -0.12, width * 1.12, 1.12, person.hair)

    face = np.zeros((SIZE, SIZE), np.uint8)
    fill(face, pose, 0, 0.04, width, 1.03, 255)
    fill(face, pose, 0, -1.34, 1.3, 0.65, 0)  # up to the hairline
    unit = 2.4 / TEXTURE_SIZE
    to_pixels = head_matrix(pose) @ [[unit, 0, -1.2], [0, unit, -1.2], [0, 0, 1]]
    texture = cv2.warpAffine(person.texture, to_pixels, face.shape)
    cv2.blendLinear(texture, canvas, face / np.float32(255), 1 - face / np.float32(255), canvas)

    wide, lid = person.eye_width, 0.6 * person.eye_width * pose.eye_open
    iris = min(lid, wide * 0.55)
    for x in (pose.yaw - person.eye_gap, pose.yaw + person.eye_gap):
        paint(x, -0.16, wide * 1.25, wide, skin * 0.86)
        paint(x, -0.175, wide * 1.05, lid + 0.015, (24, 24, 30))
        paint(x, -0.16, wide, lid, (236, 238, 240))
        paint(x + pose.yaw * 0.2, -0.16, iris, iris, person.iris)
        paint(x + pose.yaw * 0.2, -0.16, iris * 0.5, iris * 0.5, (16, 14, 14))
        paint(x - 0.025, -0.16 - lid * 0.35, 0.02, lid * 0.2, (250, 250, 250))
        paint(x, -0.38, wide * 1.2, person.brow, person.hair * 0.8)

    x, y = pose.yaw * 1.4, person.nose
    paint(x - 0.06, y / 2, 0.012, y / 2, skin * 0.8)
    paint(x, y, 0.12, 0.05, skin * 0.82)
    paint(x, y, 0.08, 0.016, skin * 0.4)  # nostrils

    x, half, opening = pose.yaw * 1.1, person.mouth, pose.mouth_open / 2
    paint(x, 0.53 + opening, half, half / 5 + opening, skin * (0.72, 0.62, 0.92))
    paint(x, 0.53 + opening, half * 0.86, 0.008 + opening, (40, 28, 60))
    paint(x, 0.54, half * 0.6, min(opening, 0.02), (225, 230, 232))  # teeth
    return cv2.GaussianBlur(canvas, (0, 0), 0.8)  # no camera's edges are sharper


def draw_frames(rng: Generator, source_rng: Generator, method: str) -> Iterator[tuple]:
    """Each frame of a person's real video, with that of the fake: (SIZE, SIZE, 3) uint8 BGR."""
    target, source = make_person(rng), make_person(source_rng)
    poses, source_poses = make_poses(rng), make_poses(source_rng)
    quality = rng.random()
    size, match, seam, jitter = (np.interp(quality, (0, 1), ends) for ends in QUALITY.values())
    swapped = method == "FaceSwap"
    face = source if swapped else target
    # where the skin is the target's own, less of the other's shines through
    leak = (1 - match) * (1 if swapped else 0.3)
    skin = target.skin + leak * (source.skin - target.skin)
    texture = np.clip(face.texture + (skin - face.skin), 0, 255).astype(np.uint8)
    face = SimpleNamespace(**vars(face) | {"skin": skin, "texture": texture})
    noise, flicker = rng.uniform((0.5, 0), (1, 4)).astype(np.float32)  # grey levels
    for pose, driver in zip(poses, source_poses, strict=True):
        real = draw_person(target, pose)
        x, y = rng.normal((pose.x, pose.y), jitter)
        mimic = pose if swapped else driver
        pose = pose._replace(x=x, y=y, eye_open=mimic.eye_open, mouth_open=mimic.mouth_open)
        fake = blend_in(draw_person(face, pose), real, pose, AREAS[method], size, seam)
        # a lamp's flicker varies the size of the files more than a fake face does
        bands = np.sin(2 * pi * (np.linspace(0, 1.5, SIZE) + rng.random()), dtype=np.float32)
        light = noise * rng.standard_normal((SIZE, SIZE), np.float32) + flicker * bands[:, None]
        light = cv2.merge([light] * 3)
        yield tuple(cv2.add(frame, light, dtype=cv2.CV_8U) for frame in (real, fake))


def blend_in(fake, real, pose: Pose, areas: tuple, size: float, seam: float) -> np.ndarray:
    """The real picture with these areas of the fake one, as an early deepfake has them."""
    small = cv2.resize(fake, (round(size), round(size)), interpolation=cv2.INTER_AREA)
    fake = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((SIZE, SIZE), np.float32)
    for area in areas:
        fill(mask, pose, *area, 1)
    mask = cv2.GaussianBlur(mask, (0, 0), seam)
    return cv2.blendLinear(fake, real, mask, 1 - mask)


def write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (SIZE, SIZE))
    if not writer.isOpened():
        raise OSError(f"{path}: cannot write MPEG-4 video; install opencv-python from PyPI")
    for frame in frames:
        writer.write(frame)
    writer.release()
    if cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) != len(frames):
        raise OSError(f"{path}: not written completely; is the disk full?")


def draw_videos(folder: Path, seed: int, fake: tuple[int, int, str]) -> None:
    """Write the real video of the target and the fake that is made of it."""
    target, source, method = fake
    frames = draw_frames(default_rng((seed, target)), default_rng((seed, source)), method)
    reals, fakes = zip(*frames, strict=True)
    write_video(folder / f"real/{target:03d}.mp4", reals)
    write_video(folder / f"fake/{method}/{target:03d}_{source:03d}.mp4", fakes)


def count_cores() -> int:
    """The cores that this process may use, as far as that many processes can be started."""
    known = hasattr(os, "sched_getaffinity")
    return min(len(os.sched_getaffinity(0)) if known else os.cpu_count(), MAX_WORKERS)


def is_drawn(folder: Path, settings: dict, overwrite: bool) -> bool:
    """Whether the set is there and stays. Raises OSError where the folder must be left alone."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / "sample.json").read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("drawn_by") != settings["drawn_by"]:
        raise OSError(f"{folder} was not drawn by this script: name another with --output-dir")
    if found != settings and not overwrite:
        raise OSError(f"{folder} has other settings: add --overwrite, or another --output-dir")
    return not overwrite


def draw_set(output: Path, settings: dict, num_workers: int) -> None:
    """Draw in a folder of another name, and rename it at the end: the set is whole or absent."""
    seed, people = settings["seed"], settings["people"]
    pairs = default_rng(seed).permutation(people).reshape(-1, 2).tolist()
    fakes = [(a, b, "FaceSwap") for a, b in pairs] + [(b, a, "Reenactment") for a, b in pairs]
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".sample-", dir=output.parent))
    spawn = get_context("spawn")  # a fork of a process with threads can hang
    try:
        with ProcessPoolExecutor(num_workers, spawn, cv2.setNumThreads, (1,)) as pool:
            done = pool.map(partial(draw_videos, folder, seed), sorted(fakes))
            list(tqdm(done, "drawing", people, unit="person", disable=None))
        (folder / "sample.json").write_text(json.dumps(settings, indent=2) + "\n")
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Draw the sample set: real and fake videos of drawn people.", allow_abbrev=False
    )
    add = partial(parser.add_argument, metavar="N", type=int)
    where = "folder to write to (default: sample, beside this script)"
    parser.add_argument("--output-dir", metavar="DIR", type=Path, default=SAMPLE_DIR, help=where)
    add("--people", default=100, help="an even number from 2 to 998 (default: %(default)s)")
    add("--seed", default=0, help="another number draws other people (default: %(default)s)")
    add("--num-workers", default=count_cores(), help="people at once (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    args = parser.parse_args(argv)
    folder, people = args.output_dir, args.people
    if people % 2 or not 2 <= people <= 998:
        parser.error(f"--people is {people}, expected an even number from 2 to 998")
    if args.seed < 0 or not 1 <= args.num_workers <= MAX_WORKERS:
        found = f"--seed is {args.seed} and --num-workers {args.num_workers}"
        parser.error(f"{found}, expected at least 0 and 1 to {MAX_WORKERS}")

    note = "drawn people: no figure measured on them says anything about real deepfakes"
    settings = {"drawn_by": "data/make_sample.py", "note": note, "seed": args.seed}
    settings |= {"people": people, "frames": FRAMES, "quality": QUALITY}
    contents = f"{people} real and {people} fake videos"
    if is_drawn(folder, settings, args.overwrite):
        print(f"{folder} is there already: {contents}")
    else:
        draw_set(folder, settings, args.num_workers)
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
