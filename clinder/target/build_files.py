"""What is understood of each file that repo2docker's build reads: what it names of the repository.

There is one reader for each kind of file (repo2docker/buildpacks/*): a pure function from the file's text to what the
file uses. A reader knows no git, no history and no disk. It raises `NotUnderstood` for all that it does not know to be
harmless, as a line, a word, a command; then every file of the repository counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from clinder.target.files import load_yaml

_DEFINITIONS = re.compile(
    rb"environment\.ya?ml|requirements3?\.txt|Pipfile(\.lock)?|runtime\.txt|apt\.txt|install\.R|DESCRIPTION|REQUIRE"
    rb"|(Julia)?(Project|Manifest|Manifest-v[\d.]+|LocalPreferences)\.toml|default\.nix|postBuild|start|Dockerfile"
    rb"|setup\.py|setup\.cfg|pyproject\.toml"
)


_MAX_LINE = 1000  # characters of a line that has to be of one form


class NotUnderstood(Exception):
    """A file of the build, or something in it, of which nobody knows what it reads."""


class Use(NamedTuple):
    """The path of something that counts if it is in the repository; with a reader, of a file that is read as well.

    ``allowed``: whether it may be in the repository, for a command that would look into it.
    """

    path: str
    reader: "Reader | None" = None
    allowed: bool = True


Reader = Callable[[str], Iterator[Use]]


def definitions(names: Iterable[bytes]) -> list[bytes]:
    """Return those of a folder's names that define an environment."""
    return sorted(name for name in names if _DEFINITIONS.fullmatch(name))


def read_by_build(names: Iterable[bytes], *, in_root: bool) -> list[bytes]:
    """Return the definitions in a folder that the build pack reads which repo2docker chooses."""
    found = definitions(names)
    if b"Dockerfile" in found:
        return [b"Dockerfile"]
    skipped: set[bytes] = set()
    if not in_root:
        skipped = {b"setup.py", b"setup.cfg", b"pyproject.toml", b"DESCRIPTION"}
    elif any(name.startswith(b"environment.") for name in found) and not _INSTALL_PYTHON.intersection(found):
        skipped = {b"setup.py", b"setup.cfg", b"pyproject.toml", b"requirements.txt", b"requirements3.txt", b"Pipfile"}
    return [name for name in found if name not in skipped]


_INSTALL_PYTHON = {b"Project.toml", b"JuliaProject.toml", b"DESCRIPTION", b"runtime.txt"}  # as another build pack does


def reader_of(name: bytes) -> Reader:
    """Return the reader of a definition by its name."""
    return next(reader for pattern, reader in _READERS if re.fullmatch(pattern, name.decode()))


def _without(pattern: str, text: str) -> Iterator[Use]:
    """Understand a file in which a few words alone can name something of the repository, if it has none of them."""
    if match := re.search(pattern, text, re.MULTILINE):
        raise NotUnderstood(f"has {match[0].strip()[:80]}" if match[0] else "may use all of the repository")
    yield from ()


def _lines(pattern: str, text: str) -> Iterator[Use]:
    """Understand a file whose lines are all of one form."""
    for line in text.splitlines():
        words = line.partition("#")[0].strip()
        if words and (len(words) > _MAX_LINE or not re.fullmatch(pattern, words)):
            raise NotUnderstood(f"has {words[:80]}")
    yield from ()


# Packages

_URL = re.compile(r"((git|hg|svn|bzr)\+)?(https?|ssh|git)://[^./\s]")
_ARCHIVE = re.compile(r"\.(whl|zip|egg|conda|tar|tgz|tbz2?|txz|tlz|tar\.\w+)(\[[^]]*\])?$", re.IGNORECASE)
_NAME = re.compile(
    r"[A-Za-z0-9][\w.-]*(\[[\w,.\s-]*\])?\s*([<>=!~;(].*|@\s*((git|hg|svn|bzr)\+)?https?://[^./].*|--hash.*)?"
)
_PIP_FLAGS = "--pre|--no-binary|--only-binary|--prefer-binary|--require-hashes|--trusted-host|--no-index|--hash"


def _requirements(text: str) -> Iterator[Use]:
    """Understand pip's requirements (pip, req/req_file.py)."""
    joined = re.sub(r"\\\r?\n", "", re.sub(r"^[ \t]*#.*", "", text, flags=re.MULTILINE))
    for line in filter(str.strip, joined.splitlines()):
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        option, value = _option(words)
        if option in ("-r", "-c", "--requirement", "--constraint"):
            if not _URL.match(value):
                yield Use(value, _requirements)
        elif option in ("-e", "--editable", "-i", "--index-url", "--extra-index-url", "-f", "--find-links"):
            if not _URL.match(value):
                raise NotUnderstood(f"has {words[:80]}")
        elif words and not re.fullmatch(_PIP_FLAGS, option) and (option or not _is_package(value)):
            raise NotUnderstood(f"has {words[:80]}")


def _option(words: str) -> tuple[str, str]:
    """Return an option of a line, as pip has them, and what follows it."""
    match = re.match(r"(--[\w-]+|-\w|)[ \t=]*", words)
    assert match
    return match[1], words[match.end() :]


