"""What becomes of each message: a kernel as a tool sees it, and the kernel in the session that does its work.

It starts the kernel in the session and ends it, answers what is not the kernel's to answer (interrupts, the shutdown,
subscriptions), and ends when the kernel does. It knows nothing of the process that it runs in.
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

_END_TIMEOUT = 4.0  # seconds; a tool kills a kernel that has not ended after five (jupyter_client, shutdown_wait_time)

# What jupyter-server writes in place of outputs (services/kernels/connection/channels.py, _limit_rate).
_LIMITS = ("IOPub data rate exceeded", "IOPub message rate exceeded")
_MAX_NOTICE = 2000  # bytes


class _Request(NamedTuple):
    """A request of the tool that is answered here, and who gets the answer."""

    identities: Sequence[bytes]
    message: Message


class Bridge:
    """A kernel called ``kernel_name`` for a tool that works in ``directory``, a path below the session's root."""

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
        """Serve until the tool wants no more. Raises `SessionError` when the kernel died, or can't be reached."""
        forwards = [self._forward(channel) for channel in ("shell", "control", "stdin")]
        await first_of(self._ports.beat(), self._welcome(), self._serve_kernel(), *forwards)

    async def end(self) -> bool:
        """End the kernel, and confirm that if the tool has asked for it; return whether the kernel is known to be gone.

        It takes no longer than a tool waits.
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
            return self._remote.end_at(self.path)  # if there was none, it may still come up
        self._remote.end(self._kernel.session_id)
        return True

    def begin_interrupt(self, request: _Request | None = None) -> None:
        """Interrupt the kernel if there is one, and answer the request if it was one. Returns at once."""
        task = asyncio.ensure_future(self._interrupt(request))
        self._tasks.add(task)  # asyncio itself keeps no task
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
        """Tell each client that subscribes to iopub that it hears now (Jupyter Enhancement Proposal 65)."""
        while True:
            topic = await self._ports.subscription()
            content = json.dumps({"subscription": topic.decode("utf-8", "replace")})
            await self._ports.publish([new_header("iopub_welcome"), b"{}", b"{}", content.encode()], topic)

    async def _forward(self, channel: str) -> None:
        """Forward what the tool sends on a channel, until it wants the kernel to end."""
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
        """Start the kernel and bring what it sends to the tool."""
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
    """Raise `SessionError` if jupyter-server says that the kernel died, or that it holds outputs back."""
    kind, content = message.header.get("msg_type", ""), message.parts[3]
    if kind == "status" and load_object(content).get("execution_state") in ("restarting", "dead"):
        raise SessionError("it died in the session. Most often that is for lack of memory.")
    if kind == "stream" and len(content) < _MAX_NOTICE:
        text = str(load_object(content).get("text", "")).lstrip()
        if text.startswith(_LIMITS) and "The Jupyter server will temporarily stop sending output" in text:
            raise SessionError(
                f"outputs are lost: the session's server sends only so much in a second ({text.splitlines()[0]}). "
                "The how-to on executing notebooks says how to lift that."
            )
