"""The arguments of the command line: the parser, and what argparse can't tell apart. Imports nothing large."""

import argparse
import os
import re
from contextlib import suppress
from typing import NoReturn

from clinder import __version__
from clinder.spec import DEFAULT_HUB, PROVIDERS

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


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in two lines, and nothing of what may be a token."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"invalid choice: .*(?= \(choose)", "invalid choice", message)
        message = re.sub(r"(ignored explicit argument) .*", r"\1", message)
        self.exit(2, f"{self.prog}: error: {message}\nTry: {self.prog} --help\n")


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Return what the words say. In ``command_line`` is what follows two hyphens, the command of run."""
    words, command_line = _split_command(words)
    args, unknown = parser.parse_known_args(_with_token_last(words))
    if args.name == "build" and not any(word.startswith("-") for word in unknown):
        args.hubs += unknown  # argparse takes only those before the first option
        unknown = []
    if unknown:
        options = [re.split("=|(?<=^-[^-])", word)[0] for word in unknown if word.startswith("-")]
        what = f"unknown option: {', '.join(options)}" if options else "too many arguments"
        if args.name == "run" and not command_line:
            # A word that is no hub is the command's first; no word is repeated, for each may be a token.
            hub = "local " if args.hub == "local" else "HUB " if "/" in (args.hub or "") else ""
            where = f"clinder run {hub}-- COMMAND"
            if len(options) < len(unknown):
                what = f"two hyphens are missing before the command: {where}"
            else:
                what += f" (the command to run goes after two hyphens: {where})"
        parser.error(what)
    args.command_line = command_line
    return args


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


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; ``name`` of what it parses is the command's."""
    parser = _Parser(
        prog="clinder",
        description="Start a Jupyter Server on a BinderHub, hand over its URL and token, and shut it down again.",
        epilog=_EXAMPLES[""],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clinder {__version__}")
    commands = parser.add_subparsers(title="commands", dest="name", metavar="COMMAND", required=True)

    def add(name: str, summary: str, usage: str | None = None) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=_EXAMPLES[name],
            usage=usage,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(quiet=False)
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
    command.add_argument(
        "hub",
        nargs="?",
        metavar="HUB",
        help="a BinderHub's URL, a launch link (https://hub/v2/gh/org/repo/ref), or local, the embedded hub "
        f"(default: $CLINDER_HUB, the hub in myst.yml, else {DEFAULT_HUB})",
    )
    command.add_argument(
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
    command.add_argument(
        "--provider", metavar="NAME", help=f"how to read REPO: {', '.join(PROVIDERS)} (default: as REPO looks, else gh)"
    )
    command.add_argument(
        "--timeout",
        type=_duration,
        metavar="SECONDS",
        help=f"{deadline} (default: 1800)",
    )
    command.add_argument(
        "--build-token",
        metavar="TOKEN",
        default=os.environ.get("CLINDER_BUILD_TOKEN"),
        help="exempts from the hub's rate limit (default: $CLINDER_BUILD_TOKEN, which others on the machine don't see)",
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
    command.add_argument("-q", "--quiet", action="store_true", help="show neither phases nor the build's log")


def _add_format(command: argparse.ArgumentParser, formats: list[str], summary: str) -> None:
    command.add_argument("--format", choices=formats, default=formats[0], help=f"{summary} (default: {formats[0]})")
    command.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and (number := int(text[:9])) > 0:
        return number
    raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")


def _duration(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, not {text!r}")