def _is_package(requirement: str) -> bool:
    named = requirement.split(";")[0].split(" --")[0].strip()
    return bool(
        _URL.match(requirement) or (_NAME.fullmatch(requirement) and ("://" in named or not _ARCHIVE.search(named)))
    )


def _conda(text: str) -> Iterator[Use]:
    import yaml

    try:
        content = load_yaml(text) or {}
        listed = [content.get(key) or [] for key in ("dependencies", "channels")]
    except (yaml.YAMLError, AttributeError, LookupError, ValueError, ArithmeticError, RecursionError):
        raise NotUnderstood("can't be read") from None
    if not all(isinstance(each, list) for each in listed):
        raise NotUnderstood("has dependencies that are no list")
    for each in [*listed[0], *listed[1]]:
        if isinstance(each, dict) and list(each) == ["pip"]:
            lines = [each["pip"]] if isinstance(each["pip"], str) else each["pip"] or []
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise NotUnderstood("has something under pip that is no package")
            yield from _requirements("\n".join(lines))
        elif not isinstance(each, str) or not _is_conda_package(each):
            raise NotUnderstood(f"has {each[:80] if isinstance(each, str) else 'something that is no package'}")


def _is_conda_package(word: str) -> bool:
    return re.match(r"[./~]|.*file:", word) is None and ("://" in word or not _ARCHIVE.search(word))


# Each line of install.R: a call with names of packages, or of a repository at GitHub.
_R_WORD = r"(\"[\w.]+\"|'[\w.]+'|\"https://[^\"]*\"|'https://[^']*'|[\w.]+)"
_R_LIST = rf"c\(\s*{_R_WORD}(\s*,\s*{_R_WORD})*\s*\)"
_R_ARGUMENT = rf"([\w.]+\s*=\s*)?({_R_WORD}|{_R_LIST})"
_R_CALL = (
    r"(?!.*\.(tar|tgz|zip)\b)((\w+::)?(install\.packages|library|require|install_version|install_cran)"
    rf"|BiocManager::install|IRkernel::installspec)\(\s*({_R_ARGUMENT}(\s*,\s*{_R_ARGUMENT})*)?\s*\);?"
    r"|(\w+::)?install_github\((\"[\w-]+/[\w.@/-]+\"|'[\w-]+/[\w.@/-]+')\);?"
)

# Scripts

_CHARACTER = r"[\w@%+=:,./~-]"
_QUOTED = r"'(?!~)[^'\n]*'|\"(?!~)[^\"$`\\!\n]*\""
_TOKEN = re.compile(
    rf"(?P<blank>[ \t]+|\\\n|(?<![^\s;&|])\#[^\n]*)|(?P<end>\n|;|&&|\|\|)|(?P<redirect>\d*>>?(?:&\d(?!\w))?)"
    rf"|(?P<exec>exec[ \t]+\"\$@\")|(?P<word>(?:{_CHARACTER}|{_QUOTED})(?:{_CHARACTER}|{_QUOTED}|\#)*)",
    re.ASCII,
)
_TO_FILE = "\n>"  # no word of a script


def _script(text: str) -> Iterator[Use]:
    """Understand a script for a shell, of commands that name all they use, in plain words."""
    if text.startswith("#!") and not re.match(r"#! ?/(usr/)?bin/(env )?(ba|da)?sh( -\w+)*\n", text):
        raise NotUnderstood("is no script for a shell")
    yield Use(".local/bin", allowed=False)  # whose commands would come first
    commands = _commands(text)
    uses = [use for words in commands for use in _command(words)]
    if any(use.reader for use in uses) and any(_TO_FILE in words or words[0] in _WRITERS for words in commands):
        raise NotUnderstood("includes a file that it may have written itself")
    yield from uses


def _commands(text: str) -> list[list[str]]:
    """Return the words of each command of a script."""
    commands: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if not token or (token["exec"] and commands[-1]):
            raise NotUnderstood(f"has {text[at : at + 80].strip().partition(chr(10))[0]}")
        at = token.end()
        if token["word"]:
            commands[-1].append(re.sub(r"'([^']*)'|\"([^\"]*)\"", r"\1\2", token["word"]))
        elif token["redirect"] and "&" not in token["redirect"]:
            commands[-1].append(_TO_FILE)
        elif token["end"]:
            commands.append([])
    return [words for words in commands if words]


def _command(words: list[str]) -> Iterator[Use]:
    plain = list(words)
    while _TO_FILE in plain:
        at = plain.index(_TO_FILE)
        yield from _files(plain[at + 1 : at + 2])
        del plain[at : at + 2]
    while plain and re.match(r"[A-Za-z_]\w*=", plain[0]):
        yield from _named([plain.pop(0)], allowed=False)
    line = " ".join(plain) + " "
    understood = next((reader for pattern, reader in _COMMANDS if re.match(pattern, line)), None)
    if plain and not understood:
        raise NotUnderstood(f"runs {line[:80].strip()}")
    yield from understood(plain[1:]) if understood else ()


