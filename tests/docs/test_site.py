"""The documentation is a site: MyST builds it strictly, its cells run on a session, and nothing in it leads nowhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Clinder
from tests.support.myst import myst_executable, outputs
from tests.support.runner import ROOT

from .blocks import pages, sections
from .site import page, printed

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as its configuration says."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, directory / "docs", ignore=shutil.ignore_patterns("_build"))
    clinder = Clinder(directory)
    build = [myst_executable(), "build", "--site", "--strict", "--execute"]
    done = clinder("run", "local", "--", *build, cwd=directory / "docs", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Starting WebSocket" in done.stdout  # to the session: without one, MyST starts a server of its own
    assert not re.search(r"⚠.* \S+\.(md|yml)", done.stdout + done.stderr)
    return directory / "docs"


def test_the_cells_ran_on_a_session_and_their_outputs_are_in_the_pages(site: Path) -> None:
    shown = "".join(printed(site))
    for words in (
        "waiting fetching building pushing built launching ready\n",
        "launched by: local\n",
        "42 local\n",
        "43\n",
        "ZeroDivisionError: division by zero\n",
        "HubUnavailable 3\n",
    ):
        assert words in shown
    assert "stopped now: True\nstopped again: False\n" in shown
    assert "token" not in shown


def test_the_live_page_says_where_it_ran(site: Path) -> None:
    shown = "".join(output["text"] for output in outputs(page(site, "live")))
    for line in ("launched by: local", "the request: v2/git/.*", "host: .+", r"Python: 3\.\d+\.\d+", "at: .+ UTC"):
        assert re.search(f"^{line}$", shown, re.MULTILINE), line


def test_the_diagram_is_one(site: Path) -> None:
    assert '"type":"mermaid"' in str(page(site, "life-of-a-session")).replace("'", '"').replace(": ", ":")


def test_the_addresses_of_the_entries_of_troubleshooting_are_there(site: Path) -> None:
    ids = set(re.findall(r'"html_id":"([^"]+)"', json.dumps(page(site, "troubleshooting"), separators=(",", ":"))))
    there = sections((ROOT / "docs/troubleshooting.md").read_text())
    assert {*there} - {"troubleshooting"} <= ids  # the title is no heading of the page


def test_every_page_is_in_the_table_of_contents() -> None:
    listed: list[Path] = []

    def walk(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            if "file" in entry:
                listed.append(DOCS / entry["file"])
            elif "pattern" in entry:
                found = re.fullmatch(r"(.*)\{(.*)\}(.*)", entry["pattern"])
                assert found
                listed.extend(file for each in found[2].split(",") for file in DOCS.glob(found[1] + each + found[3]))
            walk(entry.get("children", []))

    walk(yaml.safe_load((DOCS / "myst.yml").read_text())["project"]["toc"])
    assert sorted(listed) == sorted(DOCS.glob("**/*.md"))


def test_the_website_is_the_same_with_a_theme(tmp_path: Path) -> None:
    published = yaml.safe_load((DOCS / "published.yml").read_text())
    assert published["extends"] == "myst.yml"
    assert published["site"]["template"] == "book-theme"
    # That theme is on the network. Any other shows whether the rest is taken from where it is.
    shutil.copytree(DOCS, tmp_path, ignore=shutil.ignore_patterns("_build"), dirs_exist_ok=True)
    published["site"]["template"] = "./template.yml"
    (tmp_path / "published.yml").write_text(yaml.safe_dump(published))
    done = subprocess.run(
        [myst_executable(), "--config", "published.yml", "build", "--site", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert page(tmp_path, "comparison")["frontmatter"]["title"] == "Comparison"


def test_links_into_the_repository_lead_to_a_file_of_it() -> None:
    links = [
        (file, *found)
        for file in pages()
        for found in re.findall(r"https://github\.com/org/clinder/(blob|tree)/main/([^\s)#]+)", file.read_text())
    ]
    assert len(links) > 10
    for file, kind, target in links:
        goal = ROOT / target
        assert goal.is_file() if kind == "blob" else goal.is_dir(), f"{file}: {target}"


def test_a_promise_names_tests_that_there_are() -> None:
    text = (DOCS / "explanation" / "promises.md").read_text()
    named = re.findall(r"\[([\w/]+\.py)\]\([^)]*\): `(test_\w+)`", text)
    assert len(named) >= 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
