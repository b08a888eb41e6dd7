"""Files that list videos: a CSV of one's own; DFDC's metadata.json and labels.csv."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from unicodedata import normalize

from data.files import InputError, printable, read_json
from data.groups import BY_LIST
from data.images import count_images
from data.videos import PHOTO, Folder, Item, Video, is_template, read_images, tidy
from data.words import IMAGE_SUFFIXES, SPLIT_WORDS, VIDEO_SUFFIXES

COLUMNS = ("path", "label", "group", "split", "method")
EXPECTED = "path,label[,group,split,method]"
ALIASES = {  # other people's columns
    **dict.fromkeys(("filename", "file", "video", "file path", "filepath", "file_path"), "path"),
    "is_fake": "label",
    "groups": "group",
    "set": "split",
    "methods": "method",
}
LABELS = {"real": 0, "0": 0, "0.0": 0, "false": 0, "fake": 1, "1": 1, "1.0": 1, "true": 1}

# --- A CSV of one's own ---


def check_list(file: Path) -> None:
    """Raise InputError where `file` cannot be a list of videos."""
    if file.is_dir():
        raise InputError(f"{file} is a folder: give it to --videos-dir, or name a CSV file")
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a CSV with the columns {EXPECTED}")
    if file.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
        expected = "name the folder that holds the videos, or a CSV that lists them"
        raise InputError(f"{file} is one video or image: {expected}")


def read_table(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the cells, of each line of a CSV that is not empty.

    Raises InputError.
    """
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        try:
            for cells in reader:
                if any(map(str.strip, cells)):
                    yield f"{file}, line {reader.line_num}", [cell.strip() for cell in cells]
        except (UnicodeDecodeError, csv.Error) as error:
            problem = f"not a CSV in UTF-8 ({error})"
            raise InputError(f"{file}, after line {reader.line_num}: {problem}") from error


def read_list(file: Path, image_names: str = "") -> tuple[list[tuple[Item, dict]], list[str]]:
    """The videos that a CSV lists, with what its columns tell of each; and what is to be said.

    Told are fields of Video, and only what a line says. Raises InputError.
    """
    check_list(file)
    listed, first_line = [], {}
    table = read_table(file)
    where, header = next(table, (f"{file}, line 1", []))
    columns, notes = read_header(where, header)
    for where, cells in table:
        if any(cells[len(columns) :]):
            remedy = "name all columns, and quote what holds a comma"
            found = f"{len(cells)} values for {len(columns)} columns"
            raise InputError(f"{where}: {found}: {remedy}")
        row = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))
        item, told = read_row(row, file.parent, where)
        first = first_line.setdefault(normalize("NFC", str(told["path"])), where)
        if first != where:
            twice = f"{row['path']!r} is listed twice, first in {first.rpartition(', ')[2]}"
            raise InputError(f"{where}: {twice}; expected each path once")
        listed.append((item, told))
    if image_names != PHOTO:
        check_images(file, listed)
    n_without = sum("people" not in told for _, told in listed)
    if 0 < n_without < len(listed):
        notes.append(f"{n_without} of {len(listed)} lines have no group: they go by names")
    return listed, notes + describe_missing(file, listed)


def describe_missing(file: Path, listed: list[tuple[Item, dict]]) -> list[str]:
    """A warning where paths of a list are not there. Raises InputError where none is."""
    missing = [
        item.path for item, told in listed if not item.n_images and not told["path"].exists()
    ]
    if not missing:
        return []
    if len(missing) == len(listed):
        problem = f"none of its {len(listed)} paths is there, {listed[0][1]['path']} for one"
        raise InputError(f"{file}: {problem}; relative paths start from the folder of the CSV")
    names = ", ".join(missing[:3])
    return [f"WARNING: {len(missing)} of {len(listed)} paths of the list are not there: {names}"]


