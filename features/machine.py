"""What a run may use of the machine: device, cores, memory and threads; and how a script is run."""

import math
import os
import platform
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision

from data import interrupts
from data.files import InputError, ReadError, explain_os_error
from data.interrupts import leave

PROC = Path("/proc")  # of Linux
CGROUPS = Path("/sys/fs/cgroup")

# --- Device, cores and memory ---------------------------------------------------------------------


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises InputError for missing CUDA."""
    found = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not found):
        return torch.device("cpu")
    if not found:
        version = torch.__version__
        raise InputError(
            f"--device {name}: torch {version} finds no CUDA device here; use --device cpu"
        )
    # under torchrun each process of a machine takes a GPU of its own
    number = int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()
    return torch.device("cuda", number)


def count_cores() -> int:
    """The cores that this process may use; under torchrun the processes of a machine share them."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    cores = math.ceil(min(cores, core_quota()))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def core_quota() -> float:
    """How many cores' time a container may use (`docker run --cpus 4`); inf without a quota."""
    quota = math.inf
    for group in control_groups("cpu"):
        words = read_words(group / "cpu.max")  # version 2: microseconds or "max", then the period
        if not words:  # version 1, where -1 is no quota
            words = read_words(group / "cpu.cfs_quota_us") + read_words(group / "cpu.cfs_period_us")
        if len(words) == 2 and words[0].isdigit():
            quota = min(quota, int(words[0]) / int(words[1]))
    return quota


def available_memory(device: torch.device) -> int:
    """Bytes that this process can still get: on a GPU, or from the machine and its container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(memory_of_machine(), memory_of_container())


def memory_of_machine() -> int:
    kibibytes = read_entry(PROC / "meminfo", "MemAvailable:")
    if kibibytes is not None:
        return 1024 * kibibytes
    if hasattr(os, "sysconf"):  # macOS says what there is, not what is in use: half is a guess
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 2**32  # Windows says neither


def memory_of_container() -> float:
    """The bytes that the limits of the control groups leave; inf without a limit."""
    versions = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    available = math.inf
    for group, (limit, usage, inactive) in product(control_groups("memory"), versions):
        most = read_number(group / limit)
        if most is not None:
            used = read_number(group / usage) or 0
            # files that were read and are not in use: dropped when memory gets scarce
            used -= read_entry(group / "memory.stat", inactive) or 0
            available = min(available, max(0, most - used))
    return available


def control_groups(controller: str) -> list[Path]:
    """The folders of the control groups that limit this process: from the outermost to its own.

    Version 2 has one tree of groups, version 1 a tree for each controller. A container sees its own
    group as the root of the tree, whatever path it is told: folders may be missing.
    """
    groups = []
    for line in read_lines(PROC / "self/cgroup"):  # number:controllers:path
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        group = CGROUPS / controller if controllers else CGROUPS
        groups.append(group)
        for part in path.split("/"):
            if part not in ("", ".."):
                group = group / part
                groups.append(group)
    return groups


def read_lines(path: Path) -> list[str]:
    """The lines of a file of the kernel; none where there is no such file."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def read_words(path: Path) -> list[str]:
    return " ".join(read_lines(path)).split()


def read_number(path: Path) -> int | None:
    """The number in a file of the kernel; None where there is no file, or the word `max` in it."""
    words = read_words(path)
    return int(words[0]) if words and words[0].isdigit() else None


def read_entry(path: Path, name: str) -> int | None:
    """The number that follows a name in a table of the kernel."""
    words = read_words(path)
    return int(words[words.index(name) + 1]) if name in words else None


# --- Threads --------------------------------------------------------------------------------------


def map_threads(function: Callable, items: Iterable, num_workers: int, ahead: int = 64) -> Iterator:
    """function(item) of each item, in order, from threads with single-threaded torch and OpenCV.

    Each thread may be `ahead` items before the one that is waited for.

    Both release the GIL: a thread that takes a video from decoding to features keeps a core busy.
    """
    cv2.setNumThreads(1)  # of the whole process; two cost the face detector a tenth more CPU time
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    waiting = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            # so memory stays bounded, and one long video holds nobody up
            if len(waiting) > ahead * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def choose_threads(batch_size: int) -> int:
    """The threads to train with on a CPU: one for each 2048 rows of a batch, as far as cores go.

    Threads that share a step wait for each other by spinning. On two cores that are nearly idle,
    two threads are at most 1.4 (batch 16, 256) to 1.8 times (4096) as fast as one; beside other
    programs they are 6 to 15 times slower, with 4096 rows 1.4 to 2 times.
    """
    return max(1, min(count_cores(), batch_size // 2048))


# --- The script as a whole ------------------------------------------------------------------------


def package_versions() -> dict[str, str]:
    modules = {"torch": torch, "torchvision": torchvision, "opencv": cv2, "numpy": np}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version()} | versions


def make_console_safe() -> None:
    """Print as \\u6df1 what the console cannot show: on Windows, names in Chinese for one."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has none, and shows everything
            stream.reconfigure(errors="backslashreplace")


def run_script(main: Callable[[], None]) -> None:
    """Run the main of a script: what its user can mend, and an interruption, end in one line."""
    make_console_safe()
    try:
        interrupts.set_handler(interrupts.raise_once)
        main()
    except (InputError, ReadError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {explain_os_error(error, '')}")
    except KeyboardInterrupt:
        leave(interrupts.message)
    finally:
        interrupts.set_handler(interrupts.end_at_once)
