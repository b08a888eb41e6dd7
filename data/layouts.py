"""Every video below a root: used, with what is known of it, or left out with a reason."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from data.class_folders import AnyFolders, ClassFolders, names_nothing
from data.files import InputError, command, printable, read_json
from data.groups import BY_NAME, set_groups
from data.narrow import check_methods, draw, of_compression
from data.public_sets import SETS, find_split, read_name, read_official_split, set_splits
from data.video_list import LabelFiles, read_label_files, read_list
from data.videos import (
    PHOTO,
    Folder,
    Item,
    Video,
    ask_for_names,
    check_pattern,
    describe_readings,
    item_of_file,
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
    rows = [*SETS, ClassFolders.of(folders)]
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
    paths = [tidy(folder.join("x")).rpartition("/")[0] for folder in filled]
    sets = find_sets(places, paths)
    if len(sets) == 1:
        base, row = sets[0]
        return row, base
    if sets:
        found = ", ".join(f"{base} ({row.name})" for base, row in sets[:5])
        remedy = "name one of them; if these are people, list all videos with --videos-csv"
        raise InputError(f"{root} holds several data sets: {found}: {remedy}")
    # of both in one folder labels.csv: the metadata.json of test videos holds other things
    labels = [folder.join(folder.labels[0]) for folder in folders if folder.labels]
    if labels:
        return read_label_files(root, labels), ""
    names = [folder.join(name) for folder in folders for name in folder.videos + folder.images]
    problem = f"{root} has the layout of no data set that is known"
    found = f"(found {', '.join(sorted(names)[:3]) or 'no video'})"
    raise InputError(f"{problem} {found}: expected real/ and fake/, or a layout of data/README.md")


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
    matched, left, unclear = match_items(root, folders, layout, base, image_names)
    if unclear:
        raise InputError(ask_for_names(root, unclear))
    videos = [make_video(root, item, told, layout.has_public_ids) for item, told in matched]
    videos, again = drop_what_gives_away(videos)
    notes += layout.notes
    if isinstance(layout, LabelFiles):
        notes += layout.describe_absent(videos)
    labels = [folder.join(folder.labels[0]) for folder in folders if folder.labels]
    labels = [file for file in labels if file.startswith(base)]
    if labels and not isinstance(layout, LabelFiles):
        notes.append(f"{labels[0]} is not used: labels are those of the folders")
    notes += set_splits(layout, videos, root, base)
    return layout.name, videos, left + again, notes


def make_video(root: Path, item: Item, told: dict, has_public_ids: bool) -> Video:
    """A video of the item, of which the layout or a list has told these fields."""
    if not has_public_ids and not told.get("is_known"):
        told |= read_name(item.place.rpartition("/")[2], told["label"])
        told["people"] = tuple(f"{BY_NAME}{name}" for name in told.get("people", ()))
    path = told.pop("path", root / item.path)
    return Video(path, video=printable(item.path), n_images=item.n_images, **told)


def is_dfd(video: Video) -> bool:
    return bool(video.people) and video.people[0].startswith("DFD ")


def has_other_reals(videos: list[Video]) -> bool:
    """Whether there are reals, but none of DFD: then its scenes alone give its fakes away."""
    reals = [video for video in videos if video.label == 0]
    return bool(reals) and not any(map(is_dfd, reals))


def match_items(
    root: Path, folders: list[Folder], layout, base: str, image_names: str = ""
) -> tuple[list[tuple[Item, dict]], list[LeftOut], list[Folder]]:
    """Pairs of an item and what its path tells; what is left out; and unclear folders.

    In these, names of images leave open which of them make a video: they are taken for photos.
    """
    matched, left, unclear = [], [], []
    reason = f"not in the layout {layout.name}"
    if isinstance(layout, LabelFiles):
        reason = "in no metadata.json or labels.csv"

    def read(place: str) -> dict | None:
        return layout.read(place.removeprefix(base)) if place.startswith(base) else None

    with_videos = {folder.path for folder in folders if folder.videos}
    for folder in folders:
        skipped = folder.skipped
        items = [item_of_file(folder, name) for name in folder.videos]
        if folder.images and (folder.videos or parent_of_frames(folder.path) in with_videos):
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
            elif skipped:
                why = f"{skipped.rpartition('/')[2]}, not videos"
                left.append(LeftOut(item.path, why, skipped))
            else:
                left.append(LeftOut(item.path, reason))
    return matched, left, unclear


def parent_of_frames(path: str) -> str:
    """The folder that a folder of frames belongs to: real/clip of real/clip/frames."""
    return re.sub(rf"(?:(?:^|/){LEVEL})+$", "", path, flags=re.IGNORECASE)


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


def drop_what_gives_away(videos: list[Video]) -> tuple[list[Video], list[LeftOut]]:
    """The videos without frames of clips that are there, and DFD's fakes without its reals."""
    videos, left = drop_frames_of_videos(videos)
    if has_other_reals(videos):
        reason = "of DFD, whose reals are not here"
        left += [LeftOut(video.video, reason) for video in videos if is_dfd(video)]
        videos = [video for video in videos if not is_dfd(video)]
    return videos, left


