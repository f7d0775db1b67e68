"""Find the earlier commit that has the same environment as a commit, so that its image can be used again.

An environment is what repo2docker's build can read (docs/explanation/reuse.md). This module compares the environments
of a commit and its parents. The newest commit at which it changed is launched.

- Narrow: it is certain what the build reads. The files that define the environment, files that these name, and files
  that configure tools in the home directory, which is the repository.
- Broad, in every other case: all files but prose, notebooks and pictures.

A list of packages leads the build to another file only by its name, so each word is looked up in the repository.
A program needs no name to find a file, so a script is understood only if it consists of known commands.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from hashlib import sha256
from time import monotonic
from typing import NamedTuple

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from clinder.target.checkout import Checkout
from clinder.target.objects import TooLarge

_MAX_SIZE = 256 * 1024  # bytes of all files that are read for one commit
_SECONDS = 30.0  # for a whole history; five thousand commits take about one second

Entry = tuple[int, ObjectID]  # the mode and the hash of a file or a folder
Reader = Callable[[str], str]  # takes the text of a file, returns the part of it that may name other files


class Reuse(NamedTuple):
    """The commit whose image can be used again (None: none is), and a line for the log that says why."""

    commit: str | None
    line: str


class _NoReuse(Exception):
    """The reason why no other commit can be launched."""


class _Broad(Exception):
    """The reason why it is not certain what the build reads."""


def find_environment(commit: str, checkout: Checkout | None) -> Reuse:
    """Return the newest of a commit and its ancestors that changed the environment."""
    try:
        if checkout is None:
            raise _NoReuse("there is no git checkout here, and clinder needs its history")
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
    """Return the newest commit that changed the environment, the rule for that, and the names of the changed files."""
    current, end = history.commit(commit, commit), monotonic() + _SECONDS
    rule = _Rule(history, current.tree)
    wanted = rule.environment(current.tree)
    while monotonic() < end:
        # git follows the history of a file in the same way: to the parent from which a merge took the environment.
        before = [history.commit(parent, current.id) for parent in current.parents]
        others = [rule.environment(each.tree) for each in before]
        if wanted not in others:
            names = sorted({name for other in others or [frozenset()] for name, _ in wanted ^ other})
            changed = b", ".join(names[:5]).decode("utf-8", "replace") + (" ..." if names[5:] else "")
            return current.id, rule, changed or "the first commit"
        current = before[others.index(wanted)]
    raise _NoReuse(f"the history in this checkout is too large to be read in {_SECONDS:.0f} s")


class _History:
    """The objects of a repository. A shallow or partial clone does not have all of them."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self.tree = lru_cache(16)(self._tree)
        self._digest = lru_cache(65536)(self._digest_without_prose)
        self.holds_link = lru_cache(65536)(self._holds_link)

    def commit(self, commit: ObjectID, after: ObjectID) -> Commit:
        """Return a commit, which is a parent of ``after``. Raises `_NoReuse`."""
        try:
            found = self._repo[commit]
        except KeyError:
            ends = f"the history in this checkout ends at {after.decode()[:10]}, before the answer is known. "
            ends += "Fetch all of it (with actions/checkout: fetch-depth: 0)"
            raise _NoReuse(ends if commit != after else f"{commit.decode()[:10]} is not in this checkout") from None
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

    def without_prose(self, tree: ObjectID) -> Iterator[tuple[bytes, object]]:
        """Yield the entries of a folder that count in a broad environment, in a form that can be compared."""
        for name, (mode, entry) in self.tree(tree).items():
            if stat.S_ISDIR(mode):
                kept: object = name != b".github" and self._digest(entry)
            else:
                kept = not _PROSE.search(name) and (mode, entry)
            if kept:
                yield name, kept

    def _digest_without_prose(self, tree: ObjectID) -> bytes:
        """Return a hash of the entries that count, which takes little memory. A folder of prose alone has no hash."""
        kept = sorted(self.without_prose(tree))
        return sha256(repr(kept).encode()).digest() if kept else b""

    def _holds_link(self, mode: int, entry: ObjectID) -> bool:
        """Tell whether an entry is a symbolic link, or a folder that contains one."""
        inside = self.tree(entry).values() if stat.S_ISDIR(mode) else ()
        return stat.S_ISLNK(mode) or any(self.holds_link(*each) for each in inside)

    def find(self, tree: ObjectID, path: bytes) -> Entry | None:
        """Return the entry at a path. Its mode is 0 if a part of the path is no folder."""
        name, _, rest = path.partition(b"/")
        entry = self.tree(tree).get(name)
        if not rest or not entry:
            return entry
        return self.find(entry[1], rest) if stat.S_ISDIR(entry[0]) else (0, entry[1])

    def text(self, blob: ObjectID, limit: int) -> str:
        """Return the text of a file of at most ``limit`` bytes. Raises `_Broad` for any other."""
        try:
            found = self._repo[blob]
            if isinstance(found, Blob) and len(found.data) <= limit:
                return found.data.decode("utf-8-sig")
        except KeyError:
            raise _Broad("is not in this checkout, a partial clone") from None
        except (TooLarge, UnicodeDecodeError):
            pass
        raise _Broad("is too large, or no text")


