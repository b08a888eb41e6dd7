"""Small videos and features made on the spot. Nothing is written outside pytest's temporary folder."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18


def write_video(path: Path, n: int = 12, size: tuple[int, int] = (64, 48), fps: float = 25, colour=None) -> Path:
    """A video whose frame i has the grey level 20 + 7 i, or one colour (BGR); size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, size)
    assert writer.isOpened()
    for i in range(n):
        writer.write(np.full((size[1], size[0], 3), colour or 20 + 7 * i, np.uint8))
    writer.release()
    return path


@pytest.fixture
def videos(tmp_path) -> Path:
    """Two pairs of people, each with two reals and the two swaps between them, and one clip more of each class."""
    root = tmp_path / "videos"
    for i, name in enumerate(("000", "003", "001", "002", "007")):
        write_video(root / "real" / f"{name}.mp4", n=8 + i)
    for i, name in enumerate(("000_003", "003_000", "001_002", "002_001", "fifty")):
        write_video(root / "fake" / f"{name}.mp4", n=7 + i)
    return root


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty cache of weights, and no network: what torch.hub asks for is not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    weights = ResNet18_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(weights, "url", (tmp_path / "no_server" / "resnet18-f37072fd.pth").as_uri())
    return tmp_path / "torch_home"


def make_split(
    folder: Path, split: str = "train", n_groups: int = 10, frames: int = 4, shift: float = 1.0, seed: int = 0
) -> Path:
    """Features as feature_extraction.py leaves them: each group has a real and a fake video, fakes shifted."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = sorted(f"{label}/{i:03d}.mp4" for i in range(n_groups) for label in ("real", "fake"))
    labels = np.array([name.startswith("fake") for name in names], np.int64)
    rows = [
        {
            "video": f"{split}/{name}",
            "label": label,
            "method": "",
            "group": f"{split}{name[5:]}",
            "clip": f"{split}/{name}",
        }
        for name, label in zip(names, labels, strict=True)
    ]
    index = np.repeat(np.arange(len(names)), frames)
    features = rng.normal(size=(len(index), 1000)) + shift * labels[index, None]
    np.save(folder / f"{split}_features.npy", features.astype(np.float32))
    np.save(folder / f"{split}_labels.npy", labels[index])
    numbers = np.tile(np.arange(frames), len(names))
    np.save(folder / f"{split}_frames.npy", np.stack([index, numbers], 1).astype(np.int32))
    with open(folder / f"{split}_videos.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    extraction = {"videos_dir": "gone", "sample": None, "frames_per_video": frames, "frame_choice": "exact"}
    extraction["weights"] = {"name": "random", "sha256": "0" * 64}
    (folder / "extraction.json").write_text(json.dumps(extraction))
    return folder / f"{split}_features.npy"


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
