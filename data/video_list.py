"""Files that list videos, in many forms; DFDC's metadata.json and labels.csv."""

import csv
import io
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from data.files import InputError, printable, read_json
from data.groups import BY_LIST
from data.images import count_images
from data.videos import PHOTO, Folder, Item, Video, read_images, tidy
from data.words import IMAGE_SUFFIXES, SPLIT_WORDS, VIDEO_SUFFIXES

EXPECTED = "path,label[,group,split,method,original], or a path and real or fake in each line"
COLUMNS = {  # {what a column holds: its names, of which the first that is there counts}
    "path": "path filename file video filepath file_path",
    "label": "modify_video modify_type label is_fake",  # the picture counts, not the sound
    "group": "group groups person subject subject_id",
    "split": "split set set_name subset",
    "method": "method methods",
    "original": "original",
}
WORDS = (
    "real 0 0.0 false audio_modified",
    "fake 1 1.0 true visual_modified both_modified",
)
LABELS = {word: label for label, words in enumerate(WORDS) for word in words.split()}
LAST_WORD = r"[\s,;]+(?=[^\s,;]*$)"  # before it

Line = tuple[str, list[str]]  # where it stands; its values
Row = tuple[str, dict[str, str]]  # where it stands; {what a column holds: value or ""}
Listed = list[tuple[Item, dict]]  # videos, and fields of Video that are told of them


def read_rows(file: Path, expected: str) -> tuple[list[Row], list[str]]:
    """The rows of a CSV, a text or a JSON; and the names of columns that are not known.

    Raises InputError.
    """
    is_json = file.suffix.lower() == ".json"
    lines = read_entries(file) if is_json else read_lines(file)
    (where, header), *lines = lines
    columns = find_columns(header)
    if not is_header(header):
        raise InputError(f"{where}: {header[:9]}, expected {expected}")
    rows = []
    for where, cells in lines:
        if any(cells[len(columns) :]):
            found = f"{len(cells)} values for {len(columns)} columns"
            remedy = "name all columns, and quote what holds a separator"
            raise InputError(f"{where}: {found}: {remedy}")
        row = dict(zip(columns, cells, strict=False))
        rows.append((where, dict.fromkeys(COLUMNS, "") | row))
    others = [name for name, held in zip(header, columns, strict=True) if name and not held]
    return rows, others


def read_entries(file: Path) -> list[Line]:
    """The entries of a JSON list, or of a JSON of path -> entry; the first has their names."""
    content = read_json(file, object)
    if isinstance(content, dict):
        content = [{**as_dict(entry), "path": path} for path, entry in content.items()]
    entries = list(map(as_dict, content if isinstance(content, list) else []))
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    lines = [(str(file), names)]
    for n, entry in enumerate(entries, 1):
        cells = [as_cell(entry.get(name)) for name in names]
        where = f"{file}, entry {n}"
        lines.append((where, cells))
    return lines


def as_dict(entry) -> dict:
    return entry if isinstance(entry, dict) else {"label": entry}


def as_cell(value) -> str:
    """A value of a JSON as text; `;` between several."""
    values = value if isinstance(value, list) else [value]
    return ";".join(str(each).strip() for each in values if each is not None)


