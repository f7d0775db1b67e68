"""What the documentation tells people to type works: each block runs as it stands, on sessions of the embedded hub.

A block that can't run here says why, in a comment above it: `<!-- not run: reason -->`. One that shows a file says its
name, `<!-- file: name -->`, and the blocks of its page find that file.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from clinder import RepoSpec, Session
from tests.action.conftest import executable
from tests.conftest import Clinder
from tests.support.git import Git
from tests.support.myst import QUICKSTART, myst_executable
from tests.support.runner import ROOT
from tests.support.session import Processes, servers, temporary, wait_for_the_end

from .blocks import Block, all_blocks, blocks, pages
from .site import printed

__all__ = ["servers", "temporary"]  # fixtures

# The README's two commands set up everything anew: test_readme.py runs the first one, and .ci/run the second.
RUN_ELSEWHERE = {"quickstart", "tests"}
HUBS = re.compile(r"https://(mybinder\.org|hub\.example\.org)(/services/binder)?(?=[/\s'\")]|$)")

# --html asks for a theme from the network. What is built without one are the same pages.
MYST = """\
#!{python}
import os, sys
from pathlib import Path

myst, *words = sys.argv
if "build" in words:
    Path(".offline.yml").write_text("version: 1\\nextends: myst.yml\\nsite:\\n  template: ./.offline/template.yml\\n")
    Path(".offline").mkdir(exist_ok=True)
    Path(".offline/template.yml").write_text("myst: v1\\n")
    words = ["--config", ".offline.yml"] + [word.replace("--html", "--site") for word in words]
