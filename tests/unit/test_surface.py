"""What is seen of clinder from outside: names, errors, help, what it imports, how a shell completes it."""

import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from shutil import which
from types import ModuleType

import pytest

import clinder as package
from clinder import BinderHub, ClinderError, Event, Session, UsageError, errors
from clinder.spec import PROVIDERS
from tests.conftest import Clinder

COMMANDS = ["start", "stop", "status", "run", "build", "completion"]


# Names


@pytest.mark.parametrize("name", package.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(package, name) is not None
    assert name in dir(package)


def test_all_public_names_are_imported_by_a_star() -> None:
    names: dict[str, object] = {}
    exec("from clinder import *", names)
    assert set(package.__all__) <= set(names)


def test_all_errors_are_public() -> None:
    found = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, ClinderError)}
    assert found <= set(package.__all__)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'BinderHubb'"):
        _ = package.BinderHubb


def test_the_package_says_that_it_is_typed() -> None:
    assert files("clinder").joinpath("py.typed").is_file()


def modules() -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.iter_modules(package.__path__):
        if found.name != "__main__":
            yield import_module(f"clinder.{found.name}")


def public_things() -> Iterator[tuple[str, object]]:
    """Yield the public modules, and the public functions, classes and methods that they define."""
    for module in modules():
        yield module.__name__, module
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for attribute, member in vars(value).items():
                    if attribute.startswith("_"):
                        continue
                    member = getattr(member, "__func__", member)
                    if inspect.isfunction(member) or isinstance(member, property):
                        yield f"{module.__name__}.{name}.{attribute}", member


THINGS = dict(public_things())


@pytest.mark.parametrize("name", THINGS)
def test_what_is_public_is_documented(name: str) -> None:
    assert (getattr(THINGS[name], "__doc__", None) or "").strip()


# Errors


