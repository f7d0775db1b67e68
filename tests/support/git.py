"""Real repositories for tests: git makes them, and clinder reads them without it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.runner import ROOT

URL = "https://github.com/org/repo"


def copy_this_tree(target: Path) -> Path:
    """Copy this working tree, without what git ignores, into a directory; return that."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():  # and not deleted
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


class Git:
    """git in one directory, where nothing of the person's own configuration counts."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
            monkeypatch.delenv(name)
        who = {f"GIT_{role}_{item}": "a@b" for role in ("AUTHOR", "COMMITTER") for item in ("NAME", "EMAIL")}
        for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **who}.items():
            monkeypatch.setenv(name, value)
        (home / ".gitconfig").write_text('[init]\n defaultBranch = main\n[protocol "file"]\n allow = always\n')
        self.seconds = 1_700_000_000
        self.path = home / "checkout"
        self.path.mkdir()
        self("init", "-q")

    def __call__(self, *words: str, cwd: Path | None = None) -> str:
        date = f"{self.seconds} +0000"
        env = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        return subprocess.run(
            ["git", *words], cwd=cwd or self.path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, *, seconds: int = 60) -> str:
        self.seconds += seconds
        self("commit", "-q", "--allow-empty", "-m", "x")
        return self.head

    def pushed(self, revision: str = "HEAD", branch: str = "origin/main") -> None:
        self("update-ref", f"refs/remotes/{branch}", revision)

    def move_to_clone(self, *words: str) -> None:
        """Go on in a clone, which is as if it were one of the repository at URL."""
        self("clone", "-q", *words, self.path.as_uri(), "../clone")
        self.path = self.path.parent / "clone"
        self("remote", "set-url", "origin", URL)

    @property
    def head(self) -> str:
        return self("rev-parse", "HEAD")


_ME = {f"GIT_{role}_{item}": "me@example.org" for role in ("AUTHOR", "COMMITTER") for item in ("NAME", "EMAIL")}
_NOBODYS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
_ENV = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ME | _NOBODYS


def git(directory: Path, *words: str, stdin: bytes | None = None) -> str:
    """Run git as nobody in particular; return what it prints."""
    done = subprocess.run(["git", *words], cwd=directory, env=_ENV, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def commit_all(directory: Path) -> str:
    """Commit everything; return the commit."""
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", "x")
    return git(directory, "rev-parse", "HEAD")


def commits(directory: Path) -> tuple[str, str]:
    """Make a repository with two commits, of the environment and of prose; return both."""
    git(directory, "init", "--quiet")
    made = []
    for name in ("requirements.txt", "prose.md"):
        (directory / name).write_text("numpy\n")
        git(directory, "add", name)
        git(directory, "commit", "--quiet", "--message", name)
        made.append(git(directory, "rev-parse", "HEAD"))
    return made[0], made[1]