class _Rule:
    """What the build of one commit reads, as far as that is certain, and so what counts for other commits, too."""

    def __init__(self, history: _History, tree: ObjectID) -> None:
        self._history = history
        self._tree = tree
        self._named: set[bytes] = set()  # paths that count, also if there is no file
        self._seen: set[tuple[str, Reader]] = set()
        self._left = _MAX_SIZE
        try:
            names = ", ".join(self._read_definitions()) or "the default, for no file defines one"
        except (_Broad, RecursionError) as why:  # thousands of files may name each other
            self.broad, self.words = True, f"broad, so that all files but prose count: {why}"[:300]
        else:
            self.broad, self.words = False, f"narrow: {names}"[:300]

    def environment(self, tree: ObjectID) -> frozenset[tuple[bytes, object]]:
        """Return the entries of a commit's tree that count, in a form that can be compared."""
        named = {(path, entry) for path in self._named if (entry := self._history.find(tree, path))}
        if self.broad:
            return frozenset(named.union(self._history.without_prose(tree)))
        root = self._history.tree(tree)
        names = _binder_folders(root) or _definitions(root)
        return frozenset(named.union((name, root[name]) for name in (*names, *filter(_HOME.match, root))))

    def _read_definitions(self) -> list[str]:
        """Read the files that repo2docker reads, and return their names. Raises `_Broad`."""
        folder, names = "", (root := self._history.tree(self._tree))
        if folders := _binder_folders(root):
            mode, entry = root[folders[0]]
            if len(folders) > 1 or not stat.S_ISDIR(mode):
                raise _Broad("binder and .binder are two folders" if folders[1:] else "binder is no folder")
            folder, names = f"{folders[0].decode()}/", self._history.tree(entry)
        paths = [folder + name.decode() for name in _definitions(names)]
        for path in [*paths, *filter(self._note, _HOME_READ.split())]:
            self._read(path, next(reader for names, reader in _READERS if re.search(rf"(^|/)({names})$", path)))
        if folder and "Project.toml" in str(paths) and self._note("Project.toml"):
            self._read("Project.toml", partial(_unless, "workspace"))  # whose manifest would be the one that counts
        for name in filter(_HOME.match, root):
            if self._history.holds_link(*root[name]):
                raise _Broad(f"{name.decode('utf-8', 'replace')} is a link, or contains one")
        return paths

    def _read(self, path: str, reader: Reader) -> None:
        """Read a file, or the file that a link leads to, and all files that it names."""
        if (path, reader) in self._seen:
            return
        self._seen.add((path, reader))
        mode, blob = self._note(path) or (0, None)
        try:
            if blob is None or not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise _Broad("is no file of this repository")
            text = self._history.text(blob, self._left)
            self._left -= len(text)
            words = {text} if stat.S_ISLNK(mode) else _words(reader(text))
        except _Broad as why:
            raise _Broad(f"{path} {why}") from None
        # In this order "." and "/x" come last: they end the search, and all other names are to count.
        for word in sorted(words, reverse=True):
            self._look_up(word, path, reader if stat.S_ISLNK(mode) else _names)

    def _look_up(self, word: str, where: str, reader: Reader) -> None:
        """Read the list that a word names, if there is one. Raises `_Broad` for another file, a folder, or outside."""
        if re.match(r"/(tmp|dev/null)\b", word) and "/.." not in word:
            return
        beside = os.path.join(os.path.dirname(where), word)  # noqa: PTH118, PTH120  (for includes of pip, and links)
        paths = {path for path in map(os.path.normpath, (word, beside)) if not re.match(r"/|\.\.?(/|$)", path)}
        entries = {path: entry for path in sorted(paths) if (entry := self._note(path))}
        somewhere = not paths or re.match(r"~(?![\d=])|(\./+)*\.git(/|$)|[./]*[^./].*/\.\.", word)
        if somewhere or (reader is _names and not all(map(_LIST.search, entries))):
            raise _Broad(f"{where} uses {word[:80]}")
        for path in entries:
            self._read(path, reader)

    def _note(self, path: str) -> Entry | None:
        """Return the entry at a path, which counts from now on."""
        self._named.add(name := path.encode())
        return self._history.find(self._tree, name)


