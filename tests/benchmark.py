"""Time the two scripts against the usual way to do the same.

Each figure is the median of several rounds in which all contenders take their turn. Every
extraction runs in a process of its own; its figures leave out the import of the packages.

    python tests/benchmark.py
    python tests/benchmark.py --videos-dir /data/FaceForensics --max-videos 12
"""

import argparse
import csv
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.models import resnet18

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import feature_extraction
from data.decode import quiet_decoder, sample_frame_numbers
from data.faces import load_face_detector
from data.files import InputError
from data.frames import FRAME_SIZE
from data.layouts import list_videos
from data.words import CLASSES
from deepfake_detection_model import DeepfakeMLP, load_to_gpu, make_targets, train_epoch
from features.dataset import Split
from features.extraction import package_versions
from features.resnet18 import IMAGENET_MEAN, IMAGENET_STD
from features.run import choose_threads, count_cores, pick_device

# --- Extraction ---
# A contender takes the videos, the frames of each and the device, and returns the frames it made.


def extract_the_usual_way(paths: list[str], n: int, device: str) -> int:
    """Read every frame, make PIL images of the wanted ones, send each through the network alone."""
    torch.manual_seed(0)
    model = resnet18(weights=None).eval().to(device)
    steps = [
        transforms.Resize((FRAME_SIZE, FRAME_SIZE)),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
    transform = transforms.Compose(steps)
    features = []
    for path in paths:
        capture = cv2.VideoCapture(path)
        wanted = set(sample_frame_numbers(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), n))
        for number in itertools.count():
            ok, frame = capture.read()
            if not ok:
                break
            if number in wanted:
                image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                with torch.no_grad():
                    output = model(transform(image)[None].to(device))
                features.append(output.cpu().numpy())
    return len(np.concatenate(features))


def extract_with_the_script(paths: list[str], n: int, device: str, more: tuple = ()) -> int:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "videos.csv")
        with open(listed, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "label"))
            for i, path in enumerate(paths):
                writer.writerow((os.path.abspath(path), CLASSES[i % 2]))
        flags = ["--videos-csv", str(listed), "--features-dir", folder, "--weights", "random"]
        flags += ["--device", device, "--frames-per-video", str(n), *more]
        feature_extraction.main(flags)
        return sum(len(np.load(file)) for file in Path(folder).glob("*_labels.npy"))


FACES = ("--crop-faces", "--if-no-face", "whole")
JOBS = {
    "usual script": extract_the_usual_way,
    "feature_extraction.py": extract_with_the_script,
    "the same, --crop-faces": partial(extract_with_the_script, more=FACES),
}


def run_job(arguments: str) -> None:
    """What a child process does: one job, its figures as a line of JSON at the end."""
    name, *values = json.loads(arguments)
    quiet_decoder()
    start = time.perf_counter()
    frames = JOBS[name](*values)
    print("\n" + json.dumps([frames, time.perf_counter() - start]))


def measure_extraction(jobs: list[str], repeats: int, *arguments) -> dict[str, dict]:
    """Medians of seconds, and the frames, of jobs with these arguments, which take turns."""
    seconds, frames = {title: [] for title in jobs}, {}
    for _ in range(repeats):
        for title in jobs:
            command = [sys.executable, __file__, "--job", json.dumps([title, *arguments])]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{title} failed:\n{done.stderr}")
            frames[title], wall = json.loads(done.stdout.strip().splitlines()[-1])
            seconds[title].append(wall)
            print(f"  {title:<30} {wall:.1f} s", file=sys.stderr)
    return {title: {"frames": frames[title], "wall": median(seconds[title])} for title in jobs}


# --- Training ---
# A contender takes a split, the batch size, the number of steps and the device.


def train_with_the_script(split: Split, batch_size: int, steps: int, device: str) -> None:
    rows = np.random.permutation(len(split.rows))[: batch_size * steps]
    part = split.part(np.sort(rows))
    model = DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    targets = tuple(values.to(device) for values in make_targets(part.labels))
    on_gpu, threads = load_to_gpu(part, torch.device(device)), torch.get_num_threads()
    torch.set_num_threads(choose_threads(batch_size))
    train_epoch(model, optimizer, part, on_gpu, targets, batch_size)
    torch.set_num_threads(threads)


