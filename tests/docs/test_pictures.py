"""The script that makes the documentation's pictures works, and what it makes is what is there."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def words(picture: Path) -> str:
    """All text in a picture, with plain blanks."""
    texts = ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return " ".join(" ".join(each.text or "" for each in texts).split())


def without_figures(text: str) -> str:
    """A text in which times, ports and ids are all the same: they are others in each run."""
    return re.sub(r"N m?s\b", "N s", re.sub(r"\S*\d\S*", "N", text))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, PICTURES / "make.py", directory], check=True, timeout=120)
    return directory


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("terminal", ["$ clinder run local -- \\", "* building 0.", "* ready ", "was stopped", "launched by: local"]),
        ("summary", ["A session on Binder", "Repository", "Commit", "https://hub.example.org/", "launching"]),
        ("life", ["BinderHub", "POST api/shutdown"]),
    ],
)
def test_a_picture_shows_what_is_said_today(made: Path, name: str, shows: list[str]) -> None:
    new, old = (words(directory / f"{name}.svg") for directory in (made, PICTURES))
    assert [each for each in shows if each not in old] == []
    assert without_figures(new) == without_figures(old), "run docs/pictures/make.py"
    assert "token=" not in new + old


def test_the_life_of_a_session_is_drawn_as_it_is_written(made: Path) -> None:
    assert (made / "life.svg").read_bytes() == (PICTURES / "life.svg").read_bytes()
