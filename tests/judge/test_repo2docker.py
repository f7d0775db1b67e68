"""repo2docker itself and a shell's parser judge what --reuse-image takes for the same environment.

Two commits have one environment if repo2docker chooses the same build pack for both, renders the same Dockerfile, and
finds the same bytes in every file that the build reads. What a script reads is what bashlex, a parser of bash, finds in
it: the words of commands that are known to name all they use. With anything else the build may read every file.

For R and Julia repo2docker asks a server which versions there are. `Versions` answers instead; all else is its own.
"""

import os
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import chdir, closing
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import tomllib
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clinder.target.checkout import Checkout
from clinder.target.environment import _SEPARATORS, _Broad, _shell_script, _words, find_environment
from tests.support.history import Repository, imported
from tests.support.pairs import BROAD_REQUIREMENTS, BROAD_SCRIPTS, LINK, NARROW_REQUIREMENTS, NARROW_SCRIPTS, PAIRS

bashlex: Any = pytest.importorskip("bashlex")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    repo2docker: Any = pytest.importorskip("repo2docker.app")
    is_local_pip_requirement: Any = pytest.importorskip("repo2docker.utils").is_local_pip_requirement

Files = Mapping[str, str]
# What people read, and what configures a book: no part of an environment, even where a script converts it.
PROSE = re.compile(
    r"\.(md|rst|ipynb|bib|cff|png|jpg|svg|webp)$|(^|/)(license(\.txt)?|copying|authors|changelog|myst\.yml|_toc\.yml|_config\.yml)$"
    r"|^\.github/",
    re.IGNORECASE,
)


class Versions:
    """The answers of packagemanager.posit.co (a snapshot of R's packages) and julialang-s3.julialang.org."""

    def __init__(self, answer: object) -> None:
        self.json = lambda: answer

    @classmethod
    def post(cls, _: str, json: Mapping[str, str]) -> "Versions":
        return cls({"upsi": json["snapshot"]})

    @classmethod
    def get(cls, _: str) -> "Versions":
        return cls(dict.fromkeys(["1.6.7", "1.9.4", "1.10.0", "1.10.9", "1.11.1"]))


class Build(NamedTuple):
    """What repo2docker makes of a commit: the build pack, its Dockerfile, and all files that are read."""

    pack: str
    dockerfile: str
    read: dict[str, bytes]


def build(files: Files) -> Build:
    """Return what repo2docker makes of files, which are put into a directory."""
    modules = ("repo2docker.buildpacks.r.requests", "repo2docker.buildpacks.julia.julia_project.requests")
    with (
        tempfile.TemporaryDirectory() as directory,
        chdir(directory),
        warnings.catch_warnings(),
        mock.patch(modules[0], Versions),
        mock.patch(modules[1], Versions),
    ):
        warnings.simplefilter("ignore")
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            if text.startswith(LINK):
                Path(name).symlink_to(text.removeprefix(LINK))
            else:
                Path(name).write_bytes(text.encode())
        try:
            pack = chosen_pack()
            name = type(pack).__name__
            dockerfile = pack.render({"NB_UID": "1000"})
            names = set(read_by(pack, name))
        except Exception as error:  # noqa: BLE001  (it refuses: nothing is built of either commit then)
            return Build(type(error).__name__, str(error), {})
        return Build(name, dockerfile, content(names))


def chosen_pack() -> Any:
    app = repo2docker.Repo2Docker()
    packs = [kind(app.base_image) for kind in app.buildpacks]
    pack = next((pack for pack in packs if pack.detect()), None) or app.default_buildpack(app.base_image)
    pack.platform = "linux/amd64"
    return pack


def content(names: set[str]) -> dict[str, bytes]:
    there = [name for name in names if os.path.lexists(name) and not PROSE.search(name)]
    return {name: Path(name).read_bytes() if Path(name).is_file() else b"" for name in there}


def everything(below: str = ".") -> Iterator[str]:
    """All files: what a build reads of which nobody knows what it reads."""
    for folder, _, names in os.walk(below):
        for name in names:
            path = os.path.normpath(Path(folder, name))
            yield path


