"""What --reuse-image saves: a start of a commit of prose with and without it, on a real BinderHub that has to build.

`python -m benchmarks.reuse`, in the repository's root. It needs git and what the tests of the real hub need; README.md
says what the figures mean.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from benchmarks.run import LIMIT, environment
from tests.hub.serve import RealHub

RUNS = 5
REPO = "org/built-benchmark"  # whose images the hub of the tests builds once each


class Start(NamedTuple):
    """One start: its wall time, and whether the hub built."""

    seconds: float
    built: bool


def git(checkout: Path, *words: str) -> None:
    who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *who, *words], cwd=checkout, env={**environment(), **nobodys}, check=True)


def commit(checkout: Path, name: str, text: str) -> None:
    (checkout / name).write_text(text)
    git(checkout, "add", name)
    git(checkout, "commit", "--quiet", "--message", name)


def clinder(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "clinder", *words]
    environ = {**environment(), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        command, cwd=checkout, env=environ, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    if done.returncode:
        sys.exit(f"clinder {words[0]} failed with status {done.returncode}\n{done.stderr[-1000:]}")
    return done


def start(checkout: Path, hub: str, *options: str) -> Start:
    """Measure a start; the session is stopped afterwards."""
    began = monotonic()
    done = clinder(checkout, "start", hub, "--json", *options)
    seconds = monotonic() - began
    session = json.loads(done.stdout)
    clinder(checkout, "stop", session["uri"])
    return Start(seconds, bool(re.search("^==> building", done.stderr, re.MULTILINE)))


def row(name: str, starts: list[Start], reference: float) -> str:
    times = [each.seconds for each in starts]
    built = sum(each.built for each in starts)
    median = statistics.median(times)
    return f"| {name} | {min(times):.2f} | {median:.2f} | {median / reference:.2f} | {built} of {len(starts)} |"


def main() -> None:
    """Start a hub, make commits, measure, print a table."""
    with tempfile.TemporaryDirectory() as directory, RealHub(Path(directory, "hub")) as hub:
        checkout = Path(directory, "checkout")
        checkout.mkdir()
        git(checkout, "init", "--quiet", "--initial-branch=main")
        git(checkout, "remote", "add", "origin", f"https://github.com/{REPO}")
        commit(checkout, "environment.yml", "dependencies: []\n")
        first = start(checkout, hub.url, "--reuse-image")
        reused, rebuilt = [], []
        for number in range(RUNS):
            commit(checkout, "index.md", f"Prose {number}\n")
            reused.append(start(checkout, hub.url, "--reuse-image"))
            rebuilt.append(start(checkout, hub.url))
    reference = statistics.median(each.seconds for each in rebuilt)
    print("| start of | best s | median s | x | built |\n| --- | ---: | ---: | ---: | ---: |")
    print(row("the environment, for the first time", [first], reference))
    print(row("a commit of prose", rebuilt, reference))
    print(row("a commit of prose, --reuse-image", reused, reference))


if __name__ == "__main__":
    main()
