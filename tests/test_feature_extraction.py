"""Script 1 as a whole: what it writes, what it says, what becomes of files of every kind."""

import os
import runpy
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    contents,
    extract,
    read_json,
    read_table,
    run_in_fork,
    small_backbone,
    touch,
    train,
    write_video,
)

import feature_extraction
from data.decode import ONE_PICTURE
from data.files import DownloadError, InputError
from data.frames import Sampling
from data.videos import Video
from deepfake_detection_model import evaluate_files, load_model, predict_videos
from features import extraction_screen
from features.cache import cache_file
from features.dataset import load_split
from features.resnet18 import extract_video

ROOT = Path(feature_extraction.__file__).parent
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


RANDOM = ["--weights", "random", "--device", "cpu", "--frames-per-video", "1"]


def read_failed(folder: Path) -> dict[str, str]:
    return {row["video"]: row["reason"] for row in read_table(folder / "failed.csv")}


@pytest.fixture
def documented(videos, tmp_path, quick_backbone) -> Path:
    """The features of videos of which one is broken, one is short and one is left out."""
    (videos / "fake/broken.mp4").write_text("no video")
    touch(videos, "masks/000.mp4")
    write_video(videos / "real/short.mp4", n=2)
    extract(videos, tmp_path / "features")
    return tmp_path / "features"


def test_a_row_describes_its_video_and_each_feature_is_of_the_frame_it_names(documented, videos):
    ends = ("features.npy", "frames.npy", "labels.npy", "videos.csv")
    files = ["extraction.json", "failed.csv", *(f"train_{end}" for end in ends)]
    assert sorted(contents(documented)) == files
    rows = read_table(documented / "train_videos.csv")
    names = [row["video"] for row in rows]
    assert names == sorted(names)
    row = rows[names.index("real/short.mp4")]
    expected = {"method": "", "group": "real/short.mp4", "frames": "2", "width": "64"}
    expected |= {"height": "48", "fps": "25.0", "duration": "0.08", "people": ""}
    assert row | expected == row
    size = (videos / "real/short.mp4").stat().st_size
    assert int(row["size"]) == size and row["fingerprint"].startswith(f"{size}-")
    features = np.load(documented / "train_features.npy")
    frames = np.load(documented / "train_frames.npy")
    for name, numbers in (("real/short.mp4", [0, 1]), ("fake/fifty.mp4", [1, 4, 6, 9])):
        mine = frames[:, 0] == names.index(name)
        assert frames[mine, 1].tolist() == numbers
        expected, _ = extract_video(videos / name, small_backbone()[0], Sampling(4))
        np.testing.assert_allclose(features[mine], expected, rtol=1e-4, atol=1e-5)


def test_what_failed_and_how_it_was_made_is_written(documented, videos, capsys):
    reasons = {"fake/broken.mp4": "not a video", "masks/000.mp4": "left out: masks, not videos"}
    assert read_failed(documented) == reasons
    report = read_json(documented / "extraction.json")
    expected = {
        "weights": small_backbone()[1],
        "sampling": asdict(Sampling(4)),
        "sample": None,
        "device": "cpu",
        "name": "videos",
        "videos_dir": os.path.realpath(videos),
    }
    assert report | expected == report
    assert report["versions"]["torch"] == torch.__version__
    extract(videos, documented)  # again: what is printed while a fixture is made is not captured
    output, errors = capsys.readouterr()
    assert "failed: fake/broken.mp4: not a video" in errors
    assert os.environ["OPENCV_FFMPEG_LOGLEVEL"] == "-8"  # FFmpeg says nothing of its own
    assert "13 found = 11 used + 1 failed (0 real, 1 fake) + 1 left out\n" in output
    assert "Note       of 6 fakes 2 belong to no real video by name (fake/" in output
    assert "masks/000.mp4: masks, not videos" in output
    command = f"deepfake_detection_model.py --train-features-file {documented}/train_features.npy"
    assert command in output.splitlines()[-1]


