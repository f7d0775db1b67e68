"""Measure clinder, and any other tool beside it, against reading the same event stream with curl.

`python benchmarks/run.py` prints one table; README.md says what each figure means. Every measurement first
runs each command once, uncounted (caches, compiled bytecode), then all of them in turn, N times over, so that
whatever else the machine does hits all of them alike.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import IO, Any, NamedTuple

HERE = Path(__file__).parent
LIMIT = 120  # seconds for one run of one command
MARK = re.compile(rb"line-(\d{7})")  # see stream.py
Row = dict[str, Any]
HEADS = ["measurement", "command", "best ms", "median ms", "x", "CPU ms", "x", "peak MiB", "x", "lines"]
CURL = "curl -sN -H 'Accept: text/event-stream' {hub}build/gh/org/repo/HEAD"
CLINDER = shlex.join([sys.executable, "-m", "clinder"])
STREAMS = {
    "start, ready at once": "ready",
    "start, {lines:,} lines, an event a chunk": "events",
    "start, {lines:,} lines, 64 KiB chunks": "chunks",
}


class Sample(NamedTuple):
    """One run of a command; `lines`: how many of the log's lines it printed."""

    wall_ms: float
    cpu_ms: float | None = None
    peak_mib: float | None = None
    lines: int | None = None


class Hub(NamedTuple):
    """A running stream.py."""

    url: str
    token: str
    output: IO[str]


