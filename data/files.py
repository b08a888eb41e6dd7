"""Read, write, replace and download files safely, with errors that say what a user can mend."""

import csv
import errno
import hashlib
import json
import os
import pickle
import socket
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import torch

# What numpy, torch and zipfile raise on a damaged file, found by damaging some 100,000. OSError is
# not among them, so that a missing permission is not taken for damage: see `reading`.
DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zlib.error,
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell starts that a spreadsheet computes
FINGERPRINT_BYTES = 64 * 1024


class InputError(ValueError):
    """Something that a user gave is wrong. One line says what, where and what to do."""


class DownloadError(InputError):
    """A published file is not in torch's cache and cannot be downloaded."""


class ReadError(OSError):
    """The system refuses a file that may be whole. One line says why, where and what to do."""


# --- What went wrong ---


def is_no_memory(error: Exception) -> bool:
    """Whether memory ran out: Python, the system and torch each say it in their own way."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def explain_os_error(error: Exception, path: str | os.PathLike) -> str:
    """What the system refused, where, and what to do, in one line."""
    path = getattr(error, "filename", None) or path
    folder = os.name == "nt" and os.path.isdir(path)  # Windows forbids to open one
    if folder or isinstance(error, IsADirectoryError):
        return f"{path} is a folder: name a file"
    if isinstance(error, PermissionError):
        return f"no permission for {path}: change its permissions, or run as a user who has them"
    if is_no_memory(error):
        return f"no memory left for {path}: end other programs, or take a machine with more memory"
    if getattr(error, "errno", None) == errno.EROFS:
        return f"{path} is on a disk that cannot be written: name another folder"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return f"no space left on the disk of {path}: make room, then run again"
    return f"{path}: {getattr(error, 'strerror', None) or error}"


@contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """A block that reads `path` and raises one of DAMAGED where the file is damaged.

    Raises ReadError where the system refuses it (no permission, no memory, a folder), and
    FileNotFoundError.
    """
    try:
        yield
    except (FileNotFoundError, ReadError):
        raise
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # zipfile leapt to where a damaged file told it to
            raise ValueError(f"{path} is damaged: {error}") from error
        raise ReadError(explain_os_error(error, path)) from error
    except (MemoryError, RuntimeError) as error:
        if is_no_memory(error):
            raise ReadError(explain_os_error(error, path)) from error
        raise


# --- Names of files ---


def printable(path: str | os.PathLike) -> str:
    """The path with `/` between its parts, and all that a line of text cannot hold spelled out."""
    name = Path(path).as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(repr(sign)[1:-1] if sign < " " else sign for sign in name)


def fingerprint(path: str | os.PathLike) -> str:
    """What a file is, wherever it lies and whatever its name: its size and a hash of its two ends.

    The ends are the first and the last 64 kB. Raises OSError.
    """
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(FINGERPRINT_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - FINGERPRINT_BYTES))
        digest.update(file.read(FINGERPRINT_BYTES))
    return f"{size}-{digest.hexdigest()[:16]}"


def command(script: str, *arguments: str | os.PathLike) -> str:
    """A command with one of the two scripts, to paste into a terminal."""
    path = Path(__file__).parents[1] / script
    words = [script if path.parent == Path.cwd() else str(path), *map(str, arguments)]
    return " ".join(["python", *(f'"{word}"' if " " in word else word for word in words)])


# --- Reading and writing ---


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` if the block ends well, and else goes."""
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:  # a full disk does not say where
        reason = error.strerror or str(error)
        raise OSError(error.errno, reason, str(error.filename or path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder where there is none. Raises InputError where a file is in its way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path} is not a folder, or is below a file: name another") from error


def read_json(path: Path, kind: type = dict):
    """The content of a JSON file, a dict or another `kind`. Raises InputError, ReadError."""
    try:
        with reading(path):
            content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, kind):
        found = type(content).__name__
        raise InputError(f"{path} holds a {found}, expected a {kind.__name__}")
    return content


def write_json(path: Path, content) -> None:
    """A JSON file with `content`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def looks_computed(value) -> bool:
    """Whether a spreadsheet would compute a cell, or would without the apostrophes before it."""
    return isinstance(value, str) and value.lstrip("'").startswith(FORMULA)


def protect(row: dict) -> dict:
    """The row with an apostrophe before text that a spreadsheet would compute."""
    safe = dict(row)
    for column, value in row.items():
        if looks_computed(value):
            safe[column] = f"'{value}"
    return safe


@contextmanager
def csv_writer(path: Path, columns: Iterable[str]) -> Iterator[Callable[[dict], None]]:
    """A function that writes a row with these columns of a dict, at once, to a new CSV.

    An apostrophe goes before text that a spreadsheet would compute; read_csv takes it away.
    """
    with open(path, "w", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()

        yield lambda row: writer.writerow(protect(row))


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """A CSV with these columns of the rows, as csv_writer writes them."""
    with csv_writer(path, columns) as write_row:
        for row in rows:
            write_row(row)


def read_csv(path: Path) -> list[dict]:
    """The rows of a file that write_csv wrote, all values as text. Raises InputError, ReadError."""
    try:
        with reading(path), open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is not a CSV of this program: {error}") from error
    for row in rows:
        for column, value in row.items():
            if looks_computed(value) and value.startswith("'"):
                row[column] = value[1:]
    return rows


def load_torch_file(path: str | os.PathLike, what: str) -> dict:
    """The dict in a file that torch.save wrote, on the CPU. Nothing in the file is run.

    Raises InputError, which says `what` was expected, and ReadError.
    """
    try:
        with reading(path):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}") from None
    except DAMAGED as error:
        raise InputError(f"{path} is damaged or of another kind, expected {what}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected {what}")
    return content


# --- Published files ---


def download(url: str, file: Path, sha256: str, progress: bool) -> None:
    """Put what is at `url` at `file`, if its sha256 starts so. Raises OSError, RuntimeError."""
    timeout = socket.getdefaulttimeout()
    # torch.hub sets none: behind a closed firewall it would wait for ever
    socket.setdefaulttimeout(30)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), sha256, progress=progress)
    finally:
        socket.setdefaulttimeout(timeout)


def fetch(url: str, sha256: str, otherwise: str, copy: Path | None = None) -> Path:
    """The path of a published file in torch's cache, downloaded if need be, or taken from a `copy`.

    `sha256` is how the file's hash starts. Raises DownloadError, with what to do `otherwise`, where
    the file cannot be had, InputError where it is damaged, ReadError where it may not be read.
    """
    cached = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/")[-1])
    if copy or not cached.is_file():
        source = copy.absolute().as_uri() if copy else url
        try:
            download(source, cached, sha256, progress=not copy)
        except (OSError, RuntimeError) as error:
            cause = getattr(error, "reason", error)  # urllib wraps what the system said
            if isinstance(cause, PermissionError):
                refused = explain_os_error(cause, cached)
                home = "" if copy else "set TORCH_HOME to a folder of your own, or "
                raise DownloadError(f"{refused}; or {home}{otherwise}") from error
            missing = f"{copy or cached.name} cannot be had ({error})"
            wanted = f"put {url}, whose sha256 starts with {sha256}, at {cached}, or {otherwise}"
            raise DownloadError(f"{missing}: {wanted}") from error
    with reading(cached):
        digest = hashlib.sha256(cached.read_bytes()).hexdigest()
    if not digest.startswith(sha256):
        problem = f"{cached} is damaged (its sha256 does not start with {sha256})"
        raise InputError(f"{problem}: delete it and run again")
    return cached
