"""Small videos and features made on the spot. Nothing is written outside pytest's folder."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: tests fork, and threads that spin are slow

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

import deepfake_detection_model
import feature_extraction
from data.files import write_csv, write_json
from data.frames import Sampling
from data.words import SPLITS
from features import run
from features.extraction import Extraction

QUICK = ["--num-epochs", "2", "--lr", "1e-3", "--device", "cpu", "--no-pictures"]


def encode(path: Path, frames, fourcc="mp4v", fps: float = 25) -> Path:
    """A video of these (h, w, 3) uint8 BGR frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def decode(path: Path) -> list[np.ndarray]:
    """Each frame of a video, read one after the other."""
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return frames


def write_video(path: Path, n=12, size=(64, 48), fps: float = 25, colour=None, draw=None) -> Path:
    """A video whose frame i has the grey level 20 + 7 i; or a colour (BGR) but for a corner.

    The size is (w, h). `draw` is called with each frame and its number.
    """
    frames = []
    for i in range(n):
        frame = np.full((size[1], size[0], 3), colour or 20 + 7 * i, np.uint8)
        frame[:4, :4] = 20 + 7 * i % 200  # a still would not be used
        if draw:
            draw(frame, i)
        frames.append(frame)
    return encode(path, frames, "MJPG" if path.suffix == ".avi" else "mp4v", fps)


def touch(root: Path, *names: str) -> None:
    """Empty files of these names below a folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def groups_of(videos) -> list[list[str]]:
    """The groups of videos, as lists of identifiers."""
    by_group = {}
    for video in videos:
        by_group.setdefault(video.group, set()).add(video.video)
    return sorted(map(sorted, by_group.values()))


def write_squares(path: Path, places, size=(160, 120), side=40) -> Path:
    """write_video with a red square in each frame at its place, if any."""

    def draw(frame, i):
        if places[i] is not None:
            cv2.rectangle(frame, (*places[i], side, side), (0, 0, 255), -1)

    return write_video(path, len(places), size, draw=draw)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A BGR picture with coarse shapes and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.float32), (width, height))
    return np.clip(coarse + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


class Capture:
    """cv2.VideoCapture, for a test that changes a part of it."""

    original = cv2.VideoCapture

    def __init__(self, *arguments):
        self.path, self.capture = arguments[0], Capture.original(*arguments)

    def __getattr__(self, name):
        return getattr(self.capture, name)


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class RedSquareDetector:
    """Finds what is red, as cv2.FaceDetectorYN finds faces."""

    def setInputSize(self, size):
        self.size = tuple(size)

    def detect(self, frame):
        assert frame.shape[1::-1] == self.size and max(self.size) <= 640
        red = (frame[..., 2] > 150) & (frame[..., 1] < 100)
        *_, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        squares = [square for square in stats[1:] if square[4] > 50]  # the first is the rest
        boxes = [[*square[:4], *[0] * 11] for square in squares]
        return 1, np.array(boxes, np.float32) if boxes else None


@pytest.fixture
def detector(monkeypatch):
    """RedSquareDetector wherever the face detector is used."""
    for room in ("data.frames", "feature_extraction", "features.predict"):
        monkeypatch.setattr(f"{room}.load_face_detector", lambda copy=None: RedSquareDetector())


def read_table(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """{name: bytes} of the final files in a folder."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    return {path.name: path.read_bytes() for path in files}


def extract(videos: Path, features: Path, *more: str) -> None:
    flags = ["--videos-dir", str(videos), "--features-dir", str(features), "--weights", "random"]
    feature_extraction.main([*flags, "--frames-per-video", "4", "--device", "cpu", *more])


def train(folder: Path, *more: str, features: str = "features", results: str = "results") -> dict:
    """metrics.json of a quick training without pictures on folder/features."""
    file = folder / features / "train_features.npy"
    flags = ["--train-features-file", str(file), "--output-dir", str(folder / results)]
    deepfake_detection_model.main([*flags, *QUICK, *more])
    return read_json(folder / results / "metrics.json")


def run_in_fork(main: Callable, stdout: int = 0) -> subprocess.CompletedProcess:
    """How a script with this main ends, in a fork of this process: without the import of torch.

    It may print to the file descriptor `stdout` instead.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)  # ends it, should it hang
            run.PATIENCE = 0.3  # seconds
            try:
                os.dup2(stdout or output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
                run.run_script(main)
                sys.stdout.flush()
                os._exit(0)
            finally:
                os._exit(99)  # not on with the tests
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess([], status, output.read(), errors.read())


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def edit_json(path: Path, **changes) -> None:
    write_json(path, read_json(path) | changes)


def small_backbone(weights="random", device="cpu") -> tuple[torch.nn.Module, dict]:
    """A network that is quick, in place of ResNet-18: the question is about files, not features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 1000)
    network = torch.nn.Sequential(*layers).eval().requires_grad_(False)
    return network, {"name": "random", "sha256": "small"}


@pytest.fixture
def quick_backbone(monkeypatch):
    """Both scripts with small_backbone in place of ResNet-18."""
    monkeypatch.setattr("feature_extraction.load_backbone", small_backbone)
    monkeypatch.setattr("features.predict.load_backbone", small_backbone)


