"""MyST, the quickstart that it builds, and what it made of its cells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clinder
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


def build(clinder: Clinder, project: Path, *session: str) -> list[str]:
    """Execute the project on a session of `clinder run`; return what its cell printed, by the page's own words."""
    # Nothing here says that it is a session: what a cell finds there does not come from here.
    assert "BINDER_LAUNCH_HOST" not in clinder.env
    words = [myst_executable(), "build", "--site", "--execute"]
    done = clinder("run", *session, "--", *words, cwd=project, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = (project / "_build" / "site" / "content").glob("*.json")
    (output,) = outputs(json.loads(page.read_text()))
    assert (output["output_type"], output["name"]) == ("stream", "stdout")
    return str(output["text"]).splitlines()
