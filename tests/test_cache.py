import os
import shutil
import signal
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
from conftest import Payload, write_video

from data import try_video
from data.files import InputError, hold_folder
from data.frames import Sampling
from data.layouts import find_videos
from data.videos import Video
from features import cache
from features.cache import (
    Cached,
    Outcome,
    cache_file,
    cache_key,
    load_cached,
    process_video,
)
from features.extraction import Extraction
from features.resnet18 import extract_video
from features.run import map_threads

VERSIONS = {"python": "3.11.7", "numpy": "2.4", "torch": "2.14.1", "opencv": "5.0.0"}
EXTRACTION = Extraction(
    Sampling(4), weights={"name": "random", "sha256": "0" * 64}, versions=VERSIONS
)


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
    path = write_video(tmp_path / "videos/real/000.mp4")
    return Video(path, 0, video="real/000.mp4")


@pytest.fixture
def child(tmp_path, monkeypatch):
    """child(code) is from now on what the process of its own does that tries a video."""
    (tmp_path / "repository/data").mkdir(parents=True)
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path / "repository")
    file = tmp_path / "repository/data/try_video.py"
    return lambda code: file.write_text(f"import os, sys, time\n{code}")


def extract(videos, folder, backbone, extraction=EXTRACTION, overwrite=False, workers=1):
    """What the script does with the videos that it has found."""
    work = partial(
        process_video,
        backbone=backbone,
        folder=folder,
        extraction=extraction,
        overwrite=overwrite,
    )
    return list(map_threads(work, videos, workers))


def contents(folder):
    """{name: bytes} of the cache."""
    return {path.name: path.read_bytes() for path in folder.glob("cache/*.npz")}


def no_child(*args):
    pytest.fail("it was tried again")


def test_a_video_goes_into_the_cache_and_comes_back(one_video, folder, backbone):
    expected, sampled = extract_video(one_video.path, backbone, EXTRACTION.sampling)
    assert load_cached(one_video, folder, EXTRACTION) is None
    outcome = process_video(one_video, backbone, folder, EXTRACTION, overwrite=False)
    assert outcome == Outcome(frames=4, reason="", state="new")
    cached = load_cached(one_video, folder, EXTRACTION)
    assert isinstance(cached, Cached)
    assert cached.features.dtype == np.float32 and cached.features.shape == (4, 1000)
    assert cached.features.tobytes() == expected.tobytes()
    assert cached.numbers.tolist() == sampled.numbers.tolist() == [1, 4, 7, 10]
    assert cached.facts == sampled.facts and cached.facts["frames"] == 12
    assert [path.name for path in (folder / "cache").iterdir()] == list(contents(folder))
    outcome = process_video(one_video, backbone, folder, EXTRACTION, overwrite=False)
    assert outcome == Outcome(frames=4, reason="", state="cached")


def test_only_what_changed_is_done_again(videos, folder, backbone, done):
    found = find_videos(videos)
    assert {outcome.state for outcome in extract(found, folder, backbone)} == {"new"}
    before = contents(folder)
    done.clear()
    assert {outcome.state for outcome in extract(found, folder, backbone)} == {"cached"}
    assert done == [] and contents(folder) == before

    by_name = {video.path.name: video for video in found}
    write_video(videos / "real/007.mp4", n=9)
    os.utime(videos / "real/000.mp4", (1, 1))  # its time alone
    swapped = videos / "fake/002_001.mp4"
    swapped.write_bytes(swapped.read_bytes()[::-1])  # another content of this size
    cut = cache_file(by_name["003.mp4"], folder)
    cut.write_bytes(cut.read_bytes()[:100])
    flipped = cache_file(by_name["001.mp4"], folder)
    data = flipped.read_bytes()
    flipped.write_bytes(data[:300] + b"flip" + data[304:])
    cache_file(by_name["002.mp4"], folder).write_bytes(b"")
    cache_file(by_name["fifty.mp4"], folder).unlink()
    assert load_cached(by_name["003.mp4"], folder, EXTRACTION) is None
    outcomes = extract(found, folder, backbone)
    state = {video.path.name: outcome.state for video, outcome in zip(found, outcomes, strict=True)}
    redone = {name for name in state if state[name] == "redone"}
    assert redone == {"007.mp4", "002_001.mp4", "003.mp4", "001.mp4", "002.mp4"}
    assert state["fifty.mp4"] == "new"
    assert set(done) == redone | {"fifty.mp4"}
    assert list(state.values()).count("cached") == 4 and state["000.mp4"] == "cached"

    done.clear()
    fewer = replace(EXTRACTION, sampling=Sampling(3))
    found = [video for video in found if video.path != swapped]
    assert {outcome.frames for outcome in extract(found, folder, backbone, fewer)} == {3}
    assert len(done) == 9
    shutil.rmtree(folder / "cache")  # safe to delete
    (folder / "cache").mkdir()
    assert {outcome.state for outcome in extract(found, folder, backbone)} == {"new"}


