"""What torchrun starts: processes that share the work on one machine or several."""

import multiprocessing
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import contents, extract
from test_interruptions import extract_and_die

from data.files import InputError
from data.frames import Sampling
from data.videos import Video
from features import processes
from features.extraction import Extraction
from features.run import run_script

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)


def test_without_torchrun_there_is_one_process_that_keeps_other_runs_out(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert processes.join_processes() == (0, 1)
    hold = partial(processes.hold_for_all, tmp_path / "features", 0, 1)
    with hold(), pytest.raises(InputError, match="another run is writing to"), hold():
        pytest.fail("two runs in one folder")


def test_processes_that_would_make_other_features_stop_before_the_work(monkeypatch):
    ours, works = {"python": "3.11.1", "torch": "2.5"}, []
    monkeypatch.setattr(
        processes, "gather", lambda work, _: works.append(work) or works[:1] + [work]
    )

    def check(versions, n):
        """As process 1, with these versions and so many videos; process 0 was the first call."""
        videos = [Video(Path(), 0, video=f"{i}.mp4") for i in range(n)]
        extraction = Extraction(Sampling(4), versions=ours | versions)
        processes.check_processes_agree(extraction, videos, world_size=2)

    check({}, 10)
    check({"python": "3.11.2"}, 10)  # another Python makes no difference
    with pytest.raises(InputError, match=r"process 1 has torch 2\.4, process 0 has 2\.5"):
        check({"torch": "2.4"}, 10)
    message = r"process 1 has videos 9 \(sha256 \w+\), process 0 has 10 "
    with pytest.raises(InputError, match=message):
        check({}, 9)


@pytest.mark.parametrize(("rank", "local_rank", "turn"), [(0, "0", 0), (1, "1", 2), (2, "0", 1)])
def test_the_first_process_downloads_then_the_first_of_each_machine(
    monkeypatch, rank, local_rank, turn
):
    events = []
    monkeypatch.setattr(processes.distributed, "barrier", lambda: events.append("wait"))
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert processes.take_turns(lambda: events.append("load") or "it", rank, 4) == "it"
    assert events == ["wait"] * turn + ["load"] + ["wait"] * (3 - turn)
    assert processes.take_turns(lambda: "it", 0, 1) == "it" and len(events) == 4


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def extract_as_one_of_two(rank: int, port: int, videos: Path, folder: Path, dies: bool) -> None:
    """What torchrun starts on a machine: process `rank` of two."""
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": str(port), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    if dies:
        run = partial(extract_and_die, videos, folder, step=2)
    else:
        run = partial(extract, videos, folder, "--num-workers", "1")
    printed = folder.with_name(f"{folder.name}_{rank}.out")
    with open(printed, "w") as sys.stdout, open(printed.with_suffix(".err"), "w") as sys.stderr:
        run_script(run)


def run_two(videos: Path, folder: Path, dies: bool = False) -> list[int]:
    """The exit codes of two processes; the second can be killed at its third video."""
    port, processes, fork = free_port(), [], multiprocessing.get_context("fork")
    for rank in (0, 1):
        arguments = (rank, port, videos, folder, dies and rank == 1)
        processes.append(fork.Process(target=extract_as_one_of_two, args=arguments))
        processes[-1].start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.usefixtures("quick_backbone")
def test_several_processes_write_what_one_writes_even_after_one_died(videos, tmp_path):
    (videos / "fake/broken.mp4").write_text("no video")
    extract(videos, tmp_path / "one")
    expected = contents(tmp_path / "one")
    assert run_two(videos, tmp_path / "two") == [0, 0]
    assert contents(tmp_path / "two") == expected
    printed = [(tmp_path / f"two_{rank}.out").read_text() for rank in (0, 1)]
    assert "11 found = 10 used + 1 failed" in printed[0] and printed[1] == ""

    assert run_two(videos, tmp_path / "killed", dies=True) == [1, -signal.SIGKILL]
    lost = (tmp_path / "killed_0.err").read_text().splitlines()[-1]
    assert lost.startswith("error: another process of this run is gone (")
    assert lost.endswith("): give the same command again, it goes on from here")
    assert contents(tmp_path / "killed") == {}
    assert len(list((tmp_path / "killed").glob("cache/*.npz"))) >= 2
    extract(videos, tmp_path / "killed")
    assert contents(tmp_path / "killed") == expected
