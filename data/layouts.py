"""Every video below a root: used, with what is known of it, or left out with a reason."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data.class_folders import ClassFolders, names_nothing, read_any
from data.files import InputError, command, printable, read_json
from data.groups import BY_NAME, set_groups
from data.narrow import not_drawn, not_of_compression, not_of_methods
from data.public_sets import PUBLIC, SETS, find_split, read_name, read_official_split, set_splits
from data.video_list import LabelFiles, read_label_files, read_list
from data.videos import (
    PHOTO,
    Folder,
    Item,
    Video,
    ask_for_names,
    check_pattern,
    describe_readings,
    read_images,
    tidy,
    walk,
)
from data.words import CLASSES, LEVEL

SAMPLE_DIR = Path("data/sample")

# --- Which set it is ---


def find_sets(
    votes: list[list[str]], folders: list[str], base: str = ""
) -> list[tuple[str, object]]:
    """(where it starts, its row) of each set that fits some videos' places: the root, else below.

    A vote is that of the places that a video may have. They and `folders`, all of them, are paths
    below `base`.
    """
    rows = [*SETS, ClassFolders(folders)]
    counts = [sum(any(map(row.fits, places)) for places in votes) for row in rows]
    if any(counts):
        return [(base, rows[counts.index(max(counts))])]
    found = []
    for top in sorted({place.partition("/")[0] for place in chain(*votes) if "/" in place}):
        *below, inside = (
            [path.removeprefix(f"{top}/") for path in paths if path.startswith(f"{top}/")]
            for paths in (*votes, folders)
        )
        found += find_sets(list(filter(None, below)), inside, base=f"{base}{top}/")
    return found


def recognise(
    root: Path, folders: list[Folder], labels: list[str], image_names: str
) -> tuple[object, str]:
    """The set that lies here, and the path below the root where it starts, with / at its end.

    `labels` are files with DFDC's labels. Raises InputError where there is no set, or several.
    """
    filled = [each for each in folders if (each.videos or each.images) and not each.skipped]
    votes = []
    for folder in filled[:: len(filled) // 1000 + 1]:
        votes += [[tidy(folder.join(name))] for name in folder.videos[:5]]
        if folder.images and not folder.videos:
            first = Folder(folder.path, images=folder.images[:1])
            places = [item.place for item in read_images(first, None, image_names)[0]]
            votes.append([*places, tidy(folder.path, is_folder=True)])
    sets = find_sets(votes, [tidy(folder.join("x")).rpartition("/")[0] for folder in filled])
    if len(sets) > 1:
        found = ", ".join(f"{base} ({row.name})" for base, row in sets[:5])
        remedy = "name one of them; if these are people, list all videos with --videos-csv"
        raise InputError(f"{root} holds several data sets: {found}: {remedy}")
    if sets:
        base, row = sets[0]
        return row, base
    if labels:
        return read_label_files(root, labels), ""
    names = [folder.join(name) for folder in folders for name in folder.videos + folder.images]
    found = f"(found {', '.join(sorted(names)[:3]) or 'no video'})"
    expected = "expected real/ and fake/, or a layout of data/README.md"
    raise InputError(f"{root} has the layout of no data set that is known {found}: {expected}")


# --- A data set ---


@dataclass
class LeftOut:
    """A video that is not used, or n of them in a folder, and why."""

    path: str
    reason: str
    folder: str = ""  # in which those of this reason are counted
    n: int = 1

    def __str__(self) -> str:
        return f"{self.n} in {self.path}" if self.n > 1 else self.path


@dataclass
class DataSet:
    """All videos below a root, used or left out, and what is to be said of them."""

    root: Path
    layout: str
    videos: list[Video]
    left_out: list[LeftOut]  # each a video
    notes: list[str]

    @property
    def found(self) -> int:
        return len(self.videos) + len(self.left_out)

    def add(self, item: Item, told: dict, layout: str) -> None:
        """Use an item, of which a list or this layout has told these fields of Video."""
        if layout not in PUBLIC and not told.get("is_known"):
            told = read_name(item.place.rpartition("/")[2], told["label"]) | told
            told["people"] = tuple(f"{BY_NAME}{name}" for name in told.get("people", ()))
        path = told.pop("path", self.root / item.path)
        video = Video(path, video=printable(item.path), n_images=item.n_images, **told)
        self.videos.append(video)

    def leave_out(self, names: set[str], reason: str) -> None:
        """Use none of the videos with these identifiers."""
        out = [video.video for video in self.videos if video.video in names]
        self.left_out += [LeftOut(name, reason) for name in out]
        self.videos = [video for video in self.videos if video.video not in names]


def summarise(left_out: list[LeftOut]) -> list[LeftOut]:
    """What is left out, for people: more than three of a kind in a folder are one line."""
    of_kind = defaultdict(list)
    for left in left_out:
        of_kind[left.folder or left.path.rpartition("/")[0], left.reason].append(left)
    lines = []
    for (folder, reason), left in sorted(of_kind.items()):
        many = LeftOut(f"{folder or '.'}/", reason, n=len(left))
        lines += [many] if len(left) > 3 else left
    return lines


def read_tree(root: Path, image_names: str) -> DataSet:
    """The data set in a folder."""
    if not root.is_dir():
        expected = "point --videos-dir at a folder with real/ and fake/ in it"
        if root == SAMPLE_DIR:
            make = command("data/make_sample.py", "--output-dir", SAMPLE_DIR.as_posix())
            expected = f"draw the sample set with `{make}`, or {expected}"
        raise InputError(f"{root} is not a folder: {expected}")
    folders, notes = walk(root)
    labels = [folder.join(folder.labels) for folder in folders if folder.labels]
    layout, base = recognise(root, folders, labels, image_names)
    data_set = DataSet(root, layout.name, [], [], notes)
    if base:
        notes.append(f"the data set lies in {base}")

    def read(place: str) -> dict | None:
        return layout.read(place.removeprefix(base)) if place.startswith(base) else None

    reason = f"not in the layout {layout.name}"
    if isinstance(layout, LabelFiles):
        reason = "in no metadata.json or labels.csv"
    unclear = match_items(data_set, folders, read, reason, image_names)
    if unclear:
        raise InputError(ask_for_names(root, unclear))
    drop_what_gives_away(data_set)
    notes += layout.notes
    unused = [file for file in labels if file.startswith(base)]
    if isinstance(layout, LabelFiles):
        notes += layout.describe_absent(data_set.videos)
    elif unused:
        notes.append(f"{unused[0]} is not used: labels are those of the folders")
    notes += set_splits(layout, data_set.videos, root, base)
    return data_set


def match_items(
    data_set: DataSet, folders: list[Folder], read: Callable, reason: str, image_names: str
) -> list[Folder]:
    """Add what lies in the folders: used, or left out for this reason where `read` tells None.

    Returns folders in which names leave open which images make a video: they are taken for photos.
    """
    unclear, left = [], data_set.left_out
    with_videos = {folder.path for folder in folders if folder.videos}
    for folder in folders:
        skipped = folder.skipped
        items = [folder.item(name) for name in folder.videos]
        # that of a folder of frames: real/clip of real/clip/frames
        parent = re.sub(rf"(?:(?:^|/){LEVEL})+$", "", folder.path, flags=re.IGNORECASE)
        if folder.images and (folder.videos or parent in with_videos):
            left += [LeftOut(folder.join(name), "image beside videos") for name in folder.images]
        elif folder.images:
            place = tidy(folder.path, is_folder=True)
            last = place.rpartition("/")[2] or data_set.root.resolve().name
            may_be_video = not names_nothing(last) and read(place) is not None
            items, is_unclear = read_images(folder, place if may_be_video else None, image_names)
            n = len(folder.images)
            if folder.path and n > 1 and (skipped or read(items[0].place) is None):
                items = [Item(folder.path, folder.path, n)]
            elif is_unclear:
                unclear.append(folder)
                items, _ = read_images(folder, None, PHOTO)
        for item in items:
            told = None if skipped else read(item.place)
            if told is None:
                why = f"{skipped.rpartition('/')[2]}, not videos" if skipped else reason
                left.append(LeftOut(item.path, why, skipped))
            else:
                data_set.add(item, told, data_set.layout)
    return unclear


def drop_what_gives_away(data_set: DataSet) -> None:
    """Leave out frames of clips that are there, and DFD's fakes without its reals."""
    drop_frames_of_videos(data_set)
    videos = data_set.videos
    of_dfd = {video.video for video in videos if " ".join(video.people).startswith("DFD ")}
    reals = {video.video for video in videos if video.label == 0}
    if reals and not reals & of_dfd:  # the scenes alone give its fakes away
        data_set.leave_out(of_dfd, "of DFD, whose reals are not here")


