"""The command line: parses, calls, prints. What it decides itself is only where words, signals and exit codes go.

Standard output carries the result and nothing else; everything that a person watches goes to standard error.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clinder import __version__
from clinder._signals import Signalled, Signals
from clinder.errors import BuildFailed, ClinderError, SessionError, UsageError
from clinder.spec import DEFAULT_HUB, PROVIDERS, RepoSpec

if TYPE_CHECKING:  # these import an HTTP library, for which neither --version nor --help should wait
    from clinder.hub import BinderHub
    from clinder.launch.events import Event
    from clinder.session import Session
    from clinder.target.target import Target

# After a signal, a command gets so many seconds to end before it is killed: a GitHub runner kills everybody after ten.
_COMMAND_GRACE = 4.0
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as a shell says it


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with these words, or those of the process, and exit."""
    parser = _parser()
    _open_streams()
    if "_ARGCOMPLETE" in os.environ:  # it is the shell that asks, not a person
        import argcomplete

        argcomplete.autocomplete(parser)
    args = _parse(parser, list(sys.argv[1:] if argv is None else argv))
    try:
        code = args.call(args, Signals())
    except BuildFailed as error:
        # The log is right above, unless nobody was to see it.
        _say(f"error: {error}" if args.quiet else f"error: {error.message}\n{error.hint}")
        code = error.exit_code
    except ClinderError as error:
        _say(f"error: {error}")
        code = error.exit_code
    except Signalled as signalled:
        code = 128 + signalled.number
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries once more, and complains
    sys.exit(code)


# The commands


def _start(args: argparse.Namespace, signals: Signals) -> int:
    from clinder.session import give_up

    if sys.stdout is None:
        raise ClinderError("Standard output is closed: the session's address could not be written.")
    with _launched(args, signals) as session:
        try:
            signals.check()
            _write(_FORMATS[args.format](session))
        except ClinderError as error:
            raise ClinderError(f"The session's address: {error.message}", give_up(session)) from None
        except BaseException:
            _say(give_up(session))
            raise
    return 0


def _run(args: argparse.Namespace, signals: Signals) -> int:
    from shutil import which

    if not args.words:
        raise UsageError("No command to run.", "Expected it after two hyphens: clinder run -- myst build --execute")
    if which(args.words[0]) is None:
        _say(f"error: command not found: {args.words[0]}")
        return _NOT_FOUND
    with _launched(args, signals) as session:
        code = 1
        try:
            code = _call(args.words, session.env, signals)
        finally:
            signals.hold()  # the next one would end the stopping
            try:
                session.stop()
            except SessionError as error:
                if code == 0:
                    raise
                _say(f"warning: the session was not stopped. {error}")  # the command's failure matters more
    signals.check()
    return code


