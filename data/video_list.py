"""Files that list videos: a CSV of one's own; DFDC's metadata.json and labels.csv."""

import csv
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from data.files import InputError, printable, read_json
from data.groups import BY_LIST
from data.images import count_images
from data.videos import PHOTO, Folder, Item, Video, read_images, tidy
from data.words import IMAGE_SUFFIXES, SPLIT_WORDS, VIDEO_SUFFIXES

EXPECTED = "path,label[,group,split,method]"
COLUMNS = {  # {what a column holds: its name, and other people's names for it}
    "path": "path filename file video filepath file_path",
    "label": "label is_fake",
    "group": "group groups",
    "split": "split set",
    "method": "method methods",
}
LABEL_COLUMNS = {name: name for name in (*COLUMNS, "original")} | {"path": "filename"}
WORDS = ("real 0 0.0 false", "fake 1 1.0 true")
LABELS = {word: label for label, words in enumerate(WORDS) for word in words.split()}

Row = tuple[str, dict[str, str]]  # where it stands; {what a column holds: value or ""}


def read_rows(file: Path, known: dict, expected: str) -> tuple[list[Row], list[str]]:
    """The lines of a CSV that are not empty; and the names of columns that are not known.

    Raises InputError.
    """
    with open(file, newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(text)
        try:
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            problem = f"not a CSV in UTF-8 ({error})"
            raise InputError(f"{file}, after line {reader.line_num}: {problem}") from error
    lines = [(f"{file}, line {n}", cells) for n, cells in lines if any(cells)]
    (where, header), *lines = lines or [(f"{file}, line 1", [])]
    columns = find_columns(header, known)
    if not {"path", "label"} <= set(columns):
        for sign in ";\t":
            if sign in "".join(header):
                raise InputError(f"{where}: columns separated by {sign!r}: save it with commas")
        raise InputError(f"{where}: {header}, expected {expected}")
    rows = []
    for where, cells in lines:
        if any(cells[len(columns) :]):
            found = f"{len(cells)} values for {len(columns)} columns"
            raise InputError(f"{where}: {found}: name all columns, and quote what holds a comma")
        row = dict(zip(columns, cells, strict=False))
        rows.append((where, dict.fromkeys(known, "") | row))
    others = [name for name, held in zip(header, columns, strict=True) if name and not held]
    return rows, others


def find_columns(header: list[str], known: dict[str, str]) -> list[str]:
    """What each column holds, "" for others. Of several that hold the same, one is used.

    It is the one whose name comes first in `known`.
    """
    plain = [name.lower().replace(" ", "_") for name in header]
    columns = [""] * len(plain)
    for held, names in known.items():
        there = [name for name in names.split() if name in plain]
        if there:
            columns[plain.index(there[0])] = held
    return columns


def read_label(row: dict[str, str], where: str) -> dict:
    """The label, and the split if there is one, of a row (fields of Video). Raises InputError."""
    label = LABELS.get(row["label"].lower())
    split = SPLIT_WORDS.get(row["split"].lower())
    if label is None:
        raise InputError(f"{where} has no label REAL or FAKE, 0 or 1, but {row['label']!r}")
    if row["split"] and not split:
        raise InputError(f"{where} has split {row['split']!r}, not train, val, test")
    return {"label": label} | ({"split": split} if split else {})


# --- A CSV of one's own ---


def check_list(file: Path) -> None:
    """Raise InputError where `file` cannot be a list of videos."""
    if not file.is_file():
        expected = f"a CSV with the columns {EXPECTED}; --videos-dir takes folders"
        raise InputError(f"{file} is no file; expected {expected}")
    if file.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
        expected = "name the folder that holds the videos, or a CSV that lists them"
        raise InputError(f"{file} is one video or image: {expected}")


def read_list(file: Path, image_names: str = "") -> tuple[list[tuple[Item, dict]], list[str]]:
    """The videos that a CSV lists, with what its columns tell of each; and what is to be said.

    Told are fields of Video, and only what a line says. Raises InputError.
    """
    check_list(file)
    rows, others = read_rows(file, COLUMNS, EXPECTED)
    notes = [f"columns not used: {', '.join(others)}"] if others else []
    listed, first_line = [], {}
    for where, row in rows:
        item, told = read_row(row, file.parent, where)
        first = first_line.setdefault(normalize("NFC", str(told["path"])), where)
        if first != where:
            line = first.rpartition(", ")[2]
            raise InputError(f"{where}: {row['path']!r} is listed twice, first in {line}")
        listed.append((item, told))
    if image_names != PHOTO:
        check_images(file, listed)
    n_without = sum("people" not in told for _, told in listed)
    if 0 < n_without < len(listed):
        notes.append(f"{n_without} of {len(listed)} lines have no group: they go by names")
    return listed, notes + describe_missing(file, listed)


def describe_missing(file: Path, listed: list[tuple[Item, dict]]) -> list[str]:
    """A warning where paths of a list are not there. Raises InputError where none is."""
    gone = [item.path for item, told in listed if not (item.n_images or told["path"].exists())]
    if gone and len(gone) == len(listed):
        problem = f"none of its {len(listed)} paths is there, {listed[0][1]['path']} for one"
        raise InputError(f"{file}: {problem}; relative paths start from the folder of the CSV")
    what = f"{len(gone)} of {len(listed)} paths of the list are not there"
    return [f"WARNING: {what}: {', '.join(gone[:3])}"] if gone else []


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
            remedy = "list each video once, as its folder or as NAME_{frame}"
            others = "fill in the column group; or give --image-names photo"
            raise InputError(f"{file}: {problem}: {remedy}; {others}")


def read_row(row: dict[str, str], folder: Path, where: str) -> tuple[Item, dict]:
    """The video of a line and what it tells; paths start from `folder`. Raises InputError."""
    name = row["path"]
    path, base = (Path(os.path.normpath(each)) for each in (folder / name, folder))
    if not name or "\0" in name or path == base:
        raise InputError(f"{where}: path {name!r}, expected the path of a video")
    told = read_label(row, where)
    path = told["path"] = find_spelling(path)
    is_video = path.name.lower().endswith(VIDEO_SUFFIXES)
    identifier = identify(path, base)
    place = tidy(identifier, is_folder=path.is_dir())
    if row["method"]:
        told["method"] = normalize("NFC", row["method"])
    people = [name.strip() for name in normalize("NFC", row["group"].lower()).split(";")]
    people = tuple(f"{BY_LIST}{name}" for name in people if name)
    if people:
        told |= {"people": people, "is_known": True}
    return Item(identifier, place, 0 if is_video else count_images(path)), told


def find_spelling(path: Path) -> Path:
    """The path as it is on disk: a Mac spells é as two signs, Windows has backslashes."""
    spellings = [str(path), *(normalize(form, str(path)) for form in ("NFC", "NFD"))]
    spellings.append(os.path.normpath(str(path).replace("\\", "/")))
    return Path(next(filter(os.path.exists, spellings), path))


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
    has_public_ids: bool  # of DFDC
    lists = ()

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
    rows_of = {file: read_labels(root / file, notes) for file in files}
    parts = [file for file in files if not split_in(file)]
    knows_originals = any(row["original"] for rows in rows_of.values() for _, row in rows)
    is_dfdc = any(file.endswith("metadata.json") for file in files)
    if is_dfdc and len(parts) == 1:
        notes.append("DFDC does not say who is in a video: the same people may be on both sides")
    for file, rows in rows_of.items():
        folder = file.rpartition("/")[0]
        for where, row in rows:
            name = row["path"].replace("\\", "/")
            row["split"] = split_in(file) or row["split"] or "train"
            fields = read_label(row, f"{where}: {name}")
            key = fields["key"] = tidy(f"{folder}/{name}".lstrip("/")).lower()
            if knows_originals and file in parts:  # of test videos nothing is known
                clip = f"DFDC {tidy(row['original'] or name).lower()}"
                part = (f"part {folder}",) if len(parts) > 1 else ()
                fields |= {"clip": clip, "group_keys": (clip, *part), "is_known": True}
            if told.setdefault(key, fields)["label"] != fields["label"]:
                raise InputError(f"{where}: {name} has two labels: is it listed twice?")
    return LabelFiles(told, notes, "DFDC" if is_dfdc else "labels.csv", is_dfdc)


def split_in(path: str) -> str:
    """The split that a folder of the path names: val or test, or "" for training."""
    splits = [SPLIT_WORDS.get(folder.lower()) for folder in path.split("/")]
    return next((split for split in splits if split in ("val", "test")), "")


def read_labels(file: Path, notes: list[str]) -> list[Row]:
    """The rows of a metadata.json or a labels.csv; columns that are not used are noted.

    Raises InputError.
    """
    if file.suffix == ".json":
        entries = read_json(file, object)
        if not isinstance(entries, dict):
            raise InputError(f"{file} is a list, as in LAV-DF: make a CSV of it for --videos-csv")
        rows = []
        for name, entry in entries.items():
            values = entry.items() if isinstance(entry, dict) else ()
            row = {held: str(value) for held, value in values if value is not None}
            row = dict.fromkeys(LABEL_COLUMNS, "") | row | {"path": name}
            rows.append((str(file), row))
        return rows
    expected = "the columns filename and label, or give it to --videos-csv"
    rows, others = read_rows(file, LABEL_COLUMNS, expected)
    for where, row in rows:
        if row["group"] or row["method"]:
            raise InputError(f"{where}: a group or a method: read it with --videos-csv instead")
    if others:
        notes.append(f"columns of {file.name} that are not used: {', '.join(others)}")
    return rows
