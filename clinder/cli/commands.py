"""The commands. Each gets the arguments, the signals and the progress, and returns the exit code."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinder._signals import Signals
from clinder.cli.output import write_result
from clinder.cli.plan import as_json, check_format, show_plan
from clinder.cli.progress import Progress
from clinder.cli.slips import explain_variables
from clinder.errors import ClinderError, SessionError, UsageError, more
from clinder.handover import hand_over, launched, stop_session, which_token
from clinder.images import Built, build_image, exit_code, hubs_to_build
from clinder.spec import RepoSpec
from clinder.text import escape_ci_commands, one_line

if TYPE_CHECKING:
    from clinder.session import Session, SessionStatus
    from clinder.target.target import Target, Tokens

# For how many seconds clinder stop goes on after a signal: most of its work is done by then.
_STOP_AFTER_SIGNAL = 3.0


def start(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Start a session and print its address."""
    target = _target(args, args.hub, args.fallback_hubs)
    tokens = _tokens(args)
    if args.dry_run:
        return show_plan(args, target, tokens, signals)
    if sys.stdout is None:
        raise ClinderError("Standard output is closed: the session's address could not be written.")
    with _session_launched(target, tokens, args, signals, progress) as session:
        hand_over(session, signals, lambda one: write_result(FORMATS[args.format](one), signals), progress.note)
        _tell_what_next(session, args.format, progress)
    return 0


def _tell_what_next(session: "Session", format: str, progress: Progress) -> None:  # noqa: A002
    """Tell a person at a terminal how to open the session and how to stop it."""
    from shlex import quote

    if sys.stdout is not None and sys.stdout.isatty():  # the address with its token was just printed there
        progress.tell(f"to open it in a browser: {session.uri}")
        progress.tell(f"to stop it: clinder stop {quote(session.uri)}")
    elif format == "env":
        progress.tell("to stop it, after eval of what was printed: clinder stop")
    else:
        progress.tell("to stop it: clinder stop, with the address that was printed (- reads it from standard input)")


def run(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Start a session, run a command on it, and always stop the session at the end."""
    from clinder.cli.child import what_prevents
    from clinder.cli.use import LOST, use_session

    if not args.command_line or not args.command_line[0].strip():
        raise UsageError("No command to run.", "Expected it after two hyphens: clinder run -- myst build --execute")
    check_format(args)
    if obstacle := what_prevents(args.command_line):
        lines = (f"error: {obstacle.what}", obstacle.hint, more("command-not-run"))
        progress.note("\n".join(map(one_line, filter(None, lines))))
        return obstacle.code
    if args.kernels:
        from clinder.kernels import check_installed

        check_installed()
    target = _target(args, args.hub, args.fallback_hubs)
    tokens = _tokens(args)  # once for all attempts: a pipe can't be read again
    if args.dry_run:
        return show_plan(args, target, tokens, signals, args.command_line)
    for attempt in range(1, args.attempts + 1):
        if attempt > 1:
            progress.note(f"starting another session: attempt {attempt} of {args.attempts}")
        with _session_launched(target, tokens, args, signals, progress) as session:
            code = use_session(session, args.command_line, signals, progress, offers_kernels=args.kernels)
        signals.check()
        if code != LOST:
            break
    return code


def build(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Make sure that hubs have the image, and keep no session."""
    from clinder.hub import DEFAULT_TIMEOUT

    target = _target(args, args.hubs[0] if args.hubs else None, args.hubs[1:])
    tokens = _tokens(args)
    if args.dry_run:
        return show_plan(args, target, tokens, signals)
    timeout = args.timeout or DEFAULT_TIMEOUT
    tell = progress.note if not args.quiet else lambda _: None
    for line in target.lines:
        tell(line)
    several = []
    for hub in hubs_to_build(target, tokens, tell, all_members=args.all_members):
        tell(f"building the image on {hub.url}")
        progress.deadline = time.monotonic() + timeout
        built = build_image(hub, target, signals, timeout=timeout, on_event=progress.show)
        progress.pause()
        if built.error:
            progress.note(f"error: {built.error if args.quiet else ClinderError.__str__(built.error)}")
        several.append(built)
    if errors := [built.error for built in several if built.error]:
        progress.note(errors[-1].more)
    signals.check()
    shown = as_json(_images(target, several)) if args.format == "json" else escape_ci_commands(_table(several))
    write_result(shown, signals)
    return exit_code(several)


def stop(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Stop a session."""
    session = _session(args)
    signals.promise()
    signals.defer()
    try:
        was_running = stop_session(session, signals, after_signal=_STOP_AFTER_SIGNAL)
    except SessionError as error:
        if signals.number is None:
            raise
        progress.note(f"warning: the session was not stopped. {error}")
    else:
        progress.note(f"stopped {session.url}" if was_running else f"already gone: {session.url}")
    signals.check()
    return 0


def status(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:  # noqa: ARG001
    """Show whether a session runs, since when, and how busy it is."""
    found = _session(args).status()
    shown = as_json(found.as_dict()) if args.format == "json" else escape_ci_commands("\n".join(_lines(found)))
    write_result(shown, signals)
    return 0


def _lines(found: "SessionStatus") -> "Iterator[str]":
    from clinder.watch import memory_use

    yield (
        f"running since {found.started}, last active {found.last_activity}, "
        f"kernels: {found.kernels}, connections: {found.connections}"
    )
    for kernel in found.running:
        yield (
            f"kernel {kernel.name}: {kernel.state}, last active {kernel.last_activity}, "
            f"connections: {kernel.connections}"
        )
    if found.memory:
        yield f"memory: {memory_use(found.memory)} in use"


def completion(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:  # noqa: ARG001
    """Print the script with which a shell completes clinder's commands."""
    from argcomplete.shell_integration import shellcode

    write_result(shellcode(["clinder"], shell=args.shell), signals)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, Signals, Progress], int]] = {
    "start": start,
    "run": run,
    "build": build,
    "stop": stop,
    "status": status,
    "completion": completion,
}


