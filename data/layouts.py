"""How each data set is recognised, and which videos it has: label, method, group, split."""

import csv
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from data.files import InputError, printable, read_json
from data.groups import Video, read_celeb_df_name, read_faceforensics_name, set_groups

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
SAMPLE_DIR = Path("data/sample")
VIDEO_ENDINGS = (
    "mp4 avi mov mkv webm m4v mpg mpeg wmv asf flv f4v 3gp gif "
    "ts mts m2ts vob ogv mxf h264 264 hevc 265"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in VIDEO_ENDINGS.split())

# --- Files ---


def list_video_files(folder: Path) -> list[Path]:
    """Sorted video files in a folder and below it. Hidden ones are left alone, links followed."""
    files, visited = [], set()
    for parent, folders, names in os.walk(folder, onerror=report_folder, followlinks=True):
        real_parent = os.path.realpath(parent)
        if real_parent in visited:  # a link that leads back up
            folders.clear()
            continue
        visited.add(real_parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(VIDEO_SUFFIXES) and not name.startswith("."):
                files.append(Path(parent, name))
    return sorted(files)


def report_folder(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        print(f"WARNING: videos may be left out: {error}", file=sys.stderr)


# --- FaceForensics++ ---


def find_faceforensics(root: Path) -> Iterator[Video]:
    """FaceForensics++ and, in the same tree, DeepFakeDetection (DFD).

    The official splits are used where their files are there; all else is for training.
    """
    split_of = read_faceforensics_splits(root)
    files = list_video_files(root / "original_sequences")
    files += list_video_files(root / "manipulated_sequences")
    for path in files:
        parts = path.relative_to(root).parts  # kind, method, compression, "videos", name
        if len(parts) != 5 or parts[2] not in COMPRESSIONS or parts[3] != "videos":
            continue  # masks, images
        clip, people = read_faceforensics_name(path.stem)
        splits = sorted({split_of.get(person, "train") for person in people})
        if len(splits) > 1:
            both = " and ".join(splits)
            raise InputError(f"{path} joins people of the official splits {both}: remove it")
        label = int(parts[0] == "manipulated_sequences")
        yield Video(
            path,
            label,
            split=splits[0],
            method=parts[1] if label else "",
            clip=clip,
            people=people,
        )


def read_faceforensics_splits(root: Path) -> dict[str, str]:
    """The split of each person in the official lists of pairs."""
    split_of = {}
    for split in SPLITS:
        for path in (root / f"{split}.json", root / "splits" / f"{split}.json"):
            pairs = read_json(path, list) if path.is_file() else []
            for pair in pairs:
                if not isinstance(pair, list) or [type(name) for name in pair] != [str, str]:
                    raise InputError(f'{path}: {pair} is not a pair of ids like ["000", "003"]')
                for name in pair:
                    other = split_of.setdefault(f"FaceForensics++ {name}", split)
                    if other != split:
                        raise InputError(f"{path}: {name} is in the {other} split too")
    return split_of


# --- Celeb-DF ---

CELEB_DF_FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}  # label


def find_celeb_df(root: Path) -> Iterator[Video]:
    """Celeb-DF v1 and v2. Its official test list is disjoint by video, not by people."""
    list_file = root / "List_of_testing_videos.txt"
    listed = read_celeb_df_list(list_file) if list_file.is_file() else set()
    found = set()
    for folder, label in CELEB_DF_FOLDERS.items():
        for path in list_video_files(root / folder):  # some copies have a level videos/
            name = f"{folder}/{path.name}"
            found.add(name)
            clip, people = read_celeb_df_name(path.stem)
            yield Video(
                path,
                label,
                split="test" if name in listed else "train",
                method=folder if label else "",
                clip=clip,
                people=people,
                group_keys=(clip,),  # of a video from YouTube nothing else is known
            )
    missing = listed - found
    if missing:
        example = f"{min(missing)} for one"
        print(f"  {len(missing)} videos in {list_file.name} are not there, {example}")


def read_celeb_df_list(file: Path) -> set[str]:
    """The videos of the official test list, as folder/name. Its labels are 1 = real, 0 = fake."""
    text = file.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    listed = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        label_of_folder = CELEB_DF_FOLDERS.get(name.partition("/")[0])
        if label_of_folder is None or label != str(1 - label_of_folder):
            problem = f"{line!r} does not fit the folder; 1 = real here, 0 = fake"
            raise InputError(f"{file}, line {number}: {problem}")
        listed.add(name)
    return listed


# --- DFDC ---


def find_dfdc(root: Path) -> Iterator[Video]:
    """DFDC, one part or several. A fake is in one group with its original.

    Of several parts each is one group, since the set does not tell who is in a video.
    """
    files = sorted((*root.glob("metadata.json"), *root.glob("*/metadata.json")))
    parts = {file.parent: {} for file in files}  # folder: {name: path}
    other = []
    for path in list_video_files(root):
        if path.parent in parts:
            parts[path.parent][path.name] = path
        else:
            other.append(path)
    if other:
        found = f"{len(other)} videos in folders without metadata.json"
        print(f"  {found} are left out, {other[0]} for one")
    for part, there in parts.items():
        file = part / "metadata.json"
        entries = read_json(file)
        part_key = [f"part {part.name}"] if len(parts) > 1 else []
        for name in sorted(entries.keys() & there.keys()):
            label, clip = read_dfdc_entry(file, name, entries[name])
            keys = (f"DFDC {name}", *part_key)
            yield Video(there[name], label, clip=clip, people=(clip,), group_keys=keys)
        missing = len(entries.keys() - there.keys())
        extra = sorted(there.keys() - entries.keys())
        counts = f"{len(entries)} listed, {missing} not there; {len(extra)} there but not listed"
        print(f"  {file}: {counts}", *extra[:3])


def read_dfdc_entry(file: Path, name: str, entry: dict) -> tuple[int, str]:
    """The label of a video, and its clip: a fake's original, or the video itself."""
    try:
        label = ("REAL", "FAKE").index(entry["label"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{file}: {name} has no label REAL or FAKE") from None
    return label, f"DFDC {entry.get('original') or name}"


# --- Class folders ---


def find_class_folders(root: Path) -> Iterator[Video]:
    """real/ and fake/, alone or below train/, val/ and test/. A folder below fake/ is a method."""
    folders = {split: root / split for split in SPLITS if (root / split).is_dir()}
    if folders and any((root / name).is_dir() for name in CLASSES):
        split = next(iter(folders))
        both = f"{root} has both {split}/ and real/ or fake/"
        raise InputError(f"{both}: which is meant? Move one of them away")
    for split, folder in (folders or {"train": root}).items():
        for label, name in enumerate(CLASSES):
            files = list_video_files(folder / name)
            if not files:
                problem = "holds no videos" if (folder / name).is_dir() else "is missing"
                expected = f"expected real/ and fake/ with videos in {folder}"
                raise InputError(f"{folder / name} {problem}: {expected}")
            for path in files:
                method, *rest = path.relative_to(folder / name).parts
                yield Video(path, label, split, method if label and rest else "")


# --- A list of videos ---

LIST_COLUMNS = "path,label[,group,split,method]"
LIST_LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


def check_list(file: Path) -> None:
    """Raise InputError where `file` cannot be a list of videos."""
    if file.is_dir():
        raise InputError(f"{file} is a folder: give it to --videos-dir, or name a CSV file")
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a CSV with the columns {LIST_COLUMNS}")
    if file.name.lower().endswith(VIDEO_SUFFIXES):
        expected = "name the folder that holds the videos, or a CSV that lists them"
        raise InputError(f"{file} is a video: {expected}")


def find_listed(file: Path) -> Iterator[Video]:
    """The videos in a CSV with the columns path, label and optionally group, split, method."""
    first_line = {}
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        try:
            check_header(file, reader.fieldnames)
            for row in reader:
                number = reader.line_num
                video = read_row(row, file.parent, f"{file}, line {number}")
                first = first_line.setdefault(video.path, number)
                if first != number:
                    twice = f"{row['path']!r} is listed twice, first in line {first}"
                    raise InputError(f"{file}, line {number}: {twice}; expected each path once")
                yield video
        except (UnicodeDecodeError, csv.Error) as error:
            problem = f"not a CSV in UTF-8 ({error})"
            raise InputError(f"{file}, after line {reader.line_num}: {problem}") from error


def check_header(file: Path, columns: list[str] | None) -> None:
    """Raise InputError where a list has no columns path and label."""
    columns = list(columns or [])
    if {"path", "label"} <= set(columns):
        return
    for separator in (";", "\t"):
        if any(separator in column for column in columns):
            problem = f"the columns are separated by {separator!r}, expected commas"
            raise InputError(f"{file}, line 1: {problem}: save it with commas")
    raise InputError(f"{file}, line 1: {columns}, expected {LIST_COLUMNS}")


def read_row(row: dict, folder: Path, where: str) -> Video:
    """The video of a line; paths start from `folder`. Raises InputError that names `where`."""
    name = row["path"] or ""
    label = (row["label"] or "").strip()
    split = (row.get("split") or "").strip() or "train"
    path = Path(os.path.normpath(folder / name))
    normal_folder = Path(os.path.normpath(folder))
    if not name or "\0" in name or path == normal_folder:
        raise InputError(f"{where}: path {name!r}, expected the path of a video")
    if label.lower() not in LIST_LABELS:
        raise InputError(f"{where}: label {label!r}, expected real, fake, 0 or 1")
    if split not in SPLITS:
        raise InputError(f"{where}: split {split!r}, expected train, val or test")
    group = row.get("group")
    return Video(
        path,
        label=LIST_LABELS[label.lower()],
        split=split,
        method=row.get("method") or "",
        group_keys=(f"group {group}",) if group else (),
    )


# --- Any data set ---

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
        check_list(root)
        return "list", find_listed
    if not root.is_dir():
        expected = "point --videos-dir at a folder with real/ and fake/ in it"
        if root == SAMPLE_DIR:
            expected = f"draw the sample set with `{sample_command()}`, or {expected}"
        raise InputError(f"{root} is not a folder: {expected}")
    for name, patterns, reader in LAYOUTS:
        if any(any(root.glob(pattern)) for pattern in patterns):
            return name, reader
    expected = "; ".join(f"{name}: {' or '.join(patterns)}" for name, patterns, _ in LAYOUTS)
    problem = f"{root} has the layout of no data set that is known"
    raise InputError(f"{problem}. Looked for {expected}")


def sample_command() -> str:
    """The command that draws the sample set to SAMPLE_DIR below the current folder."""
    script = Path(__file__).resolve().with_name("make_sample.py")
    if Path.cwd().resolve() == script.parent.parent:
        return "python data/make_sample.py"
    quoted = f'"{script}"' if " " in str(script) else script
    return f"python {quoted} --output-dir {SAMPLE_DIR.as_posix()}"


def read_drawn_by(root: Path) -> dict | None:
    """The sample.json that make_sample.py leaves in what it drew; None for anybody's own videos."""
    try:
        sample = read_json(root / "sample.json")
    except (InputError, OSError):
        return None
    return sample if sample.get("drawn_by") == "data/make_sample.py" else None


def find_videos(root: str | os.PathLike, compression: str = "") -> list[Video]:
    """The videos of a data set, sorted by identifier. Prints its layout and what was found.

    `root` is the data set's folder, or a CSV that lists videos. `compression` narrows
    FaceForensics++ to `raw`, `c0`, `c23` or `c40`. Raises InputError where the layout is none of
    LAYOUTS or is not kept to.
    """
    root = Path(root)
    layout, reader = recognise_layout(root)
    if compression and layout != "FaceForensics++":
        problem = f"--compression {compression} is for FaceForensics++, but {root} is: {layout}"
        raise InputError(f"{problem}. Leave it out")
    print(f"Videos     {root}, layout: {layout}")
    videos = list(reader(root))
    base = root.parent if root.is_file() else root
    for video in videos:
        video.video = identify(video.path, base)
    if compression:
        videos = [video for video in videos if f"/{compression}/" in video.video]
    videos.sort(key=lambda video: video.video)
    told = all(video.is_related for video in videos)
    set_groups(videos)
    print_found(videos)
    if not told:
        warn_of_lone_fakes(videos)
    for label, name in enumerate(CLASSES):
        if not any(video.label == label and video.split == "train" for video in videos):
            narrowed = f" with --compression {compression}" if compression else ""
            raise InputError(f"{root} has no {name} video to train on{narrowed}")
    return videos


def identify(path: Path, base: Path) -> str:
    """The identifier of a video: its path from `base`, with `/` between the parts."""
    try:
        return printable(os.path.relpath(path, base))
    except ValueError:  # on Windows there is none to another drive
        return printable(path)


def print_found(videos: list[Video]) -> None:
    """Print how many videos there are by split, class and method, and in how many groups."""
    counts = Counter((video.split, video.label, video.method) for video in videos)
    for split in SPLITS:
        for (of_split, label, method), n in sorted(counts.items()):
            if of_split == split:
                name = CLASSES[label]
                print(f"  {split:<6} {name:<5} {method:<18} {n:>6}")
        groups = {video.group for video in videos if video.split == split}
        if groups:
            print(f"  {split:<6} in {len(groups)} groups")
    sizes = Counter(video.group for video in videos)
    joined = [group for group, size in sizes.items() if size > 1]
    belong = f"{len(joined)} of them of people or videos that belong together"
    print(f"  in all {len(sizes)} groups, {belong}")


def warn_of_lone_fakes(videos: list[Video]) -> None:
    """Print what to do where no group holds a real and a fake video: the groups tell nothing."""
    groups = {label: set() for label in (0, 1)}
    for video in videos:
        groups[video.label].add(video.group)
    if not groups[0] & groups[1]:
        problem = "People may be on both sides of a split: no names join them"
        print(f"  {problem}. Group them: --videos-csv, column group")
