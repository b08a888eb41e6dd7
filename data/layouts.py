"""Every video below a root: used, with what is known of it, or left out with a reason."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from data.class_folders import ClassFolders, names_nothing, read_any
from data.files import InputError, command, printable, read_json
from data.groups import BY_NAME, set_groups
from data.narrow import check_methods, draw, of_compression
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


def find_sets(places: list[str], folders: list[str], base: str = "") -> list[tuple[str, object]]:
    """(where it starts, its row of the table) of each set that fits: the root, or else below it.

    `places` are those of some videos below `base`, `folders` all folders there.
    """
    rows = [*SETS, ClassFolders(folders)]
    counts = [sum(map(row.fits, places)) for row in rows]
    if any(counts):
        return [(base, rows[counts.index(max(counts))])]
    found = []
    for top in sorted({place.partition("/")[0] for place in places if "/" in place}):
        below = [
            [path.removeprefix(f"{top}/") for path in paths if path.startswith(f"{top}/")]
            for paths in (places, folders)
        ]
        found += find_sets(*below, base=f"{base}{top}/")
    return found


def recognise(root: Path, folders: list[Folder], image_names: str) -> tuple[object, str]:
    """The set that lies here, and the path below the root where it starts, with / at its end.

    Raises InputError where no set is found, or several lie side by side.
    """
    filled = [
        folder for folder in folders if (folder.videos or folder.images) and not folder.skipped
    ]
    places = []
    for folder in filled[:: len(filled) // 1000 + 1]:
        places += [tidy(folder.join(name)) for name in folder.videos[:5]]
        if folder.images and not folder.videos:
            first = Folder(folder.path, images=folder.images[:1])
            places += [item.place for item in read_images(first, None, image_names)[0]]
            places.append(tidy(folder.path, is_folder=True))
    sets = find_sets(places, [tidy(folder.join("x")).rpartition("/")[0] for folder in filled])
    if len(sets) > 1:
        found = ", ".join(f"{base} ({row.name})" for base, row in sets[:5])
        remedy = "name one of them; if these are people, list all videos with --videos-csv"
        raise InputError(f"{root} holds several data sets: {found}: {remedy}")
    if sets:
        base, row = sets[0]
        return row, base
    labels = list_labels(folders)
    if labels:
        return read_label_files(root, labels), ""
    names = [folder.join(name) for folder in folders for name in folder.videos + folder.images]
    found = f"(found {', '.join(sorted(names)[:3]) or 'no video'})"
    expected = "expected real/ and fake/, or a layout of data/README.md"
    raise InputError(f"{root} has the layout of no data set that is known {found}: {expected}")


def list_labels(folders: list[Folder]) -> list[str]:
    """The files with DFDC's labels, below the root."""
    return [folder.join(folder.labels) for folder in folders if folder.labels]


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


def read_tree(root: Path, image_names: str) -> tuple[str, list[Video], list[LeftOut], list[str]]:
    """Layout, videos, what is left out and notes of a data set's folder."""
    if not root.is_dir():
        expected = "point --videos-dir at a folder with real/ and fake/ in it"
        if root == SAMPLE_DIR:
            make = command("data/make_sample.py", "--output-dir", SAMPLE_DIR.as_posix())
            expected = f"draw the sample set with `{make}`, or {expected}"
        raise InputError(f"{root} is not a folder: {expected}")
    folders, notes = walk(root)
    layout, base = recognise(root, folders, image_names)
    if base:
        notes.append(f"the data set lies in {base}")

    def read(place: str) -> dict | None:
        return layout.read(place.removeprefix(base)) if place.startswith(base) else None

    is_listed = isinstance(layout, LabelFiles)
    files = "in no metadata.json or labels.csv"
    reason = files if is_listed else f"not in the layout {layout.name}"
    matched, left, unclear = match_items(root, folders, read, reason, image_names)
    if unclear:
        raise InputError(ask_for_names(root, unclear))
    videos = [make_video(root, item, told, layout.name) for item, told in matched]
    videos, again = drop_what_gives_away(videos)
    notes += layout.notes
    labels = [file for file in list_labels(folders) if file.startswith(base)]
    if is_listed:
        notes += layout.describe_absent(videos)
    elif labels:
        notes.append(f"{labels[0]} is not used: labels are those of the folders")
    notes += set_splits(layout, videos, root, base)
    return layout.name, videos, left + again, notes


