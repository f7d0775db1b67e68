"""One BinderHub: `BinderHub.launch` folds its build stream into a `Session`, within one deadline.

This is where a session comes from, and the only place. It retries what is worth retrying, and when it can't deliver
what the hub launched, it stops it. It knows of no terminal and no CI: who wants to watch gives a callback for events.

The protocol is that of ``GET build/<provider>/<spec>`` (binderhub/builder.py). Three facts shape the code. The answer
is HTTP 200 with an event stream even for errors. A hub that sees a client reconnect after ``ready`` launches a second
server, so the stream is closed at once. And a launch goes on when its client leaves, with a token that nobody knows
then: who gives up during the launch has to listen on, take ``ready``, and stop that server.
"""

import json
import random
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timezone
from email.utils import parsedate_to_datetime
from html import unescape
from math import ceil
from queue import Empty, SimpleQueue
from socket import EAI_NONAME, gaierror
from ssl import SSLCertVerificationError
from types import FrameType
from typing import Any
from urllib.parse import urlencode

import requests

from clinder._http import NETWORK_ERRORS, Client, caused_by, describe, proxies
from clinder.errors import (
    BuildFailed,
    DeadlineExceeded,
    HubRefused,
    HubUnavailable,
    SessionError,
    UsageError,
)
from clinder.events import FAILED_PHASES, LAUNCH_PHASES, Event, plain, read
from clinder.session import Session
from clinder.spec import RepoSpec, check_url, parse_path

DEFAULT_TIMEOUT = 1800.0

# A hub sends a keepalive every 25 s (BuildHandler.KEEPALIVE_INTERVAL): after more than two of them there is nobody.
SILENCE = 60.0
_CONNECT_TIMEOUT = 10.0

# Who is cancelled during a launch listens on for so long. A GitHub runner gives 10 s from its first signal to the kill.
_GRACE = 7.0
_STOP_TIMEOUT = 2.0
# Who is cancelled before it listens on for a moment: the news that the launch has begun may be on its way.
_LINGER = 0.5

_LONGEST_PAUSE = 60.0
_TICK = 0.1
_LOG_TAIL = 20
_CHUNK = 1 << 16


class BinderHub:
    """A BinderHub, by its URL (with a path prefix if it has one).

    ``build_token`` is sent to the hub with each request and lifts its rate limit. ``silence`` is how many seconds
    without a single byte, keepalives included, mean a dead connection. Raises `UsageError` for a URL that is none.
    """

    def __init__(self, url: str, *, build_token: str | None = None, silence: float = SILENCE) -> None:
        self.url = check_url(url, "a BinderHub's URL")
        self.silence = silence
        if build_token and not re.fullmatch(r"[!-~]+", build_token):
            raise UsageError("The build token has blanks or control characters in it.", "Is it copied whole?")
        self._build_token = build_token

    def __repr__(self) -> str:
        return f"BinderHub({self.url!r})"

    def launch(
        self, spec: RepoSpec, *, timeout: float = DEFAULT_TIMEOUT, on_event: Callable[[Event], None] | None = None
    ) -> Session:
        """Build (if need be) and launch a repository; return the session.

        ``timeout`` is one deadline in seconds over everything, retries included. ``on_event`` is called with each event
        of the hub, in this thread, and with events of clinder's own in the phases "retrying" and "stopping".

        Raises `HubRefused` or `BuildFailed` when the hub said no for good, `HubUnavailable` when it could not be
        reached or kept failing, and `DeadlineExceeded`. In the main thread a signal whose handler raises (Ctrl-C and
        its KeyboardInterrupt, for one) ends the launch as well: the exception comes out of here, up to ten seconds
        later if the hub has to be waited for so that no server is left.
        """
        return _Launch(self, spec, timeout, on_event).run()

    def build_url(self, spec: RepoSpec) -> str:
        """Return the URL of the build stream, build token included."""
        query = f"?{urlencode({'build_token': self._build_token})}" if self._build_token else ""
        return f"{self.url}build/{spec.path}{query}"


