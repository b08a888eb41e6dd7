import errno
import hashlib
import json
import os
import random
import shutil

import numpy as np
import pytest
import torch

from data.files import (
    DAMAGED,
    DownloadError,
    InputError,
    ReadError,
    csv_writer,
    explain_os_error,
    fetch,
    fingerprint,
    load_torch_file,
    printable,
    read_csv,
    read_json,
    reading,
    replacing,
    write_csv,
    write_json,
)

# --- CSV ---


def test_csv_files_hold_no_formulas(tmp_path):
    names = [
        "=cmd()|'x'.mp4",
        "+1",
        "-1",
        "@x",
        "'=x",
        "''=x",
        "'x'",
        "",
        "a,b",
        'a"b',
        "plain.mp4",
    ]
    rows = [{"video": name, "n": -1, "note": name, "more": "left out"} for name in names]
    write_csv(tmp_path / "videos.csv", ("video", "n", "note"), iter(rows))
    text = (tmp_path / "videos.csv").read_text()
    assert text.startswith("video,n,note\n'=cmd()|'x'.mp4,-1,'=cmd()|'x'.mp4\n")
    assert not any(f"{before}{sign}" in text for before in "\n," for sign in "=+@")
    assert read_csv(tmp_path / "videos.csv") == [{"video": n, "n": "-1", "note": n} for n in names]
    assert rows[0]["video"] == "=cmd()|'x'.mp4"  # what was given is left as it is


def test_a_row_is_on_disk_when_the_next_one_is_asked_for(tmp_path):
    def rows():
        yield {"a": 1}
        assert (tmp_path / "x.csv").read_text() == "a\n1\n"
        yield {"a": 2}

    write_csv(tmp_path / "x.csv", ["a"], rows())
    assert read_csv(tmp_path / "x.csv") == [{"a": "1"}, {"a": "2"}]
    with csv_writer(tmp_path / "y.csv", ["a"]) as write_row:
        write_row({"a": "=1", "b": 2})
        assert (tmp_path / "y.csv").read_text() == "a\n'=1\n"


def test_csv_of_another_kind(tmp_path):
    (tmp_path / "long.csv").write_text("a\n" + 200_000 * "x")
    with pytest.raises(InputError, match=r"long\.csv is not a CSV of this program: field larger"):
        read_csv(tmp_path / "long.csv")
    (tmp_path / "odd.csv").write_bytes(
        b"a,b\n1,2,'=3\n\xff,\n4\n"
    )  # too many cells, no UTF-8, too few
    assert [row["a"] for row in read_csv(tmp_path / "odd.csv")] == ["1", "\ufffd", "4"]


# --- JSON ---


def test_json(tmp_path):
    write_json(tmp_path / "x.json", {"a": [1, None], "b": "é"})
    assert (tmp_path / "x.json").read_bytes().endswith(b"\n}\n")
    assert read_json(tmp_path / "x.json") == {"a": [1, None], "b": "é"}
    with pytest.raises(InputError, match=r"x\.json holds a dict, expected a list"):
        read_json(tmp_path / "x.json", list)
    for content in (b"{", b"", b"\xff", 100_000 * b"["):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.json is not valid JSON"):
            read_json(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "gone.json")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(OSError, match=r"No space left.*x\.json"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a full disk says it: no path
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]


# --- What went wrong ---

REFUSALS = [  # what is raised, what is said of it
    (PermissionError(errno.EACCES, "Permission denied"), r"no permission for \S*{}: change"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), r"no memory left for \S*{}: end other"),
    (MemoryError(), r"no memory left for \S*{}: end other"),
    (OSError(errno.EIO, "Input/output error"), r"{}: Input/output error"),
]


def refuse(error):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize(("error", "message"), REFUSALS)
def test_a_refused_file_is_not_called_damaged(tmp_path, monkeypatch, error, message):
    for name in ("x.json", "x.csv", "x.pt"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr("pathlib.Path.read_text", refuse(error))
    monkeypatch.setattr("data.files.open", refuse(error), raising=False)
    monkeypatch.setattr("torch.load", refuse(error))
    for function, name in ((read_json, "x.json"), (read_csv, "x.csv")):
        with pytest.raises(ReadError, match=message.format(name)):
            function(tmp_path / name)
    with pytest.raises(ReadError, match=message.format(r"x\.pt")) as caught:
        load_torch_file(tmp_path / "x.pt", "a checkpoint")
    assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)


