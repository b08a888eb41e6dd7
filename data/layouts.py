"""Which videos a data set has, each with its label, method, group and split."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from data.files import InputError, printable, read_json

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
VIDEO_SUFFIXES = ".mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv .asf .flv .f4v .3gp .gif .ts .mts .m2ts .vob .ogv .mxf"
VIDEO_SUFFIXES = (*VIDEO_SUFFIXES.split(), ".h264", ".264", ".hevc", ".265")
SAMPLE_DIR = Path("data/sample")
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
CELEB_DF_FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}


def read_drawn_by(root: Path) -> dict | None:
    """The sample.json that make_sample.py leaves in what it drew; None for anybody's own videos."""
    try:
        sample = read_json(root / "sample.json")
    except (InputError, OSError):
        return None
    return sample if sample.get("drawn_by") == "data/make_sample.py" else None


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