def check_images(file: Path, listed: list[tuple[Item, dict]]) -> None:
    """Raise InputError where images are listed one by one that may be frames of one video."""
    folders = defaultdict(list)
    for item, told in listed:
        if item.n_images == 1 and not told.get("people"):
            folder, _, name = item.path.rpartition("/")
            folders[folder].append(name)
    for path, names in folders.items():
        items, is_unclear = read_images(Folder(path, images=names), None)
        if is_unclear or len(items) < len(names):
            problem = f"{path}/{names[0]} and others may be frames of one video"
            remedy = (
                "list each video once, as its folder or as NAME_{frame}; fill in the column group; "
                "or give --image-names photo"
            )
            raise InputError(f"{file}: {problem}: {remedy}")


def read_header(where: str, header: list[str]) -> tuple[list[str], list[str]]:
    """What each column of a list holds ("" for others), and what is to be said of the others."""
    plain = [name.lower() for name in header]
    columns = []
    for name in plain:
        meant = ALIASES.get(name, name)
        is_known = meant in COLUMNS and meant not in columns
        columns.append(meant if is_known and (name == meant or meant not in plain) else "")
    if not {"path", "label"} <= set(columns):
        for separator in (";", "\t"):
            if any(separator in name for name in header):
                problem = f"the columns are separated by {separator!r}, expected commas"
                raise InputError(f"{where}: {problem}: save it with commas")
        raise InputError(f"{where}: {header}, expected {EXPECTED}")
    others = [name for name, column in zip(header, columns, strict=True) if name and not column]
    return columns, [f"columns not used: {', '.join(others)}"] if others else []


def read_row(row: dict[str, str], folder: Path, where: str) -> tuple[Item, dict]:
    """The video of a line and what it tells; paths start from `folder`. Raises InputError."""
    name, label = row["path"], row["label"]
    split = SPLIT_WORDS.get(row["split"].lower(), "")
    path, base = (Path(os.path.normpath(each)) for each in (folder / name, folder))
    if not name or "\0" in name or path == base:
        raise InputError(f"{where}: path {name!r}, expected the path of a video")
    if label.lower() not in LABELS:
        raise InputError(f"{where}: label {label!r}, expected real, fake, 0 or 1")
    if row["split"] and not split:
        raise InputError(f"{where}: split {row['split']!r}, expected train, val or test")
    path = find_spelling(path)
    is_video = path.name.lower().endswith(VIDEO_SUFFIXES)
    n_images = 0 if is_video else count_images(path)
    identifier = identify(path, base)
    item = Item(identifier, tidy(identifier, is_folder=path.is_dir()), n_images)
    told = {"path": path, "label": LABELS[label.lower()]}
    if split:
        told["split"] = split
    if row["method"]:
        told["method"] = normalize("NFC", row["method"])
    people = [
        name.strip() for name in normalize("NFC", row["group"].lower()).split(";") if name.strip()
    ]
    if people:
        told |= {"people": tuple(f"{BY_LIST}{name}" for name in people), "is_known": True}
    return item, told


def find_spelling(path: Path) -> Path:
    """The path as it is on disk: a Mac spells é as two signs, Windows has backslashes."""
    if path.exists() or is_template(path.name):
        return path
    text = str(path)
    spellings = [normalize(form, text) for form in ("NFC", "NFD")]
    spellings.append(os.path.normpath(text.replace("\\", "/")))
    return next((Path(each) for each in spellings if os.path.exists(each)), path)


def identify(path: Path, base: Path) -> str:
    """The identifier of a video: its path from `base`, with `/` between the parts."""
    try:
        return printable(os.path.relpath(path, base))
    except ValueError:  # on Windows there is none to another drive
        return printable(path)


# --- DFDC, and other videos with a file of labels ---


@dataclass
class LabelFiles:
    """DFDC's metadata.json and labels.csv: what they tell of each video."""

    told: dict[str, dict]  # {key: fields of Video}
    notes: list[str]
    name: str  # DFDC, or that of a file of one's own
    lists = ()

    @property
    def has_public_ids(self) -> bool:
        return self.name == "DFDC"

    def read(self, place: str) -> dict | None:
        return self.told.get(place.lower())

    def describe_absent(self, videos: list[Video]) -> list[str]:
        """How many videos of the files are not there: a partial download is all right."""
        absent = self.told.keys() - {video.key for video in videos}
        if not absent:
            return []
        files = "metadata.json or labels.csv"
        return [f"{len(absent)} videos in {files} are not there, {min(absent)} for one"]


