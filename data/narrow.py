"""Less than a whole data set: one compression, some methods, a few videos of each source.

Each function returns the identifiers of what to leave out.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

from data.files import InputError
from data.videos import Video


def not_of_compression(
    layout: str, videos: list[Video], compression: str
) -> tuple[set[str], list[str]]:
    """All of other compressions; none, with a note, where no folder tells any."""
    if layout not in ("FaceForensics++", "DeeperForensics-1.0"):
        problem = f"--compression {compression} is for FaceForensics++, but this is: {layout}"
        raise InputError(f"{problem}. Leave it out")
    if any(video.compression for video in videos):
        return {video.video for video in videos if video.compression != compression}, []
    return set(), [f"no folder tells a compression: --compression {compression} takes all videos"]


def not_of_methods(videos: list[Video], methods: Iterable[str]) -> set[str]:
    """Fakes of other methods than these, in any case; none if there are no `methods`."""
    wanted = {method.lower() for method in methods}
    fakes = [video for video in videos if video.label]
    known = {video.method for video in fakes if video.method}
    unknown = wanted - {method.lower() for method in known}
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise InputError(f"--methods {', '.join(sorted(unknown))}: expected some of: {there}")
    return {video.video for video in fakes if wanted and video.method.lower() not in wanted}


def not_drawn(videos: list[Video], n: int) -> set[str]:
    """All but n videos a class, always the same: each source keeps its share.

    A source is a folder at the top, or a method. Of its videos one of each group is taken in turn.
    """
    drawn = list(videos)
    random.Random(0).shuffle(drawn)
    place = {group: i for i, group in enumerate(dict.fromkeys(video.group for video in drawn))}
    turns, sources = Counter(), defaultdict(list)
    for video in drawn:
        source = (video.label, video.key.partition("/")[0], video.method)
        turns[source, video.group] += 1
        turn = turns[source, video.group]
        sources[source].append((turn, place[video.group], video.video))
    ranks = ([], [])  # of each class: (share of its source that comes before, identifier)
    for (label, *_), members in sources.items():
        for i, (_, _, name) in enumerate(sorted(members)):
            share = (i + 0.5) / len(members)
            ranks[label].append((share, name))
    return {name for of_class in ranks for _, name in sorted(of_class)[n:]}
