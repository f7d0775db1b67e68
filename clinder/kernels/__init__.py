"""Offer the kernels of a session to tools that start kernels, as if they were kernels of this machine.

A tool (nbconvert, papermill, ...) finds kernelspecs in a directory of JUPYTER_PATH, and starts the command that a
kernelspec names. Here the command is a bridge: a process that starts a kernel in the session and forwards messages in
both directions. The modules:

- specs: the names of the kernels, and the directory of kernelspecs
- process: a bridge's process: its arguments, its signals, and the end of the tool
- bridge: forwards each message, and starts and ends the kernel
- link: the connections to the kernel, one after the other, and the messages that a break has lost
- ports: the tool's side: the ZeroMQ sockets that a tool connects to
- channels: the session's side: the websocket of the session's kernel
- wire: a message as bytes on either side; pure functions
- questions: the requests of a tool and their answers; no I/O
- remote: the session's kernels over its REST API
- roll: files from which ``clinder run`` reads which bridges run, and what went wrong
- tasks: two ways to wait
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
_START_TIME = 120.0  # seconds in which a kernel may still start after its bridge was killed


def check_installed() -> None:
    """Raise `UsageError` if the libraries of the extra ``clinder[kernels]`` are not installed."""
    if missing := [name for name in ("websockets", "zmq") if find_spec(name) is None]:
        raise UsageError(
            f"--kernels needs {' and '.join(missing)}, which this Python does not have.",
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
    """Offer the session's kernels to commands, as long as the block runs.

    Yield environment variables. The commands need them, and those of `Session.env`. ``project`` is the directory on
    this machine whose copy is the session's root: a kernel starts in the session's directory that corresponds to the
    working directory of its tool. ``note`` is called with lines about the offered kernels, and ``warn`` at the end with
    lines about failures. ``check`` is called while the session is asked; its exception ends that. Raises `SessionError`
    if the session does not say which kernels it has.
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
            note(
                f"the kernel {alias}, which the session does not have, is its {real} here: the only one of that "
                "language"
            )
        for missing in unknown:
            warn(
                f"warning: notebooks name the kernel {missing}, which the session does not have: only a local kernel "
                "of that name would run"
            )
        try:
            with _cleaning(remote, home):
                yield {"JUPYTER_PATH": os.pathsep.join([name, *filter(None, [os.environ.get("JUPYTER_PATH")])])}
        finally:
            for line in roll.trouble(home):
                warn(f"warning: {line}")


@contextmanager
def _cleaning(remote: "Remote", home: Path) -> Iterator[None]:
    """As long as the block runs, end the kernels in the session whose bridges were killed."""
    from clinder.kernels import roll

    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY):
            for entry in roll.abandoned(home):
                with suppress(SessionError, OSError):  # it is tried again, or the kernel ends with the session
                    if remote.end_at(entry.path) or entry.age > _START_TIME:
                        roll.leave(home, entry.name)

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
