"""Explain mistakes on the command line: tables of frequent ones, and functions over the arguments.

Each function returns what is wrong, and a hint what to write instead. An argument that may be a token is not repeated.
"""

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

# Other tools' words for clinder's commands.
_COMMANDS = {
    **dict.fromkeys(("launch", "up", "open", "create", "begin", "new"), "start"),
    **dict.fromkeys(("exec", "execute", "do"), "run"),
    **dict.fromkeys(("shutdown", "kill", "down", "end", "delete", "rm", "close"), "stop"),
    **dict.fromkeys(("ps", "ls", "info", "list", "show"), "status"),
    **dict.fromkeys(("completions", "complete"), "completion"),
    "version": "--version",
}

_LAUNCHING = ("start", "run")

# Options of other tools, and what to write instead.
_HUB = "The hub is written without an option: clinder {command} https://mybinder.org"
_REF = "Did you mean --ref?"
_OPTIONS = {
    "--local": "The embedded hub is written like a hub: clinder {command} local",
    **dict.fromkeys(("--hub", "--hub-url", "--url", "--binder", "--binder-url", "--server"), _HUB),
    **dict.fromkeys(("--branch", "--tag", "--commit", "--revision", "--rev", "--sha", "-b"), _REF),
    **dict.fromkeys(("--repository", "--git-repo", "-r"), "Did you mean --repo?"),
    **dict.fromkeys(("--fallback", "--fallbacks"), "Did you mean --fallback-hub?"),
    **dict.fromkeys(("--dryrun", "-n"), "Did you mean --dry-run?"),
    **dict.fromkeys(("--output", "-o"), "Did you mean --format?"),
    **dict.fromkeys(("--log", "--logfile"), "Did you mean --log-file?"),
    "--silent": "Did you mean --quiet?",
    "--token": "For a session: clinder stop URL TOKEN. For a hub: --build-token, or CLINDER_HUB_TOKEN for a login.",
    "--hub-token": "Other users can read a command line: set CLINDER_HUB_TOKEN, or name a file with --hub-token-file.",
    "--version": "Write: clinder --version",
    **dict.fromkeys(("--env", "-e"), "clinder sets no variables in a session."),
}

# The variables of the command line, without the prefix CLINDER_.
_VARIABLES = ("HUB", "HUB_TOKEN", "BUILD_TOKEN")

# How a missing command is usually installed.
_INSTALL = {
    "myst": "npm install -g mystmd, or pip install mystmd",
    "mystmd": "npm install -g mystmd, or pip install mystmd (its command is myst)",
    "jupyter": "pip install jupyter",
    "jupyter-book": "pip install jupyter-book",
    "jb": "pip install jupyter-book (its command is jupyter-book)",
    "jupyter-nbconvert": "pip install nbconvert",
    "nbconvert": "pip install nbconvert (its command is jupyter nbconvert)",
    "jupyter-lab": "pip install jupyterlab",
    "jupytext": "pip install jupytext",
    "papermill": "pip install papermill",
    "pytest": "pip install pytest",
    "sphinx-build": "pip install sphinx",
    "quarto": "https://quarto.org/docs/get-started/",
    "node": "https://nodejs.org/, or actions/setup-node in a workflow",
    "npm": "https://nodejs.org/, or actions/setup-node in a workflow",
    "npx": "https://nodejs.org/, or actions/setup-node in a workflow",
    "python": "Is it called python3 here?",
}

# Files that are no programs, and the command that runs them.
_INTERPRETERS = {
    ".ipynb": "--kernels -- jupyter execute --inplace",
    ".py": "-- python3",
    ".R": "-- Rscript",
    ".jl": "-- julia",
}

# Words of a shell that are no programs (POSIX, "Special Built-In Utilities", and cd, alias, umask).
SHELL_WORDS = {"cd", ".", "source", "export", "set", "unset", "alias", "eval", "exec", "umask", "pushd", "if", "for"}
_OPERATORS = re.compile(r"&&|\|\|?|;|[<>]|\$\(|`")


def explain_command(words: list[str], commands: Collection[str]) -> tuple[str, str]:
    """Explain a first argument that is no command."""
    word = words[0]
    if word == "--":
        return "no command before --", "Write: clinder run -- COMMAND"
    if word.removeprefix("--") == "local":
        return f"no command before {word}", "Write: clinder start local, or clinder run local -- COMMAND"
    if word.startswith("-"):
        return "options go after the command", "Write for instance: clinder start --repo org/repo"
    if word in _INSTALL:
        return f"{word} is no command of clinder", f"Write: clinder run -- {word} ..."
    if "://" in word or word.startswith("[!["):
        return (
            "no command before the address",
            "Write start, run, stop or status first: clinder start https://mybinder.org",
        )
    if re.fullmatch(r"[\w.-]{1,60}/[\w.-]{1,60}", word):
        return "no command before the repository", f"Write: clinder start --repo {word}"
    if not re.fullmatch("[A-Za-z-]{1,20}", word):
        return "unknown command", f"Expected one of {', '.join(commands)}."
    meant = _COMMANDS.get(word.lower()) or _nearest(word.lower(), commands)
    said = f"unknown command: {word}"
    return said, f"Did you mean: clinder {meant}?" if meant else f"Expected one of {', '.join(commands)}."