def _named(words: Iterable[str], *, allowed: bool) -> Iterator[Use]:
    """Yield all that words, or parts of them, can name in the repository."""
    for word in words:
        if re.search(r"file:|://[./]|=$", word):
            raise NotUnderstood(f"has {word[:80]}")
        if "://" not in word:
            parts = {word, word[2:] if re.match(r"-\w", word) else "", *re.split("[=@:,]", word)}
            yield from (Use(part, allowed=allowed) for part in sorted(parts) if part)


def _files(words: Iterable[str]) -> Iterator[Use]:
    """Understand the arguments of a command that takes files somewhere else, and uses nothing that is in them."""
    for word in words:
        # Where the next command may come from, or what configures it, unless that is for the server alone.
        if re.search(r"(^|/)(bin|\.(?!\.?(/|$)|jupyter|ipython|dask)[^/]*)(/|$)", word):
            raise NotUnderstood(f"uses {word[:80]}")
        yield from _named([word], allowed=True)


def _pip(arguments: list[str]) -> Iterator[Use]:
    """Understand the arguments of pip as its requirements, one line each."""
    rest = iter(arguments[1:])
    for word in rest:
        if re.fullmatch(_PIP_VALUES, word):
            yield from _requirements(f"{word} {next(rest, '.')}")
        elif not re.fullmatch(r"-[qvUIy]+|--(user|upgrade|no-cache-dir|no-deps|quiet|yes|force-reinstall)", word):
            yield from _requirements(word)
        yield from _named([word], allowed=True)


_PIP_VALUES = r"-[rceif]|--(requirement|constraint|editable|index-url|extra-index-url|find-links|no-binary|only-binary)"


def _conda_command(arguments: list[str]) -> Iterator[Use]:
    for word in arguments:
        if (arguments[0] == "install" and re.match(r"-\w*f|--f(i|$)", word)) or not _is_conda_package(word):
            raise NotUnderstood(f"runs conda with {word[:80]}")
        yield from _named([word], allowed=True)


def _nothing(_: list[str]) -> Iterator[Use]:
    yield from ()


_addresses = partial(_named, allowed=False)
_WRITERS = ("cp", "mv", "wget", "curl", "git")
# The commands that are understood, by how they begin, and what they use.
_COMMANDS: list[tuple[str, Callable[[list[str]], Iterator[Use]]]] = [
    (r"pip3? (install|uninstall|cache) ", _pip),
    (r"(conda|mamba|micromamba) (install|remove|clean|config) ", _conda_command),
    # Given names and addresses alone. They would look into a folder that is named.
    (r"apt(-get)? (update|install|remove|clean|autoremove) ", _addresses),
    (r"jupyter (lab|labextension|nbextension|serverextension|server|contrib|kernelspec) ", _addresses),
    (r"(git clone|export) ", _addresses),
    (r"(echo|printf|set|true|exit|:) ", _nothing),
    (r"(mkdir|rm|touch|chmod|ls) ", partial(_named, allowed=True)),
    (r"(wget|mv|cp(?!.* (-\w*[HL]|--deref))|curl(?!.* (-\w*K|--conf))) ", _files),
]

_CODE = r"\bsource\b|^[ \t]*\.[ \t]|[\"'(\s=\[,]\.{0,2}/|[\"'][\w.-]+/(?!/)|\bfile|find-links|requirement|constraint"
_READERS: list[tuple[str, Reader]] = [
    (r"environment\.ya?ml", _conda),
    (r"requirements3?\.txt", _requirements),
    (r"postBuild|start", _script),
    (r"install\.R", partial(_lines, _R_CALL)),
    (r"setup\.py|DESCRIPTION|default\.nix", partial(_without, r"\A")),
    (r"pyproject\.toml", partial(_without, r"(?s:\A(?=.*build-system)(?=.*project))")),
    (r"Dockerfile", partial(_without, r"(?i:\b(copy|add|onbuild)\b|--mount|#\s*(syntax|escape)\b|<<)")),
    (r"Pipfile(\.lock)?", partial(_without, r"\b(path|file|editable)\b|[\"']\.")),
    # A package of its own, or one at a path.
    (
        r".*\.toml",
        partial(_without, r"^[ \t]*name[ \t]*=|\bpath\b|\bsources\b|repo-url[ \t]*=[ \t]*[\"'](?!https://)|entryfile"),
    ),
    (r"apt\.txt|runtime\.txt|REQUIRE|setup\.cfg", partial(_without, r"(?!)")),
    (
        r"\.Rprofile|\.Renviron|\.bash_profile|\.bashrc|\.profile|\.condarc|\.npmrc|.*pip\.conf",
        partial(_without, _CODE),
    ),
]

# Files in the home directory, which is the repository, that the build's tools read and in which a path can be named.
HOME_FILES = (
    *(b".Rprofile", b".Renviron", b".bash_profile", b".bashrc", b".profile", b".condarc", b".npmrc"),
    *(b".pip/pip.conf", b".config/pip/pip.conf"),
)