def make_video(root: Path, item: Item, told: dict, layout: str) -> Video:
    """A video of the item, of which the layout or a list has told these fields."""
    if layout not in PUBLIC and not told.get("is_known"):
        told |= read_name(item.place.rpartition("/")[2], told["label"])
        told["people"] = tuple(f"{BY_NAME}{name}" for name in told.get("people", ()))
    path = told.pop("path", root / item.path)
    return Video(path, video=printable(item.path), n_images=item.n_images, **told)


def match_items(
    root: Path, folders: list[Folder], read: Callable, reason: str = "", image_names: str = ""
) -> tuple[list[tuple[Item, dict]], list[LeftOut], list[Folder]]:
    """Pairs of an item and what `read` tells of its place; what is left out; and unclear folders.

    In these, names of images leave open which of them make a video: they are taken for photos.
    Where `read` tells None, a video is left out for this reason.
    """
    matched, left, unclear = [], [], []
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
            last = place.rpartition("/")[2] or root.resolve().name
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
            if told is not None:
                matched.append((item, told))
                continue
            why = f"{skipped.rpartition('/')[2]}, not videos" if skipped else reason
            left.append(LeftOut(item.path, why, skipped))
    return matched, left, unclear


def drop_what_gives_away(videos: list[Video]) -> tuple[list[Video], list[LeftOut]]:
    """The videos without frames of clips that are there, and DFD's fakes without its reals."""
    videos, left = drop_frames_of_videos(videos)
    of_dfd = {video.video for video in videos if " ".join(video.people).startswith("DFD ")}
    reals = {video.video for video in videos if video.label == 0}
    if reals and not reals & of_dfd:  # the scenes alone give its fakes away
        reason = "of DFD, whose reals are not here"
        left += [LeftOut(video.video, reason) for video in videos if video.video in of_dfd]
        videos = [video for video in videos if video.video not in of_dfd]
    return videos, left


def drop_frames_of_videos(videos: list[Video]) -> tuple[list[Video], list[LeftOut]]:
    """The videos without frames of a clip whose video, or other frames, are there; and these."""
    seen = set()
    for video in videos:
        if not video.n_images:
            folder, _, name = video.key.rpartition("/")
            seen |= {video.key, folder} if folder.endswith(f"/{name}") else {video.key}
    kept, left = [], []
    for video in videos:
        if video.n_images and video.key in seen:
            left.append(LeftOut(video.video, "frames of a clip that is used already"))
            continue
        kept.append(video)
        if video.n_images > 1:
            seen.add(video.key)
    return kept, left