def explain_options(unknown: list[str], command: str, options: Mapping[str, Collection[str]]) -> tuple[str, str]:
    """Explain options that a command does not have; ``options`` has the options of each command."""
    names = [_option_name(word, options[command]) for word in unknown]
    said = f"unknown option: {', '.join(name or '(not shown, it may be a token)' for name in names)}"
    for name in filter(None, names):
        if hint := _OPTIONS.get(name):
            option = re.search(r"Did you mean (-[\w-]+)", hint)
            if not option or option[1] in options[command]:
                return said, hint.format(command=command)
        if others := [other for other, its in options.items() if name in its]:
            return said, f"{name} is an option of: {', '.join(others)}."
        if meant := _nearest(name.strip("-").lower(), [each[2:] for each in options[command] if each[:2] == "--"]):
            return said, f"Did you mean --{meant}?"
    return said, f"Try: clinder {command} --help"


def explain_dash(word: str, options: Collection[str]) -> tuple[str, str] | None:
    """Explain an option with a dash in place of its hyphens, as a text processor makes it; None for any other word."""
    match = re.match("[\u2012-\u2015]+-?([A-Za-z]+(?:-[A-Za-z]+)*)", word)
    if not match or f"--{match[1].lower()}" not in options:  # it may be a token
        return None
    return f"unknown option: {match[0]}", f"Did you mean --{match[1].lower()}, with two hyphens?"


def explain_arguments(unknown: list[str], command: str) -> tuple[str, str]:
    """Explain arguments that are too many for a command."""
    word = unknown[0]
    if command in _LAUNCHING and re.match("https?://", word):
        return "too many arguments", "More hubs are written as --fallback-hub URL, a repository as --repo URL."
    if command in _LAUNCHING and re.fullmatch(r"[\w.-]{1,60}/[\w.-]{1,60}", word):
        return "too many arguments", f"Did you mean --repo {word}?"
    if match := re.match(r"([a-z]+(?:-[a-z]+)*)=", word):
        return "too many arguments", f"An option begins with two hyphens: --{match[1][:30]}="
    return "too many arguments", f"Try: clinder {command} --help"


def _option_name(word: str, known: Collection[str]) -> str:
    """Return the name of an option without its value; an empty text if it does not look like an option."""
    if f"--{word.partition('=')[0].strip('-').lower()}" in known:  # --Repo, -repo
        return word.partition("=")[0]
    name = word.partition("=")[0] if word.startswith("--") else word[:2]
    return name if re.fullmatch("-[A-Za-z]|--[a-z]+(-[a-z]+)*", name) and len(name) <= 30 else ""


def _nearest(word: str, words: Collection[str]) -> str:
    """Return the only word that begins like this, or else the most similar one; empty if there is none."""
    begun = [each for each in words if each.startswith(word)]
    if begun:
        return begun[0] if len(begun) == 1 else ""
    return next(iter(get_close_matches(word, words, 1, cutoff=0.6)), "")


def explain_missing(words: list[str]) -> tuple[str, str]:
    """Explain a command of ``run`` that is not found."""
    first = words[0]
    if first in SHELL_WORDS:
        if first == "cd":
            return "cd is a word of the shell, not a program", "Write: cd DIRECTORY && clinder run -- COMMAND"
        return f"{first} is a word of the shell, not a program", f"Write: clinder run -- sh -c '{first} ...'"
    if re.fullmatch(r"[A-Za-z_]\w*=.*", first, re.DOTALL):
        name = first.partition("=")[0]
        return f"command not found: {name}=...", f"Write: clinder run -- env {name}=... COMMAND"
    parts = first.split()
    if len(parts) > 1:
        shown = " ".join(parts)
        if _OPERATORS.search(first) or parts[0] in SHELL_WORDS:
            return f"command not found: {shown}", f"That is for a shell. Write: clinder run -- sh -c {_quote(shown)}"
        return f"command not found: {shown}", f"Each word is an argument of its own. Write: clinder run -- {shown}"
    if first == "--":
        return "command not found: --", "Write the two hyphens once: clinder run -- COMMAND"
    if first.startswith("-"):
        return f"command not found: {first}", "That is an option. Write a command before it: clinder run -- COMMAND"
    return f"command not found: {first}", _how_to_install(first)


def _how_to_install(name: str) -> str:
    if "/" in name:
        return "No such file. A relative path begins in the current directory."
    if os.path.isfile(name):  # noqa: PTH113  (Path.is_file() raises an error for a long name)
        return how_to_run_file(name) or f"A file of this name is here. Write: clinder run -- ./{name}"
    if how := _INSTALL.get(name):
        return how if how.endswith("?") else f"Install it: {how}"
    return "Is it installed, and on the PATH of this environment?"


def explain_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable whose name is nearly that of a variable of clinder."""
    endings = sorted(name.removeprefix("CLINDER_") for name in environ if re.fullmatch("CLINDER_[A-Z_]{1,30}", name))
    return [
        f"warning: CLINDER_{ending} is no variable of clinder. Did you mean CLINDER_{meant}?"
        for ending in endings
        if ending not in _VARIABLES and (meant := _nearest(ending, _VARIABLES))
    ]


def how_to_run_file(name: str) -> str:
    """Return the command that runs a file of a language or a notebook; an empty text for any other file."""
    how = next((how for ending, how in _INTERPRETERS.items() if name.endswith(ending)), "")
    return how and f"Write: clinder run {how} {_quote(name)}"


def _quote(text: str) -> str:
    from shlex import quote

    return quote(text)
