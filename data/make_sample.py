"""Draw a small sample set of real and face-swapped videos, so that the pipeline runs without a data set.

Nobody may redistribute the public deepfake sets, so these people are drawn, not filmed. Each has a real
video and a fake one made as the first face swaps were made: another person's face, rendered in the same
pose as a picture of SWAP_SIZE x SWAP_SIZE pixels, scaled up, partly matched in colour, and blended in under
a soft mask. A fake differs from its real video in nothing but the face. The swaps are crude on purpose:
what a detector scores on them says nothing about real deepfakes.

Writes <output-dir>/real/000.mp4 and <output-dir>/fake/000_003.mp4 (target_source, people swapped in pairs),
each 256 x 256, 25 fps, 2 s, and sample.json, which marks the folder as drawn and holds the settings.

    python data/make_sample.py
    python data/make_sample.py --people 20 --output-dir /tmp/sample
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

SIZE, FRAMES, FPS = 256, 50, 25
FACE_SCALE = (84.0, 94.0)  # pixels a face unit: about half the width of a face
LENS_BLUR = 0.8  # sigma, pixels: without it the drawn edges are sharper than any camera's
CAMERA_NOISE = (0.5, 1.0)  # sigma, grey levels
LAMP_FLICKER = (0.0, 4.0)  # grey levels: varies the size of the files more than a face swap does
SKIN_PORES = (5.0, 11.0)  # grey levels
BACKGROUND_CONTRAST = 0.15
# How crude the swaps are, which makes the set easy
SWAP_SIZE = 20  # pixels across the swapped face before it is scaled up
COLOUR_MATCH = 0.1  # share of the colour difference between the two faces that is taken away
SEAM_BLUR = 0.7  # sigma of the soft mask, pixels
JITTER = 1.2  # sigma of the swapped face's place from frame to frame, pixels
SKINS = ((178, 206, 240), (140, 178, 226), (112, 150, 204), (86, 122, 178), (62, 90, 138), (44, 62, 98))  # BGR
HAIRS = ((28, 26, 24), (36, 52, 78), (52, 88, 134), (96, 150, 196), (42, 60, 132), (150, 150, 152))


@dataclass
class Person:
    """How one person looks. Lengths are in face units: the face reaches from about -1 to 1, y points down."""

    skin: np.ndarray
    hair: np.ndarray
    eye: np.ndarray
    lips: np.ndarray
    clothes: np.ndarray
    face: tuple[float, float, float]  # half width, half height, jaw (0 = oval, 1 = square)
    eyes: tuple[float, float, float]  # distance from the middle, half width, height of the open eye
    brows: tuple[float, float, float]  # y, thickness, slope
    nose: tuple[float, float]  # length, half width
    mouth: tuple[float, float, float]  # y, half width, thickness of the lips
    long_hair: bool
    hairline: float
    relief: np.ndarray  # (160, 160) float32: light, shade and pores of the skin, added to the colour
    background: np.ndarray  # (SIZE + 32, SIZE + 32, 3) uint8


@dataclass
class Pose:
    """Where the head is in one frame and what the face does."""

    x: float
    y: float
    scale: float  # pixels per face unit
    roll: float  # radians
    yaw: float  # shift of the inner face, face units
    eye_open: float
    mouth_open: float


# --- People and their movement, all from the seed -------------------------------------------------


def make_person(rng: np.random.Generator) -> Person:
    def near(colour, spread):
        return np.clip(np.asarray(colour, float) + rng.normal(0, spread, 3), 8, 250)

    skin = near(SKINS[rng.integers(len(SKINS))], 7)
    u = rng.uniform
    return Person(
        skin=skin,
        hair=near(HAIRS[rng.integers(len(HAIRS))], 8),
        eye=near(((90, 60, 30), (60, 110, 70), (30, 50, 80))[rng.integers(3)], 12),
        lips=np.clip(skin * (0.72, 0.62, 0.92) + rng.normal(0, 8, 3), 8, 250),
        clothes=muted(rng),
        face=(u(0.70, 0.84), u(0.96, 1.10), u(0, 1)),
        eyes=(u(0.30, 0.38), u(0.13, 0.18), u(0.07, 0.11)),
        brows=(u(-0.42, -0.32), u(0.035, 0.09), u(-0.08, 0.10)),
        nose=(u(0.22, 0.36), u(0.09, 0.15)),
        mouth=(u(0.48, 0.58), u(0.20, 0.32), u(0.035, 0.07)),
        long_hair=bool(rng.integers(2)),
        hairline=u(-0.78, -0.60),
        relief=make_relief(rng),
        background=make_background(rng),
    )


def muted(rng: np.random.Generator, shape: tuple[int, ...] = ()) -> np.ndarray:
    """(*shape, 3) random colours, half way to their grey, as most things in a room are."""
    colour = rng.uniform(20, 235, (*shape, 3))
    return (colour + colour.mean(-1, keepdims=True)) / 2


def make_relief(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    light = rng.uniform(-16, 16) * x - rng.uniform(0, 14) * y - 16 * (x**2 + y**2)
    pores = cv2.GaussianBlur(rng.normal(0, 1, (160, 160)), (0, 0), 0.9)
    spots = cv2.GaussianBlur((rng.random((160, 160)) < rng.uniform(0, 0.012)).astype(float), (0, 0), 1.1)
    return (light + rng.uniform(*SKIN_PORES) * pores - 70 * spots).astype(np.float32)


def make_background(rng: np.random.Generator) -> np.ndarray:
    side = SIZE + 32
    corners = muted(rng, (2, 2)).astype(np.float32)
    image = cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)
    for _ in range(rng.integers(4, 12)):  # furniture, pictures, a window
        x, y = rng.integers(-20, side, 2)
        w, h = rng.integers(20, 110, 2)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), muted(rng).tolist(), -1)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 4.0))
    image += cv2.resize(rng.normal(0, 1, (side, side, 1)), (side, side))[..., None] * rng.uniform(1, 6)
    return np.clip(128 + BACKGROUND_CONTRAST * (image - 128), 0, 255).astype(np.uint8)


def make_poses(rng: np.random.Generator) -> list[Pose]:
    t = np.arange(FRAMES) / FPS

    def sway(amplitude):
        speed, phase = rng.uniform(0.2, 0.9, 2), rng.uniform(0, 2 * np.pi, 2)
        return amplitude * np.sin(2 * np.pi * speed[:, None] * t + phase[:, None]).sum(0) / 2

    x, y = rng.uniform(112, 144) + sway(10), rng.uniform(112, 128) + sway(6)
    scale = rng.uniform(*FACE_SCALE) * (1 + sway(0.04))
    roll, yaw = sway(0.16), sway(0.12)
    eye_open = np.ones(FRAMES)
    for blink in rng.integers(2, FRAMES - 4, rng.integers(1, 3)):
        eye_open[blink : blink + 4] = (0.45, 0.05, 0.05, 0.5)
    mouth_open = np.abs(sway(0.12) + 0.06 * np.sin(2 * np.pi * rng.uniform(2.5, 4) * t)) * rng.uniform(0.4, 1.3)
    return [Pose(*values) for values in zip(x, y, scale, roll, yaw, eye_open, mouth_open, strict=True)]


# --- Drawing --------------------------------------------------------------------------------------


def pose_matrix(pose: Pose) -> np.ndarray:
    """(2, 3) map from face units to pixels."""
    c, s = pose.scale * np.cos(pose.roll), pose.scale * np.sin(pose.roll)
    return np.array([[c, -s, pose.x], [s, c, pose.y]])


def fill(canvas: np.ndarray, matrix: np.ndarray, points: np.ndarray, colour) -> None:
    """Fill the polygon of (n, 2) points in face units, antialiased, at 1/16 pixel."""
    pixels = points @ matrix[:, :2].T + matrix[:, 2]
    cv2.fillPoly(canvas, [np.round(pixels * 16).astype(np.int32)], np.asarray(colour, float).tolist(), cv2.LINE_AA, 4)


def oval(x, y, rx, ry, start=0.0, stop=2 * np.pi, square=0.0) -> np.ndarray:
    """(40, 2) points of an ellipse or a part of it; `square` > 0 pushes its lower corners out."""
    a = np.linspace(start, stop, 40)
    cos, sin = np.cos(a), np.sin(a)
    push = 1 + 0.16 * square * np.clip(sin, 0, 1) * np.abs(2 * cos * sin)
    return np.stack([x + rx * cos * push, y + ry * sin], 1)


def band(x0, y0, x1, y1, thickness, bend=0.0) -> np.ndarray:
    """(24, 2) points of a curved stroke that tapers to its ends."""
    t = np.linspace(0, 1, 12)
    x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t - bend * np.sin(np.pi * t)
    half = thickness * (0.35 + 0.65 * np.sin(np.pi * t)) / 2
    return np.concatenate([np.stack([x, y - half], 1), np.stack([x, y + half], 1)[::-1]])


def draw_face(canvas: np.ndarray, matrix: np.ndarray, person: Person, pose: Pose) -> None:
    """Skin with its relief, brows, eyes, nose and mouth, without ears and hair."""
    width, height, jaw = person.face
    mask = np.zeros(canvas.shape[:2], np.uint8)
    fill(mask, matrix, oval(0, 0.04, width, height, square=jaw), 255)
    to_relief = cv2.invertAffineTransform(matrix) * (160 / 2.4)
    to_relief[:, 2] += 80
    relief = cv2.warpAffine(
        person.relief, to_relief, canvas.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    skin = np.clip(person.skin + relief[..., None], 0, 255).astype(np.uint8)
    np.copyto(canvas, cv2.blendLinear(skin, canvas, mask / np.float32(255), 1 - mask / np.float32(255)))

    distance, half, opening = person.eyes
    brow_y, brow_thick, slope = person.brows
    for side in (-1, 1):
        x = side * distance + pose.yaw
        lid = opening * max(pose.eye_open, 0.08)
        fill(canvas, matrix, oval(x, -0.16, half * 1.25, opening * 1.7), person.skin * 0.86)
        fill(canvas, matrix, oval(x, -0.16, half, lid), (236, 238, 240))
        if pose.eye_open > 0.3:
            iris = min(lid, half * 0.55)
            fill(canvas, matrix, oval(x + pose.yaw * 0.2, -0.16, iris, iris), person.eye)
            fill(canvas, matrix, oval(x + pose.yaw * 0.2, -0.16, iris * 0.5, iris * 0.5), (16, 14, 14))
            fill(canvas, matrix, oval(x - 0.025, -0.16 - lid * 0.35, 0.02, 0.02), (250, 250, 250))
        fill(canvas, matrix, band(x - half, -0.15, x + half, -0.15, 0.04, lid), (24, 24, 30))
        outer = brow_y + slope
        inner_x, outer_x = x - side * half * 1.0, x + side * half * 1.3
        fill(canvas, matrix, band(inner_x, brow_y, outer_x, outer, brow_thick, 0.05), person.hair * 0.8)

    length, nose_half = person.nose
    x = pose.yaw * 1.4
    fill(canvas, matrix, band(x - 0.02, -0.12, x - nose_half, length - 0.02, 0.03), person.skin * 0.8)
    fill(canvas, matrix, oval(x, length, nose_half, 0.05), person.skin * 0.82)
    for side in (-1, 1):
        fill(canvas, matrix, oval(x + side * nose_half * 0.5, length + 0.01, 0.03, 0.018), person.skin * 0.4)

    y, half, lip = person.mouth
    x, opening = pose.yaw * 1.1, pose.mouth_open
    fill(canvas, matrix, oval(x, y + opening / 2, half, lip + opening / 2), person.lips)
    fill(canvas, matrix, oval(x, y + opening / 2, half * 0.86, 0.008 + opening / 2), (40, 28, 60))
    if opening > 0.05:
        fill(canvas, matrix, oval(x, y + 0.012, half * 0.6, 0.02), (225, 230, 232))


def draw_person(person: Person, pose: Pose, sway: tuple[int, int]) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8 BGR picture of the person before the background, without camera noise."""
    canvas = person.background[sway[0] : sway[0] + SIZE, sway[1] : sway[1] + SIZE].copy()
    matrix = pose_matrix(pose)
    body = pose_matrix(Pose(pose.x * 0.4 + 77, pose.y * 0.3 + 84, 62, pose.roll * 0.2, 0, 1, 0))
    width, height, _ = person.face
    if person.long_hair:
        fill(canvas, matrix, oval(0, 0.25, width * 1.3, height * 1.25), person.hair * 0.85)
    fill(canvas, body, oval(0, 2.5, 1.75, 1.35), person.clothes)
    collar = np.array([(0.42, 1.35), (-0.42, 1.35)]) @ body[:, :2].T + body[:, 2]
    chin = np.array([(-0.40, 0.5), (0.40, 0.5)]) @ matrix[:, :2].T + matrix[:, 2]
    pixels = np.eye(2, 3)
    fill(canvas, pixels, np.concatenate([chin, collar]), person.skin * 0.78)
    fill(canvas, body, oval(0, 1.33, 0.42, 0.18), person.skin * 0.78)
    for side in (-1, 1):
        fill(canvas, matrix, oval(side * width, 0.0, 0.11, 0.2), person.skin * 0.88)
    fill(canvas, matrix, oval(0, -0.12, width * 1.12, height * 1.08), person.hair)
    draw_face(canvas, matrix, person, pose)
    fringe = oval(0, -0.12, width * 1.1, height * 1.06, np.pi * 1.08, np.pi * 1.92)
    forehead = oval(0, person.hairline + 0.35, width * 0.95, 0.36, np.pi * 1.96, np.pi * 1.04)
    fill(canvas, matrix, np.concatenate([fringe, forehead]), person.hair)
    return canvas