def read_listed(file: Path, image_names: str) -> tuple[str, list[Video], list[LeftOut], list[str]]:
    """The same of a list. What it does not say is told by the tree it lies in."""
    root = file.parent
    listed, notes = read_list(file, image_names)
    places = [item.place for item, _ in listed]
    folders = [place.rpartition("/")[0] for place in places]
    sets = dict(find_sets(places[:: len(places) // 5000 + 1], folders))
    official = {}
    for base, row in sets.items():
        if row.name in PUBLIC:
            official[base], missing = read_official_split(row, [root / base, root])
            notes += missing
    videos, other = [], []
    for item, told in listed:
        place = item.place
        base = next((base for base in official if place.startswith(base)), None)
        of_set = None if base is None else sets[base].read(place.removeprefix(base))
        layout = sets[base].name if of_set else "list"
        of_set = of_set or read_any(place)
        if of_set.get("label", told["label"]) != told["label"]:
            other.append(item.path)
        if "people" in told:  # they, not the ids of a public set, say what belongs together
            of_set |= {"group_keys": (), "clip": ""}
        video = make_video(root, item, of_set | told, layout)
        if "split" not in told:
            video.split = find_split(official.get(base, {}), video) or video.split or "train"
        videos.append(video)
    if other:
        found = f"{len(other)} of {len(listed)} labels are not those of the folders"
        notes.append(f"WARNING: {found}, {other[0]} for one: is 1 fake in this list?")
    return "list", *drop_what_gives_away(videos), notes


def list_videos(folder: Path) -> tuple[list[Path], list[str]]:
    """Sorted videos below a folder, perhaps itself, in no layout of a data set; and what to say.

    Images whose names leave open which of them make a video are photos.
    """
    folders, notes = walk(folder)
    matched, left, _ = match_items(folder, folders, read_any)
    videos = [make_video(folder, item, told | {"label": 0}, "list") for item, told in matched]
    videos, again = drop_frames_of_videos(videos)
    notes += describe_readings(videos)
    notes += [f"left out {line}: {line.reason}" for line in summarise(left + again)]
    return sorted(video.path for video in videos), notes


def describe_classes(videos: list[Video]) -> list[str]:
    """What is wrong with the classes: one is missing, or files alone tell it from the other."""
    for label, name in enumerate(CLASSES):
        if all(video.label != label for video in videos):
            return [f"no {name} video here: a set to test on, not to train on"]
    notes = []
    kinds = [(video.label, video.kind.removeprefix("loose ")) for video in videos]
    compressions = [(video.label, video.compression) for video in videos]
    for told in (kinds, compressions):
        found = [{word for label, word in told if label == each} for each in (0, 1)]
        if not found[0] & found[1]:
            words = (" and ".join(sorted(filter(None, of_class))) for of_class in found)
            real, fake = (word or "uncompressed" for word in words)
            what = f"reals are {real}, fakes {fake}"
            notes.append(f"WARNING: {what}: that alone gives the label away")
    return notes


def find_data_set(
    root: str | os.PathLike,
    compression: str = "",
    methods: Iterable[str] = (),
    max_videos: int = 0,
    image_names: str = "",
) -> DataSet:
    """All videos below a data set's folder, or in a CSV that lists them, sorted by identifier.

    Of FaceForensics++ `compression` takes one of COMPRESSIONS alone. `methods` narrows the fakes
    to these. `max_videos` keeps at most so many of each class, see draw; 0 keeps all. `image_names`
    tells how loose images are named, "{video}_{frame}", or that each is a video: "photo". Raises
    InputError where the layout is unknown or not kept to, or nothing is left.
    """
    root = Path(root)
    check_pattern(image_names)
    read = read_listed if root.is_file() else read_tree
    layout, videos, left, notes = read(root, image_names)
    videos.sort(key=lambda video: video.video)
    notes += describe_readings(videos)

    def keep(is_kept: Callable[[Video], bool], reason: str) -> list[Video]:
        left.extend(LeftOut(video.video, reason) for video in videos if not is_kept(video))
        return [video for video in videos if is_kept(video)]

    if compression:
        wanted, more = of_compression(layout, videos, compression)
        notes += more
        videos = keep(lambda video: video.compression in wanted, f"not {compression}")
    notes += set_groups(videos)
    methods = {method.lower() for method in methods}
    check_methods(videos, methods)
    if methods:
        reason = "not of the methods asked for"
        videos = keep(lambda video: not video.label or video.method.lower() in methods, reason)
    if max_videos:
        drawn = draw(videos, max_videos)
        videos = keep(lambda video: video.video in drawn, "beyond --max-videos")
    if not videos:
        seen = "; ".join(f"{line}: {line.reason}" for line in summarise(left)[:3])
        raise InputError(f"{root} ({layout}) has no video to use. Left out: {seen or 'nothing'}")
    return DataSet(root, layout, videos, left, notes + describe_classes(videos))


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
