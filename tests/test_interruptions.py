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

import pytest
from conftest import make_split

import deepfake_detection_model as ddm
import feature_extraction as fe


def extract(videos, features, *more):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(features), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu", *more]
    )


def contents(folder):
    """{name: bytes} of the final files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run_torchrun(videos, features):
    script = [str(Path(fe.__file__)), "--videos-dir", str(videos), "--features-dir", str(features)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu", "--num-workers", "1"]
    return subprocess.Popen([*launcher, *script, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


OPTIONS = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu"]


def start(videos, features, **options):
    command = [sys.executable, fe.__file__, "--videos-dir", str(videos), "--features-dir", str(features), *OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


def wait_for_line(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return
    raise AssertionError(process.stderr.read())


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


def test_several_processes_write_what_one_writes_even_after_one_died(videos, tmp_path):
    (videos / "fake/broken.mp4").write_text("no video")
    extract(videos, tmp_path / "one")
    with run_torchrun(videos, tmp_path / "two") as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert output.count("11 found = 10 used + 1 failed") == 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")

    with run_torchrun(videos, tmp_path / "killed") as process:
        while not list((tmp_path / "killed").glob("cache/*.npz")) and process.poll() is None:
            time.sleep(0.01)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(workers[-1]), signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode != 0 and contents(tmp_path / "killed") == {}
    extract(videos, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "one")


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
