"""Read the git checkout around a directory: its commit, its remotes, its history. git need not be installed.

This module reads git's files, and knows which remotes a hub could reach; no CI, no myst.yml, no environment. For a
checkout that is damaged or has a newer format, dulwich raises errors of many kinds (also AssertionError and
struct.error). They must not end a launch. So here any exception means that something can't be read.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from dulwich.config import ConfigFile, StackedConfig, apply_instead_of
from dulwich.objects import Commit, ObjectID, valid_hexsha
from dulwich.refs import Ref
from dulwich.repo import Repo

from clinder.errors import UsageError
from clinder.giturl import remove_login, to_https
from clinder.spec import RepoSpec, same_repository
from clinder.target.files import read_file
from clinder.target.objects import BoundedStore
from clinder.text import strip_ansi

_CLOCKS_DIFFER = 24 * 60 * 60  # seconds by which a commit may seem to be older than its parents
_SECONDS = 3.0  # to look for a commit in a history; ten thousand commits take about one second
_MAX_CONFIG = 256 * 1024  # bytes of a file of git's configuration
_MAX_REMOTES = 20  # the most remotes that are considered
_MAX_REFS = 64 * 1024 * 1024  # bytes of packed-refs; each ref takes about sixty


class _BoundedRepo(Repo):
    """A repository of dulwich that reads only regular files of a limited size in .git."""

    def get_config(self) -> ConfigFile:
        """Return .git/config, without included files that are not regular or too large. Raises OSError."""
        for directory in {self.controldir(), self.commondir()}:
            for name in ("HEAD", "packed-refs", "shallow", "objects/info/alternates"):
                with suppress(FileNotFoundError):
                    status = os.stat(os.path.join(directory, name))  # noqa: PTH116, PTH118
                    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_REFS:
                        raise OSError(f"{name} is no file of git's")
            _check_regular(os.path.join(directory, "refs"), _MAX_CONFIG)  # noqa: PTH118
            _check_regular(os.path.join(directory, "objects"), float("inf"))  # noqa: PTH118
        return self._read_config("config")

    def get_worktree_config(self) -> ConfigFile:
        """Return .git/config.worktree. Raises OSError."""
        return self._read_config("config.worktree")

    def get_named_file(self, path: str | bytes, basedir: str | None = None) -> BytesIO | None:
        """Return a file in .git, for example the one with the commits where a shallow history ends."""
        try:
            return BytesIO(read_file(Path(basedir or self.controldir(), os.fsdecode(path)), _MAX_REFS))
        except FileNotFoundError:
            return None

    def _read_config(self, name: str) -> ConfigFile:
        try:
            return ConfigFile.from_path(
                Path(self.commondir(), name), file_opener=lambda path: BytesIO(read_file(os.fspath(path), _MAX_CONFIG))
            )
        except FileNotFoundError:
            return ConfigFile()


def _check_regular(directory: str, limit: float) -> None:
    """Raise OSError if a folder in .git contains something else than folders and files of at most ``limit`` bytes.

    Without this check, dulwich would wait for the writer of a FIFO.
    """
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _check_regular(entry.path, limit)
            elif not entry.is_file() or (limit < float("inf") and entry.stat().st_size > limit):
                raise OSError(f"{entry.name[:100]} is no file of git's")


class RemoteCommit(NamedTuple):
    """The commit that is checked out, as a spec of a remote's repository, and the name of the remote."""

    spec: RepoSpec
    remote: str


