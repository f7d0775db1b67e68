"""What clinder reads and what it is called in Python stands in the reference; figures are those of the benchmarks."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import clinder
from clinder.target.ci import CIS
from tests.support.runner import ROOT

PYTHON = (ROOT / "docs/reference/python.md").read_text()
VARIABLES = (ROOT / "docs/reference/environment.md").read_text()
COMPARISON = (ROOT / "docs/explanation/comparison.md").read_text()
BENCHMARKS = (ROOT / "benchmarks/README.md").read_text()


def read_from_the_environment(source: Path) -> Iterator[str]:
    """Yield the names that are looked up in what is called environ: by get(), in brackets, or with `in`."""
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=where, attr="get" | "pop"), args=[ast.Constant(value=name), *_]):
                pass
            case ast.Subscript(value=where, slice=ast.Constant(value=name)):
                pass
            case ast.Compare(left=ast.Constant(value=name), comparators=[where]):
                pass
            case _:
                continue
        if ast.unparse(where).split(".")[-1].endswith("environ"):
            yield str(name)


READ = {name for file in (ROOT / "clinder").rglob("*.py") for name in read_from_the_environment(file)}
READ |= {ci.mark for ci in CIS.values()}


def test_what_is_read_is_found() -> None:
    # By each of the ways to look it up, and by a variable's name alone.
    assert {
        "CLINDER_HUB",
        "GITHUB_EVENT_PATH",
        "_ARGCOMPLETE",
        "NETLIFY",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    } <= READ


@pytest.mark.parametrize("variable", sorted(READ))
def test_every_variable_that_is_read_is_documented(variable: str) -> None:
    assert f"`{variable}`" in VARIABLES


def test_no_variable_of_ci_is_documented_that_is_not_read() -> None:
    section = VARIABLES.partition("## What CI builds")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]+)`", section)) <= READ


def test_every_variable_of_the_action_is_one_of_its_library_or_its_own() -> None:
    import actions_toolkit.core
    import actions_toolkit.file_command

    section = VARIABLES.partition("## The Action's own")[2].partition("\n## ")[0]
    library = inspect.getsource(actions_toolkit.core) + inspect.getsource(actions_toolkit.file_command)
    for variable in set(re.findall(r"`((?:GITHUB|RUNNER)_[A-Z_]+)`", section)) - READ:
        assert variable in library or variable.removeprefix("GITHUB_") in library, variable


def public(kind: type) -> set[str]:
    """The names of a class's own methods and properties, and of the arguments of all of them."""
    names = {name for name in vars(kind) if not name.startswith("_")}
    methods = [getattr(kind, name) for name in names if callable(getattr(kind, name))]
    for method in [kind, *methods]:
        names |= set(inspect.signature(method).parameters) - {"self", "cls", "args", "kwargs"}
    return names


@pytest.mark.parametrize("name", clinder.__all__)
def test_all_of_the_library_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", PYTHON)
    found = getattr(clinder, name)
    if isinstance(found, type) and not issubclass(found, Exception):
        for each in public(found):
            assert re.search(rf"\b{each}\b", PYTHON), each


# Figures


def median(measurement: str, command: str) -> tuple[float, float]:
    """The seconds and MiB of a row of the benchmarks."""
    row = re.search(rf"^\| {measurement} +\| {command} +\|(.*)$", BENCHMARKS, re.MULTILINE)
    assert row, (measurement, command)
    cells = [cell.strip().replace(",", "") for cell in row[1].split("|")]
    return float(cells[1]) / 1000, float(cells[5])


@pytest.mark.parametrize(("command", "column"), [("clinder", 1), ("Binderbot", 2), ("curl", 3)])
def test_the_comparison_has_the_figures_of_the_benchmarks(command: str, column: int) -> None:
    figures = COMPARISON.partition("## Figures")[2]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in figures.splitlines() if row.startswith("| ")]
    cells = [row[column] for row in rows[1:5]]
    at_once, log = median("start, ready at once", command), median("start, 200,000 lines, an event a chunk", command)
    assert cells == [f"{at_once[0]:.2f} s", f"{at_once[1]:.0f} MiB", f"{log[0]:.1f} s", f"{log[1]:.0f} MiB"]


def test_the_comparison_has_the_other_figures_of_the_benchmarks() -> None:
    prose = re.findall(r"^\| a commit of prose.*\| ([\d.]+) \| [\d.]+ \| \d of 5 \|$", BENCHMARKS, re.MULTILINE)
    without, reusing = (f"{float(median):.1f} s" for median in prose)
    assert f"started in {without} without it and {reusing} with it" in COMPARISON
