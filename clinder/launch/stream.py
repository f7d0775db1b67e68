"""One request for a build stream, and what came of it: an `Outcome`. No retry, no judgement, no wording.

``GET build/<provider>/<spec>`` with exactly ``Accept: text/event-stream`` (binderhub/builder.py, base.py). The answer
is HTTP 200 with an event stream even for errors. A hub that sees a client reconnect after ``ready`` launches a second
server, so the stream is closed as soon as ``ready`` or ``failed`` is read.
"""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from html import unescape
from typing import Any, NamedTuple

import requests

from clinder._http import NETWORK_ERRORS, Client, proxies
from clinder.launch.cancellation import Cancellation
from clinder.launch.events import FAILED_PHASES, KNOWN_PHASES, LAUNCH_PHASES, Event, iter_events
from clinder.text import one_line

_CONNECT_TIMEOUT = 10.0
_CHUNK = 1 << 16
_LOG_EVENTS = 40
_MEMBERS_TIMEOUT = 5.0


class Course(NamedTuple):
    """How far a stream came: its last phase, and the phases that say what the hub had done by then."""

    phase: str = ""
    building: bool = False  # the build had begun
    launching: bool = False  # the image was there: a server may have been started
    log: tuple[str, ...] = ()  # the last messages
    image: object = None  # its name, as the hub said it


class Outcome(NamedTuple):
    """What came of one request.

    ``event`` is the last one of a stream that came to its end (``ready`` or ``failed``), ``error`` what broke the
    connection. An answer that is no event stream has neither; ``said`` is what it says. ``address`` is the URL that
    answered, after redirects, else the one that was asked last.
    """

    address: str
    status: int = 0
    headers: Mapping[str, str] = {}
    content_type: str = ""
    encoding: str = ""
    said: str = ""
    event: Event | None = None
    error: Exception | None = None
    course: Course = Course()

    @property
    def is_stream(self) -> bool:
        """Whether the answer was an event stream."""
        return self.status == 200 and self.content_type == "text/event-stream" and not self.encoding


def attempt(
    http: Client, address: str, silence: float, cancellation: Cancellation, on_event: Callable[[Event], None]
) -> Outcome:
    """Request the stream at address and read it to its verdict.

    ``silence`` is how many seconds without a byte mean a dead connection. ``on_event`` gets each event. Raises the
    reason of the cancellation while no answer is there, and only when it has listened for long enough.
    """
    cancellation.new_attempt()
    try:
        response = http.interruptible(lambda: _get(http, address, silence), cancellation.check_listening)
    except (*NETWORK_ERRORS, ValueError) as error:  # the last of the parser of URLs, a redirect's or the proxy's
        request = getattr(error, "request", None)
        return Outcome(getattr(request, "url", None) or address, error=error)
    cancellation.sign_of_launch(launching=False)
    with response, cancellation.watching(http.stop_reading):
        encoding = _encoding(response)
        outcome = Outcome(
            response.url,
            response.status_code,
            response.headers,
            response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            "" if encoding in ("", "gzip", "deflate") else encoding,
        )
        if not outcome.is_stream:
            return outcome._replace(said=_what_it_says(response))
        return _follow(response, outcome, cancellation, on_event)


def _get(http: Client, address: str, silence: float) -> requests.Response:
    return http.get(
        address,
        # Exactly so: a hub compares the header as a whole. Unencoded: a compressor would hold events back.
        headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
        timeout=(_CONNECT_TIMEOUT, silence),
        proxies=proxies(address),
        stream=True,
    )