def read_by(pack: Any, name: str) -> Iterator[str]:
    """The files that the build of a pack reads, and those that configure its tools."""
    home = r"\.(jupyter|ipython|config|dask|local|condarc|npmrc|R|bash|profile|python-version|pip|curlrc|git(att|mod))"
    yield from (path for path in everything() if re.match(home, path))
    if name == "DockerBuildPack":
        yield pack.binder_path("Dockerfile")
        if re.search(r"copy|add|mount|syntax", pack.render(), re.IGNORECASE):
            yield from everything()
        return
    if name == "NixBuildPack":
        yield from everything()
    yield from map(pack.binder_path, ("environment.yml", "environment.yaml", "apt.txt", "runtime.txt"))
    yield from read_by_conda(pack)
    if name != "CondaBuildPack":
        yield from map(pack.binder_path, ("requirements.txt", "requirements3.txt"))
        yield from {"RBuildPack": read_by_r, "JuliaProjectTomlBuildPack": read_by_julia}.get(name, read_by_pipenv)(pack)
    yield from read_by_python(f"{pack.get_preassemble_scripts()} {pack.get_assemble_scripts()}", pack)
    for path in [*pack.get_post_build_scripts(), (pack.get_start_script() or "").removeprefix("${REPO_DIR}/")]:
        if path:
            yield path
            yield from read_by_shell(Path(path).read_text())


def read_by_conda(pack: Any) -> Iterator[str]:
    if conda := getattr(pack, "environment_yaml_path", None):
        for dependency in pack.environment_yaml.get("dependencies") or []:
            lines = dependency.get("pip") or [] if isinstance(dependency, dict) else []
            yield from read_by_pip([lines] if isinstance(lines, str) else lines, Path(conda).parent)
            if (
                isinstance(dependency, str)
                and re.match(r"[./~]|.*\.(conda|bz2)$", dependency)
                and os.path.lexists(dependency)
            ):
                yield from everything()


# Functions of R that install what has this name, or a vector of names.
R_CALLS = {"install.packages", "install_github", "install_version", "install", "library", "options", "c"}


def read_by_r(pack: Any) -> Iterator[str]:
    if "install_local" in str(pack.get_assemble_scripts()):
        yield from everything()
    path = pack.binder_path("install.R")
    if path in pack.get_preassemble_script_files():
        yield path
        code = re.sub(r"#.*", "", Path(path).read_text())
        strings = [a or b for a, b in re.findall(r"\"([^\"]*)\"|'([^']*)'", code)]
        if set(re.findall(r"([\w.]+)\s*\(", code)) - R_CALLS or any(map(os.path.lexists, strings)):
            yield from everything()


def read_by_julia(pack: Any) -> Iterator[str]:
    folder = Path(pack.binder_path(""))
    for path in sorted(folder.glob("*.toml")):
        if re.fullmatch(r"(Julia)?(Project|Manifest.*|LocalPreferences)\.toml", path.name):
            yield os.path.normpath(path)
            table = tomllib.loads(path.read_text())
            if "name" in table or any(os.path.lexists(folder / text) for text in strings_of(table)):
                yield from everything()


def read_by_pipenv(pack: Any) -> Iterator[str]:
    for path in (pack.binder_path("Pipfile"), pack.binder_path("Pipfile.lock")):
        if Path(path).is_file():
            yield path
            table = yaml.safe_load(Path(path).read_text()) if "lock" in path else tomllib.loads(Path(path).read_text())
            if any(os.path.lexists(Path(path).parent / text) for text in strings_of(table)):
                yield from everything()


def strings_of(table: Any) -> Iterator[str]:
    for value in table.values() if isinstance(table, dict) else table:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from strings_of(value)


def read_by_python(scripts: str, pack: Any) -> Iterator[str]:
    if re.search(r"pip install --no-cache-dir \.", scripts):
        yield from everything()
    for path in ("requirements.txt", "requirements3.txt"):
        if pack.binder_path(path) in scripts:
            text = Path(pack.binder_path(path)).read_text("utf-8-sig").replace("\\\n", "")
            yield from read_by_pip(text.splitlines(), Path(pack.binder_path(path)).parent)


