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
from conftest import decode
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


@pytest.fixture(scope="module")
def draw_short(make_sample):
    """main() with videos of 5 frames, drawn in this process: quick, and else as ever."""

    def draw(folder, *more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(make_sample, "FRAMES", 5)
            patch.setattr(make_sample, "ProcessPoolExecutor", lambda n, *_: ThreadPoolExecutor(n))
            make_sample.main(["--output-dir", str(folder), *more])
        return folder

    return draw


@pytest.fixture(scope="module")
def short_set(draw_short, tmp_path_factory):
    """All people of the sample set, with other movements, in videos of 5 frames instead of 18."""
    return draw_short(tmp_path_factory.mktemp("short") / "sample")


def all_frames(path):
    capture = cv2.VideoCapture(str(path))
    fourcc, fps = capture.get(cv2.CAP_PROP_FOURCC), capture.get(cv2.CAP_PROP_FPS)
    return np.stack(decode(path)), fps, fourcc


def test_the_set_is_what_it_says(short_set):
    videos = find_videos(short_set)
    reals, fakes = ({v.path.stem: v for v in videos if v.label == label} for label in (0, 1))
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
    assert settings["drawn_by"] == "data/make_sample.py" and settings["people"] == 100


def with_real(fake):
    """all_frames of a fake and of its real video."""
    return all_frames(fake), all_frames(fake.parents[2] / f"real/{fake.stem[:3]}.mp4")


def change(fake):
    """(height, width) mean difference of a fake from its real video, grey levels."""
    (frames, *rest), (real_frames, *real_rest) = with_real(fake)
    assert rest == real_rest and frames.shape == real_frames.shape
    return np.abs(frames.astype(int) - real_frames).mean((0, 3))


def kept_sharpness(fake):
    """The share of the real face's sharpness, variance of the Laplacian, that a fake keeps."""
    faces = [frames[:, 60:190, 60:190] for frames, *_ in with_real(fake)]
    found = [np.mean([cv2.Laplacian(f, cv2.CV_64F).var() for f in each]) for each in faces]
    return found[0] / found[1]


def test_a_fake_differs_from_its_real_video_in_the_face_alone(sample):
    fakes = sorted(sample.rglob("fake/*/*.mp4"))
    assert len(fakes) == 4
    for fake in fakes:
        difference = change(fake)
        assert difference.shape == (256, 256)
        background = max(difference[:16].mean(), difference[:, :16].mean())
        assert background < 1.5  # coding noise
        assert difference[70:190, 70:190].mean() > 2 * background


def test_fakes_are_from_crude_to_hardly_visible_and_one_method_is_harder(short_set):
    medians = {}
    for method in ("FaceSwap", "Reenactment"):
        fakes = sorted(short_set.glob(f"fake/{method}/*.mp4"))
        changes = sorted(change(fake).mean() for fake in fakes)
        kept = sorted(map(kept_sharpness, fakes))
        for values in (changes, kept):
            assert np.mean(values[-10:]) > 1.5 * np.mean(values[:10]), method
        medians[method] = np.median(changes), np.median(kept)
    swap, reenactment = medians.values()
    assert swap[0] > 1.5 * reenactment[0] and swap[1] < 0.85 * reenactment[1]


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
    flags = ["--people", "4", "--num-workers", "1"]
    make_sample.main([*flags, "--output-dir", str(tmp_path / "again")])
    assert digest(tmp_path / "again") == digest(sample)


@pytest.fixture
def draw(draw_short, tmp_path):
    return lambda name, *more: digest(draw_short(tmp_path / name, "--people", "2", *more))


def test_a_set_is_replaced_only_when_asked(draw, tmp_path, capsys):
    first, other = draw("a"), draw("c", "--seed", "1")
    assert len(first) == 5 and other != first
    capsys.readouterr()
    assert draw("a") == first
    assert f"{tmp_path / 'a'} is there already: 2 real and 2 fake" in capsys.readouterr().out
    with pytest.raises(OSError, match="add --overwrite"):
        draw("a", "--seed", "1")
    assert digest(tmp_path / "a") == first
    assert draw("a", "--seed", "1", "--overwrite") == other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


OTHERS = [
    ("mine/video.mp4", "precious"),
    ("mine/sample.json", "no JSON"),
    ("mine/sample.json", '{"note": "not of data/make_sample.py"}'),
]


@pytest.mark.parametrize(("name", "content"), OTHERS)
def test_what_others_made_is_left_alone(draw, tmp_path, name, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(OSError, match="was not drawn by this script"):
        draw("mine", "--overwrite")
    assert digest(tmp_path) == {name: content.encode()}


def test_the_set_is_whole_or_absent(draw, make_sample, tmp_path, monkeypatch):
    old = draw("old")
    monkeypatch.setattr(make_sample, "tqdm", lambda *args, **kwargs: 1 / 0)
    for flags in (["broken"], ["old", "--seed", "1", "--overwrite"]):
        with pytest.raises(ZeroDivisionError):
            draw(*flags)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert digest(tmp_path / "old") == old


WRONG = [
    ("--people 3", "an even number from 2 to 998"),
    ("--num-workers 0", "--num-workers is 0, expected 1 or more"),
    ("--peopl 2", "unrecognized arguments: --peopl 2"),
]


@pytest.mark.parametrize(("flags", "words"), WRONG)
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
    for flags, folder in (([], root / "data/sample"), (["--output-dir", "my set"], "my set")):
        make_sample.main(flags)
        result, command = capsys.readouterr().out.splitlines()
        assert result.endswith(f" in {folder}")
        assert command == f'Next: python "{root / "feature_extraction.py"}" --videos-dir "{folder}"'


def test_the_script_works_alone_and_from_any_folder(tmp_path):
    alone, elsewhere = tmp_path / "project/data", tmp_path / "elsewhere"
    alone.mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(SCRIPT, alone)
    command = [sys.executable, "-B", "../project/data/make_sample.py", "--people"]
    done = subprocess.run([*command, "2"], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f" in {alone / 'sample'}\n" in done.stdout
    assert len(digest(alone / "sample")) == 5 and list(elsewhere.iterdir()) == []
    done = subprocess.run([*command, "4"], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "add --overwrite" in done.stderr
    assert done.stderr.count("\n") == 1
