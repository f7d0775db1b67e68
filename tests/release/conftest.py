"""What the rehearsals of a release share: a copy of this tree that may be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.git import commit_all, copy_this_tree, git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit on main: this tree, without what git ignores."""
    copy = copy_this_tree(tmp_path / "tree")
    git(copy, "init", "--quiet", "--initial-branch", "main")
    commit_all(copy)
    return copy
