"""Project Pythia's cookbooks: their workflows, through the reusable one and the Action, with act, on a real hub."""

from __future__ import annotations

import json
import re
import shutil
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.conftest import docker
from tests.hub.serve import RealHub
from tests.support.act import RUNNER, Act, edited
from tests.support.myst import outputs
from tests.support.runner import ROOT
from tests.support.session import user, wait_until

pytestmark = pytest.mark.docker

EXAMPLES = ROOT / "examples"
BUILD_BOOK = EXAMPLES / "cookbook-actions" / ".github" / "workflows" / "build-book.yaml"
PYTHIA = "https://binder.projectpythia.org"

# What is downloaded from GitHub, where it can be reached. Only the first of them has something to do in these tests.
STAND_INS = {
    "actions/upload-artifact": 'cp "$FILE" "$GITHUB_WORKSPACE/uploaded-$NAME.zip"',
    "mamba-org/setup-micromamba": "echo this step should not run; exit 1",
    "dawidd6/action-download-artifact": "echo this step should not run; exit 1",
}
STAND_IN = """\
name: stand-in
description: Stands in for an action of the same name.
inputs: {name: {}, path: {}, environment-file: {}, workflow: {}, workflow_conclusion: {}, run_id: {}}
runs:
  using: composite
  steps:
    - run: RUN
      shell: bash
      env:
        NAME: ${{ inputs.name }}
        FILE: ${{ inputs.path }}
"""

# The default of the reusable workflow, --html, would download a theme. What stands in template.yml needs no network.
BUILD = "myst build --execute --site --strict"
OFFLINE = "\n    with:\n      build_command: COMMAND\n      output_path: _build/site\n"


@pytest.fixture
def repositories(tmp_path: Path) -> dict[str, Path]:
    """What act takes for the repositories that the workflows use."""
    shared = shutil.copytree(EXAMPLES / "cookbook-actions", tmp_path / "cookbook-actions")
    workflow = shared / BUILD_BOOK.relative_to(EXAMPLES / "cookbook-actions")
    # By that name and nothing else act names the job's container, and runs at one time would share it.
    workflow.write_text(edited("\nname: build-book\n", f"\nname: {uuid.uuid4().hex}\n", BUILD_BOOK.read_text()))
    found = {"ProjectPythia/cookbook-actions@main": shared}
    for used in re.findall(r"uses: (\S+@\S+)", BUILD_BOOK.read_text()):
        name = used.partition("@")[0]
        if name in STAND_INS:
            found[used] = tmp_path / name
            found[used].mkdir(parents=True)
            (found[used] / "action.yml").write_text(STAND_IN.replace("RUN", STAND_INS[name]))
    assert len(found) == len(STAND_INS) + 1
    return found