def read_lines(file: Path) -> list[Line]:
    """The lines of a CSV or a text that are not empty; the first has the names of columns."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        n = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{file}, line {n}: not a CSV in UTF-8 ({error})") from error
    plain = [line.strip() for line in re.split(r"\r\n?|\n", text)]
    first = next(filter(None, plain), "")
    headers = {sign: next(csv.reader([first[:9999]], delimiter=sign)) for sign in ",;\t"}
    sign = next((sign for sign, header in headers.items() if is_header(header)), "")
    *_, last = re.split(LAST_WORD, first)
    is_path = re.search(r"[./\\\d]", first)  # not of a header: name,real
    if not sign and is_path and last.lower() in LABELS:
        lines = [(0, ["path", "label"])]
        for n, line in enumerate(plain, 1):
            lines.append((n, re.split(LAST_WORD, line)))
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign or ",")
        try:
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
        except csv.Error as error:
            where = f"{file}, after line {reader.line_num}"
            raise InputError(f"{where}: not a CSV ({error})") from error
    lines = [(f"{file}, line {n}", cells) for n, cells in lines if any(cells)]
    return lines or [(f"{file}, line 1", [])]


def is_header(names: list[str]) -> bool:
    return {"path", "label"} <= set(find_columns(names))


def find_columns(header: list[str]) -> list[str]:
    """What each column holds, "" for others. Of several that hold the same, one is used."""
    plain = [name.lower().replace(" ", "_") for name in header]
    columns = [""] * len(plain)
    for held, names in COLUMNS.items():
        there = [name for name in names.split() if name in plain]
        if there:
            columns[plain.index(there[0])] = held
    return columns


def read_told(row: dict[str, str], where: str) -> dict:
    """What a row tells of a video (fields of Video), and no more. Raises InputError."""
    label = LABELS.get(row["label"].lower())
    split = SPLIT_WORDS.get(row["split"].lower())
    if label is None:
        raise InputError(f"{where} has no label REAL or FAKE, 0 or 1, but {row['label'][:99]!r}")
    if row["split"] and not split:
        raise InputError(f"{where} has split {row['split']!r}, not train, val, test")
    people = map(str.strip, normalize("NFC", row["group"].lower()).split(";"))
    told = {
        "split": split,
        "method": normalize("NFC", row["method"]),
        "people": tuple(f"{BY_LIST}{name}" for name in people if name),
    }
    told["is_known"] = bool(told["people"])
    return {"label": label} | {field: value for field, value in told.items() if value}


# --- A list of one's own or of others ---


def check_list(file: Path) -> None:
    """Raise InputError where `file` cannot be a list of videos."""
    if not file.is_file():
        expected = f"a CSV with the columns {EXPECTED}"
        raise InputError(f"{file} is no file; expected {expected}; --videos-dir takes folders")
    if file.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
        expected = "name the folder that holds the videos, or a CSV that lists them"
        raise InputError(f"{file} is one video or image: {expected}")


def read_list(file: Path, image_names: str = "") -> tuple[Listed, list[str]]:
    """The videos that a list names, with what it tells of each; and what is to be said.

    Told is only what a line says. Raises InputError.
    """
    check_list(file)
    rows, others = read_rows(file, EXPECTED)
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
    notes += relate_originals(listed, [row["original"] for _, row in rows], file.parent)
    n_without = sum("people" not in told for _, told in listed)
    if 0 < n_without < len(listed):
        notes.append(f"{n_without} of {len(listed)} lines have no group: they go by names")
    return listed, notes + describe_missing(file, listed)


def describe_missing(file: Path, listed: Listed) -> list[str]:
    """A warning where paths of a list are not there. Raises InputError where none is."""
    gone = [item.path for item, told in listed if not (item.n_images or told["path"].exists())]
    if gone and len(gone) == len(listed):
        problem = f"none of its {len(listed)} paths is there, {listed[0][1]['path']} for one"
        raise InputError(f"{file}: {problem}; relative paths start from the folder of the list")
    what = f"{len(gone)} of {len(listed)} paths of the list are not there"
    return [f"WARNING: {what}: {', '.join(gone[:3])}"] if gone else []


def relate_originals(listed: Listed, names: list[str], folder: Path) -> list[str]:
    """Give videos the group and clip of their originals, and return what is to be said.

    `names` are paths as those of the videos, or what a real alone is called. What is not in the
    list still keeps its fakes together.
    """
    of_place = {item.place.lower(): (item, told) for item, told in listed}
    reals = defaultdict(list)
    for place, (item, told) in of_place.items():
        if not told["label"]:
            name = place.rpartition("/")[2]
            reals[name].append((item, told))
    absent = []
    for (_, told), name in zip(listed, names, strict=True):
        if not name:
            continue
        _, original = locate(name, folder)
        place = original.place.lower()
        found = [of_place[place]] if place in of_place else reals[place]
        if len(found) == 1:
            original, of_original = found[0]
            clip = of_original.setdefault("clip", original.path)
            told |= {"clip": clip, "group_keys": (original.path,)}
        elif told["label"]:
            told |= {"clip": place, "group_keys": (place,)}
            absent.append(name)
    what = f"originals that the list does not name, or twice: {len(absent)}"
    return [f"{what}, {absent[0]} for one"] if absent else []


def check_images(file: Path, listed: Listed) -> None:
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
    path, item = locate(name, folder)
    if "\0" in name or item.path == ".":
        raise InputError(f"{where}: path {name!r}, expected the path of a video")
    told = read_told(row, where)
    told["path"] = path
    is_video = path.name.lower().endswith(VIDEO_SUFFIXES)
    item.n_images = 0 if is_video else count_images(path)
    return item, told


def locate(name: str, folder: Path) -> tuple[Path, Item]:
    """The path on disk of what a list in this folder names, and its item."""
    path = find_spelling(os.path.normpath(folder / name))
    identifier = identify(path, Path(os.path.normpath(folder)))
    return path, Item(identifier, tidy(identifier, is_folder=path.is_dir()))


def find_spelling(path: str) -> Path:
    """The path as it is on disk: a Mac spells é as two signs, Windows has backslashes."""
    spellings = [path, *(normalize(form, path) for form in ("NFC", "NFD"))]
    spellings.append(os.path.normpath(path.replace("\\", "/")))
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
            fields = read_told(row, f"{where}: {name}")
            key = fields["key"] = tidy(f"{folder}/{name}".lstrip("/")).lower()
            if knows_originals and file in parts:  # of test videos nothing is known
                clip = f"DFDC {tidy(row['original'] or name).lower()}"
                part = (f"part {folder}",) if len(parts) > 1 else ()
                fields |= {"clip": clip, "group_keys": (clip, *part), "is_known": True}
            if told.setdefault(key, fields)["label"] != fields["label"]:
                raise InputError(f"{where}: {name} has two labels: is it listed twice?")
    return LabelFiles(told, notes, "DFDC" if is_dfdc else "labels.csv")


def split_in(path: str) -> str:
    """The split that a folder of the path names: val or test, or "" for training."""
    splits = [SPLIT_WORDS.get(folder.lower()) for folder in path.split("/")]
    return next((split for split in splits if split in ("val", "test")), "")


def read_labels(file: Path, notes: list[str]) -> list[Row]:
    """The rows of a metadata.json or a labels.csv; columns that are not used are noted.

    Raises InputError.
    """
    is_json = file.suffix == ".json"
    if is_json and isinstance(read_json(file, object), list):
        raise InputError(f"{file} is a list, as in LAV-DF: give it to --videos-csv")
    rows, others = read_rows(file, "the columns filename and label, or give it to --videos-csv")
    if others:
        notes.append(f"columns of {file.name} that are not used: {', '.join(others)}")
    return rows
