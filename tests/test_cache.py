import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import Payload, contents, run_in_fork, write_video

from data import try_video
from data.decode import read_frames
from data.frames import Sampling
from data.layouts import find_videos
from data.videos import Video
from features import cache
from features.cache import Outcome, cache_file, cache_key, load_cached, process_video
from features.extraction import Extraction
from features.resnet18 import extract_video
from features.run import map_threads

VERSIONS = {"python": "3.11.7", "numpy": "2.4", "torch": "2.14.1", "opencv": "5.0.0"}
WEIGHTS = {"name": "random", "sha256": "0" * 64}
EXTRACTION = Extraction(Sampling(4), weights=WEIGHTS, versions=VERSIONS)


@pytest.fixture
def backbone():
    """A network of one layer, in place of ResNet-18."""
    pool, flatten = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    return torch.nn.Sequential(pool, flatten, torch.nn.Linear(3, 1000))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "features/cache").mkdir(parents=True)
    return tmp_path / "features"


@pytest.fixture
def extract(folder, backbone):
    """extract(videos) does what the script does with the videos that it has found."""

    def extract(videos, extraction=EXTRACTION, overwrite=False, workers=1):
        settings = {"backbone": backbone, "folder": folder, "extraction": extraction}
        work = partial(process_video, overwrite=overwrite, **settings)
        return list(map_threads(work, videos, workers))

    return extract


@pytest.fixture
def done(monkeypatch):
    """The names of the videos that are really extracted, as they come."""
    names = []

    def watched(path, *rest):
        names.append(path.name)
        return extract_video(path, *rest)

    monkeypatch.setattr(cache, "extract_video", watched)
    return names


@pytest.fixture
def one_video(tmp_path):
    return Video(write_video(tmp_path / "videos/real/000.mp4"), 0, video="real/000.mp4")


@pytest.fixture
def mark(one_video, folder):
    """The mark of an earlier run that ended while it read one_video."""
    mark = cache_file(one_video, folder).with_suffix(".reading")
    mark.write_text(cache_key(one_video, EXTRACTION))
    return mark


@pytest.fixture
def child(tmp_path, monkeypatch):
    """child(code) is from now on what the process of its own does that tries a video."""
    (tmp_path / "repository/data").mkdir(parents=True)
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path / "repository")
    file = tmp_path / "repository/data/try_video.py"
    return lambda code: file.write_text(f"import os, sys, time\n{code}")


def test_a_video_goes_into_the_cache_and_comes_back(one_video, folder, backbone, extract):
    expected, sampled = extract_video(one_video.path, backbone, EXTRACTION.sampling)
    assert load_cached(one_video, folder, EXTRACTION) == (None, "new")
    assert extract([one_video]) == [Outcome(frames=4, reason="", state="new")]
    cached, _ = load_cached(one_video, folder, EXTRACTION)
    assert cached.features.dtype == np.float32 and cached.features.shape == (4, 1000)
    assert cached.features.tobytes() == expected.tobytes()
    assert cached.numbers.tolist() == sampled.numbers.tolist() == [1, 4, 7, 10]
    assert cached.facts == sampled.facts and cached.facts["frames"] == 12
    assert list((folder / "cache").iterdir()) == [cache_file(one_video, folder)]
    assert extract([one_video]) == [Outcome(frames=4, reason="", state="cached")]


def test_only_what_changed_is_done_again(videos, folder, extract, done):
    found = find_videos(videos)
    files = {video.path.name: cache_file(video, folder) for video in found}
    assert {outcome.state for outcome in extract(found)} == {"new"}
    before = contents(folder / "cache")
    done.clear()
    assert {outcome.state for outcome in extract(found)} == {"cached"}
    assert done == [] and contents(folder / "cache") == before

    longer, touched = videos / "real/007.mp4", videos / "real/000.mp4"
    stat = longer.stat()
    longer.write_bytes(longer.read_bytes() + b"more")  # another size, the time was kept
    os.utime(longer, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.utime(touched, (1, 1))  # its time alone
    swapped = videos / "fake/002_001.mp4"
    swapped.write_bytes(swapped.read_bytes()[::-1])  # another content of this size
    data = files["001.mp4"].read_bytes()
    files["001.mp4"].write_bytes(data[:300] + b"flip" + data[304:])
    files["003.mp4"].write_bytes(data[:100])
    files["002.mp4"].write_bytes(b"")
    files["fifty.mp4"].unlink()
    states = dict(zip(files, [outcome.state for outcome in extract(found)], strict=True))
    changed = dict.fromkeys(("007.mp4", "001.mp4", "003.mp4", "002.mp4"), "redone")
    changed |= {"002_001.mp4": "new", "fifty.mp4": "new"}  # the first cannot be read
    assert {name: state for name, state in states.items() if state != "cached"} == changed
    assert set(done) == set(changed)

    fewer = replace(EXTRACTION, sampling=Sampling(3))
    found = [video for video in found if video.path != swapped]
    assert extract(found, fewer) == [Outcome(3, state="redone")] * 9


def test_frames_that_were_copied_are_the_same_video(tmp_path, extract):
    path = tmp_path / "videos/real/a"
    path.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(path / f"{i}.png"), np.full((20, 20, 3), 40 * i, np.uint8))
    states = []
    for change in (int, lambda: os.utime(path / "1.png", (1, 1)), (path / "2.png").unlink):
        change()
        states += [outcome.state for outcome in extract([Video(path, 0, video="real/a")])]
    assert states == ["new", "cached", "redone"]


