import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import write_video
from PIL import Image
from torchvision import transforms

import feature_extraction as fe


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- Frames ---------------------------------------------------------------------------------------


def test_sample_frame_numbers():
    assert fe.sample_frame_numbers(10, 5) == [1, 3, 5, 7, 9]
    assert fe.sample_frame_numbers(9, 1) == [4]
    assert fe.sample_frame_numbers(3, 5) == [0, 1, 2]
    assert fe.sample_frame_numbers(0, 5) == fe.sample_frame_numbers(-7, 5) == []
    for total in range(1, 80):
        for n in range(1, 40):
            numbers = fe.sample_frame_numbers(total, n)
            assert len(numbers) == min(n, total)
            assert numbers == sorted(set(numbers))
            for i, number in enumerate(numbers):  # the frame that holds the middle of its share
                assert number <= (i + 0.5) * total / len(numbers) < number + 1


@pytest.mark.parametrize(
    "name", ["clip.mp4", "clip.avi", "-%03d 深度 'x'.MP4", "4.05\u202fPM\u3000\xa0👩\u200d💻\xad.mp4"]
)
def test_read_frames_gives_the_frames_it_names(tmp_path, name):
    path = write_video(tmp_path / name, n=30, size=(66, 48), fps=12.5)
    sampled = fe.read_frames(path, 7)
    assert sampled.numbers.tolist() == fe.sample_frame_numbers(30, 7)
    assert [sampled.facts[key] for key in ("frames", "width", "height", "fps")] == [30, 66, 48, 12.5]
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        assert frame.shape == (48, 66, 3) and frame.dtype == np.uint8
        assert abs(frame.mean() - (20 + 7 * number)) < 3.5
    assert fe.read_frames(path, 100).numbers.tolist() == list(range(30))
    assert fe.read_frames(write_video(tmp_path / "one.mp4", n=1), 32).numbers.tolist() == [0]


def test_read_frames_gives_rgb(tmp_path):
    path = write_video(tmp_path / "red.mp4", colour=(10, 20, 230))
    for frame in (
        fe.read_frames(path, 1).frames[0],
        fe.read_frames(path, 1, lambda frame, number: fe.resize_frame(frame)).frames[0],
    ):
        channels = np.moveaxis(np.asarray(frame), 0, -1) if frame.shape[0] == 3 else frame
        assert channels[..., 0].mean() > 200 and channels[..., 2].mean() < 40


@pytest.mark.parametrize("claimed", [0, 3, 31, 100_000])
def test_a_wrong_count_in_the_header_does_not_move_the_frames(tmp_path, claimed):
    path = write_video(tmp_path / "clip.avi", n=30)
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        start = data.index(tag) + offset
        data[start : start + 4] = claimed.to_bytes(4, "little")
    data[data.rindex(b"idx1") :] = b""  # the index would give the count away
    path.write_bytes(data)
    sampled = fe.read_frames(path, 5)
    assert sampled.facts["frames"] == 30
    assert sampled.facts["note"].startswith(f"30 of {claimed} frames") == (claimed > 30)
    assert sampled.numbers.tolist() == [3, 9, 15, 21, 27]
    assert [round((frame.mean() - 20) / 7) for frame in sampled.frames] == [3, 9, 15, 21, 27]


def test_orientation_in_the_metadata_is_applied(tmp_path):
    path = write_video(tmp_path / "clip.mp4", size=(64, 48))
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44  # the matrix: a quarter turn
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    sampled = fe.read_frames(path, 2)
    assert (sampled.facts["width"], sampled.facts["height"]) == (48, 64)
    assert sampled.frames[0].shape == (64, 48, 3)


