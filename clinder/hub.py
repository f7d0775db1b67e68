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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import partial
from html import unescape
from math import ceil
from queue import Empty, Queue
from socket import EAI_NONAME, gaierror
from ssl import SSLCertVerificationError
from types import FrameType
from typing import Any
from urllib.parse import urlencode, urljoin

import requests

from clinder._http import NETWORK_ERRORS, Client, caused_by, describe, is_proxied, proxies
from clinder.errors import (
    BuildFailed,
    DeadlineExceeded,
    HubError,
    HubRefused,
    HubUnavailable,
    UsageError,
)
from clinder.launch.events import FAILED_PHASES, LAUNCH_PHASES, Event, read
from clinder.session import Session, give_up
from clinder.spec import RepoSpec, check_url, parse_path
from clinder.text import strip_ansi

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
# A hub or member that has failed so often in a row is left for another, if there is one.
_ATTEMPTS = 3
# Which members a federation has is asked for so long at most, and so many of them are tried at most.
_MEMBERS_TIMEOUT = 5.0
_MOST_MEMBERS = 16
_TICK = 0.1
_LOG_TAIL = 20
_CHUNK = 1 << 16


class BinderHub:
    """A BinderHub, by its URL (with a path prefix if it has one).

    ``build_token`` is sent to the hub with each request and lifts its rate limit. ``silence`` is how many seconds
    without a single byte, keepalives included, mean a dead connection. Raises `UsageError` for what is none of these.
    """

    def __init__(self, url: str, *, build_token: str | None = None, silence: float = SILENCE) -> None:
        self.url = check_url(url, "a BinderHub's URL")
        if not silence > 0:
            raise UsageError(f"The silence must be more than 0 seconds, not {silence:g}.")
        self.silence = silence
        if build_token and not re.fullmatch(r"[!-~]+", build_token):
            raise UsageError("The build token has blanks or control characters in it.", "Is it copied whole?")
        self._build_token = build_token

    def __repr__(self) -> str:
        return f"BinderHub({self.url!r})"

    def launch(
        self,
        spec: RepoSpec,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        on_event: Callable[[Event], None] | None = None,
        fallback_hubs: Sequence["BinderHub"] = (),
        cancel: threading.Event | None = None,
        instead_of: RepoSpec | None = None,
    ) -> Session:
        """Build (if need be) and launch a repository; return the session.

        ``timeout`` is one deadline in seconds over everything, retries included. ``on_event`` is called with each event
        of the hub, in this thread, and with events of clinder's own in the phases "retrying" and "stopping".
        ``fallback_hubs`` are tried in their order when this one is unreachable, full, bans the network or limits the
        rate beyond the deadline, or keeps failing; the session's ``hub`` says which it was.

        Raises `HubRefused` or `BuildFailed` when the hub said no for good, `HubUnavailable` when it could not be
        reached or kept failing, and `DeadlineExceeded`. In the main thread a signal whose handler raises (Ctrl-C and
        its KeyboardInterrupt, for one) ends the launch as well: the exception comes out of here, up to ten seconds
        later if the hub has to be waited for so that no server is left.
        """
        launch = _Launch([self, *fallback_hubs], spec, timeout, on_event)
        launch.cancel = cancel
        session = launch.run()
        session.instead_of = instead_of
        return session

    def build_url(self, spec: RepoSpec) -> str:
        """Return the URL of the build stream, build token included."""
        query = f"?{urlencode({'build_token': self._build_token})}" if self._build_token else ""
        return f"{self.url}build/{spec.path}{query}"


class _Trouble(Exception):
    """A failure that is worth another try: after so many seconds if the hub said how long, or ``elsewhere`` at once.

    When it is ``final``, asking this hub again would bring the same. A ``broken`` stream's build goes on at the hub.
    """

    def __init__(
        self,
        what: str,
        wait: float | None = None,
        *,
        elsewhere: bool = False,
        final: HubError | None = None,
        broken: bool = False,
    ) -> None:
        super().__init__(what)
        self.what = _sentence(what)
        self.wait = wait
        self.elsewhere = elsewhere
        self.final = final
        self.broken = broken


