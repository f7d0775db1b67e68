"""What --reuse-image does with real histories, and whether repo2docker makes the same environment of what is launched.

`python -m benchmarks.histories CLONE...`, in the repository's root, with what the tests need (requirements/dev.txt).
For the newest commits of each clone, launched one after another: how many get an earlier commit, are built, are
refused, or get another environment, and how many start without a build if the hub has no image at first. Then why
environments are broad. The clones are for reading alone: nothing of them runs.
"""

import re
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import cache
from pathlib import Path

from clinder.target.checkout import Checkout
from clinder.target.environment import find_environment
from tests.judge.test_repo2docker import Build, build
from tests.support.pairs import LINK

COMMITS = 60
MAX_FILE = 1_000_000  # bytes; of a larger file its hash is compared


def git(clone: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(clone), *words], capture_output=True, check=True).stdout


def files(clone: Path, commit: str) -> dict[str, str]:
    """Return a commit's files, binary and large ones as their hash."""
    found = {}
    for line in git(clone, "ls-tree", "-r", "-z", commit).decode("utf-8", "replace").split("\0")[:-1]:
        about, _, name = line.partition("\t")
        mode, kind, blob = about.split()
        if kind == "blob":
            found[name] = LINK * (mode == "120000") + content(clone, blob)
    return found


@cache
def content(clone: Path, blob: str) -> str:
    try:
        small = int(git(clone, "cat-file", "-s", blob)) < MAX_FILE
        text = git(clone, "cat-file", "blob", blob) if small else b"\0"
    except subprocess.CalledProcessError:  # a large file that the clone does not have
        return blob
    return blob if b"\0" in text else text.decode("utf-8", "replace")


@cache
def built(clone: Path, commit: str) -> Build:
    return build(files(clone, commit))


def measure(clone: Path) -> tuple[Counter[str], Counter[str]]:
    """Count what happens to the commits, oldest first, and why environments are broad."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    images = set()
    checkout = Checkout.around(clone)
    assert checkout, clone
    with closing(checkout):
        for commit in reversed(git(clone, "rev-list", "--first-parent", f"-{COMMITS}", "HEAD").decode().split()):
            launched, line = find_environment(commit, checkout)
            counts["commits"] += 1
            counts["refused" if launched is None else "built" if launched == commit else "reused"] += 1
            counts["no build"] += launched in images
            images.add(launched or commit)
            if "; broad" in line:
                counts["broad"] += 1
                reasons[re.sub(r".*prose count: |\)(, instead.*)?$", "", line)] += 1
            if launched not in (None, commit) and built(clone, commit) != built(clone, launched):
                counts["wrong"] += 1
                print(f"wrong: {clone.name} {commit} {line}", file=sys.stderr)
    return counts, reasons


def main() -> None:
    """Print a row for each clone, and the reasons."""
    columns = ["commits", "reused", "no build", "built", "refused", "wrong", "broad"]
    print("|".join(["| clone ", *(f" {column} " for column in columns), ""]))
    print("|".join(["| --- ", *(" ---: " for _ in columns), ""]))
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for clone in map(Path, sys.argv[1:]):
        counts, why = measure(clone)
        total.update(counts)
        reasons.update({f"{clone.name}: {reason}": count for reason, count in why.items()})
        print("|".join([f"| {clone.name} ", *(f" {counts[column]} " for column in columns), ""]), flush=True)
    print("|".join(["| all ", *(f" {total[column]} " for column in columns), ""]), end="\n\n")
    for reason, count in reasons.most_common(20):
        print(f"- {count} times: {reason}")


if __name__ == "__main__":
    main()
