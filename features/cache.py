"""A file for each finished video: a run goes on after a stop and survives a decoder that crashes."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import nn

from data.files import DAMAGED, InputError, replacing
from data.layouts import Video
from features.resnet18 import extract_video

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


HANGS_AFTER = 600  # seconds


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder until the block ends. The system lets go of it even if the process is killed."""
    with open(folder / "cache/.lock", "w") as file:
        try:
            if fcntl:  # not on Windows
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run is writing to {folder}: wait for it, or name another folder") from None
        except OSError as error:  # some shared file systems have no locks
            print(f"WARNING: {folder} cannot be locked ({error.strerror}): start no second run", file=sys.stderr)
        for leftover in (*folder.glob(".*.new.*"), *folder.glob("cache/.*.new.*")):  # of a run that was killed
            leftover.unlink()
        yield


def cache_key(video: Video, settings: dict) -> str:
    """What must be unchanged for a cached video to be used again. Raises InputError where there is no such file."""
    try:
        stat = video.path.stat()
    except OSError as error:
        raise InputError("a broken link" if video.path.is_symlink() else error.strerror) from error
    return json.dumps({"video": video.video, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns} | settings)


def cache_file(video: Video, folder: Path) -> Path:
    return folder / "cache" / f"{hashlib.sha256(video.video.encode()).hexdigest()[:32]}.npz"


def load_cached(video: Video, folder: Path, settings: dict) -> dict | None:
    """{"features", "numbers", "row"} of a finished video; None where that is missing, damaged or made otherwise."""
    try:
        with np.load(cache_file(video, folder), allow_pickle=False) as file:
            if str(file["key"]) == cache_key(video, settings):
                return {"features": file["features"], "numbers": file["numbers"], "row": json.loads(str(file["row"]))}
    except (*DAMAGED, NotImplementedError):
        pass
    return None


def try_alone(path: Path, settings: dict, key: str, marker: Path) -> None:
    """Read a video in a process of its own, since the run that left its marker ended while reading it.

    Raises InputError if that goes wrong too, and leaves the reason in the marker for later runs.
    """
    known, _, reason = marker.read_text(encoding="utf-8", errors="replace").partition("\n")
    if known != key or not reason:
        code = (
            "import json, signal, sys\n"
            "from data.files import InputError\n"
            "from data.frames import sample_video\n"
            "path, settings, seconds = sys.argv[1:]\n"
            "getattr(signal, 'alarm', int)(int(seconds))  # should this process outlive its parent\n"
            "try:\n"
            "    sample_video(path, json.loads(settings))\n"
            "except InputError:\n"
            "    pass"
        )
        how = json.dumps(settings), str(HANGS_AFTER + 60)
        command = [sys.executable, "-c", code, os.path.abspath(path), *how]
        options = {"cwd": Path(__file__).parents[1], "capture_output": True, "start_new_session": True}
        try:
            done = subprocess.run(command, timeout=HANGS_AFTER, **options)
            if done.returncode > 0:  # neither read nor crashed: a fault of ours
                raise RuntimeError(done.stderr.decode(errors="replace"))
            reason = f"the decoder crashes on it (status {done.returncode})" if done.returncode else ""
        except subprocess.TimeoutExpired:
            reason = f"the decoder does not come to an end within {HANGS_AFTER} s"
    if reason:
        marker.write_text(f"{key}\n{reason}", encoding="utf-8")
        raise InputError(f"{reason}; an earlier run had ended while reading it")


def process_video(video: Video, backbone: nn.Module, folder: Path, settings: dict, overwrite: bool) -> tuple:
    """Bring a video's features into the cache: (frames used, reason where there are none, from the cache or redone)."""
    file = cache_file(video, folder)
    marker, state = file.with_suffix(".reading"), "redone" if file.is_file() else "new"
    if not overwrite and (cached := load_cached(video, folder, settings)):
        return len(cached["numbers"]), "", "cached"
    try:
        key = cache_key(video, settings)
        if marker.is_file() and not overwrite:
            try_alone(video.path, settings, key, marker)
        marker.write_text(key, encoding="utf-8")  # stays behind if the process dies: a decoder can crash, or hang
        try:
            features, sampled = extract_video(video.path, backbone, settings)
        finally:
            marker.unlink(missing_ok=True)
    except InputError as error:
        return 0, str(error), state
    with replacing(file) as path:
        np.savez(path, features=features, numbers=sampled.numbers, row=json.dumps(sampled.facts), key=key)
    return len(features), "", state
