"""Runs that are killed, interrupted or short of disk space.

A run that has to die is a fork of this process, which spares the import of torch; it dies at a
step that is counted, not after a time.
"""

import os
import random
import signal
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import pytest
from conftest import (
    Capture,
    contents,
    extract,
    run_in_fork,
    small_backbone,
    write_video,
)

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

import resource

pytestmark = pytest.mark.usefixtures("quick_backbone")


@pytest.fixture(scope="module")
def undisturbed(drawn_videos, tmp_path_factory) -> dict[str, bytes]:
    """The final files of a run that nothing happens to, with one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feature_extraction.load_backbone", small_backbone)
        extract(drawn_videos, folder, "--num-workers", "1")
    return contents(folder)


def extract_and_die(videos: Path, folder: Path, step: int) -> None:
    """An extraction that is killed when it puts its file number `step` in place."""
    steps = iter(range(step))
    put_in_place = os.replace

    def replace_or_die(source, target):
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        put_in_place(source, target)

    os.replace = replace_or_die
    extract(videos, folder, "--num-workers", "1")


def test_a_run_killed_again_and_again_gives_what_an_undisturbed_one_gives(
    drawn_videos, tmp_path, undisturbed
):
    rng, folder = random.Random(0), tmp_path / "killed"
    for step in (0, 4, 3, 12):  # the last between the final files: three of ten videos were done
        done = run_in_fork(partial(extract_and_die, drawn_videos, folder, step))
        assert done.returncode == -signal.SIGKILL
        found = contents(folder)
        assert all(found[name] == undisturbed[name] for name in found)  # whole or absent
        cached = sorted(folder.glob("cache/[!.]*.npz"))
        for path in rng.sample(cached, min(len(cached), 2)):
            path.unlink()  # so that something is left to kill
    assert 0 < len(found) < len(undisturbed)
    extract(drawn_videos, folder, "--num-workers", "3")  # how many changes nothing
    assert contents(folder) == undisturbed
    left = {path.suffix for path in (folder / "cache").iterdir() if path.name != ".lock"}
    assert left == {".npz"}
    assert not list(folder.rglob("*.new*"))


def test_a_run_that_hangs_can_be_ended(tmp_path, monkeypatch):
    """Ctrl-C is pressed when OpenCV hangs on hang.mp4."""

    class HangingCapture(Capture):
        def grab(self):
            if self.path.endswith("hang.mp4"):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1000)
            return self.capture.grab()

    for i, name in enumerate(("real/000", "fake/000_003", "fake/hang")):
        write_video(tmp_path / f"videos/{name}.mp4", n=9 + i)
    monkeypatch.setattr(cv2, "VideoCapture", HangingCapture)
    done = run_in_fork(partial(extract, tmp_path / "videos", tmp_path / "features"))
    assert done.returncode == 130 and "Traceback" not in done.stderr
    last_line = done.stderr.splitlines()[-1]
    assert last_line == "interrupted: the same command goes on from here"
    assert not list(tmp_path.rglob("*.new*")) and contents(tmp_path / "features") == {}


@contextmanager
def largest_file(size: int):
    """No file of this process may grow beyond a size in bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# a cache file has 16 kB, all features have 160 kB
@pytest.mark.parametrize(("size", "named"), [(6_000, "cache"), (100_000, "train_features.npy")])
def test_a_full_disk_is_one_line_and_the_files_of_an_earlier_run_stay(
    drawn_videos, tmp_path, undisturbed, size, named
):
    folder = tmp_path / "features"
    for earlier in ({}, undisturbed):
        with largest_file(size), pytest.raises(OSError, match="File too large") as caught:
            extract(drawn_videos, folder, "--num-workers", "1", "--overwrite")
        assert named in str(caught.value) and "\n" not in str(caught.value)
        assert contents(folder) == earlier and not list(tmp_path.rglob("*.new*"))
        extract(drawn_videos, folder)  # it goes on
        assert contents(folder) == undisturbed
