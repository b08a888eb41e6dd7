"""Extract ResNet-18 features from the frames of real and fake videos.

Reads a data set: FaceForensics++, Celeb-DF, DFDC, folders real/ and fake/, or a CSV that lists
videos. Writes to features/<name of the data set>/, for each split (train; val and test where the
data set has them):

    <split>_features.npy  (N, 1000) float32  one row a frame: the ImageNet logits of ResNet-18
    <split>_labels.npy    (N,) int64         1 = fake, 0 = real
    <split>_frames.npy    (N, 2) int32       row in <split>_videos.csv, number of the frame
    <split>_videos.csv    a line a video     identifier, label, method, group, size, ...
    failed.csv            a line a video     videos that could not be used, and why
    extraction.json                          weights, sampling, versions, counts
    cache/                a file a video     lets a stopped run go on; safe to delete

    python feature_extraction.py
    python feature_extraction.py --videos-dir /data/my_videos
    python feature_extraction.py --videos-dir /data/my_videos --crop-faces --preview 8
"""

from data import interrupts

if __name__ == "__main__":
    interrupts.set_handler(interrupts.end_at_once)  # the imports take seconds

import argparse
import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from torch import distributed
from tqdm import tqdm

from data.decode import FRAME_CHOICES, quiet_decoder, sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import DownloadError, InputError, command, make_folder
from data.frames import Crop, Extraction
from data.layouts import SAMPLE_DIR, Video, find_data_set, print_data_set, read_drawn_by
from data.public_sets import COMPRESSIONS
from data.video_list import check_list
from features.cache import Outcome, hold_folder, process_video
from features.machine import count_cores, map_threads, package_versions, pick_device, run_script
from features.pictures import write_preview
from features.resnet18 import load_backbone
from features.splits import announce_new_features, load_extraction, write_features

# --- The processes that torchrun starts; without it there is one ----------------------------------


def join_processes() -> tuple[int, int]:
    """The number of this process and how many there are. All but the first print nothing."""
    if not distributed.is_torchelastic_launched():
        return 0, 1
    # Whoever is done first waits for the last: with many videos that can take days.
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return rank, world_size


def describe_work(extraction: Extraction, videos: list[Video]) -> dict[str, str]:
    """What must be the same for all processes."""
    recipe = extraction.recipe()
    identifiers = "\n".join(video.video for video in videos)
    digest = hashlib.sha256(identifiers.encode()).hexdigest()[:8]
    weights = f"{extraction.weights.get('name')} (sha256 {recipe['weights'][:8]})"
    versions = recipe.pop("versions")
    return recipe | versions | {"weights": weights, "videos": f"{len(videos)} (sha256 {digest})"}


def check_processes_agree(extraction: Extraction, videos: list[Video], world_size: int) -> None:
    """Raise InputError if another process would make other features, or sees other videos."""
    if world_size == 1:
        return
    works = [None] * world_size
    distributed.all_gather_object(works, describe_work(extraction, videos))
    for rank, theirs in enumerate(works):
        for name, value in theirs.items():
            if value != works[0][name]:
                raise InputError(
                    f"process {rank} has {name} {value}, process 0 has {works[0][name]}: "
                    "make the machines alike, then run again"
                )


@contextmanager
def hold_for_all(folder: Path, rank: int, world_size: int) -> Iterator[None]:
    """Keep other runs out of the folder; no process writes before the first holds it."""
    make_folder(folder / "cache")
    if rank:
        distributed.barrier()
        yield
        return
    with hold_folder(folder):
        if world_size > 1:
            distributed.barrier()
        yield