def test_files_that_give_no_frame(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    undecodable = os.fsdecode(b"na\xffme")
    (tmp_path / f"{undecodable}.mp4").write_bytes(whole)
    reasons = {
        undecodable: "its name is not valid UTF-8",
        "empty": "empty file",
        "text": "not a video",
        "folder": "not a file",
        "pipe": "not a file",
        "missing": "no such file",
        "truncated": "truncated: the index",
    }
    for name, reason in reasons.items():
        with pytest.raises(fe.InputError, match=reason):
            fe.read_frames(tmp_path / f"{name}.mp4", 4)


def write_numbered_video(path, n):
    """A video in which each frame is unlike all others; mp4v has a key frame every 12 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(n):
        writer.write(cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (96, 64)))
    writer.release()
    return path


def read_all(path):
    """Each frame of a video, read one after the other."""
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return frames


class SpyingCapture:
    """cv2.VideoCapture, but seeks are counted and, if `lands_on` is set, go there instead."""

    original, seeks, lands_on = cv2.VideoCapture, 0, None

    def __init__(self, *arguments):
        self.capture = SpyingCapture.original(*arguments)

    def set(self, name, value):
        if name == cv2.CAP_PROP_POS_FRAMES:
            SpyingCapture.seeks += 1
            value = value if self.lands_on is None else self.lands_on
        return self.capture.set(name, value)

    def __getattr__(self, name):
        return getattr(self.capture, name)


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", SpyingCapture)
    monkeypatch.setattr(SpyingCapture, "seeks", 0)
    monkeypatch.setattr(SpyingCapture, "lands_on", None)
    return SpyingCapture


def test_a_seek_gives_the_frame_that_reading_through_gives(tmp_path, monkeypatch, spy):
    path = write_numbered_video(tmp_path / "clip.mp4", 150)
    expected = read_all(path)
    assert len(expected) == 150
    for number in range(150):  # each frame is sought once
        monkeypatch.setattr(fe, "sample_frame_numbers", lambda *_, number=number: [number])
        sampled = fe.read_frames(path, 1, lambda frame, number: frame.copy())
        assert sampled.numbers.tolist() == [number] and sampled.facts["frames"] == 150
        np.testing.assert_array_equal(sampled.frames[0], expected[number])
    assert 100 < spy.seeks <= 150


@pytest.mark.parametrize("lands_on", [0, 40, 149])
def test_a_seek_that_goes_wrong_is_noticed(tmp_path, spy, lands_on):
    path = write_numbered_video(tmp_path / "clip.mp4", 150)
    spy.lands_on, expected = lands_on, read_all(path)
    sampled = fe.read_frames(path, 3, lambda frame, number: frame.copy())
    assert spy.seeks == 1  # then never again
    assert sampled.numbers.tolist() == [25, 75, 125]
    for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
        np.testing.assert_array_equal(frame, expected[number])


def test_seeks_and_reference_frames_of_real_clips(real_videos, spy):
    skipped = 0
    for path in sorted(real_videos.rglob("*.*")):
        if path.suffix not in (".mp4", ".mkv", ".webm", ".ts", ".avi") or path.stat().st_size > 1e6:
            continue
        expected = read_all(path)
        for n, choice in ((2, "exact"), (16, "exact"), (16, "nearest-reference")) if expected else ():
            sampled = fe.read_frames(path, n, lambda frame, number: frame.copy(), choice)
            wanted = fe.sample_frame_numbers(len(expected), n)
            assert sampled.facts["frames"] == len(expected), path
            if choice == "exact":
                assert sampled.numbers.tolist() == wanted
            else:
                assert len(sampled.numbers) == len(wanted) and (sampled.numbers - wanted >= 0).all(), path
                assert (sampled.numbers - wanted < 8).all()
                skipped += sampled.numbers.tolist() != wanted
            for frame, number in zip(sampled.frames, sampled.numbers, strict=True):
                np.testing.assert_array_equal(frame, expected[number], err_msg=f"{path} {choice}")
    assert spy.seeks > 2 and skipped > 5


# --- Features -------------------------------------------------------------------------------------


def picture(height, width, seed=0):
    """A BGR picture with coarse shapes and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.float32), (width, height))
    return np.clip(coarse + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1080, 1920), (256, 256), (225, 223), (480, 640), (100, 30), (16, 16)])