class Checkout:
    """A git repository on this machine, and its checked out commit."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        repo.object_store = BoundedStore(repo.object_store.path, object_format=repo.object_store.object_format)

    @classmethod
    def around(cls, directory: Path) -> "Checkout | None":
        """Return the checkout that contains a directory; None if there is none that can be read."""
        try:
            return cls(_BoundedRepo.discover(directory))
        except Exception:  # noqa: BLE001
            return None

    def close(self) -> None:
        """Close its files."""
        self.repo.close()

    def remote_commit(self) -> RemoteCommit | None:
        """Return the commit at the first remote that a hub could reach; None without a commit or such a remote."""
        commit = self._commit()
        for name, spec in self._repositories():
            if commit:
                return RemoteCommit(spec.at(commit.decode()), name)
        return None

    def spelling_of(self, spec: RepoSpec) -> RepoSpec | None:
        """Return the spec of the remote that is the same repository, with its spelling; None if there is none."""
        return next((found for _, found in self._repositories() if same_repository(found, spec)), None)

    def ref_in(self, spec: RepoSpec) -> str:
        """Return the spec's ref without a folder behind it (``/tree/main/docs``), if the checkout has the ref."""
        remotes = [name for name, found in self._repositories() if same_repository(found, spec)]
        words = spec.ref.split("/")
        for count in range(len(words), 0, -1):
            ref = "/".join(words[:count])
            if any(self.resolve(f"refs/{place}/{ref}") for place in ("tags", *(f"remotes/{name}" for name in remotes))):
                return ref
        return spec.ref

    def why_not(self) -> str:
        """Return a clause that says why remote_commit() found nothing."""
        if self._commit() is None:
            return f"the git checkout {self.repo.path} has no commit that can be read"
        remotes = ", ".join(strip_ansi(f"{name}: {remove_login(url)}") for name, url in self._remotes())
        return f"the git checkout {self.repo.path} has no remote that a hub could reach" + (remotes and f" ({remotes})")

    def is_pushed(self, revision: str) -> bool:
        """Tell whether a commit is on a branch of the remote, as last fetched, or in a tag.

        Return True also if that is not known, because the history is too short or too long: it is no reason to warn.
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

    def has_in(self, revisions: Iterable[str], commit: str) -> bool:
        """Tell whether a commit is one of the revisions or their ancestors. Return False if that is not known."""
        with suppress(Exception):
            tips = [tip for tip in map(self.resolve, revisions) if tip]
            return self._is_in(tips, ObjectID(commit.encode())) is True
        return False

    def resolve(self, revision: str) -> ObjectID | None:
        """Return the commit of a full id or a ref; None if the checkout does not have it, or it can't be read."""
        with suppress(Exception):
            name = revision.encode()
            return self.repo.refs[Ref(name)] if name.startswith(b"refs/") else self.repo[name].id
        return None

    def _is_in(self, tips: Iterable[ObjectID], commit: ObjectID) -> bool | None:
        """Tell whether a commit is one of the tips or their ancestors; None if the history is too short or too long."""
        todo, seen, known, end = set(tips), set[ObjectID](), True, monotonic() + _SECONDS
        with suppress(KeyError):
            oldest = getattr(self.repo[commit], "commit_time", 0) - _CLOCKS_DIFFER
            while todo and commit not in todo:
                if monotonic() >= end:
                    return None
                seen |= todo
                parents = set[ObjectID]()
                for tip in todo:
                    try:
                        after = self.repo[tip]
                    except KeyError:
                        known = False
                    else:
                        if isinstance(after, Commit) and after.commit_time >= oldest:  # a tag's object may be no commit
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
        """Yield the names of the remotes that a hub could reach, and their specs."""
        for name, url in self._remotes():
            if spec := _reachable(url):
                yield name, spec

    def _remotes(self) -> Iterator[tuple[str, str]]:
        """Yield the names and URLs of the remotes: first the branch's upstream, then origin, then the others."""
        own = self._config
        names = [section[1] for section in own.sections() if len(section) == 2 and section[0] == b"remote"]
        followed = b""
        with suppress(Exception):
            branch = self.repo.refs.follow(Ref(b"HEAD"))[0][-1]
            followed = own.get((b"branch", branch.removeprefix(b"refs/heads/")), b"remote")
        for name in sorted(names, key=lambda name: (name != followed, name != b"origin"))[:_MAX_REMOTES]:
            with suppress(KeyError, StopIteration):  # a remote may have other settings, but no URL
                url = next(own.get_multivar((b"remote", name), b"url"))  # git fetches from the first
                yield name.decode("utf-8", "replace"), self._rewritten(url.decode("utf-8", "replace"))

    def _rewritten(self, url: str) -> str:
        """Return a URL with the replacements (``insteadOf``) of the user's git configuration, if it can be read."""
        with suppress(Exception):
            return apply_instead_of(self._whole_config, url)
        return url

    @cached_property
    def _config(self) -> ConfigFile:
        return self.repo.get_config()

    @cached_property
    def _whole_config(self) -> StackedConfig:
        """Return the configuration with those of the user and the machine. Raises any exception of dulwich."""
        return self.repo.get_config_stack()


def _reachable(url: str) -> RepoSpec | None:
    """Return the spec of a remote's URL; None for a URL on this machine or with a host name from ssh's config."""
    url = to_https(url)
    if not re.match(r"(https?|git)://", url, re.IGNORECASE):
        return None
    try:
        spec = RepoSpec.parse(url)
    except UsageError:
        return None
    if spec.provider == "git" and "." not in (urlsplit(spec.repo).hostname or ""):
        return None
    return spec