def gather_outcomes(outcomes: list[Outcome], rank: int, world_size: int) -> list[Outcome] | None:
    """The outcomes of all videos in their order, for the first process; None for the others."""
    if world_size == 1:
        return outcomes
    gathered = None if rank else [[]] * world_size
    distributed.gather_object(outcomes, gathered)
    distributed.barrier()  # else torch 2.4 may free what was gathered too early, and hang
    distributed.destroy_process_group()
    if rank:
        return None
    n = sum(len(part) for part in gathered)
    return [gathered[i % world_size][i // world_size] for i in range(n)]


# --- The steps of a run ---------------------------------------------------------------------------


def name_of(source: Path) -> str:
    """The name of a data set: that of its folder, or of its CSV without the ending."""
    source = Path(os.path.abspath(source))
    return source.stem if source.is_file() else source.name


def pick_folder(features_dir: Path | None, source: Path, videos_dir: str) -> Path:
    """The folder to write to. Raises InputError if the default one is that of another data set."""
    if features_dir:
        return features_dir
    folder = Path("features", name_of(source))
    earlier = load_extraction(folder)
    if earlier and earlier.videos_dir != videos_dir:
        found = f"{folder} holds features of {earlier.videos_dir}"
        raise InputError(f"{found}: name another folder, or this one, with --features-dir")
    return folder


def prepare_crop(crop_faces: bool, margin: float, no_face: str, face_model: Path | None):
    """How to crop faces, or None for whole frames. Downloads a missing face detector."""
    if not crop_faces:
        return None
    load_face_detector(face_model)
    return Crop(margin=margin, no_face=no_face, detector_sha256=FACE_MODEL_SHA256)


def load_weights(weights: str, device: torch.device, drawn: bool) -> tuple[torch.nn.Module, dict]:
    """The backbone and where its weights come from; for the drawn set an untrained one will do."""
    try:
        return load_backbone(weights, device)
    except DownloadError:
        if not drawn:
            raise
        remedy = "for real weights go online, or give --weights FILE"
        print(f"WARNING: UNTRAINED network: {remedy}", file=sys.stderr)
    backbone, provenance = load_backbone("random", device)
    return backbone, provenance | {"instead_of": weights}


def preview(
    videos: list[Video], n: int, extraction: Extraction, num_workers: int, folder: Path
) -> None:
    """Write preview.png: what the network would see of n videos, spread over the data set."""
    make_folder(folder)
    shown = [videos[i] for i in sample_frame_numbers(len(videos), n)]
    write_preview(shown, extraction, num_workers, folder / "preview.png", extraction.videos_dir)
    print(f"Written    {folder / 'preview.png'}: {len(shown)} of {len(videos)} videos")
    print("Next       look at it, then run the same command without --preview to extract features")


def print_header(extraction: Extraction, device, num_workers: int, world_size: int) -> None:
    weights, crop = extraction.weights, extraction.crop
    print(f"Backbone   ResNet-18, weights: {weights['name']} (sha256 {weights['sha256'][:8]})")
    print(f"Frames     {extraction.frames_per_video} a video ({extraction.frame_choice})")
    if crop:
        print(f"Faces      cropped, margin {crop.margin:g}; a video without a face: {crop.no_face}")
    processes = f"{world_size} processes, each " if world_size > 1 else ""
    at_once = "1 video" if num_workers == 1 else f"{num_workers} videos"
    print(f"Device     {device}, {processes}{at_once} at a time", flush=True)


def extract_all(
    videos: list[Video], process: Callable, num_workers: int, rank: int, world_size: int
) -> list[Outcome] | None:
    """process(video) of each video, divided among the processes; the first gets all outcomes."""
    mine = videos[rank::world_size]
    outcomes, n_frames, start = [], 0, time.perf_counter()
    with (
        closing(map_threads(process, mine, num_workers)) as results,
        tqdm(total=len(mine), unit="video", desc="extracting", disable=rank > 0 or None) as bar,
    ):
        for video, outcome in zip(mine, results, strict=True):
            outcomes.append(outcome)
            n_frames += outcome.frames
            if outcome.reason:
                bar.write(f"failed: {video.video}: {outcome.reason}", file=sys.stderr)
            speed = n_frames / (time.perf_counter() - start)
            bar.set_postfix_str(f"{speed:.0f} frames/s", refresh=False)
            bar.update()
    return gather_outcomes(outcomes, rank, world_size)


def print_outcomes(videos: list[Video], outcomes: list[Outcome], overwrite: bool) -> None:
    failed = [
        video.label for video, outcome in zip(videos, outcomes, strict=True) if outcome.reason
    ]
    used = len(videos) - len(failed)
    n_fake = sum(failed)
    # if one class fails more often than the other, what is left is biased
    by_class = f" ({len(failed) - n_fake} real, {n_fake} fake)" if failed else ""
    print(f"Result     {len(videos)} found = {used} used + {len(failed)} failed{by_class}")
    states = Counter(outcome.state for outcome in outcomes if not outcome.reason)
    if states["cached"] + states["redone"] and not overwrite:
        redone = f"{states['redone']} done again, as the file or a setting had changed"
        print(f"Cache      {states['cached']} taken from an earlier run, {redone}")


def print_next(folder: Path, n_frames: dict[str, int]) -> None:
    for split, n in n_frames.items():
        print(f"Written    {folder / split}_features.npy: {n} frames")
    arguments = []
    if folder != Path("features/sample"):
        arguments = ["--train-features-file", folder / "train_features.npy"]
    print(f"Next       {command('deepfake_detection_model.py', *arguments)}")


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    limits = {
        "frames_per_video": (1, 10_000),
        "num_workers": (1, 10_000),
        "preview": (0, 100),
        "face_margin": (1, 5),
    }
    for name, (low, high) in limits.items():
        value = getattr(args, name)
        if not low <= value <= high:
            parser.error(f"--{name.replace('_', '-')} is {value}, expected {low} to {high}")
    for name in ("face_model", "face_margin", "no_face"):
        if not args.crop_faces and getattr(args, name) != parser.get_default(name):
            parser.error(f"--{name.replace('_', '-')} goes with --crop-faces")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Extract ResNet-18 features from the frames of real and fake videos.",
        usage="%(prog)s [--help] [FLAG ...]",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong.",
        allow_abbrev=False,
    )
    default = "(default: %(default)s)"
    # fmt: off
    add = parser.add_argument_group("what to read, where to write").add_argument
    add("--videos-dir", type=Path, default=SAMPLE_DIR, metavar="DIR",
        help=f"data set: FaceForensics++, Celeb-DF, DFDC, or folders real/ and fake/ {default}")
    add("--videos-csv", type=Path, metavar="FILE",
        help="CSV that lists the videos instead: path,label and, if known, group,split,method")
    add("--compression", default="", choices=COMPRESSIONS,
        help="FaceForensics++: take the videos of this compression only (default: all)")
    add("--features-dir", type=Path, metavar="DIR",
        help="where to write (default: features/<name of the folder or CSV>)")
    add("--overwrite", action="store_true",
        help="extract every video again, even those that an earlier run finished")
    add = parser.add_argument_group("how frames are sampled").add_argument
    add("--frames-per-video", type=int, default=32, metavar="N",
        help=f"evenly spaced frames of each video; a shorter one gives all it has {default}")
    add("--frame-choice", choices=FRAME_CHOICES, default=FRAME_CHOICES[0],
        help="exact: the evenly spaced frames; nearest-reference: close to them, those that "
        f"decode without others, which is faster {default}")
    add("--preview", type=int, default=0, metavar="N",
        help="only write preview.png: what the network would see of N videos")
    add = parser.add_argument_group("faces").add_argument
    add("--crop-faces", action="store_true",
        help="crop to the face of one person a video (default: whole frames)")
    add("--face-margin", type=float, default=1.3, metavar="X",
        help=f"side of the crop, as a multiple of the longer side of the face {default}")
    add("--no-face", choices=("fail", "whole"), default="fail",
        help=f"a video without a face: leave it out (fail) or use whole frames {default}")
    add("--face-model", type=Path, metavar="FILE",
        help="your copy of the face detector YuNet, kept for later (default: download it once)")
    add = parser.add_argument_group("the network and the machine").add_argument
    add("--weights", default="imagenet", metavar="NAME",
        help=f"of ResNet-18: imagenet (downloaded once), random (untrained) or a file {default}")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto",
        help=f"where the network runs; auto: on the GPU, if there is one {default}")
    add("--num-workers", type=int, default=count_cores(), metavar="N",
        help="videos to work on at a time (default: one for each core, %(default)s)")
    # fmt: on
    args = parser.parse_args(argv)
    check_flags(parser, args)

    quiet_decoder()
    rank, world_size = join_processes()
    if args.videos_csv:
        check_list(args.videos_csv)
    source = args.videos_csv or args.videos_dir
    root = source.parent if args.videos_csv else source
    folder = pick_folder(args.features_dir, source, os.path.realpath(root))
    data_set = find_data_set(source, args.compression)
    print_data_set(data_set)
    videos = data_set.videos
    extraction = Extraction(
        frames_per_video=args.frames_per_video,
        frame_choice=args.frame_choice,
        crop=prepare_crop(args.crop_faces, args.face_margin, args.no_face, args.face_model),
        versions=package_versions(),
        videos_dir=os.path.realpath(root),
        layout=data_set.layout,
        compression=args.compression or "all",
        sample=read_drawn_by(root),
    )
    if args.preview:
        if rank == 0:
            preview(videos, args.preview, extraction, args.num_workers, folder)
        return

    device = pick_device(args.device)
    drawn = extraction.sample is not None
    backbone, extraction.weights = load_weights(args.weights, device, drawn)
    extraction.device = device.type
    check_processes_agree(extraction, videos, world_size)
    print_header(extraction, device, args.num_workers, world_size)
    process = partial(
        process_video,
        backbone=backbone,
        folder=folder,
        extraction=extraction,
        overwrite=args.overwrite,
    )
    interrupts.message = "interrupted: the same command goes on from here"
    with hold_for_all(folder, rank, world_size):
        if rank == 0:
            announce_new_features(folder, extraction, {video.split for video in videos})
        outcomes = extract_all(videos, process, args.num_workers, rank, world_size)
        if outcomes is None:  # the first process does the rest
            return
        print_outcomes(videos, outcomes, args.overwrite)
        n_frames = write_features(folder, videos, outcomes, extraction)
    print_next(folder, n_frames)


if __name__ == "__main__":
    run_script(main)
