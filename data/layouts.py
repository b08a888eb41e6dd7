"""Every video below a root: used, with what is known of it, or left out with a reason."""

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from data.files import InputError, printable, read_json
from data.groups import describe_lone_fakes, set_groups
from data.official_lists import drop_levels, read_dfdc, set_splits
from data.public_sets import DFDC, NO_NAME, SETS, PublicSet
from data.video_list import read_list
from data.walk import (
    CLASSES,
    LEVEL,
    VIDEO_ENDINGS,
    Folder,
    Item,
    Video,
    describe_readings,
    find_skipped,
    item_of_file,
    items_of_images,
    join,
    walk,
)

SAMPLE_DIR = Path("data/sample")
ANY = PublicSet("any", real=(".*",))
CLIP_ENDING = rf"[_ -]?{LEVEL}$|\.(?:{VIDEO_ENDINGS.replace(' ', '|')})$"

# --- Which set it is ---


def recognise(root: Path, folders: list[Folder]) -> tuple[PublicSet, str]:
    """The set whose patterns take most of what lies here, and where below the root it starts.

    A few names of each folder are tried, from the root and from one and two levels below it.
    Raises InputError where no set is found, or several lie side by side.
    """
    taken = Counter()  # (level, where it starts, row of the table): names
    filled = [f for f in folders if (f.videos or f.images) and not find_skipped(f.path)]
    for folder in filled[:: len(filled) // 1000 + 1]:
        names = folder.videos[:5] or folder.images[:1]
        keys = [item_of_file(folder, name).key for name in names]
        keys += [drop_last_levels(folder.path)] if folder.images and not folder.videos else []
        parts = folder.path.split("/") if folder.path else []
        for level in range(min(2, len(parts)) + 1):
            base = "/".join(parts[:level])
            for row, public_set in enumerate(SETS):
                taken[level, base, row] += sum(
                    public_set.has_place_for(key[len(base) :].lstrip("/")) for key in keys
                )
    best = max(taken, key=lambda at: (taken[at], -at[0], -at[2]), default=None)
    if best and taken[best]:
        level, base, row = best
        beside = {at: SETS[i].name for (lev, at, i), n in taken.items() if n and lev == level}
        if len(beside) > 1:
            found = ", ".join(f"{at}/ ({name})" for at, name in sorted(beside.items()))
            remedy = "name one of them, or list all with --videos-csv"
            raise InputError(f"{root} holds several data sets: {found}: {remedy}")
        return SETS[row], base
    # of both in one folder labels.csv: the metadata.json of test videos holds other things
    labels = [join(folder.path, folder.labels[0]) for folder in folders if folder.labels]
    if labels:
        return replace(DFDC, told=read_dfdc(root, labels)), ""
    seen = [(join(f.path, name), "", "") for f in folders for name in f.videos + f.images]
    found = ", ".join(str(left) for left in list_left_out(seen)[:3])
    problem = f"{root} has the layout of no data set that is known (found {found or 'no video'})"
    raise InputError(f"{problem}: expected real/ and fake/, or a layout of data/README.md")


# --- A data set ---


@dataclass
class LeftOut:
    """A video that is not used, or n of them in a folder, and why."""

    path: str
    n: int
    reason: str

    def __str__(self) -> str:
        return f"{self.n} in {self.path}" if self.n > 1 else self.path


@dataclass
class DataSet:
    """All videos below a root, used or left out, and what is to be said of them."""

    root: Path
    layout: str
    videos: list[Video]
    left_out: list[LeftOut]
    notes: list[str]

    @property
    def found(self) -> int:
        return len(self.videos) + sum(left.n for left in self.left_out)


def list_left_out(left: Iterable[tuple[str, str, str]]) -> list[LeftOut]:
    """Lines for (path, folder to count it in or "", reason): more than three of a kind are one."""
    paths_of = defaultdict(list)
    for path, folder, reason in left:
        paths_of[folder or path.rpartition("/")[0], reason].append(path)
    lines = []
    for (folder, reason), paths in sorted(paths_of.items()):
        if len(paths) > 3:
            lines.append(LeftOut(f"{folder or '.'}/", len(paths), reason))
        else:
            lines += [LeftOut(path, 1, reason) for path in paths]
    return lines


def read_tree(root: Path) -> tuple[str, list[Video], list[tuple[str, str, str]], list[str]]:
    """Layout, videos, what is left out (see list_left_out) and notes of a data set's folder."""
    if not root.is_dir():
        expected = "point --videos-dir at a folder with real/ and fake/ in it"
        if root == SAMPLE_DIR:
            expected = f"draw the sample set with `{sample_command()}`, or {expected}"
        raise InputError(f"{root} is not a folder: {expected}")
    folders, notes = walk(root)
    public_set, base = recognise(root, folders)
    if base:
        notes.append(f"the data set lies in {base}/")
    matched, left = match_items(root, folders, public_set, base)
    matched, again = drop_frames_of_videos(matched)
    videos = []
    for item, told in matched:
        name = printable(item.path)
        videos.append(Video(root / item.path, video=name, n_images=item.n_images, **told))
    notes += describe_readings(videos)
    labels = [join(folder.path, folder.labels[0]) for folder in folders if folder.labels]
    labels = [file for file in labels if not base or file.startswith(f"{base}/")]
    if labels and not public_set.told:
        notes.append(f"{labels[0]} is not used: labels are those of the folders")
    notes += set_splits(public_set, videos, root, base)
    if has_other_reals(videos):
        again += [(v.video, "", "of DFD, whose reals are not here") for v in videos if is_dfd(v)]
        videos = [video for video in videos if not is_dfd(video)]
    return public_set.name, videos, left + again, notes


def is_dfd(video: Video) -> bool:
    return bool(video.people) and video.people[0].startswith("DFD ")


def has_other_reals(videos: list[Video]) -> bool:
    """Whether there are reals, but none of DFD: then its scenes alone give its fakes away."""
    reals = [video for video in videos if video.label == 0]
    return bool(reals) and not any(map(is_dfd, reals))


def match_items(root: Path, folders: list[Folder], public_set: PublicSet, base: str):
    """Pairs of an item and what its path tells, and what is left out, as list_left_out takes it."""
    matched, left = [], []
    start = f"{base}/" if base else ""
    elsewhere = f"not in the layout {public_set.name}"
    if public_set.told:
        elsewhere = "in no metadata.json or labels.csv"

    def read_path(key: str) -> dict | None:
        return public_set.read_path(key[len(start) :]) if key.startswith(start) else None

    with_videos = {folder.path for folder in folders if folder.videos}
    for folder in folders:
        skipped = find_skipped(folder.path)
        items = [item_of_file(folder, name) for name in folder.videos]
        key = drop_last_levels(folder.path)
        if folder.images and (folder.videos or key in with_videos):
            left += [(join(folder.path, name), "", "image beside videos") for name in folder.images]
        elif folder.images:
            last = key.rpartition("/")[2] or root.resolve().name
            may_be_video = not NO_NAME.fullmatch(last) and read_path(key) is not None
            items = items_of_images(folder, key if may_be_video else None)
            n = len(folder.images)
            if folder.path and n > 1 and (skipped or read_path(items[0].key) is None):
                items = [Item(folder.path, folder.path, n)]
        for item in items:
            told = None if skipped else read_path(item.key)
            if told is not None:
                matched.append((item, told))
            elif skipped:
                left.append((item.path, skipped, f"{skipped.rpartition('/')[2]}, not videos"))
            else:
                left.append((item.path, "", elsewhere))
    return matched, left


def drop_last_levels(path: str) -> str:
    """The path without folders at its end that tell nothing: real/clip for real/clip/frames."""
    return re.sub(rf"(?:(?:^|/){LEVEL})+$", "", path, flags=re.IGNORECASE)


def find_clip(item: Item) -> str:
    """What a video and its frames have in common: real/a of real_videos/a, real_frames/a."""
    return re.sub(rf"[_ -]{LEVEL}(?=/)", "", drop_levels(item.key))


def drop_frames_of_videos(matched: list[tuple[Item, dict]]):
    """The pairs without frames of a clip whose video, or other frames, are there; and these."""
    seen = set()
    for item, _ in matched:
        if not item.n_images:
            clip = find_clip(item)
            folder, _, name = clip.rpartition("/")
            seen |= {clip, folder} if folder.endswith(f"/{name}") else {clip}
    kept, left = [], []
    for item, told in matched:
        clip = find_clip(item)
        plain = re.sub(CLIP_ENDING, "", clip)  # frames/clip.mp4/, clip_frames/
        if item.n_images and not seen.isdisjoint((clip, plain)):
            left.append((item.path, "", "frames of a clip that is used already"))
            continue
        kept.append((item, told))
        if item.n_images > 1:
            seen.add(clip)
    return kept, left


def list_videos(folder: Path) -> tuple[list[Path], list[str]]:
    """Sorted videos below a folder, perhaps itself, in no layout of a data set; and what to say."""
    folders, notes = walk(folder)
    matched, left = match_items(folder, folders, ANY, "")
    matched, again = drop_frames_of_videos(matched)
    videos = [Video(folder / item.path, label=0, n_images=item.n_images) for item, _ in matched]
    notes += describe_readings(videos)
    notes += [f"left out {line}: {line.reason}" for line in list_left_out(left + again)]
    return sorted(video.path for video in videos), notes


def describe_classes(videos: list[Video]) -> list[str]:
    """What is wrong with the classes: one is missing, or images alone tell it from the other."""
    kinds = [set(), set()]
    for video in videos:
        kinds[video.label].add("frames" if video.kind == "mixed" else video.kind)
    for name, found in zip(CLASSES, kinds, strict=True):
        if not found:
            return [f"no {name} video here: a set to test on, not to train on"]
    real, fake = (" and ".join(sorted(found)) for found in kinds)
    if kinds[0] & kinds[1]:
        return []
    return [f"WARNING: reals are {real}, fakes {fake}: that alone gives the label away"]


def check_compression(layout: str, compression: str) -> None:
    if compression and layout not in ("FaceForensics++", "DeeperForensics-1.0"):
        problem = f"--compression {compression} is for FaceForensics++, but this is: {layout}"
        raise InputError(f"{problem}. Leave it out")


def check_methods(videos: list[Video], wanted: set[str]) -> None:
    """Raise InputError where no fake is of a method that is wanted, in lower case."""
    known = {video.method for video in videos if video.label and video.method}
    unknown = wanted - {method.lower() for method in known}
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise InputError(f"--methods {', '.join(sorted(unknown))}: expected some of: {there}")


def draw(videos: list[Video], n: int) -> set[str]:
    """Identifiers of at most n videos a class: one of each group in turn, in a fixed order."""
    drawn = list(videos)
    random.Random(0).shuffle(drawn)
    place = {group: i for i, group in enumerate(dict.fromkeys(video.group for video in drawn))}
    turns, turn = Counter(), {}
    for video in drawn:
        turn[video.video] = turns[video.label, video.group]
        turns[video.label, video.group] += 1
    drawn.sort(key=lambda video: (turn[video.video], place[video.group]))
    by_class = [[video.video for video in drawn if video.label == label] for label in (0, 1)]
    return {*by_class[0][:n], *by_class[1][:n]}


def find_data_set(
    root: str | os.PathLike,
    compression: str = "",
    methods: Iterable[str] = (),
    max_videos: int = 0,
) -> DataSet:
    """All videos below a data set's folder, or in a CSV that lists them, sorted by identifier.

    Of FaceForensics++ `compression` takes one of COMPRESSIONS alone. `methods` narrows the fakes
    to these. `max_videos` keeps at most so many of each class: one of each group in turn, groups
    in an order that is drawn, but always the same; 0 keeps all. Raises InputError where the layout
    is unknown or not kept to, or nothing is left.
    """
    root = Path(root)
    if root.is_file():
        layout, left = "list", []
        videos, notes = read_list(root)
    else:
        layout, videos, left, notes = read_tree(root)
    n = len(videos) + len(left)
    videos.sort(key=lambda video: video.video)

    def keep(is_kept: Callable[[Video], bool], reason: str) -> list[Video]:
        left.extend((video.video, "", reason) for video in videos if not is_kept(video))
        return [video for video in videos if is_kept(video)]

    check_compression(layout, compression)
    if compression:
        videos = keep(lambda video: video.compression == compression, f"not {compression}")
    notes += set_groups(videos)  # and the methods that folders tell
    wanted = {method.lower() for method in methods}
    check_methods(videos, wanted)
    if wanted:
        reason = "not of the methods asked for"
        videos = keep(lambda video: not video.label or video.method.lower() in wanted, reason)
    if max_videos:
        drawn = draw(videos, max_videos)
        videos = keep(lambda video: video.video in drawn, "beyond --max-videos")
    if not videos:
        seen = "; ".join(f"{line}: {line.reason}" for line in list_left_out(left)[:3])
        raise InputError(f"{root} ({layout}) has no video to use. Left out: {seen or 'nothing'}")
    notes += describe_lone_fakes(videos)
    notes += describe_classes(videos)
    data_set = DataSet(root, layout, videos, list_left_out(left), notes)
    assert data_set.found == n
    return data_set


def find_videos(root: str | os.PathLike, **narrowed) -> list[Video]:
    """The videos of a data set, sorted by identifier; takes what find_data_set takes."""
    return find_data_set(root, **narrowed).videos


# --- The sample set ---


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