def test_torch_without_memory(tmp_path, monkeypatch):
    problem = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
    monkeypatch.setattr("torch.load", refuse(RuntimeError(problem)))
    with pytest.raises(ReadError, match=r"no memory left for x\.pt"):
        load_torch_file("x.pt", "a checkpoint")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.json").chmod(0)
    with pytest.raises(ReadError, match=r"no permission for .*x\.json"):
        read_json(tmp_path / "x.json")


def test_a_folder_in_place_of_a_file(tmp_path):
    for function in (read_json, read_csv, lambda path: load_torch_file(path, "a checkpoint")):
        with pytest.raises(ReadError, match=f"{tmp_path} is a folder: name a file"):
            function(tmp_path)


def test_what_the_system_refused_is_no_damage():
    for error in (PermissionError, MemoryError, OSError, FileNotFoundError, ReadError):
        assert not issubclass(error, DAMAGED)
    path = "features.npy"
    full = OSError(errno.ENOSPC, "No space left on device")
    assert explain_os_error(full, path).startswith("no space left on the disk of features.npy: ")
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/cache/x")
    assert explain_os_error(elsewhere, path).startswith("no permission for /cache/x: ")


def read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in ("key", "features")]


def test_what_a_damaged_file_raises_is_told_from_what_the_system_refuses(tmp_path):
    """Files cut short, overwritten or with bytes changed: all that is raised is one of DAMAGED."""
    np.savez(tmp_path / "x.npz", key=np.array("k"), features=np.zeros((4, 50), np.float32))
    np.save(tmp_path / "x.npy", np.zeros((4, 50), np.float32))
    draw, damaged = random.Random(0), 0
    for name, read in (("x.npz", read_npz), ("x.npy", np.lib.format.open_memmap)):
        whole = (tmp_path / name).read_bytes()
        for i in range(300):
            content = bytearray(whole)
            start = draw.randrange(len(content))
            if i % 3 == 0:
                del content[start:]
            elif i % 3 == 1:  # where a zip file has its table
                content[max(0, len(content) - 1 - start % 200)] = draw.randrange(256)
            else:
                content[start : start + 20] = draw.randbytes(20)
            (tmp_path / name).write_bytes(content)
            try:
                with reading(tmp_path / name):
                    read(tmp_path / name)
            except DAMAGED:
                damaged += 1
    assert damaged > 200
    with pytest.raises(ValueError, match=r"x\.npz is damaged: .*Invalid"), reading("x.npz"):
        raise OSError(errno.EINVAL, "Invalid argument")  # zipfile, where the table names no place


