"""What GitHub reads under .github names nothing that is not there."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.runner import ROOT
from tests.support.workflows import JOBS, WORKFLOWS, step

GITHUB = ROOT / ".github"
STEPS = {f"{name}.{number}": step for name, job in JOBS.items() for number, step in enumerate(job.get("steps", []))}


def test_every_action_is_pinned_by_its_commit_and_each_in_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for line in re.findall(r"^(?! *#).*\buses:.*$", "".join(path.read_text() for path in WORKFLOWS), re.MULTILINE):
        used = re.fullmatch(r" +(?:- )?uses: (?:\./\S*|(\S+)@([0-9a-f]{40} # v\d+\.\d+\.\d+))", line)
        assert used, line
        if used[1]:
            pins.setdefault(used[1], set()).add(used[2])
    assert len(pins) > 5
    assert [name for name, versions in pins.items() if len(versions) > 1] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_permission_that_a_job_does_not_ask_for(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        assert "uses" in job or job["timeout-minutes"] <= 60, name


def test_no_checkout_leaves_a_token_behind() -> None:
    checkouts = [each for each in STEPS.values() if each.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(each["with"]["persist-credentials"] is False for each in checkouts)


@pytest.mark.parametrize("name", [name for name, each in STEPS.items() if "run" in each])
def test_a_step_is_a_script_that_bash_can_read_and_that_holds_no_expression(name: str) -> None:
    script = STEPS[name]["run"]
    assert "${{" not in script
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_whatever_fails_before_a_pipe_fails_the_step() -> None:
    piping = {name.partition(".")[0] for name, each in STEPS.items() if re.search(r"[^|]\|[^|]", each.get("run", ""))}
    assert piping == {"canary", "release"}
    for name in piping:
        workflow = yaml.safe_load((GITHUB / f"workflows/{name}.yml").read_text())
        assert workflow["defaults"] == {"run": {"shell": "bash"}}


def nox_sessions() -> set[str]:
    """The names of noxfile.py's sessions, as `nox -l` has them."""
    names = set()
    for function in ast.walk(ast.parse((ROOT / "noxfile.py").read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for decorator in function.decorator_list:
            options = {each.arg: each.value for each in decorator.keywords} if isinstance(decorator, ast.Call) else {}
            pythons = ast.literal_eval(options["python"]) if "python" in options else []
            names |= {f"{function.name}-{each}" for each in pythons} or {function.name}
    return names


def test_ci_runs_sessions_that_there_are_and_the_unit_tests_on_each_python() -> None:
    job = JOBS["ci.nox"]
    matrix = set(job["strategy"]["matrix"]["session"])
    sessions = nox_sessions()
    units = {name for name in sessions if name.startswith("unit-")}
    assert units | {"lint", "tests", "kernels", "action", "browser"} <= matrix <= sessions
    [setup] = [each["with"] for each in job["steps"] if "actions/setup-python@" in each.get("uses", "")]
    assert {f"unit-{python}" for python in setup["python-version"].split()} == units


def test_what_the_steps_run_and_the_tags_of_the_trigger_are_there() -> None:
    for script in (each.get("run", "") for each in STEPS.values()):
        for path in re.findall(r"(?<![\w/$])(?:\.ci|\.github|requirements|tests|docs)/[\w./-]+", script):
            assert "node_modules" in path or (ROOT / path).exists(), path
    [tags] = re.findall(r'tags: \["(.*?)"\]', (GITHUB / "workflows/release.yml").read_text())
    pattern = tags.replace(".", r"\.").replace("*", ".*")  # GitHub's own, but for these
    matched = [tag for tag in ("v1", "v1.2", "v1.2.3", "v10.20.30rc1", "1.2.3") if re.fullmatch(pattern, tag)]
    assert matched == ["v1.2.3", "v10.20.30rc1"]


@pytest.mark.parametrize(("is_open", "said"), [("", "issue create"), ("17", "issue comment 17")])
def test_the_canary_opens_an_issue_and_comments_while_one_is_open(tmp_path: Path, is_open: str, said: str) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n[ "$1 $2" != "issue list" ] || echo "{is_open}"\n')
    gh.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUN": "https://x/runs/1"}
    script = step("canary.report", "Open an issue, or comment on the open one")
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=env, check=True)
    _, listed, last = (tmp_path / "said").read_text().split("\n", 2)
    assert listed.startswith("issue list --label canary --state open ")
    assert last.startswith(f"{said} ")
    assert "https://x/runs/1" in last


def pinned(path: Path) -> str | None:
    """What kind of versions a file pins, in Dependabot's words."""
    if path.name == "package-lock.json":
        return "npm"
    if path.name == "Dockerfile":
        return "docker"
    if path.suffix == ".txt" and "--hash=" in path.read_text():
        return "pip"
    return "github-actions" if path.suffix in (".yml", ".yaml") and "\njobs:\n" in path.read_text() else None


def test_dependabot_looks_wherever_a_version_is_pinned_and_lets_it_cool() -> None:
    looked = set()
    for update in yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]:
        assert update["cooldown"]["default-days"] >= 7
        for pattern in update.get("directories") or [update["directory"]]:
            # For actions the root means .github/workflows (docs.github.com, "Dependabot options reference").
            root = GITHUB / "workflows" if update["package-ecosystem"] == "github-actions" else ROOT
            directories = list(ROOT.glob(pattern.strip("/"))) if pattern != "/" else [root]
            assert directories, pattern
            looked |= {(update["package-ecosystem"], directory) for directory in directories}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [path for name in listed.splitlines() if (path := ROOT / name).is_file()]
    assert {(kind, path.parent) for path in files if (kind := pinned(path))} <= looked


def test_the_base_image_is_the_same_everywhere() -> None:
    files = ["Dockerfile", ".ci/docker/base-image", ".ci/docker/act-image"]
    tags = {tag for name in files for tag in re.findall(r"python:?(3\.\d+)", (ROOT / name).read_text())}
    assert len(tags) == 1


def test_the_tests_of_every_python_need_what_their_lock_has() -> None:
    """Those of nox -s unit are collected where nothing can be imported but what is locked for them."""
    locks = "".join((ROOT / f"requirements/{name}.txt").read_text() for name in ("unit", "image"))
    locked = {re.sub(r"[._]", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", locks, re.MULTILINE)}
    found = importlib.metadata.packages_distributions().items()
    foreign = [
        module for module, names in found if not {re.sub(r"[._]", "-", n).lower() for n in names} & {*locked, "clinder"}
    ]
    assert "jupyterhub" in foreign
    collect = (
        "import sys, pytest\n"
        "class Foreign:\n"
        "    def find_spec(name, *_):\n"
        "        if name.partition('.')[0] in sys.argv[1].split(): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Foreign)\n"
        "sys.exit(pytest.main(['-qq', '--collect-only', '-ppytest_timeout', '-pno:cacheprovider', *sys.argv[2:]]))"
    )
    unit = re.search(r'"-n", "auto", (".*")', (ROOT / "noxfile.py").read_text())
    assert unit
    words = [sys.executable, "-c", collect, " ".join(foreign), *re.findall('"(.*?)"', unit[1])]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
