"""Time the two scripts against the usual way to do the same, and against what the machine can do.

Each figure is the median of several rounds in which all contenders take their turn. Every extraction runs in a process
of its own; its figures leave out the import of the packages.

    python tests/benchmark.py
    python tests/benchmark.py --videos-dir /data/FaceForensics --max-videos 12 --output results/benchmark.json
"""

import argparse
import csv
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from sklearn.neural_network import MLPClassifier
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.models import resnet18

from data.decode import quiet_decoder, sample_frame_numbers
from data.faces import load_face_detector
from data.files import InputError
from data.frames import FRAME_SIZE
from data.layouts import CLASSES, list_video_files
from features.machine import count_cores, map_threads, package_versions, pick_device
from features.resnet18 import IMAGENET_MEAN, IMAGENET_STD, N_FEATURES, compute_features, load_backbone

sys.path.insert(0, str(Path(__file__).parents[1]))
import deepfake_detection_model as ddm
import feature_extraction as fe

# --- Extraction -----------------------------------------------------------------------------------


def extract_the_usual_way(paths: list[str], n: int, device: str) -> int:
    """Read every frame, transform the wanted ones as PIL images, send each through the network by itself."""
    torch.manual_seed(0)
    model = resnet18(weights=None).eval().to(device)
    normalise = transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    transform = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor(), normalise])
    features = []
    for path in paths:
        capture = cv2.VideoCapture(path)
        wanted = set(sample_frame_numbers(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), n))
        number = 0
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            if number in wanted:
                image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                with torch.no_grad():
                    features.append(model(transform(image)[None].to(device)).cpu().numpy())
            number += 1
    return len(np.concatenate(features))


def extract_with_the_script(paths: list[str], n: int, device: str, *more: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "videos.csv")
        with open(listed, "w", newline="") as file:
            rows = [(os.path.abspath(path), CLASSES[i % 2]) for i, path in enumerate(paths)]
            csv.writer(file).writerows([("path", "label"), *rows])
        flags = ["--videos-csv", str(listed), "--features-dir", folder, "--weights", "random", "--device", device]
        fe.main([*flags, "--frames-per-video", str(n), *more])
        return len(np.load(Path(folder, "train_labels.npy")))


def decode_alone(paths: list[str], n: int, device: str) -> int:
    """Decode all frames and convert the wanted ones, on all cores: one half of what cannot be done without."""

    def decode(path: str) -> int:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        wanted = set(sample_frame_numbers(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), n))
        number = 0
        while capture.grab():
            if number in wanted:
                capture.retrieve()
            number += 1
        return len(wanted)

    return sum(map_threads(decode, paths, count_cores()))


def forward_alone(paths: list[str], n: int, device: str) -> int:
    """The network on as many empty frames, on all cores: the other half."""
    model, _ = load_backbone("random", device)
    frames = torch.zeros(n, 3, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8)
    return sum(map_threads(lambda _: len(compute_features(model, frames)), paths, count_cores()))


JOBS = {
    "usual script": extract_the_usual_way,
    "feature_extraction.py": extract_with_the_script,
    "the same, nearest-reference": lambda *job: extract_with_the_script(*job, "--frame-choice", "nearest-reference"),
    "the same, --crop-faces": lambda *job: extract_with_the_script(*job, "--crop-faces", "--no-face", "whole"),
    "decoding alone": decode_alone,
    "network alone": forward_alone,
}


def run_job(arguments: str) -> None:
    """What a child process does: one job, its figures as a line of JSON at the end."""
    name, *values = json.loads(arguments)
    quiet_decoder()
    start, start_cpu = time.perf_counter(), time.process_time()
    frames = JOBS[name](*values)
    figures = {"frames": frames, "wall": time.perf_counter() - start, "cpu": time.process_time() - start_cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() != "Darwin" else 2**30)
    print(f"\n{json.dumps(figures | {'peak_gb': peak})}")


