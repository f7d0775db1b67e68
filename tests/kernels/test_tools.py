"""The tools that execute notebooks, each in its newest release, with their kernels in a session of the embedded hub."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from clinder.errors import more
from tests.conftest import Clinder
from tests.support.myst import QUICKSTART, myst_executable

from .notebooks import WHERE, everything, last_text, notebook, outputs, write
from .tools import FILE, TOOLS, on, run, start

LEGACY = Path(__file__).parents[2] / "examples" / "cookbook-legacy"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_executes_in_the_session_what_it_would_execute_here(clinder: Clinder, here: Path, tool: str) -> None:
    with_error = tool != "papermill"
    project = clinder.directory / "project"
    write(project / FILE, everything(WHERE, with_error=with_error))
    run(clinder, project, *on("local"), *TOOLS[tool], FILE)
    local = here / f"{with_error}.ipynb"
    assert last_text(local) == f"launched by: nobody {here}\n"
    assert last_text(project / FILE) == f"launched by: local {project}/notebooks/sub\n"
    *cells, _, language = outputs(project / FILE)
    *cells_here, _, language_here = outputs(local)
    assert cells == cells_here
    assert language == language_here
    assert len(cells) >= 10


def test_a_jupyter_book_1_is_built_with_the_sessions_outputs(clinder: Clinder) -> None:
    book = clinder.directory / "book"
    shutil.copytree(LEGACY, book)
    before = {file: file.read_bytes() for file in book.rglob("*") if file.is_file()}
    # The word "binder" was for Binderbot: Jupyter Book itself takes it for a mistake.
    config = clinder.directory / "config.yml"
    config.write_text(
        (book / "_config.yml").read_text().replace("execute_notebooks: binder", "execute_notebooks: force")
    )
    run(clinder, book, *on("local"), "jupyter-book", "build", ".", "--config", str(config))
    assert "launched by: local\n" in (book / "_build" / "html" / "notebooks" / "where.html").read_text()
    assert {file: file.read_bytes() for file in before} == before


def test_myst_runs_as_before(clinder: Clinder) -> None:
    project = clinder.directory / "quickstart"
    shutil.copytree(QUICKSTART, project, ignore=shutil.ignore_patterns("_build"))
    run(clinder, project, *on("local"), myst_executable(), "build", "--site", "--execute")
    (page,) = (project / "_build" / "site" / "content").glob("*.json")
    assert "launched by: local" in page.read_text()


def test_a_kernel_of_somebodys_own_name_is_the_sessions_only_one_of_its_language(clinder: Clinder) -> None:
    project = clinder.directory
    write(project / "own.ipynb", notebook(WHERE, kernel="cookbook-dev"))
    (project / "page.md").write_text("---\nkernelspec:\n  name: other-dev\n  language: python\n---\n")
    write(project / "julia.ipynb", notebook("1", kernel="julia-1.11", language="julia"))
    said = run(clinder, project, *on("local"), *TOOLS["nbconvert"], "own.ipynb")
    assert last_text(project / "own.ipynb").startswith("launched by: local")
    assert "the kernel cookbook-dev, which the session does not have, is its python3 here" in said
    assert "the kernel other-dev, which the session does not have, is its python3 here" in said
    assert "warning: notebooks name the kernel julia-1.11, which the session does not have" in said


def test_what_the_extra_installs_is_asked_for_before_anything_is_launched(clinder: Clinder) -> None:
    blocked = clinder.directory / "blocked"
    (blocked / "zmq").mkdir(parents=True)
    hide = "import sys; sys.modules['zmq'] = None; from clinder.__main__ import main; main()"
    done = start(clinder, clinder.directory, sys.executable, "-c", hide, *on("local")[1:], "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "clinder: error: --kernels needs zmq, which this Python does not have.\n"
        "Install it: pip install 'clinder[kernels]'\n"
        f"{more('wrong-input')}\n"
    )


def test_the_documentation_names_the_versions_that_are_tested() -> None:
    page = (LEGACY.parents[1] / "docs" / "how-to" / "execute-notebooks.md").read_text()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "`tests/kernels/`" in line
    ]
    assert len(rows) >= 7
    for tools, versions, *_ in rows:
        names = [name for name in tools.replace("any program on ", "").split(", ") if not name.startswith("`")]
        packages = [name.lower().replace(" ", "-").removesuffix("-1") for name in names]
        assert versions.split(", ") == [version(package) for package in packages]
