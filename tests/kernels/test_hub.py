"""Kernels of a session on a real BinderHub: JupyterHub's proxy is on the way, and the server has its own limits."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Clinder
from tests.hub.serve import RealHub

from .notebooks import WHERE, everything, last_text, notebook, outputs, write
from .tools import TOOLS, on, run, start


def test_a_tool_executes_on_a_real_hub_what_it_would_execute_here(clinder: Clinder, here: Path, hub: RealHub) -> None:
    project = clinder.directory / "project"
    files = ["everything.ipynb", "own.ipynb"]
    write(project / "notebooks" / files[0], everything(WHERE))
    write(project / "notebooks" / files[1], notebook(WHERE, kernel="cookbook-dev"))
    said = run(clinder, project / "notebooks", *on(hub.url, "--repo", "org/kernels"), *TOOLS["nbconvert"], *files)
    assert "kernels of the session: python3" in said
    for file in files:
        assert last_text(project / "notebooks" / file).startswith(f"launched by: {hub.url} ")
    *cells, _, language = outputs(project / "notebooks" / files[0])
    *cells_here, _, language_here = outputs(here / "True.ipynb")
    assert (cells, language) == (cells_here, language_here)


def test_a_hubs_limit_on_outputs_is_no_silent_loss(clinder: Clinder, hub: RealHub) -> None:
    write(clinder.directory / "loud.ipynb", notebook("for _ in range(8): print('x' * 1_000_000)"))
    words = [*TOOLS["nbconvert"], "loud.ipynb"]
    done = start(clinder, clinder.directory, *on(hub.url, "--repo", "org/loud"), *words)
    assert done.returncode == 1
    assert "nbclient.exceptions.DeadKernelError: Kernel died" in done.stderr
    assert "clinder: warning: the kernel python3: outputs are lost: the session's server" in done.stderr
    run(clinder, clinder.directory, *on("local"), *words)
    assert len(last_text(clinder.directory / "loud.ipynb")) == 8_000_008


def test_a_kernel_works_in_the_notebooks_directory_of_the_checkout(clinder: Clinder, hub: RealHub) -> None:
    """The session's root is the repository's, whatever directory of the checkout a tool is started in."""
    directory = clinder.directory / "checkout" / "notebooks"
    (clinder.directory / "checkout" / ".git").mkdir(parents=True)
    make = "import os; os.makedirs('notebooks', exist_ok=True); print(os.getcwd())"
    write(directory / "where.ipynb", notebook("import os; print(os.getcwd())"))
    write(clinder.directory / "checkout" / "make.ipynb", notebook(make))
    files = ["../make.ipynb", "where.ipynb"]
    run(clinder, directory, *on(hub.url, "--repo", "org/directories"), *TOOLS["nbconvert"], *files)
    root = last_text(clinder.directory / "checkout" / "make.ipynb").strip()
    assert last_text(directory / "where.ipynb") == f"{root}/notebooks\n"