def test_a_moved_video_is_the_same_and_one_that_is_gone_is_not_taken(one_video, folder, extract):
    extract([one_video])
    moved = one_video.path.rename(one_video.path.with_name("moved.mp4"))
    assert extract([replace(one_video, path=moved)]) == [Outcome(4, state="cached")]
    assert load_cached(one_video, folder, EXTRACTION) == (None, "redone")


def test_a_video_that_cannot_be_used_says_why(one_video, folder, extract):
    broken, gone, link = (one_video.path.with_name(name) for name in ("broken", "gone", "link"))
    broken.write_text("no video")
    link.symlink_to(gone)
    outcomes = extract([replace(one_video, path=path) for path in (broken, gone, link)])
    reasons = ["not a video", "No such file or directory", "a broken link"]
    assert outcomes == [Outcome(0, reason) for reason in reasons]
    assert list((folder / "cache").iterdir()) == []


def test_a_pickle_in_the_cache_is_not_run(one_video, folder, extract, tmp_path):
    extract([one_video])
    file = cache_file(one_video, folder)
    with np.load(file) as arrays:
        arrays = dict(arrays)
    payload = np.array([Payload(tmp_path / "made")], dtype=object)
    for name in arrays:
        np.savez(file, **(arrays | {name: payload}))
        assert load_cached(one_video, folder, EXTRACTION) == (None, "redone")
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_ends_while_it_reads_leaves_a_mark(one_video, folder, extract, monkeypatch):
    monkeypatch.setattr(cache, "extract_video", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    done = run_in_fork(lambda: extract([one_video]))
    assert done.returncode == -signal.SIGKILL
    [mark] = (folder / "cache").iterdir()
    assert mark == cache_file(one_video, folder).with_suffix(".reading")
    assert mark.read_text() == cache_key(one_video, EXTRACTION)


def test_a_marked_file_that_can_be_read_is_used(
    one_video, mark, extract, monkeypatch, capsys, done
):
    def in_this_process(command, **_):
        """What the child does."""
        monkeypatch.setattr(sys, "argv", command[2:])
        monkeypatch.setattr(signal, "alarm", alarms.append, raising=False)
        try_video.main()
        assert done == [] and capsys.readouterr().out == "reading\n"
        return subprocess.CompletedProcess(command, 0, b"reading")

    def read(path, n, transform, step):
        tried.append((path, n, step))
        return read_frames(path, n, transform, step=step)

    alarms, tried = [], []
    monkeypatch.setattr(subprocess, "run", in_this_process)
    monkeypatch.setattr(try_video, "read_frames", read)
    stepped = replace(EXTRACTION, sampling=Sampling(4, frame_step=5))
    assert extract([one_video], stepped) == [Outcome(frames=3)]
    assert tried == [(str(one_video.path), 4, 5)]  # the same frames: a decoder jumps to them
    assert alarms == [660]  # so it ends, should this process be killed
    assert not mark.exists()
    # a file that is merely broken is no fault of the decoder's: the reason is the usual one
    one_video.path.write_text("no video")
    mark.write_text(cache_key(one_video, EXTRACTION))
    done.clear()
    assert extract([one_video]) == [Outcome(0, "not a video")] and not mark.exists()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "open(sys.argv[1]); print('reading', flush=True); os.abort()",
            "crashes on it (status -6)",
        ),
        ("print('reading', flush=True); time.sleep(9)", "does not come to an end within 0.4 s"),
    ],
)
def test_a_file_that_crashes_or_hangs_the_decoder_is_left_out_after_a_second_try(
    one_video, mark, tmp_path, extract, child, monkeypatch, code, reason
):
    child(code)
    monkeypatch.setattr(cache, "HANGS_AFTER", 0.4 if "sleep" in code else 60)
    monkeypatch.chdir(tmp_path)  # not the repository
    video = replace(one_video, path=Path("videos/real/000.mp4"))
    reason = f"the decoder {reason}; an earlier run had ended while reading it"
    assert extract([video]) == [Outcome(0, reason)]
    tried = []
    monkeypatch.setattr(cache, "try_alone", lambda *rest: tried.append(rest) or "")
    assert extract([video]) == [Outcome(0, reason)] and not tried
    write_video(one_video.path, n=8)  # another file of this name
    assert extract([video]) == [Outcome(frames=4)]
    assert tried == [(video.path, EXTRACTION.sampling)] and not mark.exists()


def test_overwrite_tries_again_what_was_given_up(one_video, mark, extract, monkeypatch):
    mark.write_text(f"{cache_key(one_video, EXTRACTION)}\nthe decoder crashes on it")
    monkeypatch.setattr(cache, "try_alone", lambda *_: pytest.fail("it was tried alone"))
    assert extract([one_video], overwrite=True) == [Outcome(frames=4)]


def test_one_child_at_a_time_tries_what_a_killed_run_left(videos, folder, extract, monkeypatch):
    """The run may have been killed for its memory: a child a worker would fill it again."""
    found, alone, tried = find_videos(videos), threading.Lock(), []
    for video in found:
        cache_file(video, folder).with_suffix(".reading").write_text("")

    def try_slowly(path, sampling):
        assert alone.acquire(blocking=False), "two children at once"
        time.sleep(0.02)
        tried.append(path)
        alone.release()
        return ""

    monkeypatch.setattr(cache, "try_alone", try_slowly)
    assert extract(found, workers=4) == [Outcome(frames=4)] * 10 and len(tried) == 10


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import gone", "(?s)status 1: .*No module named"),
        ("os.abort()", "status -6"),  # ended before it read anything
        ("print('reading', flush=True); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_fault_of_ours_is_neither_a_crash_nor_a_success(one_video, child, code, message):
    child(code)
    with pytest.raises(RuntimeError, match=message):
        cache.try_alone(one_video.path, EXTRACTION.sampling)
