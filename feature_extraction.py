"""Extract ResNet-18 features from the frames of real and fake videos.

Reads   FaceForensics++, Celeb-DF, DFDC, folders real/ and fake/, or a CSV that lists videos: see find_videos
Writes  to <features-dir>, for each split (`train`, and `val`, `test` where the data define them):

    <split>_features.npy  (N, 1000) float32  one row a frame: the ImageNet logits of ResNet-18
    <split>_labels.npy    (N,) int64         1 = fake, 0 = real
    <split>_frames.npy    (N, 2) int32       row of the video in <split>_videos.csv, number of the frame in the video
    <split>_videos.csv    a line a video     identifier, label, method, group, target clip, frames, width, height, ...
    failed.csv            a line a video     found but not usable, and why
    extraction.json                          weights, sampling, versions, counts
    preview.png                              with --preview, and then alone: what the network would see
    cache/                a file a video     lets an interrupted or repeated run go on; safe to delete

    python feature_extraction.py
    python feature_extraction.py --videos-dir /data/my_videos --features-dir features/my_videos
    python feature_extraction.py --videos-dir /data/my_videos --weights resnet18.pth --frames-per-video 16
    python feature_extraction.py --videos-dir /data/my_videos --crop-faces --preview 8
"""

import argparse
import bisect
import csv
import hashlib
import json
import mmap
import os
import pickle
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import combinations
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
import torchvision
from matplotlib.figure import Figure
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import ResNet18_Weights, resnet18
from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
VIDEO_SUFFIXES = ".mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv .asf .flv .f4v .3gp .gif .ts .mts .m2ts .vob .ogv .mxf"
VIDEO_SUFFIXES = (*VIDEO_SUFFIXES.split(), ".h264", ".264", ".hevc", ".265")
N_FEATURES = 1000
FRAME_SIZE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, of frames in [0, 1]
SAMPLE_DIR = Path("data/sample")
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
CELEB_DF_FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
FRAME_CHOICES = ("exact", "nearest-reference")
MAX_PIXELS = 2**27  # 134 million: four times 8K
# YuNet: Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, 2023
FACE_MODEL_URL = (
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_s_640_640.onnx"
)
FACE_MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
DETECTION_SIZE = 640  # longer side of a frame as the face detector gets it: faces of 10 pixels and more are found
MAX_FACES = 8  # a frame, the largest
HANGS_AFTER = 600  # seconds
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell starts that a spreadsheet computes
OPENING = threading.Lock()

# what numpy and torch raise on a damaged file, by experiment
DAMAGED = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, SyntaxError, TokenError, BadZipFile)


class InputError(ValueError):
    """Something the user gave is wrong. The message says what, where and what to do, in one line."""


def read_json(path: Path, kind: type = dict):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, kind):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a {kind.__name__}")
    return content


def read_drawn_by(root: Path) -> dict | None:
    """The sample.json that make_sample.py leaves in what it drew; None for anybody's own videos."""
    try:
        sample = read_json(root / "sample.json")
    except (InputError, OSError):
        return None
    return sample if sample.get("drawn_by") == "data/make_sample.py" else None


class DownloadError(InputError):
    """A published file is not in torch's cache and cannot be downloaded."""


def fetch(url: str, sha256: str, otherwise: str, copy: Path | None = None) -> Path:
    """A published file in torch's cache, put there once by a download, or from a `copy`. `sha256`: how its hash starts.

    Raises DownloadError where it cannot be had, with what to do `otherwise`; InputError where it is damaged.
    """
    cached, timeout = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/")[-1]), socket.getdefaulttimeout()
    if copy or not cached.is_file():
        socket.setdefaulttimeout(30)  # torch.hub sets none: behind a closed firewall it would wait for ever
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            source = copy.absolute().as_uri() if copy else url
            torch.hub.download_url_to_file(source, str(cached), sha256, progress=not copy)
        except (OSError, RuntimeError) as error:
            wanted = f"put {url}, whose sha256 starts with {sha256}, at {cached}, or {otherwise}"
            raise DownloadError(f"{copy or cached.name} cannot be had ({error}): {wanted}") from error
        finally:
            socket.setdefaulttimeout(timeout)
    if not hashlib.sha256(cached.read_bytes()).hexdigest().startswith(sha256):
        raise InputError(f"{cached} is damaged (its sha256 does not start with {sha256}): delete it and run again")
    return cached


# --- Videos: which files there are, what is known of each -----------------------------------------


@dataclass
class Video:
    """One video file. The reader of a layout tells what the data set does, find_videos adds the rest."""

    path: Path
    label: int  # 1 = fake, 0 = real
    split: str = "train"
    method: str = ""  # how a fake was made, where that is known
    clip: str = ""  # the footage that is seen: of a fake, that of its target
    related: Iterable[str] = ()  # people, or other videos; those who share one are in one group
    video: str = ""  # its path below the root with `/` between the parts: its identifier
    group: str = ""  # what must stay on one side of a split


def printable(path: str | os.PathLike) -> str:
    """The path with `/` between its parts; what a line of text cannot hold, as bytes not in UTF-8, is spelled out."""
    name = Path(path).as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(repr(sign)[1:-1] if sign < " " else sign for sign in name)


def list_video_files(folder: Path) -> list[Path]:
    """Sorted video files in a folder and below it. Hidden files and folders are left alone, links followed."""
    files, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real_parent := os.path.realpath(parent)) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real_parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(parent, name) for name in names if name[0] != "." and name.lower().endswith(VIDEO_SUFFIXES)]
    return sorted(files)


def find_faceforensics(root: Path) -> Iterator[Video]:
    """FaceForensics++ and, in the same tree, DeepFakeDetection (DFD), with the official splits where they are there."""
    split_of = {}  # id: split
    for split in SPLITS:
        for path in (root / f"{split}.json", root / "splits" / f"{split}.json"):
            for pair in read_json(path, list) if path.is_file() else ():
                if not isinstance(pair, list) or [type(name) for name in pair] != [str, str]:
                    raise InputError(f'{path}: {pair} is not a pair of ids like ["000", "003"]')
                for name in pair:
                    if split_of.setdefault(name, split) != split:
                        raise InputError(f"{path}: {name} is in the {split_of[name]} split too")
    for path in list_video_files(root / "original_sequences") + list_video_files(root / "manipulated_sequences"):
        parts = path.relative_to(root).parts  # kind, actors or youtube or method, compression, "videos", name
        if len(parts) != 5 or parts[2] not in COMPRESSIONS or parts[3] != "videos":  # masks, images
            continue
        ids, *scene = path.stem.split("__")  # NNN, TTT_SSS (target, source); DFD actor__scene, target_source__scene__id
        people = [f"DFD {actor}" if scene else actor for actor in ids.split("_")]  # actor 03 is not video 03
        splits = {split_of.get(person, "train") for person in people}
        if len(splits) > 1:
            raise InputError(f"{path} joins people of the official splits {' and '.join(sorted(splits))}: remove it")
        label = int(parts[0] == "manipulated_sequences")
        clip = "__".join([ids.split("_")[0], *scene[:1]])
        yield Video(path, label, splits.pop(), parts[1] if label else "", clip, people)