def read_listed(file: Path, image_names: str) -> tuple[list[Video], list[LeftOut], list[str]]:
    """The videos of a list, what is left out, and notes.

    What the list does not say is told by the tree it lies in.
    """
    root = file.parent
    listed, notes = read_list(file, image_names)
    places = [item.place for item, _ in listed]
    sets = find_sets(
        places[:: len(places) // 5000 + 1], [place.rpartition("/")[0] for place in places]
    )
    sets = [(base, row) for base, row in sets if row.has_public_ids]
    official = {}
    for base, row in sets:
        official[base], missing = read_official_split(row, [root / base, root])
        notes += missing
    videos, other = [], []
    for item, told in listed:
        place = item.place
        base, row = next(((b, r) for b, r in sets if place.startswith(b)), ("", AnyFolders()))
        of_set = row.read(place.removeprefix(base))
        if of_set is None:
            base, row, of_set = "", AnyFolders(), AnyFolders().read(place)
        if of_set.get("label", told["label"]) != told["label"]:
            other.append(item.path)
        if "people" in told:  # they, not the ids of a public set, say what belongs together
            of_set |= {"group_keys": (), "clip": ""}
        video = make_video(root, item, of_set | told, row.has_public_ids)
        if "split" not in told:
            split = find_split(official.get(base, {}), video.key, video.people)
            video.split = split or video.split or "train"
        videos.append(video)
    if other:
        found = f"{len(other)} of {len(listed)} labels are not those of the folders"
        notes.append(f"WARNING: {found}, {other[0]} for one: is 1 fake in this list?")
    return *drop_what_gives_away(videos), notes


def list_videos(folder: Path) -> tuple[list[Path], list[str]]:
    """Sorted videos below a folder, perhaps itself, in no layout of a data set; and what to say.

    Images whose names leave open which of them make a video are photos.
    """
    folders, notes = walk(folder)
    matched, left, _ = match_items(folder, folders, AnyFolders(), "")
    videos = [make_video(folder, item, told | {"label": 0}, True) for item, told in matched]
    videos, again = drop_frames_of_videos(videos)
    notes += describe_readings(videos)
    notes += [f"left out {line}: {line.reason}" for line in summarise(left + again)]
    return sorted(video.path for video in videos), notes


def describe_classes(videos: list[Video]) -> list[str]:
    """What is wrong with the classes: one is missing, or files alone tell it from the other."""
    kinds, compressions = [set(), set()], [set(), set()]
    for video in videos:
        kinds[video.label].add(video.kind.removeprefix("loose "))
        compressions[video.label].add(video.compression)
    for name, found in zip(CLASSES, kinds, strict=True):
        if not found:
            return [f"no {name} video here: a set to test on, not to train on"]
    notes = []
    for found in (kinds, compressions):
        if not found[0] & found[1]:
            real, fake = (" and ".join(sorted(filter(None, of_class))) for of_class in found)
            what = f"reals are {real or 'uncompressed'}, fakes {fake or 'uncompressed'}"
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
    if root.is_file():
        layout = "list"
        videos, left, notes = read_listed(root, image_names)
    else:
        layout, videos, left, notes = read_tree(root, image_names)
    n = len(videos) + len(left)
    videos.sort(key=lambda video: video.video)
    notes += describe_readings(videos)

    def keep(is_kept: Callable[[Video], bool], reason: str) -> list[Video]:
        left.extend(LeftOut(video.video, reason) for video in videos if not is_kept(video))
        return [video for video in videos if is_kept(video)]

    if compression:
        wanted, more = of_compression(layout, videos, compression)
        notes += more
        videos = keep(lambda video: video.video in wanted, f"not {compression}")
    notes += set_groups(videos)
    wanted = {method.lower() for method in methods}
    check_methods(videos, wanted)
    if wanted:
        reason = "not of the methods asked for"
        videos = keep(lambda video: not video.label or video.method.lower() in wanted, reason)
    if max_videos:
        drawn = draw(videos, max_videos)
        videos = keep(lambda video: video.video in drawn, "beyond --max-videos")
    if not videos:
        seen = "; ".join(f"{line}: {line.reason}" for line in summarise(left)[:3])
        raise InputError(f"{root} ({layout}) has no video to use. Left out: {seen or 'nothing'}")
    notes += describe_classes(videos)
    data_set = DataSet(root, layout, videos, left, notes)
    assert data_set.found == n
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
