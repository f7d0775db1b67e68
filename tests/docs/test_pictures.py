"""The script that makes the documentation's pictures works, and what it makes is what is there."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def words(picture: Path) -> str:
    """All text in a picture, with plain blanks."""
    return " ".join("".join(ElementTree.parse(picture).getroot().itertext()).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, PICTURES / "make.py", directory], check=True, timeout=120)
    return directory


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("terminal", ["$ clinder run local", "* building 0.", "launching "]),
        ("summary", ["A session on Binder", "Repository", "Commit", "https://hub.example.org/", "launching"]),
        ("life", ["BinderHub", "POST api/shutdown"]),
    ],
)
def test_the_pictures_show_a_real_run(made: Path, name: str, shows: list[str]) -> None:
    for picture in (made / f"{name}.svg", PICTURES / f"{name}.svg"):
        text = words(picture)
        assert [each for each in shows if each not in text] == []
        assert "token=" not in text


def test_the_life_of_a_session_is_drawn_as_it_is_written(made: Path) -> None:
    assert (made / "life.svg").read_bytes() == (PICTURES / "life.svg").read_bytes()