def test_frames_that_were_copied_are_the_same_video(tmp_path, folder, backbone, done):
    path = tmp_path / "videos/real/a"
    path.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(path / f"{i}.png"), np.full((20, 20, 3), 40 * i, np.uint8))
    video = Video(path, 0, video="real/a")
    states = []
    for change in (int, lambda: os.utime(path / "1.png", (1, 1)), (path / "2.png").unlink):
        change()
        states += [outcome.state for outcome in extract([video], folder, backbone)]
    assert states == ["new", "cached", "redone"]


def test_other_code_makes_features_again_and_is_named(one_video, folder, backbone, done):
    for code, state in (("1111", "new"), ("1111", "cached"), ("2222", "code")):
        [outcome] = extract([one_video], folder, backbone, replace(EXTRACTION, code=code))
        assert outcome.state == state


def test_an_update_of_python_redoes_nothing_one_of_torch_does(one_video, folder, backbone, done):
    extract([one_video], folder, backbone)
    newer_python = replace(EXTRACTION, versions=VERSIONS | {"python": "3.12.1", "numpy": "2.5"})
    [outcome] = extract([one_video], folder, backbone, newer_python)
    assert outcome.state == "cached" and len(done) == 1
    newer_torch = replace(EXTRACTION, versions=VERSIONS | {"torch": "2.15.0"})
    [outcome] = extract([one_video], folder, backbone, newer_torch)
    assert outcome.state == "redone" and len(done) == 2


def test_a_moved_data_set_is_another_folder_not_another_video(
    one_video, folder, backbone, tmp_path
):
    extract([one_video], folder, backbone)
    os.rename(tmp_path / "videos", tmp_path / "moved")
    moved = replace(one_video, path=tmp_path / "moved/real/000.mp4")
    assert load_cached(moved, folder, EXTRACTION)


def test_a_video_that_cannot_be_used_says_why(tmp_path, folder, backbone):
    path = tmp_path / "videos/fake/broken.mp4"
    path.parent.mkdir(parents=True)
    path.write_text("no video")
    broken = Video(path, 1, video="fake/broken.mp4")
    gone = replace(broken, path=path.with_name("gone.mp4"), video="fake/gone.mp4")
    link = replace(broken, path=path.with_name("link.mp4"), video="fake/link.mp4")
    link.path.symlink_to(gone.path)
    outcomes = extract([broken, gone, link], folder, backbone)
    assert [outcome.frames for outcome in outcomes] == [0, 0, 0]
    assert [outcome.reason for outcome in outcomes] == [
        "not a video",
        "No such file or directory",
        "a broken link",
    ]
    assert list((folder / "cache").iterdir()) == []
    assert load_cached(gone, folder, EXTRACTION) is None