def measure(jobs: dict[str, tuple], repeats: int) -> dict[str, dict]:
    """Medians of the figures of jobs {title: (name, arguments of its function ...)}, which take turns."""
    rounds = {title: [] for title in jobs}
    for _ in range(repeats):
        for title, job in jobs.items():
            command = [sys.executable, __file__, "--job", json.dumps(job)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            rounds[title].append(json.loads(output.stdout.strip().splitlines()[-1]))
            print(f"  {title:<30} {rounds[title][-1]['wall']:.1f} s", file=sys.stderr)
    return {
        title: {key: float(np.median([figures[key] for figures in done])) for key in done[0]}
        for title, done in rounds.items()
    }


def draw_clips(folder: Path, n: int = 6, frames: int = 120) -> list[str]:
    """Clips from 480p to 1080p of a textured picture that moves, for a machine without a data set."""
    paths = []
    for i in range(n):
        size = ((640, 480), (1280, 720), (1920, 1080))[i % 3]
        paths.append(str(folder / f"clip_{i}.mp4"))
        writer = cv2.VideoWriter(paths[-1], cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
        picture = np.random.default_rng(i).integers(0, 256, (60, 80, 3), np.uint8)
        picture = cv2.resize(picture, (size[0] + 2 * frames, size[1] + frames), interpolation=cv2.INTER_CUBIC)
        for j in range(frames):
            writer.write(np.ascontiguousarray(picture[j : j + size[1], 2 * j : 2 * j + size[0]]))
        writer.release()
    return paths


# --- Training -------------------------------------------------------------------------------------


def train_with_the_script(features, labels, batch_size: int, steps: int, device: str) -> None:
    model = ddm.DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    rows = torch.randperm(len(features), device=features.device)[: batch_size * steps]
    ddm.train_epoch(model, optimizer, features, labels[rows], torch.ones(len(rows), device=device), rows, batch_size)


def train_with_a_data_loader(features, labels, batch_size: int, steps: int, device: str) -> None:
    model = ddm.DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    loader = DataLoader(TensorDataset(features, labels), batch_size=batch_size, shuffle=True)
    for step, (batch, truth) in enumerate(loader):
        if step == steps:
            break
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch.to(device)), truth.to(device))
        loss.backward()
        optimizer.step()


def train_with_scikit_learn(features, labels, batch_size: int, steps: int, device: str) -> None:
    model = MLPClassifier((512, 256), batch_size=batch_size, learning_rate_init=1e-5)
    n = batch_size * steps
    model.partial_fit(features[:n].numpy(), labels[:n].numpy(), classes=(0, 1))


