"""The kernels of a session, offered to tools that start kernels by their kernelspecs, as if they were on this machine.

A tool (nbconvert, papermill, ...) finds kernelspecs in a directory of JUPYTER_PATH and starts what they name: here a
bridge, a process that starts a kernel in the session and carries messages both ways. The modules:

    specs       which kernels there are, under which names; the directory of kernelspecs
    process     a bridge's process: its arguments, its signals, and the end of the tool
    bridge      what becomes of each message, and the kernel's start and end
    link        the connections to the kernel, one after the other, and what a break has lost
    ports       this side: the ZeroMQ sockets that a tool connects to
    channels    that side: the websocket of the session's kernel
    wire        a message as bytes on either side; pure
    questions   what a tool has asked and what was answered; pure
    remote      the session's kernels over its REST API
    roll        what bridges leave for ``run`` to read: which of them run, and what went wrong
    tasks       two ways to wait
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clinder.errors import SessionError, UsageError

if TYPE_CHECKING:
    from clinder.kernels.remote import Remote
    from clinder.session import Session

_LOOK_EVERY = 1.0  # seconds
_START_TIME = 120.0  # seconds in which a kernel may still come up whose bridge was killed


def check_installed() -> None:
    """Raise `UsageError` when the libraries of the extra are not installed."""
    if missing := [name for name in ("websockets", "zmq") if find_spec(name) is None]:
        raise UsageError(
            f"--kernels needs {' and '.join(missing)}, which this Python has not.",
            "Install it: pip install 'clinder[kernels]'",
        )


@contextmanager
def offered_kernels(
    session: "Session",
    project: Path,
    note: Callable[[str], None],
    warn: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, str]]:
    """Offer the session's kernels to commands that get the environment variables which the block is given.

    ``project`` is the directory here that the session's root is a copy of: a kernel starts in the directory there that
    its tool's has here. ``note`` is told what is offered, ``warn`` what went wrong with a kernel, at the end. The
    variables are beside `Session.env`, which the commands need too. ``check`` is called while the session is asked;
    what it raises ends that. Raises `SessionError` when the session does not say which kernels it has.
    """
    from clinder.kernels import roll
    from clinder.kernels.remote import Remote
    from clinder.kernels.specs import aliases, kernel_names, write_specs

    remote = Remote(session)
    specs = Remote(session, check).specs()
    more, unknown = aliases(specs, kernel_names(project))
    with tempfile.TemporaryDirectory(prefix="clinder-kernels-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        write_specs(home, specs, more, project)
        note(f"kernels of the session: {', '.join(sorted(specs)) or 'none'}")
        for alias, real in more.items():
            note(f"the kernel {alias}, which the session has not, is its {real} here: the only one of that language")
        for missing in unknown:
            warn(f"warning: notebooks name the kernel {missing}, which the session has not: only a local one would run")
        try:
            with _cleaning(remote, home):
                yield {"JUPYTER_PATH": os.pathsep.join([name, *filter(None, [os.environ.get("JUPYTER_PATH")])])}
        finally:
            for line in roll.trouble(home):
                warn(f"warning: {line}")


@contextmanager
def _cleaning(remote: "Remote", home: Path) -> Iterator[None]:
    """End the kernels in the session whose bridges were killed, as long as the block runs."""
    from clinder.kernels import roll

    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY):
            for entry in roll.abandoned(home):
                with suppress(SessionError, OSError):  # the next time, or with the whole session
                    if remote.end_at(entry.path) or entry.age > _START_TIME:
                        roll.leave(home, entry.name)

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
