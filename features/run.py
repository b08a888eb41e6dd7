"""What a run may use of the machine: device, cores and threads; how a script is run and ends."""

import math
import os
import re
import sys
import threading
import time
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

import cv2
import torch
from tqdm import tqdm

from data.files import InputError

PATIENCE = 5  # seconds that a run which ends leaves to what is under way

# --- Device and cores ---


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU; `cuda:1` is the second GPU.

    Raises InputError for missing CUDA.
    """
    found = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not found):
        return torch.device("cpu")
    if not found:
        problem = f"torch {torch.__version__} finds no CUDA device here"
        raise InputError(f"--device {name}: {problem}; use --device cpu")
    use_full_precision()
    n_found = torch.cuda.device_count()
    # under torchrun each process of a machine takes a GPU of its own
    number = torch.device(name.replace("auto", "cuda")).index
    if number is None:
        number = int(os.environ.get("LOCAL_RANK", 0)) % n_found
    if number >= n_found:
        raise InputError(f"--device {name}: there are {n_found} GPUs, cuda:0 is the first")
    return torch.device("cuda", number)


def device_name(name: str) -> str:
    """The value of --device. Raises ArgumentTypeError."""
    if not re.fullmatch("auto|cpu|cuda(:[0-9]+)?", name):
        raise ArgumentTypeError(f"{name!r}: expected auto, cpu, cuda, or a GPU such as cuda:0")
    return name


def use_full_precision() -> None:
    """Keep a GPU from rounding to TF32, whatever a container has set: 10 bits instead of 23."""
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def free_gpu_memory(device: torch.device) -> int:
    """Bytes that a GPU can still give: what is free, and what torch holds but does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def count_cores() -> int:
    """The cores that this process may use; under torchrun the processes of a machine share them."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # a container's quota: "max", or microseconds a period
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


# --- Threads ---


def map_threads(function: Callable, items: Iterable, num_workers: int, ahead: int = 64) -> Iterator:
    """function(item) of each item, in order, from threads with single-threaded torch and OpenCV.

    Each thread may be `ahead` items before the one that is waited for. torch and OpenCV release the
    GIL: a thread that takes a video from decoding to features keeps a core busy.
    """
    cv2.setNumThreads(1)  # of the whole process; two cost the face detector a tenth more CPU time
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    items, waiting = iter(items), deque()
    try:
        while True:
            # not all at once: so memory stays bounded, and one long video holds nobody up
            more = islice(items, ahead * num_workers + 1 - len(waiting))
            waiting.extend(pool.submit(function, item) for item in more)
            if not waiting:
                return
            while not wait([waiting[0]], timeout=1).done:
                pass  # on Windows, Ctrl-C reaches no wait without a timeout (Python < 3.14)
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def choose_threads(batch_size: int) -> int:
    """The threads to train with on a CPU: one for each 2048 rows of a batch, as far as cores go.

    Threads that share a step wait for each other by spinning. On two idle cores two are 1.4 (batch
    16) to 1.8 times (4096) as fast as one; beside other programs 6 to 15 times slower, with 4096
    rows 1.4 to 2 times.
    """
    return max(1, min(count_cores(), batch_size // 2048))


class Progress(tqdm):
    """Progress over many videos: a bar on a terminal; in a log a line each 5 % or 10 minutes."""

    def __init__(self, total: int, title: str, quiet: bool = False):
        super().__init__(total=total, unit="video", desc=title, disable=quiet or None)
        self.title, self.in_log = title, self.disable and not quiet and total >= 20
        self.done = self.n_frames = self.last_done = 0
        self.start = self.last_time = time.monotonic()

    def update(self, n_frames: int) -> None:
        """Count a video that is done, of which so many frames are used."""
        self.done += 1
        self.n_frames += n_frames
        now = time.monotonic()
        speed = self.n_frames / max(now - self.start, 1e-3)  # Windows' clock goes in steps of 16 ms
        self.set_postfix_str(f"{speed:.0f} frames/s", refresh=False)
        super().update()
        is_due = self.done - self.last_done >= self.total / 20 or now - self.last_time > 600
        if self.in_log and is_due:
            left = timedelta(seconds=round((now - self.start) * (self.total / self.done - 1)))
            counted = f"{self.done} of {self.total} videos, {speed:.0f} frames/s, {left} left"
            print(f"{self.title}: {counted}", file=sys.stderr, flush=True)
            self.last_done, self.last_time = self.done, now


# --- The script as a whole ---


def parse_flags(parser: ArgumentParser, argv: list[str] | None) -> Namespace:
    """The flags of a script; an error names the flag that is nearest to one that is not known."""
    flags = list(parser._option_string_actions)
    words = sys.argv[1:] if argv is None else list(map(str, argv))
    for i, word in enumerate(words):  # a file's name such as -x.mp4 is no flag
        if word.startswith("-") and word not in flags and os.path.exists(word):
            words[i] = f"./{word}"
    args, unknown = parser.parse_known_args(words)
    if unknown:
        nearest = get_close_matches(unknown[0].partition("=")[0], flags, 1)
        hint = f": did you mean {nearest[0]}?" if nearest else ", see --help"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


@contextmanager
def if_interrupted(message: str) -> Iterator[None]:
    """A block that says what is saved, where Ctrl-C ends it: the innermost block has the word."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(*interrupt.args or (message,)) from None


def run_script(main: Callable[[], None]) -> None:
    """Run the main of a script: what its user can mend, and an interruption, end in one line."""
    for stream in (sys.stdout, sys.stderr):  # Windows' console cannot show all names of files
        stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except KeyboardInterrupt as interrupt:
        leave(130, f"interrupted: {(*interrupt.args, 'nothing was saved')[0]}")
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        leave(1, "error: nobody reads what is printed any more (| head?): print to a file instead")
    except (InputError, MemoryError) as error:
        leave(1, f"error: {str(error) or 'no memory left: end other programs'}")
    except OSError as error:
        # with the name of a file it is something of the user's, without one a fault of ours
        leave(1, f"error: {error}" if error.filename else traceback.format_exc())
    except Exception:
        leave(1, traceback.format_exc())


def leave(status: int, message: str) -> None:
    """End the process with this status, even if a decoder hangs.

    What else is under way has a few seconds to end well, so that it need not be done again.
    """
    print(message, file=sys.stderr, flush=True)
    deadline = time.monotonic() + PATIENCE
    with suppress(KeyboardInterrupt):  # whoever presses it twice does not want to wait
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(max(0, deadline - time.monotonic()))
    with suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
    os._exit(status)
