"""The Action's interface and the workflows that users copy: the same in code and documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from actions_toolkit import core

from clinder.action import files, inputs
from clinder.hub import DEFAULT_TIMEOUT
from clinder.spec import DEFAULT_HUB
from tests.support.runner import ROOT

METADATA: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = sorted([*ROOT.glob("examples/workflows/*.yml"), *ROOT.glob("examples/*/.github/workflows/*.yaml")])
REFERENCE = (ROOT / "docs" / "reference" / "action.md").read_text()

# GitHub's own list: the colours, and the icons of Feather 4.28 without these.
COLOURS = {"white", "black", "yellow", "blue", "green", "orange", "red", "purple", "gray-dark"}
OMITTED = {"coffee", "columns", "divide-circle", "divide-square", "divide", "frown", "hexagon", "key", "meh"}
OMITTED |= {"mouse-pointer", "smile", "tool", "x-octagon"}


def documented(heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading of the reference, by their first cell's code."""
    section = REFERENCE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def test_there_are_workflows_to_copy() -> None:
    assert WORKFLOWS


def test_the_marketplace_takes_the_branding() -> None:
    branding = METADATA["branding"]
    assert branding["color"] in COLOURS
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", branding["icon"])
    assert branding["icon"] not in OMITTED


def test_the_entrypoints_can_be_executed() -> None:
    for entrypoint in (METADATA["runs"]["entrypoint"], METADATA["runs"]["post-entrypoint"]):
        path = ROOT / entrypoint.lstrip("/")
        assert path.stat().st_mode & 0o111 == 0o111
        assert path.read_text().startswith("#!/usr/local/bin/python3 -I\n")


def test_every_input_is_documented_with_its_default() -> None:
    table = documented("Inputs")
    assert list(table) == list(METADATA["inputs"])
    for name, described in METADATA["inputs"].items():
        assert described["description"].endswith("."), name
        # Where there is none, the cell may say what happens then, but is no value.
        code = re.fullmatch(r"`([^`]*)`", table[name][0])
        assert (code and code[1]) == described.get("default"), name


def test_one_block_to_copy_has_every_input_and_its_default() -> None:
    section = REFERENCE.partition("\n## All inputs\n")[2].partition("\n## ")[0]
    [step] = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    assert step["uses"] == "org/clinder-action@v1"
    assert step["with"].keys() == METADATA["inputs"].keys()
    for name, described in METADATA["inputs"].items():
        if "default" in described:
            assert str(step["with"][name]).lower() == described["default"], name


def test_every_output_is_documented_and_written() -> None:
    outputs = list(METADATA["outputs"])
    assert list(documented("Outputs and variables")) == outputs
    written = re.findall(r"core\.set_output\(\s*(\S+),", Path(files.__file__).read_text())
    assert [name.strip('"') for name in written] == outputs


def test_every_input_is_read_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def get_input(name: str) -> str:
        read.append(name)
        return ""

    monkeypatch.setattr(core, "get_input", get_input)
    inputs.read_inputs()
    assert set(read) == set(METADATA["inputs"])


def test_the_readmes_workflow_is_the_one_to_copy() -> None:
    text = (ROOT / "examples/workflows/pages.yml").read_text()
    assert text[text.index("name: pages") :] in (ROOT / "README.md").read_text()


def test_defaults_are_those_of_the_command_line() -> None:
    assert DEFAULT_HUB in METADATA["inputs"]["hub-url"]["description"]  # what is not given may be in myst.yml
    assert float(METADATA["inputs"]["timeout"]["default"]) == DEFAULT_TIMEOUT


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: str(path.relative_to(ROOT / "examples")))
def test_a_workflow_to_copy_sets_only_inputs_that_there_are(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job.get("steps", ())]
    uses = [step for step in steps if step.get("uses", "").startswith("org/clinder-action@")]
    reusable = [job["uses"] for job in jobs.values() if "uses" in job]
    if workflow.name == "publish-preview.yml":  # it starts no session: the workflow whose artifact it takes did
        assert not uses
        return
    commands = [step for step in steps if step.get("run", "").startswith("clinder run ")]
    assert uses or commands or any(each.startswith("ProjectPythia/cookbook-actions/") for each in reusable)
    for step in uses:
        assert step.get("with", {}).keys() <= METADATA["inputs"].keys()


def test_the_versions_of_actions_to_copy_are_those_of_our_own_workflows() -> None:
    ours = "".join(path.read_text() for path in ROOT.glob(".github/workflows/*.yml"))
    pinned = dict(re.findall(r"uses: (\S+)@[0-9a-f]{40} # (v\d+)", ours))
    pages = [ROOT / "README.md", *ROOT.glob("docs/*/*.md"), *WORKFLOWS]
    used = {(path.name, *found) for path in pages for found in re.findall(r"uses: (\S+)@(v\d+)", path.read_text())}
    others = {use for use in used if use[1] in pinned and use[2] != pinned[use[1]]}
    assert others == set()
    assert {use[1] for use in used} >= {"actions/checkout", "actions/upload-artifact"} <= pinned.keys()
