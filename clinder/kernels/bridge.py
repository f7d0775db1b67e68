"""Forward the messages between a tool and a kernel in the session.

A bridge starts the kernel in the session, and ends it. It answers requests for an interrupt, a shutdown and a
subscription itself. It ends when the kernel ends. It does not know the process in which it runs.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from clinder.errors import SessionError
from clinder.kernels.link import Link, new_header
from clinder.kernels.ports import Ports
from clinder.kernels.remote import Remote, RunningKernel
from clinder.kernels.tasks import first_of, in_thread
from clinder.kernels.wire import Malformed, Message, load_object

_END_TIMEOUT = 4.0  # seconds; a tool kills a kernel after five (jupyter_client, shutdown_wait_time)

# jupyter-server writes these words in place of outputs (services/kernels/connection/channels.py, _limit_rate).
_LIMITS = ("IOPub data rate exceeded", "IOPub message rate exceeded")
_MAX_NOTICE = 2000  # bytes


class _Request(NamedTuple):
    """A request of the tool that the bridge answers, and the identities of the client that gets the answer."""

    identities: Sequence[bytes]
    message: Message


class Bridge:
    """A kernel called ``kernel_name`` for a tool that runs in ``directory``, a path below the session's root."""

    def __init__(
        self, ports: Ports, remote: Remote, kernel_name: str, directory: str, tell: Callable[[str], None]
    ) -> None:
        self.name = uuid.uuid4().hex
        self.path = f"{directory}/{self.name}.ipynb".removeprefix("/")
        self._ports = ports
        self._remote = remote
        self._kernel_name = kernel_name
        self._kernel: RunningKernel | None = None
        self._link = Link(remote, tell)
        self._shutdown: _Request | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the tool until it asks for the end. Raises `SessionError` if the kernel dies or can't be reached."""
        forwards = [self._forward(channel) for channel in ("shell", "control", "stdin")]
        await first_of(self._ports.beat(), self._welcome(), self._serve_kernel(), *forwards)

    async def end(self) -> bool:
        """End the kernel, and confirm the end if the tool has asked for it. Return whether it has certainly ended.

        This takes five seconds at most, because tools do not wait for longer.
        """
        is_gone = False
        with suppress(SessionError, asyncio.TimeoutError):
            is_gone = await asyncio.wait_for(in_thread(self._end_kernel), _END_TIMEOUT)
        if self._shutdown:
            restart = load_object(self._shutdown.message.parts[3]).get("restart", False)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._answer(self._shutdown, {"status": "ok", "restart": restart}), 1)
        return is_gone

    def _end_kernel(self) -> bool:
        if self._kernel is None:
            return self._remote.end_at(self.path)  # if there is none, it may still start
        self._remote.end(self._kernel.session_id)
        return True

    def begin_interrupt(self, request: _Request | None = None) -> None:
        """Interrupt the kernel, if there is one, and then answer the request, if there is one. Return at once."""
        task = asyncio.ensure_future(self._interrupt(request))
        self._tasks.add(task)  # asyncio itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _interrupt(self, request: _Request | None) -> None:
        outcome = {"status": "ok"}
        try:
            if self._kernel:
                await in_thread(self._remote.interrupt, self._kernel.id)
        except SessionError as error:
            outcome = {"status": "error", "ename": type(error).__name__, "evalue": error.message}
        if request:
            await self._answer(request, outcome)

    async def _answer(self, request: _Request, content: dict[str, Any]) -> None:
        kind = str(request.message.header["msg_type"]).replace("_request", "_reply")
        parts = [new_header(kind), request.message.parts[0], b"{}", json.dumps(content).encode()]
        await self._ports.reply(request.message.channel, request.identities, parts)

    async def _welcome(self) -> None:
        """Tell each client that subscribes to iopub that its subscription works (Jupyter Enhancement Proposal 65)."""
        while True:
            topic = await self._ports.subscription()
            content = json.dumps({"subscription": topic.decode("utf-8", "replace")})
            await self._ports.publish([new_header("iopub_welcome"), b"{}", b"{}", content.encode()], topic)

    async def _forward(self, channel: str) -> None:
        """Forward the messages of the tool on a channel, until it asks for the shutdown."""
        while True:
            identities, parts = await self._ports.receive(channel)
            message = Message(channel, parts)
            try:
                kind = message.header.get("msg_type", "")
            except Malformed:
                continue
            if kind == "shutdown_request":
                self._shutdown = _Request(identities, message)
                return
            if kind == "interrupt_request":
                self.begin_interrupt(_Request(identities, message))
            else:
                await self._link.send(message, identities)

    async def _serve_kernel(self) -> None:
        """Start the kernel, and forward its messages to the tool."""
        self._kernel = await in_thread(self._remote.start, self._kernel_name, self.path)
        await first_of(self._deliver(self._kernel.id), self._link.watch(self._kernel.id))

    async def _deliver(self, kernel: str) -> None:
        async for message, identities in self._link.messages(kernel):
            _check(message)
            if message.channel == "iopub":
                await self._ports.publish(message.parts)
            elif identities is not None:
                await self._ports.reply(message.channel, identities, message.parts)


def _check(message: Message) -> None:
    """Raise `SessionError` if jupyter-server says that the kernel died, or that it drops outputs."""
    kind = message.header.get("msg_type", "")
    if kind == "status" and message.notice.get("execution_state") in ("restarting", "dead"):
        raise SessionError("it died in the session. Most often the reason is a lack of memory.")
    if kind == "stream" and len(message.parts[3]) < _MAX_NOTICE:
        text = str(message.notice.get("text", "")).lstrip()
        if text.startswith(_LIMITS) and "The Jupyter server will temporarily stop sending output" in text:
            raise SessionError(
                f"outputs are lost: the session's server sends only so much in a second ({text.splitlines()[0]}). "
                "The how-to on executing notebooks says how to lift that."
            )