def test_a_cache_that_cannot_be_read_is_not_taken_for_damaged(one_video, folder, backbone):
    file = cache_file(one_video, folder)
    file.mkdir()
    with pytest.raises(IsADirectoryError, match=file.name):
        extract([one_video], folder, backbone)


def test_a_pickle_in_the_cache_is_not_run(one_video, folder, backbone, tmp_path):
    extract([one_video], folder, backbone)
    file = cache_file(one_video, folder)
    with np.load(file) as arrays:
        arrays = dict(arrays)
    for name in arrays:
        payload = np.array([Payload(tmp_path / "made")], dtype=object)
        np.savez(file, **(arrays | {name: payload}))
        assert load_cached(one_video, folder, EXTRACTION) is None
        file.write_bytes(payload.dumps())
        assert load_cached(one_video, folder, EXTRACTION) is None
        assert not (tmp_path / "made").exists()
    [outcome] = extract([one_video], folder, backbone)
    assert outcome.state == "redone"


def test_a_second_run_into_one_folder_stops(folder):
    for name in (".train_features.new.npy", "cache/.0.new.npz"):
        (folder / name).write_text("of a run that was killed")
    (folder / "train_features.npy").write_text("whole")
    with hold_folder(folder, folder / "cache/.lock"):
        assert not list(folder.rglob("*.new*")) and (folder / "train_features.npy").is_file()
        with (
            pytest.raises(InputError, match=r"another run is writing to .*: wait for it, or name"),
            hold_folder(folder, folder / "cache/.lock"),
        ):
            pytest.fail("two runs in one folder")
    with hold_folder(folder, folder / "cache/.lock"):
        pass


def test_a_file_system_without_locks_is_a_warning(folder, monkeypatch, capsys):
    def no_locks(*args):
        raise OSError(37, "No locks available")

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with hold_folder(folder, folder / "cache/.lock"):
        pass
    assert "cannot be locked (No locks available): start no second run" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_ends_while_it_reads_leaves_a_mark(one_video, folder, backbone, monkeypatch):
    def end(*rest):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(cache, "extract_video", end)
    child = os.fork()
    if child == 0:
        try:
            process_video(one_video, backbone, folder, EXTRACTION, overwrite=False)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    mark = cache_file(one_video, folder).with_suffix(".reading")
    assert mark.read_text() == cache_key(one_video, EXTRACTION)
    assert contents(folder) == {}


def test_a_marked_file_that_can_be_read_is_used(
    one_video, folder, backbone, monkeypatch, capsys, done
):
    mark = cache_file(one_video, folder).with_suffix(".reading")
    mark.write_text(cache_key(one_video, EXTRACTION))

    def in_this_process(path, sampling):
        """What the child does."""
        arguments = ["try_video", str(path), str(sampling.frames_per_video), "660"]
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.setattr(signal, "alarm", alarms.append, raising=False)
        try_video.main()
        assert done == [] and capsys.readouterr().out == "reading\n"
        return ""

    alarms = []
    monkeypatch.setattr(cache, "try_alone", in_this_process)
    [outcome] = extract([one_video], folder, backbone)
    assert outcome == Outcome(frames=4, reason="", state="new")
    assert alarms == [660]  # so it ends, should this process be killed
    assert not mark.exists() and load_cached(one_video, folder, EXTRACTION)

    # a file that is merely broken is no fault of the decoder's: the reason is the usual one
    one_video.path.write_text("no video")
    mark.write_text(cache_key(one_video, EXTRACTION))
    done.clear()
    [outcome] = extract([one_video], folder, backbone)
    assert outcome == Outcome(frames=0, reason="not a video", state="redone")
    assert not mark.exists()