@pytest.fixture(scope="session")
def drawn_videos(tmp_path_factory) -> Path:
    """Two pairs of people, each with two reals and the two swaps, and a clip more of each class."""
    root = tmp_path_factory.mktemp("drawn") / "videos"
    for i, name in enumerate(("000", "003", "001", "002", "007")):
        write_video(root / "real" / f"{name}.mp4", n=8 + i, fps=20 + i)  # no two files are alike
    for i, name in enumerate(("000_003", "003_000", "001_002", "002_001", "fifty")):
        write_video(root / "fake" / f"{name}.mp4", n=7 + i, fps=30 + i)
    return root


@pytest.fixture
def videos(drawn_videos, tmp_path) -> Path:
    """A copy of drawn_videos that the test may change."""
    return Path(shutil.copytree(drawn_videos, tmp_path / "videos"))


@pytest.fixture(scope="session")
def both_scripts_run(drawn_videos, tmp_path_factory) -> Path:
    """A folder with features/ and results/ of drawn_videos, untrained ResNet-18. Read-only."""
    folder = tmp_path_factory.mktemp("run")
    extract(drawn_videos, folder / "features")
    train(folder)
    return folder


@pytest.fixture
def trained(both_scripts_run, tmp_path) -> Path:
    """A copy of both_scripts_run that the test may change."""
    for name in ("features", "results"):
        shutil.copytree(both_scripts_run / name, tmp_path / name)
    return tmp_path


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty cache of weights, and no network: what torch.hub asks for is not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    weights = ResNet18_Weights.IMAGENET1K_V1.value
    missing = tmp_path / "no_server" / "resnet18-f37072fd.pth"
    monkeypatch.setattr(weights, "url", missing.as_uri())
    return tmp_path / "torch_home"


def make_split(
    folder: Path, split="train", n_groups=10, frames=4, shift: float = 1.0, seed=0
) -> Path:
    """Features as script 1 leaves them: a real and a fake video in each group, fakes shifted."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = sorted(f"{label}/{i:03d}.mp4" for i in range(n_groups) for label in ("real", "fake"))
    labels = np.array([name.startswith("fake") for name in names], np.int64)
    rows = []
    for name, label in zip(names, labels, strict=True):
        video = f"{split}/{name}"
        row = {"video": video, "label": label, "method": "", "group": f"{split}{name[5:]}"}
        rows.append(row | {"clip": video, "people": "", "fingerprint": f"{seed} {video}"})
    index = np.repeat(np.arange(len(names)), frames)
    features = rng.normal(size=(len(index), 1000)) + shift * labels[index, None]
    np.save(folder / f"{split}_features.npy", features.astype(np.float32))
    np.save(folder / f"{split}_labels.npy", labels[index])
    numbers = np.tile(np.arange(frames), len(names))
    np.save(folder / f"{split}_frames.npy", np.stack([index, numbers], 1).astype(np.int32))
    write_csv(folder / f"{split}_videos.csv", rows[0], rows)
    weights = {"name": "random", "sha256": "0" * 64}
    extraction = Extraction(Sampling(frames), weights=weights, name=folder.name, videos_dir="gone")
    write_json(folder / "extraction.json", asdict(extraction))
    return folder / f"{split}_features.npy"


def make_splits(folder: Path, **how) -> None:
    """make_split of training, validation and test, each with a seed of its own."""
    for seed, split in enumerate(SPLITS):
        make_split(folder, split, seed=seed, **how)


def make_methods(folder: Path, split="train", n_groups=12, seed=0) -> Path:
    """make_split with every other fake of method A, the rest of B, on the other side of reals."""
    file = make_split(folder, split, n_groups, seed=seed)
    rows, features = read_table(folder / f"{split}_videos.csv"), np.load(file)
    frames = np.load(folder / f"{split}_frames.npy")
    for i, row in enumerate(rows):
        if row["label"] == "1":
            row["method"] = "AB"[int(row["group"][-5]) % 2]
            features[frames[:, 0] == i] -= 2.0 * (row["method"] == "B")
    np.save(file, features)
    write_csv(folder / f"{split}_videos.csv", rows[0], rows)
    return file


@pytest.fixture
def features(tmp_path) -> Path:
    """The folder that train(tmp_path) reads: make_split's."""
    return make_split(tmp_path / "features").parent


def videos_of(report: dict, split: str) -> dict:
    """The figures of a split's videos in a metrics.json."""
    return report["splits"][split]["videos"]


def make_bare(features: Path, split="train") -> None:
    """Leave a split's features and labels alone: what its frames are of is not known."""
    for name in ("frames.npy", "videos.csv"):
        (features / f"{split}_{name}").unlink()


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory) -> Path:
    """A ResNet-18 state dict with weights of our own."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "own.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture
def real_videos() -> Path:
    """The folder of real clips in REAL_VIDEOS_DIR; tests that need it are skipped without it."""
    if not os.environ.get("REAL_VIDEOS_DIR"):
        pytest.skip("REAL_VIDEOS_DIR is not set")
    return Path(os.environ["REAL_VIDEOS_DIR"])
