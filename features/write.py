"""The final files of an extraction, put together from the cache."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data.files import InputError, replacing, write_csv, write_json
from data.layouts import DataSet, summarise
from data.videos import Video
from data.words import SPLITS
from features.cache import Outcome, load_cached
from features.extraction import N_FEATURES, Extraction

FILES = ("features.npy", "labels.npy", "frames.npy", "videos.csv")  # of a split, with its name
VIDEO_COLUMNS = ("video", "label", "method", "group", "clip")  # of <split>_videos.csv, the first


def write_features(
    folder: Path, data_set: DataSet, outcomes: list[Outcome], extraction: Extraction
) -> None:
    """Write the files of all splits, from the cache.

    `outcomes` are those of the data set's videos, in order. Fills in extraction.counts: of videos
    found = used + failed + left_out, failed of each class; frames of each split. Raises InputError.
    """
    splits, failed = sort_outcomes(data_set.videos, outcomes)
    n_fake = sum(row["label"] for row in failed)
    extraction.counts = {
        "found": data_set.found,
        "used": len(data_set.videos) - len(failed),
        "failed": len(failed),
        "failed_real": len(failed) - n_fake,
        "failed_fake": n_fake,
        "left_out": len(data_set.left_out),
        "frames": {
            split: sum(outcome.frames for _, outcome in members)
            for split, members in splits.items()
        },
    }
    for left in summarise(data_set.left_out):
        many = f", {left.n} videos" if left.n > 1 else ""
        failed.append({"video": left.path, "reason": f"left out{many}: {left.reason}"})

    # All are written in full before the first takes its place; the first named here is the last.
    with ExitStack() as stack:

        def new_file(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        write_json(new_file("extraction.json"), asdict(extraction))
        write_csv(new_file("failed.csv"), ("video", "label", "reason"), failed)
        for split, members in splits.items():
            write_split(split, members, folder, extraction, new_file)
    for split in set(SPLITS) - set(splits):  # only now: on a full disk they stay
        for name in FILES:
            (folder / f"{split}_{name}").unlink(missing_ok=True)


def sort_outcomes(videos: list[Video], outcomes: list[Outcome]) -> tuple[dict, list[dict]]:
    """{split: pairs of a usable video and its outcome}, and the lines of failed.csv."""
    splits, failed = {}, []
    pairs = list(zip(videos, outcomes, strict=True))
    for video, outcome in pairs:
        if outcome.reason:
            failed.append({"video": video.video, "label": video.label, "reason": outcome.reason})
    for split in SPLITS:
        members = [(video, outcome) for video, outcome in pairs if video.split == split]
        usable = [(video, outcome) for video, outcome in members if outcome.frames]
        if usable:
            splits[split] = usable
        elif members:
            video, outcome = members[0]
            example = f"{video.video}: {outcome.reason}"
            raise InputError(f"no video of the {split} split can be used, {example}")
    return splits, failed


def write_split(split: str, members: list, folder: Path, extraction: Extraction, new_file) -> None:
    """Gather a split's videos, pairs with their outcomes, from the cache into its new files."""
    sizes = [outcome.frames for _, outcome in members]
    index = np.repeat(np.arange(len(members), dtype=np.int32), sizes)  # each frame's video
    labels = np.array([video.label for video, _ in members], np.int64)[index]
    numbers, rows = [], []
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(index), N_FEATURES)}
    # not a memory map: on a full disk that kills the process
    with open(new_file(f"{split}_features.npy"), "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for video, outcome in members:
            cached, _ = load_cached(video, folder, extraction)
            if cached is None or len(cached.numbers) != outcome.frames:
                changed = f"{video.path} or its cached features changed during the run"
                raise InputError(f"{changed}: run the command again")
            file.write(cached.features.astype("<f4").tobytes())
            numbers.append(cached.numbers)
            row = {column: getattr(video, column) for column in VIDEO_COLUMNS}
            rows.append(row | {"people": ";".join(video.people)} | cached.facts)
    np.save(new_file(f"{split}_labels.npy"), labels)
    np.save(new_file(f"{split}_frames.npy"), np.stack([index, np.concatenate(numbers)], axis=1))
    write_csv(new_file(f"{split}_videos.csv"), rows[0], rows)
