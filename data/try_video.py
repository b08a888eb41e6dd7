"""Read one video in a process of its own, for features/cache.py: a decoder can crash or hang.

    python -m data.try_video VIDEO EXTRACTION SECONDS

Prints `reading` before it begins: so a failure to start is not taken for a crash of the decoder.
"""

import json
import signal
import sys
from contextlib import suppress

from data.files import InputError
from data.frames import Extraction, sample_video


def main() -> None:
    path, extraction, seconds = sys.argv[1:]
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(int(seconds))  # should this process outlive its parent
    print("reading", flush=True)
    with suppress(InputError):  # nothing wrong with the decoder: the parent will find the same
        sample_video(path, Extraction.from_dict(json.loads(extraction)))


if __name__ == "__main__":
    main()
