import importlib
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data.layouts import find_videos

SCRIPT = Path(__file__).parents[1] / "data" / "make_sample.py"


@pytest.fixture(scope="session")
def make_sample():
    """data/make_sample.py as a module that worker processes can import too."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        yield importlib.import_module("make_sample")
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="session")
def sample(make_sample, tmp_path_factory):
    """The sample set as the README's command draws it."""
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    make_sample.main(["--output-dir", str(folder)])
    return folder


def all_frames(path):
    capture = cv2.VideoCapture(str(path))
    frames = [capture.retrieve()[1] for _ in iter(capture.grab, False)]
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FOURCC))


def test_the_set_is_what_it_says(sample):
    videos = find_videos(sample)
    reals = [video for video in videos if video.label == 0]
    fakes = [video for video in videos if video.label == 1]
    assert len(reals) == len(fakes) >= 60
    assert {video.path.stem for video in reals} == {f"{i:03d}" for i in range(len(reals))}
    swaps = {tuple(video.path.stem.split("_")) for video in fakes}
    assert swaps == {(source, target) for target, source in swaps}  # swapped in pairs
    assert len({video.group for video in videos}) == len(reals) // 2
    size = sum(video.path.stat().st_size for video in videos)
    assert 5e6 < size < 15e6
    settings = json.loads((sample / "sample.json").read_text())
    assert settings["drawn_by"] == "data/make_sample.py" and settings["people"] == len(reals)


def test_a_fake_differs_from_its_real_video_in_the_face_alone(sample):
    for fake in sorted(sample.glob("fake/*.mp4"))[:6]:
        frames, *rest = all_frames(fake)
        real_frames, *real_rest = all_frames(sample / "real" / f"{fake.stem[:3]}.mp4")
        assert rest == real_rest and frames.shape == real_frames.shape == (50, 256, 256, 3)
        difference = np.abs(frames.astype(int) - real_frames).mean((0, 3))
        inside = difference > 6
        assert 0.05 < inside.mean() < 0.5
        assert difference[:20].mean() < 1.5 and difference[:, :20].mean() < 1.5  # the background: coding noise


def test_trivial_predictors_fail(sample):
    """File size, brightness, contrast, duration and the background's sharpness do not give the label away."""
    columns = {"size": [], "brightness": [], "contrast": [], "duration": [], "background sharpness": []}
    labels = []
    for video in find_videos(sample):
        frames, fps, _ = all_frames(video.path)
        grey = frames[::10].mean(3)
        columns["size"].append(video.path.stat().st_size)
        columns["brightness"].append(grey.mean())
        columns["contrast"].append(grey.std())
        columns["duration"].append(len(frames) / fps)
        border = [cv2.Laplacian(frame, cv2.CV_64F)[:24].var() for frame in grey]
        columns["background sharpness"].append(np.mean(border))
        labels.append(video.label)
    aucs = {name: roc_auc_score(labels, values) for name, values in columns.items()}
    assert all(max(auc, 1 - auc) < 0.65 for auc in aucs.values()), aucs


def digest(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_drawing_is_deterministic_and_whole_or_not_at_all(make_sample, tmp_path, monkeypatch, capsys):
    def draw(name, *more):
        make_sample.main(["--people", "2", "--output-dir", str(tmp_path / name), *more])
        return digest(tmp_path / name)

    first = draw("a")
    assert draw("b", "--num-workers", "1") == first
    assert draw("c", "--seed", "1") != first
    assert draw("a") == first
    assert "is there already" in capsys.readouterr().out
    with pytest.raises(OSError, match="--overwrite replaces it"):
        draw("a", "--seed", "1")
    assert digest(tmp_path / "a") == first
    assert draw("a", "--seed", "1", "--overwrite") == digest(tmp_path / "c")

    (tmp_path / "empty").mkdir()
    assert draw("empty") == first
    shutil.rmtree(tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/video.mp4").write_text("precious")
    with pytest.raises(OSError, match="not drawn by this script and is left alone"):
        draw("mine", "--overwrite")
    assert digest(tmp_path / "mine") == {"video.mp4": b"precious"}

    monkeypatch.setattr(make_sample, "tqdm", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw("broken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "mine"]


@pytest.mark.parametrize("people", ["3", "0", "1000"])
def test_people_are_swapped_in_pairs(make_sample, people, capsys):
    with pytest.raises(SystemExit) as caught:
        make_sample.main(["--people", people])
    assert caught.value.code == 2
    assert "an even number from 2 to 998" in capsys.readouterr().err