class _Trouble(Exception):
    """A failure that is worth another try, after so many seconds if the hub said how long."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait = wait


class _Launch:
    """One call of launch(), from the first request to the session or the error."""

    def __init__(
        self, hub: BinderHub, spec: RepoSpec, timeout: float, on_event: Callable[[Event], None] | None
    ) -> None:
        if timeout <= 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        self.hub = hub
        self.spec = spec
        self.timeout = timeout
        self.on_event = on_event
        self.deadline = time.monotonic() + timeout
        self.phase = ""
        self.log: deque[str] = deque(maxlen=_LOG_TAIL)
        self.front_door = hub.build_url(spec)
        self.address = self.front_door  # where to ask next: there, or the member of the federation it sent us to
        self.asking = False  # whether the hub may be launching: not between two attempts
        self.response: requests.Response | None = None  # the open stream
        # Why this launch is to end without a session, and when to stop listening. Set by a signal's handler, a callback
        # that raised, or the watch at the deadline.
        self.end: BaseException | None = None
        self.cut_at = self.deadline
        self.done = threading.Event()

    def run(self) -> Session:
        """Try until there is a session, a final answer, or no time."""
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            with Client() as http, self._signals():
                session = self._persist(http)
            if self.end is not None:  # a signal between the last look and here
                self._stop(session)
                raise self.end
            return session
        finally:
            self.done.set()

    def _persist(self, http: requests.Session) -> Session:
        attempts = 0
        while True:
            began = time.monotonic()
            attempts += 1
            try:
                return self._attempt(http)
            except _Trouble as trouble:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    attempts = 1  # it worked for a while: this is a new trouble
                self._pause(trouble, attempts)

    # One attempt

    def _attempt(self, http: requests.Session) -> Session:
        self.phase = ""
        self.asking = True
        with self._open(http) as response:
            self.response = response
            try:
                return self._follow(response)
            except NETWORK_ERRORS as error:
                self._give_up_on(response)
                raise self._broken(describe(error)) from None
            finally:
                self.response = None

    def _open(self, http: requests.Session) -> requests.Response:
        """Return the open event stream, after redirects."""
        address, self.address = self.address, self.front_door
        try:
            response = self._get(http, address)
        except requests.exceptions.TooManyRedirects:
            raise HubRefused(f"{self.hub.url} redirects in circles.", _NO_HUB) from None
        except NETWORK_ERRORS as error:
            raise self._unreachable(error) from None
        try:
            self._check(response, at_front_door=address == self.front_door)
        except BaseException:
            response.close()
            raise
        self.address = response.url
        return response

    def _get(self, http: requests.Session, address: str) -> requests.Response:
        """Request address in a thread: neither a name server nor a slow proxy knows of our deadline and signals."""
        answers: SimpleQueue[requests.Response | Exception] = SimpleQueue()
        abandoned = threading.Event()

        def get() -> None:
            try:
                response = http.get(
                    address,
                    # Exactly so: a hub compares the header as a whole. Unencoded: a compressor would hold events back.
                    headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
                    timeout=(_CONNECT_TIMEOUT, self.hub.silence),
                    proxies=proxies(address),
                    stream=True,
                )
            except Exception as error:  # noqa: BLE001  (raised again in the thread that waits)
                answers.put(error)
                return
            answers.put(response)
            if abandoned.is_set():
                response.close()

        threading.Thread(target=get, daemon=True).start()
        while True:
            try:
                answer = answers.get(timeout=_TICK)
            except Empty:
                if self.end is not None and time.monotonic() >= self.cut_at:
                    abandoned.set()
                    raise self.end from None
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def _check(self, response: requests.Response, *, at_front_door: bool) -> None:
        """Raise unless the answer is an event stream."""
        status = response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status == 200 and kind == "text/event-stream":
            return
        said = _words(response)
        what = f"{self.hub.url} answered HTTP {status}" + (f": {said}" if said else "")
        if status == 429 or status >= 500 or not at_front_door:
            raise _Trouble(what, _retry_after(response.headers.get("Retry-After")) or _said_wait(said))
        if status >= 400:
            raise HubRefused(what, _NO_HUB)
        raise HubRefused(f"{self.hub.url} answered with {kind or 'something'} instead of an event stream.", _NO_HUB)

    def _follow(self, response: requests.Response) -> Session:
        """Read the stream to its verdict."""
        for event in read(self._chunks(response)):
            if event.phase != self.phase:
                if event.phase == "ready":
                    return self._deliver(event, response)
                if event.phase in FAILED_PHASES:
                    response.close()
                    self._tell(event)
                    self._raise_end()
                    raise self._failure(event)
                self._enter(event.phase)
            self.log.append(event.message)
            self._tell(event)
        self._give_up_on(response)
        raise self._broken("it ended")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield what has arrived, as soon as it arrives."""
        # Neither requests nor urllib3 gives an unframed stream piecemeal and all of a chunk that breaks off. read1() of
        # the answer below them does; urllib3's own costs three times as much, for each line of a log.
        read1 = getattr(response.raw._original_response, "read1", response.raw.read1)
        while chunk := read1(_CHUNK):
            yield chunk
            if self.end is not None and time.monotonic() >= self.cut_at:
                return  # what was shut down for reading still gives what had arrived, and a busy hub sends on

    def _enter(self, phase: str) -> None:
        if phase == "unknown":
            return
        if self.end is not None and phase in LAUNCH_PHASES and self.phase not in LAUNCH_PHASES:
            self.cut_at = time.monotonic() + _GRACE
        self.phase = phase

    def _deliver(self, event: Event, response: requests.Response) -> Session:
        """Return the session of the ready event, or stop its server when this launch is to end without one."""
        session = self._session(event)
        response.close()  # before anything else: a hub launches again for a client that reconnects
        self._tell(event)
        if self.end:
            self._stop(session)
        self._raise_end()
        return session

    def _session(self, event: Event) -> Session:
        data = event.data
        try:
            launch_url, resolved_ref = self._resolved(data)
            return Session(
                url=_text(data.get("url")),
                token=_text(data.get("token")),
                hub=self.hub.url,
                spec=self.spec,
                image=" ".join(plain(_text(data.get("image"))).split()) or None,
                resolved_ref=resolved_ref,
                launch_url=launch_url,
            )
        except UsageError as error:
            raise HubRefused(
                f"{self.hub.url} launched a server but sent no usable address for it. {error.message}",
                "This is a fault of the hub: tell its operators. The hub will stop the server when it has been idle.",
            ) from None

    def _resolved(self, data: Any) -> tuple[str, str | None]:
        """Return the link that launches the very same commit, and that commit when the hub said which it is."""
        try:
            host = check_url(_text(data.get("binder_launch_host")), "a hub's URL")
        except UsageError:
            host = self.hub.url
        request = _text(data.get("binder_persistent_request"))
        try:
            spec = parse_path(request.removeprefix("v2/"))
        except UsageError:
            return self.spec.launch_link(host), None
        return spec.launch_link(host), spec.ref

    # What went wrong

    def _failure(self, event: Event) -> Exception:
        """Tell from a failed event whether to try again (_Trouble) or not (HubRefused, BuildFailed)."""
        said = plain(event.message).strip()
        what = f"{self.hub.url} said: {said}" if said else f"{self.hub.url} gave no reason"
        status = event.data.get("status_code")
        status = status if isinstance(status, int) else None
        wait = _said_wait(said)
        if status == 429 or re.search(
            r"too many users|try again (in|soon|later)|please try again", said, re.IGNORECASE
        ):
            return _Trouble(what, wait)
        if status is not None and 400 <= status < 500:
            return HubRefused(what, _refused_hint(status, said))
        if status is not None and status >= 500:
            return _Trouble(what)
        if self.phase in LAUNCH_PHASES or self.phase == "pushing":  # the image was built: the hub is at fault
            return _Trouble(what)
        if self.phase in ("", "waiting"):
            return HubRefused(what, _refused_hint(status, said))
        log = tuple(line for text in self.log for line in plain(text).splitlines())[-_LOG_TAIL:]
        what = f"{self.hub.url} could not build {self.spec}" + (f": {said}" if said else ".")
        return BuildFailed(
            what, "The last lines of the build's log are above: correct the repository's environment.", log
        )

    def _broken(self, how: str) -> _Trouble:
        return _Trouble(f"The connection to {self.hub.url} broke while {self.phase or 'waiting'}: {how}")

    def _unreachable(self, error: Exception) -> Exception:
        """Tell a network that may come back from an address that never will."""
        what = f"{self.hub.url} could not be reached: {describe(error)}"
        unknown = caused_by(error, gaierror)
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return HubRefused(f"{self.hub.url} redirects to an address that is none.", _NO_HUB)
        if isinstance(unknown, gaierror) and unknown.errno == EAI_NONAME:
            return HubUnavailable(what, "Check the spelling of the hub's URL, and the network.")
        if caused_by(error, SSLCertVerificationError):
            return HubUnavailable(what, "Check the hub's URL; for a certificate of your own, set REQUESTS_CA_BUNDLE.")
        return _Trouble(what)

    def _pause(self, trouble: _Trouble, attempts: int) -> None:
        """Wait before the next attempt, as long as the hub said or as is usual; raise when there is no time left."""
        self._raise_end()
        wait = trouble.wait
        if wait is None:  # exponential, with jitter, so that many who were refused together do not come back together
            wait = min(2.0 ** (attempts - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
        if wait >= self._remaining():
            hint = f"There is no time for another attempt before the deadline ({self.timeout:g} s)."
            if trouble.wait is not None:
                hint = f"That is past the deadline ({self.timeout:g} s)."
            raise HubUnavailable(
                _sentence(trouble.what), f"{hint} Try later, with a longer timeout, or on another hub."
            )
        self._tell(Event("retrying", f"{_sentence(trouble.what)} Trying again in {ceil(wait)} s.", {}))
        self.asking = False
        self._raise_end()
        time.sleep(wait)

    # The end without a session

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Take over the signals that would end this launch, so that none of them leaves a server behind.

        Only handlers in Python that raise count; the exception is kept until the stream has been dealt with. Outside
        the main thread Python delivers no signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not known everywhere
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}

        def take(number: int, frame: FrameType | None) -> None:
            if self.end is not None:
                return
            try:
                handlers[number](number, frame)
            except BaseException as raised:
                if not self.asking:
                    raise
                self._wind_down(raised)

        for number in handlers:
            signal.signal(number, take)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _wind_down(self, why: BaseException) -> None:
        """End the launch: soon when nothing runs yet, else when the hub has handed over what it launches."""
        if self.end is None:
            self.end = why
            self.cut_at = time.monotonic() + (_GRACE if self.phase in LAUNCH_PHASES else _LINGER)

    def _watch(self) -> None:
        """Keep the deadline, in a thread: end the reading of the stream by shutting down its socket."""
        while not self.done.wait(_TICK):
            response = self.response
            if time.monotonic() < self.cut_at:
                continue
            if self.end is None:
                self._wind_down(self._too_late())
            elif response is not None:
                with suppress(OSError, ValueError, RuntimeError):  # it has been closed meanwhile
                    response.raw.shutdown()

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"No session within {self.timeout:g} seconds: {self.hub.url} was still {self.phase or 'not answering'}.",
            "Raise the timeout: a first build may take long, and goes on at the hub without anybody listening.",
        )

    def _raise_end(self) -> None:
        if self.end is None and self._remaining() <= 0:
            self.end = self._too_late()
        if self.end is not None:
            raise self.end

    def _give_up_on(self, response: requests.Response) -> None:
        """Raise if this launch is to end without a session; say so when it leaves a server that nobody can reach."""
        if self.end is not None and self.phase in LAUNCH_PHASES:
            response.close()
            self._tell(
                Event(
                    "stopping",
                    f"{self.hub.url} did not hand over the server it was launching in time, "
                    "so it could not be stopped. The hub will when it has been idle.",
                    {},
                )
            )
        self._raise_end()

    def _stop(self, session: Session) -> None:
        try:
            session.stop(_STOP_TIMEOUT)
            self._tell(Event("stopping", "The server that the hub had launched was stopped.", {}))
        except SessionError as error:
            self._tell(Event("stopping", f"The server that the hub had launched is left. {error.message}", {}))

    def _tell(self, event: Event) -> None:
        if self.on_event is None:
            return
        try:
            self.on_event(event)
        except BaseException as raised:  # noqa: BLE001  (kept, and raised when no server can be left behind by it)
            self.on_event = None
            self._wind_down(raised)

    def _remaining(self) -> float:
        return self.deadline - time.monotonic()


