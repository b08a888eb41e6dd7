"""The processes that torchrun starts for one extraction, on one machine or several.

    torchrun --standalone --nproc-per-node 2 feature_extraction.py --videos-dir my_videos

Each process brings every n-th video into the cache, in a folder that all share. The first one
writes the final files, the same bytes as a run without torchrun; it alone prints. A process that is
lost ends the others, and the repeat goes on from the cache.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

from torch import distributed

from data.files import InputError, hold_folder, make_folder
from data.videos import Video
from features.cache import Outcome
from features.extraction import Extraction


def join_processes() -> tuple[int, int]:
    """The number of this process and how many there are. All but the first print nothing."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    # Whoever is done first waits for the last: with many videos that can take days.
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return rank, world_size


def talk(function: Callable, *arguments) -> None:
    """A call of torch.distributed. Raises InputError where another process is lost."""
    try:
        function(*arguments)
    except RuntimeError as error:  # such as "Connection closed by peer"
        problem = f"another process of this run is gone ({str(error).splitlines()[0]:.99})"
        raise InputError(f"{problem}: give the same command again, it goes on from here") from error


def wait_for_all(world_size: int) -> None:
    if world_size > 1:
        talk(distributed.barrier)


def gather(content, world_size: int) -> list:
    """What each of the processes gives here, by their numbers."""
    if world_size == 1:
        return [content]
    contents = [None] * world_size
    talk(distributed.all_gather_object, contents, content)
    return contents


def take_turns(load: Callable, rank: int, world_size: int):
    """load() in the first process, then in the first of each machine, then in the others.

    So what it downloads is downloaded once, and the others find it.
    """
    turn = 0 if rank == 0 else 1 if os.environ.get("LOCAL_RANK") == "0" else 2
    for now in range(3):
        if now == turn:
            loaded = load()
        wait_for_all(world_size)
    return loaded


def check_processes_agree(extraction: Extraction, videos: list[Video], world_size: int) -> None:
    """Raise InputError if another process would make other features, or sees other videos."""
    identifiers = "\n".join(video.video for video in videos)
    digest = hashlib.sha256(identifiers.encode()).hexdigest()[:8]
    recipe = extraction.recipe()
    work = recipe | recipe.pop("versions") | {"videos": f"{len(videos)} (sha256 {digest})"}
    first, *others = gather(work, world_size)
    for rank, theirs in enumerate(others, 1):
        for name, value in theirs.items():
            if value != first[name]:
                found = f"process {rank} has {name} {value}, process 0 has {first[name]}"
                raise InputError(f"{found}: make the machines alike, then run again")


@contextmanager
def hold_for_all(folder: Path, rank: int, world_size: int) -> Iterator[None]:
    """A block that keeps other runs out of the folder; none writes before the first holds it."""
    make_folder(folder / "cache", "--features-dir")
    with nullcontext() if rank else hold_folder(folder, folder / "cache/.lock"):
        wait_for_all(world_size)
        yield


def gather_outcomes(outcomes: list[Outcome], rank: int, world_size: int) -> list[Outcome] | None:
    """The outcomes of all videos in their order, for the first process; None for the others."""
    gathered = gather(outcomes, world_size)
    if world_size > 1:
        wait_for_all(world_size)  # else what was gathered may be freed too early
        distributed.destroy_process_group()
    if rank:
        return None
    n = sum(len(part) for part in gathered)
    return [gathered[i % world_size][i // world_size] for i in range(n)]
