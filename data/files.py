"""Read, write, replace and download files safely; InputError, the error for what a user can mend."""

import csv
import hashlib
import json
import os
import pickle
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import torch

# what numpy and torch raise on a damaged file, by experiment
DAMAGED = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, SyntaxError, TokenError, BadZipFile)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell starts that a spreadsheet computes


class InputError(ValueError):
    """Something the user gave is wrong. The message says what, where and what to do, in one line."""


def read_json(path: Path, kind: type = dict):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, kind):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a {kind.__name__}")
    return content


class DownloadError(InputError):
    """A published file is not in torch's cache and cannot be downloaded."""


def fetch(url: str, sha256: str, otherwise: str, copy: Path | None = None) -> Path:
    """A published file in torch's cache, put there once by a download, or from a `copy`. `sha256`: how its hash starts.

    Raises DownloadError where it cannot be had, with what to do `otherwise`; InputError where it is damaged.
    """
    cached, timeout = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/")[-1]), socket.getdefaulttimeout()
    if copy or not cached.is_file():
        socket.setdefaulttimeout(30)  # torch.hub sets none: behind a closed firewall it would wait for ever
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            source = copy.absolute().as_uri() if copy else url
            torch.hub.download_url_to_file(source, str(cached), sha256, progress=not copy)
        except (OSError, RuntimeError) as error:
            wanted = f"put {url}, whose sha256 starts with {sha256}, at {cached}, or {otherwise}"
            raise DownloadError(f"{copy or cached.name} cannot be had ({error}): {wanted}") from error
        finally:
            socket.setdefaulttimeout(timeout)
    if not hashlib.sha256(cached.read_bytes()).hexdigest().startswith(sha256):
        raise InputError(f"{cached} is damaged (its sha256 does not start with {sha256}): delete it and run again")
    return cached


def printable(path: str | os.PathLike) -> str:
    """The path with `/` between its parts; what a line of text cannot hold, as bytes not in UTF-8, is spelled out."""
    name = Path(path).as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(repr(sign)[1:-1] if sign < " " else sign for sign in name)


def load_torch_file(path: str | os.PathLike, what: str) -> dict:
    """A dict from a file that torch.save wrote, on the CPU. Nothing in the file is run. Raises InputError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}") from None
    except (*DAMAGED, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is damaged or of another kind, expected {what}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected {what}")
    return content


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block ends without an error: whole or not at all."""
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:  # a full disk does not say where
        raise OSError(error.errno, error.strerror or str(error), str(error.filename or path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """Each row as it comes, these columns of it. An apostrophe goes before text that a spreadsheet would compute."""
    with open(path, "w", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for k, v in row.items()})


def read_csv(path: Path) -> list[dict]:
    """The rows of a file of write_csv."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v[1:] if v and v[0] == "'" and v[1:].startswith(FORMULA) else v for k, v in row.items()} for row in rows
    ]
