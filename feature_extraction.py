"""Extract ResNet-18 features from the frames of real and fake videos.

Reads   FaceForensics++, Celeb-DF, DFDC, folders real/ and fake/, or a CSV that lists videos: see find_videos
Writes  to <features-dir>, for each split (`train`, and `val`, `test` where the data define them):

    <split>_features.npy  (N, 1000) float32  one row a frame: the ImageNet logits of ResNet-18
    <split>_labels.npy    (N,) int64         1 = fake, 0 = real
    <split>_frames.npy    (N, 2) int32       row of the video in <split>_videos.csv, number of the frame in the video
    <split>_videos.csv    a line a video     identifier, label, method, group, target clip, frames, width, height, ...
    failed.csv            a line a video     found but not usable, and why
    extraction.json                          weights, sampling, versions, counts
    preview.png                              with --preview, and then alone: what the network would see
    cache/                a file a video     lets an interrupted or repeated run go on; safe to delete

    python feature_extraction.py
    python feature_extraction.py --videos-dir /data/my_videos --features-dir features/my_videos
    python feature_extraction.py --videos-dir /data/my_videos --weights resnet18.pth --frames-per-video 16
    python feature_extraction.py --videos-dir /data/my_videos --crop-faces --preview 8
"""

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from data.decode import FRAME_CHOICES, quiet_decoder, sample_frame_numbers
from data.faces import FACE_MODEL_SHA256, load_face_detector
from data.files import DownloadError, InputError, replacing, write_csv
from data.frames import FRAME_SIZE
from data.layouts import COMPRESSIONS, SAMPLE_DIR, SPLITS, Video, find_videos, read_drawn_by, recognise_layout
from features.cache import hold_folder, process_video
from features.machine import count_cores, leave, map_threads, package_versions, pick_device
from features.pictures import write_preview
from features.resnet18 import N_FEATURES, load_backbone
from features.splits import write_split


