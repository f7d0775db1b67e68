"""The git checkout around a directory: its commit, its remote, its history. Reads files; git need not be installed.

For a checkout that is damaged, or newer than it knows, dulwich raises whatever its parsers stumble over (AssertionError
and struct.error among them). That is no reason to end a launch, so here any exception means: this can't be read.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from dulwich.config import apply_instead_of
from dulwich.objects import Commit, ObjectID, valid_hexsha
from dulwich.refs import Ref
from dulwich.repo import Repo

from clinder.errors import UsageError
from clinder.spec import RepoSpec
from clinder.target.target import Found, over_https, without_password
from clinder.text import strip_ansi

_CLOCKS_DIFFER = 24 * 60 * 60  # seconds; a commit is no older than its parents but for that


class Checkout:
    """A git repository on this machine, and what is checked out of it."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo

    @classmethod
    def around(cls, directory: Path) -> "Checkout | None":
        """Return the checkout that a directory is in; None if there is none that can be read."""
        try:
            return cls(Repo.discover(directory))
        except Exception:  # noqa: BLE001
            return None

    def close(self) -> None:
        """Close its files."""
        self.repo.close()

    def found(self) -> Found | None:
        """Return the repository at its remote and the commit; None when a hub could fetch neither."""
        commit = self._commit()
        for name, spec in self._repositories():
            if commit:
                return Found(spec.at(commit.decode()), f"the git checkout, remote {name}", from_checkout=True)
        return None

    def why_not(self) -> str:
        """Say why nothing was found."""
        if self._commit() is None:
            return f"the git checkout {self.repo.path} has no commit that can be read"
        remotes = ", ".join(strip_ansi(f"{name}: {without_password(url)}") for name, url in self._remotes())
        return f"the git checkout {self.repo.path} has no remote that a hub could reach" + (remotes and f" ({remotes})")

    def is_pushed(self, revision: str) -> bool:
        """Tell whether a commit is on a branch of the remote that was found, as last seen here, or in a tag.

        True as well where the history here does not tell: nothing is known then that a person should be warned of.
        """
        repositories = list(self._repositories())
        same = [f"refs/remotes/{name}/".encode() for name, spec in repositories if spec == repositories[0][1]]
        with suppress(Exception):
            tips = []
            for ref in self.repo.refs.allkeys():
                if ref.startswith((b"refs/tags/", *same)):
                    with suppress(KeyError):  # origin/HEAD may name a branch that is gone
                        tips.append(self.repo.get_peeled(ref))
            return self._is_in(tips, ObjectID(revision.encode())) is not False
        return True

    def contains(self, tip: ObjectID, commit: ObjectID) -> bool:
        """Tell whether commit is tip or one of its ancestors, as far as the history is here."""
        return self._is_in([tip], commit) is True

    def resolve(self, revision: str) -> ObjectID | None:
        """Return the commit of a full id or ref; None if it is not here."""
        name = revision.encode()
        try:
            return self.repo.refs[Ref(name)] if name.startswith(b"refs/") else self.repo[name].id
        except (KeyError, ValueError):
            return None

    def _is_in(self, tips: Iterable[ObjectID], commit: ObjectID) -> bool | None:
        """Tell whether commit is one of tips or their ancestors; None if the history here ends before that is known."""
        todo, seen, known = set(tips), set[ObjectID](), True
        with suppress(KeyError):
            oldest = getattr(self.repo[commit], "commit_time", 0) - _CLOCKS_DIFFER
            while todo and commit not in todo:
                seen |= todo
                parents = set[ObjectID]()
                for tip in todo:
                    try:
                        after = self.repo[tip]
                    except KeyError:
                        known = False
                    else:
                        if isinstance(after, Commit) and after.commit_time >= oldest:  # a tag may be of no commit
                            parents.update(after.parents)
                todo = parents - seen
            return True if todo else False if known else None
        return None

    def _commit(self) -> ObjectID | None:
        try:
            commit = self.repo.head()
        except Exception:  # noqa: BLE001
            return None
        return commit if valid_hexsha(commit) else None

    def _repositories(self) -> Iterator[tuple[str, RepoSpec]]:
        """Yield the remotes' names and what a hub would fetch from them, for those of which it could."""
        for name, url in self._remotes():
            if spec := _reachable(url):
                yield name, spec

    def _remotes(self) -> Iterator[tuple[str, str]]:
        """Yield the remotes' names and URLs, the one first that the branch follows, then origin."""
        own = self.repo.get_config()
        names = [section[1] for section in own.sections() if len(section) == 2 and section[0] == b"remote"]
        followed = b""
        with suppress(Exception):
            branch = self.repo.refs.follow(Ref(b"HEAD"))[0][-1]
            followed = own.get((b"branch", branch.removeprefix(b"refs/heads/")), b"remote")
        for name in sorted(names, key=lambda name: (name != followed, name != b"origin")):
            with suppress(KeyError):
                url = next(own.get_multivar((b"remote", name), b"url"))  # git fetches from the first
                yield name.decode("utf-8", "replace"), self._rewritten(url.decode("utf-8", "replace"))

    def _rewritten(self, url: str) -> str:
        """Return a URL as the person's own configuration of git, if that can be read, has it replaced."""
        with suppress(Exception):
            return apply_instead_of(self.repo.get_config_stack(), url)
        return url


def _reachable(url: str) -> RepoSpec | None:
    """Return the spec of a remote's URL; None for one on this machine, or of a host that only its user's ssh knows."""
    url = over_https(url)
    if not re.match(r"(https?|git)://", url, re.IGNORECASE):
        return None
    try:
        spec = RepoSpec.parse(url)
    except UsageError:
        return None
    if spec.provider == "git" and "." not in (urlsplit(spec.repo).hostname or ""):
        return None
    return spec
