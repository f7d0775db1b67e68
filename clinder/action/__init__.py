"""The Action's two steps. The first step starts a session and hands it to the job; the last step stops it.

The modules of this package know what a runner reads and writes. The rest of clinder knows sessions.
"""

import os
import sys
import threading
from contextlib import redirect_stdout
from time import monotonic
from typing import NoReturn

from clinder._signals import Signalled, Signals
from clinder.action.files import read_session, reserve_for_act, write_session
from clinder.action.inputs import Inputs, read_inputs, read_tokens
from clinder.action.log import Log
from clinder.action.reason import find_reason
from clinder.action.summary import summarise, summarise_failure, summarise_images, write_summary
from clinder.errors import (
    BuildFailed,
    ClinderError,
    DeadlineExceeded,
    HubRefused,
    HubUnavailable,
    SessionError,
    UsageError,
)
from clinder.handover import hand_over, launched, stop_session, which_token
from clinder.images import build_image, exit_code, hubs_to_build
from clinder.session import Session, look_at
from clinder.target.target import Target
from clinder.text import escape_ci_commands
from clinder.watch import likely_end, unused, was_used

# The title of a failure: that of the first kind that fits.
_TITLES: dict[type[ClinderError], str] = {
    BuildFailed: "Build failed",
    HubRefused: "Hub refused",
    HubUnavailable: "Hub unavailable",
    DeadlineExceeded: "Deadline passed",
    UsageError: "Invalid input",
    ClinderError: "No session",
}
# Seconds. A runner that cancels a job kills the last step after ten.
_LOOK_TIMEOUT = 2.0
_STOP_TIMEOUT = 7.5  # for the look and the stop together
_LAST_STEP_TIMEOUT = 8.5

_ENDED_EARLY = "{} had ended before this step came to stop it. {} Or a step of this job stopped it."


def main() -> NoReturn:
    """Run the Action's first step: start a session and hand it to the job."""
    signals = Signals()
    signals.handle()
    signals.end_at_once()
    log = Log(sys.stdout, signals)
    with redirect_stdout(log):
        code = _call(log, signals)
    signals.defer()
    log.finish()
    signals.settle(code)
    os._exit(code)  # without Python's own shutdown, which may wait for a reader for ever


def _call(log: Log, signals: Signals) -> int:
    """Do the work of the first step, show an error, and return the exit code."""
    target = None
    try:
        try:
            inputs = _read_inputs(log)
            target = inputs.target()
            return _run(inputs, target, log, signals)
        finally:
            log.close_group()
    except ClinderError as error:
        _show_failure(error, target, log)
        return error.exit_code
    except Signalled as signalled:
        if isinstance(signalled.__cause__, SessionError):
            log.command("warning", str(signalled.__cause__), title="Server may be left")
        return 128 + signalled.number


def _read_inputs(log: Log) -> Inputs:
    for token in filter(None, read_tokens()):
        log.mask(token)
    reserve_for_act()
    return read_inputs()


def _run(inputs: Inputs, target: Target, log: Log, signals: Signals) -> int:
    """Start the session, or with build-only build the image; return the exit code."""
    for line in target.lines:
        log.say(line)
    if inputs.build_only:
        return _build(inputs, target, log, signals)
    _start(inputs, target, log, signals)
    return 0


def _build(inputs: Inputs, target: Target, log: Log, signals: Signals) -> int:
    """Make sure that each hub has the image; return the exit code."""
    several = []
    for hub in hubs_to_build(target, inputs.tokens, log.say, all_members=inputs.all_members):
        log.say(f"building the image on {hub.url}")
        log.deadline = monotonic() + inputs.timeout
        built = build_image(hub, target, signals, timeout=inputs.timeout, on_event=log.show)
        log.close_group()
        if built.error:
            _show_error(built.error, log)
        log.say(f"{built.result} in {built.seconds:.1f} s: {hub.url}")
        several.append(built)
    signals.check()
    write_summary(summarise_images(target.spec, several))
    return exit_code(several)


def _start(inputs: Inputs, target: Target, log: Log, signals: Signals) -> None:
    log.deadline = monotonic() + inputs.timeout

    def deliver(session: Session) -> None:
        log.close_group()
        log.deliver_masks()
        write_session(session)

    with launched(target, signals, timeout=inputs.timeout, on_event=log.show, tokens=inputs.tokens) as session:
        hand_over(session, signals, deliver, log.say)
    log.close_group()
    log.say(f"ready: {session.url}")
    if words := which_token(session):
        log.say(words)
    write_summary(summarise(session, log.durations))


def _show_failure(error: ClinderError, target: Target | None, log: Log) -> None:
    """Write the error to the log, an annotation and the summary."""
    title = _show_error(error, log)
    write_summary(summarise_failure(title, error, target, log.durations))


def _show_error(error: ClinderError, log: Log) -> str:
    """Write an error to the log and an annotation; return its title."""
    title = next(title for kind, title in _TITLES.items() if isinstance(error, kind))
    reason: tuple[str, ...] = ()
    if isinstance(error, BuildFailed):
        log.show_lines(error.log)
        reason = find_reason(error.log)
    log.command("error", "\n".join(filter(None, [*reason, error.message, error.hint, error.more])), title=title)
    return title


def post() -> NoReturn:
    """Run the Action's last step: stop the session of the first step, if there is one. This never fails the job.

    Signals are ignored, because the step takes only some seconds, and no step follows.
    """
    signals = Signals()
    signals.settle(0)
    log = Log(sys.stdout, signals)
    guard = threading.Timer(_LAST_STEP_TIMEOUT, os._exit, [0])
    guard.daemon = True
    guard.start()
    with redirect_stdout(log):
        _stop(log, signals)
    log.finish()
    os._exit(0)


def _stop(log: Log, signals: Signals) -> None:
    """Stop the session, and warn if it had ended before or was never used."""
    try:
        session = read_session()
    except UsageError as error:
        log.command("warning", str(error), title="Session not stopped")
        return
    if session is None:
        log.write("This step started no session: nothing to stop.\n")
        return
    log.mask(session.token)
    until = monotonic() + _STOP_TIMEOUT
    status = look_at(session, _LOOK_TIMEOUT).status
    try:
        was_running = stop_session(session, signals, timeout=until - monotonic())
    except SessionError as error:
        log.command("warning", str(error), title="Session not stopped")
        return
    if not was_running:
        log.command("warning", _ENDED_EARLY.format(session.url, likely_end()), title="Session ended early")
        return
    log.write(escape_ci_commands(f"Stopped {session.url}") + "\n")
    if status and not was_used(status):
        log.command("warning", unused("the runner"), title="Session never used")
