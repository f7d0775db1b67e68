"""The Action: its two steps. The first starts a session and hands it to the job, the last stops it.

What a runner reads and writes is in the modules here; sessions are the core's.
"""

import os
import sys
import threading
from contextlib import redirect_stdout
from time import monotonic
from typing import NoReturn

from clinder._signals import Signalled, Signals
from clinder.action.files import read_session, reserve_for_act, write_session
from clinder.action.inputs import Inputs, build_token, read_inputs
from clinder.action.log import Log
from clinder.action.summary import write_images, write_summary
from clinder.errors import BuildFailed, ClinderError, SessionError
from clinder.handover import hand_over, launched, stop_session
from clinder.images import build_image, exit_code, hubs_to_build
from clinder.session import Session
from clinder.target.target import Target
from clinder.text import escape_ci_commands

_TITLES = {
    1: "no session, for good",
    2: "a wrong input",
    3: "no session, the hub is in trouble",
    4: "no session before the deadline",
}
# Seconds of the last step: a runner that cancels kills after ten.
_STOP_TIMEOUT = 7.5
_LAST_STEP_TIMEOUT = 8.5


def main() -> NoReturn:
    """Start a session and hand it to the job: what the Action runs first."""
    signals = Signals()
    signals.handle()
    signals.end_at_once()
    log = Log(sys.stdout, signals)
    with redirect_stdout(log):
        code = _call(log, signals)
    signals.defer()
    log.finish()
    signals.settle(code)
    os._exit(code)  # what Python does at its end is of no use here, and may wait for a stuck reader


def _call(log: Log, signals: Signals) -> int:
    """Do the step's work, show what is wrong, and return the exit code."""
    try:
        try:
            return _run(log, signals)
        finally:
            log.close_group()
    except ClinderError as error:
        _show_error(log, error, _TITLES[error.exit_code])
        return error.exit_code
    except Signalled as signalled:
        if isinstance(signalled.__cause__, SessionError):
            log.command("warning", str(signalled.__cause__), title="clinder: a server may be left")
        return 128 + signalled.number


def _show_error(log: Log, error: ClinderError, title: str) -> None:
    if isinstance(error, BuildFailed):
        log.show_lines(error.log)
    log.command("error", f"{error.message}\n{error.hint}", title=f"clinder: {title}")


def _run(log: Log, signals: Signals) -> int:
    """Start the session, or build the image where no session is wanted; return the exit code."""
    if token := build_token():
        log.mask(token)
    reserve_for_act()
    inputs = read_inputs()
    target = inputs.target()
    for line in target.lines:
        log.say(line)
    if inputs.build_only:
        return _build(log, signals, inputs, target)
    _start(log, signals, inputs, target)
    return 0


def _build(log: Log, signals: Signals, inputs: Inputs, target: Target) -> int:
    """Make sure that each hub has the image; return the exit code."""
    several = []
    for hub in hubs_to_build(target, inputs.build_token, log.say, all_members=inputs.all_members):
        log.say(f"the image on {hub.url}")
        log.deadline = monotonic() + inputs.timeout
        built = build_image(hub, target, signals, timeout=inputs.timeout, on_event=log.show)
        log.close_group()
        if built.error:
            _show_error(log, built.error, f"no image on {hub.url}")
        log.say(f"{built.result} in {built.seconds:.1f} s: {hub.url}")
        several.append(built)
    signals.check()
    write_images(target.spec, several)
    return exit_code(several)


def _start(log: Log, signals: Signals, inputs: Inputs, target: Target) -> None:
    log.deadline = monotonic() + inputs.timeout

    def deliver(session: Session) -> None:
        log.close_group()
        log.deliver_masks()
        write_session(session)

    with launched(
        target, signals, timeout=inputs.timeout, on_event=log.show, build_token=inputs.build_token
    ) as session:
        hand_over(session, signals, deliver, log.say)
    log.close_group()
    log.say(f"ready: {session.url}")
    write_summary(session, log.durations)


def post() -> NoReturn:
    """Stop the session that main() started, if it did: what the Action runs last. Never fails the job.

    A signal changes nothing: the step takes some seconds at most, and there is nothing after it.
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
    session = read_session()
    if session is None:
        log.write("This step started no session: nothing to stop.\n")
        return
    log.mask(session.token)
    try:
        was_running = stop_session(session, signals, timeout=_STOP_TIMEOUT)
    except SessionError as error:
        log.command("warning", str(error), title="clinder: the session was not stopped")
    else:
        words = f"Stopped {session.url}" if was_running else f"Already gone: {session.url}"
        log.write(escape_ci_commands(words) + "\n")
