"""The arguments of the command line: the parser, and what argparse can't tell apart. Imports nothing large."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from clinder import __version__
from clinder.cli.slips import explain_arguments, explain_command, explain_options
from clinder.duration import parse_duration
from clinder.errors import UsageError, more
from clinder.spec import DEFAULT_HUB, PROVIDERS, PUBLIC_HUBS

_EXAMPLES = {
    "": """\
examples:
  clinder run -- myst build --execute --html
  clinder run local -- myst build --execute --html

exit codes:
  0 done; 1 the hub refused for good; 2 usage; 3 the hub could not be reached or kept failing; 4 the deadline passed;
  5 run: the session was lost while the command ran; 130, 143 ended by SIGINT, SIGTERM; run: the command's own
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
    """Says what is wrong in three lines, and nothing of what may be a token."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"invalid choice: .*(?= \(choose)", "invalid choice", message)
        message = re.sub(r"(ignored explicit argument) .*", r"\1", message)
        self.refuse(message, f"Try: {self.prog} --help")

    def refuse(self, message: str, hint: str) -> NoReturn:
        """End with the lines of a wrong command line."""
        self.exit(2, f"{self.prog}: error: {message}\n{hint}\n{more('command-line')}\n")


def parse(parser: Parser, words: list[str]) -> argparse.Namespace:
    """Return what the words say. In ``command_line`` is what follows two hyphens, the command of run."""
    words, command_line = _split_command(_with_command_first(parser, words))
    args, unknown = parser.parse_known_args(_with_token_last(words))
    if args.name == "build" and not any(word.startswith("-") for word in unknown):
        args.hubs += unknown  # argparse takes only those before the first option
        unknown = []
    if unknown:
        _refuse(parser, args, unknown, command_line)
    args.command_line = command_line
    return args


def _refuse(parser: Parser, args: argparse.Namespace, unknown: list[str], command_line: list[str]) -> NoReturn:
    """End with what is wrong with words that no argument takes. No word is repeated, for each may be a token."""
    commands, name = commands_of(parser), args.name
    options = [word for word in unknown if word.startswith("-")]
    if name == "run" and not command_line and len(options) < len(unknown):
        # A word that is no hub is the command's first.
        hub = "local " if args.hub == "local" else "HUB " if "/" in (args.hub or "") else ""
        commands[name].refuse("two hyphens are missing before the command", f"Write: clinder run {hub}-- COMMAND")
    if options:
        theirs = {name: [*each._option_string_actions] for name, each in commands.items()}
        commands[name].refuse(*explain_options(options, name, theirs))
    commands[name].refuse(*explain_arguments(unknown, name))


def _with_command_first(parser: Parser, words: list[str]) -> list[str]:
    """Return the words with a command first, or an option that needs none. Ends with what is wrong otherwise."""
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
    """Split what run is to run from the rest: argparse would take the command's first word for HUB."""
    if words[:1] != ["run"] or "--" not in words:
        return words, []
    split = words.index("--")
    return words[:split], words[split + 1 :]


def _with_token_last(words: list[str]) -> list[str]:
    """Return the words with SESSION and TOKEN behind two hyphens: one token in 64 begins with a hyphen."""
    if words[:1] not in (["stop"], ["status"]) or len(words) < 3 or words[1].startswith("-"):
        return words
    command, session, token, *rest = words
    if "token=" in session or token.partition("=")[0] in ("-h", "--help", "--json", "--format"):
        return words
    return [command, *rest, "--", session, token]


def make_parser() -> Parser:
    """Return the parser of all commands; ``name`` of what it parses is the command's."""
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
        "run a command on a session, and stop the session whatever happens",
        usage="clinder run [HUB] [options] -- COMMAND ...",
    )
    _add_launch_options(run)
    run.add_argument(
        "--kernels",
        action="store_true",
        help="let COMMAND start kernels in the session by their names, as if they were here (nbconvert ...)",
    )
    run.add_argument(
        "--attempts",
        type=_count,
        default=1,
        metavar="N",
        help="how many sessions may be used: a new one is started, and COMMAND run again, after one that was lost "
        "while COMMAND ran, not after a COMMAND that failed (default: 1)",
    )
    run.add_argument("--json", action="store_const", const="json", dest="format", help="with --dry-run: as an object")
    build = add("build", "make sure that hubs have the image, and keep no session", "clinder build [HUB ...] [options]")
    _add_image_options(build)
    _add_format(build, ["text", "json"], "what to print: a table or an object")
    _add_session(add("stop", "stop a session; one that is gone already is no error"))
    status = add("status", "say whether a session runs, since when, and how busy it is")
    _add_session(status)
    _add_format(status, ["text", "json"], "what to print")
    completion = add("completion", "print the code that makes a shell complete clinder's commands")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


def _known_addresses() -> list[str]:
    """Return the addresses of hubs that a person may mean here."""
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
    command.add_argument("token", nargs="?", metavar="TOKEN", help="the token, when SESSION has none")


def _add_image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "hubs",
        nargs="*",
        metavar="HUB",
        help="the URL of a BinderHub that is to have the image; the first may be a launch link "
        f"(default: $CLINDER_HUB, the hub in myst.yml, else {DEFAULT_HUB})",
    )
    command.add_argument(
        "--all-members",
        action="store_true",
        help="for each HUB that is the front door of a federation: all its members, each of which has its own images",
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
        help="where to go when the hub is down, full, limits the rate or bans the network; may be repeated",
    )
    _add_options(command, "the deadline for everything until the session runs, retries included")


def _add_options(command: argparse.ArgumentParser, deadline: str) -> None:
    command.add_argument(
        "--repo",
        "--github-repo",
        metavar="REPO",
        help="org/repo, a URL, or a DOI (default: the launch link's, what CI builds, that of myst.yml or the checkout)",
    )
    command.add_argument(
        "--ref",
        "--github-ref",
        metavar="REF",
        help="a branch, tag or commit (default: HEAD; where the repository was not given, the commit that is built)",
    )
    _add_completed(
        command,
        PROVIDERS.keys,
        "--provider",
        metavar="NAME",
        help=f"how to read REPO: {', '.join(PROVIDERS)} (default: as REPO looks, else gh)",
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
        help="exempts from the hub's rate limit (default: $CLINDER_BUILD_TOKEN, which others on the machine don't see)",
    )
    command.add_argument(
        "--hub-token-file",
        metavar="PATH",
        help="for a hub with a login: a file with an API token of its JupyterHub (default: $CLINDER_HUB_TOKEN)",
    )
    command.add_argument(
        "--reuse-image",
        action="store_true",
        help="launch the newest commit that changed the environment, whose image the hub most likely has",
    )
    command.add_argument(
        "--no-remote-extends",
        dest="remote_extends",
        action="store_false",
        help="when nothing names a hub, don't look for it in the files of the web that myst.yml extends",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be launched where, and why; no request is made (with --json as an object)",
    )
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("-q", "--quiet", action="store_true", help="show neither phases nor the build's log")
    shown.add_argument(
        "-v", "--verbose", action="store_true", help="show the build's log on a terminal, too, and not only if it fails"
    )
    command.add_argument("--log-file", metavar="PATH", help="write phases and the build's log to this file, too")


def _add_completed(
    command: argparse.ArgumentParser, words: Callable[[], Iterable[str]], name: str, **options: Any
) -> None:
    """Add an argument whose value the shell completes to one of the words; any other is fine as well."""
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