def test_a_file_that_crashes_the_decoder_is_left_out_after_a_second_try(
    one_video, tmp_path, folder, backbone, child, monkeypatch
):
    child("open(sys.argv[1]); print('reading', flush=True); os.abort()")
    monkeypatch.chdir(tmp_path)  # not the repository
    video = Video(Path("videos/real/000.mp4"), 0, video="real/000.mp4")
    mark = cache_file(video, folder).with_suffix(".reading")
    mark.write_text(cache_key(video, EXTRACTION))
    status = -signal.SIGABRT
    reason = f"the decoder crashes on it (status {status}); an earlier run had ended while reading"
    [outcome] = extract([video], folder, backbone)
    assert outcome == Outcome(frames=0, reason=f"{reason} it", state="new")

    tried = []
    monkeypatch.setattr(cache, "try_alone", lambda *rest: tried.append(rest) or "")
    [again] = extract([video], folder, backbone)
    assert again == outcome and not tried
    write_video(one_video.path, n=8)  # another file of this name
    [outcome] = extract([video], folder, backbone)
    assert outcome == Outcome(frames=4, reason="", state="new")
    assert tried == [(video.path, EXTRACTION.sampling)] and not mark.exists()


def test_a_file_that_hangs_is_left_out_after_a_second_try(
    one_video, folder, backbone, child, monkeypatch
):
    child("time.sleep(0.5); print('reading', flush=True); time.sleep(1000)")
    mark = cache_file(one_video, folder).with_suffix(".reading")
    mark.write_text(cache_key(one_video, EXTRACTION))  # as a run leaves it that is killed
    monkeypatch.setattr(cache, "HANGS_AFTER", 0.4)  # counted from when it begins to read
    [outcome] = extract([one_video], folder, backbone)
    assert outcome.frames == 0
    assert outcome.reason.startswith("the decoder does not come to an end within 0.4 s; an earlier")
    monkeypatch.setattr(cache, "try_alone", no_child)
    [again] = extract([one_video], folder, backbone)
    assert again == outcome
    # --overwrite tries again what was given up
    [outcome] = extract([one_video], folder, backbone, overwrite=True)
    assert outcome == Outcome(frames=4, reason="", state="new")


def test_one_child_at_a_time_tries_what_a_killed_run_left(videos, folder, backbone, monkeypatch):
    """The run may have been killed for its memory: a child a worker would fill it again."""
    found = find_videos(videos)
    for video in found:
        cache_file(video, folder).with_suffix(".reading").write_text(cache_key(video, EXTRACTION))
    alone, tried = threading.Lock(), []

    def try_slowly(path, sampling):
        assert alone.acquire(blocking=False), "two children at once"
        time.sleep(0.02)
        tried.append(path)
        alone.release()
        return ""

    monkeypatch.setattr(cache, "try_alone", try_slowly)
    outcomes = extract(found, folder, backbone, workers=4)
    assert {outcome.frames for outcome in outcomes} == {4} and len(tried) == 10


def test_a_machine_without_memory_stops_the_run_and_blames_no_video(
    one_video, folder, backbone, monkeypatch
):
    def exhausted(*rest):
        raise MemoryError("no memory left")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "extract_video", exhausted)
        with pytest.raises(MemoryError):
            extract([one_video], folder, backbone)
    assert list((folder / "cache").iterdir()) == []
    assert extract([one_video], folder, backbone) == [Outcome(frames=4, state="new")]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import gone", "(?s)status 1: .*No module named"),
        ("", "status 0"),
        ("os.abort()", "status -6"),  # ended before it read anything
        ("print('reading', flush=True); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_fault_of_ours_is_neither_a_crash_nor_a_success(one_video, child, code, message):
    child(code)
    with pytest.raises(RuntimeError, match=message):
        cache.try_alone(one_video.path, EXTRACTION.sampling)
    child("print('reading')")
    assert cache.try_alone(one_video.path, EXTRACTION.sampling) == ""


def test_a_file_of_another_size_is_another_file_even_if_its_time_was_kept(one_video):
    key, stat = cache_key(one_video, EXTRACTION), one_video.path.stat()
    with open(one_video.path, "ab") as file:
        file.write(b"more")
    os.utime(one_video.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cache_key(one_video, EXTRACTION) != key