def measure_training(n_rows: int, repeats: int, device: str) -> dict[str, dict[str, float]]:
    """{batch size: {contender: median of steps a second}}"""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n_rows, N_FEATURES, generator=generator)
    labels = (torch.rand(n_rows, generator=generator) < 0.5).float()
    contenders = {
        "deepfake_detection_model.py": train_with_the_script,
        "TensorDataset, DataLoader, Adam": train_with_a_data_loader,
        "scikit-learn MLPClassifier": train_with_scikit_learn,
    }
    results = {}
    for batch_size, most_steps in ((16, 600), (256, 120)):
        steps = min(most_steps, n_rows // batch_size)
        speeds = {name: [] for name in contenders}
        for turn in range(repeats + 1):  # the first one only warms up
            for name, contender in contenders.items():
                on_device = name.startswith("deepfake") and device == "cuda"
                data = (features.to(device), labels.to(device)) if on_device else (features, labels)
                start = time.perf_counter()
                contender(*data, batch_size, steps if turn else 20, device)
                if device == "cuda":
                    torch.cuda.synchronize()
                speeds[name] += [steps / (time.perf_counter() - start)] if turn else []
        results[str(batch_size)] = {name: float(np.median(values)) for name, values in speeds.items()}
    return results


# --- The run --------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the two scripts against the usual way, and against the machine.")
    parser.add_argument("--videos-dir", type=Path, help="clips to extract from (default: drawn ones)")
    parser.add_argument("--max-videos", type=int, default=12)
    parser.add_argument("--frames-per-video", type=int, default=16)
    parser.add_argument("--face-model", type=Path, help="a copy of the face detector, if it cannot be downloaded")
    parser.add_argument("--rows", type=int, default=200_000, help="to train on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--output", type=Path, default="results/benchmark.json")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        run_job(args.job)
        return
    jobs = list(JOBS)
    try:
        load_face_detector(args.face_model)
    except InputError as error:
        jobs.remove("the same, --crop-faces")
        print(f"Face crops are left out: {error}", file=sys.stderr)
    n, device, cores = args.frames_per_video, pick_device(args.device).type, count_cores()
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    processor = re.search(r"model name\s*: (.*)", info)
    machine = torch.cuda.get_device_name() if device == "cuda" else processor[1] if processor else platform.machine()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if args.videos_dir:
            # spread over the set, so that each of its folders has its share
            found = [str(path) for path in list_video_files(args.videos_dir)]
            clips = [found[i] for i in sample_frame_numbers(len(found), args.max_videos)]
        else:
            clips = draw_clips(folder)
        extraction = measure({name: (name, clips, n, device) for name in jobs}, args.repeats)
        growth = {}
        for times in (1, 2, 4, 8):
            links = [
                folder / f"{copy}_{i}{Path(clip).suffix}" for copy in range(times) for i, clip in enumerate(clips[:4])
            ]
            for link, clip in zip(links, clips[:4] * times, strict=True):
                if not link.exists():
                    link.symlink_to(os.path.abspath(clip))
            growth[len(links)] = ("feature_extraction.py", [str(link) for link in links], n, device)
        growth = measure(growth, args.repeats)
    training = measure_training(args.rows, args.repeats, device)

    print(f"\n{machine}, {cores} cores, Python {platform.python_version()}, {package_versions()}")
    print(f"\nExtraction: {len(clips)} videos, {n} frames a video, medians of {args.repeats}")
    decoding, network = extraction["decoding alone"]["cpu"], extraction["network alone"]["cpu"]
    limit = (decoding + network) / cores
    usual = extraction["usual script"]
    print(f"{'':<30}  wall s   CPU s  frames/s  peak GB  times as fast  CPU share  wall / limit")
    for name, figures in extraction.items():
        speed, share = usual["wall"] / figures["wall"], figures["cpu"] / usual["cpu"]
        line = f"{figures['wall']:>6.1f}  {figures['cpu']:>6.1f}  {figures['frames'] / figures['wall']:>8.1f}"
        whole = f"{speed:>13.2f}  {share:>9.2f}  {figures['wall'] / limit:>12.2f}" if "alone" not in name else ""
        print(f"{name:<30}  {line}  {figures['peak_gb']:>7.2f}  {whole}".rstrip())
    print(f"limit: ({decoding:.1f} + {network:.1f} s of CPU) / {cores} cores = {limit:.1f} s")
    print("\nGrowth: videos, wall s, peak GB")
    for videos, figures in growth.items():
        print(f"{videos:>6}  {figures['wall']:>6.1f}  {figures['peak_gb']:>6.2f}")
    print(f"\nTraining: steps a second on {args.rows} rows")
    for batch_size, speeds in training.items():
        ours = speeds["deepfake_detection_model.py"]
        for name, speed in speeds.items():
            print(f"batch size {batch_size:>3}  {name:<32}  {speed:>7.1f}  {ours / speed:>5.1f} times")
    report = {"machine": machine, "cores": cores, "versions": package_versions(), "device": device, "videos": clips}
    report |= {"frames_per_video": n, "rows": args.rows, "repeats": args.repeats, "limit": limit}
    report |= {"extraction": extraction, "growth": growth, "training": training}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nWritten    {args.output}")


if __name__ == "__main__":
    main()
