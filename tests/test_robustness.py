"""Runs that are killed, interrupted or short of space, and files that no decoder should have to read."""

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_split, write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import deepfake_detection_model as ddm
import feature_extraction as fe

OPTIONS = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu"]


def read_failed(folder):
    with open(folder / "failed.csv", newline="", encoding="utf-8") as file:
        return {row["video"]: row["reason"] for row in csv.DictReader(file)}


def extract(videos, features, *more):
    fe.main(["--videos-dir", str(videos), "--features-dir", str(features), *OPTIONS, *more])


def contents(folder):
    """{name: bytes} of the final files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def start(videos, features, **options):
    command = [sys.executable, fe.__file__, "--videos-dir", str(videos), "--features-dir", str(features), *OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


def wait_for_line(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return
    raise AssertionError(process.stderr.read())


# --- Runs that end before their time --------------------------------------------------------------


def test_a_run_killed_ten_times_gives_what_an_undisturbed_one_gives(videos, tmp_path):
    extract(videos, tmp_path / "undisturbed")
    rng, kills, folder = random.Random(0), 0, tmp_path / "killed"
    while kills < 10:
        with start(videos, folder) as process:
            wait_for_line(process, "Device")
            time.sleep(rng.uniform(0, 0.8))
            process.kill()
        kills += process.returncode == -signal.SIGKILL
        for path in contents(folder):  # whole or absent, at any moment
            assert contents(folder)[path] == contents(tmp_path / "undisturbed")[path]
        cached = sorted(folder.glob("cache/*.npz"))
        for path in rng.sample(cached, len(cached) // 2) if kills % 2 else ():  # so that something is left to kill;
            path.unlink()  # the other times the kill comes while the final files are written
    extract(videos, folder)
    assert contents(folder) == contents(tmp_path / "undisturbed")
    assert {path.suffix for path in (folder / "cache").iterdir() if path.name != ".lock"} == {".npz"}
    assert not list(folder.rglob("*.new*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_one_line_and_leaves_nothing_half_done(videos, tmp_path, number):
    with start(videos, tmp_path / "features") as process:
        wait_for_line(process, "Device")
        time.sleep(0.2)
        process.send_signal(number)
        errors = process.communicate()[1]
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "interrupted: the same command goes on from here"
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.new*")) and not list(tmp_path.rglob("*.reading"))


@pytest.mark.parametrize("limit", [6_000, 100_000])  # a cache file has 16 kB, all features have 160 kB
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(videos, tmp_path, limit):
    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with start(videos, tmp_path / "features", preexec_fn=limit_file_size) as process:
        errors = process.communicate()[1]
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("error: [Errno 27] File too large: ")
    assert ("cache" if limit < 16_000 else "train_features.npy") in errors.splitlines()[-1]
    assert "Traceback" not in errors and contents(tmp_path / "features") == {}
    assert not list(tmp_path.rglob("*.new*"))
    extract(videos, tmp_path / "features")
    extract(videos, tmp_path / "undisturbed")
    assert contents(tmp_path / "features") == contents(tmp_path / "undisturbed")


def test_a_full_disk_while_training_is_one_line(tmp_path):
    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))  # model.pt has 2.6 MB

    path = make_split(tmp_path / "features")
    command = [sys.executable, ddm.__file__, "--train-features-file", str(path), "--num-epochs", "1"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "preexec_fn": limit_file_size}
    done = subprocess.run([*command, "--device", "cpu"], **options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: [Errno 27] File too large: 'results/model.pt'"
    assert list((tmp_path / "results").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(videos, tmp_path):
    (tmp_path / "file").write_text("")
    with start(videos, tmp_path / "file/features") as process:
        errors = process.communicate()[1]
    assert process.returncode == 1
    assert errors.startswith("error: [Errno 20] Not a directory: ") and errors.count("\n") == 1


def test_a_second_run_into_one_folder_stops(videos, tmp_path):
    (tmp_path / "features/cache").mkdir(parents=True)
    with fe.hold_folder(tmp_path / "features"), pytest.raises(fe.InputError, match="another run is writing to "):
        extract(videos, tmp_path / "features")
    extract(videos, tmp_path / "features")


def test_a_run_says_what_it_took_and_what_it_did_again(videos, tmp_path, capsys):
    extract(videos, tmp_path / "features")
    assert "Cache" not in capsys.readouterr().out
    (videos / "fake/broken.mp4").write_text("no video")
    fe.cache_file(fe.Video(videos, 1, video="fake/fifty.mp4"), tmp_path / "features").unlink()
    os.utime(videos / "real/000.mp4", (1, 1))
    extract(videos, tmp_path / "features")
    assert "8 taken from an earlier run, 1 done again, as the file or a setting had changed" in capsys.readouterr().out
    extract(videos, tmp_path / "features", "--frame-choice", "nearest-reference")
    assert "0 taken from an earlier run, 10 done again, as the file or a setting had changed" in capsys.readouterr().out


@pytest.fixture
def bad_decoder(tmp_path, monkeypatch):
    """In new processes, OpenCV crashes on files named crash.mp4 and hangs on files named hang.mp4."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import os, time, cv2
            original = cv2.VideoCapture
            class VideoCapture:
                def __init__(self, path, *rest):
                    self.path, self.capture = path, original(path, *rest)
                def grab(self):
                    if self.path.endswith("crash.mp4"):
                        os.abort()
                    if self.path.endswith("hang.mp4"):
                        time.sleep(1000)
                    return self.capture.grab()
                def __getattr__(self, name):
                    return getattr(self.capture, name)
            cv2.VideoCapture = VideoCapture
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.mark.parametrize("name", ["crash", "hang"])
def test_a_file_that_ends_the_process_is_left_out_after_a_second_try(videos, tmp_path, name, bad_decoder, monkeypatch):
    shutil.copy(videos / "real/000.mp4", videos / f"fake/{name}.mp4")
    folder = tmp_path / "features"
    with start(videos, folder) as process:
        if name == "hang":
            while len(list(folder.glob("cache/*.npz"))) < 10:
                time.sleep(0.1)
            process.kill()
        process.communicate()
    assert process.returncode == -(signal.SIGABRT if name == "crash" else signal.SIGKILL)
    assert contents(folder) == {}

    if name == "hang":
        monkeypatch.setattr(fe, "HANGS_AFTER", 25)
    extract(videos, folder)
    reason = {"crash": "the decoder crashes on it (status -6)", "hang": "does not come to an end within 25 s"}[name]
    assert list(read_failed(folder)) == [f"fake/{name}.mp4"]
    assert reason in read_failed(folder)[f"fake/{name}.mp4"] and len(np.load(folder / "train_labels.npy")) == 40

    monkeypatch.setattr(fe.subprocess, "run", lambda *_, **__: pytest.fail("it was tried again"))
    extract(videos, folder)
    assert reason in read_failed(folder)[f"fake/{name}.mp4"]
    monkeypatch.undo()
    shutil.copy(videos / "real/003.mp4", videos / f"fake/{name}.mp4")  # another file of this name
    extract(videos, folder)
    assert read_failed(folder) == {} and len(np.load(folder / "train_labels.npy")) == 44


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_hangs_can_be_interrupted(videos, tmp_path, number, bad_decoder):
    shutil.copy(videos / "real/000.mp4", videos / "fake/hang.mp4")
    with start(videos, tmp_path / "features") as process:
        while len(list(tmp_path.glob("features/cache/*.npz"))) < 10:
            time.sleep(0.1)
        process.send_signal(number)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "interrupted: the same command goes on from here"


