"""The work on one video, kept in a file: a stopped run goes on, without what crashed it."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from data.files import InputError, replacing
from data.frames import Sampling
from data.images import file_key, find_fingerprint
from data.videos import Video
from features.extraction import Extraction
from features.resnet18 import extract_video

HANGS_AFTER = 600  # seconds
REPOSITORY = Path(__file__).resolve().parents[1]
ALONE = threading.Lock()  # one child at a time: of 64 workers' children the memory may run out


# --- The file of a video ---


@dataclass
class Cached:
    """What is kept of a finished video."""

    features: np.ndarray  # (n, 1000) float32
    numbers: np.ndarray  # (n,) int32, of the frames in the video
    facts: dict  # for its line in <split>_videos.csv


def cache_file(video: Video, folder: Path) -> Path:
    name = hashlib.sha256(video.video.encode()).hexdigest()[:32]
    return folder / "cache" / f"{name}.npz"


def cache_key(video: Video, extraction: Extraction) -> str:
    """What must be unchanged for a cached video to be used again: its files and the recipe.

    Raises InputError where there is no such file.
    """
    try:
        files = file_key(video.path)
    except OSError as error:
        reason = "a broken link" if video.path.is_symlink() else error.strerror
        raise InputError(reason) from error
    return json.dumps({"video": video.video} | files | extraction.recipe(), sort_keys=True)


def load_cached(video: Video, folder: Path, extraction: Extraction) -> tuple[Cached | None, str]:
    """What an earlier run found of a video and "cached"; or None and the state of an Outcome.

    It is None where it is missing, damaged, or of another file or recipe. Raises OSError where the
    cache itself cannot be read.
    """
    try:
        content = cache_file(video, folder).read_bytes()
    except FileNotFoundError:
        return None, "new"
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            facts, key = (json.loads(str(arrays[name])) for name in ("facts", "key"))
            cached = Cached(arrays["features"], arrays["numbers"], facts)
    except Exception:  # damaged: it is made again
        return None, "redone"
    if is_current(key, facts.get("fingerprint"), video, extraction):
        return cached, "cached"
    return None, "redone" if key.get("code") == extraction.code else "code"


def is_current(key: dict, fingerprint: str, video: Video, extraction: Extraction) -> bool:
    """Whether a video would be found again as it was cached, with this key and fingerprint.

    Its time may differ, as that of a copy does, where size and fingerprint are the same.
    """
    try:
        now = json.loads(cache_key(video, extraction))
        differ = {name for name in key | now if key.get(name) != now.get(name)}
        if not differ or differ - {"mtime_ns", "images"}:
            return not differ
        return find_fingerprint(video.path) == fingerprint
    except (InputError, OSError):  # it is not there, or cannot be read
        return False


# --- A decoder that crashes ---


@contextmanager
def leave_mark(mark: Path, path: Path, key: str, sampling: Sampling) -> Iterator[None]:
    """Mark a video as being read, until the block ends: if the process ends first, the mark stays.

    What an earlier run left marked is first read in a process of its own. Raises InputError if that
    goes wrong too; the reason is kept in the mark, for later runs.
    """
    if mark.is_file():
        marked, _, reason = mark.read_text(encoding="utf-8").partition("\n")
        if marked != key or not reason:
            with ALONE:
                reason = try_alone(path, sampling)
        if reason:
            mark.write_text(f"{key}\n{reason}", encoding="utf-8")
            raise InputError(f"{reason}; an earlier run had ended while reading it")
    mark.write_text(key, encoding="utf-8")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def try_alone(path: Path, sampling: Sampling) -> str:
    """What goes wrong when a process of its own decodes a video, or "" if nothing does."""
    child = [sys.executable, "-m", "data.try_video", os.path.abspath(path)]
    numbers = sampling.frames_per_video, sampling.frame_step, HANGS_AFTER + 60
    child += map(str, numbers)
    try:
        done = subprocess.run(
            child,
            cwd=REPOSITORY,
            capture_output=True,
            timeout=HANGS_AFTER,
            start_new_session=True,  # so Ctrl-C does not reach it
        )
    except subprocess.TimeoutExpired:
        return f"the decoder does not come to an end within {HANGS_AFTER} s"
    status = done.returncode
    if not done.stdout.startswith(b"reading") or status == 1:  # not the decoder: a fault of ours
        raise RuntimeError(f"{child[2]}, status {status}: {done.stderr.decode(errors='replace')}")
    return f"the decoder crashes on it (status {status})" if status else ""


# --- The work on one video ---


@dataclass
class Outcome:
    """What became of a video."""

    frames: int  # that are used
    reason: str = ""  # why there are none
    state: str = "new"  # or "cached", or why it was done again: see extraction_screen.py


def process_video(
    video: Video, backbone: nn.Module, folder: Path, extraction: Extraction, overwrite: bool
) -> Outcome:
    """Bring a video's features into the cache, if they are not there already."""
    file = cache_file(video, folder)
    mark = file.with_suffix(".reading")
    state = "new"
    if overwrite:
        mark.unlink(missing_ok=True)
    else:
        cached, state = load_cached(video, folder, extraction)
        if cached:
            return Outcome(len(cached.numbers), state=state)
    try:
        key = cache_key(video, extraction)
        with leave_mark(mark, video.path, key, extraction.sampling):
            features, sampled = extract_video(video.path, backbone, extraction.sampling)
    except InputError as error:
        return Outcome(0, str(error))
    arrays = {"features": features, "numbers": sampled.numbers}
    with replacing(file) as path:
        np.savez(path, **arrays, facts=json.dumps(sampled.facts), key=key)
    return Outcome(len(features), state=state)