def _call(words: list[str], env: dict[str, str], signals: Signals) -> int:
    """Run a command to its end and return its exit code; pass on the signal that ends clinder before."""
    import subprocess

    signals.check()
    if _is_foreground():  # Ctrl-C in a terminal reaches the command as well, and what it means is the command's to say
        signals.spare_interrupt()
    try:
        process = subprocess.Popen(words, env={**os.environ, **env})
    except OSError as error:  # a script without its first line, or with an interpreter that is not here
        _say(f"error: {words[0]} could not be run: {error.strerror}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    try:
        signals.release()
        code = process.wait()
    except Signalled as signalled:
        process.send_signal(signalled.number)
        try:
            process.wait(_COMMAND_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    return code if code >= 0 else 128 - code


def _is_foreground() -> bool:
    try:
        with Path("/dev/tty").open("rb") as terminal:  # standard input may be a file
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _stop(args: argparse.Namespace, signals: Signals) -> int:
    session = _session(args)
    signals.promise()
    signals.hold()
    _say(f"stopped {session.url}" if session.stop() else f"already gone: {session.url}")
    signals.check()
    return 0


def _status(args: argparse.Namespace, signals: Signals) -> int:  # noqa: ARG001
    from clinder.text import escape_ci_commands

    status = _session(args).status()
    text = (
        f"running since {status.started}, last active {status.last_activity}, "
        f"kernels: {status.kernels}, connections: {status.connections}"
    )
    _write(json.dumps(status._asdict()) if args.format == "json" else escape_ci_commands(text))
    return 0


def _completion(args: argparse.Namespace, signals: Signals) -> int:  # noqa: ARG001
    from argcomplete.shell_integration import shellcode

    _write(shellcode(["clinder"], shell=args.shell))
    return 0


def _as_env(session: "Session") -> str:
    from shlex import quote

    return "export " + " ".join(f"{name}={quote(value)}" for name, value in session.env.items())


_FORMATS: dict[str, Callable[["Session"], str]] = {
    "uri": lambda session: session.uri,
    "json": lambda session: json.dumps(session.as_dict()),
    "env": _as_env,
}


@contextmanager
def _launched(args: argparse.Namespace, signals: Signals) -> Iterator["Session"]:
    """Launch what the arguments say and show how that goes. From `ready` on, signals are held."""
    from clinder.cli.progress import Progress
    from clinder.hub import DEFAULT_TIMEOUT

    def watch(event: "Event") -> None:
        if event.phase == "ready":
            signals.hold()
        progress.show(event)

    target = _target(args)
    signals.promise()
    with Progress(None if args.quiet else sys.stderr) as progress, _hubs(target, args.build_token) as (hub, *others):
        for line in target.lines:
            progress.note(line)
        session = hub.launch(
            target.spec,
            timeout=args.timeout or DEFAULT_TIMEOUT,
            on_event=watch,
            fallback_hubs=others,
        )
        session.instead_of = target.instead_of
        progress.close()
        yield session


@contextmanager
def _hubs(target: "Target", build_token: str | None) -> Iterator[list["BinderHub"]]:
    if target.hubs == ("local",):
        from clinder.local import EmbeddedHub

        with EmbeddedHub() as hub:
            yield [hub]
        return
    yield target.open_hubs(build_token)


_NOT_LOCAL = {
    "--repo": "repo",
    "--ref": "ref",
    "--provider": "provider",
    "--fallback-hub": "fallback_hubs",
    "--reuse-image": "reuse_image",
}


def _target(args: argparse.Namespace) -> "Target":
    """Return what to launch and where."""
    from clinder.target.target import Target, resolve_target

    hub = args.hub or os.environ.get("CLINDER_HUB")
    if hub == "local":  # which has no repository but the current directory
        try:
            here = RepoSpec(Path.cwd().as_uri(), provider="git")
        except FileNotFoundError:
            raise UsageError("The current directory is gone, whose files local would launch.") from None
        spec = RepoSpec.parse(args.repo, args.ref, args.provider) if args.repo else here
        lines = [f"launching {spec} on {hub}"]
        if given := [option for option, name in _NOT_LOCAL.items() if getattr(args, name)]:
            lines.append(f"local launches the files of this directory, whatever {', '.join(given)} may say")
        return Target((hub,), spec, tuple(lines), None, hub_inferred=False)
    return resolve_target(
        hub=hub,
        fallback_hubs=args.fallback_hubs,
        repo=args.repo,
        ref=args.ref,
        provider=args.provider,
        reuse_image=args.reuse_image,
    )


def _session(args: argparse.Namespace) -> "Session":
    """Return the session that the arguments, standard input or the environment name."""
    from clinder.session import Session

    uri, token = args.session, args.token
    if uri == "-":
        uri = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
        if uri.startswith("{"):
            uri, token = _from_json(uri)
    elif uri is None:
        uri, token = os.environ.get("JUPYTER_BASE_URL"), os.environ.get("JUPYTER_TOKEN")
        if not uri:
            raise UsageError(
                "No session.",
                "Give its URI (https://hub/user/x/?token=...), or set JUPYTER_BASE_URL and JUPYTER_TOKEN.",
            )
    return Session.parse(uri, token)


def _from_json(text: str) -> tuple[str, str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = {}
    url, token = content.get("url"), content.get("token")
    if not isinstance(url, str) or not isinstance(token, str):
        raise UsageError(
            "Standard input has no session.", 'Expected a URI with its token, or what "clinder start --json" printed.'
        )
    return url, token


# Words


def _open_streams() -> None:
    """Open nothing in place of standard streams that are closed, or the next connection would be one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    # Standard output stays None: a result that nobody can get is an error, and words are not.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _write(text: str) -> None:
    """Write a result to standard output, all of it, now."""
    if sys.stdout is None:
        raise ClinderError("Standard output is closed.")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise ClinderError(f"Standard output could not be written: {error.strerror}.") from None


def _say(text: str) -> None:
    from clinder.text import escape_ci_commands

    with suppress(OSError, ValueError, AttributeError):
        print(escape_ci_commands(f"clinder: {text}"), file=sys.stderr, flush=True)  # noqa: T201


# The arguments


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in two lines, and nothing of what may be a token."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"invalid choice: .*(?= \(choose)", "invalid choice", message)
        message = re.sub(r"(ignored explicit argument) .*", r"\1", message)
        self.exit(2, f"{self.prog}: error: {message}\nTry: {self.prog} --help\n")


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    command: list[str] = []
    if "--" in words and words[0] == "run":  # argparse would take the command's first word for HUB
        command = words[words.index("--") + 1 :]
        words = words[: words.index("--")]
    if words[:1] in (["stop"], ["status"]) and len(words) > 2 and not words[1].startswith("-"):
        # One token in 64 begins with a hyphen.
        token = words[2]
        if "token=" not in words[1] and token.partition("=")[0] not in ("-h", "--help", "--json", "--format"):
            words = [words[0], *words[3:], "--", words[1], token]
    args, unknown = parser.parse_known_args(words)
    if unknown:
        options = [re.split("=|(?<=^-.)", word)[0] for word in unknown if word.startswith("-")]
        what = f"unknown option: {', '.join(options)}" if options else "too many arguments"
        if args.name == "run" and not command:
            what += " (the command to run goes after two hyphens: clinder run -- COMMAND)"
        parser.error(what)
    args.words = command
    return args


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="clinder",
        description="Start a Jupyter Server on a BinderHub, hand over its URL and token, and shut it down again.",
        epilog=_EXAMPLES[""],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clinder {__version__}")
    commands = parser.add_subparsers(title="commands", dest="name", metavar="COMMAND", required=True)

    def add(name: str, call: Callable[..., int], summary: str, usage: str | None = None) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=_EXAMPLES[name],
            usage=usage,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(call=call, quiet=False)
        return command

    start = add("start", _start, "start a session and print its address")
    _add_launch_options(start)
    _add_format(start, ["uri", "json", "env"], "what to print: one line with the token in it, an object, or shell code")
    run = add(
        "run",
        _run,
        "run a command on a session, and stop the session whatever happens",
        usage="clinder run [HUB] [options] -- COMMAND ...",
    )
    _add_launch_options(run)
    for name, call, summary in (
        ("stop", _stop, "stop a session; one that is gone already is no error"),
        ("status", _status, "say whether a session runs, since when, and how busy it is"),
    ):
        command = add(name, call, summary)
        command.add_argument(
            "session",
            nargs="?",
            metavar="SESSION",
            help="a URI with its token; a URL, followed by TOKEN; or - for a URI or start's JSON on standard input "
            "(default: $JUPYTER_BASE_URL and $JUPYTER_TOKEN)",
        )
        command.add_argument("token", nargs="?", metavar="TOKEN", help="the token, when SESSION has none")
        if name == "status":
            _add_format(command, ["text", "json"], "what to print")
    completion = add("completion", _completion, "print the code that makes a shell complete clinder's commands")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


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
        type=_seconds,
        metavar="SECONDS",
        help="the deadline for everything until the session runs, retries included (default: 1800)",
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
    command.add_argument("-q", "--quiet", action="store_true", help="show neither phases nor the build's log")


def _add_format(command: argparse.ArgumentParser, formats: list[str], summary: str) -> None:
    command.add_argument("--format", choices=formats, default=formats[0], help=f"{summary} (default: {formats[0]})")
    command.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, not {text!r}")


_EXAMPLES = {
    "": """\
examples:
  clinder run -- myst build --execute --html
  clinder run local -- myst build --execute --html

exit codes:
  0 done; 1 the hub refused for good; 2 usage; 3 the hub could not be reached or kept failing; 4 the deadline passed;
  130, 143 ended by SIGINT, SIGTERM; run: the command's own
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