def test_broken_links_and_files_that_are_gone_fail_alone(videos, tmp_path):
    (videos / "fake/link.mp4").symlink_to(tmp_path / "gone.mp4")
    extract(videos, tmp_path / "features")
    assert read_failed(tmp_path / "features") == {"fake/link.mp4": "a broken link"}
    (videos / "list.csv").write_text("path,label\nreal/000.mp4,real\nfake/fifty.mp4,fake\nnowhere.mp4,fake\n")
    fe.main(["--videos-csv", str(videos / "list.csv"), "--features-dir", str(tmp_path / "listed"), *OPTIONS])
    assert read_failed(tmp_path / "listed") == {"nowhere.mp4": "No such file or directory"}


def test_names_with_control_characters_fail_alone_and_break_no_line(videos, tmp_path, capsys):
    shutil.copy(videos / "real/000.mp4", videos / "fake/two\nlines\r.mp4")
    extract(videos, tmp_path / "features")
    reason = "its name is not valid UTF-8 or has control characters: rename it"
    assert read_failed(tmp_path / "features") == {"fake/two\\nlines\\r.mp4": reason}
    assert f"failed: fake/two\\nlines\\r.mp4: {reason}" in capsys.readouterr().err
    assert len(ddm.load_split(tmp_path / "features/train_features.npy").videos) == 10


