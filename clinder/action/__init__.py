"""The GitHub runner's side: inputs, outputs, masks, groups, annotations, summary, state. Sessions are the core's.

A runner reads commands from standard output, and a build's log is written by strangers. So all text of a hub is printed
between ``::stop-commands::`` and its random token, and everything goes to one stream, for a runner reads the two
independently. actions-toolkit writes the command files and the annotations; what it lacks is at the end of this file.

Sources: actions/runner, ActionCommandManager.cs and ActionCommand.cs (what is a command), FileCommandManager.cs.
"""

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from actions_toolkit import core

from clinder._signals import Signalled, Signals
from clinder.cli.progress import pushed
from clinder.errors import BuildFailed, ClinderError, UsageError
from clinder.hub import DEFAULT_TIMEOUT
from clinder.launch.events import OWN_PHASES, Event
from clinder.session import Session, give_up
from clinder.spec import RepoSpec, parse_hub, provider_named
from clinder.target.target import Target, resolve_target
from clinder.text import escape_ci_commands


def main() -> NoReturn:
    """Start a session and hand it to the job: what the Action runs first."""
    signals = Signals()
    signals.promise()
    build_token = core.get_input("build-token")
    if build_token:
        core.set_secret(build_token)
    _export_for_act("-", "-")  # this step's place, also if it fails
    log = Log()
    try:
        _start(log, signals, build_token or None)
        code = 0
    except ClinderError as error:
        log.close()
        if isinstance(error, BuildFailed):
            log.print("".join(f"{line}\n" for line in error.log))
        core.error(f"{error.message}\n{error.hint}", title=f"clinder: {_TITLES[error.exit_code]}")
        code = error.exit_code
    except Signalled as signalled:
        log.close()
        code = 128 + signalled.number
    sys.stdout.flush()
    sys.exit(code)


def post() -> NoReturn:
    """Stop the session that main() started, if it did: what the Action runs last. Never fails the job."""
    signals = Signals()
    signals.promise()
    signals.hold()  # whatever comes, this takes a few seconds and there is nothing after it
    url, token = core.get_state("url"), core.get_state("token")
    if not token and (found := _export_for_act(drop=2)) and "-" not in found:
        url, token = found
    if token:
        core.set_secret(token)
        _stop(url, token)
    else:
        print("This step started no session: nothing to stop.")
    sys.stdout.flush()
    sys.exit(0)


def _stop(url: str, token: str) -> None:
    try:
        stopped = Session(url, token).stop()
    except ClinderError as error:
        core.warning(str(error), title="clinder: the session was not stopped")
    else:
        print(escape_ci_commands(f"Stopped {url}" if stopped else f"Already gone: {url}"))


def _start(log: "Log", signals: Signals, build_token: str | None) -> None:
    target, timeout = _inputs()
    hub, *others = target.open_hubs(build_token)

    def watch(event: Event) -> None:
        if event.phase == "ready":
            signals.hold()
            log.close()  # a mask is a command, and in a group they are ignored
            core.set_secret(event.data["token"])
        log.show(event)

    for line in target.lines:
        log.say(line)
    session = hub.launch(target.spec, timeout=timeout, on_event=watch, fallback_hubs=others)
    session.instead_of = target.instead_of
    log.close()
    try:
        signals.check()
        _hand_over(session)
    except BaseException as error:
        what = give_up(session)
        if isinstance(error, Exception):
            raise ClinderError(f"The session's address could not be handed to the job: {error}", what) from None
        log.say(what)
        raise
    log.say(f"ready: {session.url}")
    _summarise(session, log.durations)


def _inputs() -> tuple[Target, float]:
    """Return what the inputs say, and for what they leave open what the workflow is about."""
    repo, ref, provider = (core.get_input(name) or None for name in ("repo", "ref", "provider"))
    with _naming("hub-url"):
        hub, *others = [line.strip() for line in core.get_input("hub-url").splitlines() if line.strip()] or [None]
        for each in filter(None, [hub, *others]):
            parse_hub(each)
    with _naming("timeout"):
        timeout = _seconds(core.get_input("timeout"))
    with _naming("reuse-image"):
        reuse_image = _boolean(core.get_input("reuse-image"))
    with _naming("provider"):
        if provider and provider_named(provider) and not repo:
            raise UsageError("It says how to read repo, which is empty.", "Set repo too, or leave both empty.")
    with _naming("repo"):
        spec = RepoSpec.parse(repo, None, provider) if repo else None
    with _naming("ref"):
        if ref:
            (spec or RepoSpec("any/repository")).at(ref)
    return resolve_target(
        hub=hub, fallback_hubs=others, repo=repo, ref=ref, provider=provider, reuse_image=reuse_image
    ), timeout


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise UsageError(f"Input {name}: {error.message}", error.hint) from None


def _seconds(text: str) -> float:
    if not text:
        return DEFAULT_TIMEOUT
    if not re.fullmatch(r"\d{1,6}(\.\d*)?", text) or float(text) == 0:
        raise UsageError(f"{text!r} is no number of seconds.", f"Expected one like {DEFAULT_TIMEOUT:g}.")
    return float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise UsageError(f"{text!r} is neither true nor false.", "Expected one of them.")
    return text.lower() == "true"


