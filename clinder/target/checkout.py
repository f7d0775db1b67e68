"""The git checkout around a directory: its commit, its remotes, its history. Reads files; git need not be installed.

It knows git's files and which remotes a hub could reach; no CI, no myst.yml, no environment. For a checkout that is
damaged, or newer than it knows, dulwich raises whatever its parsers stumble over (AssertionError and struct.error among
them). That is no reason to end a launch, so here any exception means: this can't be read.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
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
from clinder.text import strip_ansi

_CLOCKS_DIFFER = 24 * 60 * 60  # seconds; a commit is no older than its parents but for that
_MAX_CONFIG = 256 * 1024  # bytes of a file of git's configuration
_MAX_REMOTES = 20  # that are looked at
_MAX_REFS = 64 * 1024 * 1024  # bytes of packed-refs, of which each ref takes some sixty
_MAX_OBJECT = 32 * 1024 * 1024  # bytes of a commit, a tree or a file that is looked into


class _BoundedRepo(Repo):
    """dulwich's repository, whose own files are regular and small when they are read."""

    def get_config(self) -> ConfigFile:
        """Return .git/config; what includes name that is no such file is passed over. Raises OSError."""
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
        """Return .git/config.worktree in the same way."""
        return self._read_config("config.worktree")

    def get_named_file(self, path: str | bytes, basedir: str | None = None) -> BytesIO | None:
        """Return a file of .git, as of the commits where a shallow history ends."""
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
    """Raise OSError if a folder of git's holds anything but folders and files of at most ``limit`` bytes.

    dulwich would wait for the writer of a FIFO.
    """
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _check_regular(entry.path, limit)
            elif not entry.is_file() or (limit < float("inf") and entry.stat().st_size > limit):
                raise OSError(f"{entry.name[:100]} is no file of git's")


class RemoteCommit(NamedTuple):
    """What is checked out, as a hub would name it, and the remote that it is at."""

    spec: RepoSpec
    remote: str


class Checkout:
    """A git repository on this machine, and what is checked out of it."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        repo.object_store.loose_object_size_limit = _MAX_OBJECT

    @classmethod
    def around(cls, directory: Path) -> "Checkout | None":
        """Return the checkout that a directory is in; None if there is none that can be read."""
        try:
            return cls(_BoundedRepo.discover(directory))
        except Exception:  # noqa: BLE001
            return None

    def close(self) -> None:
        """Close its files."""
        self.repo.close()

    def remote_commit(self) -> RemoteCommit | None:
        """Return the commit at the first remote that a hub could reach; None without such a remote or any commit."""
        commit = self._commit()
        for name, spec in self._repositories():
            if commit:
                return RemoteCommit(spec.at(commit.decode()), name)
        return None

    def spelling_of(self, spec: RepoSpec) -> RepoSpec | None:
        """Return how a remote has the name of a repository; None if no remote is of that repository."""
        return next((found for _, found in self._repositories() if same_repository(found, spec)), None)

    def ref_in(self, spec: RepoSpec) -> str:
        """Return the spec's ref without the folder that follows it in ``/tree/main/docs``, as far as refs are here."""
        remotes = [name for name, found in self._repositories() if same_repository(found, spec)]
        words = spec.ref.split("/")
        for count in range(len(words), 0, -1):
            ref = "/".join(words[:count])
            if any(self.resolve(f"refs/{place}/{ref}") for place in ("tags", *(f"remotes/{name}" for name in remotes))):
                return ref
        return spec.ref

    def why_not(self) -> str:
        """Say why there is no such commit."""
        if self._commit() is None:
            return f"the git checkout {self.repo.path} has no commit that can be read"
        remotes = ", ".join(strip_ansi(f"{name}: {remove_login(url)}") for name, url in self._remotes())
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

    def has_in(self, revisions: Iterable[str], commit: str) -> bool:
        """Tell whether a commit is one of revisions or their ancestors, as far as the history is here."""
        with suppress(Exception):  # it may be there, but nobody knows
            tips = [tip for tip in map(self.resolve, revisions) if tip]
            return self._is_in(tips, ObjectID(commit.encode())) is True
        return False

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
        own = self._config
        names = [section[1] for section in own.sections() if len(section) == 2 and section[0] == b"remote"]
        followed = b""
        with suppress(Exception):
            branch = self.repo.refs.follow(Ref(b"HEAD"))[0][-1]
            followed = own.get((b"branch", branch.removeprefix(b"refs/heads/")), b"remote")
        for name in sorted(names, key=lambda name: (name != followed, name != b"origin"))[:_MAX_REMOTES]:
            with suppress(KeyError):
                url = next(own.get_multivar((b"remote", name), b"url"))  # git fetches from the first
                yield name.decode("utf-8", "replace"), self._rewritten(url.decode("utf-8", "replace"))

    def _rewritten(self, url: str) -> str:
        """Return a URL as the person's own configuration of git, if that can be read, has it replaced."""
        with suppress(Exception):
            return apply_instead_of(self._whole_config, url)
        return url

    @cached_property
    def _config(self) -> ConfigFile:
        return self.repo.get_config()

    @cached_property
    def _whole_config(self) -> StackedConfig:
        """Return the configuration of the person and the machine as well. Raises whatever dulwich does."""
        return self.repo.get_config_stack()


def _reachable(url: str) -> RepoSpec | None:
    """Return the spec of a remote's URL; None for one on this machine, or of a host that only its user's ssh knows."""
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
