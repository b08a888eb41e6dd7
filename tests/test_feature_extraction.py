import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_video

import feature_extraction as fe
from data.files import DownloadError, InputError
from features.resnet18 import extract_video, load_backbone
from features.splits import load_split


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


def test_files_are_as_documented(videos, tmp_path, capsys):
    (videos / "fake/broken.mp4").write_text("no video")
    write_video(videos / "real/short.mp4", n=2)
    folder = tmp_path / "features"
    extract(videos, folder)
    assert sorted(contents(folder)) == sorted(
        ["train_features.npy", "train_labels.npy", "train_frames.npy", "train_videos.csv"]
        + ["failed.csv", "extraction.json"]
    )
    features, labels, frames = (
        np.load(folder / f"train_{name}.npy", allow_pickle=False) for name in ("features", "labels", "frames")
    )
    n = 10 * 4 + 2
    assert features.shape == (n, 1000) and features.dtype == np.float32
    assert labels.shape == (n,) and labels.dtype == np.int64
    assert frames.shape == (n, 2) and frames.dtype == np.int32
    rows = read_csv(folder / "train_videos.csv")
    assert [row["video"] for row in rows] == sorted(row["video"] for row in rows)
    assert all((row["video"].startswith("fake")) == (row["label"] == "1") for row in rows)
    assert [int(rows[i]["label"]) for i in frames[:, 0]] == labels.tolist()
    short = rows.index(next(row for row in rows if row["video"] == "real/short.mp4"))
    assert frames[frames[:, 0] == short, 1].tolist() == [0, 1]
    row = rows[short]
    assert {key: row[key] for key in ("method", "group", "frames", "width", "height", "fps", "duration")} == {
        "method": "",
        "group": "real/short.mp4",
        "frames": "2",
        "width": "64",
        "height": "48",
        "fps": "25.0",
        "duration": "0.08",
    }
    assert int(row["size"]) == (videos / "real/short.mp4").stat().st_size
    # each row is the features of the frame that frames.npy names
    model, provenance = load_backbone("random")
    expected, _ = extract_video(videos / "real/short.mp4", model, {"frames_per_video": 4, "frame_choice": "exact"})
    np.testing.assert_allclose(features[frames[:, 0] == short], expected, rtol=1e-4, atol=1e-5)

    assert read_csv(folder / "failed.csv") == [{"video": "fake/broken.mp4", "label": "1", "reason": "not a video"}]
    report = json.loads((folder / "extraction.json").read_text())
    assert report["counts"] == {"found": 12, "used": 11, "failed": 1, "frames": {"train": n}}
    assert report["weights"] == provenance
    assert report["frames_per_video"] == 4 and report["crop"] == "none" and report["sample"] is None
    assert report["versions"]["torch"] == torch.__version__
    assert "12 found = 11 used + 1 failed" in capsys.readouterr().out


def test_split_folders_become_files_of_their_own_and_stale_ones_go(videos, tmp_path):
    root, folder = tmp_path / "splits", tmp_path / "features"
    for split in ("train", "val", "test"):
        shutil.copytree(videos, root / split)
    extract(root, folder)
    for split in ("train", "val", "test"):
        assert len(np.load(folder / f"{split}_features.npy")) == 40
        assert all(row["video"].startswith(f"{split}/") for row in read_csv(folder / f"{split}_videos.csv"))
    extract(videos, folder)  # a set without these splits
    assert not [name for name in contents(folder) if name.startswith(("val", "test"))]


def test_a_name_that_is_not_utf8_fails_alone(videos, tmp_path):
    shutil.copy(videos / "real/000.mp4", videos / "real" / os.fsdecode(b"na\xffme.mp4"))
    extract(videos, tmp_path / "features")
    assert read_csv(tmp_path / "features/failed.csv") == [
        {
            "video": "real/na\\udcffme.mp4",
            "label": "0",
            "reason": "its name is not valid UTF-8 or has control characters: rename it",
        }
    ]


def test_nothing_usable_is_an_error_that_leaves_the_earlier_files(videos, tmp_path):
    folder = tmp_path / "features"
    extract(videos, folder)
    before = contents(folder)
    for path in videos.rglob("*.mp4"):
        path.write_text("broken")
    with pytest.raises(InputError, match=r"no video of the train split in .* can be used.*not a video"):
        extract(videos, folder)
    assert contents(folder) == before


def test_without_weights_own_data_stops_and_the_sample_set_goes_on_loudly(videos, tmp_path, capsys):
    arguments = ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f"), "--frames-per-video", "1"]
    with pytest.raises(InputError) as caught:
        fe.main(arguments)
    for part in ("resnet18-f37072fd.pth", "checkpoints", "--weights PATH", "--weights random"):
        assert part in str(caught.value)
    assert not (tmp_path / "f").exists()
    for text in ('{"name": "a file of mine"}', "[1]", "no json"):
        (videos / "sample.json").write_text(text)
        with pytest.raises(DownloadError):
            fe.main(arguments)
    (videos / "sample.json").write_text('{"drawn_by": "data/make_sample.py", "seed": 7}')
    fe.main(arguments)
    assert "UNTRAINED" in capsys.readouterr().err
    report = json.loads((tmp_path / "f/extraction.json").read_text())
    assert report["weights"]["name"] == "random" and report["weights"]["instead_of"] == "imagenet"
    assert report["sample"]["seed"] == 7


@pytest.mark.parametrize("flag", ["--frames-per-video", "--num-workers"])
def test_numbers_below_one_are_a_wrong_flag(flag, capsys):
    with pytest.raises(SystemExit) as caught:
        fe.main([flag, "0"])
    assert caught.value.code == 2
    assert f"{flag} is 0, expected 1 to" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["feature_extraction.py", "deepfake_detection_model.py", "data/make_sample.py"])
def test_a_wrong_input_is_one_line_and_status_1_a_wrong_flag_status_2(script, tmp_path):
    wrong_input = {
        "feature_extraction.py": ["--videos-dir", str(tmp_path / "nowhere")],
        "deepfake_detection_model.py": ["--train-features-file", str(tmp_path / "nowhere_features.npy")],
        "data/make_sample.py": ["--output-dir", str(tmp_path)],  # a folder with something else in it
    }
    (tmp_path / "mine").write_text("")
    for arguments, status in ((wrong_input[script], 1), (["--no-such-flag"], 2), (["--help"], 0)):
        command = [sys.executable, str(Path(fe.__file__).parent / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        if status == 1:
            assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


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
    assert len(load_split(tmp_path / "features/train_features.npy").videos) == 10


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
