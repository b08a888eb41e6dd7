"""What files beside the videos of a public set tell: official splits, and DFDC's labels."""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from data.files import InputError, read_json
from data.walk import LEVEL, SPLITS, VIDEO_SUFFIXES, Video

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def drop_levels(path: str) -> str:
    """The path in lower case, without folders such as videos/ that tell nothing."""
    *folders, name = path.lower().split("/")
    telling = [folder for folder in folders if not re.fullmatch(LEVEL, folder)]
    return "/".join([*telling, name])


def exact_key(path: str) -> str:
    """What a list and a tree have in common: a/id0_0000 for a/videos/id0_0000.mp4."""
    path = drop_levels(path.strip())
    suffix = f".{path.rpartition('.')[2]}"
    return path.removesuffix(suffix) if suffix in VIDEO_SUFFIXES else path


def path_key(path: str) -> str:
    """exact_key without an ending that a tool put after the ids: a/id0_0000_face is a/id0_0000."""
    return re.sub(r"(?<=\d)(?:_(?!id\d|[mw]\d)[a-z]+)+\d*$", "", exact_key(path))


# --- The readers of official lists: each gives a path, a name or a person, and its split ---


def read_ids(file: Path, split: str) -> Iterator[tuple[str, str]]:
    """FaceForensics++'s pairs of ids, or DeeperForensics' names of fakes, TTT_M004.mp4."""
    if file.suffix == ".txt":
        for name in file.read_text(encoding="utf-8").split():
            key = path_key(name)
            target = key.split("_")[0]
            yield key, split
            yield f"FaceForensics++ {target}", split
        return
    for pair in read_json(file, list):
        is_pair = isinstance(pair, list) and len(pair) == 2
        if not is_pair or not all(isinstance(name, str | int) for name in pair):
            raise InputError(f'{file}: {pair} is not a pair of ids like ["000", "003"]')
        for name in pair:
            number = f"{name:03d}" if isinstance(name, int) else name
            yield f"FaceForensics++ {number}", split


