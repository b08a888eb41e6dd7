"""The frames that pictures show are those they name."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from conftest import write_squares, write_video

import data.frames
import deepfake_detection_model as ddm
import feature_extraction as fe
from data.files import InputError
from data.frames import Sampling
from data.videos import Video
from features import pictures
from features.dataset import load_split
from features.extraction import Extraction
from features.pictures import BLUE, ORANGE, pick_samples, plot_prediction, plot_samples


@pytest.fixture
def faces(tmp_path) -> Path:
    """Two videos of each class with a square, and a real one without."""
    for i, label in enumerate(("real", "fake", "real", "fake")):
        places = [(60 + 4 * i + j, 30) for j in range(8)]
        write_squares(tmp_path / f"videos/{label}/{i}.mp4", places)
    write_squares(tmp_path / "videos/real/nobody.mp4", [None] * 8)
    return tmp_path / "videos"


@pytest.fixture
def sheets(monkeypatch):
    """The contact sheets that would be saved."""
    kept = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, *_, **__: kept.append(figure))
    return kept


def frames_of(figure) -> list[tuple[str, np.ndarray]]:
    """(title, picture) of all frames that a figure shows."""
    frames = ((axes.get_title(), axes.get_images()) for axes in figure.axes)
    return [(title, np.asarray(images[0].get_array())) for title, images in frames if images]


def number_in(title: str) -> int:
    return int(re.search(r"frame (\d+)", title)[1])


def is_named(title: str, picture: np.ndarray) -> bool:
    """Whether a corner has the grey level that the frame in the title was written with."""
    return abs(picture[:4, :4].mean() - (20 + 7 * number_in(title))) < 3.5


def preview(paths: list[Path], sampling: Sampling) -> None:
    videos = []
    for path in paths:
        names = dict.fromkeys(("group", "clip", "video"), path.name)
        videos.append(Video(path=path, label=0, split="train", method="", **names))
    pictures.write_preview(videos, sampling, 2, None, "footer")


@pytest.mark.parametrize("margin", [None, 2])
def test_the_preview_shows_the_frames_it_names(margin, detector, faces, sheets):
    preview([faces / "real/0.mp4"], Sampling(8, face_margin=margin))
    shown = frames_of(sheets[0])
    assert [title for title, _ in shown] == ["frame 1", "", "frame 4", "", "frame 6", ""]
    for (title, whole), (_, seen) in zip(shown[::2], shown[1::2], strict=True):
        assert is_named(title, whole) and whole.shape == (120, 160, 3)
        assert is_named(title, seen) and seen.shape == (224, 224, 3)


def test_the_preview_reads_each_video_once_and_keeps_small_pictures(
    detector, tmp_path, sheets, monkeypatch
):
    count = Mock(wraps=data.frames.read_frames)
    monkeypatch.setattr("data.frames.read_frames", count)
    places = [(300 + 9 * j, 210) for j in range(8)]
    path = write_squares(tmp_path / "large.mp4", places, size=(960, 720), side=120)
    preview([path], Sampling(8, face_margin=2))
    count.assert_called_once()
    for title, whole in frames_of(sheets[0])[::2]:
        left, top = places[number_in(title)]
        assert whole.shape == (360, 480, 3)
        # box and crop, twice as large as the box, lie where they are in the frame
        for colour, inset in ((BLUE, 0), (ORANGE, 60)):
            rows, columns = np.nonzero((abs(whole.astype(int) - colour) < 6).all(2))
            found = columns.min(), columns.max(), rows.min(), rows.max()
            sides = left - inset, left + 120 + inset, top - inset, top + 120 + inset
            np.testing.assert_allclose(found, np.array(sides) / 2, atol=4)


def test_the_preview_says_what_is_found(detector, faces, sheets):
    paths = [faces / "real/0.mp4", faces / "real/nobody.mp4", faces / f"real/{'x' * 200}.mp4"]
    preview(paths, Sampling(4, face_margin=2))
    titles = [part.get_suptitle() for part in sheets[0].subfigs]
    assert titles[0] == "0.mp4: 4 frames, face in 100.0 % of the sampled ones"
    assert titles[1] == "nobody.mp4 cannot be used: no face found in 4 frames"
    assert titles[2].endswith("xxx.mp4 cannot be used: no such file") and len(titles[2]) < 180


def test_the_preview_extracts_nothing(detector, faces, tmp_path, capsys):
    flags = ["--videos-dir", str(faces), "--features-dir", str(tmp_path / "f"), "--crop-faces"]
    fe.main([*flags, "--frames-per-video", "4", "--preview", "9"])
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["preview.png"]
    sheet = cv2.imread(str(tmp_path / "f/preview.png"))
    assert sheet.shape[0] == 4 * 210 + 30 + 30  # four rows, a line for the one without a face
    assert "5 of 5 videos" in capsys.readouterr().out


def test_the_sample_picture_shows_the_middle_frames_it_names_with_their_scores(both_scripts_run):
    split = load_split(both_scripts_run / "features/train_features.npy")
    scores = np.random.default_rng(0).random(len(split.labels))
    samples = pick_samples(split, scores, seed=3, per_class=3)
    assert [sample["label"] for sample in samples] == [0, 0, 0, 1, 1, 1]
    shown = frames_of(plot_samples(samples, split.extraction))
    names = [row["video"] for row in split.videos]
    for sample, (title, picture) in zip(samples, shown, strict=True):
        name, number = sample["video"], sample["number"]
        rows = np.flatnonzero(split.video_index == names.index(name))
        middle = rows[len(rows) // 2]
        assert split.numbers[middle] == number and is_named(title, picture)
        first, truth, *scored = title.splitlines()
        assert (first, truth) == (name, f"frame {number}, truth: {name[:4]}")
        for line, score in zip(scored, (scores[middle], scores[rows].mean()), strict=True):
            called = "fake" if score >= 0.5 else "real"
            assert line.endswith(f": {100 * score:.1f} %, called {called}")
    assert samples == pick_samples(split, scores, seed=3, per_class=3)
    assert samples != pick_samples(split, scores, seed=4, per_class=3)
    assert len(pick_samples(split, scores, seed=0)) == 8
    unknown = pick_samples(replace(split, videos=[]), scores, seed=0)
    for some, extraction in ((unknown, split.extraction), (samples, None)):
        with pytest.raises(InputError, match="which videos the features are of is not known"):
            plot_samples(some, extraction)


def sample_of(file: Path, number: int, label: int, video_score: float) -> dict:
    sample = {"video": file.name, "file": file, "number": number, "label": label, "score": 0.5}
    return sample | {"video_score": video_score}


def test_a_video_that_is_gone_or_changed_is_an_error_that_names_it(videos):
    samples = [sample_of(videos / "real/000.mp4", 7, 0, 0.4)]
    extraction = Extraction(Sampling(1000), videos_dir=str(videos))
    assert len(frames_of(plot_samples(samples, extraction))) == 1
    write_video(videos / "real/000.mp4", n=3)
    with pytest.raises(InputError, match="has changed since its features were extracted"):
        plot_samples(samples, extraction)
    shutil.rmtree(videos)
    with pytest.raises(InputError, match=r"000\.mp4: no such file"):
        plot_samples(samples, extraction)


def test_a_sample_that_is_called_wrongly_is_not_black_and_one_half_is_fake(videos):
    for scores, black in (
        ((0.4, 0.4), [True, False]),
        ((0.5, 0.5), [False, True]),
        ((0.0, 1.0), [True, True]),
    ):
        real = sample_of(videos / "real/000.mp4", 2, 0, scores[0])
        samples = [real, sample_of(videos / "fake/fifty.mp4", 2, 1, scores[1])]
        figure = plot_samples(samples, Extraction(Sampling(20), videos_dir=str(videos)))
        assert [axes.title.get_color() == "black" for axes in figure.axes] == black
        orange = "" if all(black) else "orange: the video is called wrong at 0.5"
        assert figure.get_supxlabel() == orange


def row_of(numbers, shown) -> dict:
    """What predict_videos gives for a video whose frame i has the grey level 20 + 7 i."""
    scores = np.linspace(0.1, 0.9, len(numbers))
    row = {"video": "gone$.mp4", "score": 0.45, "frames": len(numbers), "at_0.5": "real"}
    row |= {"at_T": "fake", "numbers": numbers, "scores": scores.tolist()}
    frames = [torch.full((3, 224, 224), 20 + 7 * numbers[i], dtype=torch.uint8) for i in shown]
    return row | {"pictures": list(zip(shown, frames, strict=True))}


def test_a_prediction_shows_its_pictures_and_reads_no_video():
    row = row_of([1, 4, 6, 9, 12, 15], [0, 2, 5])
    figure = plot_prediction(row, 0.4)  # the video is gone
    titles = ["frame 1\n10.0 %", "frame 6\n42.0 %", "frame 15\n90.0 %"]
    for title, (found, picture) in zip(titles, frames_of(figure), strict=True):
        assert found == title and is_named(title, picture)
    curve, *levels = figure.axes[-1].lines
    scores = 100 * np.array(row["scores"])
    np.testing.assert_allclose(curve.get_xydata().T, [row["numbers"], scores])
    assert [line.get_ydata()[0] for line in levels] == [45, 50, 40]
    title = "gone$.mp4: 45.0 %, at 0.5: real, at T: fake; proves nothing by itself"
    assert figure.get_suptitle() == title


def test_what_a_prediction_does_not_mean_is_its_first_line_which_fits_above_a_photo():
    caution = "trained on features" + " of an untrained network" * 3
    figure = plot_prediction(row_of([0], [0]) | {"video": "x" * 300}, 0.4, caution)
    assert len(figure.axes) == 1  # no curve
    first, second = figure.get_suptitle().splitlines()
    assert first == f"This model was {caution}"
    assert second.startswith("…xxx")
    title = figure._suptitle.get_window_extent()
    assert title.x0 >= 0 and title.x1 <= figure.bbox.x1


def test_the_frames_of_a_prediction_are_those_of_the_video(trained, tmp_path):
    path = write_video(tmp_path / "clip.mp4", n=20)
    (row,) = ddm.predict_videos([path], trained / "results/model.pt", "cpu", pictures=True)
    shown = frames_of(plot_prediction(row, 0.5))
    assert [number_in(title) for title, _ in shown] == [2, 7, 12, 17]
    assert all(is_named(*each) for each in shown)
