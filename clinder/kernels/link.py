"""The connections to a session's kernel, one after the other, and the messages that a break between them has lost.

A link knows which client has sent each request, and so which client each message is for. It decides whether a broken
connection is opened again. The bridge decides what to do with the messages.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from clinder.errors import SessionError, SessionUnreachable
from clinder.kernels.channels import Broken, Channels
from clinder.kernels.questions import IDLE, REPLY, Questions
from clinder.kernels.remote import START_TIMEOUT, Remote
from clinder.kernels.tasks import in_thread
from clinder.kernels.wire import Message, load_object

# Seconds: jupyter-server accepts a connection when the kernel runs, and waits up to sixty seconds for that.
_OPEN_TIMEOUT = 70.0
_RECONNECT_TIMEOUT = 60.0  # seconds in total, after a break
_LONGEST_PAUSE = 5.0  # seconds
_ASK_EVERY = 5.0  # seconds
_GONE = "it is not in the session any more. A hub ends a kernel that has been idle for long."


class Link:
    """The connections to one kernel. ``tell`` is called with a clause about a break, for ``clinder run`` to show."""

    def __init__(self, remote: Remote, tell: Callable[[str], None]) -> None:
        self._remote = remote
        self._tell = tell
        self._key = uuid.uuid4().hex
        self._channels: Channels | None = None
        self._is_open = asyncio.Event()
        self._questions = Questions()
        self._probe: str | None = None

    async def send(self, message: Message, identities: Sequence[bytes]) -> None:
        """Send a message of the tool as soon as there is a connection. Its answers are for the given identities."""
        await self._is_open.wait()
        if message.channel != "stdin":
            header = message.header
            self._questions.ask(header.get("msg_id", ""), header.get("msg_type", ""), identities)
        await self._send(message)

    async def messages(self, kernel: str) -> AsyncIterator[tuple[Message, Sequence[bytes] | None]]:
        """Yield each message of the kernel, with the identities of the client that it answers, or None.

        Raises `SessionError` when the kernel is gone or can't be reached, or when an answer is lost.
        """
        self._channels = await self._connect(kernel, START_TIMEOUT)
        while True:
            self._is_open.set()
            try:
                async for message in self._channels.messages():
                    yield message, self._asker(message)
            except Broken as broken:
                if broken.is_final:
                    raise SessionError(str(broken)) from None
            finally:
                self._is_open.clear()
            self._channels = await self._connect(kernel, _RECONNECT_TIMEOUT)
            if self._questions.has_cell:
                self._tell("the connection to the session broke while a cell ran: outputs may be missing")
            await self._ask_probe()

    async def watch(self, kernel: str) -> None:
        """Raise `SessionError` if a tool waits for a kernel that has ended, because its websocket may stay open."""
        while True:
            await asyncio.sleep(_ASK_EVERY)
            if self._questions.are_open:
                await self._check_kernel(kernel)

    async def _check_kernel(self, kernel: str) -> None:
        with suppress(SessionUnreachable):
            if not await in_thread(self._remote.has, kernel):
                raise SessionError(_GONE)

    async def _connect(self, kernel: str, timeout: float) -> Channels:
        until = time.monotonic() + timeout
        pause = 0.1
        while True:
            try:
                return await Channels.open(self._remote.session, kernel, self._key, min(timeout, _OPEN_TIMEOUT))
            except Broken as broken:
                await self._check_kernel(kernel)
                if time.monotonic() > until:
                    raise SessionUnreachable(
                        f"the connection to it broke, and no new one could be opened: {broken}"
                    ) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _send(self, message: Message) -> None:
        """Send a message on the open connection. If it breaks, the next connection checks whether answers are lost."""
        channels = self._channels
        assert channels is not None
        try:
            await channels.send(message)
        except Broken as broken:
            if message.channel == "stdin":
                raise SessionUnreachable(f"an input may be lost: {broken}") from None
            if channels is self._channels:
                self._is_open.clear()

    async def _ask_probe(self) -> None:
        """Send a request after a break. If it is answered and an earlier cell is not, the cell's answer is lost."""
        header = new_header("kernel_info_request")
        self._probe = str(load_object(header)["msg_id"])
        self._questions.ask(self._probe, "kernel_info_request", None)
        await self._send(Message("shell", [header, b"{}", b"{}", b"{}"]))

    def _asker(self, message: Message) -> Sequence[bytes] | None:
        """Note which request a message answers; return its client. Raises `SessionUnreachable` if an answer is lost."""
        parent, answered = message.parent.get("msg_id", ""), _answer_in(message)
        asker = self._questions.asker(parent)
        if answered:
            if parent == self._probe and self._questions.is_lost(parent, answered):
                raise SessionUnreachable("the connection to the session broke, and an answer is lost")
            self._questions.answer(parent, answered)
        return asker


def _answer_in(message: Message) -> str | None:
    """Return which of a request's two answers a message is, or None."""
    kind = message.header.get("msg_type", "")
    if message.channel != "iopub":
        return REPLY if kind.endswith("_reply") else None
    is_idle = kind == "status" and message.notice.get("execution_state") == "idle"
    return IDLE if is_idle else None


def new_header(kind: str) -> bytes:
    """Return the header of a new message by clinder itself."""
    now = datetime.now(timezone.utc).isoformat()
    names = {"msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": "clinder"}
    return json.dumps({**names, "date": now, "msg_type": kind, "version": "5.3"}).encode()