# --- Files of every kind --------------------------------------------------------------------------

REAL_FILES = {
    "UPPER.MP4": 180,
    "audio_only.mp4": "no video stream",
    "av1.mp4": "0 frames decoded: codec av01 not supported by this OpenCV, or damaged",
    "avi_count_too_high.avi": 90,
    "avi_count_zero.avi": 90,
    "bitrot.mp4": 236,
    "black.mp4": 50,
    "clip_%03d.mp4": 180,
    "cover_first.mp4": 90,
    "editlist_offset.mp4": 62,
    "frag.mp4": 90,
    "gray.mp4": 90,
    "hevc10.mkv": 90,
    "live.mkv": 90,
    "live.webm": 90,
    "longgop.mp4": 360,
    "noise.mp4": 25,
    "odd_241x135_444.mp4": 60,
    "oneframe.mp4": 1,
    "opengop_bframes.mp4": 180,
    "png_named.mp4": 1,
    "raw.h264": 90,
    "reschange.ts": 60,
    "rot90.mp4": 90,
    "start_offset.mp4": 60,
    "stream.ts": 90,
    "text.mp4": "not a video",
    "tiny_16x16.mp4": 30,
    "truncated_faststart.mp4": 153,
    "truncated_moov_missing.mp4": "truncated: the index (moov) of this MP4 file is missing or cut off",
    "twoframes.mp4": 2,
    "vfr.mp4": 54,
    "vp9.webm": 90,
    "wrong_ext_webm_inside.mp4": 90,
    "zero.mp4": "empty file",
}


def test_each_real_file_is_used_or_explained(real_videos, videos, tmp_path):
    shutil.copytree(real_videos / "awkward", videos / "fake/awkward")
    files = {path.name: path for path in (videos / "fake/awkward").iterdir()}
    expected = REAL_FILES | {name: 180 for name in files if name.startswith("visage")}
    assert files.keys() == expected.keys() | {".hidden.mp4", "._resource_fork.mp4"}
    with start(videos, tmp_path / "features") as process:
        output, errors = process.communicate()
    assert process.returncode == 0
    with open(tmp_path / "features/train_videos.csv", newline="", encoding="utf-8") as file:
        rows = {Path(row["video"]).name: row for row in csv.DictReader(file) if row["method"] == "awkward"}
    reasons = {Path(name).name: reason for name, reason in read_failed(tmp_path / "features").items()}
    assert {name: int(row["frames"]) for name, row in rows.items()} | reasons == expected
    notes = {name: row["note"] for name, row in rows.items() if row["note"]}
    assert notes.keys() == {"avi_count_too_high.avi", "bitrot.mp4", "editlist_offset.mp4", "truncated_faststart.mp4"}
    assert notes["truncated_faststart.mp4"] == "153 of 360 frames: truncated, damaged or miscounted"
    assert (rows["rot90.mp4"]["width"], rows["rot90.mp4"]["height"]) == ("234", "320")
    assert f"{len(expected) + 10} found = {len(rows) + 10} used + 5 failed" in output
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("extracting")]
    assert len(lines) == 5 and all(line.startswith("failed: fake/awkward/") for line in lines)


def test_a_picture_of_absurd_size_fails(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", size=(64, 48))
    monkeypatch.setattr(fe, "MAX_PIXELS", 3000)
    with pytest.raises(fe.InputError, match="64 x 48 pixels a frame, more than the 3000 that are accepted"):
        fe.read_frames(path, 4)


def test_files_that_only_look_like_videos(tmp_path):
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "no_video.mp4").write_bytes(whole.replace(b"vide", b"soun"))
    (tmp_path / "riff.avi").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "codec.avi").write_bytes(write_video(tmp_path / "clip.avi").read_bytes().replace(b"MJPG", b"ZZZZ"))
    for name, reason in {
        "no_video.mp4": "no video stream",
        "riff.avi": "no video stream, or damaged",
        "link.mp4": "a broken link",
        "codec.avi": "codec zzzz not supported by this OpenCV|no video stream, or damaged",
    }.items():
        with pytest.raises(fe.InputError, match=reason):
            fe.read_frames(tmp_path / name, 4)