def find_celeb_df(root: Path) -> Iterator[Video]:
    """Celeb-DF v1 and v2. Groups are people joined by swaps; the official test list is disjoint by video alone."""
    list_file, listed, found = root / "List_of_testing_videos.txt", set(), set()
    text = list_file.read_text(encoding="utf-8", errors="replace") if list_file.is_file() else ""
    for number, line in enumerate(text.split("\n"), 1):
        label, _, name = line.strip().partition(" ")
        label_of_folder = CELEB_DF_FOLDERS.get(name.partition("/")[0], "none")
        if line.strip() and {"1": 0, "0": 1}.get(label) != label_of_folder:
            raise InputError(f"{list_file}, line {number}: {line!r} does not fit the folder; 1 = real here, 0 = fake")
        listed |= {name} if name else set()
    for folder, label in CELEB_DF_FOLDERS.items():
        for path in list_video_files(root / folder):  # some copies have a level videos/
            name = f"{folder}/{path.name}"
            found.add(name)
            *people, clip = path.stem.split("_")  # idA_CCCC, idA_idB_CCCC (target, source), NNNNN
            clip = f"{people[0]}_{clip}" if people else name
            yield Video(path, label, "test" if name in listed else "train", folder if label else "", clip, people)
    if missing := listed - found:
        print(f"  {len(missing)} videos in {list_file.name} are not there, {min(missing)} for one")


def find_dfdc(root: Path) -> Iterator[Video]:
    """DFDC, one part or several. A fake is in one group with its original; of several parts, each is one group."""
    files = sorted((*root.glob("metadata.json"), *root.glob("*/metadata.json")))
    other = [path for path in list_video_files(root) if not (path.parent / "metadata.json").is_file()]
    if other:
        print(f"  {len(other)} videos in folders without metadata.json are left out, {other[0]} for one")
    for file in files:
        entries, part = read_json(file), file.parent
        there = {path.name: path for path in list_video_files(part) if path.parent == part}
        for name in sorted(entries.keys() & there.keys()):
            try:
                label = ("REAL", "FAKE").index(entries[name]["label"])
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{file}: {name} has no label REAL or FAKE") from None
            clip = f"{part.name}/{entries[name].get('original') or name}"
            yield Video(there[name], label, clip=clip, related=[clip, part.name] if len(files) > 1 else [clip])
        missing, extra = len(entries.keys() - there.keys()), sorted(there.keys() - entries.keys())
        print(f"  {file}: {len(entries)} listed, {missing} not there; {len(extra)} there but not listed", *extra[:3])


def find_class_folders(root: Path) -> Iterator[Video]:
    """real/ and fake/, alone or below train/, val/ and test/. The first folder below fake/ is the method."""
    folders = [(split, root / split) for split in SPLITS if (root / split).is_dir()] or [("train", root)]
    if folders[0][1] != root and any((root / name).is_dir() for name in CLASSES):
        raise InputError(f"{root} has both {folders[0][0]}/ and real/ or fake/: which is meant? Move one of them away")
    for split, folder in folders:
        for label, name in enumerate(CLASSES):
            files = list_video_files(folder / name)
            if not files:
                what = "holds no videos" if (folder / name).is_dir() else "is missing"
                raise InputError(f"{folder / name} {what}: expected real/ and fake/ with videos in {folder}")
            for path in files:
                method, *rest = path.relative_to(folder / name).parts
                yield Video(path, label, split, method if label and rest else "")


def find_listed(file: Path) -> Iterator[Video]:
    """The videos in a CSV with the columns path, label and optionally group, split, method."""
    expected = "each path once, label real, fake, 0 or 1, split train, val or test"
    labels = {"real": 0, "0": 0, "fake": 1, "1": 1}
    seen = {Path(os.path.normpath(file.parent))}  # what an empty path would be
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        try:
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                raise InputError(f"{file}, line 1: {reader.fieldnames}, expected path,label[,group,split,method]")
            for row in reader:
                path = Path(os.path.normpath(file.parent / (row["path"] or "")))
                label, split = labels.get((row["label"] or "").strip().lower()), row.get("split") or "train"
                if path in seen or "\0" in str(path) or label is None or split not in SPLITS:
                    raise InputError(f"{file}, line {reader.line_num}: {list(row.values())}, expected {expected}")
                seen.add(path)
                related = [f"group {row['group']}"] if row.get("group") else []
                yield Video(path, label, split, row.get("method") or "", related=related)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{file}, after line {reader.line_num}: not a CSV in UTF-8 ({error})") from error


def relate_by_names(videos: list[Video]) -> None:
    """Relate each fake to the real videos whose names are joined in its own by `_`, where nothing else is known of it.

    `fake/000_003.mp4` is related to `real/000.mp4`, to `real/003.mp4`, and to other fakes of the two. A name is looked
    up in the video's own split first, since people number each split from 1.
    """
    named = defaultdict(list)
    for video in videos:
        for split in (video.split, "any") if video.label == 0 else ():
            named[split, video.path.stem].append(video.video)
    for video in videos:
        if video.label == 1 and not video.related:
            words = video.path.stem.split("_")
            names = ["_".join(words[i:j]) for i, j in combinations(range(len(words) + 1), 2)]
            reals = [real for name in names for real in named.get((video.split, name)) or named.get(("any", name), ())]
            pair = [f"{video.split} {sorted(words)}"] if len(words) > 1 else []
            video.related = reals + pair
            video.clip = video.clip or (reals[0] if reals else "")
        video.clip = video.clip or video.video


