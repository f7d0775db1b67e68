"""Which earlier commit has the very environment of this one, so that the image a hub has of it can be used again.

An environment is what repo2docker's build can read. That is compared between a commit and its parents, and the newest
commit at which it changed is launched. (docs/explanation/reuse.md has the reasoning.)

- Narrow: it is certain what the build reads. The files that define the environment, what they include, what configures
  tools in the home directory, which is the repository, and whatever a script names (`clinder.target.build_files`).
- Broad, in every other case: all files but prose, notebooks and pictures.

Nothing here lists what is dangerous. What is not understood makes an environment broad: it is built more often than
needed, and is never another one. This module knows git's history; what to launch is `clinder.target.target`'s to know.
"""

import os
import re
import stat
from functools import lru_cache
from hashlib import sha256
from time import monotonic
from typing import NamedTuple

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from clinder.target.build_files import HOME_FILES, NotUnderstood, Reader, Use, definitions, read_by_build, reader_of
from clinder.target.checkout import Checkout

_MAX_SIZE = 256 * 1024  # bytes of all files that are understood
_MAX_LINKS = 20  # that are followed, one after another
_SECONDS = 30.0  # for all of a history; five thousand commits take one

Entry = tuple[int, ObjectID]  # a file's or folder's mode and hash


class Reuse(NamedTuple):
    """The commit whose image can be used again, None to build the one that was asked for; and a line that says why."""

    commit: str | None
    line: str


class _NoReuse(Exception):
    """Why the commit itself has to be launched."""


def find_environment(commit: str, checkout: Checkout | None) -> Reuse:
    """Return the newest of a commit and its ancestors that changed the environment."""
    try:
        if checkout is None:
            raise _NoReuse("there is no git checkout here, whose history would tell which")
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            raise _NoReuse(f"{commit} is no full commit id, so this checkout may have another one of that name")
        newest, rule, changed = _newest_change(_History(checkout.repo), ObjectID(commit.encode()))
    except _NoReuse as why:
        return Reuse(None, f"no image is reused: {why}")
    except Exception as error:  # noqa: BLE001  (see clinder.target.checkout)
        return Reuse(None, f"no image is reused: the history in this checkout can't be read ({type(error).__name__})")
    found, about = newest.decode(), f"({changed}; {rule.words})"
    if found == commit:
        return Reuse(found, f"no image is reused: {commit[:10]} itself changed the environment {about}")
    line = f"reusing the image of {found[:10]}, the newest commit that changed the environment {about}"
    return Reuse(found, f"{line}, instead of building {commit[:10]}")


def _newest_change(history: "_History", commit: ObjectID) -> tuple[ObjectID, "_Rule", str]:
    """Return the newest commit that changed the environment which this one has, how that is told, and which files."""
    current, end = history.commit(commit, commit), monotonic() + _SECONDS
    rule = _rule(history, current.tree)
    wanted = rule.environment(history, current.tree)
    while monotonic() < end:
        # As git follows a file's history: where a merge took the environment of a parent as it was, on from there.
        before = [history.commit(parent, current.id) for parent in current.parents]
        same = next((each for each in before if rule.environment(history, each.tree) == wanted), None)
        if same is None:
            others = [rule.environment(history, each.tree) for each in before]
            return current.id, rule, _changed(wanted, others)
        current = same
    raise _NoReuse(f"the history in this checkout is too large to be read in {_SECONDS:.0f} s")


