"""Draw a small sample set of real and face-swapped videos, so that the pipeline runs without data.

Nobody may redistribute the public deepfake sets, so these people are drawn, not filmed. Each has a
real video and a fake one, made as the first face swaps were: another person's face in the same
pose, a small picture scaled up, partly matched in colour and blended in under a soft mask. A fake
differs from its real video in nothing but the face. The swaps are crude on purpose: what a
detector scores on them says nothing about real deepfakes.

Writes real/000.mp4 and fake/000_003.mp4 (target_source, people swapped in pairs), 256 x 256, 25
fps, 2 s, and sample.json, which marks the folder as drawn and holds the settings.

    python data/make_sample.py
    python data/make_sample.py --people 20 --output-dir small_sample
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import pi
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from tqdm import tqdm

SAMPLE_DIR = Path(__file__).resolve().with_name("sample")
SIZE, FRAMES, FPS = 256, 50, 25
FACE_SCALE = (84, 94)  # pixels a face unit: about half the width of a face
LENS_BLUR = 0.8  # sigma, pixels: without it the drawn edges are sharper than any camera's
CAMERA_NOISE = (0.5, 1)  # sigma, grey levels
LAMP_FLICKER = (0, 4)  # grey levels: varies the size of the files more than a face swap does
SKIN_PORES = (5, 11)  # grey levels
BACKGROUND_CONTRAST = 0.15
SHAKE = 16  # pixels: how far the hand-held camera moves at most
# How crude the swaps are, which makes the set easy
SWAP_SIZE = 20  # pixels across the swapped face before it is scaled up
COLOUR_MATCH = 0.1  # share of the colour difference between the two faces that is taken away
SEAM_BLUR = 0.7  # sigma of the soft mask, pixels
JITTER = 1.2  # sigma of the swapped face's place from frame to frame, pixels
# A swapped face and the relief of the skin are squares around the face
SPAN = 2.4  # face units
RELIEF_SIZE = 160  # pixels
# Colours are BGR
SKINS = (
    (178, 206, 240),
    (140, 178, 226),
    (112, 150, 204),
    (86, 122, 178),
    (62, 90, 138),
    (44, 62, 98),
)
HAIRS = (
    (28, 26, 24),
    (36, 52, 78),
    (52, 88, 134),
    (96, 150, 196),
    (42, 60, 132),
    (150, 150, 152),
)
EYES = ((90, 60, 30), (60, 110, 70), (30, 50, 80))


@dataclass
class Person:
    """How one person looks. Lengths are in face units: a face is from about -1 to 1, y is down."""

    skin: np.ndarray
    hair: np.ndarray
    eye: np.ndarray
    lips: np.ndarray
    clothes: np.ndarray
    face: tuple  # half width, half height, jaw (0 = oval, 1 = square)
    eyes: tuple  # distance from the middle, half width, height of the open eye
    brows: tuple  # y, thickness, slope
    nose: tuple  # length, half width
    mouth: tuple  # y, half width, thickness of the lips
    long_hair: bool
    hairline: float
    relief: np.ndarray  # (RELIEF_SIZE, RELIEF_SIZE): light, shade and pores, added to the skin
    background: np.ndarray  # (SIZE + 2 SHAKE, SIZE + 2 SHAKE, 3) uint8


@dataclass
class Pose:
    """Where the head is in one frame and what the face does."""

    x: float
    y: float
    scale: float  # pixels a face unit
    roll: float  # radians
    yaw: float = 0  # shift of the inner face, face units
    eye_open: float = 1
    mouth_open: float = 0


# --- People and their movement, all from the seed ---


def make_person(rng: Generator) -> Person:
    uniform = rng.uniform

    def near(colour, spread):
        return np.clip(colour + rng.normal(0, spread, 3), 8, 250)

    skin = near(rng.choice(SKINS), 7)
    return Person(
        skin=skin,
        hair=near(rng.choice(HAIRS), 8),
        eye=near(rng.choice(EYES), 12),
        lips=near(skin * (0.72, 0.62, 0.92), 8),
        clothes=muted_colours(rng),
        face=(uniform(0.70, 0.84), uniform(0.96, 1.10), uniform(0, 1)),
        eyes=(uniform(0.30, 0.38), uniform(0.13, 0.18), uniform(0.07, 0.11)),
        brows=(uniform(-0.42, -0.32), uniform(0.035, 0.09), uniform(-0.08, 0.10)),
        nose=(uniform(0.22, 0.36), uniform(0.09, 0.15)),
        mouth=(uniform(0.48, 0.58), uniform(0.20, 0.32), uniform(0.035, 0.07)),
        long_hair=bool(rng.integers(2)),
        hairline=uniform(-0.78, -0.60),
        relief=make_relief(rng),
        background=make_background(rng),
    )


def muted_colours(rng: Generator, *shape: int) -> np.ndarray:
    """Random colours (*shape, 3), half way to their grey, as most things in a room are."""
    colours = rng.uniform(20, 235, (*shape, 3))
    grey = colours.mean(-1, keepdims=True)
    return (colours + grey) / 2


def make_relief(rng: Generator) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : RELIEF_SIZE * 1j, -1 : 1 : RELIEF_SIZE * 1j]
    light = rng.uniform(-16, 16) * x - rng.uniform(0, 14) * y
    light -= 16 * (x**2 + y**2)
    pores = cv2.GaussianBlur(rng.normal(0, 1, x.shape), (0, 0), 0.9)
    is_spot = rng.random(x.shape) < rng.uniform(0, 0.012)
    spots = cv2.GaussianBlur(is_spot.astype(float), (0, 0), 1.1)
    relief = light + rng.uniform(*SKIN_PORES) * pores - 70 * spots
    return relief.astype(np.float32)


def make_background(rng: Generator) -> np.ndarray:
    side = SIZE + 2 * SHAKE
    corners = muted_colours(rng, 2, 2).astype(np.float32)
    image = cv2.resize(corners, (side, side))
    for _ in range(rng.integers(4, 12)):  # furniture, pictures, a window
        corner = rng.integers(-20, side, 2)
        opposite = corner + rng.integers(20, 110, 2)
        colour = muted_colours(rng).tolist()
        cv2.rectangle(image, corner.tolist(), opposite.tolist(), colour, cv2.FILLED)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 4.0))
    texture = cv2.resize(rng.normal(0, 1, (side, side, 1)), (side, side))
    image += texture[..., None] * rng.uniform(1, 6)
    return to_uint8(128 + BACKGROUND_CONTRAST * (image - 128))


def make_poses(rng: Generator) -> Iterator[Pose]:
    time = np.arange(FRAMES) / FPS

    def sway(amplitude):
        speed = rng.uniform(0.2, 0.9, (2, 1))
        phase = rng.uniform(0, 2 * pi, (2, 1))
        waves = np.sin(2 * pi * speed * time + phase)
        return amplitude * waves.sum(0) / 2

    x = rng.uniform(112, 144) + sway(10)
    y = rng.uniform(112, 128) + sway(6)
    scale = rng.uniform(*FACE_SCALE) * (1 + sway(0.04))
    roll, yaw = sway(0.16), sway(0.12)
    eye_open = np.ones(FRAMES)
    n_blinks = rng.integers(1, 3)
    for blink in rng.integers(2, FRAMES - 4, n_blinks):
        eye_open[blink : blink + 4] = (0.45, 0.05, 0.05, 0.5)
    mood = sway(0.12)
    speech = 0.06 * np.sin(2 * pi * rng.uniform(2.5, 4) * time)
    mouth_open = np.abs(mood + speech) * rng.uniform(0.4, 1.3)
    return map(Pose, x, y, scale, roll, yaw, eye_open, mouth_open)


# --- Drawing ---


def to_uint8(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 255).astype(np.uint8)


def pose_matrix(pose: Pose) -> np.ndarray:
    """Map (2, 3) from face units to pixels."""
    cos = pose.scale * np.cos(pose.roll)
    sin = pose.scale * np.sin(pose.roll)
    return np.array([[cos, -sin, pose.x], [sin, cos, pose.y]])


def fill(canvas, matrix, points, colour) -> None:
    """Fill the polygon of (n, 2) points in face units, antialiased, at 1/16 pixel."""
    pixels = cv2.transform(points[None], matrix)
    sixteenths = np.round(pixels * 16).astype(np.int32)
    colour = np.asarray(colour, float).tolist()
    cv2.fillPoly(canvas, sixteenths, colour, cv2.LINE_AA, shift=4)


def oval(x, y, half_width, half_height, start=0.0, stop=2 * pi, square=0.0) -> np.ndarray:
    """Points (40, 2) of an ellipse or a part of it; `square` > 0 pushes its lower corners out."""
    angle = np.linspace(start, stop, 40)
    cos, sin = np.cos(angle), np.sin(angle)
    push = 1 + 0.16 * square * np.clip(sin, 0, 1) * np.abs(2 * cos * sin)
    return np.stack([x + half_width * cos * push, y + half_height * sin], 1)


def band(x0, y0, x1, y1, thickness, bend=0.0) -> np.ndarray:
    """Points (24, 2) of a curved stroke that tapers to its ends."""
    t = np.linspace(0, 1, 12)
    arc = np.sin(pi * t)
    x = x0 + (x1 - x0) * t
    y = y0 + (y1 - y0) * t - bend * arc
    half = thickness * (0.35 + 0.65 * arc) / 2
    upper = np.stack([x, y - half], 1)
    lower = np.stack([x, y + half], 1)
    return np.concatenate([upper, lower[::-1]])


def draw_skin(canvas, matrix, person: Person) -> None:
    width, height, jaw = person.face
    mask = np.zeros(canvas.shape[:2], np.uint8)
    fill(mask, matrix, oval(0, 0.04, width, height, square=jaw), 255)
    to_relief = cv2.invertAffineTransform(matrix) * (RELIEF_SIZE / SPAN)
    to_relief[:, 2] += RELIEF_SIZE / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    relief = cv2.warpAffine(person.relief, to_relief, mask.shape[::-1], flags=flags)
    skin = to_uint8(person.skin + relief[..., None])
    weight = mask / np.float32(255)
    canvas[:] = cv2.blendLinear(skin, canvas, weight, 1 - weight)


def draw_eye(paint: Callable, person: Person, pose: Pose, side: int) -> None:
    """An eye and its brow; `side` is -1 for the left of the picture, 1 for the right."""
    distance, half, opening = person.eyes
    x, y = side * distance + pose.yaw, -0.16
    lid = opening * max(pose.eye_open, 0.08)
    paint(oval(x, y, half * 1.25, opening * 1.7), person.skin * 0.86)
    paint(oval(x, y, half, lid), (236, 238, 240))
    if pose.eye_open > 0.3:
        iris = min(lid, half * 0.55)
        iris_x = x + pose.yaw * 0.2
        paint(oval(iris_x, y, iris, iris), person.eye)
        paint(oval(iris_x, y, iris * 0.5, iris * 0.5), (16, 14, 14))
        paint(oval(x - 0.025, y - lid * 0.35, 0.02, 0.02), (250, 250, 250))
    paint(band(x - half, -0.15, x + half, -0.15, 0.04, lid), (24, 24, 30))
    brow, thickness, slope = person.brows
    inner = x - side * half
    outer = x + side * half * 1.3
    paint(band(inner, brow, outer, brow + slope, thickness, 0.05), person.hair * 0.8)


def draw_face(canvas, matrix, person: Person, pose: Pose) -> None:
    """Skin with its relief, brows, eyes, nose and mouth, without ears and hair."""
    draw_skin(canvas, matrix, person)
    paint = partial(fill, canvas, matrix)
    for side in (-1, 1):
        draw_eye(paint, person, pose, side)

    length, half = person.nose
    x = pose.yaw * 1.4
    paint(band(x - 0.02, -0.12, x - half, length - 0.02, 0.03), person.skin * 0.8)
    paint(oval(x, length, half, 0.05), person.skin * 0.82)
    for side in (-1, 1):
        nostril = x + side * half * 0.5
        paint(oval(nostril, length + 0.01, 0.03, 0.018), person.skin * 0.4)

    y, half, lip = person.mouth
    x = pose.yaw * 1.1
    opening = pose.mouth_open / 2
    paint(oval(x, y + opening, half, lip + opening), person.lips)
    paint(oval(x, y + opening, half * 0.86, 0.008 + opening), (40, 28, 60))
    if opening > 0.025:  # teeth
        paint(oval(x, y + 0.012, half * 0.6, 0.02), (225, 230, 232))


def draw_person(person: Person, pose: Pose, view: np.ndarray) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) uint8 BGR; `view`: first row and column of the background in it."""
    top, left = view
    canvas = person.background[top : top + SIZE, left : left + SIZE].copy()
    head = pose_matrix(pose)
    body = pose_matrix(Pose(pose.x * 0.4 + 77, pose.y * 0.3 + 84, 62, pose.roll * 0.2))
    on_head = partial(fill, canvas, head)
    on_body = partial(fill, canvas, body)
    width, height, _ = person.face
    if person.long_hair:
        on_head(oval(0, 0.25, width * 1.3, height * 1.25), person.hair * 0.85)
    on_body(oval(0, 2.5, 1.75, 1.35), person.clothes)
    chin = cv2.transform(np.array([[(-0.40, 0.5), (0.40, 0.5)]]), head)
    collar = cv2.transform(np.array([[(0.42, 1.35), (-0.42, 1.35)]]), body)
    neck = np.hstack([chin, collar])[0]
    fill(canvas, np.eye(2, 3), neck, person.skin * 0.78)
    on_body(oval(0, 1.33, 0.42, 0.18), person.skin * 0.78)
    for side in (-1, 1):  # ears
        on_head(oval(side * width, 0, 0.11, 0.2), person.skin * 0.88)
    on_head(oval(0, -0.12, width * 1.12, height * 1.08), person.hair)
    draw_face(canvas, head, person, pose)
    crown = oval(0, -0.12, width * 1.1, height * 1.06, pi * 1.08, pi * 1.92)
    fringe = oval(0, person.hairline + 0.35, width * 0.95, 0.36, pi * 1.96, pi * 1.04)
    on_head(np.concatenate([crown, fringe]), person.hair)
    return canvas


