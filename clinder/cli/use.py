"""Use one session of ``clinder run``: run the command, watch the session meanwhile, stop it, and explain a loss."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from clinder._signals import Signals
from clinder.cli.child import run_command
from clinder.cli.progress import Progress
from clinder.errors import SessionError, UsageError, more
from clinder.handover import stop_session
from clinder.text import one_line

if TYPE_CHECKING:
    from clinder.cli.watcher import Watcher
    from clinder.session import Session

LOST = 5  # the exit code

_TIME_FOR_NAMES = 3.0  # seconds that the session has to name its kernels
_MOST_NAMED = 3  # pages, in one line


class Ending(NamedTuple):
    """The end of a command: its name, its exit code, and how many seconds it ran.

    The code is None if clinder ended the command because its session was lost. ``was_running`` tells whether the
    session still ran when it was stopped; None if that is not known.
    """

    command: str
    code: int | None
    seconds: float
    was_running: bool | None

    @property
    def is_lost(self) -> bool:
        """Whether the session was lost before the command succeeded."""
        return self.code is None or (self.code != 0 and self.was_running is False)


def use_session(
    session: "Session", words: list[str], signals: Signals, progress: Progress, *, offers_kernels: bool
) -> int:
    """Run a command on a session, and always stop the session. Return the exit code, `LOST` if the session was lost."""
    from clinder.cli.watcher import Watcher
    from clinder.watch import unused

    code: int | None = 1
    watcher = Watcher(session)
    try:
        with _environment(session, signals, progress, offers_kernels=offers_kernels) as env:
            began = monotonic()
            with watcher:
                code = run_command(words, env, signals, progress.note, lambda: bool(watcher.loss))
            seconds = monotonic() - began
        if code is not None:
            watcher.look_at_last()
    finally:
        was_running = _stop(session, signals, progress.note, matters=code == 0)
    ending = Ending(one_line(Path(words[0]).name, 100), code, seconds, was_running)
    if code is None or ending.is_lost:
        progress.note(f"error: {_describe_loss(ending, watcher)}\n{more('session-lost')}")
        return LOST
    if not progress.is_quiet:
        progress.note(_describe_end(ending, watcher))
        if code == 0 and watcher.is_unused:
            progress.note(f"warning: {unused('this machine')}")
    return code


def _describe_loss(ending: Ending, watcher: "Watcher") -> str:
    """Return sentences about how the session was lost, and what most likely ended it."""
    from clinder.duration import describe_duration
    from clinder.watch import likely_end

    after = describe_duration(ending.seconds)
    if ending.code is None:
        loss = watcher.loss
        what = f"{loss[0].upper()}{loss[1:]} while {ending.command} ran, {after} after that began."
    else:
        what = f"{ending.command} exited with {ending.code} after {after}, and its session had ended before that."
    return f"{what}\n{likely_end(watcher.last_seen())}"


def _describe_end(ending: Ending, watcher: "Watcher") -> str:
    """Return sentences about the end of the command and of the session, and about memory that was nearly full."""
    from clinder.duration import describe_duration
    from clinder.watch import is_nearly_full, memory_use

    fates = {True: "the session was stopped", False: "the session had ended already", None: "the session may still run"}
    after = describe_duration(ending.seconds)
    text = f"{ending.command} exited with {ending.code} after {after}; {fates[ending.was_running]}"
    if watcher.peak and is_nearly_full(watcher.peak):
        text += f". Its memory was nearly full: {memory_use(watcher.peak)} were in use at the most"
    return text


def _stop(session: "Session", signals: Signals, tell: Callable[[str], None], *, matters: bool) -> bool | None:
    """Stop the session; return whether it still ran, None if not known. With ``matters``, raises `SessionError`."""
    try:
        return stop_session(session, signals)
    except SessionError as error:
        if matters:
            raise
        tell(f"warning: the session was not stopped. {error}")  # the command's failure matters more
        return None


@contextmanager
def _environment(
    session: "Session", signals: Signals, progress: Progress, *, offers_kernels: bool
) -> Iterator[dict[str, str]]:
    """Yield the environment variables for a command: those of the session, and with --kernels those of its kernels."""
    if not offers_kernels:
        if not progress.is_quiet:
            _warn_of_kernels(session, progress)
        yield session.env
        return
    from clinder.kernels import offered_kernels
    from clinder.target.folder import checkout_root

    note = (lambda _: None) if progress.is_quiet else progress.note
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current directory is gone, so --kernels can't look for notebooks in it.") from None
    with offered_kernels(session, checkout_root(here) or here, note, progress.note, signals.check) as kernels:
        yield {**session.env, **kernels}


def _warn_of_kernels(session: "Session", progress: Progress) -> None:
    """Warn about kernels that local pages name and the session does not have. MyST's build fails at such a page."""
    from clinder.session import kernel_names_of
    from clinder.target.pages import find_kernels

    wanted: dict[str, list[str]] = {}
    for named, pages in find_kernels(Path()).items():
        if named.has_code:
            wanted.setdefault(named.name, []).extend(pages)
    there = kernel_names_of(session, _TIME_FOR_NAMES) if wanted else []
    for name in sorted(wanted) if there else ():
        if name not in there:
            pages = wanted[name]
            more = f" and {len(pages) - _MOST_NAMED} more" if len(pages) > _MOST_NAMED else ""
            progress.note(
                f"warning: The session has no kernel {name}, which {one_line(', '.join(pages[:_MOST_NAMED]))}{more} "
                f"name{'s' if len(pages) == 1 else ''}. It has {one_line(', '.join(there))}."
            )
            progress.pause()  # before the command prints something
