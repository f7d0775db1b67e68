"""The arguments of the command line: the parser, and changes to arguments that argparse can't parse.

This module imports nothing that is slow to import.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from clinder import __version__
from clinder.cli.slips import explain_arguments, explain_command, explain_dash, explain_options
from clinder.duration import parse_duration
from clinder.errors import UsageError, more
from clinder.spec import DEFAULT_HUB, PROVIDERS, PUBLIC_HUBS

_EXAMPLES = {
    "": """\
examples:
  clinder run -- myst build --execute --html
  clinder run local -- myst build --execute --html

exit codes:
  0         done
  1         the hub's answer is final (for example, the build failed), or the session has ended
  2         an argument can't be understood
  3         the hub or the session could not be reached, or kept failing
  4         the deadline passed
  5         run: the session was lost before COMMAND had succeeded
  130, 143  ended by SIGINT, SIGTERM
  others    run: the exit code of COMMAND
""",
    "start": """\
example:
  session=$(clinder start https://mybinder.org --repo org/repo --ref main --format env)
  eval "$session"
  myst build --execute --html
  clinder stop
""",
    "run": """\
examples:
  clinder run https://mybinder.org --repo org/repo --ref main -- myst build --execute --html
  clinder run --reuse-image -- myst build --execute --html
""",
    "build": """\
examples:
  clinder build https://binder.projectpythia.org https://mybinder.org --repo org/repo --ref main
  clinder build --all-members --json
""",
    "stop": """\
examples:
  clinder stop 'https://hub.example.org/user/x/?token=...'
  uri=$(clinder start --repo org/repo) && printf %s "$uri" | clinder stop -
""",
    "status": """\
example:
  clinder status 'https://hub.example.org/user/x/?token=...' --json
""",
    "completion": """\
example, for ~/.bashrc:
  eval "$(clinder completion bash)"
""",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors have three lines, and do not repeat an argument that may be a token."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"invalid choice: .*(?= \(choose)", "invalid choice", message)
        message = re.sub(r"(ignored explicit argument) .*", r"\1", message)
        self.refuse(message, f"Try: {self.prog} --help")

    def refuse(self, message: str, hint: str) -> NoReturn:
        """End the process with an error about the command line."""
        self.exit(2, f"{self.prog}: error: {message}\n{hint}\n{more('command-line')}\n")


def parse(parser: Parser, words: list[str]) -> argparse.Namespace:
    """Return the parsed arguments. ``command_line`` has the words after two hyphens: the command of run."""
    words, command_line = _split_command(_with_command_first(parser, words))
    options = {option for each in commands_of(parser).values() for option in each._option_string_actions}
    for mistake in filter(None, (explain_dash(word, options) for word in words)):
        parser.refuse(*mistake)
    args, unknown = parser.parse_known_args(_with_token_last(_with_unit_joined(words)))
    if args.name == "build" and not any(word.startswith("-") for word in unknown):
        args.hubs += unknown  # argparse takes only the hubs before the first option
        unknown = []
    if unknown:
        _refuse(parser, args, unknown, command_line)
    args.command_line = command_line
    return args


def _refuse(parser: Parser, args: argparse.Namespace, unknown: list[str], command_line: list[str]) -> NoReturn:
    """End the process with an error about unknown arguments. None is repeated, because each may be a token."""
    commands, name = commands_of(parser), args.name
    options = [word for word in unknown if word.startswith("-")]
    if name == "run" and not command_line and len(options) < len(unknown):
        # A word that is no hub is the first word of the command.
        hub = "local " if args.hub == "local" else "HUB " if "/" in (args.hub or "") else ""
        commands[name].refuse("two hyphens are missing before the command", f"Write: clinder run {hub}-- COMMAND")
    if options:
        theirs = {name: [*each._option_string_actions] for name, each in commands.items()}
        commands[name].refuse(*explain_options(options, name, theirs))
    commands[name].refuse(*explain_arguments(unknown, name))


def _with_command_first(parser: Parser, words: list[str]) -> list[str]:
    """Return words that begin with a command, or with an option that needs none. Otherwise end with an error."""
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(2)
    commands = commands_of(parser)
    if words[0] == "help":
        return [*words[1:2], "--help"] if set(words[1:2]) <= {*commands} else _with_command_first(parser, words[1:])
    if words in (["-v"], ["-V"]):
        return ["--version"]
    if words[0] not in {*commands, "-h", "--help", "--version"}:
        parser.refuse(*explain_command(words, commands))
    return words


def commands_of(parser: Parser) -> dict[str, Parser]:
    """Return the parser of each command."""
    [commands] = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def _split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """Split the command of run from the rest, because argparse would take its first word for HUB."""
    if words[:1] != ["run"] or "--" not in words:
        return words, []
    split = words.index("--")
    return words[:split], words[split + 1 :]


def _with_unit_joined(words: list[str]) -> list[str]:
    """Return the words with "--timeout 20 min" as two words, so that the error about the duration shows both parts."""
    for place, word in enumerate(words[2:], 2):
        if words[place - 2] == "--timeout" and re.fullmatch(r"(?:h|m|s|hours?|min|minutes?|sec|seconds?)", word):
            return [*words[: place - 1], f"{words[place - 1]} {word}", *words[place + 1 :]]
    return words


def _with_token_last(words: list[str]) -> list[str]:
    """Return the words with SESSION and TOKEN after two hyphens, because one token in 64 begins with a hyphen."""
    if words[:1] not in (["stop"], ["status"]) or len(words) < 3 or words[1].startswith("-"):
        return words
    command, session, token, *rest = words
    if "token=" in session or token.partition("=")[0] in ("-h", "--help", "--json", "--format"):
        return words
    return [command, *rest, "--", session, token]


def make_parser() -> Parser:
    """Return the parser of all commands. In the parsed arguments, ``name`` is the name of the command."""
    parser = Parser(
        prog="clinder",
        description="Start a Jupyter Server on a BinderHub, hand over its URL and token, and shut it down again.",
        epilog=_EXAMPLES[""],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clinder {__version__}")
    commands = parser.add_subparsers(title="commands", dest="name", metavar="COMMAND", required=True)

    def add(name: str, summary: str, usage: str | None = None) -> Parser:
        command: Parser = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=_EXAMPLES[name],
            usage=usage,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(quiet=False, verbose=False, log_file=None, format=None)
        return command

    start = add("start", "start a session and print its address")
    _add_launch_options(start)
    _add_format(start, ["uri", "json", "env"], "what to print: one line with the token in it, an object, or shell code")
    run = add(
        "run",
        "start a session, run a command on it, and always stop the session at the end",
        usage="clinder run [HUB] [options] -- COMMAND ...",
    )
    _add_launch_options(run)
    run.add_argument(
        "--kernels",
        action="store_true",
        help="offer the session's kernels to COMMAND as if they were on this machine (for nbconvert, papermill ...)",
    )
    run.add_argument(
        "--attempts",
        type=_count,
        default=1,
        metavar="N",
        help="how many sessions to use at most: when a session is lost while COMMAND runs, start a new one and run "
        "COMMAND again. A COMMAND that fails is not run again (default: 1)",
    )
    run.add_argument(
        "--json", action="store_const", const="json", dest="format", help="with --dry-run: print a JSON object"
    )
    build = add("build", "make sure that hubs have the image, and keep no session", "clinder build [HUB ...] [options]")
    _add_image_options(build)
    _add_format(build, ["text", "json"], "what to print: a table or an object")
    _add_session(add("stop", "stop a session; it is no error if it has already ended"))
    status = add("status", "show whether a session runs, since when, and how busy it is")
    _add_session(status)
    _add_format(status, ["text", "json"], "what to print")
    completion = add("completion", "print the script with which a shell completes clinder's commands")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


def _known_addresses() -> list[str]:
    """Return URLs of hubs for completion."""
    from clinder.target.myst import find_myst

    named = [os.environ.get("CLINDER_HUB", "")]
    with suppress(OSError, UsageError):
        found = find_myst(Path.cwd())
        named.append((found.hub() if found else "") or "")
    return [hub for hub in dict.fromkeys([*named, *PUBLIC_HUBS]) if hub not in ("", "local")]


def _known_hubs() -> list[str]:
    return ["local", *_known_addresses()]


def _add_session(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "session",
        nargs="?",
        metavar="SESSION",
        help="a URI with its token; a URL, followed by TOKEN; or - for a URI or start's JSON on standard input "
        "(default: $JUPYTER_BASE_URL and $JUPYTER_TOKEN)",
    )
    command.add_argument("token", nargs="?", metavar="TOKEN", help="the token, if SESSION does not contain it")


def _add_image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "hubs",
        nargs="*",
        metavar="HUB",
        help="the URL of a BinderHub that builds the image; the first may be a launch link "
        f"(default: $CLINDER_HUB, the hub in myst.yml, else {DEFAULT_HUB})",
    )
    command.add_argument(
        "--all-members",
        action="store_true",
        help="build on all members of the federation that a HUB belongs to, because each member has its own images",
    )
    _add_options(command, "the deadline for each hub, retries included")


def _add_launch_options(command: argparse.ArgumentParser) -> None:
    _add_completed(
        command,
        _known_hubs,
        "hub",
        nargs="?",
        metavar="HUB",
        help="a BinderHub's URL, a launch link (https://hub/v2/gh/org/repo/ref), or local, the embedded hub "
        f"(default: $CLINDER_HUB, the hub in myst.yml, else {DEFAULT_HUB})",
    )
    _add_completed(
        command,
        _known_addresses,
        "--fallback-hub",
        action="append",
        default=[],
        dest="fallback_hubs",
        metavar="URL",
        help="another hub, for when the first is down, full, limits the rate or bans the network; may be repeated",
    )
    _add_options(command, "the deadline for the whole launch, retries included")


def _add_options(command: argparse.ArgumentParser, deadline: str) -> None:
    command.add_argument(
        "--repo",
        "--github-repo",
        metavar="REPO",
        help="org/repo, a URL, or a DOI (default: the one of the launch link, CI, myst.yml or the checkout)",
    )
    command.add_argument(
        "--ref",
        "--github-ref",
        metavar="REF",
        help="a branch, tag or commit (default: with --repo HEAD, else the one of the launch link, CI, myst.yml or the "
        "checkout)",
    )
    _add_completed(
        command,
        PROVIDERS.keys,
        "--provider",
        metavar="NAME",
        help=f"how to read REPO: {', '.join(PROVIDERS)} (default: recognised from REPO, else gh)",
    )
    command.add_argument(
        "--timeout",
        type=_duration,
        metavar="DURATION",
        help=f"{deadline}: 20m, 90s, 1h30m, or a number of seconds (default: 1800)",
    )
    command.add_argument(
        "--build-token",
        metavar="TOKEN",
        default=os.environ.get("CLINDER_BUILD_TOKEN"),
        help="lifts the hub's rate limit (default: $CLINDER_BUILD_TOKEN, which other users of the machine can't see)",
    )
    command.add_argument(
        "--hub-token-file",
        metavar="PATH",
        help="for a hub with a login: a file with an API token of its JupyterHub (default: $CLINDER_HUB_TOKEN)",
    )
    command.add_argument(
        "--reuse-image",
        action="store_true",
        help="launch the newest commit that changed the environment, because the hub most likely has its image",
    )
    command.add_argument(
        "--no-remote-extends",
        dest="remote_extends",
        action="store_false",
        help="do not look for the hub in files on the web that myst.yml extends",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be launched, where and why, and make no request (with --json as a JSON object)",
    )
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("-q", "--quiet", action="store_true", help="show neither phases nor the build's log")
    shown.add_argument(
        "-v", "--verbose", action="store_true", help="always show the build's log on a terminal, not only if it fails"
    )
    command.add_argument("--log-file", metavar="PATH", help="also write phases and the build's log to this file")


def _add_completed(
    command: argparse.ArgumentParser, words: Callable[[], Iterable[str]], name: str, **options: Any
) -> None:
    """Add an argument whose value a shell completes to one of the words. Other values are also accepted."""
    action: Any = command.add_argument(name, **options)
    action.completer = lambda **_: words()


def _add_format(command: argparse.ArgumentParser, formats: list[str], summary: str) -> None:
    command.add_argument("--format", choices=formats, default=formats[0], help=f"{summary} (default: {formats[0]})")
    command.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and (number := int(text[:9])) > 0:
        return number
    raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message[0].lower()}{error.message[1:]}. {error.hint}") from None
