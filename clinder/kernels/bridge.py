"""The process that a tool starts in place of a kernel. It starts one in the session, and carries messages both ways.

It ends as a kernel does: at a shutdown_request, at SIGTERM, or when the tool is gone. It also ends when its kernel
does, with exit code 1: then the tool sees a kernel that died, and says so in its own words at once. Why is left for
``run`` to tell.
"""

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any, NamedTuple, NoReturn, TypeVar

from clinder.errors import ClinderError, SessionError, SessionUnreachable
from clinder.kernels import roll
from clinder.kernels.channels import Broken, Channels
from clinder.kernels.ports import Ports
from clinder.kernels.questions import IDLE, REPLY, Questions
from clinder.kernels.remote import START_TIMEOUT, Remote, RunningKernel
from clinder.kernels.wire import Malformed, Message, load_object
from clinder.session import Session

_OPEN_TIMEOUT = 70.0  # seconds: jupyter-server accepts a connection when the kernel runs, and waits sixty for that
_RECONNECT_TIMEOUT = 60.0  # seconds in all, after a break
_END_TIMEOUT = 4.0  # seconds; a tool kills a kernel that has not ended after five (jupyter_client, shutdown_wait_time)
_LONGEST_PAUSE = 5.0
_LOOK_EVERY = 1.0  # seconds, at this machine
_ASK_EVERY = 5.0  # seconds, at the session
_GONE = "it is not in the session any more. A hub ends a kernel that has been idle for long."

# What jupyter-server writes in place of outputs (services/kernels/connection/channels.py, _limit_rate).
_LIMITS = ("IOPub data rate exceeded", "IOPub message rate exceeded")
_MAX_NOTICE = 2000  # bytes

_T = TypeVar("_T")


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
    try:
        ports = Ports(json.loads(settings.connection_file.read_bytes()))
        session = Session(os.environ.get("JUPYTER_BASE_URL", ""), os.environ.get("JUPYTER_TOKEN", ""))
        await Bridge(ports, Remote(session), settings).run()
    except Exception as error:  # noqa: BLE001  (a tool's output is no place for a traceback)
        settings.tell(error.message if isinstance(error, ClinderError) else f"{type(error).__name__}: {error}")
        return 1
    return 0


class _Request(NamedTuple):
    """A request of the tool that is answered here, and who gets the answer."""

    identities: Sequence[bytes]
    message: Message