class _History:
    """The objects of a repository, some of which a shallow or partial clone may not have."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self.tree = lru_cache(64)(self._tree)
        self.digest_without_prose = lru_cache(65536)(self._digest_without_prose)

    def commit(self, commit: ObjectID, after: ObjectID) -> Commit:
        """Return a commit, the parent of the one before it in the walk. Raises `_NoReuse`."""
        try:
            found = self._repo[commit]
        except KeyError:
            if commit == after:
                raise _NoReuse(f"{commit.decode()[:10]} is not in this checkout") from None
            raise _NoReuse(
                f"the history in this checkout ends at {after.decode()[:10]}, before the answer is known. "
                "Fetch all of it (with actions/checkout: fetch-depth: 0)"
            ) from None
        if not isinstance(found, Commit):
            raise _NoReuse(f"{commit.decode()[:10]} is no commit")
        return found

    def _tree(self, tree: ObjectID) -> dict[bytes, Entry]:
        try:
            found = self._repo[tree]
        except KeyError:
            raise _NoReuse("this checkout is a partial clone, without the folders of earlier commits") from None
        assert isinstance(found, Tree)
        return {name: (mode, entry) for name, mode, entry in found.items()}

    def without_prose(self, tree: ObjectID) -> frozenset[tuple[bytes, object]]:
        """Return all that counts of a folder in a broad environment, in a form that can be compared."""
        kept: dict[bytes, object] = {}
        for name, (mode, entry) in self.tree(tree).items():
            if stat.S_ISDIR(mode):
                kept[name] = name not in _PROSE_FOLDERS and self.digest_without_prose(entry)
            elif not _PROSE.search(name):
                kept[name] = (mode, entry)
        return frozenset((name, entry) for name, entry in kept.items() if entry)

    def _digest_without_prose(self, tree: ObjectID) -> bytes:
        """Return the same of a folder below as a hash, of which many can be kept; nothing of a folder of prose."""
        kept = self.without_prose(tree)
        return sha256(repr(sorted(kept)).encode()).digest() if kept else b""

    def find(self, tree: ObjectID, path: bytes) -> Entry | None:
        """Return what a path leads to, or the file or link that is in the way there."""
        *folders, name = path.split(b"/")
        for folder in folders:
            entry = self.tree(tree).get(folder)
            if not entry or not stat.S_ISDIR(entry[0]):
                return entry
            tree = entry[1]
        return self.tree(tree).get(name)

    def text(self, blob: ObjectID) -> str:
        """Return a file's text. Raises `NotUnderstood` for one that is not to be had, or too long to understand."""
        try:
            found = self._repo[blob]
        except KeyError:
            raise NotUnderstood("is not in this checkout, a partial clone") from None
        if not isinstance(found, Blob) or len(found.data) > _MAX_SIZE:
            raise NotUnderstood("is too large")
        return found.data.decode("utf-8-sig", "replace")


# What counts

# What tools read in the home directory or the current one, both of which are the repository: configuration of Jupyter
# and IPython, and all that begins with a dot but what is for editors, linters and code hosts.
_HOME = re.compile(
    rb"\.(?!(git(hub|ignore|lab.*|-blame-ignore-revs|pod.*)|pre-commit-config\.yaml|readthedocs\.ya?ml|travis\.yml"
    rb"|circleci|vscode|idea|devcontainer|editorconfig|flake8|prettier.*|isort\.cfg|pylintrc|coveragerc|codespell.*"
    rb"|codecov\.yml|markdownlint.*|lychee.*|zenodo\.json|all-contributorsrc|mailmap|nojekyll|DS_Store|binder)$)"
    rb"|(jupyter|ipython)_"
)
_PROSE_FOLDERS = (b".github",)
_PROSE = re.compile(
    rb"\.(md|rst|ipynb|bib|png|jpe?g|gif|svg|webp|ico|cff)$|^(licen[cs]e|copying|notice|authors|contributors|changelog)"
    rb"(\.txt)?$|^(myst\.ya?ml|_toc\.yml|_config\.yml)$",
    re.IGNORECASE,
)


class _Rule(NamedTuple):
    """How to tell the environment of a commit: by the definitions, or all files if it is broad, and by these paths."""

    paths: frozenset[bytes]
    broad: bool
    words: str

    def environment(self, history: _History, tree: ObjectID) -> frozenset[tuple[bytes, object]]:
        """Return what counts of a commit's tree, in a form that can be compared."""
        named = frozenset((path, entry) for path in self.paths if (entry := history.find(tree, path)))
        if self.broad:
            return named | history.without_prose(tree)
        root = history.tree(tree)
        names = [name for name in root if _HOME.match(name)] + (_binder_folders(root) or definitions(root))
        return named | {(name, root[name]) for name in names}


def _rule(history: _History, tree: ObjectID) -> _Rule:
    reader = _Reader(history, tree)
    try:
        names = reader.read_definitions()
    except NotUnderstood as why:
        return _Rule(frozenset(reader.paths), True, f"broad, so that all files but prose count: {why}"[:300])
    words = f"narrow: {', '.join(names) or 'the default, for no file defines one'}"
    return _Rule(frozenset(reader.paths), False, words[:300])


def _binder_folders(root: dict[bytes, Entry]) -> list[bytes]:
    """Return the folders for repo2docker alone; a link or a submodule of that name may be one as well."""
    return [name for name in (b".binder", b"binder") if name in root and not stat.S_ISREG(root[name][0])]


def _changed(environment: frozenset[tuple[bytes, object]], others: list[frozenset[tuple[bytes, object]]]) -> str:
    """Return the names of the files and folders that differ from the environments of the parents."""
    names = sorted({name for other in others or [frozenset()] for name, _ in environment ^ other})
    return b", ".join(names[:5]).decode("utf-8", "replace") + (" ..." if names[5:] else "") or "the first commit"


