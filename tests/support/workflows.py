"""The workflows of this repository, by their jobs."""

from __future__ import annotations

import yaml

from tests.support.runner import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


JOBS = {
    f"{path.stem}.{name}": job for path in WORKFLOWS for name, job in yaml.safe_load(path.read_text())["jobs"].items()
}


def step(job: str, name: str) -> str:
    """What a named step runs."""
    [found] = [each["run"] for each in JOBS[job]["steps"] if each.get("name") == name]
    return str(found)
