"""What feature_extraction.py prints: the data set, how features are made, what became of videos."""

from collections import Counter
from pathlib import Path

import numpy as np

from data.files import command
from data.groups import describe_lone_fakes
from data.layouts import DataSet, summarise
from data.words import CLASSES, SPLITS
from features.cache import Outcome
from features.extraction import Extraction
from features.text import count_units, mark_notes

MOST_LINES = 10  # of what is left out
STATES = {  # of an outcome, as cache.py calls it
    "cached": "taken from an earlier run",
    "redone": "done again, as the file or a setting had changed",
    "code": "done again: the code has changed",
}


def print_data_set(data_set: DataSet) -> None:
    """How many videos there are by split, class and method, what is left out, and notes."""
    print(f"Videos     {data_set.root}, layout: {data_set.layout}")
    videos = data_set.videos
    for split in SPLITS:
        members = [video for video in videos if video.split == split]
        counts = Counter((video.label, video.method) for video in members)
        for (label, method), n in sorted(counts.items()):
            print(f"  {split:<6} {CLASSES[label]:<5} {method:<18} {n:>6}")
        if members:
            n_groups = len({video.group for video in members})
            print(f"  {split:<6} in {count_units(n_groups, 'group')}")
    sizes = Counter(video.group for video in videos)
    n_joined = sum(size > 1 for size in sizes.values())
    hold = "hold" if n_joined > 1 else "holds"
    in_all = f"{count_units(len(sizes), 'group')} in all"
    print(f"  {in_all}; {n_joined or 'none'} {hold} more than one video")
    if data_set.left_out:
        print(f"Left out   {len(data_set.left_out)} of {data_set.found} videos")
    left_out = summarise(data_set.left_out)
    for left in left_out[:MOST_LINES]:
        many = f"{left.n} videos: " if left.n > 1 else ""
        print(f"  {left.path}: {many}{left.reason}")
    if len(left_out) > MOST_LINES:
        print(f"  and more: {len(left_out) - MOST_LINES} lines, all in failed.csv")
    for line in mark_notes(data_set.notes + describe_lone_fakes(videos)):
        print(line)


def print_extraction(
    extraction: Extraction, device: str, num_workers: int, world_size: int
) -> None:
    """The header of an extraction: how its features are made."""
    weights, sampling = extraction.weights, extraction.sampling
    print(f"Backbone   ResNet-18, weights: {weights['name']} (sha256 {weights['sha256'][:8]})")
    step = sampling.frame_step
    numbers = f": 0, {step}, {2 * step}, ..." if step else ""
    print(f"Frames     up to {sampling.frames_per_video} a video{numbers}")
    if sampling.face_margin:
        no_face = f"a video without a face: {sampling.if_no_face}"
        print(f"Faces      cropped, margin {sampling.face_margin:g}; {no_face}")
    processes = f"{world_size} processes, each " if world_size > 1 else ""
    at_a_time = f"{processes}{count_units(num_workers, 'video')} at a time"
    print(f"Device     {device}, {at_a_time}", flush=True)


def print_outcomes(data_set: DataSet, outcomes: list[Outcome]) -> None:
    """What became of the videos: used, failed by class, left out, taken from the cache."""
    pairs = zip(data_set.videos, outcomes, strict=True)
    failed = [video.label for video, outcome in pairs if outcome.reason]
    used = len(outcomes) - len(failed)
    n_fake = sum(failed)
    # if one class fails more often than the other, what is left is biased
    by_class = f" ({len(failed) - n_fake} real, {n_fake} fake)" if failed else ""
    left_out = f" + {len(data_set.left_out)} left out" if data_set.left_out else ""
    found = f"{data_set.found} found = {used} used + {len(failed)} failed{by_class}{left_out}"
    print(f"Result     {found}")
    states = Counter(outcome.state for outcome in outcomes)
    told = [f"{states[state]} {what}" for state, what in STATES.items() if states[state]]
    if told:
        print(f"Cache      {', '.join(told)}")


def print_features_written(folder: Path, n_frames: dict[str, int]) -> None:
    """What was written, {split: frames}, and the next command: with one class no training."""
    for split, n in n_frames.items():
        print(f"Written    {folder / split}_features.npy: {n} frames")
    labels = np.load(folder / "train_labels.npy") if "train" in n_frames else ()
    arguments = []
    if len(np.unique(labels)) < 2:
        arguments = ["--checkpoint", "MODEL.pt", "--evaluate", folder]
    elif folder != Path("features/sample"):
        arguments = ["--train-features-file", folder / "train_features.npy"]
    print(f"Next       {command('deepfake_detection_model.py', *arguments)}")