def test_resize_is_within_one_grey_level_of_pil(shape):
    frame = picture(*shape)
    ours = fe.resize_frame(frame).permute(1, 2, 0).numpy().astype(int)
    image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    reference = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - reference).max() <= 1


def test_features_agree_with_the_reference_transform():
    model, _ = fe.load_backbone("random")
    preset = fe.ResNet18_Weights.IMAGENET1K_V1.transforms()
    reference_transform = transforms.Compose(
        [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(preset.mean, preset.std)]
    )
    frames = [picture(300, 400, seed) for seed in range(10)]
    features = fe.compute_features(model, torch.stack([fe.resize_frame(frame) for frame in frames]))
    assert features.shape == (10, 1000) and features.dtype == np.float32
    images = [Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for frame in frames]
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        plain = fe.resnet18(weights=None).eval()
        reference = plain(torch.stack([reference_transform(image) for image in images])).numpy()
    difference = np.linalg.norm(features - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert difference.max() < 1e-3


def test_weights_have_a_provenance(random_weights):
    first, provenance = fe.load_backbone("random")
    second, again = fe.load_backbone("random")
    assert provenance == again and provenance["name"] == "random"
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not first.training
    assert fe.load_backbone(str(random_weights))[1]["sha256"] != provenance["sha256"]


def test_folded_batch_norm_gives_the_features_of_the_plain_network(tmp_path):
    torch.manual_seed(1)
    plain = fe.resnet18(weights=None)
    pixels = torch.rand(4, 3, 224, 224)
    with torch.inference_mode():
        for _ in range(3):  # in training mode: running means and variances that are not 0 and 1
            plain(pixels * torch.rand(4, 1, 1, 1) * 3)
    for norm in (module for module in plain.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
    torch.save(plain.state_dict(), tmp_path / "own.pth")
    folded, _ = fe.load_backbone(str(tmp_path / "own.pth"))
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.inference_mode():
        expected = plain.eval()(pixels)
        found = folded(pixels.contiguous(memory_format=torch.channels_last))
    assert torch.linalg.norm(found - expected) < 1e-5 * torch.linalg.norm(expected)


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_wrong_weights_files(tmp_path, random_weights):
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "cut.pth").write_bytes(random_weights.read_bytes()[:1_000_000])
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"payload": Payload(tmp_path / "made")}, tmp_path / "payload.pth")
    state = torch.load(random_weights, weights_only=True)
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "extra.pth")
    torch.save({**state, "fc.weight": torch.zeros(2, 512)}, tmp_path / "two_classes.pth")
    for name in ("missing", "empty", "text", "cut", "list", "payload", "extra", "two_classes"):
        with pytest.raises(fe.InputError, match=rf"{name}\.pth.*ResNet-18") as caught:
            fe.load_backbone(str(tmp_path / f"{name}.pth"))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.fixture
def served_weights(tmp_path, random_weights, monkeypatch):
    """A weights file at the URL that torchvision downloads from."""
    data = random_weights.read_bytes()
    path = tmp_path / "server" / f"resnet18-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    path.parent.mkdir()
    path.write_bytes(data)
    monkeypatch.setattr(fe.ResNet18_Weights.IMAGENET1K_V1.value, "url", path.as_uri())
    return path


def test_imagenet_weights_are_downloaded_once(served_weights, random_weights, torch_home):
    _, provenance = fe.load_backbone("imagenet")
    assert provenance == {"name": "imagenet", "sha256": fe.load_backbone(str(random_weights))[1]["sha256"]}
    cached = torch_home / "hub/checkpoints" / served_weights.name
    assert cached.is_file()
    served_weights.unlink()
    assert fe.load_backbone("imagenet")[1] == provenance
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    with pytest.raises(fe.InputError, match=r"resnet18-.*\.pth is damaged .*delete it"):
        fe.load_backbone("imagenet")


def test_a_damaged_download_is_refused(served_weights, torch_home):
    served_weights.write_bytes(served_weights.read_bytes()[:-1] + b"x")
    with pytest.raises(fe.DownloadError, match=r"invalid hash value.*--weights PATH.*--weights random"):
        fe.load_backbone("imagenet")
    assert not list(torch_home.rglob("*.pth"))


