import importlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data.layouts import find_videos

SCRIPT = Path(__file__).resolve().parents[1] / "data" / "make_sample.py"


@pytest.fixture(scope="module")
def make_sample():
    """data/make_sample.py as a module that worker processes can import too."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        yield importlib.import_module("make_sample")
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def sample(make_sample, tmp_path_factory):
    """A part of the sample set, else drawn as README's command draws it."""
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    make_sample.main(["--people", "4", "--output-dir", str(folder)])
    return folder


def draw_short_videos(patch, make_sample):
    """From now on videos have 5 frames and are drawn in this process: quick, and else as ever."""
    patch.setattr(make_sample, "FRAMES", 5)
    patch.setattr(make_sample, "ProcessPoolExecutor", lambda n, *rest: ThreadPoolExecutor(n))


@pytest.fixture
def short_videos(make_sample, monkeypatch):
    draw_short_videos(monkeypatch, make_sample)


@pytest.fixture(scope="module")
def short_set(make_sample, tmp_path_factory):
    """All people of the sample set, with other movements, in videos of 5 frames instead of 18."""
    folder = tmp_path_factory.mktemp("short") / "sample"
    with pytest.MonkeyPatch.context() as patch:
        draw_short_videos(patch, make_sample)
        make_sample.main(["--output-dir", str(folder)])
    return folder


def all_frames(path):
    capture = cv2.VideoCapture(str(path))
    frames = [capture.retrieve()[1] for _ in iter(capture.grab, False)]
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC))
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS), fourcc


def test_the_set_is_what_it_says(short_set):
    videos = find_videos(short_set)
    reals = {video.path.stem: video for video in videos if video.label == 0}
    fakes = {video.path.stem: video for video in videos if video.label == 1}
    assert set(reals) == {f"{i:03d}" for i in range(100)}
    assert len(fakes) == len(videos) - len(reals) == 100
    for name, fake in fakes.items():
        target, source = name.split("_")
        other = fakes[f"{source}_{target}"]
        assert {fake.method, other.method} == {"FaceSwap", "Reenactment"}
        assert fake.clip == reals[target].video
        assert fake.group == other.group == reals[target].group == reals[source].group
    assert len({video.group for video in videos}) == 50
    settings = json.loads((short_set / "sample.json").read_text())
    assert settings["drawn_by"] == "data/make_sample.py" and settings["people"] == len(reals)


def test_the_set_is_small_enough_to_be_drawn_by_everybody(sample):
    sizes = [path.stat().st_size for path in sample.rglob("*.mp4")]
    assert 5e6 < 200 * np.mean(sizes) < 15e6


def change(fake):
    """(height, width) mean difference of a fake from its real video, grey levels."""
    frames, *rest = all_frames(fake)
    real_frames, *real_rest = all_frames(fake.parents[2] / "real" / f"{fake.stem[:3]}.mp4")
    assert rest == real_rest and frames.shape == real_frames.shape
    return np.abs(frames.astype(int) - real_frames).mean((0, 3))


def test_a_fake_differs_from_its_real_video_in_the_face_alone(sample):
    fakes = sorted(sample.rglob("fake/*/*.mp4"))
    assert len(fakes) == 4
    for fake in fakes:
        difference = change(fake)
        assert difference.shape == (256, 256)
        background = max(difference[:16].mean(), difference[:, :16].mean())
        assert background < 1.5  # coding noise
        assert difference[70:190, 70:190].mean() > 2 * background


def kept_sharpness(fake):
    """The share of the real face's sharpness that a fake keeps: the higher, the finer."""
    sharpness = []  # variance of the Laplacian where faces are
    for path in (fake, fake.parents[2] / "real" / f"{fake.stem[:3]}.mp4"):
        faces = all_frames(path)[0][:, 60:190, 60:190]
        sharpness.append(np.mean([cv2.Laplacian(face, cv2.CV_64F).var() for face in faces]))
    return sharpness[0] / sharpness[1]


def test_fakes_are_from_crude_to_hardly_visible_and_one_method_is_harder(short_set):
    changes, kept = {}, {}
    for method in ("FaceSwap", "Reenactment"):
        fakes = sorted(short_set.glob(f"fake/{method}/*.mp4"))
        changes[method] = sorted(change(fake).mean() for fake in fakes)
        kept[method] = sorted(kept_sharpness(fake) for fake in fakes)
        assert np.mean(changes[method][-10:]) > 1.5 * np.mean(changes[method][:10]), method
        assert np.mean(kept[method][-10:]) > 1.5 * np.mean(kept[method][:10]), method
    assert np.median(changes["FaceSwap"]) > 1.5 * np.median(changes["Reenactment"])
    assert np.median(kept["FaceSwap"]) < 0.85 * np.median(kept["Reenactment"])