def test_each_data_set_has_a_folder_of_its_own_and_overwrites_no_other(
    videos, tmp_path, monkeypatch, quick_backbone, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(videos, tmp_path / "elsewhere/videos")
    lines = "path,label\nvideos/real/000.mp4,0\nvideos/fake/fifty.mp4,1\n"
    (tmp_path / "mine.csv").write_text(lines)
    feature_extraction.main(["--videos-csv", "mine.csv", *RANDOM])
    feature_extraction.main(["--videos-dir", "videos/.", *RANDOM])
    folder = tmp_path / "features/videos"
    assert {path.name for path in folder.parent.iterdir()} == {"videos", "mine"}
    before = contents(folder)
    other = ["--videos-dir", "elsewhere/videos", *RANDOM]
    with pytest.raises(InputError, match=r"features/videos holds features of .*--features-dir"):
        feature_extraction.main(other)
    assert contents(folder) == before
    feature_extraction.main([*other, "--features-dir", "features/videos"])  # as it was asked for
    assert "Replaces   features/videos" in capsys.readouterr().out
    (folder / "extraction.json").write_bytes(b'{"sampling": {"fra')  # it locks nobody out
    feature_extraction.main(other)


def test_a_repeated_run_says_what_it_took_and_what_it_did_again(
    videos, tmp_path, capsys, monkeypatch, quick_backbone
):
    folder = tmp_path / "features"
    extract(videos, folder)
    assert "Cache" not in capsys.readouterr().out
    before = contents(folder)
    cache_file(Video(videos, 1, video="fake/fifty.mp4"), folder).unlink()
    cache_file(Video(videos, 0, video="real/000.mp4"), folder).write_bytes(b"")
    extract(videos, folder, "--num-workers", "1")
    done = "done again, as the file or a setting had changed"
    assert f"Cache      8 taken from an earlier run, 1 {done}\n" in capsys.readouterr().out
    assert contents(folder) == before
    extract(videos, folder, "--overwrite")
    assert "Cache" not in capsys.readouterr().out and contents(folder) == before
    shutil.rmtree(folder / "cache")  # safe to delete
    extract(videos, folder)
    assert contents(folder) == before
    monkeypatch.setattr("feature_extraction.hash_extraction_code", lambda: "edited")
    capsys.readouterr()
    extract(videos, folder)  # an edit may be tried without --overwrite
    assert "Cache      10 done again: the code has changed\n" in capsys.readouterr().out
    assert read_json(folder / "extraction.json")["code"] == "edited"


def test_finished_features_that_were_made_otherwise_are_replaced_only_with_overwrite(
    videos, tmp_path, quick_backbone
):
    folder = tmp_path / "features"
    extract(videos, folder)
    before, cache = contents(folder), contents(folder / "cache")
    found = "finished features with --frames-per-video 4, not --frames-per-video 3"
    with pytest.raises(InputError, match=f"{found}: .* --features-dir, or .* --overwrite$"):
        extract(videos, folder, "--frames-per-video", "3")
    with pytest.raises(InputError, match=r"of videos that --max-videos 2 leaves out: .*--overw"):
        extract(videos, folder, "--max-videos", "2")
    assert contents(folder) == before and contents(folder / "cache") == cache
    extract(videos, folder, "--frames-per-video", "3", "--overwrite")
    assert len(np.load(folder / "train_labels.npy")) == 30


def test_every_nth_frame_is_taken_shown_and_scored(
    videos, tmp_path, capsys, monkeypatch, quick_backbone
):
    step = ["--frame-step", "3"]
    extract(videos, tmp_path / "features", *step)
    assert "Frames     up to 4 a video: 0, 3, 6, ...\n" in capsys.readouterr().out
    lengths = [int(row["frames"]) for row in read_table(tmp_path / "features/train_videos.csv")]
    expected = [[i, number] for i, n in enumerate(lengths) for number in range(0, n, 3)[:4]]
    assert np.load(tmp_path / "features/train_frames.npy").tolist() == expected
    with pytest.raises(InputError, match="--frame-step 3, not --frame-step 0: write elsewhere"):
        extract(videos, tmp_path / "features")
    train(tmp_path, "--batch-size", "8")
    model = tmp_path / "results/model.pt"
    (row,) = predict_videos([videos / "real/007.mp4"], model, "cpu")
    assert row["numbers"] == [0, 3, 6, 9]
    extract(videos, tmp_path / "even")
    alike = (
        r"the model has --frame-step 3, .*even/train_f\S+ has --frame-step 0: extract them alike"
    )
    with pytest.raises(InputError, match=alike):
        evaluate_files([tmp_path / "even"], *load_model(model), tmp_path, "cpu", False)
    taken = []
    monkeypatch.setattr("features.pictures.draw_preview", lambda *rest: taken.append(rest[-1]))
    extract(videos, tmp_path / "new", *step, "--preview", "10")
    shown = {number for frames in taken for number, *_ in frames}
    assert len(taken) == 10 and shown == {0, 3, 6, 9}


def test_without_two_classes_to_train_on_the_next_step_is_to_evaluate(tmp_path, capsys):
    extraction_screen.print_features_written(tmp_path, {"test": 4})
    assert capsys.readouterr().out.endswith(f" --checkpoint MODEL.pt --evaluate {tmp_path}\n")


def test_without_weights_own_data_stops_and_the_sample_set_goes_on(videos, tmp_path, capsys):
    flags = ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f")]
    flags += ["--frames-per-video", "1", "--device", "cpu"]
    wanted = r"resnet18-f37072fd.pth .*checkpoints.*--weights FILE .*--weights random"
    (videos / "sample.json").write_text('{"name": "a file of mine"}')
    with pytest.raises(DownloadError, match=wanted):
        feature_extraction.main(flags)
    assert not (tmp_path / "f").exists()
    (videos / "sample.json").write_text('{"drawn_by": "data/make_sample.py", "seed": 7}')
    feature_extraction.main(flags)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert len(warnings) == 1 and "UNTRAINED" in warnings[0]
    report = read_json(tmp_path / "f/extraction.json")
    assert report["weights"]["name"] == "random" and report["weights"]["instead_of"] == "imagenet"
    assert report["sample"]["seed"] == 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--frames-per-video 0", "--frames-per-video is 0, expected 1 to 1000"),
        ("--frame-step -1", "--frame-step is -1, expected 0 to 1000000"),
        ("--max-videos -1", "--max-videos is -1, expected 0 to"),
        ("--face-model x.onnx", "--face-model goes with --crop-faces"),
        ("--videos-dir a --videos-csv b", "--videos-dir and --videos-csv: one of them"),
        ("--frames-per 8", "arguments: --frames-per 8: did you mean --frames-per-video?"),
    ],
)
def test_wrong_flags(flags, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        feature_extraction.main(flags.split())
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 2  # short usage, error


@forks
@pytest.mark.parametrize(
    ("script", "flag"),
    [("feature_extraction", "--videos-dir"), ("deepfake_detection_model", "--train-features-file")],
)
def test_a_wrong_input_is_one_line_and_status_1_and_leaves_nothing(
    script, flag, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, flag, "nowhere_features.npy"])
    done = run_in_fork(lambda: runpy.run_path(ROOT / f"{script}.py", run_name="__main__"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_listed_files_that_are_gone_fail_alone_unless_all_are(
    videos, tmp_path, quick_backbone, capsys
):
    lines = "path,label\nreal/000.mp4,real\nfake/fifty.mp4,fake\nnowhere.mp4,fake\n"
    folder = tmp_path / "features"
    for place in (tmp_path, videos):
        (place / "list.csv").write_text(lines)
    flags = [*RANDOM, "--features-dir", str(folder), "--videos-csv"]
    message = r"none of its 3 paths is there, .*/real/000.mp4 for one; relative paths start from"
    with pytest.raises(InputError, match=message):
        feature_extraction.main([*flags, str(tmp_path / "list.csv")])
    assert capsys.readouterr().err == "" and not folder.exists()
    feature_extraction.main([*flags, str(videos / "list.csv")])
    assert read_failed(folder) == {"nowhere.mp4": "No such file or directory"}
    split = load_split(folder / "train_features.npy")
    assert [row["video"] for row in split.videos] == ["fake/fifty.mp4", "real/000.mp4"]
    made = split.extraction
    assert (made.layout, made.name, made.videos_dir) == ("list", "list", os.path.realpath(videos))


OF_NO_USE = {  # of videos/awkward
    "audio_only.mp4": "no video stream",
    "av1.mp4": "0 frames decoded: codec av01 not supported by this OpenCV, or damaged",
    "black.mp4": ONE_PICTURE,
    "oneframe.mp4": ONE_PICTURE,
    "png_named.mp4": ONE_PICTURE,
    "text.mp4": "not a video",
    "truncated_moov_missing.mp4": "truncated: the index (moov) of this MP4 file is missing",
    "zero.mp4": "empty file",
}


def test_each_real_file_is_used_or_explained(real_videos, videos, tmp_path, quick_backbone, capsys):
    shutil.copytree(real_videos / "awkward", videos / "fake/awkward")
    files = {path.name for path in (videos / "fake/awkward").iterdir() if path.name[0] != "."}
    folder = tmp_path / "features"
    extract(videos, folder)
    output, errors = capsys.readouterr()
    table = read_table(folder / "train_videos.csv")
    rows = {Path(row["video"]).name: row for row in table if row["method"] == "awkward"}
    failed = {Path(name).name: reason for name, reason in read_failed(folder).items()}
    assert failed.keys() == OF_NO_USE.keys() and rows.keys() == files - failed.keys()
    assert all(failed[name].startswith(reason) for name, reason in OF_NO_USE.items())
    note = "153 of 360 frames: truncated, damaged or miscounted"
    assert rows["truncated_faststart.mp4"]["note"] == note
    assert (rows["rot90.mp4"]["width"], rows["rot90.mp4"]["height"]) == ("234", "320")
    assert f"{len(files) + 10} found = {len(rows) + 10} used + 8 failed" in output
    said = [line for line in errors.splitlines() if line and not line.startswith("extracting")]
    assert len(said) == 8 and all(line.startswith("failed: fake/awkward/") for line in said)


@pytest.mark.parametrize(
    ("flags", "written", "used"),
    [
        ("", {}, 6),
        ("--compression c23", {"compression": "c23"}, 3),
        ("--methods faceswap", {"methods": ["faceswap"]}, 4),
        ("--max-videos 1", {"max_videos": 1}, 2),
    ],
)
def test_a_set_is_narrowed_for_a_first_try_and_that_is_written(
    tmp_path, quick_backbone, flags, written, used
):
    for i, compression in enumerate(("c23", "c40")):
        real = f"original_sequences/youtube/{compression}/videos/000.mp4"
        write_video(tmp_path / "set" / real, n=4 + i)
        for j, method in enumerate(("Deepfakes", "FaceSwap")):
            fake = f"manipulated_sequences/{method}/{compression}/videos/000_003.mp4"
            write_video(tmp_path / "set" / fake, n=6 + 2 * i + j)
    extract(tmp_path / "set", tmp_path / "f", *flags.split())
    found = read_json(tmp_path / "f/extraction.json")
    whole = {"compression": "all", "methods": [], "max_videos": 0}
    assert found | whole | written == found
    assert (found["counts"]["used"], found["counts"]["left_out"]) == (used, 6 - used)
