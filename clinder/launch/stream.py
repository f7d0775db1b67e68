"""One request for a build stream, and its `Outcome`. This module does not retry, judge or word anything.

The request is ``GET build/<provider>/<spec>`` with exactly ``Accept: text/event-stream`` (binderhub/builder.py,
base.py). The answer is HTTP 200 with an event stream, also for errors. A hub launches a second server for a client that
reconnects after ``ready``. Therefore the stream is closed as soon as ``ready`` or ``failed`` is read.
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

from clinder._http import LONGEST_TIMEOUT, NETWORK_ERRORS, Client, proxies
from clinder.errors import UsageError
from clinder.launch.cancellation import Cancellation
from clinder.launch.events import FAILED_PHASES, KNOWN_PHASES, LAUNCH_PHASES, Event, iter_events
from clinder.text import one_line

_CONNECT_TIMEOUT = 10.0
_CHUNK = 1 << 16
_LOG_EVENTS = 40
_MEMBERS_TIMEOUT = 5.0


class Course(NamedTuple):
    """How far a stream came: its last phase, and what the hub had done by then."""

    phase: str = ""
    building: bool = False  # whether the build had begun
    launching: bool = False  # whether the image was there, so that a server may have been started
    log: tuple[str, ...] = ()  # the last messages
    image: object = None  # the image's name, unchecked


class Outcome(NamedTuple):
    """The result of one request.

    ``event`` is the last event (``ready`` or ``failed``) of a stream that came to its end. ``error`` is the exception
    that broke the connection. An answer that is no event stream has neither, and ``said`` is its text. ``address`` is
    the URL that answered, after redirects; if none answered, the URL that was asked last.
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
    """Request the stream at ``address``, read it to ``ready`` or ``failed``, and return the outcome.

    After ``silence`` seconds without a byte the connection is dead. ``on_event`` is called with each event. If the
    launch is cancelled and no answer has come within the grace, raises the reason to end. Raises `UsageError` if the
    environment names certificates that can't be read.
    """
    cancellation.new_attempt()
    try:
        response = http.interruptible(lambda: _get(http, address, silence), cancellation.check_listening)
    except UsageError:
        raise
    except (*NETWORK_ERRORS, ValueError) as error:  # ValueError: the URL of a redirect or of the proxy is malformed
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
        timeout=(_CONNECT_TIMEOUT, min(silence, LONGEST_TIMEOUT)),
        proxies=proxies(address),
        stream=True,
    )


def _follow(
    response: requests.Response, outcome: Outcome, cancellation: Cancellation, on_event: Callable[[Event], None]
) -> Outcome:
    """Read the stream to ``ready`` or ``failed``, or until it breaks or ends. Return the outcome."""
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
                if event.phase in KNOWN_PHASES:  # an unknown phase does not show that a launch is near
                    cancellation.sign_of_launch(launching=course.launching)
            log.append(event.message)
            on_event(event)
        else:
            event = None
    except NETWORK_ERRORS as broken:
        event, error = None, broken
    return outcome._replace(event=event, error=error, course=course._replace(log=tuple(log)))


def _entered(course: Course, phase: str) -> Course:
    """Return the course of a stream after the beginning of a phase."""
    if phase == "unknown":
        return course
    return course._replace(
        phase=phase,
        building=course.building or phase not in ("waiting", *LAUNCH_PHASES),
        launching=course.launching or phase in LAUNCH_PHASES,
    )


def _chunks(response: requests.Response, cancellation: Cancellation) -> Iterator[bytes]:
    """Yield bytes as soon as they arrive. After the grace of a cancelled launch, yield what has arrived, and end."""
    # http.client's read1() returns what has arrived, also of a stream without chunks and of a chunk that breaks off.
    # The methods of requests and urllib3 do not, and urllib3's read1() takes three times as long for each line of a
    # log.
    read1 = getattr(response.raw._original_response, "read1", response.raw.read1)
    if _encoding(response):  # a proxy may compress although the request forbids it
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
            return  # a busy hub would send for ever


def _encoding(response: requests.Response) -> str:
    """Return the content encoding of an answer; an empty text if it has none."""
    return one_line(response.headers.get("Content-Encoding", "")).lower().replace("identity", "")


def _what_it_says(response: requests.Response) -> str:
    """Return on one line what an answer says that is no event stream: a JSON message, a page's title, or its text."""
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
    """Return the URLs of a federation's members, unchecked; an empty list if the hub does not name any.

    ``GET active_hosts`` -> ``{"active_hosts": {"name": {"url": "https://member", ...}, ...}}`` (mybinder.org-deploy,
    federation-redirect). Takes five seconds at most. Raises the reason to end.
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