def test_devices():
    assert fe.pick_device("cpu").type == "cpu"
    assert fe.pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(fe.InputError, match="no CUDA device here; use --device cpu"):
            fe.pick_device("cuda")


# --- The run --------------------------------------------------------------------------------------


def extract(videos, features, *more):
    fe.main(
        ["--videos-dir", str(videos), "--features-dir", str(features), "--weights", "random"]
        + ["--frames-per-video", "4", "--device", "cpu", *more]
    )


def contents(folder):
    """{name: bytes} of the final files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


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
    model, provenance = fe.load_backbone("random")
    expected, _ = fe.extract_video(videos / "real/short.mp4", model, {"frames_per_video": 4, "frame_choice": "exact"})
    np.testing.assert_allclose(features[frames[:, 0] == short], expected, rtol=1e-4, atol=1e-5)

    assert read_csv(folder / "failed.csv") == [{"video": "fake/broken.mp4", "label": "1", "reason": "not a video"}]
    report = json.loads((folder / "extraction.json").read_text())
    assert report["counts"] == {"found": 12, "used": 11, "failed": 1, "frames": {"train": n}}
    assert report["weights"] == provenance
    assert report["frames_per_video"] == 4 and report["crop"] == "none" and report["sample"] is None
    assert report["versions"]["torch"] == torch.__version__
    assert "12 found = 11 used + 1 failed" in capsys.readouterr().out


def test_same_bytes_whatever_the_workers_and_the_interruptions(videos, tmp_path, monkeypatch):
    extract(videos, tmp_path / "undisturbed", "--num-workers", "1")
    extract(videos, tmp_path / "two", "--num-workers", "2")
    assert contents(tmp_path / "two") == contents(tmp_path / "undisturbed")

    done = []
    real_extract_video = fe.extract_video

    def stop_after_three(path, *rest):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(path)
        return real_extract_video(path, *rest)

    monkeypatch.setattr(fe, "extract_video", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        extract(videos, tmp_path / "resumed", "--num-workers", "1")
    assert contents(tmp_path / "resumed") == {}
    first, done = set(done), []
    monkeypatch.setattr(fe, "extract_video", lambda path, *rest: done.append(path) or real_extract_video(path, *rest))
    extract(videos, tmp_path / "resumed", "--num-workers", "1")
    assert len(done) == 7 and not first & set(done)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "undisturbed")
    done.clear()
    extract(videos, tmp_path / "resumed", "--overwrite")
    assert len(done) == 10


def run_torchrun(videos, features):
    script = [str(Path(fe.__file__)), "--videos-dir", str(videos), "--features-dir", str(features)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu", "--num-workers", "1"]
    return subprocess.Popen([*launcher, *script, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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


def test_only_what_changed_is_done_again(videos, tmp_path, monkeypatch):
    folder, done = tmp_path / "features", []
    real_extract_video = fe.extract_video
    monkeypatch.setattr(fe, "extract_video", lambda path, *rest: done.append(path) or real_extract_video(path, *rest))
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
    with pytest.raises(fe.InputError, match=r"no video of the train split in .* can be used.*not a video"):
        extract(videos, folder)
    assert contents(folder) == before


def test_without_weights_own_data_stops_and_the_sample_set_goes_on_loudly(videos, tmp_path, capsys):
    arguments = ["--videos-dir", str(videos), "--features-dir", str(tmp_path / "f"), "--frames-per-video", "1"]
    with pytest.raises(fe.InputError) as caught:
        fe.main(arguments)
    for part in ("resnet18-f37072fd.pth", "checkpoints", "--weights PATH", "--weights random"):
        assert part in str(caught.value)
    assert not (tmp_path / "f").exists()
    for text in ('{"name": "a file of mine"}', "[1]", "no json"):
        (videos / "sample.json").write_text(text)
        with pytest.raises(fe.DownloadError):
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
