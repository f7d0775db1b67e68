"""The real MyST executes the quickstart on a session that clinder has started, and there alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Clinder
from tests.support.myst import build, myst_executable, project, show

from .serve import RealHub

__all__ = ["project"]  # a fixture


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


PAGE = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"
CELL = "```{code-cell} python\nCODE\n```\n\n"
CELLS = {
    "fails": CELL.replace("CODE", "1/0"),
    "fails, as it is to": CELL.replace("CODE", ":tags: [raises-exception]\n1/0"),
    "runs, and a warning": CELL.replace("CODE", "1") + "{cite}`nobody`\n",
}


@pytest.mark.parametrize(("cell", "code"), [("fails", 1), ("fails, as it is to", 0), ("runs, and a warning", 0)])
def test_with_strict_a_cell_that_fails_makes_run_fail(clinder: Clinder, project: Path, cell: str, code: int) -> None:
    (project / "index.md").write_text(PAGE + CELLS[cell])
    words = [myst_executable(), "build", "--site", "--execute", "--strict"]
    done = clinder("run", "local", "--", *words, cwd=project, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("ZeroDivisionError" in done.stdout + done.stderr) == (code == 1)


@pytest.mark.parametrize("site_in_root", [False, True])
def test_the_cells_of_a_book_in_a_folder_begin_beside_their_page_when_its_site_is_in_the_root(
    clinder: Clinder, project: Path, site_in_root: bool
) -> None:
    """As the guide has it, and as the warning says."""
    docs = project / "docs"
    docs.mkdir()
    (project / ".git").mkdir()
    (project / "index.md").unlink()
    (docs / "data.csv").write_text("found")
    (docs / "index.md").write_text(PAGE + CELL.replace("CODE", "print(open('data.csv').read())"))
    book, site = "version: 1\nproject: {title: t}\n", "site: {template: ./template.yml}\n"
    (docs / "myst.yml").write_text(book if site_in_root else book + site)
    (project / "myst.yml").write_text("version: 1\n" + (site if site_in_root else ""))
    (docs / "template.yml").write_bytes((project / "template.yml").read_bytes())
    words = [myst_executable(), "build", "--site", "--execute", "--strict"]
    done = clinder("run", "local", "--", *words, cwd=docs, timeout=300)
    assert done.returncode == (0 if site_in_root else 1), done.stdout + done.stderr
    assert ("warning: docs/index.md names 'data.csv'" in done.stderr) == (not site_in_root)
    assert ("FileNotFoundError" in done.stdout + done.stderr) == (not site_in_root)
    if site_in_root:
        assert "found" in (project / "_build" / "site" / "content" / "index.json").read_text()