def drawn() -> list[tuple[str, str | None, int | None]]:
    """Return the tree in the docstring of errors.py: each class, the class above it, and its exit code."""
    rows: list[tuple[str, str | None, int | None]] = []
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([\u2502\u251c\u2514\u2500 ]*)([A-Z]\w+)(?: +(\d))?(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            rows.append((match[2], above[depth - 1] if depth else None, int(match[3]) if match[3] else None))
    return rows


def test_the_tree_of_errors_has_all_of_them() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert {name for name, _, _ in drawn()} == classes


@pytest.mark.parametrize(("name", "parent", "code"), drawn())
def test_the_tree_of_errors_is_drawn_as_it_is(name: str, parent: str | None, code: int | None) -> None:
    error: type[ClinderError] = getattr(errors, name)
    assert error.__bases__[0].__name__ == (parent or "Exception")
    if code is not None:
        assert error.exit_code == code


def test_a_usage_error_is_a_value_error_as_well() -> None:
    with pytest.raises(ValueError, match="Not a repository"):
        package.RepoSpec("no slash")


def test_an_error_says_what_happened_and_what_to_do() -> None:
    assert str(UsageError("It is so.", "Do this.")) == "It is so.\nDo this."
    assert str(UsageError("It is so.")) == "It is so."


# Secrets


@pytest.mark.parametrize(
    "thing",
    [
        Session("https://hub.example.org/user/x/", "secret"),
        BinderHub("https://hub.example.org/", build_token="secret"),
        Event("ready", "here", {"token": "secret"}),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_shown_of_a_thing_has_no_token(thing: object) -> None:
    assert "secret" not in f"{thing} {thing!r} {[thing]}"


# What is imported

HEAVY = {"requests", "urllib3", "sseclient", "subprocess", "jupyter_server"}
WATCHED = "import sys\ntry:\n    {}\nfinally:\n    print(*sys.modules, file=sys.stderr)"


@pytest.mark.parametrize("code", ["import clinder", "from clinder import RepoSpec, UsageError, __version__"])
def test_names_that_need_no_network_import_nothing_heavy(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED.format(code)], capture_output=True, text=True, check=True)
    assert "clinder" in done.stderr.split()
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["start", "--help"], ["start", "--no-such"]])
def test_what_needs_no_network_imports_nothing_heavy(words: list[str]) -> None:
    code = WATCHED.format(f"sys.argv = ['clinder', *{words!r}]; from clinder.cli import main; main()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    imported = set(done.stderr.split())
    assert "clinder.cli" in imported
    assert not HEAVY & imported


# The command line


def test_the_version_is_printed(clinder: Clinder) -> None:
    done = clinder("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"clinder {package.__version__}\n", "")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_every_command_has_an_example_that_the_command_line_takes(clinder: Clinder, command: str) -> None:
    from clinder.cli.arguments import make_parser, parse

    done = clinder(*filter(None, [command]), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    _, _, examples = re.split(r"(?m)^(examples?\b.*:)$", done.stdout, maxsplit=1)
    lines = re.findall(r"clinder ((?:start|stop|status|run|build|completion)\b[^\n|&;<>)]*)", examples)
    assert command in [line.split()[0] for line in lines] or (not command and lines)
    for line in lines:
        words = shlex.split(line)
        assert parse(make_parser(), words).name == words[0]


def test_the_help_names_all_commands_and_exit_codes(clinder: Clinder) -> None:
    text = clinder("--help").stdout
    assert [command for command in COMMANDS if not re.search(rf"(?m)^    {command}\s", text)] == []
    for code in {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}:
        assert re.search(rf"\b{code}\b", text[text.index("exit codes") :])


@pytest.mark.parametrize("words", [["start", "--no-such"], ["stop", "a", "b", "c"], ["completion"]])
def test_a_wrong_command_line_is_three_lines_and_exit_code_2(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"clinder.*: error: .+\nTry: clinder.* --help\nMore: https://\S+#command-line\n", done.stderr)


# Completion, by the protocol of argcomplete: the line in the environment, what it may become on file descriptor 8


def completions(clinder: Clinder, line: str) -> set[str]:
    env = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m clinder 8>&1 9>/dev/null >/dev/null', sys.executable],
        env=clinder.env | env,
        cwd=clinder.directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return {word.strip() for word in done.stdout.split("\n")}


def test_commands_are_completed(clinder: Clinder) -> None:
    assert set(COMMANDS) <= completions(clinder, "clinder ")
    assert completions(clinder, "clinder st") == {"start", "stop", "status"}
    assert completions(clinder, "clinder r") == {"run"}
    assert completions(clinder, "clinder b") == {"build"}


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_completed(clinder: Clinder, command: str) -> None:
    said = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", clinder(command, "--help").stdout.partition("\nexample")[0]))
    assert completions(clinder, f"clinder {command} --") == said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("clinder start --format ", {"uri", "json", "env"}),
        ("clinder start --format j", {"json"}),
        ("clinder status --format ", {"text", "json"}),
        ("clinder build --format ", {"text", "json"}),
        ("clinder completion ", {"bash", "zsh", "fish"}),
        ("clinder start lo", {"local"}),
        ("clinder run http", {"https://mybinder.org/", "https://binder.projectpythia.org/"}),
        ("clinder start --fallback-hub ", {"https://mybinder.org/", "https://binder.projectpythia.org/"}),
        ("clinder start --provider ", set(PROVIDERS)),
        ("clinder run --provider z", {"zenodo"}),
    ],
)
def test_values_are_completed(clinder: Clinder, line: str, words: set[str]) -> None:
    assert words <= completions(clinder, line) <= words | {"-h", "--help"}


def test_the_hubs_of_the_environment_and_of_myst_yml_are_completed_first(clinder: Clinder) -> None:
    (clinder.directory / "myst.yml").write_text("project: {binder: 'https://hub.example.org/binder'}")
    clinder.env["CLINDER_HUB"] = "https://hub.example.edu/"
    named = {"https://hub.example.org/binder/", "https://hub.example.edu/"}
    assert named <= completions(clinder, "clinder start ")
    (clinder.directory / "myst.yml").write_text("project: [")
    assert "local" in completions(clinder, "clinder start ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_a_shell_is_code_of_that_shell(clinder: Clinder, shell: str) -> None:
    done = clinder("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_ARGCOMPLETE" in done.stdout
    if which(shell) is None:
        pytest.skip(f"{shell} is not there to check it")
    subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True, timeout=60)


@pytest.mark.skipif(which("bash") is None, reason="bash is not there")
def test_bash_completes_a_command_with_that_code(clinder: Clinder) -> None:
    script = """
        eval "$(clinder completion bash)"
        complete -p clinder >/dev/null || exit 1
        COMP_LINE="clinder completion z" COMP_POINT=20 COMP_TYPE=9 COMP_WORDS=(clinder completion z) COMP_CWORD=2
        _python_argcomplete clinder
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([sysconfig.get_path("scripts"), clinder.env["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        env=clinder.env | {"PATH": path},
        cwd=clinder.directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "zsh"), done.stderr
