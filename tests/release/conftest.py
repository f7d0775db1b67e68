"""What the rehearsals of a release share: a copy of this tree that may be changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.git import copy_this_tree


def git(directory: Path, *words: str) -> str:
    """Run git as nobody in particular; return what it prints."""
    who = [
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "commit.gpgSign=false",
        "-c",
        "core.autocrlf=false",
    ]
    done = subprocess.run(["git", *who, *words], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit on main: this tree, without what git ignores."""
    copy = copy_this_tree(tmp_path / "tree")
    git(copy, "init", "--quiet", "--initial-branch", "main")
    commit(copy)
    return copy


def commit(directory: Path) -> None:
    """Commit everything."""
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "x")
