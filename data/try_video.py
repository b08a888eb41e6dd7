"""Decode one video in a process of its own, for features/cache.py: a decoder can crash or hang.

    python -m data.try_video VIDEO FRAMES STEP SECONDS

Prints `reading` before it begins: so a failure to start is not taken for a crash of the decoder.
"""

import signal
import sys
from contextlib import suppress

from data.decode import quiet_decoder, read_frames
from data.files import InputError


def main() -> None:
    path, n, step, seconds = sys.argv[1:]
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(int(seconds))  # should this process outlive its parent
    quiet_decoder()
    print("reading", flush=True)
    with suppress(InputError):  # nothing wrong with the decoder: the parent will find the same
        read_frames(path, int(n), transform=lambda frame: None, step=int(step))


if __name__ == "__main__":
    main()
