"""The command of ``clinder run``: started, waited for, and ended in time when a signal ends clinder."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from clinder._signals import Signals

# The command has so many seconds to end after a signal. What is left of a runner's ten is for stopping the session.
_GRACE = 4.0
_TICK = 0.05
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as a shell says it


def run_command(words: list[str], env: dict[str, str], signals: Signals, tell: Callable[[str], None]) -> int:
    """Run a command to its end and return its exit code. Raises `Signalled`; the command got that signal, too."""
    signals.check()
    if _is_foreground():  # the keys of a terminal reach the command as well, and what they mean is the command's to say
        signals.spare(signal.SIGINT, signal.SIGQUIT)
    try:
        return _wait_for(subprocess.Popen(words, env={**os.environ, **env}), signals)
    except OSError as error:  # a script without its first line, or with an interpreter that is not here
        tell(f"error: {words[0]} could not be run: {error.strerror}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    finally:
        signals.spare()


def _wait_for(process: "subprocess.Popen[bytes]", signals: Signals) -> int:
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while not ended.wait(_TICK):
        if signals.number is not None:
            _end(process, signals.number, signals.time_to_end(_GRACE))
            signals.check()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: "subprocess.Popen[bytes]", number: int, until: float) -> None:
    """Pass a signal on; kill the process when it still runs at that time."""
    process.send_signal(number)
    try:
        process.wait(until - monotonic())
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # the system itself may hold it
            process.wait(0.5)


def _is_foreground() -> bool:
    try:
        with Path("/dev/tty").open("rb") as terminal:  # standard input may be a file
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
