"""The command of ``clinder run``: started, waited for, and ended in time when a signal or a lost session ends it."""

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
from clinder.cli.slips import SHELL_WORDS, explain_missing
from clinder.errors import more

# The command has so many seconds to end after a signal. What is left of a runner's ten is for stopping the session.
_GRACE = 4.0
_TICK = 0.05
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as a shell says it
_MOST_FIRST_LINE = 1000  # bytes


class Obstacle(NamedTuple):
    """Why a command can't be run, the exit code of that, as a shell has it, and what to do."""

    what: str
    code: int
    hint: str


def what_prevents(words: list[str]) -> Obstacle | None:
    """Return why a command can't be run, None when nothing is seen that prevents it."""
    word = words[0]
    found = None if word in SHELL_WORDS else which(word)
    if found and _has_windows_lines(Path(found)):
        hint = f"Convert it: sed -i 's/\\r$//' {word}"
        return Obstacle(f"{word} has lines that end as on Windows, in CR and LF", _NOT_FOUND, hint)
    if found:
        return None
    path = Path(word)
    if path.is_dir():
        return Obstacle(f"{word} is a directory, not a command", _NOT_EXECUTABLE, "Name a program that is in it.")
    if os.sep in word and path.is_file():
        hint = f"Write: chmod +x {word}, or: clinder run -- sh {word}"
        return Obstacle(f"{word} is not executable", _NOT_EXECUTABLE, hint)
    what, hint = explain_missing(words)
    return Obstacle(what, _NOT_FOUND, hint)


def _has_windows_lines(path: Path) -> bool:
    """Tell whether a script names an interpreter with a CR at its end, which the system would look for."""
    if not path.is_file():  # a FIFO would be waited for
        return False
    try:
        with path.open("rb") as script:
            first = script.readline(_MOST_FIRST_LINE)
    except OSError:  # it may be run and not be read
        return False
    return first.startswith(b"#!") and first.endswith(b"\r\n")


def run_command(
    words: list[str],
    env: dict[str, str],
    signals: Signals,
    tell: Callable[[str], None],
    is_in_vain: Callable[[], bool],
) -> int | None:
    """Run a command to its end and return its exit code; None when it was ended because it was in vain.

    Raises `Signalled`; the command got that signal, too.
    """
    signals.check()
    if _is_foreground():  # the keys of a terminal reach the command as well, and what they mean is the command's to say
        signals.spare(signal.SIGINT, signal.SIGQUIT)
    try:
        return _wait_for(subprocess.Popen(words, env={**os.environ, **env}), signals, is_in_vain)
    except OSError as error:  # a script without its first line, or with an interpreter that is not here
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
    """Pass a signal on; kill the process when it still runs at that time."""
    process.send_signal(number)
    try:
        process.wait(until - monotonic())
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # the system itself may hold it
            process.wait(0.5)


def _end_with_children(process: "subprocess.Popen[bytes]", until: float) -> None:
    """End a process and those that it has started, which would wait for the session for ever.

    A shell or npm that is the command itself does not pass a signal on. After a signal to clinder somebody ends what
    is left of the job; here nobody would, and the reader of its output would wait for it.
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
