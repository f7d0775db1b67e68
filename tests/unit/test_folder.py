"""The cells of a project in a folder of its checkout do not begin beside their pages: who needs that is warned."""

import json
import os
from pathlib import Path

import pytest

from clinder.target.folder import checkout_root, warn_of_folder

CELL = "```{{code-cell}} python\n{}\n```\n"
READS = CELL.format("open('data.csv')")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a project in docs/, and data there."""
    (tmp_path / ".git").mkdir()
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "myst.yml").write_text("version: 1\nproject: {title: t}\nsite: {template: book-theme}\n")
    (docs / "data.csv").touch()
    (docs / "helper.py").touch()
    return tmp_path


def notebook(*source: str) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": list(source)}]})


@pytest.mark.parametrize(
    ("page", "text", "name"),
    [
        ("a.md", READS, "data.csv"),
        ("a.md", CELL.format('open("data.csv")'), "data.csv"),
        ("a.md", CELL.format('open("./anything")'), "./"),
        ("deep/a.md", CELL.format('open("../data.csv")'), "../"),
        ("a.md", CELL.format('list("deep/b")'), "deep/"),
        ("a.md", CELL.format("import helper"), "helper"),
        ("a.md", CELL.format("from helper import x"), "helper"),
        ("a.ipynb", notebook('open("data.csv")'), "data.csv"),
        ("a.ipynb", notebook("open('data.csv')\n", "x"), "data.csv"),
        ("a.ipynb", notebook("import helper\n", "x"), "helper"),
        ("a.ipynb", notebook("import helper"), "helper"),
        ("a.md", CELL.format("open('data.csv.gz'); import helpers; x = 'data'"), None),
        ("a.md", "Without a cell, `'data.csv'` is no reason.\n", None),
        ("deep/a.md", CELL.format("open('data.csv')"), None),
    ],
)
def test_what_a_page_names_beside_it(root: Path, page: str, text: str, name: str | None) -> None:
    (root / "docs" / page).write_text(text)
    lines = warn_of_folder(root / "docs")
    assert len(lines) == (name is not None)
    if name:
        assert lines[0].startswith(f"warning: docs/{page} names '{name}', but its cells will run in the repository's")


@pytest.mark.parametrize(
    ("root_config", "docs_config", "warned"),
    [
        (None, "project: {}\nsite: {}\n", True),
        (None, "project: {}\n", True),
        ("project: {}\n", "project: {}\n", True),
        ("site: {}\n", "project: {}\n", False),
        ("project: {}\nsite: {}\n", None, False),
        ("site: {}\n", "project: {}\nsite: {}\n", True),
        ("site:\n", "project: {}\n", True),
        (None, None, False),
        (None, "project: [\n", False),
        ("site: {}\n", "[]\n", False),
        (None, "a: !!int x\n", False),
    ],
)
def test_it_is_the_folder_of_the_nearest_site_that_counts(
    root: Path, root_config: str | None, docs_config: str | None, warned: bool
) -> None:
    (root / "docs" / "a.md").write_text(READS)
    (root / "docs" / "myst.yml").unlink()
    for folder, config in ((root, root_config), (root / "docs", docs_config)):
        if config is not None:
            (folder / "myst.yml").write_text(config)
    assert bool(warn_of_folder(root / "docs")) == warned


def test_without_a_checkout_nobody_knows_where_cells_begin(root: Path) -> None:
    (root / "docs" / "a.md").write_text(READS)
    (root / ".git").rmdir()
    assert warn_of_folder(root / "docs") == []


def test_the_root_is_that_of_a_worktree_or_submodule_too(root: Path) -> None:
    (root / "docs" / ".git").write_text("gitdir: elsewhere\n")
    assert checkout_root(root / "docs" / "deep") == root / "docs"
    assert checkout_root(root) == root


def test_folders_may_be_nested_without_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "docs")
    for _ in range(1200):
        os.mkdir("a")  # noqa: PTH102
        os.chdir("a")
    try:
        assert warn_of_folder(root / "docs") == []
    finally:
        for _ in range(1200):  # shutil.rmtree can't
            os.chdir("..")
            os.rmdir("a")  # noqa: PTH106


def test_files_that_can_not_be_read_keep_nobody_waiting(root: Path) -> None:
    os.mkfifo(root / "docs" / "a.md")
    os.mkfifo(root / "docs" / "deep" / "myst.yml")
    (root / "docs" / "b.md").symlink_to(root / "docs")
    Path(os.fsdecode(os.fsencode(root / "docs") + b"/\xff\n'.py")).touch()
    (root / "docs" / "c.md").write_text(READS)
    assert len(warn_of_folder(root / "docs" / "deep")) == 1


def test_pages_that_take_long_to_search_are_searched_for_a_limited_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "docs" / "a.md").write_text(READS)
    assert len(warn_of_folder(root / "docs")) == 1
    monkeypatch.setattr("clinder.target.folder._SECONDS", 0.0)
    assert warn_of_folder(root / "docs") == []