def test_trivial_predictors_fail(short_set):
    """Size, light, contrast, duration and sharpness of the background do not give it away.

    Needs all people, of whom 5 frames are enough.
    """
    rows = {"": [], "FaceSwap": [], "Reenactment": []}
    for video in find_videos(short_set):
        frames, fps, _ = all_frames(video.path)
        grey = frames[::4].mean(3)
        edges = np.stack([cv2.Laplacian(frame, cv2.CV_64F) for frame in grey])
        row = {
            "size": video.path.stat().st_size,
            "brightness": grey.mean(),
            "contrast": grey.std(),
            "duration": len(frames) / fps,
            "background sharpness": edges[:, :24].var(),
        }
        rows[video.method].append(row)
    for method in ("FaceSwap", "Reenactment"):
        labels = [0] * len(rows[""]) + [1] * len(rows[method])
        values = rows[""] + rows[method]
        aucs = {name: roc_auc_score(labels, [row[name] for row in values]) for name in values[0]}
        assert all(max(auc, 1 - auc) < 0.65 for auc in aucs.values()), (method, aucs)


def digest(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_drawing_is_deterministic_with_any_number_of_processes(make_sample, sample, tmp_path):
    again = tmp_path / "again"
    make_sample.main(["--people", "4", "--output-dir", str(again), "--num-workers", "1"])
    assert digest(again) == digest(sample)


@pytest.fixture
def draw(make_sample, short_videos, tmp_path):
    def draw(name, *more):
        make_sample.main(["--people", "2", "--output-dir", str(tmp_path / name), *more])
        return digest(tmp_path / name)

    return draw


def test_a_set_is_replaced_only_when_asked(draw, tmp_path, capsys):
    first = draw("a")
    assert len(first) == 5
    other = draw("c", "--seed", "1")
    assert other != first
    capsys.readouterr()
    assert draw("a") == first
    assert f"{tmp_path / 'a'} is there already: 2 real and 2 fake" in capsys.readouterr().out
    with pytest.raises(OSError, match="add --overwrite"):
        draw("a", "--seed", "1")
    assert digest(tmp_path / "a") == first
    assert draw("a", "--seed", "1", "--overwrite") == other
    (tmp_path / "empty").mkdir()
    assert draw("empty") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "empty"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("mine/video.mp4", "precious"),
        ("mine/sample.json", "no JSON"),
        ("mine/sample.json", '{"note": "not of data/make_sample.py"}'),
        ("mine", "a file in place of the folder"),
    ],
)
def test_what_others_made_is_left_alone(draw, tmp_path, name, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(OSError, match="was not drawn by this script"):
        draw("mine", "--overwrite")
    assert digest(tmp_path) == {name: content.encode()}


def test_the_set_is_whole_or_absent(draw, make_sample, tmp_path, monkeypatch):
    old = draw("old")
    monkeypatch.setattr(make_sample, "tqdm", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw("broken")
    with pytest.raises(ZeroDivisionError):
        draw("old", "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert digest(tmp_path / "old") == old


def test_a_video_that_was_not_written_completely_is_an_error(make_sample, tmp_path):
    path = tmp_path / "real" / "000.mp4"
    with pytest.raises(OSError, match="not written completely; is the disk full"):
        # a frame of another size is not written, as none is on a full disk
        make_sample.write_video(path, [np.zeros((side, side, 3), np.uint8) for side in (256, 9)])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        *((f"--people {n}", "an even number from 2 to 998") for n in (3, 0, 1000, -2)),
        ("--seed -1", "--seed is -1"),
        ("--num-workers 0", "--num-workers is 0, expected 1 or more"),
        ("--peopl 2", "unrecognized arguments: --peopl 2"),
    ],
)
def test_a_wrong_flag_is_named(make_sample, flags, words, capsys):
    with pytest.raises(SystemExit) as caught:
        make_sample.main(flags.split())
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_it_ends_with_the_folder_and_the_next_command(make_sample, monkeypatch, tmp_path, capsys):
    """The command means the folder that was drawn, wherever it is typed."""
    root = SCRIPT.parents[1]
    monkeypatch.setattr(make_sample, "draw_set", lambda *values: None)
    monkeypatch.setattr(make_sample, "is_drawn", lambda *values: False)
    monkeypatch.chdir(tmp_path)
    mine = Path("my set")
    for flags, folder in (([], root / "data/sample"), (["--output-dir", "my set"], mine)):
        make_sample.main(flags)
        result, command = capsys.readouterr().out.splitlines()
        assert result.endswith(f" in {folder}")
        assert command == f'Next: python "{root / "feature_extraction.py"}" --videos-dir "{folder}"'


def test_the_script_works_alone_and_from_any_folder(tmp_path):
    alone = tmp_path / "project" / "data"
    alone.mkdir(parents=True)
    shutil.copy(SCRIPT, alone)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-B", "../project/data/make_sample.py", "--people", "2"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f" in {alone / 'sample'}\n" in done.stdout
    assert len(digest(alone / "sample")) == 5
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in alone.iterdir()) == ["make_sample.py", "sample"]

    command[-1] = "4"
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "add --overwrite" in done.stderr
    assert done.stderr.count("\n") == 1


def test_as_many_processes_as_the_process_may_use_cores(make_sample, monkeypatch):
    """In a container the machine's cores are not all there."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert make_sample.parse_args([]).num_workers == 3