def test_load_torch_file(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    assert load_torch_file(tmp_path / "x.pt", "a checkpoint")["a"].sum() == 2
    whole = (tmp_path / "x.pt").read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-100]):
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.pt is damaged or of another kind, expected a ch"):
            load_torch_file(tmp_path / "x.pt", "a checkpoint")
    torch.save([1], tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt holds a list, expected a checkpoint"):
        load_torch_file(tmp_path / "x.pt", "a checkpoint")
    with pytest.raises(InputError, match=r"gone\.pt: no such file; expected a checkpoint"):
        load_torch_file(tmp_path / "gone.pt", "a checkpoint")


# --- Published files ---


@pytest.fixture
def published(tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server/model.pth").write_bytes(b"weights")
    url = (tmp_path / "server/model.pth").as_uri()
    return url, hashlib.sha256(b"weights").hexdigest()[:8]


def test_fetch_downloads_once(published, torch_home, tmp_path):
    cached = torch_home / "hub/checkpoints/model.pth"
    assert fetch(*published, "do without") == cached and cached.read_bytes() == b"weights"
    (tmp_path / "server/model.pth").unlink()
    assert fetch(*published, "do without") == cached
    cached.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"model\.pth is damaged .*delete it and run again"):
        fetch(*published, "do without")


def test_fetch_refuses_what_is_not_the_published_file(published, torch_home, tmp_path):
    (tmp_path / "server/model.pth").write_bytes(b"an error page")
    with pytest.raises(DownloadError, match=r"model\.pth cannot be had \(invalid hash value"):
        fetch(*published, "do without")
    assert not list(torch_home.rglob("*.pth*"))


def test_fetch_from_a_copy(published, torch_home, tmp_path):
    copy = tmp_path / "a copy.pth"
    (tmp_path / "server/model.pth").rename(copy)
    cached = fetch(*published, "do without", copy)
    assert cached == torch_home / "hub/checkpoints/model.pth" == fetch(*published, "do without")
    cached.write_bytes(b"damaged")
    assert fetch(*published, "do without", copy).read_bytes() == b"weights"
    copy.write_bytes(b"another network")
    with pytest.raises(DownloadError, match=r"a copy\.pth cannot be had \(invalid hash value"):
        fetch(*published, "do without", copy)
    assert fetch(*published, "do without") == cached  # what was there is kept
    with pytest.raises(DownloadError, match=r"gone\.pth cannot be had .*No such file"):
        fetch(*published, "do without", tmp_path / "gone.pth")


def test_fetch_without_permission(published, torch_home, monkeypatch, tmp_path):
    refusal = refuse(PermissionError(errno.EACCES, "Permission denied", str(torch_home / "hub")))
    with monkeypatch.context() as patch:
        patch.setattr("torch.hub.download_url_to_file", refusal)
        problem = r"no permission for \S*hub: change .*set TORCH_HOME to .*, or do without"
        with pytest.raises(DownloadError, match=problem):
            fetch(*published, "do without")
        with pytest.raises(DownloadError, match=r"no permission for ((?!TORCH_HOME).)*$"):
            fetch(*published, "do without", tmp_path / "server/model.pth")
    cached = fetch(*published, "do without")
    assert cached.read_bytes() == b"weights" and cached.is_relative_to(torch_home)
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse(PermissionError(errno.EACCES, "denied")))
    with pytest.raises(ReadError, match=r"no permission for \S*model\.pth"):
        fetch(*published, "do without")


def test_fetch_of_what_is_not_there(published):
    url, digest = published
    gone = url.replace("model.pth", "gone.pth")
    wanted = (
        rf"gone\.pth cannot be had .*: put {gone}, .* starts with {digest}, at .*, or do without"
    )
    with pytest.raises(DownloadError, match=wanted):
        fetch(gone, digest, "do without")


# --- Names and fingerprints ---


def test_printable():
    assert printable("a b/é.mp4") == "a b/é.mp4"
    assert printable("a\nb\t.mp4") == r"a\nb\t.mp4"
    assert printable(os.fsdecode(b"caf\xe9.mp4")) == r"caf\udce9.mp4"


def test_a_fingerprint_is_that_of_the_content(tmp_path):
    content = random.Random(0).randbytes(300_000)
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    ends = hashlib.sha256(content[:65536] + content[-65536:]).hexdigest()
    assert fingerprint(path) == f"300000-{ends[:16]}"
    (tmp_path / "elsewhere").mkdir()
    copy = shutil.copy(path, tmp_path / "elsewhere/b.avi")
    assert fingerprint(copy) == fingerprint(str(path))


def test_fingerprints_of_other_videos_differ(tmp_path):
    content = bytearray(random.Random(0).randbytes(300_000))
    found = set()
    for position in (None, 0, 65535, -1, -65536):  # what the ends hold counts
        changed = content.copy()
        if position is not None:
            changed[position] ^= 1
        (tmp_path / "x").write_bytes(changed)
        found.add(fingerprint(tmp_path / "x"))
    for changed in (content + b"x", content[:65536], content[:70], b"x", b""):
        (tmp_path / "x").write_bytes(changed)
        found.add(fingerprint(tmp_path / "x"))
    assert len(found) == 10
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "gone")


def test_fingerprints_of_real_clips_differ(real_videos):
    paths = [path for path in real_videos.rglob("*.mp4") if path.stat().st_size]
    assert len({fingerprint(path) for path in paths}) == len({path.read_bytes() for path in paths})


def test_messages_are_one_line(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([1]))
    with pytest.raises(InputError) as caught:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(caught.value)
