"""The commands. Each gets its arguments, the signals, and where to show what happens; it returns the exit code."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clinder._signals import Signals
from clinder.cli.output import write_result
from clinder.cli.plan import as_json, check_format, show_plan
from clinder.cli.progress import Progress
from clinder.cli.slips import SHELL_WORDS, explain_missing
from clinder.errors import ClinderError, SessionError, UsageError
from clinder.handover import hand_over, launched, stop_session
from clinder.spec import RepoSpec
from clinder.text import escape_ci_commands, one_line

if TYPE_CHECKING:
    from clinder.session import Session
    from clinder.target.target import Target

_NOT_FOUND = 127  # as a shell says it

# Stopping goes on for so many seconds after a signal, for that is half of the work already.
_STOP_AFTER_SIGNAL = 3.0


def start(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Start a session and print its address."""
    if args.dry_run:
        return show_plan(args, _target(args), signals)
    if sys.stdout is None:
        raise ClinderError("Standard output is closed: the session's address could not be written.")
    with _session_launched(args, signals, progress) as session:
        hand_over(session, signals, lambda one: write_result(FORMATS[args.format](one), signals), progress.note)
        _tell_what_next(session, args.format, progress)
    return 0


def _tell_what_next(session: "Session", format: str, progress: Progress) -> None:  # noqa: A002
    """Tell a person at a terminal how to open the session and how to stop it."""
    from shlex import quote

    if sys.stdout is not None and sys.stdout.isatty():  # the address, token included, stands right above
        progress.tell(f"to open it in a browser: {session.uri}")
        progress.tell(f"to stop it: clinder stop {quote(session.uri)}")
    elif format == "env":
        progress.tell("to stop it, after eval of what was printed: clinder stop")
    else:
        progress.tell("to stop it: clinder stop, with the address that was printed (- reads it from standard input)")


def run(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:
    """Run a command on a session, and stop the session whatever happens."""
    from shutil import which

    from clinder.cli.child import run_command

    if not args.command_line:
        raise UsageError("No command to run.", "Expected it after two hyphens: clinder run -- myst build --execute")
    check_format(args)
    if args.command_line[0] in SHELL_WORDS or which(args.command_line[0]) is None:
        progress.note("error: {}\n{}".format(*map(one_line, explain_missing(args.command_line))))
        return _NOT_FOUND
    if args.dry_run:
        return show_plan(args, _target(args), signals, args.command_line)
    with _session_launched(args, signals, progress) as session:
        code = 1
        try:
            code = run_command(args.command_line, session.env, signals, progress.note)
        finally:
            try:
                stop_session(session, signals)
            except SessionError as error:
                if code == 0:
                    raise
                progress.note(f"warning: the session was not stopped. {error}")  # the command's failure matters more
    signals.check()
    return code


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
    """Say whether a session runs, since when, and how busy it is."""
    found = _session(args).status()
    text = (
        f"running since {found.started}, last active {found.last_activity}, "
        f"kernels: {found.kernels}, connections: {found.connections}"
    )
    write_result(as_json(found._asdict()) if args.format == "json" else escape_ci_commands(text), signals)
    return 0


def completion(args: argparse.Namespace, signals: Signals, progress: Progress) -> int:  # noqa: ARG001
    """Print the code that makes a shell complete clinder's commands."""
    from argcomplete.shell_integration import shellcode

    write_result(shellcode(["clinder"], shell=args.shell), signals)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, Signals, Progress], int]] = {
    "start": start,
    "run": run,
    "stop": stop,
    "status": status,
    "completion": completion,
}


# What is printed. A hub chooses part of it, and a CI may read it: ##[command] would be one anywhere in a line.


def _as_env(session: "Session") -> str:
    from shlex import quote

    values = {name: re.sub("#(?=#)", "#''", quote(value)) for name, value in session.env.items()}
    return "export " + " ".join(f"{name}={value}" for name, value in values.items())


FORMATS: "dict[str, Callable[[Session], str]]" = {
    "uri": lambda session: session.uri,
    "json": lambda session: as_json(session.as_dict()),
    "env": _as_env,
}


# What is launched


@contextmanager
def _session_launched(args: argparse.Namespace, signals: Signals, progress: Progress) -> "Iterator[Session]":
    """Launch what the arguments say, and show how that goes."""
    from clinder.hub import DEFAULT_TIMEOUT

    target = _target(args)
    timeout = args.timeout or DEFAULT_TIMEOUT
    if not args.quiet:
        for line in target.lines:
            progress.note(line)
    progress.deadline = time.monotonic() + timeout
    with launched(target, signals, timeout=timeout, on_event=progress.show, build_token=args.build_token) as session:
        progress.pause()
        yield session


_NOT_LOCAL = {
    "--repo": "repo",
    "--ref": "ref",
    "--provider": "provider",
    "--fallback-hub": "fallback_hubs",
    "--reuse-image": "reuse_image",
}


def _target(args: argparse.Namespace) -> "Target":
    """Return what to launch and where."""
    from clinder.target.target import resolve_target

    hub = args.hub or os.environ.get("CLINDER_HUB")
    if hub and hub.lower() == "local":
        return _local_target(args)
    return resolve_target(
        hub=hub,
        fallback_hubs=args.fallback_hubs,
        repo=args.repo,
        ref=args.ref,
        provider=args.provider,
        reuse_image=args.reuse_image,
        remote_extends=args.remote_extends,
        offline=args.dry_run,
    )


def _local_target(args: argparse.Namespace) -> "Target":
    """Return the target of the embedded hub, which has no repository but the current directory."""
    from clinder.target.target import Target

    try:
        here = RepoSpec(Path.cwd().as_uri(), provider="git")
    except FileNotFoundError:
        raise UsageError("The current directory is gone, whose files local would launch.") from None
    spec = RepoSpec.parse(args.repo, args.ref, args.provider) if args.repo else here
    lines = [f"launching {spec} on local"]
    if given := [option for option, name in _NOT_LOCAL.items() if getattr(args, name)]:
        lines.append(f"local launches the files of this directory, whatever {', '.join(given)} may say")
    return Target(("local",), spec, tuple(lines), None, hub_inferred=False)


# Which session is meant


def _session(args: argparse.Namespace) -> "Session":
    """Return the session that the arguments, standard input or the environment name."""
    from clinder.session import Session

    uri, token = args.session, args.token
    if uri == "-":
        uri = sys.stdin.buffer.read(_MOST_INPUT).decode("utf-8", "replace").strip()
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
    return Session.parse(uri, token)


_MOST_INPUT = 1 << 20  # bytes, of an object that start has printed


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