class Bridge:
    """A kernel as a tool sees it, and the kernel in the session that does its work."""

    def __init__(self, ports: Ports, remote: Remote, settings: Settings) -> None:
        self._ports = ports
        self._remote = remote
        self._settings = settings
        self._name = uuid.uuid4().hex
        self._path = f"{settings.directory}/{self._name}.ipynb".removeprefix("/")
        self._kernel: RunningKernel | None = None
        self._channels: Channels | None = None
        self._is_open = asyncio.Event()
        self._questions = Questions()
        self._probe = ""
        self._broke_in_cell = False
        self._ended = asyncio.Event()
        self._shutdown: _Request | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the tool wants no more. Raises `SessionError` when the kernel died, or can't be reached."""
        roll.enter(self._settings.home, self._name, self._path)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGINT, self._begin_interrupt)
        try:
            await _first(
                self._ended.wait(),
                self._ports.beat(),
                self._welcome(),
                self._watch_tool(),
                self._watch_kernel(),
                self._carry(),
                *(self._forward(channel) for channel in ("shell", "control", "stdin")),
            )
        finally:
            with suppress(SessionError, asyncio.TimeoutError):  # run ends what is left
                await asyncio.wait_for(_in_thread(self._end_kernel), _END_TIMEOUT)
        if self._shutdown:
            restart = load_object(self._shutdown.message.parts[3]).get("restart", False)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._answer(self._shutdown, {"status": "ok", "restart": restart}), 1)
        self._ports.close()

    def _end_kernel(self) -> None:
        if self._kernel:
            self._remote.end(self._kernel.session_id)
        elif not self._remote.end_at(self._path):
            return  # it may still come up
        roll.leave(self._settings.home, self._name)

    async def _watch_tool(self) -> None:
        """Return when the tool, or the offer of kernels, has ended."""
        is_there = _tool()
        while self._settings.home.exists() and is_there():
            await asyncio.sleep(_LOOK_EVERY)

    async def _watch_kernel(self) -> None:
        """Raise `SessionError` when a tool waits for a kernel that was ended: its websocket stays open all the same."""
        while True:
            await asyncio.sleep(_ASK_EVERY)
            if self._kernel and self._questions.are_open:
                await self._check_kernel(self._kernel.id)

    async def _check_kernel(self, kernel: str) -> None:
        with suppress(SessionUnreachable):
            if not await _in_thread(self._remote.has, kernel):
                raise SessionError(_GONE)

    async def _welcome(self) -> None:
        """Tell each client that subscribes to iopub that it hears now (Jupyter Enhancement Proposal 65)."""
        while True:
            topic = await self._ports.subscription()
            content = json.dumps({"subscription": topic.decode("utf-8", "replace")})
            await self._ports.publish([_header("iopub_welcome"), b"{}", b"{}", content.encode()], topic)

    # From the tool to the session

    async def _forward(self, channel: str) -> None:
        """Forward what the tool sends on a channel, until it wants the kernel to end."""
        while True:
            identities, parts = await self._ports.receive(channel)
            message = Message(channel, parts)
            try:
                header = message.header
            except Malformed:
                continue
            kind = header.get("msg_type", "")
            if kind == "shutdown_request":
                self._shutdown = _Request(identities, message)
                return
            if kind == "interrupt_request":
                self._begin_interrupt(_Request(identities, message))
                continue
            await self._is_open.wait()
            if channel != "stdin":
                self._questions.ask(header.get("msg_id", ""), kind, identities)
            await self._send(message)

    async def _send(self, message: Message) -> None:
        """Send a message on the open connection. When that breaks, the next one finds out whether it has arrived."""
        channels = self._channels
        assert channels is not None
        try:
            await channels.send(message)
        except Broken as broken:
            if message.channel == "stdin":
                raise SessionUnreachable(f"an input may be lost: {broken}") from None
            if channels is self._channels:
                self._is_open.clear()

    def _begin_interrupt(self, request: _Request | None = None) -> None:
        """Interrupt the kernel, and answer the request if it was one."""

        async def interrupt() -> None:
            if self._kernel is None:
                return
            try:
                await _in_thread(self._remote.interrupt, self._kernel.id)
                outcome = {"status": "ok"}
            except SessionError as error:
                outcome = {"status": "error", "ename": type(error).__name__, "evalue": error.message}
            if request:
                await self._answer(request, outcome)

        task = asyncio.ensure_future(interrupt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: _Request, content: dict[str, Any]) -> None:
        kind = str(request.message.header["msg_type"]).replace("_request", "_reply")
        parts = [_header(kind), request.message.parts[0], b"{}", json.dumps(content).encode()]
        await self._ports.reply(request.message.channel, request.identities, parts)

    # From the session to the tool

    async def _carry(self) -> None:
        """Start the kernel and bring what it sends to the tool, over as many connections as it takes."""
        settings = self._settings
        self._kernel = await _in_thread(self._remote.start, settings.kernel, self._path)
        timeout = START_TIMEOUT
        while True:
            channels = self._channels = await self._connect(self._kernel.id, timeout)
            if self._probe or timeout == _RECONNECT_TIMEOUT:
                await self._ask_probe()
            self._is_open.set()
            timeout = _RECONNECT_TIMEOUT
            try:
                async for message in channels.messages():
                    await self._deliver(message)
            except Broken as broken:
                if broken.is_final:
                    raise SessionError(str(broken)) from None
                self._broke_in_cell = self._questions.has_cell
            finally:
                self._is_open.clear()

    async def _connect(self, kernel: str, timeout: float) -> Channels:
        until = time.monotonic() + timeout
        pause = 0.1
        while True:
            try:
                return await Channels.open(self._remote.session, kernel, self._name, min(timeout, _OPEN_TIMEOUT))
            except Broken as broken:
                await self._check_kernel(kernel)
                if time.monotonic() > until:
                    raise SessionUnreachable(f"the connection to it broke, and there is no other: {broken}") from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask_probe(self) -> None:
        """Ask something after a break: when that is answered and an earlier cell is not, its answer is lost."""
        header = _header("kernel_info_request")
        self._probe = load_object(header)["msg_id"]
        self._questions.ask(self._probe, "kernel_info_request", ())
        await self._send(Message("shell", [header, b"{}", b"{}", b"{}"]))

    async def _deliver(self, message: Message) -> None:
        """Bring a message to whom it is for. Raises `SessionError` when it tells of a death, or a loss."""
        kind, parent = message.header.get("msg_type", ""), message.parent.get("msg_id", "")
        _check(kind, message)
        answered = None
        if message.channel == "iopub":
            if kind == "status" and load_object(message.parts[3]).get("execution_state") == "idle":
                answered = IDLE
        elif kind.endswith("_reply"):
            answered = REPLY
        if answered and parent == self._probe and self._questions.is_lost(parent, answered):
            raise SessionUnreachable("the connection to the session broke, and an answer is lost")
        identities = self._questions.asker(parent)
        if answered:
            self._questions.answer(parent, answered)
        if parent and parent == self._probe:
            if answered == IDLE and self._broke_in_cell:
                self._settings.tell("the connection to the session broke while a cell ran: outputs may be missing")
            return
        if message.channel == "iopub":
            await self._ports.publish(message.parts)
        elif identities is not None:
            await self._ports.reply(message.channel, identities, message.parts)


def _check(kind: str, message: Message) -> None:
    """Raise `SessionError` if jupyter-server says that the kernel died, or that it holds outputs back."""
    content = message.parts[3]
    if kind == "status" and load_object(content).get("execution_state") in ("restarting", "dead"):
        raise SessionError("it died in the session. Most often that is for lack of memory.")
    if kind == "stream" and len(content) < _MAX_NOTICE:
        text = str(load_object(content).get("text", "")).lstrip()
        if text.startswith(_LIMITS) and "The Jupyter server will temporarily stop sending output" in text:
            raise SessionError(
                f"outputs are lost: the session's server sends only so much in a second ({text.splitlines()[0]}). "
                "The how-to on executing notebooks says how to lift that."
            )


def _header(kind: str) -> bytes:
    """Return the header of a message that is this process's own."""
    now = datetime.now(timezone.utc).isoformat()
    names = {"msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": "clinder"}
    return json.dumps({**names, "date": now, "msg_type": kind, "version": "5.3"}).encode()


def _tool() -> Callable[[], bool]:
    """Return what tells whether the tool is there; it always says yes when the kernel is not to end with the tool."""
    named = os.environ.get("JPY_PARENT_PID", "")  # jupyter_client, launcher.py
    if not named.isdecimal():
        return lambda: True
    tool = int(named)
    if os.getppid() == tool:
        return lambda: os.getppid() == tool

    def exists() -> bool:
        try:
            os.kill(tool, 0)
        except OSError:
            return False
        return True

    return exists


async def _in_thread(work: Callable[..., _T], *args: Any) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


async def _first(*work: Awaitable[Any]) -> None:
    """Return when the first of these has ended, and raise what ended it; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