def read_by_pip(lines: list[str], folder: Path, seen: tuple[str, ...] = ()) -> Iterator[str]:
    for line in lines:
        included = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*([^#\s]+)", line)
        if included and "://" not in included[1]:
            path = os.path.normpath(folder / included[1])
            if path.startswith(".."):
                yield from everything()
            elif Path(path).is_file() and path not in seen:
                yield path
                text = Path(path).read_text().replace("\\\n", "")
                yield from read_by_pip(text.splitlines(), Path(path).parent, (*seen, path))
        elif is_local_pip_requirement(line) and not included:
            named = re.fullmatch(r"\s*(?:-e\s)?\s*([\w./-]+)\s*", line)
            if not named or os.path.lexists(named[1]):  # of what is not there, nothing is read
                yield from everything()


# Commands that read what they name and nothing else; pip, conda and jupyter where no word is the path of a folder.
KNOWN = {
    "pip",
    "pip3",
    "conda",
    "mamba",
    "jupyter",
    "apt-get",
    "git",
    "export",
    "cp",
    "mv",
    "wget",
    "curl",
    "ls",
    "set",
}
NOTHING = {"echo", "mkdir", "rm", "chmod", "touch", "true", ":"}  # they read no file, whatever they name


def read_by_shell(text: str) -> Iterator[str]:
    """The files that a script reads, as bash's grammar has it."""
    if re.match(r"#!(?!.*sh\b)", text) or "<<" in text:  # in which bashlex gets lost if it does not end
        yield from everything()
        return
    try:
        code = re.sub(r"^\s*(#.*)?\n", "", text + "\n", flags=re.MULTILINE)  # with which bashlex is at odds
        trees = bashlex.parse(code) if code.strip() else []
    except Exception:  # noqa: BLE001  (bashlex does not know all of bash)
        yield from everything()
        return
    for tree in trees:
        for node in nodes(tree):
            if node.kind in (
                "commandsubstitution",
                "processsubstitution",
                "function",
                "if",
                "for",
                "while",
                "pipeline",
            ):
                yield from everything()
            elif node.kind == "command":
                words = [part.word for part in node.parts if part.kind == "word"]
                if words == ["exec", "$@"] or (words[:1] and words[0] in NOTHING):  # the server, at the end of start
                    continue
                if words and words[0] not in KNOWN:
                    yield from everything()
                yield from named_by(" ".join(words[:1]), words[1:])
            elif node.kind == "assignment":
                yield from named_by("assignment", [node.word.partition("=")[2]])


def nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for name in ("parts", "list", "command", "output"):
        below = getattr(tree, name, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "kind"):
                yield from nodes(each)


def named_by(command: str, words: list[str]) -> Iterator[str]:
    for number, word in enumerate(words):
        local = "://" not in word.replace("file://", "")
        if local and re.search(r"[$`*?]|(^|/)\.\.(/|$)|^\./?$|^~(/?$|\w)|file:", word):
            yield from everything()
        for part in {word, word.removeprefix("~/"), *re.split("[=@:]", word)}:
            path = os.path.normpath(part)
            if part and not path.startswith(("/", "..")) and os.path.lexists(path):
                yield from everything(path) if Path(path).is_dir() else [path]
                if command == "pip" and number and re.fullmatch(r"-\w*[rc]|--(req|con)\w*", words[number - 1]):
                    yield from read_by_pip(Path(path).read_text().splitlines(), Path())
                elif command in ("jupyter", "git", "assignment") or (command == "pip" and "/" in word):
                    yield from everything()


@pytest.mark.parametrize(
    ("files", "pack", "in_dockerfile"),
    [
        ({"runtime.txt": "r-4.3-2024-11-05", "install.R": 'library("x")'}, "RBuildPack", "2024-11-05T00"),
        ({"DESCRIPTION": "Package: x"}, "RBuildPack", "install_local"),
        ({"Project.toml": "[compat]\njulia = '~1.10'"}, "JuliaProjectTomlBuildPack", "1.10.9"),
        ({"REQUIRE": "PyPlot"}, "JuliaRequireBuildPack", "FROM"),
    ],
)
def test_the_dockerfile_of_r_and_julia_is_rendered(files: Files, pack: str, in_dockerfile: str) -> None:
    made = build(files)
    assert made.pack == pack
    assert in_dockerfile in made.dockerfile


def is_judged(pair_name: str) -> bool:
    return PAIRS[pair_name].launched == "old" and "\0" not in "".join(PAIRS[pair_name].files.values())


@pytest.mark.parametrize("part", range(8))
def test_of_every_pair_repo2docker_makes_the_same_environment_where_the_old_commit_is_launched(part: int) -> None:
    names = [name for name in PAIRS if is_judged(name)]
    assert len(names) > 400
    assert [name for name in names[part::8] if build(changed(name)) != build(PAIRS[name].files)] == []


def changed(pair_name: str) -> dict[str, str]:
    files, change, _ = PAIRS[pair_name]
    return {path: text for path, text in {**files, **change}.items() if text is not None}


# Any history

TEXTS: dict[str, list[str | None]] = {
    "environment.yml": [
        None,
        "dependencies: [numpy]",
        "dependencies: [scipy, pip: [-r r.txt]]",
        "dependencies: [./x]",
        "dependencies: [./src]",
    ],
    "requirements.txt": [None, *NARROW_REQUIREMENTS[:9], "-r r.txt", *BROAD_REQUIREMENTS[:9]],
    "r.txt": [None, "numpy", "-e .", "-r data.csv"],
    "postBuild": [None, *NARROW_SCRIPTS, *BROAD_SCRIPTS, "pip install -r r.txt", "cp data.csv /tmp", "cp -r src /tmp"],
    "binder/start": [None, None, None, *NARROW_SCRIPTS[:9], *BROAD_SCRIPTS[:9]],
    "Dockerfile": [None, None, None, "FROM x\nRUN pip install y\n", "FROM x\nCOPY . .\n", f"{LINK}gone"],
    ".jupyter/x.json": [None, None, "1", f"{LINK}../data.csv"],
    "setup.py": [None, None, "x"],
    ".condarc": [None, "channels: [x]", "channels: [y]"],
    "runtime.txt": [None, None, None, "r-4.4-2024-11-01", "r-4.3-2024-10-01", "python-3.11"],
    "install.R": [
        None,
        'install.packages("x")',
        'install.packages(c("x", "y"))',
        'source("src/pkg.py")',
        "devtools::install()",
    ],
    "DESCRIPTION": [None, None, None, None, "Package: x"],
    "Project.toml": [None, None, None, "[deps]\nA = '1'\n", "[compat]\njulia = '1.9'\n", "name = 'X'\n"],
    "REQUIRE": [None, None, None, None, "PyPlot"],
    "data.csv": ["1", "2", "numpy"],
    "src/pkg.py": ["1", "2"],
    "index.md": ["1", "2"],
}


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, str]]:
    """The files of commits in a row, each with one or two files changed; mostly those that are in the way."""
    kinds = draw(st.lists(st.sampled_from(sorted(TEXTS)), min_size=2, max_size=6, unique=True))
    kinds += ["data.csv", "src/pkg.py", "index.md"]
    files = {name: draw(st.sampled_from(TEXTS[name])) for name in kinds}
    history = [files]
    for _ in range(draw(st.integers(1, 5))):
        changed = draw(st.sampled_from([*kinds, "data.csv", "src/pkg.py", "index.md"]))
        history.append({**history[-1], changed: draw(st.sampled_from(TEXTS[changed]))})
    return [{name: text for name, text in each.items() if text is not None} for each in history]