# --- Bytes at random: only the documented errors come out -------------------------------------------

MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)
RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}


def mutate(data, changes, length):
    data = bytearray(data)
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    return bytes(data[: int(length * len(data))])


READER = """
import sys, feature_extraction as fe
fe.quiet_decoder()
for line in sys.stdin:
    try:
        sampled = fe.sample_video(line.strip(), {"frames_per_video": 4})
        assert len(sampled.frames) == len(sampled.numbers) > 0 and sampled.facts["frames"] > sampled.numbers[-1]
        print("used", flush=True)
    except fe.InputError as error:
        print("failed" if str(error) and "\\n" not in str(error) else f"unclear: {error!r}", flush=True)
"""


class Reader:
    """read_frames in a process of its own, which is started again when a decoder has crashed it."""

    def __init__(self):
        self.start()

    def start(self):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", READER], cwd=Path(fe.__file__).parent, **options)

    def read(self, path):
        print(path, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if not answer:
            status, errors = self.process.wait(), self.process.stderr.read()
            self.start()
            return "crashed" if status < 0 else errors
        return answer


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.process.communicate()


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_damaged_containers(tmp_path, reader, suffix):
    whole = write_video(tmp_path / f"whole{suffix}", n=20).read_bytes()
    seen = []

    @settings(max_examples=150, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0))
    def check(changes, length):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(mutate(whole, changes, length))
        seen.append(reader.read(path))
        assert seen[-1] in ("used", "failed", "crashed")

    check()
    assert {"used", "failed"} <= set(seen)


@pytest.mark.parametrize("name", ["train_features.npy", "train_labels.npy", "train_frames.npy", "train_videos.csv"])
def test_damaged_features(tmp_path, name):
    path = make_split(tmp_path, n_groups=3)
    target = tmp_path / name
    whole, seen = target.read_bytes(), []

    @settings(max_examples=150, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0), st.booleans())
    def check(changes, length, in_header):
        header, rest = (whole[:128], whole[128:]) if in_header else (whole, b"")
        target.write_bytes(mutate(header, changes, length) + rest)
        try:
            ddm.load_split(path)
            seen.append("loaded")
        except fe.InputError as error:
            assert "\n" not in str(error)
            seen.append("refused")

    check()
    assert {"loaded", "refused"} <= set(seen)


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_damaged_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    extraction = {"weights": {"name": "random", "sha256": ""}, "frames_per_video": 4, "frame_choice": "exact"}
    rest = {"extraction": extraction, "thresholds": {"used": 0.4}, "seen": {"video": []}}
    torch.save({"model": ddm.DeepfakeMLP().state_dict()} | rest, path)
    ddm.load_checkpoint(path)
    whole = path.read_bytes()

    @settings(max_examples=60, **RELAXED)
    @given(MUTATIONS, st.floats(0, 1) | st.just(1.0), st.booleans())
    def check(changes, length, in_header):
        start, end = (whole[:4000], whole[4000:]) if in_header else (whole, b"")
        path.write_bytes(mutate(start, changes, length) + end)
        try:
            ddm.load_checkpoint(path)
        except fe.InputError as error:
            assert "\n" not in str(error)

    check()
    torch.save({"model": Payload(tmp_path / "made")} | rest, path)
    with pytest.raises(fe.InputError, match=r"model\.pt is damaged or of another kind"):
        ddm.load_checkpoint(path)
    assert not (tmp_path / "made").exists()


def test_csv_files_hold_no_formulas(videos, tmp_path):
    shutil.move(videos / "fake/fifty.mp4", videos / "=cmd()|'x'.mp4")
    lines = ["path,label", *(f"{path.relative_to(videos)},real" for path in (videos / "real").iterdir())]
    (videos / "list.csv").write_text("\n".join([*lines, "=cmd()|'x'.mp4,fake", "fake/000_003.mp4,fake"]))
    fe.main(["--videos-csv", str(videos / "list.csv"), "--features-dir", str(tmp_path / "features"), *OPTIONS])
    text = (tmp_path / "features/train_videos.csv").read_text()
    assert "\n'=cmd()" in text and "\n=" not in text and ",=" not in text
    split = ddm.load_split(tmp_path / "features/train_features.npy")
    assert json.loads((tmp_path / "features/extraction.json").read_text())["counts"]["used"] == len(split.videos) == 7
    assert {(videos / row["video"]).is_file() for row in split.videos} == {True}
