"""Launch a target, and hand its session over or stop it. The command line and the Action both use this module.

A session is either handed over completely, or it is stopped. Therefore a signal is only noted from before the launch
until after the hand-over. It asks the launch to end, and it is checked once more before the hand-over begins. After
that, a signal changes nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from clinder._signals import TIME_TO_END, Signalled, Signals
from clinder.errors import ClinderError, SessionError, SessionUnreachable

if TYPE_CHECKING:  # these import an HTTP library, for which neither --version nor --help should wait
    from clinder.hub import BinderHub
    from clinder.launch.events import Event
    from clinder.session import Session
    from clinder.target.target import Target, Tokens


@contextmanager
def launched(
    target: "Target",
    signals: Signals,
    *,
    timeout: float,
    on_event: "Callable[[Event], None]",
    tokens: "Tokens",
) -> "Iterator[Session]":
    """Launch a target, and yield its session to the block. The block must hand the session over or stop it.

    Signals are deferred in the block. Raises the errors of `BinderHub.launch`, and `Signalled` when a signal has ended
    the launch. If a server may be left, the exception's ``__cause__`` is a `SessionError` that says so.
    """
    with _hubs(target, tokens) as (hub, *others):
        with deferred(signals):
            session = hub.launch(
                target.spec,
                timeout=timeout,
                on_event=on_event,
                fallback_hubs=others,
                cancel=signals.requested,
                instead_of=target.instead_of,
            )
        yield session


@contextmanager
def deferred(signals: Signals) -> "Iterator[None]":
    """Defer signals from now on, for a launch in the block. After a signal, raise `Signalled` instead of its error."""
    signals.promise()
    signals.defer()
    try:
        yield
    except ClinderError as error:
        if signals.number is not None:
            raise Signalled(signals.number) from error.__cause__
        raise


@contextmanager
def _hubs(target: "Target", tokens: "Tokens") -> "Iterator[list[BinderHub]]":
    if target.hubs == ("local",):
        from clinder.local import EmbeddedHub

        with EmbeddedHub(target.directory) as hub:
            yield [hub]
        return
    yield target.open_hubs(tokens)


def which_token(session: "Session") -> str:
    """Return a notice if a session is opened by the hub token instead of a token of its own; else an empty text."""
    if session.hub_token != session.token:
        return ""
    return (
        "JUPYTER_TOKEN is the hub token, because only that opens this session: keep it secret, since it opens other "
        "servers too"
    )


def hand_over(
    session: "Session", signals: Signals, deliver: "Callable[[Session], None]", tell: Callable[[str], None]
) -> None:
    """Call ``deliver`` with the session. If that fails, stop the session, and call ``tell`` with the result.

    Raises `Signalled` when a signal came before the first byte was written, or later if the reader does not take the
    rest in time. Raises `ClinderError` when the address could not be written. If the server is left, the ``__cause__``
    is a `SessionError` that says so.
    """
    try:
        signals.check()
        deliver(session)
    except BaseException as reason:
        became, left = _stop_unused(session, signals)
        if not isinstance(reason, Exception):
            tell(became)
            raise reason from left
        what = reason.message if isinstance(reason, ClinderError) else f"It could not be handed over: {reason}"
        raise ClinderError(f"The session's address: {what}", became) from left


def _stop_unused(session: "Session", signals: Signals) -> tuple[str, SessionError | None]:
    """Stop a session that was not handed over. Return a sentence about the result, and the error if it is left."""
    try:
        stop_session(session, signals)
    except SessionError as error:
        return f"The server that the hub had launched is left. {error.message}", error
    return "The server that the hub had launched was stopped.", None


def stop_session(
    session: "Session", signals: Signals, *, timeout: float = 10, after_signal: float = TIME_TO_END
) -> bool:
    """Stop a session as `Session.stop` does, within ``timeout`` seconds, and within ``after_signal`` of a signal."""
    from clinder.session import stop_server

    def check() -> None:
        if monotonic() >= signals.time_to_end(after_signal):
            raise SessionUnreachable(
                f"The server did not say in time that it ends: {session.url}", "It may still be running: try again."
            )

    return stop_server(session, max(0.1, min(timeout, signals.time_to_end() - monotonic())), check)
