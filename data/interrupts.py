"""How a run that is interrupted ends: with one line and status 1, whenever and however often.

Imports nothing slow, so that a script can call it before its own imports.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

# The line. A run that saves what it has done, or has saved all, sets another one.
message = "interrupted: nothing was saved"

PATIENCE = 5  # seconds


def set_handler(handler: Callable | int) -> None:
    """Call `handler` on Ctrl-C and on SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, handler)


def end_at_once(number: int | None = None, frame: object = None) -> None:
    """A handler for the time in which nothing has to be tidied up: imports, and a second signal."""
    os.write(2, f"{message}\n".encode())  # not print: the signal may have come in the midst of one
    os._exit(1)


def raise_once(number: int, frame: object) -> None:
    """A handler for the run itself, which has files to close and to remove."""
    set_handler(end_at_once)
    raise KeyboardInterrupt


def leave(message: str) -> None:
    """End the process with this line, even if a decoder hangs.

    What else is under way has a few seconds to end well.
    """
    set_handler(signal.SIG_IGN)
    print(message, file=sys.stderr, flush=True)
    deadline = time.monotonic() + PATIENCE
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(1)