class _Reader:
    """Reads what the build of one commit reads, as far as it is understood, and collects the paths that count."""

    def __init__(self, history: _History, tree: ObjectID) -> None:
        self._history = history
        self._tree = tree
        self.paths: set[bytes] = set()
        self._read_paths: set[str] = set()
        self._left = _MAX_SIZE

    def read_definitions(self) -> list[str]:
        """Read what repo2docker would, and return the files' names. Raises `NotUnderstood`."""
        root = self._history.tree(self._tree)
        folders = _binder_folders(root)
        if len(folders) > 1:
            raise NotUnderstood("binder and .binder are two folders")
        folder, names = b"", root
        if folders:
            folder, (mode, entry) = self._follow(folders[0])
            folder, names = folder + b"/", self._history.tree(entry) if stat.S_ISDIR(mode) else {}
            if not stat.S_ISDIR(mode):
                raise NotUnderstood("binder is no folder of this repository")
        found = read_by_build(names, in_root=not folders)
        home = [name for name in HOME_FILES if self._history.find(self._tree, name)]
        for path, name in [*((folder + name, name) for name in found), *((name, name) for name in home)]:
            self._read(os.fsdecode(path), reader_of(name))
        return [os.fsdecode(folder + name) for name in found]

    def _read(self, path: str, reader: Reader) -> None:
        self._read_paths.add(path)
        _, (mode, entry) = self._follow(os.fsencode(path))
        uses: list[Use] = []
        reason = ""
        try:
            if not stat.S_ISREG(mode):
                raise NotUnderstood("is no file")
            uses.extend(reader(self._text(entry)))
        except NotUnderstood as why:  # what it named before that counts all the same
            reason = f"{path} {why}"
        for use in uses:
            if use.reader:
                self._include(path, use.path, use.reader)
            elif self._names(use.path, path) and not use.allowed:
                raise NotUnderstood(f"{path} uses {use.path[:80]}")
        if reason:
            raise NotUnderstood(reason)

    def _text(self, blob: ObjectID) -> str:
        text = self._history.text(blob)
        self._left -= len(text)
        if self._left < 0:
            raise NotUnderstood("is too large")
        return text

    def _include(self, path: str, included: str, reader: Reader) -> None:
        """Read a file that another one includes: beside that, as pip does, or in the root, where scripts run."""
        folder = re.search(r"[^./]/", included)
        if folder and "/../" in included[folder.end() - 1 :]:
            raise NotUnderstood(f"{path} uses {included[:80]}")
        beside = os.path.normpath(os.path.join(os.path.dirname(path), included))  # noqa: PTH118, PTH120
        places = [beside] if included.startswith("..") else [included, beside]
        found = [place for place in (self._names(word, path) for word in places) if place]
        if not found:
            raise NotUnderstood(f"{path} includes {included[:80]}, which is not there")
        for place in found:
            if place not in self._read_paths:
                self._read(place, reader)

    def _names(self, word: str, where: str) -> str:
        """Return the path of what a word names here, nothing if there is none; note the path, which counts either way.

        Raises `NotUnderstood` for one that leads to the repository as a whole, or nobody knows where.
        """
        if re.match(r"/(tmp|usr|opt|etc|srv/conda|dev/null)(/|$)", word) and "/.." not in word:
            return ""
        path = os.path.normpath(re.sub(r"^~/", "", word))
        if path == "." or re.match(r"/|~|\.\.(/|$)", path) or "/../" in word:
            raise NotUnderstood(f"{where} uses {word[:80]}")
        self.paths.add(os.fsencode(path))
        entry = self._entry(os.fsencode(path))
        if entry and not stat.S_ISREG(entry[0]) and not stat.S_ISDIR(entry[0]):
            raise NotUnderstood(f"{where} uses {word[:80]}, a link")
        return path if entry else ""

    def _entry(self, path: bytes) -> Entry | None:
        """Return what a path leads to. Raises `NotUnderstood` if a link is on the way."""
        for slash in re.finditer(b"/", path):
            folder = self._history.find(self._tree, path[: slash.start()])
            if folder and stat.S_ISLNK(folder[0]):
                raise NotUnderstood(f"{os.fsdecode(path)} is below a link")
        return self._history.find(self._tree, path)

    def _follow(self, path: bytes) -> tuple[bytes, Entry]:
        """Return where links lead inside the repository, each of which counts. Raises `NotUnderstood`."""
        for _ in range(_MAX_LINKS):
            self.paths.add(path)
            entry = self._entry(path)
            if entry and not stat.S_ISLNK(entry[0]):
                return path, entry
            if not entry:
                break
            target = os.fsencode(self._history.text(entry[1]))
            # Right where no link is on the way, and else the next round finds that.
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
            if path.startswith((b"/", b"..")):
                break
        raise NotUnderstood(f"{os.fsdecode(path)} is a link that leads nowhere here")