def process_all(videos: list[Video], process: Callable, num_workers: int, rank: int, world_size: int) -> list | None:
    """What process(video) gives for each video; done by all processes that torchrun started, given to the first."""
    mine, results, n, start = videos[rank::world_size], [], 0, time.perf_counter()
    with (
        closing(map_threads(process, mine, num_workers)) as outcomes,
        tqdm(total=len(mine), unit="video", desc="extracting", disable=True if rank else None) as progress,
    ):
        for video, outcome in zip(mine, outcomes, strict=True):
            results.append(outcome)
            n += outcome[0]
            if not outcome[0]:
                progress.write(f"failed: {video.video}: {outcome[1]}", file=sys.stderr)
            progress.set_postfix_str(f"{n / (time.perf_counter() - start):.0f} frames/s", refresh=False)
            progress.update()
    if world_size == 1:
        return results
    gathered = None if rank else [[]] * world_size
    torch.distributed.gather_object(results, gathered)
    torch.distributed.barrier()  # else torch 2.4 may free what was gathered while the group ends, and hang
    torch.distributed.destroy_process_group()
    return None if rank else [gathered[i % world_size][i // world_size] for i in range(len(videos))]


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Extract ResNet-18 features from the frames of real and fake videos.",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong.",
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    # what to read and where to write
    add("--videos-dir", type=Path, default=SAMPLE_DIR, help=f"of one of the layouts in README {default}")
    add("--videos-csv", type=Path, help="a list of videos instead: path,label[,group,split,method]")
    add("--compression", default="", choices=COMPRESSIONS, help="of FaceForensics++, if not all that are there")
    add("--features-dir", type=Path, default="features", help=f"where to write {default}")
    # how the features are made
    add("--frames-per-video", type=int, default=32, help=f"evenly spaced; a shorter video gives all it has {default}")
    add("--frame-choice", choices=FRAME_CHOICES, default=FRAME_CHOICES[0], help=f"the second is faster {default}")
    add("--crop-faces", action="store_true", help="instead of whole frames, the face of one person a video")
    add("--face-margin", type=float, default=1.3, help=f"side of the crop in longer sides of the face's box {default}")
    add("--no-face", choices=("fail", "whole"), default="fail", help=f"a video without one: whole frames, or {default}")
    add("--face-model", type=Path, help="put this copy of YuNet into torch's cache, instead of downloading it")
    add("--weights", default="imagenet", help=f"of ResNet-18: imagenet, random or the path of a file {default}")
    # how to run
    add("--num-workers", type=int, default=count_cores(), help="videos at once (default: one a core, %(default)s)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"auto is cuda where there is one {default}")
    add("--preview", type=int, default=0, metavar="N", help="only write preview.png: what the network sees of N videos")
    add("--overwrite", action="store_true", help="do not go on from an earlier run: extract all again")
    args = parser.parse_args(argv)
    limits = {"frames_per_video": (1, 10**4), "num_workers": (1, 10**4), "preview": (0, 100), "face_margin": (1, 5)}
    for flag, (low, high) in limits.items():
        if not low <= (value := getattr(args, flag)) <= high:
            parser.error(f"--{flag.replace('_', '-')} is {value}, expected {low} to {high}")
    for flag in ("face_model", "face_margin", "no_face"):
        if not args.crop_faces and getattr(args, flag) != parser.get_default(flag):
            parser.error(f"--{flag.replace('_', '-')} goes with --crop-faces")

    quiet_decoder()
    rank, world_size = 0, 1
    if torch.distributed.is_torchelastic_launched():  # by torchrun; whoever is done first waits for the last
        torch.distributed.init_process_group("gloo", timeout=timedelta(days=30))
        rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        if rank:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    folder, source = args.features_dir, args.videos_csv or args.videos_dir
    if args.videos_csv and not source.is_file():
        raise InputError(f"--videos-csv {source}: no such file")
    crop = "none"
    if args.crop_faces:
        load_face_detector(args.face_model)
        crop = {"detector_sha256": FACE_MODEL_SHA256, "margin": args.face_margin, "no_face": args.no_face}
    videos = find_videos(source, args.compression)
    root = source.parent if args.videos_csv else source
    settings = {
        "frames_per_video": args.frames_per_video,
        "frame_choice": args.frame_choice,
        "sampling": "the middle frame of each of n equal shares of the video",
        "crop": crop,
        "frame_size": FRAME_SIZE,
        "versions": package_versions(),
    }
    if args.preview and rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        shown = [videos[i] for i in sample_frame_numbers(len(videos), args.preview)]
        write_preview(shown, settings, args.num_workers, folder / "preview.png")
        print(f"Written    {folder / 'preview.png'}: {len(shown)} of {len(videos)} videos; nothing was extracted")
    if args.preview:
        return
    sample = read_drawn_by(root)
    device = pick_device(args.device)
    try:
        backbone, weights = load_backbone(args.weights, device)
    except DownloadError as error:
        if sample is None:
            raise
        backbone, weights = load_backbone("random", device)
        weights["instead_of"] = "imagenet"
        print(f"WARNING: {error}", file=sys.stderr)
        print("WARNING: this is the drawn sample set, so the run goes on with an UNTRAINED network", file=sys.stderr)
    settings = {"weights": weights, "device": device.type} | settings

    print(f"Backbone   ResNet-18, weights: {weights['name']} (sha256 {weights['sha256'][:8]})")
    print(f"Frames     {args.frames_per_video} a video ({args.frame_choice}), {FRAME_SIZE} x {FRAME_SIZE}")
    if args.crop_faces:
        print(f"Faces      cropped by YuNet, margin {args.face_margin:g}; a video without one: {args.no_face}")
    print(f"Device     {device}, {world_size} x {args.num_workers} videos at once", flush=True)

    (folder / "cache").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if rank == 0:
            stack.enter_context(hold_folder(folder))
        if world_size > 1:
            torch.distributed.barrier()  # nobody writes before the folder is held
        process = partial(process_video, backbone=backbone, folder=folder, settings=settings, overwrite=args.overwrite)
        results = process_all(videos, process, args.num_workers, rank, world_size)
        if results is None:  # the first process does the rest
            return
        counts = {video.video: n for video, (n, *_) in zip(videos, results, strict=True) if n}
        failed = [
            {"video": video.video, "label": video.label, "reason": reason}
            for video, (n, reason, _) in zip(videos, results, strict=True)
            if not n
        ]
        states = Counter(state for n, _, state in results if n)
        n_fake = sum(row["label"] for row in failed)
        by_class = f" ({len(failed) - n_fake} real, {n_fake} fake)" if failed else ""  # one class may fail more often
        print(f"Result     {len(videos)} found = {len(counts)} used + {len(failed)} failed{by_class}")
        if states["cached"] + states["redone"] and not args.overwrite:
            redone = f"{states['redone']} done again, as the file or a setting had changed"
            print(f"Cache      {states['cached']} taken from an earlier run, {redone}")

        splits = {}
        for split in (split for split in SPLITS if any(video.split == split for video in videos)):
            splits[split] = [video for video in videos if video.split == split and video.video in counts]
            if not splits[split]:
                example = f"{failed[0]['video']}: {failed[0]['reason']}"
                raise InputError(f"no video of the {split} split in {root} can be used, {example}")
        n_frames = {split: sum(counts[video.video] for video in members) for split, members in splits.items()}
        report = {
            "created_by": "feature_extraction.py",
            "videos_dir": os.path.realpath(root),  # tells the leak audit whether two sets are the same
            "layout": recognise_layout(source)[0],
            "compression": args.compression or "all",
            "sample": sample,
            **settings,
            "counts": {"found": len(videos), "used": len(counts), "failed": len(failed), "frames": n_frames},
        }

        def new_file(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        for split in set(SPLITS) - set(splits):  # of an earlier run: they would be taken for a part of this one
            for name in ("features.npy", "labels.npy", "frames.npy", "videos.csv"):
                (folder / f"{split}_{name}").unlink(missing_ok=True)
        # all are written in full before the first takes its place; the first named is the last
        new_file("extraction.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        write_csv(new_file("failed.csv"), ("video", "label", "reason"), failed)
        for split, members in splits.items():
            write_split(members, n_frames[split], folder, settings, split, new_file)
    for split, n in n_frames.items():
        print(f"Written    {folder / split}_features.npy: ({n}, {N_FEATURES}) float32")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        leave("interrupted: the same command goes on from here")
