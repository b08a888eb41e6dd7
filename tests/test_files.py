import errno
import hashlib
import json
import os
import random

import pytest

import data.files
from data.files import (
    DownloadError,
    InputError,
    csv_writer,
    fetch,
    fingerprint,
    make_folder,
    printable,
    read_csv,
    read_json,
    replacing,
    write_csv,
    write_json,
)

# --- Reading and writing ---


def test_csv_files_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "videos.csv"
    names = ["=1+1", "'=x", "", "a,b", 'a"b', "two\nlines", "é.mp4"]
    rows = [{"video": name, "n": -1, "more": "left out"} for name in names]
    write_csv(path, ("video", "n"), iter(rows))
    assert read_csv(path) == [{"video": name, "n": "-1"} for name in names]
    with csv_writer(path, ["a"]) as write_row:
        write_row({"a": 1, "b": 2})
        assert path.read_text() == "a\n1\n"  # on disk when the next row is asked for
    path.write_text("a\n" + 200_000 * "x")
    with pytest.raises(InputError, match=r"videos\.csv is not a CSV of this program: field larger"):
        read_csv(path)


def test_json(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, None], "b": "é"})
    assert read_json(path) == {"a": [1, None], "b": "é"}
    with pytest.raises(InputError, match=r"x\.json holds a dict, expected a list"):
        read_json(path, list)
    for content in (b"{", b"", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.json is not valid JSON"):
            read_json(path)


@pytest.mark.parametrize("read", [read_json, read_csv])
def test_what_the_system_refuses_is_not_called_damaged(tmp_path, read):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone")
    with pytest.raises(OSError, match=f"'{tmp_path}'"):  # a folder
        read(tmp_path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new/x.json"
    write_json(path, {"a": 0})
    with open(path) as reader:
        write_json(path, {"a": 1})
        assert json.load(reader) == {"a": 0}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(OSError, match=r"No space left.*x\.json"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a full disk says it: no path
    assert read_json(path) == {"a": 1}
    assert os.listdir(path.parent) == ["x.json"]


def test_a_folder_that_cannot_be_made_or_written_to_names_the_flag(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        problem = rf"{path} is not a folder, .* made \(.*\): name another with --features-dir"
        with pytest.raises(InputError, match=problem):
            make_folder(path, "--features-dir")
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(InputError, match=f"no permission to write to {tmp_path}: .*--output-d"):
        make_folder(tmp_path, "--output-dir")


# --- Published files ---


@pytest.fixture
def published(tmp_path, monkeypatch):
    """URL and hash of a published file; this run was given no copy of it yet."""
    monkeypatch.setattr(data.files, "COPIES", {})
    (tmp_path / "server").mkdir()
    (tmp_path / "server/model.pth").write_bytes(b"weights")
    url = (tmp_path / "server/model.pth").as_uri()
    return url, hashlib.sha256(b"weights").hexdigest()[:8]


@pytest.fixture
def cached(torch_home):
    return torch_home / "hub/checkpoints/model.pth"


def test_fetch_downloads_once(published, cached, tmp_path):
    assert fetch(*published, "do without") == cached and cached.read_bytes() == b"weights"
    (tmp_path / "server/model.pth").unlink()
    assert fetch(*published, "do without") == cached
    cached.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"model\.pth is damaged .*delete it and run again"):
        fetch(*published, "do without")


@pytest.mark.parametrize("content", [None, b"an error page, or the first half"])
def test_what_is_not_the_published_file_is_not_kept(published, cached, tmp_path, content):
    url, digest = published
    file = tmp_path / "server/model.pth"
    file.write_bytes(content) if content else file.unlink()
    wanted = f"put {url}, whose sha256 starts with {digest}, at {cached}, or do without"
    with pytest.raises(DownloadError, match=rf"^model\.pth cannot be had \(.*\): {wanted}$"):
        fetch(*published, "do without")
    assert not [*cached.parent.glob("*")]


def test_a_copy_is_used_where_it_lies_and_kept(published, cached, tmp_path, monkeypatch):
    copy = tmp_path / "a copy.pth"
    (tmp_path / "server/model.pth").rename(copy)
    assert fetch(*published, "do without", copy) == copy == fetch(*published, "do without")
    monkeypatch.setattr(data.files, "COPIES", {})  # another run
    assert fetch(*published, "do without") == cached
    cached.write_bytes(b"damaged")
    assert fetch(*published, "do without", copy) == copy and cached.read_bytes() == b"weights"
    with monkeypatch.context() as patch:  # as in a home that cannot be written
        patch.setenv("TORCH_HOME", str(copy))
        assert fetch(*published, "do without", copy) == copy
    copy.write_bytes(b"another network")
    with pytest.raises(InputError, match=r"a copy\.pth is damaged or another file .*: name anoth"):
        fetch(*published, "do without", copy)
    assert cached.read_bytes() == b"weights"  # what was there is kept


# --- Names and fingerprints ---


def test_printable():
    assert printable("a b/é.mp4") == "a b/é.mp4"
    assert printable("a\nb\t.mp4") == r"a\nb\t.mp4"
    assert printable(os.fsdecode(b"caf\xe9.mp4")) == r"caf\udce9.mp4"


def test_a_fingerprint_is_that_of_the_size_and_the_ends(tmp_path):
    content = bytearray(random.Random(0).randbytes(300_000))
    changed = [content.copy() for _ in range(4)]
    for each, position in zip(changed, (0, 65535, -1, -65536), strict=True):
        each[position] ^= 1
    found = set()
    for each in (content, *changed, content + b"x", content[:70], b"x", b""):
        (tmp_path / "x").write_bytes(each)
        ends = hashlib.sha256(each[:65536] + each[-65536:]).hexdigest()
        found.add(fingerprint(tmp_path / "x"))
        assert fingerprint(tmp_path / "x") == f"{len(each)}-{ends[:16]}"
    assert len(found) == 9
