"""Less than a whole data set: one compression, some methods, a few videos of each source."""

import random
from collections import Counter, defaultdict

from data.files import InputError
from data.videos import Video


def of_compression(
    layout: str, videos: list[Video], compression: str
) -> tuple[set[str], list[str]]:
    """The identifiers of the videos of a compression; all, with a note, where no folder tells it.

    Raises InputError for other sets than FaceForensics++.
    """
    if layout not in ("FaceForensics++", "DeeperForensics-1.0"):
        problem = f"--compression {compression} is for FaceForensics++, but this is: {layout}"
        raise InputError(f"{problem}. Leave it out")
    if not any(video.compression for video in videos):
        note = f"no folder tells a compression: --compression {compression} takes all videos"
        return {video.video for video in videos}, [note]
    return {video.video for video in videos if video.compression == compression}, []


def check_methods(videos: list[Video], wanted: set[str]) -> None:
    """Raise InputError where no fake is of a method that is wanted, in lower case."""
    known = {video.method for video in videos if video.label and video.method}
    unknown = wanted - {method.lower() for method in known}
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise InputError(f"--methods {', '.join(sorted(unknown))}: expected some of: {there}")


def draw(videos: list[Video], n: int) -> set[str]:
    """Identifiers of at most n videos a class, always the same: each source keeps its share.

    A source is a folder at the top, or a method. Of its videos one of each group is taken in turn.
    """
    drawn = list(videos)
    random.Random(0).shuffle(drawn)
    place = {group: i for i, group in enumerate(dict.fromkeys(video.group for video in drawn))}
    sources = defaultdict(list)
    for video in drawn:
        sources[video.label, video.key.partition("/")[0], video.method].append(video)
    ranks = ([], [])  # of each class: (share of its source that comes before, identifier)
    for (label, *_), members in sources.items():
        turns, turn = Counter(), {}
        for video in members:
            turn[video.video] = turns[video.group]
            turns[video.group] += 1
        members.sort(key=lambda video: (turn[video.video], place[video.group]))
        for i, video in enumerate(members):
            ranks[label].append(((i + 0.5) / len(members), video.video))
    return {video for of_class in ranks for _, video in sorted(of_class)[:n]}
