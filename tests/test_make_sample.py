import importlib
import json
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
    """A twentieth of the sample set, else drawn as README's command draws it."""
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    make_sample.main(["--people", "4", "--output-dir", str(folder)])
    return folder


def draw_short_videos(patch, make_sample):
    """From now on videos have 8 frames and are drawn in this process: quick, and else as ever."""
    patch.setattr(make_sample, "FRAMES", 8)
    patch.setattr(make_sample, "ProcessPoolExecutor", lambda n, mp_context: ThreadPoolExecutor(n))


@pytest.fixture
def short_videos(make_sample, monkeypatch):
    draw_short_videos(monkeypatch, make_sample)


@pytest.fixture(scope="module")
def short_set(make_sample, tmp_path_factory):
    """All people and videos of the sample set, in the videos of 8 frames instead of 50."""
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
    reals = [video for video in videos if video.label == 0]
    fakes = [video for video in videos if video.label == 1]
    assert len(reals) == len(fakes) == 80
    assert {video.path.stem for video in reals} == {f"{i:03d}" for i in range(len(reals))}
    swaps = {tuple(video.path.stem.split("_")) for video in fakes}
    assert swaps == {(source, target) for target, source in swaps}  # swapped in pairs
    assert all(target != source for target, source in swaps)
    assert len({video.group for video in videos}) == len(reals) // 2
    settings = json.loads((short_set / "sample.json").read_text())
    assert settings["drawn_by"] == "data/make_sample.py" and settings["people"] == len(reals)


def test_the_set_is_small_enough_to_be_drawn_by_everybody(sample):
    size = sum(path.stat().st_size for path in sample.rglob("*.mp4"))
    assert 5e6 < 20 * size < 15e6


def test_a_fake_differs_from_its_real_video_in_the_face_alone(sample):
    fakes = sorted(sample.glob("fake/*.mp4"))
    assert len(fakes) == 4
    for fake in fakes:
        frames, *rest = all_frames(fake)
        real_frames, *real_rest = all_frames(sample / "real" / f"{fake.stem[:3]}.mp4")
        assert rest == real_rest and frames.shape == real_frames.shape == (50, 256, 256, 3)
        difference = np.abs(frames.astype(int) - real_frames).mean((0, 3))
        inside = difference > 6
        assert 0.05 < inside.mean() < 0.5
        # the background: coding noise
        assert difference[:20].mean() < 1.5 and difference[:, :20].mean() < 1.5


def test_trivial_predictors_fail(short_set):
    """Size, brightness, contrast, duration and background do not give the label away.

    Needs all 160 videos. Of the whole set the AUCs are 0.44, 0.50, 0.45, 0.50 and 0.50; of its
    first 8 frames, which are enough here, 0.40, 0.50, 0.45, 0.50 and 0.50.
    """
    rows, labels = [], []
    for video in find_videos(short_set):
        frames, fps, _ = all_frames(video.path)
        grey = frames[::4].mean(3)
        borders = [cv2.Laplacian(frame, cv2.CV_64F)[:24].var() for frame in grey]
        row = {
            "size": video.path.stat().st_size,
            "brightness": grey.mean(),
            "contrast": grey.std(),
            "duration": len(frames) / fps,
            "background sharpness": np.mean(borders),
        }
        rows.append(row)
        labels.append(video.label)
    aucs = {name: roc_auc_score(labels, [row[name] for row in rows]) for name in rows[0]}
    assert all(max(auc, 1 - auc) < 0.65 for auc in aucs.values()), aucs


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
    with pytest.raises(OSError, match="--overwrite replaces it"):
        draw("a", "--seed", "1")
    assert digest(tmp_path / "a") == first
    assert draw("a", "--seed", "1", "--overwrite") == other
    (tmp_path / "empty").mkdir()
    assert draw("empty") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "empty"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("video.mp4", "precious"),
        ("sample.json", "no JSON"),
        ("sample.json", "[1]"),
        ("sample.json", '{"people": 2}'),
    ],
)
def test_what_others_made_is_left_alone(draw, tmp_path, name, content):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)
    with pytest.raises(OSError, match="not drawn by this script and is left alone"):
        draw("mine", "--overwrite")
    assert digest(tmp_path / "mine") == {name: content.encode()}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_in_place_of_the_folder_is_left_alone(draw, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(OSError, match="was not drawn by this script"):
        draw("notes.txt", "--overwrite")
    assert digest(tmp_path) == {"notes.txt": b"precious"}


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
    error = pytest.raises(OSError, match="not written completely; is the disk full")
    with error, make_sample.open_video(path) as writer:
        writer.write(np.zeros((256, 256, 3), np.uint8))


@pytest.mark.parametrize("people", ["3", "0", "1000", "-2"])
def test_people_are_swapped_in_pairs(make_sample, people, capsys):
    with pytest.raises(SystemExit) as caught:
        make_sample.main(["--people", people])
    assert caught.value.code == 2
    assert "an even number from 2 to 998" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--seed", "-1"], "--seed is -1"),
        (["--num-workers", "0"], "--num-workers 0, expected at least 0 and 1"),
        (["--peopl", "2"], "unrecognized arguments: --peopl 2"),
    ],
)
def test_a_wrong_flag_is_named(make_sample, flags, words, capsys):
    with pytest.raises(SystemExit) as caught:
        make_sample.main(flags)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_it_ends_with_the_folder_and_the_next_command(make_sample, monkeypatch, tmp_path, capsys):
    """The command means the folder that was drawn, wherever it is typed."""
    root = SCRIPT.parents[1]
    monkeypatch.setattr(make_sample, "draw_set", lambda *values: None)
    monkeypatch.setattr(make_sample, "is_drawn", lambda *values: False)

    def last_lines(*flags):
        make_sample.main(flags)
        return capsys.readouterr().out.splitlines()

    extract = f'Next: python "{root / "feature_extraction.py"}" --videos-dir'
    monkeypatch.chdir(tmp_path)
    result, command = last_lines()
    assert result.endswith(f" in {root / 'data' / 'sample'}")
    assert command == f'{extract} "{root / "data" / "sample"}"'
    result, command = last_lines("--output-dir", "data/sample")
    assert result.endswith(f" in {Path('data/sample')}")
    assert command == f'{extract} "{Path("data/sample")}"'
    monkeypatch.chdir(root)
    assert last_lines()[1] == "Next: python feature_extraction.py"
    assert last_lines("--output-dir", "data/sample")[1] == "Next: python feature_extraction.py"
    assert last_lines("--output-dir", "mine")[1] == f'{extract} "mine"'


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
    assert done.stderr.startswith("error: ") and "--overwrite replaces it" in done.stderr
    assert done.stderr.count("\n") == 1