def read_celeb_df_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """Lines of a label and a path. In this list 1 = real and 0 = fake."""
    expected = {"celeb-real": "1", "youtube-real": "1", "celeb-synthesis": "0"}
    lines = file.read_text("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, 1):
        label, _, name = line.strip().partition(" ")
        if not label:
            continue
        key = path_key(name)
        folder = key.split("/")[0]
        if expected.get(folder) != label:
            problem = f"{line!r} does not fit the folder; 1 = real here, 0 = fake"
            raise InputError(f"{file}, line {number}: {problem}")
        yield key, "test"


def read_preview_list(file: Path, _: str) -> Iterator[tuple[str, str]]:
    """{path: {"label": "real" or "fake", "set": "train" or "test"}}."""
    for name, entry in read_json(file).items():
        label = "real" if name.startswith("original_videos/") else "fake"
        try:
            listed, split = entry["label"], SPLIT_WORDS[entry["set"]]
        except (KeyError, TypeError):
            raise InputError(f"{file}: {name} has no label, or no set train or test") from None
        if listed != label:
            raise InputError(f"{file}: {name} is {listed}, but lies where {label}s are")
        yield path_key(name), split


# --- The split of each video ---


def set_splits(row, videos: list[Video], root: Path, base: str) -> list[str]:
    """Give each video its official split, or that of its folder, or train; return what to say.

    Raises InputError where a list contradicts the tree or itself, or belongs to other videos.
    """
    named = {video.split for video in videos}
    if "" in named and len(named) > 1:
        both = f"{root} has both {max(named)}/ and real/ or fake/ outside of such a folder"
        raise InputError(f"{both}: which is meant? Move one of them away")
    split_of, notes = read_official_split(row, [root / base, root])
    listed, n_unlisted = set(), 0
    key_of = exact_key if row.told else path_key
    for video in videos:
        key = key_of(video.video[len(base) :].lstrip("/"))
        listed.add(key)
        official = find_split(split_of, key, video.people)
        n_unlisted += not official
        video.split = official or video.split or "train"
    paths = {key for key in split_of if "/" in key}
    notes += describe_absent(row.lists, paths, listed, root)
    absent = row.told.keys() - listed  # DFDC: a partial download is all right
    if absent:
        one = f"{min(absent)} for one"
        notes.append(f"{len(absent)} videos in metadata.json or labels.csv are not there, {one}")
    if split_of and n_unlisted and not paths:
        notes.append(f"{n_unlisted} videos are in no official list: they are for training")
    return notes


def describe_absent(lists: tuple[str, ...], paths: set, found: set, root: Path) -> list[str]:
    """How many of a list's paths are not there. Raises InputError where most are not."""
    missing = sorted(paths - found)
    if not missing:
        return []
    absent = f"{len(missing)} of {len(paths)} videos of {lists[0]} are not there"
    if len(missing) > len(paths) / 2:
        remedy = "take the list that belongs to these videos, or only its lines for them"
        raise InputError(f"{root}: {absent}, {missing[0]} for one: {remedy}")
    return [f"{absent}, {missing[0]} for one"]


def read_official_split(row, folders: list[Path]) -> tuple[dict[str, str], list[str]]:
    """{path_key, name or person: split} of the lists of a set, and which were not found."""
    split_of, missing = {}, []
    splits = ()
    if row.lists:
        has_three = any("{split}" in name for name in row.lists)
        splits = SPLITS if has_three else ("test",)
    for split in splits:
        names = [name.format(split=split) for name in row.lists]
        places = [folder / name for folder in folders for name in names]
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            missing.append((split, " and ".join(names)))
            continue
        for key, of_key in row.read_list(file, split):
            other = split_of.setdefault(key, of_key)
            if other != of_key:
                raise InputError(f"{file}: {key.split()[-1]} is in the {other} split too")
    if not missing:
        return split_of, []
    note = f"no official split found: looked for {missing[0][1]}"
    others = " and ".join(split for split, _ in missing[1:])
    if others:
        note += f", and so for {others}"
    return split_of, [note]


def find_split(split_of: dict[str, str], key: str, people: tuple[str, ...]) -> str:
    """The official split of a video by its path, its name, or its people; "" if none is listed."""
    for keys in ([key], [key.rpartition("/")[2]], people):
        splits = sorted({split_of[key] for key in keys if key in split_of})
        if len(splits) > 1:
            both = " and ".join(splits)
            raise InputError(f"{key} joins people of the official splits {both}: remove it")
        if splits:
            return splits[0]
    return ""


# --- DFDC ---


def read_dfdc(root: Path, files: list[str]) -> dict[str, dict]:
    """{exact_key: fields of Video}: what DFDC's `files`, paths below the root, tell.

    Of several parts of the training set each is one group: the set does not say who is in a video.
    Where no file names originals, only the labels are DFDC's: then the names of videos are asked.
    """
    told = {}
    parts = [file for file in files if not split_in(file)]
    entries_of = {file: read_labels(root / file) for file in files}
    entries = chain.from_iterable(labels.values() for labels in entries_of.values())
    knows_originals = any(isinstance(entry, dict) and entry.get("original") for entry in entries)
    for file, labels in entries_of.items():
        folder = file.rpartition("/")[0]
        for name, entry in labels.items():
            try:
                label = ("REAL", "FAKE").index(str(entry["label"]).upper())
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{root / file}: {name} has no label REAL or FAKE") from None
            word = entry.get("split") or "train"
            split = split_in(file) or SPLIT_WORDS.get(str(word).lower())
            if split is None:
                raise InputError(f"{root / file}: {name} has split {word!r}, not train, val, test")
            told_of = {"label": label, "split": split}
            if knows_originals:
                told_of["clip"] = clip = f"DFDC {entry.get('original') or name}"
                if file in parts:  # of the test videos nothing is known
                    part = (f"part {folder}",) if len(parts) > 1 else ()
                    told_of |= {"people": (clip,), "group_keys": (f"DFDC {name}", *part)}
            known = told.setdefault(exact_key(f"{folder}/{name}".lstrip("/")), told_of)
            if known["label"] != label:
                raise InputError(f"{root / file}: {name} has two labels: is it listed twice?")
    return told


def split_in(path: str) -> str:
    """The split that a folder of the path names: val or test, or "" for training."""
    splits = [SPLIT_WORDS.get(folder.lower()) for folder in path.split("/")]
    return next((split for split in splits if split in ("val", "test")), "")


def read_labels(file: Path) -> dict[str, dict]:
    """A metadata.json, or in its form labels.csv: filename, label, perhaps original and split."""
    if file.suffix == ".json":
        if isinstance(read_json(file, object), list):
            raise InputError(f"{file} is a list, as in LAV-DF: make a CSV of it for --videos-csv")
        return read_json(file)
    with open(file, newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    words = {"0": "REAL", "1": "FAKE"}
    labels = {}
    try:
        for row in rows:
            name, label = row["filename"], words.get(row["label"], row["label"])
            if row.get("group") or row.get("method"):
                raise InputError(f"{file} has groups or methods: read it with --videos-csv instead")
            if labels.setdefault(name, row | {"label": label})["label"] != label:
                raise InputError(f"{file}: {name} has two labels")
        return labels
    except KeyError:
        raise InputError(f"{file}: expected the columns filename and label") from None
