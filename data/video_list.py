"""A CSV that lists videos: path and label, and if known group, split and method."""

import csv
import hashlib
import os
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize

from data.files import InputError, printable
from data.images import count_images
from data.official_lists import SPLIT_WORDS
from data.walk import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Video, describe_readings

COLUMNS = ("path", "label", "group", "split", "method")
EXPECTED = "path,label[,group,split,method]"
ALIASES = {  # other people's columns
    **dict.fromkeys(("filename", "file", "video", "file path", "filepath", "file_path"), "path"),
    "is_fake": "label",
}
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


def check_list(file: Path) -> None:
    """Raise InputError where `file` cannot be a list of videos."""
    if file.is_dir():
        raise InputError(f"{file} is a folder: give it to --videos-dir, or name a CSV file")
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a CSV with the columns {EXPECTED}")
    if file.name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
        expected = "name the folder that holds the videos, or a CSV that lists them"
        raise InputError(f"{file} is one video or image: {expected}")


def read_list(file: Path) -> tuple[list[Video], list[str]]:
    """The videos that a CSV lists, and what is to be said of it. Raises InputError."""
    check_list(file)
    videos, first_line = [], {}
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        try:
            columns, notes = read_header(file, next(reader, []))
            for cells in reader:
                row = dict.fromkeys(COLUMNS, "")
                row |= dict(zip(columns, map(str.strip, cells), strict=False))
                if not any(cells):
                    continue
                where = f"{file}, line {reader.line_num}"
                if any(cells[len(columns) :]):
                    remedy = "name all columns, and quote what holds a comma"
                    found = f"{len(cells)} values for {len(columns)} columns"
                    raise InputError(f"{where}: {found}: {remedy}")
                video = read_row(row, file.parent, where)
                first = first_line.setdefault(normalize("NFC", str(video.path)), reader.line_num)
                if first != reader.line_num:
                    twice = f"{row['path']!r} is listed twice, first in line {first}"
                    raise InputError(f"{where}: {twice}; expected each path once")
                videos.append(video)
        except (UnicodeDecodeError, csv.Error) as error:
            problem = f"not a CSV in UTF-8 ({error})"
            raise InputError(f"{file}, after line {reader.line_num}: {problem}") from error
    n_without = sum(not video.people for video in videos)
    if 0 < n_without < len(videos):
        notes.append(f"{n_without} of {len(videos)} lines have no group: they go by names")
    return videos, notes + describe_readings(videos)


def check_paths(file: Path, videos: list[Video]) -> None:
    """Raise InputError where none of the videos that a list names is there."""
    if not any(video.n_images or video.path.exists() for video in videos):
        problem = f"none of its {len(videos)} paths is there, {videos[0].path} for one"
        raise InputError(f"{file}: {problem}; relative paths start from the folder of the CSV")


def read_header(file: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """What each column of a list holds ("" for others), and what is to be said of the others."""
    columns, others = [], []
    for name in header:
        plain = name.strip().lower()
        alias = ALIASES.get(plain)
        known = name if name in COLUMNS else alias if alias not in (*header, *columns) else None
        if known is None:
            near = ["split"] if plain == "set" else get_close_matches(plain, COLUMNS, cutoff=0.8)
            if near and near[0] not in header:
                raise InputError(f"{file}, line 1: column {name!r}: if it is {near[0]}, call it so")
            others.append(name)
        columns.append(known or "")
    if not {"path", "label"} <= set(columns):
        for separator in (";", "\t"):
            if any(separator in name for name in header):
                problem = f"the columns are separated by {separator!r}, expected commas"
                raise InputError(f"{file}, line 1: {problem}: save it with commas")
        raise InputError(f"{file}, line 1: {header}, expected {EXPECTED}")
    return columns, [f"columns not used: {', '.join(others)}"] if others else []


def read_row(row: dict[str, str], folder: Path, where: str) -> Video:
    """The video of a line; paths start from `folder`. Raises InputError that names `where`."""
    name, label = row["path"], row["label"]
    split = SPLIT_WORDS.get(row["split"].lower() or "train")
    path = Path(os.path.normpath(folder / name))
    base = Path(os.path.normpath(folder))
    if not name or "\0" in name or path == base:
        raise InputError(f"{where}: path {name!r}, expected the path of a video")
    if label.lower() not in LABELS:
        raise InputError(f"{where}: label {label!r}, expected real, fake, 0 or 1")
    if split is None:
        raise InputError(f"{where}: split {row['split']!r}, expected train, val or test")
    if not name.isascii() and not path.exists():  # a list made on a Mac spells é as two signs
        forms = [Path(normalize(form, str(path))) for form in ("NFC", "NFD")]
        path = next((form for form in forms if form.exists()), path)
    group = normalize("NFC", row["group"])
    here = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]  # anna here alone
    return Video(
        path,
        label=LABELS[label.lower()],
        split=split,
        method=normalize("NFC", row["method"]),
        people=(f"{here} {group}",) if group else (),
        video=identify(path, base),
        n_images=0 if path.name.lower().endswith(VIDEO_SUFFIXES) else count_images(path),
    )


def identify(path: Path, base: Path) -> str:
    """The identifier of a video: its path from `base`, with `/` between the parts."""
    try:
        return printable(os.path.relpath(path, base))
    except ValueError:  # on Windows there is none to another drive
        return printable(path)
