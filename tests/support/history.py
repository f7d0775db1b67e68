"""Histories for tests: git makes them, one commit at a time or many at once."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.git import git
from tests.support.pairs import LINK


class Repository:
    """A repository that git keeps, and its checkout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self._prose = 0

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        return git(self.path, *words, stdin=stdin)

    def commit(self, files: Mapping[str, str | None] = {}) -> str:
        """Write files, delete those without a text, commit, and return the commit."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_bytes(text.encode())
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    def prose(self) -> str:
        self._prose += 1
        return self.commit({"index.md": f"Prose {self._prose}", f"pages/{self._prose}.md": "More"})

    def merge(self, branch: str, *words: str, files: Mapping[str, str | None] = {}) -> str:
        self.git("merge", "--quiet", "--no-ff", "--no-commit", *words, branch)
        return self.commit(files)

    def clone(self, name: str, *words: str) -> Path:
        self.git("config", "uploadpack.allowFilter", "true")
        path = self.path.parent / name
        self.git("clone", "--quiet", *words, self.path.as_uri(), str(path))
        return path


def imported(repo: Repository, trees: list[tuple[list[int], Mapping[str, str], int]]) -> list[str]:
    """Let git take over many commits at once: each the numbers of its parents, all its files, a date."""
    stream = []
    for number, (parents, files, date) in enumerate(trees, 1):
        stream += [f"commit refs/heads/n{number}", f"mark :{number}", f"committer me <me@example.org> {date} +0000"]
        stream += [f"data {len(str(number))}", str(number)]  # no two commits are the same
        stream += [f"{'merge' if n else 'from'} :{parent + 1}" for n, parent in enumerate(parents)] + ["deleteall"]
        for name, text in files.items():
            mode, text = ("120000", text.removeprefix(LINK)) if text.startswith(LINK) else ("100644", text)
            stream += [f"M {mode} inline {name}", f"data {len(text.encode())}", text]
        stream.append("")
    repo.git("fast-import", "--quiet", "--force", stdin="\n".join(["feature done", *stream, "done", ""]).encode())
    names = [f"refs/heads/n{number}" for number in range(1, len(trees) + 1)]
    return repo.git("rev-parse", *names).split()
