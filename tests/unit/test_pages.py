"""Which kernels pages name: those of notebooks and of Markdown with code, within bounds, whatever the files hold."""

import json
import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from clinder.target import pages
from clinder.target.pages import Named, find_kernels

PAGE = "---\ntitle: T\nkernelspec:\n  name: cookbook-dev\n---\n\n```{code-cell}\nprint(1)\n```\n"


def notebook(name: object = "cookbook-dev", kind: str = "code") -> str:
    return json.dumps({"cells": [{"cell_type": kind, "source": ""}], "metadata": {"kernelspec": {"name": name}}})


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("a.ipynb", notebook(), {"cookbook-dev": ["a.ipynb"]}),
        ("deep/er/a.ipynb", notebook(), {"cookbook-dev": ["deep/er/a.ipynb"]}),
        ("a.md", PAGE, {"cookbook-dev": ["a.md"]}),
        ("a.md", PAGE.replace("\n", "\r\n"), {"cookbook-dev": ["a.md"]}),
        ("a.md", "\ufeff" + PAGE, {"cookbook-dev": ["a.md"]}),
        ("a.md", PAGE.replace("{code-cell}", "python"), {}),
        ("a.md", PAGE.replace("---", "***"), {}),
        ("a.md", "---\n" + PAGE, {}),
        ("a.md", PAGE.replace("kernelspec:", "kernelspec: ["), {}),
        ("a.ipynb", notebook(kind="markdown"), {}),
        ("a.ipynb", notebook(name=["x"]), {}),
        ("a.ipynb", notebook(name="x\x1b[2Jy\nz"), {"xy z": ["a.ipynb"]}),
        ("a.ipynb", "[" * 100_000, {}),
        ("a.ipynb", '{"cells": 1}', {}),
        ("a.ipynb", "not JSON", {}),
        ("a.ipynb", "\udcff", {}),
        ("_build/a.ipynb", notebook(), {}),
        (".git/a.ipynb", notebook(), {}),
        ("node_modules/x/a.md", PAGE, {}),
        ("a.txt", PAGE, {}),
    ],
)
def test_the_kernels_that_a_page_names(tmp_path: Path, file: str, content: str, found: dict[str, list[str]]) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert {named.name: pages for named, pages in find_kernels(tmp_path).items() if named.has_code} == found


def test_a_file_that_nobody_writes_or_a_circle_of_links_is_no_page(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ipynb")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "b.md").mkdir()
    assert find_kernels(tmp_path) == {}


def test_folders_in_folders_without_end_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(PAGE)
    here = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)
    try:
        for _ in range(1500):  # more than a path can name, and than Python calls functions in functions
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
    finally:
        os.chdir(here)
    assert find_kernels(tmp_path) == {Named("cookbook-dev"): ["a.md"]}
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_what_is_read_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.ipynb").write_text(notebook())
    assert len(find_kernels(tmp_path)[Named("cookbook-dev")]) == 9
    for bound, value in (("_MOST_PAGES", 3), ("_MOST_ENTRIES", 12), ("_MAX_ALL", 3 * len(notebook()))):
        with monkeypatch.context() as patched:
            patched.setattr(pages, bound, value)
            assert 0 < len(find_kernels(tmp_path)[Named("cookbook-dev")]) < 9
    monkeypatch.setattr(pages, "_MAX_FILE", 10)
    assert find_kernels(tmp_path) == {}


def test_a_notebook_takes_little_more_memory_than_its_file(tmp_path: Path) -> None:
    """Python takes 250 bytes for each of these objects of eight characters."""
    cells = '{"":{}},' * 100_000
    (tmp_path / "a.ipynb").write_text(notebook().replace('"cells": [', '"cells": [' + cells))
    tracemalloc.start()
    try:
        assert list(find_kernels(tmp_path)) == [Named("cookbook-dev")]
        assert tracemalloc.get_traced_memory()[1] < pages._MAX_FILE + 3 * len(cells)
    finally:
        tracemalloc.stop()


def test_a_cell_that_shows_a_notebook_is_no_notebook(tmp_path: Path) -> None:
    shown = notebook("other")
    cells = [
        {"cell_type": "markdown", "source": shown},
        {"cell_type": "raw", "metadata": json.loads(shown)["metadata"]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": {"name": "own"}}}))
    assert list(find_kernels(tmp_path)) == [Named("own", has_code=False)]


def test_front_matter_is_read_up_to_a_bound_all_in_all(tmp_path: Path) -> None:
    """A megabyte of YAML takes a second, in which a signal waits: a repository may have a hundred."""
    long = "---\nkernelspec: {name: k}\n" + "x: [1]\n" * 8_000 + "---\n"
    for number in range(100):
        (tmp_path / f"{number:02}.md").write_text(long)
    (tmp_path / "last.ipynb").write_text('{"metadata": {"kernelspec": {"name": "seen"}}, "cells": []}')
    found = {each.name: pages for each, pages in find_kernels(tmp_path).items()}
    assert len(found["k"]) == (1 << 20) // (len(long) - len("---\n---\n"))
    assert found["seen"] == ["last.ipynb"]
