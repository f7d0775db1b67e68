"""Commit a release of the Action to a clone of its repository: `release_action.py v1.2.3 IMAGE@sha256:... CLONE`.

Prints what is to be pushed, one refspec a line. The commit has three files, all that a runner needs: action.yml with
the image by its digest, a README, and the licence.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = "\n  image: Dockerfile\n"
BOT = "github-actions[bot]"
ME = ["-c", f"user.name={BOT}", "-c", f"user.email=41898282+{BOT}@users.noreply.github.com"]


def released(metadata: str, image: str) -> str:
    """Return action.yml with an image that is pulled, where each job would have built one."""
    if not re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}", image):
        sys.exit(f"{image} is no image by its digest")
    if metadata.count(BUILT) != 1:
        sys.exit("action.yml does not say `image: Dockerfile`, once")
    return metadata.replace(BUILT, f"\n  image: docker://{image}\n")


def refspecs(tag: str, existing: list[str]) -> list[str]:
    """Return what a release sets: its tag for good, and main, v1 and v1.2 where none of theirs is newer."""

    def numbers(name: str) -> list[int]:
        return [int(part) for part in name[1:].split(".")]

    if tag in existing:
        sys.exit(f"{tag} was released already")
    wanted = [f"HEAD:refs/tags/{tag}"]
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        return wanted  # who uses v1 did not ask for a release candidate
    finals = [numbers(name) for name in existing if re.fullmatch(r"v\d+\.\d+\.\d+", name)]
    major, minor, _ = own = numbers(tag)
    for length, ref in enumerate(("heads/main", f"tags/v{major}", f"tags/v{major}.{minor}")):
        if all(other < own for other in finals if other[:length] == own[:length]):
            wanted.append(f"{'' if length == 0 else '+'}HEAD:refs/{ref}")
    return wanted


def main(tag: str, image: str, clone: str) -> None:
    """Make the commit."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True, text=True).stdout  # noqa: S607

    wanted = refspecs(tag, git("tag", "--list").split())
    readme = (ROOT / ".github/scripts/action-readme.md").read_text().replace("TAG", tag).replace("IMAGE", image)
    (Path(clone) / "action.yml").write_text(released((ROOT / "action.yml").read_text(), image))
    (Path(clone) / "README.md").write_text(readme)
    (Path(clone) / "LICENSE").write_text((ROOT / "LICENSE").read_text())
    git("add", "--all")
    git(*ME, "commit", "--quiet", "--message", tag)
    sys.stdout.write("".join(f"{each}\n" for each in wanted))


if __name__ == "__main__":
    main(*sys.argv[1:])
