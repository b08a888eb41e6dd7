"""Time the two scripts against the usual way to do the same, and against what the machine can do.

Each figure is the median of several rounds in which all contenders take their turn. Every
extraction runs in a process of its own; its figures leave out the import of the packages.

    python tests/benchmark.py
    python tests/benchmark.py --videos-dir /data/FaceForensics --max-videos 12
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from sklearn.neural_network import MLPClassifier
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
from deepfake_detection_model import (
    DeepfakeMLP,
    load_to_gpu,
    make_targets,
    train_epoch,
)
from features.dataset import Split, load_split
from features.resnet18 import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    N_FEATURES,
    compute_features,
    load_backbone,
)
from features.run import choose_threads, count_cores, map_threads, package_versions, pick_device

# --- Extraction ---
# A contender takes the videos, the frames of each and the device, and returns the frames it made.


def wanted_numbers(capture: cv2.VideoCapture, n: int) -> set[int]:
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return set(sample_frame_numbers(total, n))


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
        wanted = wanted_numbers(capture, n)
        number = 0
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            if number in wanted:
                image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                with torch.no_grad():
                    output = model(transform(image)[None].to(device))
                features.append(output.cpu().numpy())
            number += 1
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


def decode_alone(paths: list[str], n: int, device: str) -> int:
    """One half of what cannot be done without, on all cores: decode all, convert what is wanted."""

    def decode(path: str) -> int:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        wanted = wanted_numbers(capture, n)
        number = 0
        while capture.grab():
            if number in wanted:
                capture.retrieve()
            number += 1
        return len(wanted)

    return sum(map_threads(decode, paths, count_cores()))


def forward_alone(paths: list[str], n: int, device: str) -> int:
    """The other half, on all cores: the network, on as many empty frames."""
    model, _ = load_backbone("random", device)
    frames = torch.zeros(n, 3, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8)

    def forward(path: str) -> int:
        return len(compute_features(model, frames))

    return sum(map_threads(forward, paths, count_cores()))


FACES = ("--crop-faces", "--if-no-face", "whole")
JOBS = {
    "usual script": extract_the_usual_way,
    "feature_extraction.py": extract_with_the_script,
    "the same, --crop-faces": partial(extract_with_the_script, more=FACES),
    "decoding alone": decode_alone,
    "network alone": forward_alone,
}


def run_job(arguments: str) -> None:
    """What a child process does: one job, its figures as a line of JSON at the end."""
    name, *values = json.loads(arguments)
    quiet_decoder()
    start, start_cpu = time.perf_counter(), time.process_time()
    frames = JOBS[name](*values)
    figures = {"frames": frames}
    figures["wall"] = time.perf_counter() - start
    figures["cpu"] = time.process_time() - start_cpu
    unit = 2**30 if platform.system() == "Darwin" else 2**20
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"\n{json.dumps(figures)}")


def measure(jobs: dict[str, tuple], repeats: int) -> dict[str, dict]:
    """Medians of the figures of jobs {title: (name, arguments ...)}, which take turns."""
    rounds = {title: [] for title in jobs}
    for _ in range(repeats):
        for title, job in jobs.items():
            command = [sys.executable, __file__, "--job", json.dumps(job)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{title} failed:\n{done.stderr}")
            figures = json.loads(done.stdout.strip().splitlines()[-1])
            rounds[title].append(figures)
            print(f"  {title:<30} {figures['wall']:.1f} s", file=sys.stderr)
    medians = {}
    for title, done in rounds.items():
        medians[title] = {}
        for name in done[0]:
            values = [figures[name] for figures in done]
            medians[title][name] = float(np.median(values))
    return medians


def measure_growth(clips: list[str], folder: Path, n: int, device: str, repeats: int) -> dict:
    """Figures of feature_extraction.py on 1, 2, 4 and 8 times four clips, by number of videos."""
    jobs = {}
    links = []
    for copy in range(8):
        for i, clip in enumerate(clips[:4]):
            link = folder / f"{copy}_{i}{Path(clip).suffix}"
            link.symlink_to(os.path.abspath(clip))
            links.append(str(link))
        if copy + 1 in (1, 2, 4, 8):
            jobs[len(links)] = ("feature_extraction.py", list(links), n, device)
    return measure(jobs, repeats)


def draw_clips(folder: Path, n: int = 6, frames: int = 120) -> list[str]:
    """Clips from 480p to 1080p of a textured picture that moves, for want of a data set."""
    paths = []
    for i in range(n):
        width, height = ((640, 480), (1280, 720), (1920, 1080))[i % 3]
        picture = np.random.default_rng(i).integers(0, 256, (60, 80, 3), np.uint8)
        size = (width + 2 * frames, height + frames)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        path = str(folder / f"clip_{i}.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 25, (width, height))
        for j in range(frames):
            view = picture[j : j + height, 2 * j : 2 * j + width]
            writer.write(np.ascontiguousarray(view))
        writer.release()
        paths.append(path)
    return paths


# --- Training ---
# A contender takes a split, its features and labels in memory, the batch size, the number of steps
# and the device.


def train_with_the_script(
    split: Split, features, labels, batch_size: int, steps: int, device: str
) -> None:
    rows = np.random.permutation(len(split.rows))[: batch_size * steps]
    part = split.part(np.sort(rows))
    model = DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    targets = tuple(values.to(device) for values in make_targets(part.labels))
    on_gpu = load_to_gpu(part, torch.device(device))
    torch.set_num_threads(choose_threads(batch_size))
    train_epoch(model, optimizer, part, on_gpu, targets, batch_size)


def train_with_a_data_loader(
    split: Split, features, labels, batch_size: int, steps: int, device: str
) -> None:
    model = DeepfakeMLP().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    dataset = TensorDataset(features, labels)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    for step, (batch, truth) in enumerate(loader):
        if step == steps:
            break
        optimizer.zero_grad()
        logits = model(batch.to(device))
        loss = binary_cross_entropy_with_logits(logits, truth.to(device))
        loss.backward()
        optimizer.step()


def train_with_scikit_learn(
    split: Split, features, labels, batch_size: int, steps: int, device: str
) -> None:
    model = MLPClassifier((512, 256), batch_size=batch_size, learning_rate_init=1e-5)
    n = batch_size * steps
    model.partial_fit(features[:n].numpy(), labels[:n].numpy(), classes=(0, 1))


CONTENDERS = {
    "deepfake_detection_model.py": train_with_the_script,
    "TensorDataset, DataLoader, Adam": train_with_a_data_loader,
    "scikit-learn MLPClassifier": train_with_scikit_learn,
}


def time_training(contender: Callable, *arguments, steps: int, device: str) -> float:
    """Steps a second."""
    start = time.perf_counter()
    contender(*arguments, steps, device)
    if device == "cuda":
        torch.cuda.synchronize()
    return steps / (time.perf_counter() - start)


def draw_features(folder: Path, n_rows: int) -> Split:
    """A features file as script 1 leaves it, of as many random rows."""
    rng = np.random.default_rng(0)
    np.save(folder / "features.npy", rng.standard_normal((n_rows, N_FEATURES), np.float32))
    np.save(folder / "labels.npy", rng.integers(0, 2, n_rows))
    return load_split(folder / "features.npy")


def measure_training(split: Split, repeats: int, device: str) -> dict[str, dict[str, float]]:
    """Medians of steps a second, {batch size: {contender: median}}."""
    n_rows = len(split.rows)
    features, labels = split.gather(split.rows), torch.from_numpy(split.labels).float()
    results = {}
    for batch_size, most_steps in ((16, 600), (256, 120)):
        steps = min(most_steps, n_rows // batch_size)
        speeds = {name: [] for name in CONTENDERS}
        for turn in range(repeats + 1):  # the first one only warms up
            for name, contender in CONTENDERS.items():
                n_steps = steps if turn else min(steps, 20)
                data = split, features, labels, batch_size
                speed = time_training(contender, *data, steps=n_steps, device=device)
                if turn:
                    speeds[name].append(speed)
        results[batch_size] = {name: float(np.median(speeds[name])) for name in CONTENDERS}
    return results


# --- The run ---


def describe_processor(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    return name[1] if name else platform.machine()


def choose_clips(videos_dir: Path | None, most: int, folder: Path) -> list[str]:
    """Videos spread over the set, so that each of its folders has its share; or drawn ones."""
    if not videos_dir:
        return draw_clips(folder)
    found, _ = list_videos(videos_dir)
    if not found:
        sys.exit(f"no videos in {videos_dir}")
    return [str(found[i]) for i in sample_frame_numbers(len(found), most)]


def wall_limit(extraction: dict[str, dict], cores: int) -> float:
    """Seconds that decoding and the network take if all cores are busy and nothing else is done."""
    both = extraction["decoding alone"]["cpu"] + extraction["network alone"]["cpu"]
    return both / cores


def print_extraction(extraction: dict[str, dict], cores: int) -> None:
    limit = wall_limit(extraction, cores)
    usual = extraction["usual script"]
    print(f"{'':<30}  wall s   CPU s  frames/s  peak GB  times as fast  CPU share  wall / limit")
    for name, figures in extraction.items():
        wall, cpu = figures["wall"], figures["cpu"]
        speed = figures["frames"] / wall
        line = f"{name:<30}  {wall:>6.1f}  {cpu:>6.1f}  {speed:>8.1f}  {figures['peak_gb']:>7.2f}"
        if "alone" not in name:
            share = cpu / usual["cpu"]
            line += f"  {usual['wall'] / wall:>13.2f}  {share:>9.2f}  {wall / limit:>12.2f}"
        print(line)
    print(f"limit: CPU s of decoding alone and network alone / {cores} cores = {limit:.1f} s")


def print_growth(growth: dict[int, dict]) -> None:
    print("\nGrowth: videos, wall s, peak GB")
    for videos, figures in growth.items():
        print(f"{videos:>6}  {figures['wall']:>6.1f}  {figures['peak_gb']:>6.2f}")


def print_training(training: dict[int, dict[str, float]], rows: int) -> None:
    print(f"\nTraining: steps a second on {rows} rows")
    for batch_size, speeds in training.items():
        ours = speeds["deepfake_detection_model.py"]
        for name, speed in speeds.items():
            times = f"{ours / speed:>5.1f} times"
            print(f"batch size {batch_size:>3}  {name:<32}  {speed:>7.1f}  {times}")


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description="Time the scripts against the usual way.")
    parser.add_argument("--videos-dir", metavar="DIR", type=Path, help="default: drawn clips")
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

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = choose_clips(args.videos_dir, args.max_videos, folder)
        extraction = measure({name: (name, clips, n, device) for name in jobs}, repeats)
        growth = measure_growth(clips, folder, n, device, repeats)
        training = measure_training(draw_features(folder, args.rows), repeats, device)

    machine = {"machine": describe_processor(device), "cores": cores, "device": device}
    machine["versions"] = package_versions()
    print(f"\n{machine['machine']}, {cores} cores, {machine['versions']}")
    print(f"\nExtraction: {len(clips)} videos, {n} frames a video, medians of {repeats}")
    print_extraction(extraction, cores)
    print_growth(growth)
    print_training(training, args.rows)
    settings = {"videos": clips, "frames_per_video": n, "rows": args.rows, "repeats": repeats}
    settings["limit"] = wall_limit(extraction, cores)
    figures = {"extraction": extraction, "growth": growth, "training": training}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(machine | settings | figures, indent=2) + "\n")
    print(f"\nWritten    {args.output}")


if __name__ == "__main__":
    main()