def read_label_files(root: Path, files: list[str]) -> LabelFiles:
    """What DFDC's `files`, paths below the root, tell.

    Of several parts of the training set each is one group: the set does not say who is in a video.
    Where no file names originals, only the labels are DFDC's: then the names of videos are asked.
    """
    told, notes = {}, []
    parts = [file for file in files if not split_in(file)]
    entries_of = {file: read_labels(root / file, notes) for file in files}
    entries = chain.from_iterable(labels.values() for labels in entries_of.values())
    knows_originals = any(isinstance(entry, dict) and entry.get("original") for entry in entries)
    is_dfdc = any(file.endswith("metadata.json") for file in files)
    if is_dfdc and len(parts) == 1:
        notes.append("DFDC does not say who is in a video: the same people may be on both sides")
    for file, labels in entries_of.items():
        folder = file.rpartition("/")[0]
        for name, entry in labels.items():
            name = name.replace("\\", "/")
            key = tidy(f"{folder}/{name}".lstrip("/")).lower()
            fields = read_entry(entry, split_in(file), f"{root / file}: {name}") | {"key": key}
            if knows_originals and file in parts:  # of test videos nothing is known
                clip = f"DFDC {tidy(entry.get('original') or name).lower()}"
                part = (f"part {folder}",) if len(parts) > 1 else ()
                fields |= {"clip": clip, "group_keys": (clip, *part), "is_known": True}
            if told.setdefault(key, fields)["label"] != fields["label"]:
                raise InputError(f"{root / file}: {name} has two labels: is it listed twice?")
    return LabelFiles(told, notes, "DFDC" if is_dfdc else "labels.csv")


def read_entry(entry: dict, split: str, where: str) -> dict:
    """Label and split of an entry, if its file does not tell the split. Raises InputError."""
    try:
        label = LABELS[str(entry["label"]).lower()]
    except (KeyError, TypeError):
        raise InputError(f"{where} has no label REAL or FAKE") from None
    word = entry.get("split") or "train"
    split = split or SPLIT_WORDS.get(str(word).lower())
    if split is None:
        raise InputError(f"{where} has split {word!r}, not train, val, test")
    return {"label": label, "split": split}


def split_in(path: str) -> str:
    """The split that a folder of the path names: val or test, or "" for training."""
    splits = [SPLIT_WORDS.get(folder.lower()) for folder in path.split("/")]
    return next((split for split in splits if split in ("val", "test")), "")


def read_labels(file: Path, notes: list[str]) -> dict[str, dict]:
    """A metadata.json, or in its form labels.csv: filename, label, perhaps original and split.

    Columns that are not used are noted. Raises InputError.
    """
    if file.suffix == ".json":
        if isinstance(read_json(file, object), list):
            raise InputError(f"{file} is a list, as in LAV-DF: make a CSV of it for --videos-csv")
        return read_json(file)
    _, header = next(table := read_table(file), ("", []))
    columns = [name.lower() for name in header]
    if not {"filename", "label"} <= set(columns):
        remedy = "expected the columns filename and label, or give it to --videos-csv"
        raise InputError(f"{file}: {remedy}")
    labels = {}
    for where, cells in table:
        row = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
        name = row["filename"]
        if row.get("group") or row.get("method"):
            raise InputError(f"{where}: a group or a method: read it with --videos-csv instead")
        if labels.setdefault(name, row)["label"] != row["label"]:
            raise InputError(f"{where}: {name} has two labels")
    others = [name for name in columns if name not in ("filename", "label", "original", "split")]
    if others:
        notes.append(f"columns of {file.name} that are not used: {', '.join(others)}")
    return labels
