"""What goes to PyPI: built as release.yml builds it, installed into an empty environment, and run."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from clinder import __version__
from tests.support.git import copy_this_tree
from tests.support.hub import TOKEN, FaultyHub
from tests.support.runner import ROOT
from tests.support.workflows import JOBS

pytestmark = pytest.mark.timeout(660)  # pip downloads


def environment(directory: Path) -> Path:
    """Make an empty virtual environment; return its programs."""
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    return directory / "bin"


def run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made of it, by the commands of release.yml, on a copy of the files that they need."""
    source = copy_this_tree(tmp_path_factory.mktemp("source"))
    programs = environment(tmp_path_factory.mktemp("build"))
    commands = [
        step["run"] for step in JOBS["release.build"]["steps"] if step.get("run", "").startswith(("pip", "python -m"))
    ]
    assert [command.split()[0] for command in commands] == ["pip", "python"]
    for command in commands:
        run(programs / command.split()[0], *command.split()[1:], cwd=source)
    sdist, wheel = sorted((source / "dist").iterdir(), key=lambda path: path.suffix)
    assert (sdist.name, wheel.name) == (f"clinder-{__version__}.tar.gz", f"clinder-{__version__}-py3-none-any.whl")
    again = tmp_path_factory.mktemp("again")
    run(programs / "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", again, sdist)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
    return sdist, wheel


def test_the_files_hold_the_package_and_its_licence_and_nothing_else_of_this_tree(dist: tuple[Path, Path]) -> None:
    modules = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "clinder").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    with zipfile.ZipFile(dist[1]) as wheel:
        names = set(wheel.namelist())
        info = f"clinder-{__version__}.dist-info"
        metadata = wheel.read(f"{info}/METADATA").decode()
    assert "clinder/py.typed" in modules
    page = f"clinder-{__version__}.data/data/share/man/man1/clinder.1"
    assert names == modules | {page} | {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert f"\nVersion: {__version__}\n" in metadata
    page = metadata.partition("\n\n")[2]
    links = set(re.findall(r"\]\(([^)]+)\)", page))
    assert all(link.startswith("https://") for link in links)  # on PyPI's page a relative link leads nowhere
    assert f"https://github.com/org/clinder/blob/v{__version__}/docs/index.md" in links
    assert f"https://raw.githubusercontent.com/org/clinder/v{__version__}/docs/pictures/terminal.svg" in links
    with tarfile.open(dist[0]) as sdist:
        top = {Path(name).parts[1] for name in sdist.getnames()}
    assert top <= {
        "clinder",
        "docs",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pyproject.toml",
        "PKG-INFO",
        ".gitignore",
    }


def test_the_wheel_installs_into_an_empty_environment_and_runs(dist: tuple[Path, Path], tmp_path: Path) -> None:
    programs = environment(tmp_path / "empty")
    run(programs / "pip", "install", "-q", dist[1])
    clinder = programs / "clinder"
    assert run(clinder, "--version", cwd=tmp_path) == f"clinder {__version__}\n"
    assert run(clinder, "--help", cwd=tmp_path).startswith("usage: clinder ")
    with FaultyHub() as hub:
        uri = run(clinder, "start", hub.url, "--repo", "org/repo", cwd=tmp_path)
        assert uri == f"{hub.session_url}?token={TOKEN}\n"
        run(clinder, "stop", uri.strip(), cwd=tmp_path)
        assert (hub.launched, hub.stopped) == (1, 1)
