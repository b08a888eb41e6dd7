"""Which videos belong together and must stay on one side of a split."""

import stat
from collections import defaultdict
from pathlib import Path

from data.files import InputError, fingerprint
from data.names import relate_by_folders, relate_by_names, relate_by_public_names
from data.walk import Video


def set_groups(videos: list[Video]) -> list[str]:
    """Give each video its group, clip and method, and return what is to be said about them.

    What the data set tells comes first, then names; what is not certain is not joined, but said.
    Raises InputError where one file is in both classes.
    """
    told = {video.video for video in videos if video.people or video.group_keys}
    told |= relate_by_public_names([video for video in videos if video.video not in told])
    notes = relate_by_folders(videos, told)
    notes += relate_by_names(videos, told)
    files = [video for video in videos if video.kind in ("videos", "photos")]
    notes += relate_copies(files)
    join_related(videos)
    for video in videos:
        video.clip = video.clip or video.video
    return notes


# --- Copies ---


def relate_copies(videos: list[Video]) -> list[str]:
    """Keep copies of one file together. Only files of equal size are read, 128 kB of each.

    Raises InputError where one is real and the other fake.
    """
    of_size = defaultdict(list)
    for video in videos:
        size = size_of(video.path)
        if size:
            of_size[size].append(video)
    first, copies = {}, []
    for video in (video for alike in of_size.values() if len(alike) > 1 for video in alike):
        try:
            key = f"file {fingerprint(video.path)}"
        except OSError:  # it will fail when it is read
            continue
        other = first.setdefault(key, video)
        if other.label != video.label:
            both = f"{other.video} and {video.video} are one file"
            raise InputError(f"{both}, once real and once fake: take one of them away")
        if other is not video:
            copies.append((other, video))
            other.group_keys += (key,)
            video.group_keys += (key,)
    if not copies:
        return []
    example = " and ".join(video.video for video in copies[0])
    return [f"files that are there twice: {len(copies)}, kept together, {example} for one"]


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


# --- Groups ---


def join_related(videos: list[Video]) -> None:
    """Put into one group what is related, directly or through others."""
    sharing = defaultdict(list)
    for video in videos:
        for key in keys_of(video):
            sharing[key].append(video)
    for first in videos:
        reached = [] if first.group else [first]
        while reached:
            video = reached.pop()
            video.group = first.video
            for key in keys_of(video):
                reached += sharing.pop(key, [])  # each key is followed once


def keys_of(video: Video) -> tuple[str, ...]:
    return (video.video, *video.people, *video.group_keys)


def describe_lone_fakes(videos: list[Video]) -> list[str]:
    """How many fakes belong to no real video, though a CSV or ids of people do not say to whom."""
    with_real = {video.group for video in videos if video.label == 0}
    fakes = [video for video in videos if video.label]
    lone = [video for video in fakes if video.group not in with_real and not video.people]
    if not lone or not with_real:
        return []
    known = f"of {len(fakes)} fakes {len(lone)} belong to no real video by name"
    remedy = "--videos-csv with a column group keeps them together"
    return [f"{known}: people may be on both sides ({remedy})"]
