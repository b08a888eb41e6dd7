"""Files read, written, locked and downloaded safely; the errors that a user can mend."""

import csv
import hashlib
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FINGERPRINT_BYTES = 64 * 1024
COPIES: dict[str, Path] = {}  # by sha256: copies of published files that this run was given


class InputError(ValueError):
    """Something that a user gave is wrong. One line says what, where and what to do."""


class DownloadError(InputError):
    """A published file is not in the cache and cannot be downloaded."""


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
    """A command with one of the project's scripts, to paste into a terminal."""
    path = Path(__file__).parents[1] / script
    words = [script if Path(script).resolve() == path else str(path), *map(str, arguments)]
    return " ".join(["python", *(f'"{word}"' if " " in word else word for word in words)])


# --- Reading and writing ---


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` if the block ends well, and else goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:  # a full disk does not say where
        reason, place = error.strerror or str(error), str(error.filename or path)
        raise OSError(error.errno, reason, place) from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path, flag: str) -> None:
    """Make a folder to write to, where there is none. Raises InputError where that cannot be.

    The error names the flag with which another folder is given.
    """
    remedy = f"name another with {flag}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{path} is not a folder, nor can it be made ({error.strerror})"
        raise InputError(f"{problem}: {remedy}") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"no permission to write to {path}: {remedy}")


@contextmanager
def hold_folder(folder: Path, lock: Path) -> Iterator[None]:
    """Keep other runs from writing to a folder until the block ends, by a lock on a file in it.

    The system lets go of it even if the process is killed.
    """
    with open(lock, "w") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = f"another run is writing to {folder}"
            raise InputError(f"{problem}: wait for it, or name another folder") from None
        except OSError as error:  # some shared file systems have no locks
            problem = f"{folder} cannot be locked ({error.strerror})"
            print(f"WARNING: {problem}: start no second run", file=sys.stderr)
        for place in {folder, lock.parent}:
            for leftover in place.glob(".*.new.*"):  # of a run that was killed
                leftover.unlink()
        yield


def read_json(path: Path, kind: type = dict):
    """The content of a JSON file, a dict or another `kind`. Raises InputError and OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also where it is no UTF-8
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, kind):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a {kind.__name__}")
    return content


def write_json(path: Path, content) -> None:
    """Write `content` to a JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def csv_writer(path: Path, columns: Iterable[str]) -> Iterator[Callable[[dict], None]]:
    """A function that writes a row with these columns of a dict, at once, to a new CSV."""
    with open(path, "w", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        yield writer.writerow


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """Write a CSV with these columns of the rows, whole or not at all."""
    with replacing(path) as temporary, csv_writer(temporary, columns) as write_row:
        for row in rows:
            write_row(row)


def read_csv(path: Path) -> list[dict]:
    """The rows of a file that write_csv wrote, all values as text. Raises InputError, OSError."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        try:
            return list(csv.DictReader(file))
        except csv.Error as error:
            raise InputError(f"{path} is not a CSV of this program: {error}") from error


# --- Published files ---


def cache_folder() -> Path:
    """Where torch keeps downloaded weights: torch.hub.get_dir(), told without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(os.environ.get("TORCH_HOME", cache), "hub/checkpoints").expanduser()


def download(url: str, sha256: str, file: Path) -> None:
    """Put what is at `url` at `file`, with a bar of progress. Raises OSError and InputError."""
    with replacing(file) as temporary:
        with urllib.request.urlopen(url, timeout=30) as response, open(temporary, "wb") as target:
            size = int(response.headers.get("Content-Length") or 0)
            bar = tqdm.wrapattr(target, "write", total=size, desc=file.name, disable=None)
            with bar as watched:
                shutil.copyfileobj(response, watched)
        check_hash(temporary, sha256, "the connection broke, or another page was sent")


def fetch(url: str, sha256: str, otherwise: str, copy: Path | None = None) -> Path:
    """The path of a published file: in torch's cache, downloaded if need be, or a `copy` of it.

    A copy is used where it lies, also by later calls, and kept in the cache where that is possible.
    `sha256` is how the file's hash starts. Raises DownloadError, with what to do `otherwise`, where
    the file cannot be had, InputError where it is damaged.
    """
    file = cache_folder() / url.rpartition("/")[2]
    if copy and not copy.is_file():
        raise InputError(f"{copy}: no such file; expected a copy of {url}")
    if copy:
        check_hash(copy, sha256, "name another file")
        COPIES[sha256] = copy
        with suppress(OSError), replacing(file) as temporary:
            shutil.copyfile(copy, temporary)
    if sha256 in COPIES:
        return COPIES[sha256]
    if not file.is_file():
        try:
            download(url, sha256, file)
        except (OSError, InputError) as error:
            problem = f"{file.name} cannot be had ({getattr(error, 'reason', error)})"
            wanted = f"put {url}, whose sha256 starts with {sha256}, at {file}, or {otherwise}"
            raise DownloadError(f"{problem}: {wanted}") from error
    check_hash(file, sha256, "delete it and run again")
    return file


def check_hash(file: Path, sha256: str, remedy: str) -> None:
    """Raise InputError where the sha256 of a file does not start so."""
    if not hashlib.sha256(file.read_bytes()).hexdigest().startswith(sha256):
        found = f"its sha256 does not start with {sha256}"
        raise InputError(f"{file} is damaged or another file ({found}): {remedy}")
