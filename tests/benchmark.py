"""Time feature_extraction.py against the usual way to do the same.

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
from features.extraction import package_versions
from features.resnet18 import IMAGENET_MEAN, IMAGENET_STD
from features.run import count_cores, pick_device


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


def describe_processor(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    return name[1] if name else platform.machine()


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description="Time extraction against the usual way.")
    parser.add_argument("--videos-dir", metavar="DIR", type=Path, default="data/sample")
    parser.add_argument("--max-videos", metavar="N", type=int, default=12)
    parser.add_argument("--frames-per-video", metavar="N", type=int, default=16)
    parser.add_argument("--face-model", metavar="FILE", type=Path, help="a copy of the detector")
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

    machine = {"machine": describe_processor(device), "cores": cores, "device": device}
    machine["versions"] = package_versions()
    print(f"{machine['machine']}, {cores} cores, {machine['versions']}")
    print(f"\nExtraction: {len(clips)} videos, {n} frames a video, medians of {repeats}")
    usual = extraction["usual script"]["wall"]
    for name, figures in extraction.items():
        wall = figures["wall"]
        print(f"{name:<32}  {wall:>6.1f} s  {usual / wall:>6.2f} times as fast")
    settings = {"videos": clips, "frames_per_video": n, "repeats": repeats}
    figures = {"extraction": extraction}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(machine | settings | figures, indent=2) + "\n")
    print(f"\nWritten    {args.output}")


if __name__ == "__main__":
    main()
