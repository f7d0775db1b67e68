"""What --reuse-image does with real histories, and whether repo2docker makes the same environment of what is launched.

`python -m benchmarks.histories CLONE...`, in the repository's root, with what the tests need (requirements/dev.txt).
For the newest commits of each clone: how many get an earlier commit, are built, are refused, or get another
environment. The clones are for reading alone: nothing of them runs.
"""

import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from clinder.target.checkout import Checkout
from clinder.target.environment import find_environment
from tests.judge.test_repo2docker import build
from tests.support.pairs import LINK

COMMITS = 120
MAX_FILE = 1_000_000  # bytes; of a larger file its hash is compared


def git(clone: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(clone), *words], capture_output=True, check=True).stdout


def files(clone: Path, commit: str) -> dict[str, str]:
    """Return a commit's files, binary ones as their hash."""
    found = {}
    for line in git(clone, "ls-tree", "-r", "-z", "-l", commit).decode("utf-8", "replace").split("\0")[:-1]:
        about, _, name = line.partition("\t")
        mode, kind, blob, size = about.split()
        if kind == "blob":
            text = git(clone, "cat-file", "blob", blob) if size.isdigit() and int(size) < MAX_FILE else blob.encode()
            found[name] = LINK * (mode == "120000") + (blob if b"\0" in text else text.decode("utf-8", "replace"))
    return found


def measure(clone: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    checkout = Checkout.around(clone)
    assert checkout, clone
    with closing(checkout):
        for commit in git(clone, "rev-list", "--first-parent", f"-{COMMITS}", "HEAD").decode().split():
            launched, line = find_environment(commit, checkout)
            counts["commits"] += 1
            counts["refused" if launched is None else "built" if launched == commit else "reused"] += 1
            counts["broad"] += "; broad" in line
            if launched not in (None, commit) and build(files(clone, commit)) != build(files(clone, launched)):
                counts["wrong"] += 1
    return counts


def main() -> None:
    """Print a row for each clone."""
    columns = ["commits", "reused", "built", "refused", "wrong", "broad"]
    print("|".join(["| clone ", *(f" {column} " for column in columns), ""]))
    print("|".join(["| --- ", *(" ---: " for _ in columns), ""]))
    for clone in map(Path, sys.argv[1:]):
        counts = measure(clone)
        print("|".join([f"| {clone.name} ", *(f" {counts[column]} " for column in columns), ""]))


if __name__ == "__main__":
    main()