class _Launch:
    """One call of launch(), from the first request to the session or the error."""

    def __init__(
        self, hubs: list[BinderHub], spec: RepoSpec, timeout: float, on_event: Callable[[Event], None] | None
    ) -> None:
        if not timeout > 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        self.hubs = hubs  # those that may still be of use
        self.spec = spec
        self.timeout = timeout
        self.on_event = on_event
        self.deadline = time.monotonic() + timeout
        self.places: deque[tuple[BinderHub, str]] = deque()  # hubs and members of a federation that are next
        self.refusals: dict[str, HubError] = {}  # for good, by who refused
        self.due: dict[BinderHub, float] = {}  # the hubs that may be asked again after this round, and from when on
        self.attempts = 0  # at this place, in a row
        self._enter(hubs[0], hubs[0].url)
        self.places.extend((hub, hub.url) for hub in hubs[1:])
        self.phase = ""
        self.launching = False  # whether this attempt has been in one of LAUNCH_PHASES: there may be a server
        self.heard = 0.0  # when
        self.log: deque[str] = deque(maxlen=_LOG_TAIL)
        self.asking = False  # whether the hub may be launching: not between two attempts
        self.response: requests.Response | None = None  # the open stream
        # Why this launch is to end without a session, and when to stop listening. Set by a signal's handler, a callback
        # that raised, or the watch at the deadline.
        self.end: BaseException | None = None
        self.cut_at = self.deadline
        self.done = threading.Event()
        self.cancel: threading.Event | None = None

    def run(self) -> Session:
        """Try until there is a session, a final answer, or no time."""
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            with self._signals(), Client() as http:
                session = self._persist(http)
            if self.end is not None:  # a signal between the last look and here
                self._stop(session)
                raise self.end
            return session
        finally:
            self.done.set()

    def _persist(self, http: requests.Session) -> Session:
        pauses = 0  # in a row
        while True:
            began = self.heard = time.monotonic()
            self.attempts += 1
            try:
                return self._attempt(http)
            except _Trouble as trouble:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pauses = 0
                if trouble.broken and self.heard - began > _LONGEST_PAUSE:
                    self.attempts = 1  # it worked for a while: this is a new trouble
                self._raise_end()
                if trouble.wait is not None and trouble.wait >= self._remaining():
                    trouble.final = HubUnavailable(
                        trouble.what, f"That is past the deadline ({self.timeout:g} s). {_OTHER_TIME}"
                    )
                enough = trouble.elsewhere or trouble.final or self.attempts >= _ATTEMPTS
                if enough and self._move_on(http, trouble):
                    continue
                pauses += 1
                self._pause(trouble, pauses)

    def _move_on(self, http: requests.Session, trouble: _Trouble) -> bool:
        """Go to the next place; return whether to try it at once. After the last it is the first, and worth a pause."""
        self.phase, self.launching, self.asking = "", False, False
        if trouble.final:
            self.refusals[self.who] = trouble.final
        else:
            due = time.monotonic() + trouble.wait if trouble.wait and self.place == self.hub.url else 0.0
            self.due[self.hub] = max(due, self.due.get(self.hub, 0.0))
        if self.member:
            self.places.extendleft(reversed(self._other_members(http)))
        self._raise_end()
        at_once = bool(self.places)
        if not at_once:
            trouble.wait = self._begin_again()
        hub, place = self.places.popleft()
        if place != self.place:
            self.log.clear()
        self._enter(hub, place)
        if at_once:
            self._tell(Event("retrying", f"{trouble.what} Trying {place} now.", {}))
        return at_once

    def _begin_again(self) -> float | None:
        """Line up the hubs that did not refuse for good; return how long to wait if all of them said so."""
        self.hubs = [hub for hub in self.hubs if hub in self.due]
        if not self.hubs:
            errors = list(self.refusals.values())
            error = next((error for error in errors if isinstance(error, HubUnavailable)), errors[-1])
            raise type(error)(" ".join(error.message for error in errors), error.hint)
        now = time.monotonic()
        start = max(now, min(self.due.values()))
        for hub in self.hubs:
            if self.due[hub] <= start:
                del self.due[hub]
                self.places.append((hub, hub.url))
        return start - now or None

    def _enter(self, hub: BinderHub, place: str) -> None:
        self.hub = hub
        self.place = place  # a hub, or a member of its federation
        self.path = hub.build_url(self.spec)[len(hub.url) :]
        self.front_door = place + self.path
        self.address = self.front_door  # where to ask next: there, or the member that the hub sent us to
        self.member = ""  # the latter
        self.who = place  # of the two, who answered last
        self.attempts = 0

    def _other_members(self, http: requests.Session) -> list[tuple[BinderHub, str]]:
        """Return the members of the federation but the one that failed; not every hub that redirects is one.

        ``{"active_hosts": {"name": {"url": "https://member", ...}, ...}}`` (mybinder.org-deploy, federation-redirect).
        """
        urls: dict[str, None] = {}
        junk = (*NETWORK_ERRORS, ValueError, KeyError, TypeError, AttributeError, RecursionError)
        with suppress(*junk):
            for host in self._active_hosts(http).values():
                with suppress(*junk):
                    urls[check_url(host["url"], "a member's URL")] = None
        # The front door itself may be one of them, and would lead to where we were.
        return [(self.hub, url) for url in urls if url not in (self.member, self.hub.url)][:_MOST_MEMBERS]

    def _active_hosts(self, http: requests.Session) -> Any:
        until = time.monotonic() + _MEMBERS_TIMEOUT
        content = b""
        with self._get(http, f"{self.hub.url}active_hosts", _MEMBERS_TIMEOUT, until) as self.response:
            try:
                while chunk := self.response.raw.read1(_CHUNK, decode_content=True):
                    content += chunk
                    if len(content) > _CHUNK or time.monotonic() > until:
                        return {}
            finally:
                self.response = None
        return json.loads(content)["active_hosts"]

    # One attempt

    def _attempt(self, http: requests.Session) -> Session:
        self.phase, self.launching = "", False
        self.asking = True
        self._raise_end()  # a signal since the last look must not reach one more hub
        with self._open(http) as response:
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
            response = self._get(http, address, self.hub.silence)
        except requests.exceptions.TooManyRedirects:
            raise self._no_hub("redirects in circles") from None
        except (*NETWORK_ERRORS, ValueError) as error:  # the last of the parser of URLs, a redirect's or the proxy's
            request = getattr(error, "request", None)
            self._arrive(getattr(request, "url", None) or address)
            raise self._unreachable(error) from None
        self.response = response
        try:
            self._arrive(response.url)
            self._check(response, at_front_door=address == self.front_door)
        except BaseException:
            self.response = None
            response.close()
            raise
        self.address = response.url
        return response

    def _arrive(self, url: str) -> None:
        """Note who answers: the place that was asked, or the member of a federation that it redirects to."""
        self.who = url.removesuffix(self.path) if url.endswith(self.path) else urljoin(url, "/")
        if self.who != self.place and self.place == self.hub.url:
            self.member = self.who

    def _get(
        self, http: requests.Session, address: str, silence: float, until: float = float("inf")
    ) -> requests.Response:
        """Request address in a thread: neither a name server nor a slow proxy knows of our deadline and signals."""
        # No SimpleQueue: its get() forgets the timeout when a signal comes at the end of it (CPython before 3.13).
        answers: Queue[requests.Response | Exception] = Queue()
        abandoned = threading.Event()

        def get() -> None:
            try:
                response = http.get(
                    address,
                    # Exactly so: a hub compares the header as a whole. Unencoded: a compressor would hold events back.
                    headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
                    timeout=(_CONNECT_TIMEOUT, silence),
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
                if time.monotonic() >= until:
                    abandoned.set()
                    raise TimeoutError from None
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def _check(self, response: requests.Response, *, at_front_door: bool) -> None:
        """Raise unless the answer is an event stream."""
        status = response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status == 200 and kind == "text/event-stream":
            if (encoding := _encoding(response)) not in ("", "gzip", "deflate"):
                raise self._no_hub(f"sent an event stream in an encoding that nobody asked for: {encoding}")
            return
        said = _without_token(_words(response), self.hub._build_token)
        what = f"{self.who} answered HTTP {status}" + (f": {said}" if said else "")
        if status == 429 or status >= 500 or not at_front_door:
            wait = _retry_after(response.headers.get("Retry-After")) or _said_wait(said)
            raise _Trouble(what, wait, elsewhere=status != 429 and self.who == self.place)
        if status >= 400:
            raise self._no_hub(what.removeprefix(f"{self.who} "))
        raise self._no_hub(f"answered with {kind or 'something'} instead of an event stream")

    def _no_hub(self, what: str) -> _Trouble:
        what = _sentence(f"{self.who} {what}")
        return _Trouble(what, final=HubRefused(what, _NO_HUB))

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
                self._begin(event.phase)
            self.log.append(event.message)
            self._tell(event)
        self._give_up_on(response)
        raise self._broken("it ended")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield what has arrived, as soon as it arrives."""
        # Neither requests nor urllib3 gives an unframed stream piecemeal and all of a chunk that breaks off. read1() of
        # the answer below them does; urllib3's own costs three times as much, for each line of a log.
        read1 = getattr(response.raw._original_response, "read1", response.raw.read1)
        if _encoding(response):  # by a proxy that does not mind what it was asked for
            read1 = partial(response.raw.read1, decode_content=True)
        while chunk := read1(_CHUNK):
            self.heard = time.monotonic()
            yield chunk
            if self.end is not None and time.monotonic() >= self.cut_at:
                return  # what was shut down for reading still gives what had arrived, and a busy hub sends on

    def _begin(self, phase: str) -> None:
        if phase == "unknown":
            return
        if phase in LAUNCH_PHASES and not self.launching:
            self.launching = True
            if self.end is not None:
                self.cut_at = time.monotonic() + _GRACE
        self.phase = phase

    def _deliver(self, event: Event, response: requests.Response) -> Session:
        """Return the session of the ready event, or stop its server when this launch is to end without one."""
        session = self._session(event)
        response.close()  # before anything else: a hub launches again for a client that reconnects
        self._tell(event)
        try:
            self._raise_end()
        except BaseException:
            self._stop(session)
            raise
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
                image=" ".join(strip_ansi(_text(data.get("image"))).split()) or None,
                resolved_ref=resolved_ref,
                launch_url=launch_url,
            )
        except UsageError as error:
            raise HubRefused(
                f"{self.who} launched a server but sent no usable address for it. {error.message}",
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
        said = _without_token(strip_ansi(event.message).strip(), self.hub._build_token)
        what = f"{self.who} said: {said}" if said else f"{self.who} gave no reason."
        status = event.data.get("status_code")
        status = status if isinstance(status, int) else None
        wait = _said_wait(said)
        if status == 429 or re.search(
            r"too many users|try again (in|soon|later)|please try again", said, re.IGNORECASE
        ):
            return _Trouble(what, wait, elsewhere="too many users" in said.lower())
        if re.match(r"Requests from .* not allowed", said):
            return _Trouble(what, final=HubRefused(what, _refused_hint(status, said)))
        if status is not None and 400 <= status < 500:
            return HubRefused(what, _refused_hint(status, said))
        if status is not None and status >= 500:
            return _Trouble(what)
        if self.launching or self.phase == "pushing":  # the image was built: the hub is at fault
            return _Trouble(what)
        if self.phase in ("", "waiting"):
            return HubRefused(what, _refused_hint(status, said))
        log = tuple(line for text in self.log for line in strip_ansi(text).splitlines())[-_LOG_TAIL:]
        what = f"{self.who} could not build {self.spec}" + (f": {said}" if said else ".")
        return BuildFailed(
            what, "The last lines of the build's log are above: correct the repository's environment.", log
        )

    def _broken(self, how: str) -> _Trouble:
        return _Trouble(f"The connection to {self.who} broke while {self.phase or 'waiting'}: {how}", broken=True)

    def _unreachable(self, error: Exception) -> _Trouble:
        """Tell a network that may come back from an address that never will."""
        what = _sentence(f"{self.who} could not be reached: {describe(error)}")
        unknown = caused_by(error, gaierror)
        final: HubError | None = None
        if isinstance(error, ValueError):  # as all of requests' exceptions are that are about an address
            if not is_proxied(self.front_door):
                return self._no_hub("redirects to an address that is none")
            final = HubUnavailable(what, "Check the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY.")
        if isinstance(unknown, gaierror) and unknown.errno == EAI_NONAME:
            final = HubUnavailable(what, "Check the spelling of the hub's URL, and the network.")
        elif caused_by(error, SSLCertVerificationError):
            final = HubUnavailable(what, "Check the hub's URL; for a certificate of your own, set REQUESTS_CA_BUNDLE.")
        return _Trouble(what, elsewhere=self.who == self.place, final=final)

    def _pause(self, trouble: _Trouble, attempts: int) -> None:
        """Wait before the next attempt, as long as the hub said or as is usual; raise when there is no time left."""
        self._raise_end()
        wait = trouble.wait
        if wait is None:  # exponential, with jitter, so that many who were refused together do not come back together
            wait = min(2.0 ** min(attempts - 1, 10), _LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
        if wait >= self._remaining():
            hint = f"There is no time for another attempt before the deadline ({self.timeout:g} s). {_OTHER_TIME}"
            raise HubUnavailable(trouble.what, hint)
        self._tell(Event("retrying", f"{trouble.what} Trying again in {ceil(wait)} s.", {}))
        self.asking = False
        if self.cancel is None:
            time.sleep(wait)
            return
        until = time.monotonic() + wait
        while time.monotonic() < until:
            self._raise_end()
            time.sleep(_TICK)

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
            self.cut_at = time.monotonic() + (_GRACE if self.launching else _LINGER)

    def _watch(self) -> None:
        """Keep the deadline, in a thread: end the reading of the stream by shutting down its socket."""
        while not self.done.wait(_TICK):
            response = self.response
            if self.cancel is not None and self.cancel.is_set():
                self._wind_down(HubUnavailable("The launch was cancelled."))
            if time.monotonic() < self.cut_at:
                continue
            if self.end is None:
                self._wind_down(self._too_late())
            elif response is not None:
                with suppress(OSError, ValueError, RuntimeError):  # it has been closed meanwhile
                    response.raw.shutdown()

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"No session within {self.timeout:g} seconds: {self.who} was still {self.phase or 'not answering'}.",
            "Raise the timeout: a first build may take long, and goes on at the hub without anybody listening.",
        )

    def _raise_end(self) -> None:
        if self.end is None and self._remaining() <= 0:
            self.end = self._too_late()
        if self.end is not None:
            raise self.end

    def _give_up_on(self, response: requests.Response) -> None:
        """Raise if this launch is to end without a session; say so when it leaves a server that nobody can reach."""
        if self.end is not None and self.launching:
            response.close()
            self._tell(
                Event(
                    "stopping",
                    f"{self.who} did not hand over the server it was launching in time, "
                    "so it could not be stopped. The hub will when it has been idle.",
                    {},
                )
            )
        self._raise_end()

    def _stop(self, session: Session) -> None:
        self._tell(Event("stopping", give_up(session, _STOP_TIMEOUT), {}))

    def _tell(self, event: Event) -> None:
        if self.on_event is None:
            return
        if self.hub._build_token or "token" in event.data:
            tokens = self.hub._build_token, _text(event.data.get("token"))
            event = event._replace(message=_without_token(event.message, *tokens))
        try:
            self.on_event(event)
        except BaseException as raised:  # noqa: BLE001  (kept, and raised when no server can be left behind by it)
            self.on_event = None
            self._wind_down(raised)

    def _remaining(self) -> float:
        return self.deadline - time.monotonic()


_OTHER_TIME = "Try later, with a longer timeout, or on another hub."
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


def _encoding(response: requests.Response) -> str:
    """Return how an answer is encoded; nothing if it is not."""
    return strip_ansi(response.headers.get("Content-Encoding", "")).strip().lower().replace("identity", "")


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
    return " ".join(strip_ansi(text).split())[:300]


def _without_token(said: str, *tokens: str | None) -> str:
    """Return a hub's words without the tokens, if they repeat what was asked or is answered."""
    if "build_token=" in said:
        said = re.sub(r"(build_token=)[^\s&\"'<>]+", r"\1...", said)
    for token in tokens:
        if token and token in said:
            said = said.replace(token, "...")
    return said


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
