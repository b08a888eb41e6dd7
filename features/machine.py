"""What a run may use of the machine: device, cores, memory, threads."""

import os
import platform
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
import torchvision

from data.files import InputError


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises InputError for a CUDA device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {name}: torch {torch.__version__} finds no CUDA device here; use --device cpu")
    if name == "cuda":  # under torchrun each process of a machine takes a GPU of its own
        return torch.device(name, int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    return torch.device(name)


def count_cores() -> int:
    """The cores that this process may use; under torchrun the processes of a machine share them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or that the machine has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**32


def map_threads(function: Callable, items: Iterable, num_workers: int) -> Iterator:
    """function(item) for each item, in order, from a pool of threads with single-threaded torch and OpenCV each.

    Both release the GIL, so a thread that takes a video from decoding to features keeps a core busy.
    """
    cv2.setNumThreads(1)  # of the whole process; two cost the face detector a tenth more CPU time
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    waiting = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 64 * num_workers:  # so memory stays bounded, and one long video holds nobody up
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def package_versions() -> dict:
    modules = {"torch": torch, "torchvision": torchvision, "opencv": cv2, "numpy": np}
    return {"python": platform.python_version()} | {name: str(m.__version__) for name, m in modules.items()}


def leave(message: str) -> None:
    """End the process on Ctrl-C, at once if a decoder hangs; what else is under way has a few seconds to end well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(message, file=sys.stderr, flush=True)
    deadline = time.monotonic() + 5
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(1)
