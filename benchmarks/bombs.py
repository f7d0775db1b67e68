"""What hostile input costs: peak memory and time of the real command, as a table.

    python -m benchmarks.bombs

The aims: at most 128 MiB, and the deadline (3 s here) kept within 2 s.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clinder.testing import Exchange, FakeHub

DEADLINE = 3
ALIASES = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))])


class Bomb(NamedTuple):
    """A stream of a hub, or a myst.yml, that is made to cost much."""

    stream: Callable[[Exchange], None] | None = None
    myst: str | None = None


def saying(text: str, **more: object) -> Callable[[Exchange], None]:
    """Answer with one event, and then with silence."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", text, **more)
        exchange.wait_for_close()

    return answer


def endless(piece: bytes) -> Callable[[Exchange], None]:
    """Answer with the same bytes for as long as the client reads."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        while True:
            exchange.chunk(piece)

    return answer


def headers(exchange: Exchange) -> None:
    """Answer with headers that have no end."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.send(b"X: y\r\n")
        time.sleep(0.2)


BOMBS = {
    "250,000 line ends in one message": Bomb(saying("\r" * 250_000 + "done x::y\n")),
    "a launch host of 250,000 characters": Bomb(saying("x", binder_launch_host="a" * 250_000)),
    "an event without end": Bomb(endless(b"data: " + b"x" * 60_000)),
    "phases without end": Bomb(endless(b'data: {"phase": "%s"}\n\n' % (b"p" * 40))),
    "lines without end": Bomb(endless(b'data: {"phase": "building", "message": "x"}\n\n' * 100)),
    "nesting": Bomb(endless(b"data: " + b"[" * 60_000 + b"\n\n")),
    "headers without end": Bomb(headers),
    "a myst.yml of nested aliases": Bomb(myst=ALIASES + "\nproject: {binder: *l29}"),
    "a myst.yml of 3 MB": Bomb(myst="project:\n" + "  a: [b, c]\n" * 250_000),
}


def measure(bomb: Bomb) -> tuple[float, float, int]:
    """Return the seconds, the peak memory in MiB, and the exit code."""
    with tempfile.TemporaryDirectory() as directory, FakeHub(bomb.stream or saying("x")) as hub:
        repository = ["--repo", "org/repo"] if bomb.stream else []
        if bomb.myst is not None:
            Path(directory, "myst.yml").write_text(bomb.myst)
        command = [sys.executable, "-m", "clinder", "start", hub.url, *repository, "--timeout", str(DEADLINE)]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return time.monotonic() - began, usage.ru_maxrss / 1024, process.returncode


def main() -> None:
    """Measure, and print a table."""
    print("| bomb | s | peak memory, MiB | exit code |\n| --- | ---: | ---: | ---: |")
    figures = {name: measure(bomb) for name, bomb in BOMBS.items()}
    for name, (seconds, memory, code) in figures.items():
        print(f"| {name} | {seconds:.1f} | {memory:.0f} | {code} |")


if __name__ == "__main__":
    main()
