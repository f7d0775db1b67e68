"""The process that a tool starts in place of a kernel: its arguments, its signals, and the end of the tool.

This module knows no messages; the bridge forwards them. Failures are written to a file that ``clinder run`` shows,
because they should not be in the output of a tool.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path, PurePath
from typing import NamedTuple, NoReturn

from clinder.errors import ClinderError
from clinder.kernels import roll
from clinder.kernels.bridge import Bridge
from clinder.kernels.ports import Ports
from clinder.kernels.remote import Remote
from clinder.kernels.tasks import first_of
from clinder.session import Session

_LOOK_EVERY = 1.0  # seconds


class Settings(NamedTuple):
    """The arguments in the kernelspec: the connection file, the directory of the roll, the kernel, the project."""

    connection_file: Path
    home: Path
    kernel: str
    project: Path

    @property
    def directory(self) -> str:
        """The working directory, relative to the project, as a path of Jupyter Server; the root if it is elsewhere."""
        try:
            here = PurePath(os.getcwd()).relative_to(self.project).as_posix()  # noqa: PTH109
        except (OSError, ValueError):
            return ""
        return "" if here == "." else here

    def tell(self, words: str) -> None:
        """Write a line about this kernel for ``clinder run`` to show."""
        where = f" in {self.directory}/" if self.directory else ""
        roll.tell(self.home, f"the kernel {self.kernel}{where}: {words}")


def main() -> NoReturn:
    """Run the process that a kernelspec names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is no kernel yet that could be interrupted
    settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    code = asyncio.new_event_loop().run_until_complete(_run(settings))
    os._exit(code)  # a thread may still wait for a slow server


async def _run(settings: Settings) -> int:
    """Serve a tool until it ends. Return the exit code, which is 1 after a failure."""
    try:
        ports = Ports(json.loads(settings.connection_file.read_bytes()))
        session = Session(os.environ.get("JUPYTER_BASE_URL", ""), os.environ.get("JUPYTER_TOKEN", ""))
        bridge = Bridge(ports, Remote(session), settings.kernel, settings.directory, settings.tell)
        roll.enter(settings.home, bridge.name, bridge.path)
        ended = _handle_signals(bridge)
        try:
            await first_of(ended.wait(), _tool_ended(settings.home), bridge.run())
        finally:
            if await bridge.end():
                roll.leave(settings.home, bridge.name)  # otherwise ``clinder run`` ends the kernel
        ports.close()
    except Exception as error:  # noqa: BLE001  (a traceback in a tool's output explains nothing)
        settings.tell(error.message if isinstance(error, ClinderError) else f"{type(error).__name__}: {error}")
        return 1
    return 0


def _handle_signals(bridge: Bridge) -> asyncio.Event:
    """Interrupt the kernel at SIGINT. Return an event that is set by a signal that ends this process."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGINT, bridge.begin_interrupt)
    return ended


async def _tool_ended(home: Path) -> None:
    """Return when the tool has ended, or when kernels are no longer offered."""
    named = os.environ.get("JPY_PARENT_PID", "")  # jupyter_client, launcher.py; not set if the kernel must go on
    tool = int(named) if named.isdecimal() else None
    is_parent = os.getppid() == tool
    while home.exists() and (tool is None or (os.getppid() == tool if is_parent else _exists(tool))):
        await asyncio.sleep(_LOOK_EVERY)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (OSError, OverflowError):
        return False
    return True