def swap_face(frame: np.ndarray, target: Person, source: Person, pose: Pose) -> np.ndarray:
    """The frame with the source's face in place of the target's, as an early face swap makes it."""
    # The generator's picture: the source in the target's pose, without roll
    side = SWAP_SIZE * 8
    zoom = side / SPAN
    picture = np.full((side, side, 3), source.skin, np.uint8)
    draw_face(picture, np.array([[zoom, 0, side / 2], [0, zoom, side / 2]]), source, pose)
    picture = cv2.resize(picture, (SWAP_SIZE, SWAP_SIZE), interpolation=cv2.INTER_AREA)
    picture = picture + COLOUR_MATCH * (target.skin - source.skin).astype(np.float32)

    # From its pixel centres to face units, and on to pixels of the frame
    unit = SPAN / SWAP_SIZE
    corner = unit / 2 - SPAN / 2
    to_face = np.array([[unit, 0, corner], [0, unit, corner], [0, 0, 1]])
    head = pose_matrix(pose)
    shape = frame.shape[:2]
    flags, edge = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    face = cv2.warpAffine(picture, head @ to_face, shape, flags=flags, borderMode=edge)
    width, height, _ = target.face
    mask = np.zeros(shape, np.float32)
    fill(mask, head, oval(0, 0.14, width * 0.86, height * 0.74), 1)
    mask = cv2.GaussianBlur(mask, (0, 0), SEAM_BLUR)[..., None]
    return to_uint8(frame + mask * (face - frame))


