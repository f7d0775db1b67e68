"""The process that a tool starts in place of a kernel: what its kernelspec says, its signals, and the tool's end.

It knows that there are arguments, an environment and a tool; it knows nothing of messages, which are the bridge's. What
went wrong is left for ``run`` to tell: a tool's output is no place for it.
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
    """What the kernelspec says: the connection file, where ``run`` reads, which kernel, and the project's directory."""

    connection_file: Path
    home: Path
    kernel: str
    project: Path

    @property
    def directory(self) -> str:
        """Where this process works, relative to the project, as Jupyter Server writes paths; its root if elsewhere."""
        try:
            here = PurePath(os.getcwd()).relative_to(self.project).as_posix()  # noqa: PTH109
        except (OSError, ValueError):
            return ""
        return "" if here == "." else here

    def tell(self, words: str) -> None:
        """Leave words about this kernel for ``run`` to tell."""
        where = f" in {self.directory}/" if self.directory else ""
        roll.tell(self.home, f"the kernel {self.kernel}{where}: {words}")


def main() -> NoReturn:
    """Be the process that a kernelspec names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is a kernel, there is nothing to interrupt
    settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    code = asyncio.new_event_loop().run_until_complete(_run(settings))
    os._exit(code)  # a thread may still wait for a slow server


async def _run(settings: Settings) -> int:
    """Serve a tool to its end; return the exit code, which is 1 when the kernel, or what it needs, has failed."""
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
                roll.leave(settings.home, bridge.name)  # otherwise run ends the kernel
        ports.close()
    except Exception as error:  # noqa: BLE001  (a traceback in a tool's output explains nothing)
        settings.tell(error.message if isinstance(error, ClinderError) else f"{type(error).__name__}: {error}")
        return 1
    return 0


def _handle_signals(bridge: Bridge) -> asyncio.Event:
    """Interrupt the kernel at SIGINT; return what is set by a signal that ends this process."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGINT, bridge.begin_interrupt)
    return ended


async def _tool_ended(home: Path) -> None:
    """Return when the tool, or the offer of kernels, has ended."""
    named = os.environ.get("JPY_PARENT_PID", "")  # jupyter_client, launcher.py; not set for a kernel that is to stay
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