def drop_frames_of_videos(data_set: DataSet) -> None:
    """Leave out frames of a clip whose video, or other frames, are there."""
    seen, frames = set(), set()
    for video in data_set.videos:
        if not video.n_images:
            folder, _, name = video.key.rpartition("/")
            seen |= {video.key, folder} if folder.endswith(f"/{name}") else {video.key}
    for video in data_set.videos:
        if video.n_images and video.key in seen:
            frames.add(video.video)
        elif video.n_images > 1:
            seen.add(video.key)
    data_set.leave_out(frames, "frames of a clip that is used already")


def read_listed(file: Path, image_names: str) -> DataSet:
    """The data set of a list. What the list does not say is told by the tree it lies in."""
    root = file.parent
    listed, notes = read_list(file, image_names)
    data_set = DataSet(file, "list", [], [], notes)
    places = [item.place for item, _ in listed]
    folders = [place.rpartition("/")[0] for place in places]
    sets = dict(find_sets([[place] for place in places[:: len(places) // 5000 + 1]], folders))
    official = {}
    for base, row in sets.items():
        if row.name in PUBLIC:
            official[base], missing = read_official_split(row, [root / base, root])
            notes += missing
    other = []
    for item, told in listed:
        base = next((base for base in official if item.place.startswith(base)), None)
        of_set = None if base is None else sets[base].read(item.place.removeprefix(base))
        layout = sets[base].name if of_set else "list"
        of_set = of_set or read_any(item.place)
        if of_set.get("label", told["label"]) != told["label"]:
            other.append(item.path)
        if "people" in told:  # they, not the ids of a public set, say what belongs together
            of_set |= {"group_keys": (), "clip": ""}
        data_set.add(item, of_set | told, layout)
        video = data_set.videos[-1]
        if "split" not in told:
            video.split = find_split(official.get(base, {}), video) or video.split or "train"
    if other:
        found = f"{len(other)} of {len(listed)} labels are not those of the folders"
        notes.append(f"WARNING: {found}, {other[0]} for one: is 1 fake in this list?")
    drop_what_gives_away(data_set)
    return data_set


def list_videos(folder: Path) -> tuple[list[Path], list[str]]:
    """Sorted videos below a folder, perhaps itself, in no layout of a data set; and what to say."""
    folders, notes = walk(folder)
    data_set = DataSet(folder, "list", [], [], notes)
    match_items(data_set, folders, lambda place: read_any(place) | {"label": 0}, "", "")
    drop_frames_of_videos(data_set)
    notes += describe_readings(data_set.videos)
    notes += [f"left out {line}: {line.reason}" for line in summarise(data_set.left_out)]
    return sorted(video.path for video in data_set.videos), notes


def describe_classes(videos: list[Video]) -> list[str]:
    """What is wrong with the classes: one is missing, or files alone tell it from the other."""
    by_class = [[video for video in videos if video.label == label] for label in (0, 1)]
    for name, of_class in zip(CLASSES, by_class, strict=True):
        if not of_class:
            return [f"no {name} video here: a set to test on, not to train on"]
    notes = []
    for tell in (lambda video: video.kind.removeprefix("loose "), lambda video: video.compression):
        found = [set(map(tell, of_class)) for of_class in by_class]
        if not found[0] & found[1]:
            words = (" and ".join(sorted(filter(None, of_class))) for of_class in found)
            real, fake = (word or "uncompressed" for word in words)
            both = f"reals are {real}, fakes {fake}"
            notes.append(f"WARNING: {both}: that alone gives the label away")
    return notes


def find_data_set(
    root: str | os.PathLike,
    compression: str = "",
    methods: Iterable[str] = (),
    max_videos: int = 0,
    image_names: str = "",
) -> DataSet:
    """All videos below a data set's folder, or in a list of them, sorted by identifier.

    `compression` takes one of COMPRESSIONS alone, of FaceForensics++. `methods` narrows the fakes.
    `max_videos` keeps so many of each class; 0 keeps all. `image_names` tells how loose images are
    named, "{video}_{frame}", or that each is a video: "photo". Raises InputError where the layout
    is unknown or not kept to, or nothing is left.
    """
    root = Path(root)
    check_pattern(image_names)
    data_set = (read_listed if root.is_file() else read_tree)(root, image_names)
    data_set.videos.sort(key=lambda video: video.video)
    data_set.notes += describe_readings(data_set.videos)
    if compression:
        others, notes = not_of_compression(data_set.layout, data_set.videos, compression)
        data_set.notes += notes
        data_set.leave_out(others, f"not {compression}")
    data_set.notes += set_groups(data_set.videos)
    data_set.leave_out(not_of_methods(data_set.videos, methods), "not of the methods asked for")
    if max_videos:
        data_set.leave_out(not_drawn(data_set.videos, max_videos), "beyond --max-videos")
    if not data_set.videos:
        lines = summarise(data_set.left_out)[:3]
        seen = "; ".join(f"{line}: {line.reason}" for line in lines) or "nothing"
        raise InputError(f"{root} ({data_set.layout}) has no video to use. Left out: {seen}")
    data_set.notes += describe_classes(data_set.videos)
    return data_set


def find_videos(root: str | os.PathLike, **narrowed) -> list[Video]:
    """The videos of a data set, sorted by identifier; takes what find_data_set takes."""
    return find_data_set(root, **narrowed).videos


# --- The sample set ---


def read_drawn_by(root: Path) -> dict | None:
    """The sample.json that make_sample.py leaves in what it drew; None for anybody's own videos."""
    try:
        sample = read_json(root / "sample.json")
    except (InputError, OSError):
        return None
    return sample if sample.get("drawn_by") == "data/make_sample.py" else None