def group_related(videos: list[Video]) -> None:
    """Put into one group what is related, directly or through others. A group is named after its first video."""
    sharing = defaultdict(list)
    for video in videos:
        for item in (video.video, *video.related):
            sharing[item].append(video)
    for first in videos:
        reached = [] if first.group else [first]
        while reached:
            video = reached.pop()
            video.group = first.video
            for item in (video.video, *video.related):
                reached += sharing.pop(item, ())  # each item is followed once


# name, what is looked for in the root (one of these is enough), reader
LAYOUTS = (
    ("FaceForensics++", ("original_sequences", "manipulated_sequences"), find_faceforensics),
    ("Celeb-DF", tuple(CELEB_DF_FOLDERS), find_celeb_df),
    ("class folders", (*CLASSES, *SPLITS), find_class_folders),
    ("DFDC", ("metadata.json", "*/metadata.json"), find_dfdc),
)


def recognise_layout(root: Path) -> tuple[str, Callable]:
    """Name and reader of the layout of a data set's root, or of a CSV that lists videos."""
    if root.is_file():
        return "list", find_listed
    if not root.is_dir():
        hint = "draw the sample set with `python data/make_sample.py`, or " if root == SAMPLE_DIR else ""
        raise InputError(f"{root} is not a folder: {hint}point --videos-dir at a folder with real/ and fake/ in it")
    for name, patterns, reader in LAYOUTS:
        if any(any(root.glob(pattern)) for pattern in patterns):
            return name, reader
    expected = "; ".join(f"{name}: {' or '.join(patterns)}" for name, patterns, _ in LAYOUTS)
    raise InputError(f"{root} has the layout of no data set that is known. Looked for {expected}")


def find_videos(root: str | os.PathLike, compression: str = "") -> list[Video]:
    """The videos of a data set, sorted by identifier; prints which layout it has and what was found.

    `root` is the data set's folder, or a CSV that lists videos. `compression` narrows FaceForensics++ to `raw`, `c23`
    or `c40`. Raises InputError where the layout is none of LAYOUTS or is not kept to.
    """
    root = Path(root)
    layout, reader = recognise_layout(root)
    print(f"Videos     {root}, layout: {layout}")
    base = root.parent if root.is_file() else root
    videos = list(reader(root))
    for video in videos:
        video.video = printable(os.path.relpath(video.path, base))
    if layout == "FaceForensics++" and compression:
        videos = [video for video in videos if f"/{compression}/" in video.video]
    videos.sort(key=lambda video: video.video)
    relate_by_names(videos)
    group_related(videos)
    for split in SPLITS:
        members = [video for video in videos if video.split == split]
        counts = Counter((CLASSES[video.label], video.method) for video in members)
        for (label, method), n in sorted(counts.items(), reverse=True):
            print(f"  {split:<6} {label:<5} {method:<18} {n:>6}")
        if members:
            print(f"  {split:<6} in {len({video.group for video in members})} groups")
    groups, joined = {video.group for video in videos}, {video.group for video in videos if video.related}
    print(f"  in all {len(groups)} groups, {len(joined)} of them of people or videos that belong together")
    for label, name in enumerate(CLASSES):
        if not any(video.label == label and video.split == "train" for video in videos):
            raise InputError(f"{root} has no {name} video to train on" + f" ({compression=})" * bool(compression))
    return videos


# --- Frames ---------------------------------------------------------------------------------------


@dataclass
class SampledVideo:
    """The frames taken from a video, and what is known of the video."""

    frames: list  # what `transform` made of each frame
    numbers: np.ndarray  # (n,) int32, the frames' numbers in the video, ascending
    facts: dict  # as in <split>_videos.csv; frames: that decode, fps: as the container says, width, height: upright
    boxes: np.ndarray | None = None  # (n, 4) x, y, width, height in pixels, of the face that was cropped to