# The results. A hub chooses parts of them, and a CI may read them and would run ##[command] anywhere in a line.


def _as_env(session: "Session") -> str:
    from shlex import quote

    values = {name: re.sub("#(?=#)", "#''", quote(value)) for name, value in session.env.items()}
    return "export " + " ".join(f"{name}={value}" for name, value in values.items())


FORMATS: "dict[str, Callable[[Session], str]]" = {
    "uri": lambda session: session.uri,
    "json": lambda session: as_json(session.as_dict()),
    "env": _as_env,
}


def _table(several: list[Built]) -> str:
    width = max(len(built.hub) for built in several)
    rows = [("hub", "image", "time"), *((built.hub, built.result, f"{built.seconds:.1f} s") for built in several)]
    return "\n".join(f"{hub:{width}}  {result:13}  {seconds:>8}" for hub, result, seconds in rows)


def _images(target: "Target", several: list[Built]) -> dict[str, Any]:
    """Return the result on each hub for the JSON output."""
    rows = [
        {
            "hub": built.hub,
            "result": built.result,
            "image": built.image.name if built.image else None,
            "seconds": round(built.seconds, 1),
            "error": built.error.message if built.error else None,
        }
        for built in several
    ]
    return {**target.spec._asdict(), "hubs": rows}


# The target


@contextmanager
def _session_launched(
    target: "Target", tokens: "Tokens", args: argparse.Namespace, signals: Signals, progress: Progress
) -> "Iterator[Session]":
    """Launch a target with the options in the arguments, and show the progress."""
    from clinder.hub import DEFAULT_TIMEOUT

    timeout = args.timeout or DEFAULT_TIMEOUT
    if not args.quiet:
        for line in target.lines:
            progress.note(line)
    progress.deadline = time.monotonic() + timeout
    with launched(target, signals, timeout=timeout, on_event=progress.show, tokens=tokens) as session:
        if not args.quiet and (words := which_token(session)):
            progress.note(words)
        progress.pause()
        yield session


_NAME_A_FILE = "Give --hub-token-file a file that holds an API token of the hub's JupyterHub."