_NO_HUB = "Is that the URL of a BinderHub (like https://mybinder.org/)? Hubs that need a login are not supported."


def _refused_hint(status: int | None, said: str) -> str:
    if "token" in said.lower():
        return "Check the build token: it is good for one hub, one repository and one ref, and it expires."
    if re.search(r"not allowed", said):
        return (
            "This hub does not launch this repository, or not for this network. Use another hub, or ask its operators."
        )
    if status is None:
        return (
            "Check the repository, the ref and the provider. The hub must be able to read the repository: is it public?"
        )
    return "Asking again would bring the same answer."


def _words(response: requests.Response) -> str:
    """Return what an answer that is no event stream says, in one line: JSON's message, a page's title, or the text."""
    try:
        text = response.raw.read1(_CHUNK, decode_content=True).decode("utf-8", "replace")
    except NETWORK_ERRORS:
        return ""
    try:
        said = json.loads(text.removeprefix("data:"))
        text = str(said.get("message") or said.get("error") or "")
    except (ValueError, RecursionError, AttributeError):
        title = re.search(r"<title[^>]*>(.*?)</title", text, re.DOTALL | re.IGNORECASE)
        text = unescape(title[1]) if title else "" if "<" in text else text
    return " ".join(plain(text).split())[:300]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds in a Retry-After header, a number or a date (RFC 9110); None if there are none."""
    if value is None:
        return None
    try:
        if re.fullmatch(r"\d+", value.strip()):
            return float(value) or None
        date = parsedate_to_datetime(value)
        # One of the three forms of a date has no zone, and all of them mean GMT.
        seconds = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _said_wait(said: str) -> float | None:
    """Return the seconds in "Try again in 3600 seconds." (binderhub/base.py), or minutes (repoproviders.py)."""
    match = re.search(r"try again in (\d+) (second|minute|hour)", said, re.IGNORECASE)
    if match is None:
        return None
    return float(match[1]) * {"second": 1, "minute": 60, "hour": 3600}[match[2].lower()] or None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
