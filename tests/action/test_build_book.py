"""What the reusable workflow of cookbooks reads in a cookbook, with its own lines and without a container."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.runner import ROOT, parse_file

BUILD_BOOK = ROOT / "examples" / "cookbook-actions" / ".github" / "workflows" / "build-book.yaml"
PYTHIA = "https://binder.projectpythia.org/"

MYST = """\
project:
  tags:
    - cookbook:build-on-binder
  jupyter:
    binder:
      url: https://hub.example.org/
"""
LEGACY = """\
execute:
  execute_notebooks: binder # as it was
sphinx:
  config:
    html_theme_options:
      launch_buttons:
        binderhub_url: https://hub.example.org/ # the hub
"""


def asked(book: Path, files: dict[str, str]) -> dict[str, str]:
    """Return the outputs of the step that reads what a cookbook asks for."""
    for name, text in files.items():
        (book / name).write_text(text)
    steps = yaml.safe_load(BUILD_BOOK.read_text())["jobs"]["build"]["steps"]
    [step] = [step for step in steps if step.get("id") == "asked"]
    output = book / "output"
    env = {**os.environ, **step["env"], "BOOK": str(book), "GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], env=env, check=True, timeout=30)
    return parse_file(output.read_text())


@pytest.mark.parametrize(
    ("files", "remote", "legacy", "hub"),
    [
        ({"myst.yml": MYST}, "true", "false", ""),
        ({"myst.yml": MYST, "_config.yml": LEGACY}, "true", "false", ""),
        ({"myst.yml": "project: {tags: [a, 'cookbook:build-on-binder']}\n"}, "true", "false", PYTHIA),
        ({"myst.yml": MYST.replace("- cookbook", "# - cookbook")}, "false", "false", ""),
        ({"myst.yml": "project: {}\n", "_config.yml": LEGACY}, "false", "false", PYTHIA),
        ({"_config.yml": LEGACY}, "true", "true", "https://hub.example.org/"),
        ({"_config.yml": LEGACY.replace("binder #", "'binder' #")}, "true", "true", "https://hub.example.org/"),
        (
            {"_config.yml": LEGACY.replace("https://hub.example.org/", '"https://a.org"')},
            "true",
            "true",
            "https://a.org",
        ),
        ({"_config.yml": "execute: {}\n"}, "false", "true", PYTHIA),
        ({"_config.yml": LEGACY.replace(": binder", ": force")}, "false", "true", "https://hub.example.org/"),
        ({}, "false", "false", ""),
    ],
)
def test_what_a_cookbook_asks_for(tmp_path: Path, files: dict[str, str], remote: str, legacy: str, hub: str) -> None:
    assert asked(tmp_path, files) == {"remote": remote, "legacy": legacy, "hub": hub}
