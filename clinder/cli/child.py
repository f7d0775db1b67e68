"""Run the command of ``clinder run``, and end it in time after a signal or when its session is lost."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import which
from time import monotonic, sleep
from typing import NamedTuple

from clinder._signals import Signals
from clinder.cli.processes import descendants
from clinder.cli.slips import SHELL_WORDS, explain_missing, how_to_run_file
from clinder.errors import more

# Seconds in which the command can end after a signal. The rest of a runner's ten is for stopping the session.
_GRACE = 4.0
_TICK = 0.05  # seconds
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # the exit codes of a shell
_MOST_FIRST_LINE = 1000  # bytes


class Obstacle(NamedTuple):
    """The reason why a command can't be run (``what``), the exit code of a shell for it, and a hint what to do."""

    what: str
    code: int
    hint: str


def what_prevents(words: list[str]) -> Obstacle | None:
    """Return the obstacle that prevents a command from running, or None if there is none."""
    word = words[0]
    found = None if word in SHELL_WORDS else which(word)
    if found and _has_windows_lines(Path(found)):
        hint = f"Convert it: sed -i 's/\\r$//' {word}"
        return Obstacle(f"{word} has lines that end as on Windows, in CR and LF", _NOT_FOUND, hint)
    if found:
        return None
    # Path.is_dir() and Path.is_file() raise errors, for example for a whole script as one word, which is too long.
    if os.path.isdir(word) and word not in SHELL_WORDS:  # noqa: PTH112
        return Obstacle(f"{word} is a directory, not a command", _NOT_EXECUTABLE, "Name a program that is in it.")
    if os.sep in word and os.path.isfile(word):  # noqa: PTH113
        hint = how_to_run_file(word) or f"Write: chmod +x {word}, or: clinder run -- sh {word}"
        return Obstacle(f"{word} is not executable", _NOT_EXECUTABLE, hint)
    what, hint = explain_missing(words)
    return Obstacle(what, _NOT_FOUND, hint)


def _has_windows_lines(path: Path) -> bool:
    """Tell whether a script's first line ends in CR. The system would take the CR for a part of the interpreter."""
    if not path.is_file():  # opening a FIFO would wait
        return False
    try:
        with path.open("rb") as script:
            first = script.readline(_MOST_FIRST_LINE)
    except OSError:  # a program may be executable and not readable
        return False
    return first.startswith(b"#!") and first.endswith(b"\r\n")


def run_command(
    words: list[str],
    env: dict[str, str],
    signals: Signals,
    tell: Callable[[str], None],
    is_in_vain: Callable[[], bool],
) -> int | None:
    """Run a command to its end and return its exit code.

    When ``is_in_vain`` returns True, end the command and return None. After a signal, pass it on to the command, wait
    for its end, and raise `Signalled`.
    """
    signals.check()
    if _is_foreground():  # the command also gets the signals of a terminal's keys, and decides what they mean
        signals.spare(signal.SIGINT, signal.SIGQUIT)
    try:
        return _wait_for(subprocess.Popen(words, env={**os.environ, **env}), signals, is_in_vain)
    except OSError as error:  # a script without an interpreter in its first line, or with one that is not installed
        tell(f"error: {words[0]} could not be run: {error.strerror}\n{more('command-not-run')}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    finally:
        signals.spare()


def _wait_for(process: "subprocess.Popen[bytes]", signals: Signals, is_in_vain: Callable[[], bool]) -> int | None:
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while not ended.wait(_TICK):
        if signals.number is not None:
            _end(process, signals.number, signals.time_to_end(_GRACE))
            signals.check()
        if is_in_vain():
            _end_with_children(process, monotonic() + _GRACE)
            signals.check()
            return None
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: "subprocess.Popen[bytes]", number: int, until: float) -> None:
    """Send a signal to a process; kill the process if it still runs at the time ``until``."""
    process.send_signal(number)
    try:
        process.wait(until - monotonic())
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # the process may wait in the kernel, where it can't be killed
            process.wait(0.5)


def _end_with_children(process: "subprocess.Popen[bytes]", until: float) -> None:
    """End a process and its descendants, which would wait for the lost session for ever.

    A shell or npm does not pass a signal on to the processes that it has started. After a signal to clinder, the CI
    ends the rest of the job. After the loss of a session nobody does, and the reader of their output would wait for
    them.
    """
    children = descendants(process.pid)
    for child in children:
        child.send(signal.SIGTERM)
    _end(process, signal.SIGTERM, until)
    while monotonic() < until and any(child.is_there for child in children):
        sleep(_TICK)
    for child in children:
        child.send(signal.SIGKILL)


def _is_foreground() -> bool:
    try:
        with Path("/dev/tty").open("rb") as terminal:  # standard input may be a file
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
