"""Print the changelog's notes for a tag, or refuse the tag: `changelog.py v1.2.3`.

What is released has one version: the tag's, the code's and the changelog's. This is where it is checked.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAG = r"v\d+\.\d+\.\d+((a|b|rc)\d+)?"


def notes(tag: str, code: str, changelog: str) -> str:
    """Return the notes as GitHub shows them; SystemExit says why there are none."""
    if not re.fullmatch(TAG, tag):
        sys.exit(f"{tag} is no tag of a release: v1.2.3, or v1.2.3rc1")
    if f'__version__ = "{tag[1:]}"\n' not in code:
        sys.exit(f"{tag} is not the version in clinder/__init__.py")
    _, *sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    written = {heading: body.strip() for heading, _, body in (section.partition("\n") for section in sections)}
    if written.pop("Unreleased", ""):
        sys.exit("CHANGELOG.md has notes under Unreleased: they belong to a version now")
    heading = next(iter(written), "")
    if not re.fullmatch(rf"{re.escape(tag[1:])} - \d{{4}}-\d\d-\d\d", heading):
        sys.exit(f"the newest version in CHANGELOG.md is not `## {tag[1:]} - <date>`, but `## {heading}`")
    if not written[heading]:
        sys.exit(f"CHANGELOG.md says nothing about {tag[1:]}")
    # The notes of a release break their lines where the text does: an entry has to be one line.
    return re.sub(r"(?<=\S)\n +(?![-* ])", " ", written[heading])


if __name__ == "__main__":
    said = notes(sys.argv[1], (ROOT / "clinder/__init__.py").read_text(), (ROOT / "CHANGELOG.md").read_text())
    sys.stdout.write(f"{said}\n")
