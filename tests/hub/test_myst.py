"""The real MyST executes the quickstart on a session that clinder has started, and there alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.conftest import Clinder
from tests.support.myst import myst_executable, outputs, project, show

from .serve import RealHub

__all__ = ["project"]  # a fixture


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


def test_the_quickstart_runs_on_the_embedded_hub(clinder: Clinder, project: Path) -> None:
    printed = build(clinder, project, "local")
    assert printed == ["launched by: local", f"processors there: {os.cpu_count()}"]
    assert show(project).stdout.splitlines() == printed


def test_the_quickstart_runs_on_a_real_hub(clinder: Clinder, project: Path, hub: RealHub) -> None:
    printed = build(clinder, project, hub.url, "--repo", "org/quickstart")
    assert printed == [f"launched by: {hub.url}", f"processors there: {os.cpu_count()}"]
    assert show(project).stdout.splitlines() == printed


def test_before_a_build_there_is_nothing_to_show(project: Path) -> None:
    done = show(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No cell has printed anything yet")
    assert done.stderr.count("\n") == 1