def swap_face(frame: np.ndarray, target: Person, source: Person, pose: Pose) -> np.ndarray:
    """The frame with the source's face in place of the target's, as an early face swap makes it."""
    # The generator's picture: the source in the target's pose, without roll, SWAP_SIZE pixels across.
    big = SWAP_SIZE * 8
    local = np.array([[big / 2.4, 0, big / 2], [0, big / 2.4, big / 2]])
    picture = np.full((big, big, 3), source.skin, np.uint8)
    draw_face(picture, local, source, pose)
    picture = cv2.resize(picture, (SWAP_SIZE, SWAP_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    picture += COLOUR_MATCH * (target.skin - source.skin).astype(np.float32)

    # Up and into the frame: pixel centres of the small picture to face units to pixels of the frame.
    unit = 2.4 / SWAP_SIZE
    to_face = np.array([[unit, 0, unit / 2 - 1.2], [0, unit, unit / 2 - 1.2], [0, 0, 1]])
    to_frame = pose_matrix(pose) @ to_face
    face = cv2.warpAffine(picture, to_frame, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((SIZE, SIZE), np.float32)
    fill(mask, pose_matrix(pose), oval(0, 0.14, target.face[0] * 0.86, target.face[1] * 0.74), 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), SEAM_BLUR)[..., None]
    return np.clip(frame + mask * (face - frame), 0, 255).astype(np.uint8)


# --- Files ----------------------------------------------------------------------------------------


def open_writer(path: Path) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (SIZE, SIZE))
    if not writer.isOpened():
        raise OSError(f"{path}: this OpenCV cannot write MPEG-4 video; install opencv-python from PyPI")
    return writer


def draw_videos(folder: Path, seed: int, target_source: tuple[int, int]) -> None:
    """Write the real video of the target and the fake that puts the source's face on it."""
    target_id, source_id = target_source
    rng = np.random.default_rng((seed, target_id))
    target, source = make_person(rng), make_person(np.random.default_rng((seed, source_id)))
    noise = rng.normal(0, rng.uniform(*CAMERA_NOISE), (SIZE + 64, SIZE + 64, 3)).astype(np.float32)
    flicker = rng.uniform(*LAMP_FLICKER) * np.sin(
        2 * np.pi * (np.linspace(0, 1.5, SIZE) + rng.random((FRAMES, 1))), dtype=np.float32
    )
    steps = np.cumsum(rng.integers(-1, 2, (FRAMES, 2)), 0) // 2  # a hand-held camera
    paths = folder / f"real/{target_id:03d}.mp4", folder / f"fake/{target_id:03d}_{source_id:03d}.mp4"
    writers = [open_writer(path) for path in paths]
    for pose, step, bands in zip(make_poses(rng), steps, flicker, strict=True):
        top, left = rng.integers(0, 65, 2)
        picture = draw_person(target, pose, tuple(np.clip(step + 16, 0, 32)))
        picture = cv2.GaussianBlur(picture, (0, 0), LENS_BLUR)
        light = noise[top : top + SIZE, left : left + SIZE] + bands[:, None, None]
        shaken = replace(pose, x=pose.x + rng.normal(0, JITTER), y=pose.y + rng.normal(0, JITTER))
        for writer, frame in zip(writers, (picture, swap_face(picture, target, source, shaken)), strict=True):
            writer.write(np.clip(frame + light, 0, 255).astype(np.uint8))
    for writer, path in zip(writers, paths, strict=True):
        writer.release()
        capture = cv2.VideoCapture(str(path))  # a full disk shows only here
        if sum(1 for _ in iter(capture.grab, False)) != FRAMES:
            raise OSError(f"{path}: not written completely; is the disk full?")


def main(argv=None):
    parser = argparse.ArgumentParser(description="Draw the sample set: real and face-swapped videos of drawn people.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "sample")
    parser.add_argument("--people", type=int, default=80, help="an even number, 2 to 998 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="everything follows from it (default: %(default)s)")
    parser.add_argument("--num-workers", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a sample set that is there")
    args = parser.parse_args(argv)
    if args.people % 2 or not 2 <= args.people <= 998:
        parser.error(f"--people is {args.people}, but people are swapped in pairs: an even number from 2 to 998")
    if args.seed < 0 or args.num_workers < 1:
        parser.error(f"--seed is {args.seed} and --num-workers {args.num_workers}, expected at least 0 and 1")

    output, marker = args.output_dir, args.output_dir / "sample.json"
    settings = {
        "drawn_by": "data/make_sample.py",
        "note": "drawn people and crude face swaps: no figure measured on them says anything about real deepfakes",
        "seed": args.seed,
        "people": args.people,
        "frames": FRAMES,
        "fps": FPS,
        "size": SIZE,
        "swap_size": SWAP_SIZE,
        "colour_match": COLOUR_MATCH,
    }
    if output.is_dir() and any(output.iterdir()):
        try:
            found = json.loads(marker.read_text())
        except (OSError, ValueError):
            raise OSError(
                f"{output} was not drawn by this script and is left alone: name another with --output-dir"
            ) from None
        if found == settings and not args.overwrite:
            print(f"{output} is there already: {args.people} real and {args.people} fake videos")
            return
        if not args.overwrite:
            raise OSError(
                f"{output} was drawn with other settings: --overwrite replaces it, --output-dir names another"
            )

    order = np.random.default_rng(args.seed).permutation(args.people).reshape(-1, 2).tolist()
    jobs = sorted(order + [pair[::-1] for pair in order])
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".sample-", dir=output.parent))
    try:
        (folder / "real").mkdir()
        (folder / "fake").mkdir()
        spawn = multiprocessing.get_context("spawn")  # forking a process that has threads can hang it
        with ProcessPoolExecutor(args.num_workers, mp_context=spawn) as pool:
            done = pool.map(partial(draw_videos, folder, args.seed), jobs)
            for _ in tqdm(done, total=len(jobs), desc="drawing", unit="person", disable=None):
                pass
        (folder / "sample.json").write_text(json.dumps(settings, indent=2) + "\n")
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = sum(path.stat().st_size for path in output.rglob("*.mp4"))
    print(f"{args.people} real and {args.people} fake videos ({size / 1e6:.1f} MB) in {output}")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
