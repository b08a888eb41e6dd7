"""Which videos belong together and must stay on one side of a split, as far as can be told."""

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path


@dataclass
class Video:
    """A video file and what its data set tells of it."""

    path: Path
    label: int  # 1 = fake, 0 = real
    split: str = "train"
    method: str = ""  # how a fake was made, where that is known
    clip: str = ""  # the footage that is seen: of a fake, that of its target
    people: tuple[str, ...] = ()  # ids that mean the same people in every copy of a public set
    group_keys: tuple[str, ...] = ()  # videos with a key or a person in common are in one group
    video: str = ""  # its identifier: the path below the root with `/` between the parts
    group: str = ""  # what must stay on one side of a split, named after its first video

    @property
    def is_related(self) -> bool:
        """Whether the data set, or its name, tells what it belongs to."""
        return bool(self.people or self.group_keys)


def set_groups(videos: list[Video]) -> None:
    """Give each video its group and, where the data set does not tell it, its clip."""
    relate_by_public_names(videos)
    relate_by_names(videos)
    join_related(videos)
    for video in videos:
        video.clip = video.clip or video.video


# --- The names of the public sets ---


def read_faceforensics_name(stem: str) -> tuple[str, tuple[str, ...]]:
    """Clip and people of NNN or TTT_SSS (target, source).

    In DFD the names are actor__scene and target_source__scene__id.
    """
    ids, *scene = stem.split("__")
    data_set = "DFD" if scene else "FaceForensics++"  # actor 03 is not video 03
    people = tuple(f"{data_set} {person}" for person in ids.split("_"))
    clip = "__".join([people[0], *scene[:1]])
    return clip, people


def read_celeb_df_name(stem: str) -> tuple[str, tuple[str, ...]]:
    """Clip and people of idA_CCCC, idA_idB_CCCC (target, source) or NNNNN (from YouTube)."""
    *ids, number = stem.split("_")
    people = tuple(f"Celeb-DF {person}" for person in ids)
    clip = "_".join([*ids[:1], number])
    return f"Celeb-DF {clip}", people


# How reals and fakes are named, and who reads the names. FaceForensics++'s own (000, 000_003) are
# too plain to be told from other people's, and relate_by_names finds all that they say.
PUBLIC_NAMES = (
    (r"\d\d__[a-z_]+", r"\d\d_\d\d__[a-z_]+__[A-Z0-9]{8}", read_faceforensics_name),  # DFD
    (r"id\d+_\d{4}", r"id\d+_id\d+_\d{4}", read_celeb_df_name),
)


def relate_by_public_names(videos: list[Video]) -> None:
    """Relate videos that are named as in DFD or Celeb-DF by people and clip, wherever they lie.

    The names count within this data set only: anybody may name other people's videos so.
    """
    for real_pattern, fake_pattern, read_name in PUBLIC_NAMES:
        reals, fakes = [], []
        for video in videos:
            name = video.path.stem
            if video.label == 0 and re.fullmatch(real_pattern, name) and not video.people:
                reals.append(video)
            if video.label == 1 and re.fullmatch(fake_pattern, name) and not video.is_related:
                fakes.append(video)
        if not fakes:  # then the names of the reals only look like it
            continue
        first_of_clip = {}
        for video in reals + fakes:
            clip, people = read_name(video.path.stem)
            video.group_keys += people
            video.clip = first_of_clip.setdefault(clip, video.video)


# --- Any names ---


def relate_by_names(videos: list[Video]) -> None:
    """Relate each fake of which nothing is known to the reals whose names its own joins by `_`.

    `fake/000_003.mp4` is related to `real/000.mp4`, to `real/003.mp4`, and to the other fakes of
    the two. A real is looked up in the fake's own split first: people number each split from 1.
    """
    reals = defaultdict(list)
    for video in videos:
        if video.label == 0:
            reals[video.split, video.path.stem].append(video.video)
            reals["any", video.path.stem].append(video.video)
    for video in videos:
        if video.label == 0 or video.is_related:
            continue
        words = video.path.stem.split("_")
        originals = []
        for start, end in combinations(range(len(words) + 1), 2):
            name = "_".join(words[start:end])
            originals += reals.get((video.split, name)) or reals.get(("any", name), [])
        if originals and not video.clip:
            video.clip = originals[0]
        pair = [f"{video.split} {sorted(words)}"] if len(words) > 1 else []
        video.group_keys = (*originals, *pair)


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