def quiet_decoder() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: a broken file is reported once, by us, with its name."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def sample_frame_numbers(total: int, n: int) -> list[int]:
    """The middle of each of n equal shares of a video, ascending and unique; all frames where there are fewer."""
    n = max(0, min(n, total))
    return [(2 * i + 1) * total // (2 * n) for i in range(n)]


def bgr_to_rgb(frame: np.ndarray, number: int) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def resize_frame(frame: np.ndarray) -> torch.Tensor:
    """(3, 224, 224) uint8 RGB from an (H, W, 3) uint8 BGR frame, within one grey level of PIL's bilinear resize."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]  # a view: channels-last in memory, the fast form
    size = (FRAME_SIZE, FRAME_SIZE)
    return nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)[0].flip(0)


def read_frames(
    path: str | os.PathLike, n: int, transform: Callable = bgr_to_rgb, choice: str = "exact", threads: int = 1
) -> SampledVideo:
    """n evenly spaced frames of a video, each at the middle of its share of the frames that really decode.

    `transform` gets each of them as (H, W, 3) uint8 BGR, and its number; by default they come back as (H, W, 3) uint8
    RGB. With the `choice` nearest-reference, instead of the exact frame the next one is taken that other frames are
    predicted from; the rest is not decoded. Raises InputError with the reason where the file gives no frame.
    """
    path = Path(path)
    if printable(path) != path.as_posix():
        raise InputError("its name is not valid UTF-8 or has control characters: rename it")
    if not path.is_file():  # also keeps OpenCV from waiting for a named pipe
        missing = "a broken link" if path.is_symlink() else "no such file"
        raise InputError("not a file" if path.exists() else missing)
    if path.stat().st_size == 0:
        raise InputError("empty file")
    try:
        times, is_key, promised = scan_packets(path)
        total, sampled, passes = len(times), None, 0
        if total and total == promised and np.array_equal(np.sort(times), np.arange(total) + times.min()):
            key_frames = np.sort(times[is_key] - times.min())
            sampled = decode(path, n, transform, total, threads, times.min(), key_frames, choice != FRAME_CHOICES[0])
        while sampled is None or sampled.facts["frames"] != total:  # packets gave no frame: go by those that did
            if (passes := passes + 1) > 3:
                raise InputError("gives another number of frames each time it is read")
            total = total if sampled is None else sampled.facts["frames"]
            sampled = decode(path, n, transform, total, 1)  # several threads patch damage in another way each time
    except cv2.error as error:
        raise InputError(f"OpenCV cannot read it: {error.err}") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    if not sampled.frames:
        raise InputError("its frames cannot be converted to BGR")
    return sampled


def open_capture(path: Path, *parameters: int, only_references: bool = False) -> cv2.VideoCapture:
    with OPENING:  # what to skip is said in the environment, which all threads share
        try:
            if only_references:
                os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "avdiscard;nonref"
            capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, parameters)
        finally:
            if only_references:
                del os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"]
    if not capture.isOpened():
        raise InputError(explain_unopened(path))
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        raise InputError(f"{width} x {height} pixels a frame, more than the {MAX_PIXELS} that are accepted")
    return capture


def explain_unopened(path: Path) -> str:
    """Why FFmpeg finds no video stream in a file, as far as its own bytes tell."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] == b"ftyp":  # MP4 and MOV
            index = data.find(b"moov") - 4
            if index < 0 or index + int.from_bytes(data[index : index + 4]) > len(data):
                return "truncated: the index (moov) of this MP4 file is missing or cut off"
            return "damaged MP4 file" if data.find(b"vide", index) > 0 else "no video stream"
        containers = (b"RIFF", b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba", b"0&\xb2u", b"GIF8")  # AVI, Matroska, ...
        return "no video stream, or damaged" if data[:16].startswith(containers) else "not a video"


def scan_packets(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Of each packet the time it is shown at, (n,) int64 in frames, and whether it is a key frame; the header's count.

    Nothing is decoded.
    """
    capture = open_capture(path, cv2.CAP_PROP_FORMAT, -1)
    packets = []
    while capture.grab():
        packets.append((round(capture.get(cv2.CAP_PROP_PTS)), capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)))
    times, is_key = np.array(packets, np.int64).reshape(-1, 2).T
    return times, is_key.astype(bool), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))


def decode(
    path: Path, n: int, transform: Callable, total: int, threads: int, start=None, key_frames=(), only_references=False
) -> SampledVideo | None:
    """Go through a video once, keep the frames that a length of `total` asks for, and find how many there are.

    Frames are counted, or else known by their time, given that of the first as `start`. Only then it is possible to
    jump to a key frame, and to skip frames; None where a frame is not at its time: so a wrong jump is noticed.
    """
    capture = open_capture(path, cv2.CAP_PROP_N_THREADS, threads, only_references=only_references)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace").lower()
    frames, numbers, shape, number = [], [], (0, 0), -1
    wanted = deque(sample_frame_numbers(total, n))
    while True:
        if wanted and not only_references:
            # OpenCV looks for a key frame 16 frames or more before the one it is asked for
            before = bisect.bisect_right(key_frames, wanted[0] - 16)
            if before and key_frames[before - 1] > number + 16:
                capture.set(cv2.CAP_PROP_POS_FRAMES, wanted[0])
                number = wanted[0] - 1
        if not capture.grab():  # decodes; retrieve() converts, which only the wanted frames need
            break
        number += 1
        if start is not None:
            time = round(capture.get(cv2.CAP_PROP_PTS)) - start
            if time < number or (time > number and not only_references):
                return None
            number = time
        if wanted and number >= wanted[0]:
            wanted.popleft()
            ok, frame = capture.retrieve()
            if ok:
                shape = shape if frames else frame.shape[:2]
                frames.append(transform(frame, number))
                numbers.append(number)
    if start is None:
        total = number + 1
    elif wanted or (number + 1 != total and not only_references):
        return None
    if total == 0:
        raise InputError(f"0 frames decoded: codec {codec} not supported by this OpenCV, or damaged")
    promised, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    fps = round(fps, 4) if np.isfinite(fps) and fps > 0 else 0.0
    facts = {"frames": total, "width": shape[1], "height": shape[0], "fps": fps}
    facts |= {"duration": round(total / fps, 4) if fps else "", "size": path.stat().st_size}
    facts["note"] = f"{total} of {promised} frames: truncated, damaged or miscounted" if total < promised else ""
    return SampledVideo(frames, np.array(numbers, np.int32), facts)


# --- Faces ----------------------------------------------------------------------------------------


def load_face_detector(copy: Path | None = None) -> cv2.FaceDetectorYN:
    """YuNet from torch's cache, see fetch. For one thread: it is not thread-safe."""
    file = fetch(FACE_MODEL_URL, FACE_MODEL_SHA256, "name a copy with feature_extraction.py --face-model PATH", copy)
    model, no_config = np.fromfile(file, np.uint8), np.empty(0, np.uint8)  # given its path OpenCV wants it in ASCII
    # upright faces in the clips tried had scores of 0.74 and more, noise had none
    return cv2.FaceDetectorYN.create("onnx", model, no_config, (DETECTION_SIZE, DETECTION_SIZE), score_threshold=0.6)


def shrink(frame: np.ndarray, longest: int) -> np.ndarray:
    """The frame scaled down to a longer side of `longest`, if it is not as small already."""
    scale = min(1, longest / max(frame.shape[:2]))
    size = [max(1, round(side * scale)) for side in frame.shape[1::-1]]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def detect_faces(detector: cv2.FaceDetectorYN, frame: np.ndarray) -> np.ndarray:
    """(k, 4) boxes in an (H, W, 3) uint8 BGR frame, largest first: x, y, width, height in pixels."""
    small = shrink(frame, DETECTION_SIZE)
    size, full_size = small.shape[1::-1], frame.shape[1::-1]
    detector.setInputSize(size)
    faces = detector.detect(small)[1]
    boxes = np.empty((0, 4)) if faces is None else faces[:, :4] * np.tile(np.divide(full_size, size), 2)
    return boxes[np.argsort(-boxes[:, 2:].max(1), kind="stable")][:MAX_FACES]


def follow_face(detections: list[np.ndarray], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Of the (k, 4) boxes in each of n frames that of the one person to look at: its index (n,), and the box (n, 4).

    Where the person is not seen the index is -1, and the box lies on straight lines, by the frames' numbers (n,),
    between those before and after; None where nobody is seen at all.

    It is the way through the frames with the largest sum, over its boxes, of the square root of the size, which is the
    longer side, less what movement costs: large, in many frames, constant. Movement is the distance of half the place
    and all of the size, relative to the size. It costs a box's worth at most 0.75 times, so a person who walks, or is
    elsewhere after a cut, is followed, but a box elsewhere in a single frame does not pay. Two boxes are joined only if
    each is nearest to the other in its frame: nobody is left for somebody else in the picture. Found by dynamic
    programming over the boxes.
    """
    places, totals, before, owner, starts = np.empty((0, 3)), np.empty(0), [], [], []
    for frame, boxes in enumerate(detections):
        if not len(boxes):
            continue
        size = boxes[:, 2:].max(1)
        place = np.column_stack([(boxes[:, :2] + boxes[:, 2:] / 2) / 2, size])
        linked = np.zeros((1, len(boxes)))  # the first row: to begin here
        if len(places):
            moved = np.linalg.norm(places[:, None] - place, axis=2)
            counts = np.diff([*starts, len(places)])
            nearest = moved == np.repeat(np.minimum.reduceat(moved, starts), counts, axis=0)
            nearest &= moved == moved.min(1, keepdims=True)
            larger = np.maximum(places[:, 2:], size)
            loss = np.sqrt(larger) * np.minimum(moved / larger, 0.75)
            linked = np.vstack([linked, np.where(nearest, totals[:, None] - loss, 0)])
        starts.append(len(places))
        owner += [(frame, k) for k in range(len(boxes))]
        before += (linked.argmax(0) - 1).tolist()
        places, totals = np.concatenate([places, place]), np.concatenate([totals, np.sqrt(size) + linked.max(0)])
    chosen = np.full(len(detections), -1)
    if not owner:
        return chosen, None
    box = totals.argmax()
    while box >= 0:
        frame, k = owner[box]
        chosen[frame] = k
        box = before[box]
    seen = np.flatnonzero(chosen >= 0)
    known = np.array([detections[i][chosen[i]] for i in seen])
    return chosen, np.column_stack([np.interp(numbers, numbers[seen], column) for column in known.T])


def place_square(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of the square around a box, `margin` times its longer side.

    It is shifted into the frame of this shape (H, W, ...); along a side that it is longer than, it holds all of it.
    """
    side = max(1, round(margin * max(box[2:])))
    free = np.array(shape[1::-1]) - side
    corner = np.clip(np.round(box[:2] + (box[2:] - side) / 2), np.minimum(free, 0), np.maximum(free, 0))
    return *corner.astype(int).tolist(), side


def crop_square(frame: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """(side, side, 3) of an (H, W, 3) frame: see place_square. What lies outside repeats the frame's edge."""
    left, top, side = place_square(box, margin, frame.shape)
    outside = -top, top + side - frame.shape[0], -left, left + side - frame.shape[1]
    inside = frame[max(top, 0) : top + side, max(left, 0) : left + side]
    return cv2.copyMakeBorder(inside, *np.maximum(outside, 0).tolist(), cv2.BORDER_REPLICATE)


def sample_video(path: str | os.PathLike, settings: dict, threads: int = 1) -> SampledVideo:
    """A video's frames as the network gets them, (3, 224, 224) uint8 RGB, by the settings that extraction.json holds.

    With face crops they are those of one person. Raises InputError with the reason, `no face found` among them.
    """
    choice, crop = settings.get("frame_choice", FRAME_CHOICES[0]), settings.get("crop", "none")
    read = partial(read_frames, path, settings["frames_per_video"], choice=choice, threads=threads)
    if crop == "none":
        return read(lambda frame, number: resize_frame(frame))
    detector = load_face_detector()

    def cut_all(frame: np.ndarray, number: int) -> tuple[np.ndarray, list[torch.Tensor]]:
        found = detect_faces(detector, frame)
        return found, [resize_frame(crop_square(frame, box, crop["margin"])) for box in found]

    sampled = read(cut_all)  # who is followed shows at the end: so all faces are cut out, and no frame is kept
    chosen, boxes = follow_face([found for found, _ in sampled.frames], sampled.numbers)
    if boxes is None and crop["no_face"] == "fail":
        raise InputError(f"no face found in {len(chosen)} frames")
    if (chosen >= 0).all():
        frames = [crops[k] for (_, crops), k in zip(sampled.frames, chosen, strict=True)]
    else:  # read again, now that it is known where to look
        box_at = {} if boxes is None else dict(zip(sampled.numbers.tolist(), boxes, strict=True))

        def cut(frame: np.ndarray, number: int) -> torch.Tensor:
            return resize_frame(crop_square(frame, box_at[number], crop["margin"]) if number in box_at else frame)

        again = read(cut)
        if not np.array_equal(again.numbers, sampled.numbers):
            raise InputError("gives other frames each time it is read")
        frames = again.frames
    facts = sampled.facts | {"face_share": round(float(np.mean(chosen >= 0)), 4)}
    return SampledVideo(frames, sampled.numbers, facts, boxes)


# --- Features -------------------------------------------------------------------------------------


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises InputError for a CUDA device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {name}: torch {torch.__version__} finds no CUDA device here; use --device cpu")
    if name == "cuda":  # under torchrun each process of a machine takes a GPU of its own
        return torch.device(name, int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    return torch.device(name)


def load_torch_file(path: str | os.PathLike, what: str) -> dict:
    """A dict from a file that torch.save wrote, on the CPU. Nothing in the file is run. Raises InputError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}") from None
    except (*DAMAGED, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is damaged or of another kind, expected {what}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected {what}")
    return content


def load_backbone(weights: str = "imagenet", device: str | torch.device = "cpu") -> tuple[nn.Module, dict]:
    """ResNet-18 in eval mode, and the provenance of its weights: {"name", "sha256"}.

    `weights` is `imagenet` (torchvision's IMAGENET1K_V1, downloaded once into torch's cache), `random` (untrained,
    from a fixed seed) or the path of a state dict. The sha256 is taken over the tensors, not over the file. Batch
    norm is folded into the convolutions. Raises DownloadError where there is no network, InputError for a wrong file.
    """
    if weights == "imagenet":
        preset = ResNet18_Weights.IMAGENET1K_V1
        prefix = Path(preset.url).stem.rpartition("-")[2]  # torch names a weights file after the start of its sha256
        fetch(preset.url, prefix, "name a copy with --weights PATH, or use an untrained network with --weights random")
        model = resnet18(weights=preset)
    elif weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = resnet18(weights=None)
    else:
        model, state = resnet18(weights=None), load_torch_file(weights, "imagenet, random or a ResNet-18 state dict")
        try:
            model.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise InputError(f"{weights} is no state dict of torchvision's ResNet-18 with 1000 outputs") from error
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    model.eval().requires_grad_(False)
    for block in list(model.modules()):
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):  # 0 and 1 of a shortcut's Sequential
            if isinstance(getattr(block, norm, None), nn.BatchNorm2d):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: features on CUDA must agree with the CPU's
    return model.to(device, memory_format=torch.channels_last), {"name": str(weights), "sha256": digest.hexdigest()}


@torch.inference_mode()
def compute_features(backbone: nn.Module, frames: torch.Tensor) -> np.ndarray:
    """(n, 1000) float32 features of (n, 3, 224, 224) uint8 RGB frames of one video.

    A video's frames go through the network by themselves, so its features do not depend on its neighbours.
    """
    device = next(backbone.parameters()).device
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(3, 1, 1)
    frames = frames.pin_memory() if device.type == "cuda" else frames
    features = []
    for chunk in frames.split(8 if device.type == "cpu" else 64):  # on a CPU 8 is fastest a frame
        pixels = chunk.to(device, non_blocking=True).float().div(255).sub(mean).div(std)
        features.append(backbone(pixels.contiguous(memory_format=torch.channels_last)).cpu())
    return torch.cat(features).numpy()


def extract_video(path: Path, backbone: nn.Module, settings: dict, threads: int = 1) -> tuple[np.ndarray, SampledVideo]:
    """(n, 1000) float32 features of a video's sampled frames, and the frames. Raises InputError with the reason."""
    sampled = sample_video(path, settings, threads)
    features = compute_features(backbone, torch.stack(sampled.frames))
    if not np.isfinite(features).all():
        raise InputError("the network's features are not finite")
    return features, sampled


def count_cores() -> int:
    """The cores that this process may use; under torchrun the processes of a machine share them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def map_threads(function: Callable, items: Iterable, num_workers: int) -> Iterator:
    """function(item) for each item, in order, from a pool of threads with single-threaded torch and OpenCV each.

    Both release the GIL, so a thread that takes a video from decoding to features keeps a core busy.
    """
    cv2.setNumThreads(1)  # of the whole process; two cost the face detector a tenth more CPU time
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    waiting = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 64 * num_workers:  # so memory stays bounded, and one long video holds nobody up
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


# --- Files ----------------------------------------------------------------------------------------


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block ends without an error: whole or not at all."""
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:  # a full disk does not say where
        raise OSError(error.errno, error.strerror or str(error), str(error.filename or path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder until the block ends. The system lets go of it even if the process is killed."""
    with open(folder / "cache/.lock", "w") as file:
        try:
            if fcntl:  # not on Windows
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run is writing to {folder}: wait for it, or name another folder") from None
        except OSError as error:  # some shared file systems have no locks
            print(f"WARNING: {folder} cannot be locked ({error.strerror}): start no second run", file=sys.stderr)
        for leftover in (*folder.glob(".*.new.*"), *folder.glob("cache/.*.new.*")):  # of a run that was killed
            leftover.unlink()
        yield


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """Each row as it comes, these columns of it. An apostrophe goes before text that a spreadsheet would compute."""
    with open(path, "w", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for k, v in row.items()})


def read_csv(path: Path) -> list[dict]:
    """The rows of a file of write_csv."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v[1:] if v and v[0] == "'" and v[1:].startswith(FORMULA) else v for k, v in row.items()} for row in rows
    ]


def package_versions() -> dict:
    modules = {"torch": torch, "torchvision": torchvision, "opencv": cv2, "numpy": np}
    return {"python": platform.python_version()} | {name: str(m.__version__) for name, m in modules.items()}


def cache_key(video: Video, settings: dict) -> str:
    """What must be unchanged for a cached video to be used again. Raises InputError where there is no such file."""
    try:
        stat = video.path.stat()
    except OSError as error:
        raise InputError("a broken link" if video.path.is_symlink() else error.strerror) from error
    return json.dumps({"video": video.video, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns} | settings)


def cache_file(video: Video, folder: Path) -> Path:
    return folder / "cache" / f"{hashlib.sha256(video.video.encode()).hexdigest()[:32]}.npz"


def load_cached(video: Video, folder: Path, settings: dict) -> dict | None:
    """{"features", "numbers", "row"} of a finished video; None where that is missing, damaged or made otherwise."""
    try:
        with np.load(cache_file(video, folder), allow_pickle=False) as file:
            if str(file["key"]) == cache_key(video, settings):
                return {"features": file["features"], "numbers": file["numbers"], "row": json.loads(str(file["row"]))}
    except (*DAMAGED, NotImplementedError):
        pass
    return None


def try_alone(path: Path, settings: dict, key: str, marker: Path) -> None:
    """Read a video in a process of its own, since the run that left its marker ended while reading it.

    Raises InputError if that goes wrong too, and leaves the reason in the marker for later runs.
    """
    known, _, reason = marker.read_text(encoding="utf-8", errors="replace").partition("\n")
    if known != key or not reason:
        code = (
            "import json, signal, sys, feature_extraction as fe\n"
            "path, settings, seconds = sys.argv[1:]\n"
            "getattr(signal, 'alarm', int)(int(seconds))  # should this process outlive its parent\n"
            "fe.sample_video(path, json.loads(settings))"
        )
        how = json.dumps(settings), str(HANGS_AFTER + 60)
        command = [sys.executable, "-c", code, os.path.abspath(path), *how]
        options = {"cwd": Path(__file__).parent, "capture_output": True, "start_new_session": True}
        try:
            status = subprocess.run(command, timeout=HANGS_AFTER, **options).returncode
            reason = "" if status in (0, 1) else f"the decoder crashes on it (status {status})"
        except subprocess.TimeoutExpired:
            reason = f"the decoder does not come to an end within {HANGS_AFTER} s"
    if reason:
        marker.write_text(f"{key}\n{reason}", encoding="utf-8")
        raise InputError(f"{reason}; an earlier run had ended while reading it")


def process_video(video: Video, backbone: nn.Module, folder: Path, settings: dict, overwrite: bool) -> tuple:
    """Bring a video's features into the cache: (frames used, reason where there are none, from the cache or redone)."""
    file = cache_file(video, folder)
    marker, state = file.with_suffix(".reading"), "redone" if file.is_file() else "new"
    if not overwrite and (cached := load_cached(video, folder, settings)):
        return len(cached["numbers"]), "", "cached"
    try:
        key = cache_key(video, settings)
        if marker.is_file() and not overwrite:
            try_alone(video.path, settings, key, marker)
        marker.write_text(key, encoding="utf-8")  # stays behind if the process dies: a decoder can crash, or hang
        try:
            features, sampled = extract_video(video.path, backbone, settings)
        finally:
            marker.unlink(missing_ok=True)
    except InputError as error:
        return 0, str(error), state
    with replacing(file) as path:
        np.savez(path, features=features, numbers=sampled.numbers, row=json.dumps(sampled.facts), key=key)
    return len(features), "", state


def write_split(videos: list[Video], n: int, folder: Path, settings: dict, prefix: str, new_file: Callable) -> None:
    """Gather a split's cached videos, n frames in all. `new_file(name)` gives the path to write a file to."""
    labels, frames, rows, end = np.empty(n, np.int64), np.empty((n, 2), np.int32), [], 0
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, N_FEATURES)}
    with open(new_file(f"{prefix}_features.npy"), "wb") as file:  # not a memory map: a full disk would kill the process
        np.lib.format.write_array_header_1_0(file, header)
        for index, video in enumerate(videos):
            cached = load_cached(video, folder, settings)
            if cached is None:
                raise InputError(f"{video.path} or its cached features changed during the run: run the command again")
            part = slice(end, end := end + len(cached["numbers"]))
            file.write(cached["features"].astype("<f4").tobytes())
            labels[part], frames[part, 0], frames[part, 1] = video.label, index, cached["numbers"]
            rows.append(
                {key: getattr(video, key) for key in ("video", "label", "method", "group", "clip")} | cached["row"]
            )
    np.save(new_file(f"{prefix}_labels.npy"), labels)
    np.save(new_file(f"{prefix}_frames.npy"), frames)
    write_csv(new_file(f"{prefix}_videos.csv"), rows[0], rows)


def preview_video(path: Path, settings: dict) -> tuple[str, list[tuple]]:
    """What is found in a video, and of three frames the number, the frame with box and crop, what the network gets."""
    try:
        sampled = sample_video(path, settings)
        shown = sample_frame_numbers(len(sampled.frames), 3)
        boxes = {sampled.numbers[i]: None if sampled.boxes is None else sampled.boxes[i] for i in shown}
        drawn = {}

        def draw(frame: np.ndarray, number: int) -> None:
            if number in boxes:
                if (box := boxes[number]) is not None:
                    left, top, side = place_square(box, settings["crop"]["margin"], frame.shape)
                    thickness = 1 + max(frame.shape) // 200
                    cv2.rectangle(frame, (left, top, side, side), (0, 159, 230), thickness)  # orange
                    cv2.rectangle(frame, np.round(box).astype(int).tolist(), (233, 180, 86), thickness)  # blue
                drawn[number] = bgr_to_rgb(shrink(frame, 480), number)

        read_frames(path, settings["frames_per_video"], draw, settings["frame_choice"])
        if not boxes.keys() <= drawn.keys():
            raise InputError("gives other frames each time it is read")
    except InputError as error:
        return str(error), []
    what = f"face in {100 * sampled.facts['face_share']:.1f} % of" if "face_share" in sampled.facts else "whole"
    rows = [
        (number, drawn[number], sampled.frames[i].permute(1, 2, 0).numpy())
        for i, number in zip(shown, boxes, strict=True)
    ]
    return f"{what} {len(sampled.frames)} frames", rows


def write_preview(videos: list[Video], settings: dict, num_workers: int, path: Path) -> None:
    """A contact sheet of videos, a row each."""
    figure = Figure((12, 2.1 * len(videos)), layout="constrained")
    parts = figure.subfigures(len(videos), 1, squeeze=False)[:, 0]
    with closing(map_threads(lambda video: preview_video(video.path, settings), videos, num_workers)) as previews:
        for video, part, (title, frames) in zip(videos, parts, previews, strict=True):
            part.suptitle(f"{video.video}: {title}", fontsize=9, parse_math=False)
            grid = part.subplots(1, 6, width_ratios=(16, 9) * 3)
            for i, (number, whole, seen) in enumerate(frames):
                grid[2 * i].imshow(whole)
                grid[2 * i].set_title(f"frame {number}", fontsize=8)
                grid[2 * i + 1].imshow(seen)
            for axes in grid:
                axes.axis("off")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


# --- The run --------------------------------------------------------------------------------------


def process_all(videos: list[Video], process: Callable, num_workers: int, rank: int, world_size: int) -> list | None:
    """What process(video) gives for each video; done by all processes that torchrun started, given to the first."""
    mine, results, n, start = videos[rank::world_size], [], 0, time.perf_counter()
    with (
        closing(map_threads(process, mine, num_workers)) as outcomes,
        tqdm(total=len(mine), unit="video", desc="extracting", disable=True if rank else None) as progress,
    ):
        for video, outcome in zip(mine, outcomes, strict=True):
            results.append(outcome)
            n += outcome[0]
            if not outcome[0]:
                progress.write(f"failed: {video.video}: {outcome[1]}", file=sys.stderr)
            progress.set_postfix_str(f"{n / (time.perf_counter() - start):.0f} frames/s", refresh=False)
            progress.update()
    if world_size == 1:
        return results
    gathered = None if rank else [[]] * world_size
    torch.distributed.gather_object(results, gathered)
    torch.distributed.barrier()  # else torch 2.4 may free what was gathered while the group ends, and hang
    torch.distributed.destroy_process_group()
    return None if rank else [gathered[i % world_size][i // world_size] for i in range(len(videos))]


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Extract ResNet-18 features from the frames of real and fake videos.",
        epilog="Exit status: 0 done, 1 an input is wrong, 2 a flag is wrong.",
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    # what to read and where to write
    add("--videos-dir", type=Path, default=SAMPLE_DIR, help=f"of one of the layouts in README {default}")
    add("--videos-csv", type=Path, help="a list of videos instead: path,label[,group,split,method]")
    add("--compression", default="", choices=COMPRESSIONS, help="of FaceForensics++, if not all that are there")
    add("--features-dir", type=Path, default="features", help=f"where to write {default}")
    # how the features are made
    add("--frames-per-video", type=int, default=32, help=f"evenly spaced; a shorter video gives all it has {default}")
    add("--frame-choice", choices=FRAME_CHOICES, default=FRAME_CHOICES[0], help=f"the second is faster {default}")
    add("--crop-faces", action="store_true", help="instead of whole frames, the face of one person a video")
    add("--face-margin", type=float, default=1.3, help=f"side of the crop in longer sides of the face's box {default}")
    add("--no-face", choices=("fail", "whole"), default="fail", help=f"a video without one: whole frames, or {default}")
    add("--face-model", type=Path, help="put this copy of YuNet into torch's cache, instead of downloading it")
    add("--weights", default="imagenet", help=f"of ResNet-18: imagenet, random or the path of a file {default}")
    # how to run
    add("--num-workers", type=int, default=count_cores(), help="videos at once (default: one a core, %(default)s)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"auto is cuda where there is one {default}")
    add("--preview", type=int, default=0, metavar="N", help="only write preview.png: what the network sees of N videos")
    add("--overwrite", action="store_true", help="do not go on from an earlier run: extract all again")
    args = parser.parse_args(argv)
    limits = {"frames_per_video": (1, 10**4), "num_workers": (1, 10**4), "preview": (0, 100), "face_margin": (1, 5)}
    for flag, (low, high) in limits.items():
        if not low <= (value := getattr(args, flag)) <= high:
            parser.error(f"--{flag.replace('_', '-')} is {value}, expected {low} to {high}")
    for flag in ("face_model", "face_margin", "no_face"):
        if not args.crop_faces and getattr(args, flag) != parser.get_default(flag):
            parser.error(f"--{flag.replace('_', '-')} goes with --crop-faces")

    quiet_decoder()
    rank, world_size = 0, 1
    if torch.distributed.is_torchelastic_launched():  # by torchrun; whoever is done first waits for the last
        torch.distributed.init_process_group("gloo", timeout=timedelta(days=30))
        rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        if rank:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    folder, source = args.features_dir, args.videos_csv or args.videos_dir
    if args.videos_csv and not source.is_file():
        raise InputError(f"--videos-csv {source}: no such file")
    crop = "none"
    if args.crop_faces:
        load_face_detector(args.face_model)
        crop = {"detector_sha256": FACE_MODEL_SHA256, "margin": args.face_margin, "no_face": args.no_face}
    videos = find_videos(source, args.compression)
    root = source.parent if args.videos_csv else source
    settings = {
        "frames_per_video": args.frames_per_video,
        "frame_choice": args.frame_choice,
        "sampling": "the middle frame of each of n equal shares of the video",
        "crop": crop,
        "frame_size": FRAME_SIZE,
        "versions": package_versions(),
    }
    if args.preview and rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        shown = [videos[i] for i in sample_frame_numbers(len(videos), args.preview)]
        write_preview(shown, settings, args.num_workers, folder / "preview.png")
        print(f"Written    {folder / 'preview.png'}: {len(shown)} of {len(videos)} videos; nothing was extracted")
    if args.preview:
        return
    sample = read_drawn_by(root)
    device = pick_device(args.device)
    try:
        backbone, weights = load_backbone(args.weights, device)
    except DownloadError as error:
        if sample is None:
            raise
        backbone, weights = load_backbone("random", device)
        weights["instead_of"] = "imagenet"
        print(f"WARNING: {error}", file=sys.stderr)
        print("WARNING: this is the drawn sample set, so the run goes on with an UNTRAINED network", file=sys.stderr)
    settings = {"weights": weights, "device": device.type} | settings

    print(f"Backbone   ResNet-18, weights: {weights['name']} (sha256 {weights['sha256'][:8]})")
    print(f"Frames     {args.frames_per_video} a video ({args.frame_choice}), {FRAME_SIZE} x {FRAME_SIZE}")
    if args.crop_faces:
        print(f"Faces      cropped by YuNet, margin {args.face_margin:g}; a video without one: {args.no_face}")
    print(f"Device     {device}, {world_size} x {args.num_workers} videos at once", flush=True)

    (folder / "cache").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if rank == 0:
            stack.enter_context(hold_folder(folder))
        if world_size > 1:
            torch.distributed.barrier()  # nobody writes before the folder is held
        process = partial(process_video, backbone=backbone, folder=folder, settings=settings, overwrite=args.overwrite)
        results = process_all(videos, process, args.num_workers, rank, world_size)
        if results is None:  # the first process does the rest
            return
        counts = {video.video: n for video, (n, *_) in zip(videos, results, strict=True) if n}
        failed = [
            {"video": video.video, "label": video.label, "reason": reason}
            for video, (n, reason, _) in zip(videos, results, strict=True)
            if not n
        ]
        states = Counter(state for n, _, state in results if n)
        n_fake = sum(row["label"] for row in failed)
        by_class = f" ({len(failed) - n_fake} real, {n_fake} fake)" if failed else ""  # one class may fail more often
        print(f"Result     {len(videos)} found = {len(counts)} used + {len(failed)} failed{by_class}")
        if states["cached"] + states["redone"] and not args.overwrite:
            redone = f"{states['redone']} done again, as the file or a setting had changed"
            print(f"Cache      {states['cached']} taken from an earlier run, {redone}")

        splits = {}
        for split in (split for split in SPLITS if any(video.split == split for video in videos)):
            splits[split] = [video for video in videos if video.split == split and video.video in counts]
            if not splits[split]:
                example = f"{failed[0]['video']}: {failed[0]['reason']}"
                raise InputError(f"no video of the {split} split in {root} can be used, {example}")
        n_frames = {split: sum(counts[video.video] for video in members) for split, members in splits.items()}
        report = {
            "created_by": "feature_extraction.py",
            "videos_dir": os.path.realpath(root),  # tells the leak audit whether two sets are the same
            "layout": recognise_layout(source)[0],
            "compression": args.compression or "all",
            "sample": sample,
            **settings,
            "counts": {"found": len(videos), "used": len(counts), "failed": len(failed), "frames": n_frames},
        }

        def new_file(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        for split in set(SPLITS) - set(splits):  # of an earlier run: they would be taken for a part of this one
            for name in ("features.npy", "labels.npy", "frames.npy", "videos.csv"):
                (folder / f"{split}_{name}").unlink(missing_ok=True)
        # all are written in full before the first takes its place; the first named is the last
        new_file("extraction.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        write_csv(new_file("failed.csv"), ("video", "label", "reason"), failed)
        for split, members in splits.items():
            write_split(members, n_frames[split], folder, settings, split, new_file)
    for split, n in n_frames.items():
        print(f"Written    {folder / split}_features.npy: ({n}, {N_FEATURES}) float32")


def leave(message: str) -> None:
    """End the process on Ctrl-C, at once if a decoder hangs; what else is under way has a few seconds to end well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(message, file=sys.stderr, flush=True)
    deadline = time.monotonic() + 5
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        leave("interrupted: the same command goes on from here")