def _binder_folders(root: dict[bytes, Entry]) -> list[bytes]:
    """Return the names of folders for repo2docker. A link or a submodule may be one, too."""
    return [name for name in (b".binder", b"binder") if name in root and not stat.S_ISREG(root[name][0])]


def _definitions(folder: dict[bytes, Entry]) -> list[bytes]:
    """Return the names of the files from which repo2docker makes the environment, in the order of the folder."""
    found = [name for name in folder if _DEFINITIONS.fullmatch(name)]
    certain = [name for name in found if stat.S_ISREG(folder[name][0])]  # a link may lead to nowhere
    if b"Dockerfile" in certain:
        return [b"Dockerfile"]
    if "environment" in str(certain) and not re.search("Project|REQUIRE|DESCRIPTION|runtime", str(found)):
        return [name for name in found if not re.match(rb"setup|pyproject|requirements|Pipfile|install", name)]
    return found


_DEFINITIONS = re.compile(
    rb"environment\.ya?ml|requirements3?\.txt|Pipfile(\.lock)?|(runtime|apt)\.txt|install\.R|DESCRIPTION|REQUIRE"
    rb"|(Julia)?(Project|Manifest|Manifest-v[\d.]+|LocalPreferences|Artifacts)\.toml|default\.nix|postBuild|start|Dockerfile"
    rb"|setup\.(py|cfg)|pyproject\.toml"
)
# Files in the home directory configure tools, except those of editors, linters and code hosts.
_HOME = re.compile(
    rb"\.(?!(github|gitignore|gitlab-ci\.yml|pre-commit-config\.yaml|readthedocs\.ya?ml|travis\.yml|circleci|vscode|idea"
    rb"|devcontainer|editorconfig|flake8|isort\.cfg|prettier.*|zenodo\.json|nojekyll|DS_Store|binder|ruff\.toml|pylintrc"
    rb"|codespellrc|markdownlint.*|yamllint.*|coveragerc|codecov\.ya?ml|mailmap|all-contributorsrc)$)|(jupyter|ipython)_"
)
# Of these, what they name counts, too. A folder makes the environment broad.
_HOME_READ = (
    ".Rprofile .Renviron .bash_profile .bash_login .bash_logout .bashrc .profile .condarc .mambarc .npmrc .yarnrc"
    " .yarnrc.yml .curlrc .wgetrc .pip/pip.conf .config/pip/pip.conf .conda .mamba .config/conda .pkg .local/bin"
)
_PROSE = re.compile(
    rb"(?i)\.(md|rst|ipynb|bib|png|jpe?g|gif|svg|webp|ico|cff)$|^(myst\.ya?ml|_toc\.yml|_config\.yml)$"
    rb"|^(licen[cs]e|copying|notice|authors|contributors|changelog)(\.txt)?$"
)
_LIST = re.compile(r"\.(txt|in|ya?ml|toml|cfg|ini|conf|json|lock|[ct]sv)$")  # any other file may be a program
# The first word of a line is a package or a key, unless it looks like a path. `name` and `prefix` have no effect.
_EXTRAS = r"\[[\w,. -]*\]"  # of a package: dask[array]
_FIRST_WORD = re.compile(
    rf"(?m)^(?:(?:name|prefix):[^&\n]*$|(?:[ \t]*-[ \t]+)?[A-Za-z0-9][\w-]*(?:{_EXTRAS})?(?=$|[\s<>=!~;\[(@,]))"
)
_SEPARATORS = re.compile(rf"(?<=[\w.-]){_EXTRAS}|~=|[=@:,;#<>|(){{}}\"'\[\]]")
_WORD = (
    r"(?:(?!#|(?:\w+=(?:\S*:)?)?~\d)[\w@%+=:,./~#-]+|(?:[\w@%+:,./~-]*=)?(?:'[^'\n]*'|\"[^\"\n$`\\!]*\")(?![^\s;&|])"
    r"|\d*>>?[ \t]*(?:&\d|/dev/null)(?![^\s;&|]))"
)
_BLANK = r"(?:[ \t]|\\\n)+"
_WORDS = rf"(?:{_BLANK}{_WORD})*"
# Without a colon, because an empty path in a list of paths (`/tmp:`) is the current folder.
_SETTING = r"[A-Za-z_]\w*=(?!~\d)(?:'[^':\n]*'|\"[^\":\n$`\\!]*\"|(?:[\w@%+=,./~#-]|://)*)"
# Commands that use only what they name, with their arguments as groups; then commands that read no file.
_COMMAND = (
    rf"[ \t]+|(?:((?:{_SETTING}[ \t]+)*)(?:pip3? (?:install|uninstall|cache)|apt(?:-get)?|git clone|wget|curl"
    r"|(?:conda|mamba|micromamba) (?:install|remove|clean|config)"
    r"|jupyter (?:lab|nbextension|serverextension|server|contrib|kernelspec|labextension (?:list|check|enable|disable"
    rf"|(?:un)?install(?=(?:{_BLANK}--[\w-]+(?:=\w+)?)*{_BLANK}['\"]?[A-Za-z@]))))({_WORDS})"  # else the folder's own
    rf"|(?:export[ \t]+)?({_SETTING})|(?:echo|true|:|mkdir|rm|touch|chmod){_WORDS}"
    r"|set -[eoux]+(?: pipefail)?|exec \"\$@\")?[ \t]*(?:(?<![^\s;&|])#.*)?(?:\n|;|&&|\|\||\Z)"
)
# What may use files in a Dockerfile. Each kind of space may begin a line, and a line may end within a word.
_COPIES = r"(?im)^[^\S\n]*(copy|add)\b|\bonbuild\b|--mount|<<|[#/{][^\S\n]*\"?(syntax|escape)\b"
_COPIES += r"|[a-z-]\\[ \t\r]*\n(?![ \t])"
_R_CALL = (
    r"\s+|#.*|(?:BiocManager::install|(?:\w+::)?(?:install\.packages|install_(?:version|cran|github)|installspec|library"
    r"|require|options))\(([^()]*(?:\bc\([^()]*\)[^()]*)*)\)[ \t]*;?"
)


