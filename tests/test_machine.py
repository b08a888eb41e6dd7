import io
import os
import signal
import sys
import threading
from contextlib import closing

import pytest
import torch

from data.files import InputError
from features import machine
from features.machine import (
    available_memory,
    choose_threads,
    count_cores,
    make_console_safe,
    map_threads,
    package_versions,
    pick_device,
)

GIB = 2**30
CPU = torch.device("cpu")


@pytest.fixture
def linux(tmp_path, monkeypatch):
    """A machine of 8 cores with 20 GiB available. linux(path=text, ...) puts files there."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)

    def put(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    available = f"MemAvailable:   {20 * GIB // 1024} kB"
    put({"proc/meminfo": f"MemTotal:  31457280 kB\nMemFree:  1024 kB\n{available}\n"})
    put({"proc/self/cgroup": "0::/\n"})
    return put


def test_devices(monkeypatch):
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == CPU
    with pytest.raises(InputError, match=r"--device cuda: .* no CUDA device here; use --device"):
        pick_device("cuda")


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("cuda") == torch.device("cuda", 1)
    assert pick_device("cpu") == CPU


QUOTAS = {
    "version 2": ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
    "version 2, none": ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
    "version 2, more than there are": ("0::/\n", {"cpu.max": "9600000 100000\n"}, 8),
    "version 2, a part of a core": ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
    "version 2, little": ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
    "version 2, of a group above": (
        "0::/pod/app\n",
        {"pod/cpu.max": "200000 100000", "pod/app/cpu.max": "max 100000"},
        2,
    ),
    "version 2, the path of another view": (
        "0::/../../pod/app\n",
        {"cpu.max": "200000 100000"},
        2,
    ),
    "version 1": (
        "4:memory:/\n3:cpu,cpuacct:/docker/0af\n0::/\n",
        {
            "cpu/docker/0af/cpu.cfs_quota_us": "300000\n",
            "cpu/docker/0af/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "version 1, as seen from inside": (
        "3:cpu,cpuacct:/docker/0af\n",
        {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "50000"},
        3,
    ),
    "version 1, none": (
        "3:cpu,cpuacct:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        8,
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_a_quota_of_cores_is_kept(linux, case):
    groups, files, cores = QUOTAS[case]
    linux({"proc/self/cgroup": groups} | {f"cgroup/{name}": files[name] for name in files})
    assert count_cores() == cores


def test_cores_are_those_of_this_process(linux, monkeypatch):
    assert count_cores() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 6})
    assert count_cores() == 3
    linux({"cgroup/cpu.max": "400000 100000"})
    assert count_cores() == 3


def test_the_processes_of_torchrun_share_the_cores(linux, monkeypatch):
    linux({"cgroup/cpu.max": "600000 100000"})
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert count_cores() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert count_cores() == 1


MEMORY = {
    "none": ("0::/\n", {"memory.max": "max\n", "memory.current": f"{GIB}"}, 20),
    "version 2": ("0::/\n", {"memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n"}, 3),
    "version 2, files that were read": (
        "0::/\n",
        {
            "memory.max": f"{4 * GIB}",
            "memory.current": f"{4 * GIB}",
            "memory.stat": f"anon {GIB}\nfile {3 * GIB}\ninactive_file {2 * GIB}\nactive_file 9\n",
        },
        2,
    ),
    "version 2, of a group above": (
        "0::/user/job\n",
        {
            "user/memory.max": f"{8 * GIB}",
            "user/memory.current": f"{6 * GIB}",
            "user/job/memory.max": f"{5 * GIB}",
            "user/job/memory.current": f"{GIB}",
        },
        2,
    ),
    "version 2, more than the machine has": (
        "0::/\n",
        {"memory.max": f"{64 * GIB}", "memory.current": "0"},
        20,
    ),
    "version 2, used up": (
        "0::/\n",
        {"memory.max": f"{GIB}", "memory.current": f"{GIB + 4096}"},
        0,
    ),
    "version 1": (
        "9:memory:/docker/0af\n",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/memory.usage_in_bytes": f"{12 * GIB}",
            "memory/docker/0af/memory.limit_in_bytes": f"{6 * GIB}",
            "memory/docker/0af/memory.usage_in_bytes": f"{5 * GIB}",
            "memory/docker/0af/memory.stat": f"inactive_file 7\ntotal_inactive_file {4 * GIB}\n",
        },
        5,
    ),
    "version 1, as seen from inside": (
        "9:memory:/docker/0af\n",
        {
            "memory/memory.limit_in_bytes": f"{6 * GIB}",
            "memory/memory.usage_in_bytes": f"{5 * GIB}",
        },
        1,
    ),
}


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_what_the_machine_and_its_container_leave(linux, case):
    groups, files, available = MEMORY[case]
    linux({"proc/self/cgroup": groups} | {f"cgroup/{name}": files[name] for name in files})
    assert available_memory(CPU) == available * GIB


def test_memory_where_the_kernel_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROC", tmp_path / "none")
    if hasattr(os, "sysconf"):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert available_memory(CPU) == total // 2
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert available_memory(CPU) == 4 * GIB


def test_memory_of_a_gpu_is_what_is_free_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GIB, 80 * GIB))
    assert available_memory(torch.device("cuda", 1)) == 3 * GIB


def test_threads_give_results_in_order_each_single_threaded():
    together = threading.Barrier(4)

    def work(item):
        together.wait(timeout=60)
        return item, torch.get_num_threads(), threading.get_ident()

    results = list(map_threads(work, range(20), 4))
    assert [item for item, *_ in results] == list(range(20))
    assert {threads for _, threads, _ in results} == {1}
    assert len({ident for *_, ident in results}) == 4
    assert list(map_threads(work, [], 4)) == []


def test_threads_do_not_run_ahead_without_end():
    taken = []
    results = map_threads(str, (taken.append(i) or i for i in range(10_000)), 2)
    with closing(results):
        assert next(results) == "0"
        assert len(taken) < 200


def test_an_error_in_a_thread_comes_out_and_stops_the_others():
    done = []

    def work(item):
        if item == 3:
            raise InputError("this one")
        done.append(item)

    with pytest.raises(InputError, match="this one"):
        list(map_threads(work, range(1000), 1))
    assert len(done) < 100


def test_threads_share_only_large_batches(monkeypatch):
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    for batch_size in (1, 16, 256, 1024):  # beside other programs, several are far slower
        assert choose_threads(batch_size) == 1
    assert choose_threads(4096) == 2
    assert choose_threads(1_000_000) == 8
    monkeypatch.setattr(machine, "count_cores", lambda: 1)
    assert choose_threads(1_000_000) == 1


def test_versions_are_plain_text():
    versions = package_versions()
    assert list(versions) == ["python", "torch", "torchvision", "opencv", "numpy"]
    assert versions["torch"] == str(torch.__version__)
    assert {type(version) for version in versions.values()} == {str}


def test_a_name_that_the_console_cannot_show_is_spelled_out(monkeypatch):
    streams = {}
    for name in ("stdout", "stderr"):
        streams[name] = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
        monkeypatch.setattr(sys, name, streams[name])
    with pytest.raises(UnicodeEncodeError):
        print("深度")
    make_console_safe()
    print("été 深度")
    print("\ud800", file=sys.stderr)
    shown = {name: stream.buffer.getvalue() for name, stream in streams.items()}
    newline = os.linesep.encode()
    assert shown["stdout"] == "été ".encode("cp1252") + rb"\u6df1\u5ea6" + newline
    assert shown["stderr"] == rb"\ud800" + newline


def test_a_notebooks_streams_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    make_console_safe()


@pytest.fixture
def handlers():
    """The handlers of signals as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_errors_of_a_script_are_one_line(handlers):
    def wrong():
        raise InputError("no such folder")

    def full():
        raise OSError(28, "No space left on device", "features.npy")

    def ours():
        raise AssertionError

    for main, status in (
        (wrong, "error: no such folder"),
        (full, "error: no space left on the disk of features.npy: make room, then run again"),
        (lambda: sys.exit(2), 2),
    ):
        with pytest.raises(SystemExit) as caught:
            machine.run_script(main)
        assert caught.value.code == status
    with pytest.raises(AssertionError):
        machine.run_script(ours)
    assert machine.run_script(lambda: None) is None


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