os.execv({myst!r}, [{myst!r}, *words])
"""


def to_run(language: str) -> list[Block]:
    return [block for block in all_blocks(language) if not block.not_run and block.comment not in RUN_ELSEWHERE]


def name(block: Block) -> str:
    return f"{block.page.removeprefix('docs/')}:{block.line}"


@pytest.fixture
def tools(clinder: Clinder, tmp_path: Path) -> Path:
    """A directory with this clinder, this Python, and MyST without a network; the first on the PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    python = shlex.quote(sys.executable)
    for tool, text in {
        "clinder": f'#!/bin/sh\nexec {python} -m clinder "$@"\n',
        "python3": f'#!/bin/sh\nexec {python} "$@"\n',
        "myst": MYST.format(python=sys.executable, myst=myst_executable()),
    }.items():
        (tools / tool).write_text(text)
        (tools / tool).chmod(0o755)
    clinder.env["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return tools


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a repository on GitHub, all of it pushed: a copy of the quickstart that has never been built."""
    git = Git(tmp_path, monkeypatch)
    shutil.copytree(QUICKSTART, git.path, ignore=shutil.ignore_patterns("_build"), dirs_exist_ok=True)
    git("add", ".")
    git.commit()
    git("remote", "add", "origin", "https://github.com/org/repo")
    git.pushed()
    return git.path


# In a process of its own, like a hub.
SERVE = """
import sys
from clinder import EmbeddedHub
with EmbeddedHub() as hub:
    print(hub.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hub_url(clinder: Clinder, temporary: Path) -> Iterator[str]:  # noqa: ARG001
    """A hub that launches whatever it is asked for."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], env=clinder.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        yield hub.stdout.readline().strip().rstrip("/")
        hub.communicate()


def write_files_of_the_page(block: Block, project: Path) -> None:
    for other in blocks(ROOT / block.page):
        if other.file:
            (project / other.file).write_text(other.text)


def run(clinder: Clinder, words: list[str], project: Path, hub_url: str) -> str:
    """Run a program in the project; return what it printed."""
    done = subprocess.run(
        words,
        cwd=project,
        env=clinder.env | {"CLINDER_HUB": hub_url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("block", to_run("sh"), ids=name)
@pytest.mark.usefixtures("tools")
def test_a_command_does_what_the_page_says(
    block: Block, clinder: Clinder, project: Path, hub_url: str, servers: Processes, temporary: Path
) -> None:
    write_files_of_the_page(block, project)
    shown = run(clinder, ["bash", "-e", "-c", HUBS.sub(hub_url, block.text)], project, hub_url)
    if "myst build" in block.text:
        outputs = printed(project)
        assert outputs, shown
        assert all("launched by: local\n" in output for output in outputs)
    if "clinder run" in block.text or "clinder stop" in block.text:
        wait_for_the_end(servers, temporary)


@pytest.mark.parametrize("block", to_run("python"), ids=name)
@pytest.mark.usefixtures("tools")
def test_a_program_does_what_the_page_says(
    block: Block, clinder: Clinder, project: Path, hub_url: str, servers: Processes, temporary: Path
) -> None:
    run(clinder, [sys.executable, "-W", "error", "-c", HUBS.sub(hub_url, block.text)], project, hub_url)
    wait_for_the_end(servers, temporary)


def test_the_pages_are_in_languages_that_are_checked() -> None:
    known = {"sh", "python", "yaml", "json", "text", "markdown", "{mermaid}", "{code-cell} python"}
    others = [
        (name(block), block.language) for page in pages() for block in blocks(page) if block.language not in known
    ]
    assert others == []


def test_a_block_is_left_out_for_a_reason_alone() -> None:
    kinds = ("not run: ", "file: ")
    odd = [
        name(block)
        for page in pages()
        for block in blocks(page)
        if block.comment and block.comment not in RUN_ELSEWHERE and not block.comment.startswith(kinds)
    ]
    assert odd == []
    assert all(len(block.not_run) > 10 for block in all_blocks("sh") if block.not_run is not None)
    assert len(to_run("sh")) > 20


def test_the_tutorials_page_is_the_quickstart_without_what_is_for_us() -> None:
    (page,) = (block for block in all_blocks("markdown") if block.file == "index.md")
    text = (QUICKSTART / "index.md").read_text()
    for line in page.text.splitlines():
        assert line in text or "Where does this run" in line


# Configuration


def workflow(text: str) -> str | None:
    """A whole workflow around a part of one; None for what is no part of a workflow."""
    content = yaml.safe_load(text)
    if isinstance(content, list):
        return f"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{indent(text, ' ' * 6)}"
    if "jobs" in content:
        return text if True in content else f"on: push\n{text}"  # "on" is a boolean to YAML 1.1
    if True in content or "concurrency" in content:
        return text + ("" if True in content else "on: push\n") + f"jobs:\n  a:\n    {STEP}"
    return None


STEP = "runs-on: ubuntu-latest\n    steps: [{run: echo}]\n"


def checked(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_workflows_and_their_parts_are_valid(tmp_path: Path) -> None:
    parts = {name(block): workflow(block.text) for block in all_blocks("yaml")}
    for number, text in enumerate(filter(None, parts.values())):
        (tmp_path / f"{number}.yml").write_text(text)
    written = sorted(tmp_path.iterdir())
    assert len(written) > 10
    checked([executable("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *written])
    checked([executable("actionlint"), "-no-color", "-shellcheck=", "-pyflakes=", *written])


def test_the_other_configuration_is_of_gitlab_or_myst(tmp_path: Path) -> None:
    gitlab: list[Path] = []
    for block in all_blocks("yaml"):
        content = yaml.safe_load(block.text)
        if workflow(block.text) is None and not {"project", "site"} & content.keys():
            gitlab.append(tmp_path / f"{len(gitlab)}.yml")
            gitlab[-1].write_text(block.text)
    assert len(gitlab) == 1
    checked([executable("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", *gitlab])


def test_the_example_of_the_json_is_one() -> None:
    (block,) = all_blocks("json")
    content = json.loads(block.text)
    session = Session(
        content["url"],
        content["token"],
        hub=content["hub"],
        spec=RepoSpec(content["repo"], content["ref"], content["provider"]),
        image=content["image"],
        resolved_ref=content["resolved_ref"],
        launch_url=content["launch_url"],
    )
    assert session.as_dict() == content
    assert session.spec is not None
    assert content["launch_url"] == session.spec.at(content["resolved_ref"]).launch_link(content["hub"])


def test_parts_of_the_examples_are_as_the_examples_have_them() -> None:
    (part,) = (yaml.safe_load(block.text) for block in all_blocks("yaml") if "GIT_DEPTH" in block.text)
    whole = yaml.safe_load((ROOT / "examples/ci/.gitlab-ci.yml").read_text())
    assert part["build"].items() <= whole["build"].items()
