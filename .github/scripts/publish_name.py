"""Say who owns clinder on GitHub, everywhere: `publish_name.py NAME`. Then look at `git diff`, and commit.

The file .github/owner has the present name. It is replaced in the tracked files where it owns clinder or the Action
(`NAME/clinder`, `NAME/clinder-action`, on github.com, ghcr.io or alone, and `NAME.github.io/clinder`) or stands by
itself in backquotes. What has the same name for another reason, such as the repositories of examples and tests, stays.
"""

import re
import subprocess
import sys
from pathlib import Path

OWNER = Path(".github/owner")


def renamed(text: str, old: str, new: str) -> str:
    """Return the text with the new owner. Names of images and sites are in lower case, whatever the owner's is."""
    text = re.sub(rf"(?<=//){old}(?=\.github\.io/clinder\b)", new.lower(), text, flags=re.IGNORECASE)
    text = re.sub(rf"(ghcr\.io/){old}(?=/clinder\b)", rf"\g<1>{new.lower()}", text, flags=re.IGNORECASE)
    text = re.sub(rf"(\bact-){old}(?=-clinder-action\b)", rf"\g<1>{new.lower()}", text, flags=re.IGNORECASE)
    return re.sub(rf"(?<!ghcr\.io/)(?<![\w.-]){old}(?=/clinder(-action)?(?![\w-]))|(?<=`){old}(?=`)", new, text)


def main(new: str) -> None:
    """Rename, in the checkout that this file is in."""
    root = Path(__file__).resolve().parents[2]
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", new):
        sys.exit(f"{new} is no name of a user or organization on GitHub")
    old = (root / OWNER).read_text().strip()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True)  # noqa: S607
    for path in (root / name for name in listed.stdout.split("\0") if name):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            changed = renamed(content.decode("latin-1"), old, new).encode("latin-1")  # any bytes survive
            if changed != content:
                path.write_bytes(changed)
    (root / OWNER).write_text(f"{new}\n")


if __name__ == "__main__":
    main(sys.argv[1])
