"""What the documentation says is what the code has."""

import argparse
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clinder import Session
from clinder.cli.arguments import make_parser
from clinder.cli.use import LOST
from clinder.errors import __doc__ as tree
from clinder.hub import DEFAULT_TIMEOUT
from clinder.local import IDLE
from clinder.spec import DEFAULT_HUB, PROVIDERS
from tests.docs.blocks import commands, sections, site
from tests.docs.messages import all_kinds

ROOT = Path(__file__).resolve().parents[2]
CLI = (ROOT / "docs/reference/cli.md").read_text()
PYTHON = (ROOT / "docs/reference/python.md").read_text()


def test_ci_runs_the_readmes_commands_for_the_tests(tmp_path: Path) -> None:
    (tmp_path / ".ci/docker").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    shutil.copy(ROOT / "README.md", tmp_path)
    programs = (".venv/bin/nox", *(f"bin/{name}" for name in ("python3", "zsh", "fish", "chromium")))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").symlink_to(shutil.which("true") or "")  # whatever is missing here
    for name in (".ci/docker/engine", ".ci/docker/act-image", *programs):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" $TESTS_NEVER_SKIP >>{tmp_path}/said\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv/bin/pip").symlink_to("nox")
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run([tmp_path / ".ci/run"], env=env, check=True, capture_output=True, timeout=60)
    said = (tmp_path / "said").read_text().splitlines()
    assert said[0] == ".ci/docker/engine yes"
    assert ".ci/docker/act-image yes" in said
    assert commands("tests").startswith("python3 -m venv .venv\n")
    nox = [".venv/bin/nox install -q nox", ".venv/bin/nox", ".venv/bin/nox -s action browser"]
    assert [line for line in said if "docker" not in line] == [
        f"{line} yes" for line in ("bin/python3 -m venv .venv", *nox)
    ]


def options() -> set[str]:
    parser = make_parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {
        option
        for each in commands.choices.values()
        for action in each._actions
        for option in action.option_strings
        if option not in ("-h", "--help")
    }


@pytest.mark.parametrize("option", sorted(options()))
def test_every_option_is_documented(option: str) -> None:
    assert re.search(rf"`{option}[` ]", CLI)


def test_no_option_is_documented_that_is_none() -> None:
    own = re.sub(r"`pip [^`]*`", "", CLI)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own)) <= options() | {"--help"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_is_documented(provider: str) -> None:
    assert f"`{provider}`" in CLI


def test_every_key_of_the_json_is_documented_in_order() -> None:
    keys = list(Session("https://hub.example.org/user/x/", "token").as_dict())
    table = CLI[CLI.index("The object has these keys") : CLI.index("If the result")]
    assert re.findall(r"`(\w+)`", table) == keys


def test_defaults_are_documented_as_they_are() -> None:
    assert f"Default: {DEFAULT_TIMEOUT:g}" in CLI
    assert DEFAULT_HUB in CLI
    assert f"idle for {IDLE // 60} minutes" in CLI


def test_the_tree_of_errors_is_the_same_in_the_documentation() -> None:
    assert tree is not None
    pattern = r"([├└]── )(\w+) +(\d?)"
    assert [found[1:] for found in re.findall(pattern, PYTHON)] == [found[1:] for found in re.findall(pattern, tree)]


def test_every_exit_code_is_documented() -> None:
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", CLI, re.MULTILINE) for code in row.split(",")}
    assert codes == {kind.exit_code for kind in all_kinds()} | {LOST, 0, 126, 127, 129, 130, 143}


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md", *site()]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            file, _, anchor = target.partition("#")
            goal = (page.parent / file).resolve() if file else page
            assert goal.exists(), f"{page}: {target}"
            if anchor:
                assert anchor in sections(goal.read_text()), f"{page}: {target}"


def test_pre_commit_has_the_locked_ruff() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    lock = (ROOT / "requirements/dev.txt").read_text()
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == set(re.findall(r"^ruff==[\d.]+", lock, re.MULTILINE))


def test_every_module_is_in_the_list_of_the_architecture() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## The architecture")[2].partition("\n## ")[0]
    modules = {path.name for path in (ROOT / "clinder").glob("*.py") if not path.name.startswith("__")}
    modules |= {f"{path.parent.name}/" for path in (ROOT / "clinder").glob("*/__init__.py")} - {"launch/"}
    modules |= {f"launch/{path.name}" for path in (ROOT / "clinder/launch").glob("[a-z]*.py")}
    assert {name for name in modules if f"`{name}`" not in table} == set()
