"""MyST, the quickstart that it builds, and what it made of its cells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hub.serve import HERE

QUICKSTART = HERE.parents[1] / "examples" / "quickstart"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the quickstart that has never been built."""
    copy = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, copy, ignore=shutil.ignore_patterns("_build"))
    return copy


def myst_executable() -> str:
    """MyST's command: $MYST, or what `npm ci` put here."""
    name = os.environ.get("MYST", str(HERE / "node_modules" / ".bin" / "myst"))
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"no {name}: run `npm ci` in {HERE}, or name one in $MYST")
    return found


def outputs(node: Any) -> list[dict[str, Any]]:
    """The outputs of all cells at or below a node of MyST's syntax tree."""
    if isinstance(node, list):
        return [output for child in node for output in outputs(child)]
    if not isinstance(node, dict):
        return []
    return [node["jupyter_data"]] if node.get("type") == "output" else outputs(list(node.values()))


def show(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "show.py"], cwd=project, capture_output=True, text=True, check=False)
