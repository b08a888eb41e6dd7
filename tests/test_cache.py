import csv
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from conftest import write_video

import feature_extraction as fe
from data.files import InputError
from data.layouts import Video
from features.cache import cache_file, hold_folder
from features.resnet18 import extract_video


def extract(videos, features, *more):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(features), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu", *more]
    )


def contents(folder):
    """{name: bytes} of the final files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


OPTIONS = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu"]


def read_failed(folder):
    with open(folder / "failed.csv", newline="", encoding="utf-8") as file:
        return {row["video"]: row["reason"] for row in csv.DictReader(file)}


def start(videos, features, **options):
    command = [sys.executable, fe.__file__, "--videos-dir", str(videos), "--features-dir", str(features), *OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


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


def test_same_bytes_whatever_the_workers_and_the_interruptions(videos, tmp_path, monkeypatch):
    extract(videos, tmp_path / "undisturbed", "--num-workers", "1")
    extract(videos, tmp_path / "two", "--num-workers", "2")
    assert contents(tmp_path / "two") == contents(tmp_path / "undisturbed")

    done = []
    real_extract_video = extract_video

    def stop_after_three(path, *rest):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(path)
        return real_extract_video(path, *rest)

    monkeypatch.setattr("features.cache.extract_video", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        extract(videos, tmp_path / "resumed", "--num-workers", "1")
    assert contents(tmp_path / "resumed") == {}
    first, done = set(done), []
    monkeypatch.setattr(
        "features.cache.extract_video", lambda path, *rest: done.append(path) or real_extract_video(path, *rest)
    )
    extract(videos, tmp_path / "resumed", "--num-workers", "1")
    assert len(done) == 7 and not first & set(done)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "undisturbed")
    done.clear()
    extract(videos, tmp_path / "resumed", "--overwrite")
    assert len(done) == 10


def test_only_what_changed_is_done_again(videos, tmp_path, monkeypatch):
    folder, done = tmp_path / "features", []
    real_extract_video = extract_video
    monkeypatch.setattr(
        "features.cache.extract_video", lambda path, *rest: done.append(path) or real_extract_video(path, *rest)
    )
    extract(videos, folder)
    before = contents(folder)
    done.clear()
    extract(videos, folder)
    assert done == [] and contents(folder) == before

    write_video(videos / "real/007.mp4", n=9)
    os.utime(videos / "real/000.mp4", (1, 1))
    cached = sorted((folder / "cache").glob("*.npz"))
    cached[0].write_bytes(cached[0].read_bytes()[:100])
    cached[1].write_bytes(b"")
    extract(videos, folder)
    assert {videos / "real/007.mp4", videos / "real/000.mp4"} <= set(done) and 2 < len(done) <= 4
    done.clear()
    extract(videos, folder, "--frames-per-video", "3")
    assert len(done) == 10
    assert len(np.load(folder / "train_labels.npy")) == 30
    shutil.rmtree(folder / "cache")  # safe to delete
    extract(videos, folder)
    assert len(np.load(folder / "train_labels.npy")) == 40


def test_a_second_run_into_one_folder_stops(videos, tmp_path):
    (tmp_path / "features/cache").mkdir(parents=True)
    with hold_folder(tmp_path / "features"), pytest.raises(InputError, match="another run is writing to "):
        extract(videos, tmp_path / "features")
    extract(videos, tmp_path / "features")


def test_a_run_says_what_it_took_and_what_it_did_again(videos, tmp_path, capsys):
    extract(videos, tmp_path / "features")
    assert "Cache" not in capsys.readouterr().out
    (videos / "fake/broken.mp4").write_text("no video")
    cache_file(Video(videos, 1, video="fake/fifty.mp4"), tmp_path / "features").unlink()
    os.utime(videos / "real/000.mp4", (1, 1))
    extract(videos, tmp_path / "features")
    assert "8 taken from an earlier run, 1 done again, as the file or a setting had changed" in capsys.readouterr().out
    extract(videos, tmp_path / "features", "--frame-choice", "nearest-reference")
    assert "0 taken from an earlier run, 10 done again, as the file or a setting had changed" in capsys.readouterr().out


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
        monkeypatch.setattr("features.cache.HANGS_AFTER", 25)
    extract(videos, folder)
    reason = {"crash": "the decoder crashes on it (status -6)", "hang": "does not come to an end within 25 s"}[name]
    assert list(read_failed(folder)) == [f"fake/{name}.mp4"]
    assert reason in read_failed(folder)[f"fake/{name}.mp4"] and len(np.load(folder / "train_labels.npy")) == 40

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was tried again"))
    extract(videos, folder)
    assert reason in read_failed(folder)[f"fake/{name}.mp4"]
    monkeypatch.undo()
    shutil.copy(videos / "real/003.mp4", videos / f"fake/{name}.mp4")  # another file of this name
    extract(videos, folder)
    assert read_failed(folder) == {} and len(np.load(folder / "train_labels.npy")) == 44