def _follow(
    response: requests.Response, outcome: Outcome, cancellation: Cancellation, on_event: Callable[[Event], None]
) -> Outcome:
    """Read the stream to its verdict, its break or its end."""
    log: deque[str] = deque(maxlen=_LOG_EVENTS)
    course = Course()
    event: Event | None = None
    error: Exception | None = None
    try:
        for event in iter_events(_chunks(response, cancellation)):
            if event.phase != course.phase:
                if event.phase == "ready" or event.phase in FAILED_PHASES:
                    break
                course = _entered(course, event.phase)._replace(image=event.data.get("imageName", course.image))
                if event.phase in KNOWN_PHASES:  # any other word is no sign that a launch is near
                    cancellation.sign_of_launch(launching=course.launching)
            log.append(event.message)
            on_event(event)
        else:
            event = None
    except NETWORK_ERRORS as broken:
        event, error = None, broken
    return outcome._replace(event=event, error=error, course=course._replace(log=tuple(log)))


def _entered(course: Course, phase: str) -> Course:
    """Return the course of a stream that enters a phase."""
    if phase == "unknown":
        return course
    return course._replace(
        phase=phase,
        building=course.building or phase not in ("waiting", *LAUNCH_PHASES),
        launching=course.launching or phase in LAUNCH_PHASES,
    )


def _chunks(response: requests.Response, cancellation: Cancellation) -> Iterator[bytes]:
    """Yield what has arrived, as soon as it arrives; when the launch has listened for long enough, the rest of it."""
    # Neither requests nor urllib3 gives an unframed stream piecemeal and all of a chunk that breaks off. read1() of
    # the answer below them does; urllib3's own costs three times as much, for each line of a log.
    read1 = getattr(response.raw._original_response, "read1", response.raw.read1)
    if _encoding(response):  # by a proxy that does not mind what it was asked for
        read1 = partial(response.raw.read1, decode_content=True)
    while True:
        cancellation.waiting_since = time.monotonic()
        chunk = read1(_CHUNK)
        cancellation.waiting_since = float("inf")
        if not chunk:
            return
        yield chunk
        if cancellation.reason is not None and cancellation.is_drained():
            cancellation.is_cut_short = True
            return  # a busy hub sends on


def _encoding(response: requests.Response) -> str:
    """Return how an answer is encoded; nothing if it is not."""
    return one_line(response.headers.get("Content-Encoding", "")).lower().replace("identity", "")


def _what_it_says(response: requests.Response) -> str:
    """Return what an answer that is no event stream says, in one line: JSON's message, a page's title, or the text."""
    try:
        text = response.raw.read1(_CHUNK, decode_content=True).decode("utf-8", "replace")
    except NETWORK_ERRORS:
        return ""
    try:
        said = json.loads(text.removeprefix("data:"))
        text = str(said.get("message") or said.get("error") or "")
    except (ValueError, RecursionError, AttributeError):
        title = re.search(r"<title[^<>]{0,500}>([^<]*)</title", text, re.IGNORECASE)
        text = unescape(title[1]) if title else "" if "<" in text else text
    return one_line(text, 300)


def get_members(hub_url: str, cancellation: Cancellation) -> list[Any]:
    """Return the URLs, as they are said, of a federation's members; nothing when the hub does not name any.

    ``GET active_hosts`` -> ``{"active_hosts": {"name": {"url": "https://member", ...}, ...}}`` (mybinder.org-deploy,
    federation-redirect). Takes five seconds at most. Raises the reason of the cancellation.
    """
    until = Cancellation(_MEMBERS_TIMEOUT)

    def check() -> None:
        cancellation.check()
        until.check()

    def ask(http: Client) -> Any:
        address = f"{hub_url}active_hosts"
        with http.get(address, timeout=_MEMBERS_TIMEOUT, proxies=proxies(address), stream=True) as response:
            content = b""
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                content += chunk
                if len(content) > _CHUNK:
                    return {}
        return json.loads(content)["active_hosts"]

    junk = (*NETWORK_ERRORS, ValueError, KeyError, TypeError, AttributeError, RecursionError)
    try:
        with Client() as http:
            hosts = http.interruptible(lambda: ask(http), check)
        return [host.get("url") for host in hosts.values() if isinstance(host, dict)]
    except junk:
        return []
    except Exception as error:
        if error is until.reason:
            return []
        raise
