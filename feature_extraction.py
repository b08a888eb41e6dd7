"""Extract ResNet-18 features from the frames of real and fake videos.

Reads a data set: FaceForensics++, Celeb-DF, DFDC and others, or folders real/ and fake/, or a CSV
that lists videos. Writes to features/<name of the data set>/, for each split (train, val, test)
that the data set has:

    <split>_features.npy  (N, 1000) float32  one row a frame: the ImageNet logits of ResNet-18
    <split>_labels.npy    (N,) int64         1 = fake, 0 = real
    <split>_frames.npy    (N, 2) int32       row in <split>_videos.csv, number of the frame
    <split>_videos.csv    a line a video     identifier, label, method, group, size, ...
    failed.csv                               what could not be used or was left out, and why
    extraction.json                          weights, sampling, versions, counts
    cache/                a file a video     lets a stopped run go on; safe to delete

    python feature_extraction.py
    python feature_extraction.py --videos-dir /data/my_videos
    python feature_extraction.py --videos-dir /data/my_videos --crop-faces --preview 8
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from data.decode import quiet_decoder, sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import DownloadError, InputError, make_folder
from data.frames import Sampling
from data.layouts import SAMPLE_DIR, DataSet, find_data_set, read_drawn_by
from data.video_list import check_list
from data.videos import Video
from data.words import COMPRESSIONS
from features import extraction_screen as screen
from features import processes
from features.cache import Outcome, process_video
from features.extraction import (
    Extraction,
    find_difference,
    find_left_out,
    hash_extraction_code,
    load_extraction,
    package_versions,
)
from features.pictures import write_preview
from features.resnet18 import load_backbone
from features.run import (
    Progress,
    count_cores,
    device_name,
    if_interrupted,
    map_threads,
    parse_flags,
    pick_device,
    run_script,
)
from features.write import write_features

# --- The steps of a run ---


def describe(source: Path, data_set: DataSet, sampling: Sampling, **narrowed) -> Extraction:
    """How features are made, and of which videos; the weights and the device are not known yet."""
    root = source.parent if source.is_file() else source  # a CSV
    whole = Path(os.path.abspath(source))
    return Extraction(
        sampling,
        versions=package_versions(),
        code=hash_extraction_code(),
        name=whole.stem if source.is_file() else whole.name,
        videos_dir=os.path.realpath(root),
        layout=data_set.layout,
        sample=read_drawn_by(root),
        notes=data_set.notes,
        **narrowed,
    )


def load_earlier(folder: Path) -> Extraction | None:
    """How finished features in a folder were made; None where nobody can use them any more."""
    try:
        return load_extraction(folder)
    except InputError:  # cut off, or of another version
        return None


def pick_folder(features_dir: Path | None, extraction: Extraction) -> Path:
    """The folder to write to. Raises InputError if the default one is that of another data set."""
    folder = features_dir or Path("features", extraction.name)
    earlier = None if features_dir else load_earlier(folder)
    if earlier and earlier.videos_dir != extraction.videos_dir:
        found = f"{folder} holds features of {earlier.videos_dir}"
        raise InputError(f"{found}: name another folder, or this one, with --features-dir")
    return folder


def check_replaced(folder: Path, extraction: Extraction) -> None:
    """Raise InputError where finished features, made otherwise or of more, would be replaced."""
    earlier = load_earlier(folder)
    if not earlier:
        return
    if difference := find_difference(earlier, extraction):
        found = f"with {difference[0]}, not {difference[1]}"
    elif flag := find_left_out(earlier, extraction):
        found = f"of videos that {flag} leaves out"
    else:
        return
    remedy = "write elsewhere with --features-dir, or replace them with --overwrite"
    raise InputError(f"{folder} holds finished features {found}: {remedy}")


def load_weights(
    weights: str, device: torch.device, is_sample: bool
) -> tuple[torch.nn.Module, dict]:
    """The backbone and where its weights come from; for the sample set an untrained one will do."""
    try:
        return load_backbone(weights, device)
    except DownloadError:
        if not is_sample:
            raise
        remedy = "for real weights go online, or give --weights FILE"
        print(f"WARNING: UNTRAINED network: {remedy}", file=sys.stderr)
    backbone, provenance = load_backbone("random", device)
    return backbone, provenance | {"instead_of": weights}


def preview(
    videos: list[Video], n: int, extraction: Extraction, num_workers: int, folder: Path
) -> None:
    """Write preview.png: what the network would see of n videos, spread over the data set."""
    make_folder(folder, "--features-dir")
    picture = folder / "preview.png"
    shown = [videos[i] for i in sample_frame_numbers(len(videos), n)]
    write_preview(shown, extraction.sampling, num_workers, picture, footer=extraction.videos_dir)
    print(f"Written    {picture}: {len(shown)} of {len(videos)} videos")
    print("Next       look at it, then run the same command without --preview to extract features")


def extract_all(
    videos: list[Video], process: Callable, num_workers: int, rank: int, world_size: int
) -> list[Outcome] | None:
    """process(video) of each video, divided among the processes; the first gets all outcomes."""
    mine = videos[rank::world_size]
    outcomes = []
    with (
        closing(map_threads(process, mine, num_workers)) as results,
        Progress(len(mine), "extracting", quiet=rank > 0) as progress,
    ):
        for video, outcome in zip(mine, results, strict=True):
            outcomes.append(outcome)
            if outcome.reason:
                progress.write(f"failed: {video.video}: {outcome.reason}", file=sys.stderr)
            progress.update(outcome.frames)
    return processes.gather_outcomes(outcomes, rank, world_size)


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    limits = {
        "--frames-per-video": (args.frames_per_video, 1, 1000),  # with faces 1.4 GB a worker
        "--frame-step": (args.frame_step, 0, 10**6),
        "--num-workers": (args.num_workers, 1, 10_000),
        "--preview": (args.preview, 0, 100),
        "--max-videos": (args.max_videos, 0, 10**9),
        "--face-margin": (args.face_margin, 1, 5),
    }
    for flag, (value, low, high) in limits.items():
        if not low <= value <= high:
            parser.error(f"{flag} is {value}, expected {low} to {high}")
    if args.videos_csv and args.videos_dir != parser.get_default("videos_dir"):
        parser.error("--videos-dir and --videos-csv: one of them; paths in a CSV start beside it")
    for name in ("face_model", "face_margin", "if_no_face"):
        if not args.crop_faces and getattr(args, name) != parser.get_default(name):
            parser.error(f"--{name.replace('_', '-')} goes with --crop-faces")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Extract ResNet-18 features from the frames of real and fake videos.",
        usage="%(prog)s [--help] [FLAG ...]",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong, 130 interrupted.",
        allow_abbrev=False,
    )
    default = "(default: %(default)s)"
    # fmt: off
    add = parser.add_argument_group("what to read, where to write").add_argument
    add("--videos-dir", type=Path, default=SAMPLE_DIR, metavar="DIR",
        help=f"a public data set, see data/README.md, or folders real/ and fake/ {default}")
    add("--videos-csv", type=Path, metavar="FILE",
        help="list of videos instead, CSV, text or JSON: path,label[,group,split,method,original]")
    add("--compression", default="", choices=COMPRESSIONS,
        help="FaceForensics++: take the videos of this compression only (default: all)")
    add("--methods", default="", metavar="A,B",
        help="only the fakes of these methods, and all reals (default: all)")
    add("--max-videos", type=int, default=0, metavar="N",
        help="for a first try: at most N videos of each class, always the same ones (0: all)")
    add("--image-names", default="", metavar="PATTERN",
        help='how loose images are named: text with {video}, {frame}, {face} and {any}, such as '
        '"{video}_{frame}", or photo: each is a video (default: by the word frame; an error tells '
        "where that is not enough)")
    add("--features-dir", type=Path, metavar="DIR",
        help="where to write (default: features/<name of the folder or CSV>)")
    add("--overwrite", action="store_true",
        help="extract every video again, even those that an earlier run finished")
    add = parser.add_argument_group("how frames are sampled").add_argument
    add("--frames-per-video", type=int, default=32, metavar="N",
        help=f"evenly spaced frames of each video, up to 1000; a shorter one gives all {default}")
    add("--frame-step", type=int, default=0, metavar="N",
        help="take frames 0, N, 2N, ... instead, up to --frames-per-video (0: evenly spaced)")
    add("--preview", type=int, default=0, metavar="N",
        help="only write preview.png: what the network would see of N videos")
    add = parser.add_argument_group("faces").add_argument
    add("--crop-faces", action="store_true",
        help="crop to the face of one person a video (default: whole frames)")
    add("--face-margin", type=float, default=1.3, metavar="X",
        help=f"side of the crop, as a multiple of the longer side of the face {default}")
    add("--if-no-face", choices=("skip", "whole"), default="skip",
        help=f"a video without a face: leave it out (skip) or use whole frames {default}")
    add("--face-model", type=Path, metavar="FILE",
        help="your copy of the face detector YuNet, kept for later (default: download it once)")
    add = parser.add_argument_group("the network and the machine").add_argument
    add("--weights", default="imagenet", metavar="NAME",
        help=f"of ResNet-18: imagenet (downloaded once), random (untrained) or a file {default}")
    add("--device", type=device_name, default="auto", metavar="NAME",
        help=f"where the network runs: cpu, cuda or cuda:1; auto: a GPU, if there is one {default}")
    add("--num-workers", type=int, default=count_cores(), metavar="N",
        help="videos to work on at a time (default: one for each core, %(default)s)")
    # fmt: on
    args = parse_flags(parser, argv)
    check_flags(parser, args)

    quiet_decoder()
    rank, world_size = processes.join_processes()
    if args.videos_csv:
        check_list(args.videos_csv)
    source = args.videos_csv or args.videos_dir
    methods = [name.strip() for name in args.methods.split(",") if name.strip()]
    narrowed = {"methods": methods, "max_videos": args.max_videos, "image_names": args.image_names}
    data_set = find_data_set(source, args.compression, **narrowed)
    videos = data_set.videos
    faces = {"face_margin": args.face_margin, "if_no_face": args.if_no_face}
    faces = faces | {"face_model": FACE_MODEL_SHA256} if args.crop_faces else {}
    sampling = Sampling(args.frames_per_video, args.frame_step, **faces)
    narrowed["compression"] = args.compression or "all"
    extraction = describe(source, data_set, sampling, **narrowed)
    folder = pick_folder(args.features_dir, extraction)
    screen.print_data_set(data_set)
    if args.crop_faces:  # downloaded now, if it is not there
        processes.take_turns(partial(load_face_detector, args.face_model), rank, world_size)
    if args.preview:
        if rank == 0:
            preview(videos, args.preview, extraction, args.num_workers, folder)
        return

    device = pick_device(args.device)
    load = partial(load_weights, args.weights, device, is_sample=extraction.sample is not None)
    backbone, extraction.weights = processes.take_turns(load, rank, world_size)
    extraction.device = device.type
    processes.check_processes_agree(extraction, videos, world_size)
    screen.print_extraction(extraction, str(device), args.num_workers, world_size)
    if not args.overwrite:
        check_replaced(folder, extraction)

    def process(video: Video) -> Outcome:
        return process_video(video, backbone, folder, extraction, args.overwrite)

    with (
        if_interrupted("the same command goes on from here"),
        processes.hold_for_all(folder, rank, world_size),
    ):
        if (folder / "extraction.json").is_file():
            print(f"Replaces   {folder}")
        outcomes = extract_all(videos, process, args.num_workers, rank, world_size)
        if outcomes is None:  # the first process does the rest
            return
        screen.print_outcomes(data_set, outcomes)
        write_features(folder, data_set, outcomes, extraction)
    screen.print_features_written(folder, extraction.counts["frames"])


if __name__ == "__main__":
    run_script(main)