class Cookbook(Act):
    """An example in a repository of its own, on this hub and without a network."""

    def __init__(self, example: str, hub: RealHub, checkout: Path, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        shutil.copytree(EXAMPLES / example, repository, ignore=shutil.ignore_patterns("_build"))
        super().__init__(repository, checkout, tmp_path / "home")
        self.legacy = example == "cookbook-legacy"
        config = repository / ("_config.yml" if self.legacy else "myst.yml")
        config.write_text(edited(PYTHIA, hub.url.rstrip("/"), config.read_text()))
        (repository / "template.yml").write_text("myst: v1\n")
        command = BUILD
        if self.legacy:  # its myst.yml is made on the runner
            command = f"sed -i s,book-theme,./template.yml, myst.yml; {BUILD}"
        else:
            config.write_text(edited("template: book-theme", "template: ./template.yml", config.read_text()))
        for name in ("publish-book", "trigger-book-build"):
            path = self.workflow(name)
            text = path.read_text().rstrip("\n") + "\n"
            more = OFFLINE.replace("COMMAND", command)
            if "with:\n" in text:
                text, more = text.rstrip("\n"), more.replace("\n    with:", "")
            path.write_text(text.rstrip("\n") + more)
        self.environment = self.commit_all()

    def workflow(self, name: str) -> Path:
        return self.repository / ".github" / "workflows" / f"{name}.yaml"

    def printed(self) -> dict[str, list[str]]:
        """What the cells of each page printed, by the data of the built site."""
        pages = (self.repository / "_build" / "site" / "content").glob("*.json")
        return {
            page.stem.rpartition(".")[2]: [
                str(output["text"]) for output in outputs(json.loads(page.read_text())) if "text" in output
            ]
            for page in pages
        }

    def is_over(self, hub: RealHub) -> None:
        """Assert that the one session of the run is stopped, and that the hub has no server of it left."""
        [url] = self.said("Main", r"clinder: ready: (.*)")
        assert self.said("Post", r"Stopped (.*)") == [url], self.log
        wait_until(lambda: user(url) not in hub.servers())


@pytest.fixture
def cookbook(
    engine: None,  # noqa: ARG001
    request: pytest.FixtureRequest,
    hub: RealHub,
    checkout: Path,
    tmp_path: Path,
) -> Cookbook:
    docker("image", "inspect", RUNNER)
    return Cookbook(getattr(request, "param", "cookbook"), hub, checkout, tmp_path)


def pull_request() -> dict[str, Any]:
    head = {"ref": "change", "sha": "b" * 40, "repo": {"full_name": "fork/repo"}}
    base = {"ref": "main", "sha": "c" * 40, "repo": {"full_name": "org/repo"}}
    return {
        "number": 7,
        "repository": {"name": "repo"},
        "pull_request": {"number": 7, "head": head, "base": base},
    }


def test_a_push_of_prose_is_built_on_the_image_of_the_environment(
    cookbook: Cookbook, hub: RealHub, repositories: dict[str, Path]
) -> None:
    (cookbook.repository / "README.md").write_text("# Prose\n")
    assert cookbook.run(cookbook.workflow("publish-book"), repositories=repositories) == 0, cookbook.log
    [launched] = cookbook.said("Main", r"clinder: launching (\S+) on .*")
    assert launched == f"gh/org/repo/{cookbook.environment}"
    assert cookbook.commit != cookbook.environment
    printed = cookbook.printed()
    assert {name for name, texts in printed.items() if texts} == {"where", "machine", "temperature"}
    for name in ("where", "machine", "temperature"):
        assert any(f"launched by: {hub.url}" in text for text in printed[name]), printed
    assert any("mean of 12 months: 10.0 °C" in text for text in printed["temperature"])
    names = zipfile.ZipFile(cookbook.repository / "uploaded-book-zip.zip").namelist()
    assert any(name.endswith("_build/site/content/where.json") for name in names)
    cookbook.is_over(hub)


def test_a_pull_request_is_built_at_its_head(cookbook: Cookbook, hub: RealHub, repositories: dict[str, Path]) -> None:
    workflow = cookbook.workflow("trigger-book-build")
    assert cookbook.run(workflow, "pull_request", pull_request(), repositories) == 0, cookbook.log
    assert cookbook.said("Main", r"clinder: launching (\S+) on .*") == [f"gh/fork/repo/{'b' * 40}"]
    assert any(f"launched by: {hub.url}" in text for text in cookbook.printed()["where"])
    assert (cookbook.repository / "uploaded-book-zip-7.zip").exists()
    cookbook.is_over(hub)


@pytest.mark.parametrize("cookbook", ["cookbook-legacy"], indirect=True)
@pytest.mark.parametrize(
    ("event", "name"), [("push", "publish-book"), ("pull_request", "trigger-book-build")], ids=["push", "pull_request"]
)
def test_a_cookbook_that_has_not_moved_is_built_there_too(
    cookbook: Cookbook, hub: RealHub, repositories: dict[str, Path], event: str, name: str
) -> None:
    payload = pull_request() if event == "pull_request" else None
    assert cookbook.run(cookbook.workflow(name), event, payload, repositories) == 0, cookbook.log
    assert any(f"launched by: {hub.url}" in text for text in cookbook.printed()["where"])
    cookbook.is_over(hub)


def test_a_notebook_that_fails_makes_the_job_fail_with_its_error_and_leaves_no_server(
    cookbook: Cookbook, hub: RealHub, repositories: dict[str, Path]
) -> None:
    path = cookbook.repository / "notebooks" / "machine.md"
    path.write_text(path.read_text() + "\n```{code-cell} python\nraise RuntimeError('no ' + 'luck')\n```\n")
    assert cookbook.run(cookbook.workflow("publish-book"), repositories=repositories) == 1
    assert any("RuntimeError" in text and "no luck" in text for _, text in cookbook.messages), cookbook.log
    assert not list(cookbook.repository.glob("uploaded-*"))
    cookbook.is_over(hub)


def test_the_interface_of_the_reusable_workflow_is_the_one_that_cookbooks_know() -> None:
    # YAML 1.1 takes "on" for true.
    called = yaml.safe_load(BUILD_BOOK.read_text())[True]["workflow_call"]
    assert set(called["inputs"]) == {
        *("environment_name", "environment_file", "path_to_notebooks", "artifact_name", "build_command"),
        *("output_path", "build_from_code_artifact", "code_artifact_name", "workflow", "workflow_conclusion"),
        "base_url",
    }
    assert set(called["secrets"]) == {
        *("PRIVATE_KEY", "PRIVATE_KEY_ID", "ARM_USERNAME", "ARM_PASSWORD", "AQS_USERNAME", "AQS_KEY"),
        *("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"),
    }
    assert not any(each["required"] for each in [*called["inputs"].values(), *called["secrets"].values()])
    assert called["inputs"]["build_command"]["default"] == "myst build --execute --html --strict"


def test_secrets_reach_the_build_alone() -> None:
    steps = yaml.safe_load(BUILD_BOOK.read_text())["jobs"]["build"]["steps"]
    assert [step["name"] for step in steps if "secrets." in json.dumps(step)] == ["Build the book"]