@given(histories())
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_a_commit_that_is_launched_for_another_one_has_the_same_environment(history: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        repo = Repository(Path(directory))
        commits = imported(repo, [([n - 1] if n else [], files, 10**9 + n) for n, files in enumerate(history)])
        opened = Checkout.around(repo.path)
        assert opened
        with closing(opened):
            for number, commit in enumerate(commits):
                chosen = commits.index(find_environment(commit, opened).commit or "")
                if chosen != number:
                    assert build(history[number]) == build(history[chosen]), history[chosen]


# A shell's words

WORD = st.text("ab0~/.-=:@#,'\"[]$*? ", min_size=1, max_size=6)
COMMAND = st.lists(
    WORD | st.sampled_from(["#", " # ", "2>&1", "\\\n", ">a", ">/dev/null", "a'b'\"c\"", "x>y", "'a b'", "A=b"]),
    max_size=6,
).map(lambda words: " ".join(["pip install", *words]))
SCRIPTS = st.lists(
    st.tuples(COMMAND, st.sampled_from([";", "\n", " ;\n", "&&", "|", "||"])), min_size=1, max_size=3
).map(lambda parts: "".join(map("".join, parts)))


def words_of_bash(text: str) -> list[str] | None:
    """The arguments of all calls of pip, as bash itself makes them of a script; None if it is no script for it."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "log")
        Path(directory, "empty").mkdir()
        pip = f"pip() {{ printf '%s\\0' \"$@\" >> {log}; }}\n"
        command = ["bash", "--noprofile", "--norc", "-c", pip + text]
        done = subprocess.run(command, cwd=f"{directory}/empty", env={"HOME": "~"}, capture_output=True, check=False)
        if b"syntax error" in done.stderr or b"unexpected EOF" in done.stderr:
            return None
        return log.read_text().split("\0")[:-1] if log.exists() else []


@given(SCRIPTS)
@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@example("pip install a#b '#' \"x\" # z\n")
@example("pip install 'a b' 2>&1 \\\n g;pip install f")
@example("pip install '\" ':\n")
@example("pip install # \\\n >a;")
@example("pip install x=~/a ~/b y='c d'\n")
@example("pip install ~0/a\n")
@example("pip install x=~0/a y=b:~0/a z=~1.0\n")
def test_each_word_that_a_shell_passes_on_in_a_script_that_is_understood_is_looked_up(text: str) -> None:
    try:
        looked_up = _words(_shell_script(text))
    except _Broad:
        return
    passed = {part.strip().removeprefix("~/") for word in words_of_bash(text) or [] for part in _SEPARATORS.split(word)}
    assert passed - {"install", ""} <= looked_up


def test_the_shell_is_asked() -> None:
    assert words_of_bash("pip install 'a b' > x && pip y # z\n") == ["install", "a b", "y"]
    assert words_of_bash("pip (") is None
