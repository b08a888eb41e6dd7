"""Device, cores, threads; how a script ends. Signals come from the scripts themselves."""

import io
import os
import sys
import threading
import time
from argparse import ArgumentTypeError
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from conftest import run_in_fork

from data.files import InputError
from features import run
from features.run import (
    Progress,
    choose_threads,
    count_cores,
    device_name,
    free_gpu_memory,
    if_interrupted,
    map_threads,
    pick_device,
)

CPU = torch.device("cpu")


def test_without_a_gpu_there_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("cpu") == pick_device("auto") == CPU
    with pytest.raises(InputError, match=r"--device cuda: .* no CUDA device here; use --device"):
        pick_device("cuda")


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    torch.set_float32_matmul_precision("medium")  # as a container may have set it
    torch.backends.cudnn.allow_tf32 = True
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 0)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("cuda") == torch.device("cuda", 1)
    assert pick_device(device_name("cuda:0")) == torch.device("cuda", 0)
    assert pick_device("cpu") == CPU
    with pytest.raises(InputError, match="--device cuda:2: there are 2 GPUs"):
        pick_device("cuda:2")
    with pytest.raises(ArgumentTypeError, match=r"'gpu': expected auto, cpu, cuda, or .* cuda:0$"):
        device_name("gpu")


def test_memory_that_torch_holds_unused_counts_as_free(monkeypatch):
    """Else the second of several seeds would not find what the first has let go of."""
    figures = {"memory_reserved": 5, "memory_allocated": 2, "mem_get_info": (30, 80)}
    for name, value in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_gpu_memory(torch.device("cuda", 1)) == 33


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000\n", 8),
        ("9600000 100000\n", 8),  # more than there are
        ("250000 100000\n", 3),  # a part of a core
        ("1000 100000\n", 1),
        ("", 8),
    ],
)
def test_a_quota_of_cores_is_kept_and_shared_by_the_processes_of_torchrun(
    quota, expected, monkeypatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda path: quota)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert count_cores() == expected
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert count_cores() == max(1, expected // 2)


def test_threads_give_results_in_order_each_single_threaded(monkeypatch):
    together, told = threading.Barrier(4), set()
    monkeypatch.setattr(
        torch, "set_num_threads", lambda n: told.add((n, threading.current_thread()))
    )

    def work(item):
        together.wait(timeout=60)
        return item, threading.current_thread()

    results = list(map_threads(work, range(20), 4))
    assert [item for item, _ in results] == list(range(20))
    assert told == {(1, thread) for _, thread in results} and len(told) == 4
    assert list(map_threads(work, [], 4)) == []


def test_threads_do_not_run_ahead_without_end():
    taken = []
    with closing(map_threads(str, (taken.append(i) or i for i in range(10_000)), 2)) as results:
        assert next(results) == "0" and len(taken) < 200


def test_after_an_error_no_other_item_is_begun():
    workers, begun, release = set(), [], threading.Event()

    def work(item):
        workers.add(threading.current_thread())
        if item == 0:
            raise InputError("this one")
        begun.append(item)
        release.wait(60)

    with pytest.raises(InputError, match="this one"):
        list(map_threads(work, range(1000), 1))
    release.set()
    for worker in workers:
        worker.join(60)
    assert len(begun) <= 1  # the one that had begun already


def test_threads_share_only_large_batches(monkeypatch):
    monkeypatch.setattr(run, "count_cores", lambda: 8)  # for few rows, several are far slower
    batch_sizes = (1, 256, 1024, 4096, 1_000_000)
    assert [choose_threads(batch_size) for batch_size in batch_sizes] == [1, 1, 1, 2, 8]


@pytest.mark.parametrize(
    ("total", "quiet", "n"), [(200, False, 20), (200, True, 0), (19, False, 0)]
)
def test_a_log_gets_a_line_each_twentieth_of_the_videos(monkeypatch, capsys, total, quiet, n):
    now = [100.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    with Progress(total, "extracting", quiet) as progress:
        for _ in range(total):
            now[0] += 2
            progress.update(n_frames=32)
    output, errors = capsys.readouterr()
    lines = errors.splitlines()
    assert output == "" and len(lines) == n
    for i, line in enumerate(lines, 1):
        left = timedelta(seconds=400 - 20 * i)
        assert line == f"extracting: {10 * i} of 200 videos, 16 frames/s, {left} left"


def test_a_name_that_the_console_cannot_show_is_spelled_out(monkeypatch):
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
        monkeypatch.setattr(sys, name, stream)
    run.run_script(lambda: print("été 深度", end=""))
    assert sys.stdout.buffer.getvalue() == "été ".encode("cp1252") + rb"\u6df1\u5ea6"
    assert sys.stderr.errors == "backslashreplace"


def test_the_innermost_block_says_what_is_saved():
    with pytest.raises(KeyboardInterrupt, match="inner"), if_interrupted("outer"):
        with if_interrupted("left"):
            pass
        with if_interrupted("inner"):
            raise KeyboardInterrupt


@pytest.fixture
def leave(monkeypatch):
    """leave(error) is how a script that raises it ends: its status and its message."""
    ended = []
    monkeypatch.setattr(run, "leave", lambda *how: ended.append(how))
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO()))

    def leave(error):
        def main():
            raise error

        run.run_script(main)
        return ended.pop()

    return leave


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("no such folder"), 1, "error: no such folder"),
        (OSError(28, "No space", "a.npy"), 1, "error: [Errno 28] No space: 'a.npy'"),
        (MemoryError(), 1, "error: no memory left: end other programs"),
        (KeyboardInterrupt(), 130, "interrupted: nothing was saved"),
        (KeyboardInterrupt("model.pt is saved"), 130, "interrupted: model.pt is saved"),
        (AssertionError(), 1, "Traceback (most recent call last):"),
        (OSError(9, "Bad file descriptor"), 1, "Traceback (most recent call last):"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_a_fault_of_ours_keeps_its_traceback(
    leave, error, status, line
):
    found, message = leave(error)
    first, _, more = message.partition("\n")
    assert (found, first) == (status, line)
    assert ("in main" in more) == line.startswith("Traceback")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("error", [None, InputError("no such folder")])
def test_nobody_reads_what_is_printed_and_a_decoder_hangs(error):
    """As with `| head -1`: an end in one line, and no hang."""

    def main():
        threading.Thread(target=time.sleep, args=[1000]).start()
        print("more", flush=error is None)
        raise error

    reader, writer = os.pipe()
    os.close(reader)
    done = run_in_fork(main, stdout=writer)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no") and done.stderr.count("\n") == 1