def _tokens(args: argparse.Namespace) -> "Tokens":
    """Return the tokens for the hub. The hub token is in a file or in the environment, never in an argument."""
    from clinder.target.target import Tokens

    token = os.environ.get("CLINDER_HUB_TOKEN")
    if args.hub_token_file:
        try:
            with open(args.hub_token_file, "rb") as file:  # noqa: PTH123  (it may be a pipe)
                token = file.read(_MOST_INPUT).decode("latin-1").strip()
        except OSError as error:
            what = f"The file of the hub token can't be read: {error.strerror}."
            raise UsageError(what, _NAME_A_FILE) from None
        if not token:
            raise UsageError("The file of the hub token is empty.", _NAME_A_FILE)
    return Tokens(args.build_token, token or None)


_NOT_LOCAL = {
    "--repo": "repo",
    "--ref": "ref",
    "--provider": "provider",
    "--fallback-hub": "fallback_hubs",
    "--reuse-image": "reuse_image",
}


def _target(args: argparse.Namespace, hub: str | None, others: Sequence[str]) -> "Target":
    """Return what to launch and where."""
    from clinder.target.target import resolve_target

    hub = hub or os.environ.get("CLINDER_HUB")
    if hub and hub.lower() == "local":
        if args.name == "build":
            raise UsageError("local builds no image.", "Give the URL of a BinderHub.")
        return _local_target(args)
    target = resolve_target(
        hub=hub,
        fallback_hubs=others,
        repo=args.repo,
        ref=args.ref,
        provider=args.provider,
        reuse_image=args.reuse_image,
        remote_extends=args.remote_extends,
        build_only=args.name == "build",
        offline=args.dry_run,
    )
    return target._replace(lines=(*target.lines, *explain_variables(os.environ)))


def _local_target(args: argparse.Namespace) -> "Target":
    """Return the target of the embedded hub: the files of the checkout around the current directory."""
    from clinder.target.folder import checkout_root, warn_of_folder
    from clinder.target.target import Target
    from clinder.text import one_line

    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current directory is gone, so local has no files to launch.") from None
    files = checkout_root(here) or here
    spec = RepoSpec.parse(args.repo, args.ref, args.provider) if args.repo else RepoSpec(files.as_uri(), provider="git")
    lines = [f"launching {spec} on local"]
    if given := [option for option, name in _NOT_LOCAL.items() if getattr(args, name, None)]:
        lines.append(f"local launches the files of {files}, and ignores {', '.join(given)}")
    lines += warn_of_folder(here)
    return Target(("local",), spec, tuple(map(one_line, lines)), None, hub_inferred=False, directory=str(files))


# The session of stop and status


def _session(args: argparse.Namespace) -> "Session":
    """Return the session that the arguments, standard input or the environment name."""
    from clinder.session import Session

    uri, token = args.session, args.token
    if uri == "-":
        uri = sys.stdin.buffer.read(_MOST_INPUT).decode("utf-8", "replace").strip()
        if not uri or uri.startswith("export "):
            raise UsageError("Standard input has no session.", _PIPE_A_SESSION)
        if uri.startswith("{"):
            uri, token = _from_json(uri)
    elif uri is None:
        uri, token = os.environ.get("JUPYTER_BASE_URL"), os.environ.get("JUPYTER_TOKEN")
        if not uri:
            raise UsageError(
                "No session: none was given, and JUPYTER_BASE_URL is not set.",
                f"Write: clinder {args.name} 'ADDRESS', the one that clinder start printed "
                '(https://hub/user/x/?token=...). Or first: eval "$(clinder start --format env)"',
            )
        if not token and "token=" not in uri:
            raise UsageError("The session has no token: JUPYTER_TOKEN is not set.", "Set both, or give the address.")
    elif os.path.isfile(uri):  # noqa: PTH113  (Path.is_file() may raise)
        raise UsageError("A session is expected, not a file.", f"Write: clinder {args.name} - < {uri}")
    return Session.parse(uri, token)


_PIPE_A_SESSION = (
    'Expected a URI with its token, or what "clinder start --json" printed. '
    "After start --format env, eval what it printed, and leave the - out."
)


_MOST_INPUT = 1 << 20  # bytes of a file or of standard input


def _from_json(text: str) -> tuple[str, str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = {}
    url, token = content.get("url"), content.get("token")
    if not isinstance(url, str) or not isinstance(token, str):
        raise UsageError("Standard input has no session.", _PIPE_A_SESSION)
    return url, token