@contextmanager
def open_video(path: Path) -> Iterator[cv2.VideoWriter]:
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (SIZE, SIZE))
    if not writer.isOpened():
        raise OSError(f"{path}: cannot write MPEG-4 video; install opencv-python from PyPI")
    yield writer
    writer.release()
    capture = cv2.VideoCapture(str(path))  # a full disk shows only here
    if sum(1 for _ in iter(capture.grab, False)) != FRAMES:
        raise OSError(f"{path}: not written completely; is the disk full?")


def draw_videos(folder: Path, seed: int, swap: tuple[int, int]) -> None:
    """Write the real video of the target and the fake that puts the source's face on it."""
    target_id, source_id = swap
    rng = default_rng((seed, target_id))
    target = make_person(rng)
    source = make_person(default_rng((seed, source_id)))
    sigma = rng.uniform(*CAMERA_NOISE)
    noise = rng.normal(0, sigma, (SIZE + 64, SIZE + 64, 3)).astype(np.float32)
    strength = rng.uniform(*LAMP_FLICKER)
    phase = np.linspace(0, 1.5, SIZE) + rng.random((FRAMES, 1))
    flicker = strength * np.sin(2 * pi * phase, dtype=np.float32)
    steps = np.cumsum(rng.integers(-1, 2, (FRAMES, 2)), 0) // 2
    views = np.clip(steps + SHAKE, 0, 2 * SHAKE)
    real_path = folder / f"real/{target_id:03d}.mp4"
    fake_path = folder / f"fake/{target_id:03d}_{source_id:03d}.mp4"
    with open_video(real_path) as real, open_video(fake_path) as fake:
        for pose, view, bands in zip(make_poses(rng), views, flicker, strict=True):
            top, left = rng.integers(0, 65, 2)
            light = noise[top : top + SIZE, left : left + SIZE] + bands[:, None, None]
            picture = cv2.GaussianBlur(draw_person(target, pose, view), (0, 0), LENS_BLUR)
            x, y = rng.normal((pose.x, pose.y), JITTER)
            swapped = swap_face(picture, target, source, replace(pose, x=x, y=y))
            real.write(to_uint8(picture + light))
            fake.write(to_uint8(swapped + light))