def train_with_a_data_loader(split: Split, batch_size: int, steps: int, device: str) -> None:
    model = DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    labels = torch.from_numpy(split.labels).float()
    dataset = TensorDataset(torch.from_numpy(split.features), labels)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    for features, truth in itertools.islice(loader, steps):
        optimizer.zero_grad()
        logits = model(features.to(device))
        loss = binary_cross_entropy_with_logits(logits, truth.to(device))
        loss.backward()
        optimizer.step()


CONTENDERS = {
    "deepfake_detection_model.py": train_with_the_script,
    "TensorDataset, DataLoader, Adam": train_with_a_data_loader,
}


def draw_features(n_rows: int) -> Split:
    """As many random rows, in memory."""
    rng, rows = np.random.default_rng(0), np.arange(n_rows)
    features = rng.standard_normal((n_rows, len(DeepfakeMLP().mean)), np.float32)
    return Split(features, rows, rng.integers(0, 2, n_rows), rows, 0 * rows, [], None)


def measure_training(split: Split, repeats: int, device: str, batch_size=16, steps=600) -> dict:
    """Medians of steps a second, {contender: median}."""
    steps = min(steps, len(split.rows) // batch_size)
    speeds = {name: [] for name in CONTENDERS}
    for turn in range(repeats + 1):
        for name, contender in CONTENDERS.items():
            start = time.perf_counter()
            contender(split, batch_size, steps, device)
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first one only warms up
                speeds[name].append(steps / (time.perf_counter() - start))
    return {name: median(values) for name, values in speeds.items()}


# --- The run ---


def describe_processor(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    return name[1] if name else platform.machine()


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description="Time the scripts against the usual way.")
    parser.add_argument("--videos-dir", metavar="DIR", type=Path, default="data/sample")
    parser.add_argument("--max-videos", metavar="N", type=int, default=12)
    parser.add_argument("--frames-per-video", metavar="N", type=int, default=16)
    parser.add_argument("--face-model", metavar="FILE", type=Path, help="a copy of the detector")
    parser.add_argument("--rows", metavar="N", type=int, default=200_000, help="to train on")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="rounds")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--output", metavar="FILE", type=Path, default="results/benchmark.json")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.job:
        run_job(args.job)
        return
    n, repeats = args.frames_per_video, args.repeats
    device, cores = pick_device(args.device).type, count_cores()
    jobs = list(JOBS)
    try:
        load_face_detector(args.face_model)
    except InputError as error:
        jobs.remove("the same, --crop-faces")
        print(f"Face crops are left out: {error}", file=sys.stderr)

    found, _ = list_videos(args.videos_dir)
    if not found:
        sys.exit(f"no videos in {args.videos_dir}")
    # spread over the set, so that each of its folders has its share
    clips = [str(found[i]) for i in sample_frame_numbers(len(found), args.max_videos)]
    extraction = measure_extraction(jobs, repeats, clips, n, device)
    training = measure_training(draw_features(args.rows), repeats, device)

    machine = {"machine": describe_processor(device), "cores": cores, "device": device}
    machine["versions"] = package_versions()
    print(f"{machine['machine']}, {cores} cores, {machine['versions']}")
    print(f"\nExtraction: {len(clips)} videos, {n} frames a video, medians of {repeats}")
    usual = extraction["usual script"]["wall"]
    for name, figures in extraction.items():
        wall = figures["wall"]
        print(f"{name:<32}  {wall:>6.1f} s  {usual / wall:>6.2f} times as fast")
    print(f"\nTraining: steps a second on {args.rows} rows")
    for name, speed in training.items():
        print(f"{name:<32}  {speed:>8.1f}")
    settings = {"videos": clips, "frames_per_video": n, "rows": args.rows, "repeats": repeats}
    figures = {"extraction": extraction, "training": training}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(machine | settings | figures, indent=2) + "\n")
    print(f"\nWritten    {args.output}")


if __name__ == "__main__":
    main()