def _hand_over(session: Session) -> None:
    """Give the session to the post step first, which will stop it, then to the steps between."""
    core.save_state("url", session.url)
    core.save_state("token", session.token)
    _export_for_act(session.url, session.token, drop=2)
    for name, value in session.env.items():
        core.export_variable(name, value)
    core.set_output("url", session.url)
    core.set_output("token", session.token)
    core.set_output("image", session.image or "")
    core.set_output("ref", session.resolved_ref or (session.spec.ref if session.spec else ""))
    core.set_output("launch-url", session.launch_url or "")


def _export_for_act(*words: str, drop: int = 0) -> list[str]:
    """Under act, export the sessions so far less so many words at the end, plus these; return what was dropped.

    nektos/act (0.2.89) gives the post step of a Docker action no state, only what was exported. A variable for each
    GITHUB_ACTION would not do, which in composite actions is the same for several steps. But act runs the post steps in
    the reverse order of all main steps, failed ones included: so it is a stack.
    """
    if os.environ.get("ACT") != "true":
        return []
    name = "CLINDER_STATE_" + re.sub("[^A-Z0-9]", "_", os.environ.get("GITHUB_ACTION", "").upper())
    stack = os.environ.get(name, "").split()
    kept = max(0, len(stack) - drop)
    core.export_variable(name, " ".join([*stack[:kept], *words]))
    return stack[kept:]


_TITLES = {
    1: "no session, for good",
    2: "a wrong input",
    3: "no session, the hub is in trouble",
    4: "no session before the deadline",
}


class Log:
    """The job's log: a collapsible group for each phase of the hub, and few lines of clinder's own outside."""

    def __init__(self) -> None:
        self.durations: dict[str, float] = {}  # seconds, by phase
        self._phase = ""
        self._began = 0.0
        self._pushed = ""
        self._token = ""
        self._debug = core.is_debug()

    def say(self, text: str) -> None:
        """Print a line of clinder's own, which may quote a hub."""
        print(escape_ci_commands(f"clinder: {text}".replace("\n", " ")), flush=True)

    def show(self, event: Event) -> None:
        """Print an event, in the group of its phase."""
        phase, message, data = event
        if phase in OWN_PHASES:
            self.close()
            self.say(message)
            return
        if phase != self._phase and (phase != "unknown" or not self._phase):
            self.close()
            self._open(phase)
        if self._debug:
            message = (
                message.rstrip()
                + "\n"
                + json.dumps({name: value for name, value in data.items() if name != "token"})
                + "\n"
            )
        elif phase == "pushing" and (share := pushed(data.get("progress"))):
            message = "" if share == self._pushed else f"{message.rstrip()} {share}"
            self._pushed = share
        if message:
            self._write(message)

    def close(self) -> None:
        """End the group, with the time that its phase took."""
        if not self._phase:
            return
        seconds = time.monotonic() - self._began
        self.durations[self._phase] = self.durations.get(self._phase, 0) + seconds
        print(f"::{self._token}::")
        print(f"{self._phase} took {seconds:.1f} s")
        core.end_group()
        sys.stdout.flush()
        self._phase = ""

    def print(self, text: str) -> None:
        """Print text of a hub outside of the groups."""
        self._guard()
        self._write(text)
        print(f"::{self._token}::", flush=True)

    def _open(self, phase: str) -> None:
        self._phase, self._began, self._pushed = phase, time.monotonic(), ""
        core.start_group(phase)
        self._guard()

    def _guard(self) -> None:
        """Have the runner ignore commands until it reads a word that nobody can know, new each time."""
        self._token = secrets.token_hex(32)
        print(f"::stop-commands::{self._token}")

    def _write(self, text: str) -> None:
        if self._token in text.lower():
            text = re.sub(self._token, "", text, flags=re.IGNORECASE)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()


def _summarise(session: Session, durations: dict[str, float]) -> None:
    """Add to the job's summary what ran where; it has no token in it, and nothing of a hub unescaped."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    spec = session.spec
    if not path or spec is None or session.launch_url is None:
        return
    commit = session.resolved_ref or spec.ref
    rows = [
        ("Repository", _escaped(f"{spec.repo} ({spec.provider})")),
        ("Commit", _escaped(commit if commit == spec.ref else f"{commit} ({spec.ref})")),
        *([("Instead of", _escaped(str(session.instead_of)))] if session.instead_of else []),
        ("Hub", _escaped(session.hub or "")),
        ("Image", _escaped(session.image or "not known")),
        *((_escaped(phase), f"{seconds:.1f} s") for phase, seconds in durations.items()),
    ]
    lines = ["### A session on Binder", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    link = quote(session.launch_url, safe=":/%?=&@")
    with suppress(OSError), Path(path).open("a", encoding="utf-8") as summary:
        summary.write("\n".join([*lines, "", f"[Launch the same environment in a browser](<{link}>)", "", ""]))


def _escaped(text: str) -> str:
    """Return text as Markdown that shows just this text, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