# --- The run ---


def is_drawn(folder: Path, settings: dict, overwrite: bool) -> bool:
    """Whether the set is there and stays. Raises OSError where the folder must be left alone."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if is_empty or not folder.exists():
        return False
    try:
        found = json.loads((folder / "sample.json").read_text())
        drawn_by = found["drawn_by"]
    except (OSError, ValueError, TypeError, KeyError):
        drawn_by = None
    if drawn_by != settings["drawn_by"]:
        problem = "was not drawn by this script and is left alone"
        raise OSError(f"{folder} {problem}: name another with --output-dir")
    if found != settings and not overwrite:
        choice = "--overwrite replaces it, --output-dir names another"
        raise OSError(f"{folder} was drawn with other settings: {choice}")
    return not overwrite


def draw_set(output: Path, settings: dict, num_workers: int) -> None:
    """Draw in a folder of another name, and rename it at the end: the set is whole or absent."""
    seed, people = settings["seed"], settings["people"]
    pairs = default_rng(seed).permutation(people).reshape(-1, 2).tolist()
    swaps = sorted(pairs + [pair[::-1] for pair in pairs])
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".sample-", dir=output.parent))
    try:
        draw = partial(draw_videos, folder, seed)
        spawn = get_context("spawn")  # a fork of a process with threads can hang
        with ProcessPoolExecutor(num_workers, mp_context=spawn) as pool:
            done = pool.map(draw, swaps)
            list(tqdm(done, "drawing", people, unit="person", disable=None))
        (folder / "sample.json").write_text(json.dumps(settings, indent=2) + "\n")
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def next_command(folder: Path) -> str:
    """The command that extracts features from this set, as it works in the current folder."""
    script = Path(__file__).resolve().parents[1] / "feature_extraction.py"
    if script.parent == Path.cwd() and folder.resolve() == SAMPLE_DIR:
        return "python feature_extraction.py"
    return f'python "{script}" --videos-dir "{folder}"'


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Draw the sample set: real and face-swapped videos of drawn people.",
        allow_abbrev=False,
    )
    add = partial(parser.add_argument, metavar="N", type=int)
    where = "folder to write to (default: sample, beside this script)"
    parser.add_argument("--output-dir", metavar="DIR", type=Path, default=SAMPLE_DIR, help=where)
    add("--people", default=80, help="an even number from 2 to 998 (default: %(default)s)")
    add("--seed", default=0, help="another number draws other people (default: %(default)s)")
    add("--num-workers", default=os.cpu_count(), help="people drawn at once (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    args = parser.parse_args(argv)
    folder, people = args.output_dir, args.people
    if people % 2 or not 2 <= people <= 998:
        parser.error(f"--people is {people}, expected: an even number from 2 to 998")
    if args.seed < 0 or args.num_workers < 1:
        found = f"--seed is {args.seed} and --num-workers {args.num_workers}"
        parser.error(f"{found}, expected at least 0 and 1")

    note = "no figure measured on them says anything about real deepfakes"
    settings = {
        "drawn_by": "data/make_sample.py",
        "note": f"drawn people and crude face swaps: {note}",
        "seed": args.seed,
        "people": people,
        "frames": FRAMES,
        "fps": FPS,
        "size": SIZE,
        "swap_size": SWAP_SIZE,
        "colour_match": COLOUR_MATCH,
    }
    contents = f"{people} real and {people} fake videos"
    if is_drawn(folder, settings, args.overwrite):
        print(f"{folder} is there already: {contents}")
    else:
        draw_set(folder, settings, args.num_workers)
        size = sum(path.stat().st_size for path in folder.rglob("*.mp4"))
        print(f"{contents} ({size / 1e6:.1f} MB) in {folder}")
    print(f"Next: {next_command(folder)}")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
