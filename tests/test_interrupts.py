"""Signals come from the scripts themselves: nothing here depends on how fast the machine is."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = [signal.SIGINT, signal.SIGTERM]

if sys.platform == "win32":
    pytest.skip("Windows has no signals from outside", allow_module_level=True)


def run(code, *arguments, **options):
    """A process that runs the code, with `send(number)` to signal to itself."""
    send = "import os, sys\ndef send(number):\n    os.kill(os.getpid(), int(number))\n"
    command = [sys.executable, "-c", send + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_imports_is_one_line(number):
    done = run(
        """
        from data import interrupts
        interrupts.set_handler(interrupts.end_at_once)
        send(sys.argv[1])
        print("went on")
        """,
        number.value,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "interrupted: nothing was saved\n"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", ["feature_extraction.py", "deepfake_detection_model.py"])
def test_a_signal_during_the_imports_of_a_script_is_one_line(tmp_path, name, number):
    interrupt = f"import os\nos.kill(os.getpid(), {number.value})\nimport time\ntime.sleep(1)\n"
    for package in ("cv2", "matplotlib", "numpy", "sklearn", "torch", "torchvision", "tqdm"):
        (tmp_path / f"{package}.py").write_text(interrupt)
    command = [sys.executable, str(ROOT / name), "--help"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == "interrupted: nothing was saved\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_importing_the_module_does_nothing_and_imports_nothing_slow():
    done = run(
        """
        import signal
        before = set(sys.modules)
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        from data import interrupts
        assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        print(*sorted(set(sys.modules) - before))
        """
    )
    assert done.returncode == 0, done.stderr
    slow = {"numpy", "torch", "cv2", "torchvision", "sklearn", "matplotlib", "subprocess"}
    assert not slow & set(done.stdout.split())


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_signal_ends_a_run_that_tidies_up_with_one_line(first, second):
    code = """
        from data import interrupts
        interrupts.set_handler(interrupts.raise_once)
        try:
            interrupts.message = "interrupted: the same command goes on from here"
            send(sys.argv[1])
        except KeyboardInterrupt:
            print("tidying up", flush=True)
            send(sys.argv[2])
        print("went on")
        """
    done = run(code, first.value, second.value)
    assert (done.returncode, done.stdout) == (1, "tidying up\n")
    assert done.stderr == "interrupted: the same command goes on from here\n"


def test_leaving_waits_for_threads_and_not_for_ever():
    done = run(
        """
        import threading, time
        from data import interrupts
        interrupts.PATIENCE = 0.5
        interrupts.set_handler(interrupts.raise_once)
        def short():
            time.sleep(0.1)
            send(2)  # signals do not cut the wait short
            print("ended well", flush=True)
        threading.Thread(target=short).start()
        threading.Thread(target=time.sleep, args=(1000,)).start()
        print("begun", end=" ")  # not flushed
        interrupts.leave("interrupted: nothing was saved")
        """,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == "begun ended well\n"
    assert done.stderr == "interrupted: nothing was saved\n"


def test_a_signal_that_the_caller_ignores_stays_ignored():
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    done = run(
        """
        from data import interrupts
        interrupts.set_handler(interrupts.end_at_once)
        send(2)
        print("went on", flush=True)
        send(15)
        """,
        preexec_fn=ignore,
    )
    assert (done.returncode, done.stdout) == (1, "went on\n")


def test_a_script_that_is_interrupted_says_what_was_saved():
    done = run(
        """
        from data import interrupts
        from features.machine import run_script
        def main():
            interrupts.message = "interrupted: the same command goes on from here"
            try:
                send(15)
            finally:
                print("tidied up")
        run_script(main)
        """
    )
    assert (done.returncode, done.stdout) == (1, "tidied up\n")
    assert done.stderr == "interrupted: the same command goes on from here\n"