def _words(text: str) -> set[str]:
    """Return all parts of a text that may be a path. Raises `_Broad` for a variable, an escape or a file's URL."""
    if odd := re.search(r"[\\$\0].*|\bfile:.*", text):
        raise _Broad(f"has {odd[0][:80]}")
    text = re.sub(r"\b(https?|ssh)://[^\s\"',\[\]{}()]*", " ", text)
    whole = {*text.split(), *text.splitlines()}  # a name may contain a space
    parts = {part for word in whole for part in (word, *_SEPARATORS.split(word))}
    options = filter(None, (re.match(r"-\w{1,4}", part) for part in parts))  # such as -rx.txt and -qrx.txt
    parts |= {option.string[start:] for option in options for start in range(2, option.end() + 1)}
    return {part.strip().removeprefix("~/") for part in parts} - {""}


def _calls(pattern: str, text: str) -> str:
    """Return the arguments of all calls in a script. Raises `_Broad` for a call that is not known."""
    arguments: list[str] = []
    for call in re.finditer(rf"{pattern}|(?P<other>(?s:.+))", text):
        if call["other"]:
            raise _Broad(f"runs {call['other'].strip().splitlines()[0][:80]}")
        arguments.extend(filter(None, call.groups()))
    return "\n".join(arguments)


def _shell_script(text: str) -> str:
    _unless(r"\A#!(?! ?/(usr/)?bin/(env )?(ba|da)?sh( -\w+)*\n).*|--g[roup]*\b|PIP_GROUP", text)  # of pyproject.toml
    return _calls(_COMMAND, text).replace("\\\n", " ")


def _names(text: str) -> str:
    """Return the words of a list of packages, or of settings."""
    text = re.sub(r"(?m)^([^\"'\n]*?)(?:^|[^\S\n])#.*", r"\1", "\n".join(text.splitlines()))
    return _FIRST_WORD.sub("", text.replace("\\\n", ""))


def _unless(pattern: str, text: str) -> str:
    """Return no words. Raises `_Broad` if the pattern is in the text."""
    if found := re.search(pattern, text):
        raise _Broad(f"has {found[0].strip()[:80]}" if found[0] else "may use all of the repository")
    return ""


_READERS: list[tuple[str, Reader]] = [
    (r"postBuild|start|\.bash\w+|\.profile", _shell_script),
    (r"install\.R|\.Rprofile", partial(_calls, _R_CALL)),
    (r"(Julia)?Project\.toml|pip\.conf", lambda text: _unless(r"(?m)^[ \t\"']*(name|group)\b", text) or _names(text)),
    (r"setup\.py|DESCRIPTION|default\.nix", partial(_unless, r"\A")),
    (r"setup\.cfg|pyproject\.toml", partial(_unless, r"build-system|\\[uU]")),
    (r"Dockerfile", partial(_unless, _COPIES)),
    (r".*", _names),
]