@contextlib.contextmanager
def serving(scenario: str, lines: int) -> Iterator[Hub]:
    """A hub in a process of its own, so that no interpreter lock is shared with what measures."""
    command = [sys.executable, str(HERE / "stream.py"), scenario, str(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url, token = process.stdout.readline().split()
            yield Hub(url, token, process.stdout)
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    """This environment without what changes a command's behaviour: CI's variables, a proxy, a session."""
    prefixes = ("GITHUB_", "INPUT_", "CLINDER_", "JUPYTER_")
    kept = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(prefixes)}
    return {**kept, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


def words(command: str, hub: str = "") -> list[str]:
    """`command` split as a shell does, with the hub's URL filled in."""
    return [word.replace("{hub}", hub) for word in shlex.split(command)]


def count(paths: list[Path], lines: int) -> int:
    """How many of the log's distinct lines are in these files."""
    seen = bytearray(lines)
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                for mark in MARK.finditer(line):
                    seen[int(mark[1])] = 1
    return sum(seen)


def cost(name: str, command: list[str], expected: str, lines: int | None) -> Sample:
    """Run a command to its end; `expected` must be on its stdout, or the figures are of something else."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        launcher = [sys.executable, "-IS", str(HERE / "cost.py"), str(out), str(err), str(LIMIT)]
        result = subprocess.run([*launcher, *command], stdout=subprocess.PIPE, text=True, check=True, env=environment())
        status, wall, cpu, peak = map(float, result.stdout.split())
        if status or expected.encode() not in out.read_bytes():
            tail = err.read_text(errors="replace")[-1000:]
            sys.exit(f"{name} failed with status {status:.0f}, or without a session: {command}\n{tail}")
        return Sample(wall * 1000, cpu * 1000, peak / 1024, lines and count([out, err], lines))


def delay(name: str, command: str) -> Sample:
    """The time from `ready` having been sent to a line with its token being readable on the stdout."""
    with (
        serving("wait", 0) as hub,
        subprocess.Popen(
            words(command, hub.url), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        ) as process,
    ):
        assert process.stdout
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(LIMIT)
        seen = b""
        while not (hub.token.encode() in seen and seen.endswith(b"\n")):
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                sys.exit(f"{name} ended without a session: {process.args!r}")
            seen += data
        received = monotonic()
        signal.alarm(0)
        process.kill()  # curl would wait for the end of the stream
        return Sample((received - float(hub.output.readline())) * 1000)


def interleave(runs: int, commands: Mapping[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
    """Run all commands once, uncounted, then in turn: A B A B ..."""
    for command in commands.values():
        command()
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            samples[name].append(command())
    return samples


def measure(
    tools: dict[str, str], versions: dict[str, str], runs: int, lines: int
) -> Iterator[tuple[str, dict[str, list[Sample]]]]:
    """The title of every measurement, and every command's samples; the first command is the reference."""
    bare = {"python -c pass": shlex.join([sys.executable, "-c", "pass"])}
    commands = {**bare, **versions}.items()
    yield "--version", interleave(runs, {n: partial(cost, n, words(c), "", None) for n, c in commands})
    commands = {"curl": f"{CURL}?close", **tools}.items()
    for title, scenario in STREAMS.items():
        log = None if scenario == "ready" else lines
        with serving(scenario, lines) as hub:
            one = {n: partial(cost, n, words(c, hub.url), hub.token, log) for n, c in commands}
            yield title.format(lines=lines), interleave(runs, one)
    commands = {"curl": CURL, **tools}.items()
    yield "from ready sent to URI readable", interleave(runs, {n: partial(delay, n, c) for n, c in commands})


def figures(title: str, samples: dict[str, list[Sample]]) -> Iterator[Row]:
    """The table's rows: medians, their ratios to the first command's, and the lines of its worst run."""
    reference: dict[str, float] = {}
    for name, runs in samples.items():
        row: Row = {"measurement": title, "command": name, "wall_best_ms": min(run.wall_ms for run in runs)}
        for field in ("wall_ms", "cpu_ms", "peak_mib"):
            values = [getattr(run, field) for run in runs]
            median = None if None in values else statistics.median(values)
            row[field] = median
            row[f"{field.partition('_')[0]}_ratio"] = median and median / reference.setdefault(field, median)
        row["lines"] = min((run.lines for run in runs if run.lines is not None), default=None)
        yield row


def cell(value: str | float | None) -> str:
    """A value as the table shows it."""
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value


def table(rows: list[Row]) -> str:
    """A Markdown table that is aligned enough to be read in a terminal."""
    body = [HEADS, *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    rules = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = []
    for line in [HEADS, rules, *body[1:]]:
        # The first two columns are text, the others numbers.
        padded = [f"{text:{'<' if i < 2 else '>'}{widths[i]}}" for i, text in enumerate(line)]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def named(value: str) -> tuple[str, str]:
    """NAME=COMMAND of an option."""
    name, equals, command = value.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"{value!r} is not NAME=COMMAND")
    return name, command


def parse() -> argparse.Namespace:
    """The options, and in `tools` and `versions` the commands to measure, by name."""
    parser = argparse.ArgumentParser(description="Measure clinder against curl, and other tools beside it.")
    add = parser.add_argument
    command: dict[str, Any] = {"type": named, "action": "append", "default": [], "metavar": "NAME=COMMAND"}
    add("--clinder", metavar="COMMAND", help="start clinder with this; {hub} stands for the hub's URL")
    add("--compare", **command, help="another tool's start")
    add("--version-of", **command, help="a command's --version")
    add("--runs", type=int, default=5, metavar="N", help="counted runs of each command (default 5)")
    add("--lines", type=int, default=200_000, metavar="N", help="length of the log (default 200,000)")
    add("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    start = options.clinder or f"{CLINDER} start {{hub}} --repo org/repo"
    # How another clinder prints its version is not to be guessed from how it starts a session.
    version = {} if options.clinder else {"clinder": f"{CLINDER} --version"}
    options.tools = {"clinder": start, **dict(options.compare)}
    options.versions = {**version, **dict(options.version_of)}
    return options


def main() -> None:
    """Measure everything, print the table or JSON."""
    options = parse()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    rows: list[Row] = []
    for title, samples in measure(options.tools, options.versions, options.runs, options.lines):
        print(f"measured: {title}", file=sys.stderr)
        rows += figures(title, samples)
    if options.json:
        print(json.dumps({"machine": machine, "runs": options.runs, "figures": rows}, indent=2))
    else:
        print(f"{machine}; {options.runs} runs; x: ratio to the first command of the block\n\n{table(rows)}")


if __name__ == "__main__":
    main()
