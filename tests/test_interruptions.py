"""Runs that are killed, interrupted or short of disk space.

A run that has to die is a fork of this process, which spares the import of torch; it dies at a
step that is counted, not after a time.
"""

import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import contents, extract, make_split, train, write_video

import feature_extraction
import features.cache

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

import resource

pytestmark = pytest.mark.usefixtures("quick_backbone")


def start(target, *arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


@pytest.fixture
def undisturbed(videos, tmp_path) -> dict[str, bytes]:
    """The final files of a run that nothing happens to."""
    extract(videos, tmp_path / "undisturbed")
    return contents(tmp_path / "undisturbed")


# --- Killed ---


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


def test_a_run_killed_ten_times_gives_what_an_undisturbed_one_gives(videos, tmp_path, undisturbed):
    rng, folder = random.Random(0), tmp_path / "killed"
    n_steps = 10 + len(undisturbed)  # a cache file a video, then the final files
    steps = [0, 3, 3, 4, 5, 1, 0, 2, 3, 4]
    for step in steps:
        process = start(extract_and_die, videos, folder, step)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        found = contents(folder)
        assert all(found[name] == undisturbed[name] for name in found)  # whole or absent
        cached = sorted(folder.glob("cache/*.npz"))
        for path in rng.sample(cached, min(len(cached), 2)):
            path.unlink()  # so that something is left to kill
    assert sum(steps) > n_steps
    extract(videos, folder)
    assert contents(folder) == undisturbed
    left = {path.suffix for path in (folder / "cache").iterdir() if path.name != ".lock"}
    assert left == {".npz"}
    assert not list(folder.rglob("*.new*"))


def test_extraction_json_is_the_last_of_the_final_files(videos, tmp_path, undisturbed):
    """Whoever finds it may trust the rest: it must not be there while another file is missing."""
    seen = set()
    for step in range(10, 30):  # after the ten videos
        folder = tmp_path / f"killed_{step}"
        process = start(extract_and_die, videos, folder, step)
        process.join()
        found = contents(folder)
        if "extraction.json" in found:
            break
        seen.add(len(found))
    assert found == undisturbed and process.exitcode == 0
    assert seen == set(range(len(undisturbed)))  # it was killed before each of them


# --- Interrupted ---


@pytest.mark.parametrize(
    ("number", "status", "last_line"),
    [
        (signal.SIGINT, 130, ["interrupted: the same command goes on from here"]),
        (signal.SIGTERM, -signal.SIGTERM, []),
    ],
)
def test_a_run_that_hangs_can_be_ended(videos, tmp_path, monkeypatch, number, status, last_line):
    """OpenCV hangs on hang.mp4, so the run is surely under way when the signal comes."""
    (tmp_path / "site").mkdir()
    patch = """
        import time, cv2
        original = cv2.VideoCapture
        class VideoCapture:
            def __init__(self, path, *rest):
                self.path, self.capture = path, original(path, *rest)
            def grab(self):
                if self.path.endswith("hang.mp4"):
                    print("hangs", flush=True)
                    time.sleep(1000)
                return self.capture.grab()
            def __getattr__(self, name):
                return getattr(self.capture, name)
        cv2.VideoCapture = VideoCapture
        """
    (tmp_path / "site/sitecustomize.py").write_text(textwrap.dedent(patch))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    keep = {"real/000.mp4", "fake/000_003.mp4"}
    for path in videos.rglob("*.mp4"):
        if path.relative_to(videos).as_posix() not in keep:
            path.unlink()
    write_video(videos / "fake/hang.mp4")
    command = [sys.executable, feature_extraction.__file__, "--videos-dir", str(videos)]
    command += ["--features-dir", str(tmp_path / "features"), "--weights", "random"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--frames-per-video", "1", "--device", "cpu"], **pipes) as run:
        assert "hangs\n" in iter(run.stdout.readline, "")
        run.send_signal(number)
        errors = run.communicate()[1]
    assert run.returncode == status and "Traceback" not in errors
    assert errors.splitlines()[-1:] == last_line
    assert not list(tmp_path.rglob("*.new*")) and contents(tmp_path / "features") == {}


def test_the_number_of_workers_changes_nothing(videos, tmp_path, undisturbed):
    extract(videos, tmp_path / "one", "--num-workers", "1")
    assert contents(tmp_path / "one") == undisturbed


def test_an_interrupted_run_goes_on_where_it_was(videos, tmp_path, undisturbed, monkeypatch):
    first, rest = [], []
    extract_video = features.cache.extract_video

    def stop_after_three(path, *more):
        if len(first) == 3:
            raise KeyboardInterrupt
        first.append(path)
        return extract_video(path, *more)

    def note(path, *more):
        rest.append(path)
        return extract_video(path, *more)

    monkeypatch.setattr("features.cache.extract_video", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        extract(videos, tmp_path / "resumed", "--num-workers", "1")
    assert contents(tmp_path / "resumed") == {}
    monkeypatch.setattr("features.cache.extract_video", note)
    extract(videos, tmp_path / "resumed")
    assert len(set(rest)) == 7 and not set(first) & set(rest)
    assert contents(tmp_path / "resumed") == undisturbed
    rest.clear()
    extract(videos, tmp_path / "resumed", "--overwrite")
    assert len(rest) == 10


# --- Short of disk space ---


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
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    videos, tmp_path, undisturbed, size, named
):
    folder = tmp_path / "features"
    with largest_file(size), pytest.raises(OSError, match="File too large") as caught:
        extract(videos, folder, "--num-workers", "1")
    assert named in str(caught.value) and "\n" not in str(caught.value)
    assert contents(folder) == {} and not list(tmp_path.rglob("*.new*"))
    extract(videos, folder)
    assert contents(folder) == undisturbed


def test_a_full_disk_keeps_the_splits_of_an_earlier_run(videos, tmp_path):
    """What this run does not have is removed last, once the new files are in place."""
    folder = tmp_path / "features"
    for split in ("train", "val"):
        shutil.copytree(videos, tmp_path / "splits" / split)
    extract(tmp_path / "splits", folder)
    before = contents(folder)
    with largest_file(100_000), pytest.raises(OSError, match="File too large"):
        extract(videos, folder)
    assert contents(folder) == before


def test_a_full_disk_while_training_is_one_line(tmp_path):
    make_split(tmp_path / "features")
    with (
        largest_file(1_000_000),  # model.pt has 2.6 MB
        pytest.raises(OSError, match=re.escape(f"File too large: '{tmp_path}/results/model.pt'")),
    ):
        train(tmp_path)
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".lock"]
