"""One BinderHub, and how a launch goes: ask, judge the answer, go on, deliver. This module knows no terminal and no CI.

Every launched session comes from this module. `launch.stream` does one request, `launch.verdict` says what a failure
means, `launch.route` says where to ask next, and `launch.cancellation` says when a launch ends without a session.

A hub goes on with a launch when its client leaves, and then nobody knows the server's token. Therefore a cancelled
launch reads on until ``ready``, and stops that server (binderhub issue 314).
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin

from requests.cookies import RequestsCookieJar
from requests.models import PreparedRequest

from clinder._http import Client, origin, proxy_of
from clinder.errors import DeadlineExceeded, LaunchCancelled, SessionError, SessionUnreachable, UsageError, WrongToken
from clinder.jupyterhub import find_jupyterhub, servers_of, token_of
from clinder.launch import stream, verdict
from clinder.launch.cancellation import Cancellation, CancelRequested, DeadlinePassed
from clinder.launch.events import Event
from clinder.launch.route import Budget, Route, Try, member_urls
from clinder.launch.stream import Course, Outcome
from clinder.launch.verdict import LATER, Place, Verdict
from clinder.session import Session, status_of
from clinder.spec import RepoSpec, check_url, parse_path
from clinder.text import hide_tokens, one_line

log = logging.getLogger("clinder")

DEFAULT_TIMEOUT = 1800.0

# Seconds without a byte, after which a connection is dead. A hub sends a keepalive every 25 s
# (BuildHandler.KEEPALIVE_INTERVAL). A proxy with a buffer may hold back the keepalives and ``ready`` until the hub
# closes the stream, 60 s after ``ready``. So the silence must be longer than both together.
SILENCE = 100.0

# clinder checks that a launched session answers before it hands the session over. The hub's proxy may need a moment
# to find the session. In seconds.
_LOOK_TIMEOUT = 15.0
_LOOK_PAUSE = 0.5

_MOST_IMAGE = 1000  # characters of an image's name
_MOST_URL = 2000  # characters


class Image(NamedTuple):
    """An image that a hub has: the hub's URL, the image's name (None if not known), and whether it was just built."""

    hub: str
    name: str | None
    built: bool


class BinderHub:
    """A BinderHub at a URL. The URL includes the path prefix, if the hub has one.

    ``build_token`` is sent to the hub with each request for a build or a launch, and lifts the hub's rate limit.
    ``silence`` is a number of seconds: a connection on which no byte came for so long, not even a keepalive, is dead.
    ``auth`` is for a hub with a login. It is an auth object of requests (`TokenAuth`, with an API token of the hub's
    JupyterHub), and it is applied only to requests to the hub's own origin.

    Raises `UsageError` for a URL, a token or a number that can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Callable[[PreparedRequest], PreparedRequest] | None = None,
        build_token: str | None = None,
        silence: float = SILENCE,
    ) -> None:
        self.auth = auth
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
        """Launch a repository, and build its image first if the hub has none. Return a session that has answered.

        ``timeout`` is the deadline for the whole call, retries included, in seconds. ``on_event`` is called in this
        thread with each event of the hub, and with clinder's own events in the phases "retrying" and "stopping".
        ``fallback_hubs`` are tried in their order when this hub can't launch or refuses to; the session's ``hub`` says
        which hub launched it. The launch ends when another thread sets ``cancel``. ``instead_of`` becomes the session's
        attribute of that name.

        Raises `HubRefused` or `BuildFailed` when every hub refuses, `HubUnavailable` when no hub could be reached or
        all kept failing, `DeadlineExceeded` at the deadline, and `LaunchCancelled` after ``cancel``. An exception that
        ``on_event`` raises also ends the launch, and launch() raises it again. In the main thread the same holds for an
        exception that a signal's handler raises, for example the KeyboardInterrupt of Ctrl-C.

        The launch may end up to nine seconds after the reason to end, because clinder waits for a server that the hub
        may still launch, and stops it. If a server may be left, the exception's ``__cause__`` is a `SessionError` that
        says so.
        """
        if not timeout > 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        hubs = {hub.url: hub for hub in [*reversed(fallback_hubs), self]}
        cancellation = Cancellation(timeout, cancel)
        places = [_place(hub, hub.build_url(spec), spec) for hub in reversed(hubs.values())]
        route = Route(places, timeout, time.monotonic())
        session = _to_its_end(_Launch(hubs, spec, cancellation, route, on_event), timeout)
        session.instead_of = instead_of
        return session

    def build(
        self,
        spec: RepoSpec,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        on_event: Callable[[Event], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Image:
        """Make sure that the hub has the image of a repository. Return the image, and keep no session.

        A hub in API-only mode builds without launching (``build_only=true``, binderhub/builder.py). Any other hub
        refuses that before it builds. Then clinder launches the repository instead, which counts as a launch in the
        hub's rate limit, and stops the server. Once the hub has said that the image is there, a failure of the launch
        makes no difference.

        The arguments, the errors and cancellation are those of `launch`. If a successful build may leave a server, an
        event in the phase "stopping" says so.
        """
        if not timeout > 0:
            raise UsageError(f"The timeout must be more than 0 seconds, not {timeout:g}.")
        began = time.monotonic()
        cancellation = Cancellation(timeout, cancel)

        def ask(address: str) -> Image:
            route = Route([_place(self, address, spec)], timeout, began)
            return _to_its_end(_Build({self.url: self}, spec, cancellation, route, on_event), timeout)

        try:
            return ask(self._stream_url(spec, build_only="true"))
        except verdict.NoBuildOnly:
            return ask(self.build_url(spec))

    def members(self) -> "list[BinderHub]":
        """Return the active members of the federation that this hub redirects to; an empty list if it names none.

        Each member keeps its own images (``GET active_hosts``, mybinder.org-deploy). Takes five seconds at most.
        """
        urls = member_urls(stream.get_members(self.url, Cancellation(float("inf"))))
        own = {url: self.auth for url in urls if origin(url) == origin(self.url)}
        return [BinderHub(url, auth=own.get(url), build_token=self._build_token, silence=self.silence) for url in urls]

    def build_url(self, spec: RepoSpec) -> str:
        """Return the URL of the build stream, with the build token in it."""
        return self._stream_url(spec)

    def _stream_url(self, spec: RepoSpec, **query: str) -> str:
        if self._build_token:
            query["build_token"] = self._build_token
        return f"{self.url}build/{spec.path}" + (f"?{urlencode(query)}" if query else "")


_Result = TypeVar("_Result", Session, Image)


class _Asking(Generic[_Result]):
    """One call of launch() or build(), from its first request to its result or its error."""

    goal = ""  # the noun for the result, in the error of the deadline

    def __init__(
        self,
        hubs: dict[str, BinderHub],
        spec: RepoSpec,
        cancellation: Cancellation,
        route: Route,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self.hubs = hubs
        self.spec = spec
        self.cancellation = cancellation
        self.route = route
        self.course = Course()  # of the last attempt
        self._cookies = RequestsCookieJar()  # a federation's front door keeps in a cookie which member it chose
        self._on_event = on_event

    def run(self) -> _Result:
        """Ask until there is a result, and return it. Raises the final error, or the reason to end."""
        with self.cancellation.signals():
            while True:
                began = time.monotonic()
                outcome = self._ask()
                result = self._judge(outcome)
                if not isinstance(result, Verdict):
                    break
                self._go_on(result, outcome, began)
        if self.cancellation.reason is not None:  # a signal came after the last check
            if isinstance(result, Session):
                self._stop(result, self.cancellation.reason)
            raise self.cancellation.reason
        return result

    def _judge(self, outcome: Outcome) -> _Result | Verdict:
        """Return the result of an attempt, or the verdict on its failure. Raises the reason to end."""
        raise NotImplementedError

    def _ask(self) -> Outcome:
        """Do one attempt, and return its outcome. All its connections are closed at the end.

        A hub launches a second server for a client that reconnects.
        """
        hub, address = self.hubs[self.route.here.hub], self.route.address
        log.debug("asking %s", hide_tokens(address))
        self.course = Course()
        with Client(self._cookies) as http:
            if hub.auth and origin(address) == origin(hub.url):
                http.auth = hub.auth
            outcome = stream.attempt(http, address, hub.silence, self.cancellation, self._show)
        self.course = outcome.course
        return outcome

    def _deliver(self, outcome: Outcome) -> Session | Verdict:
        """Return the session of a ``ready`` event, or the verdict on any other outcome. Raises the reason to end."""
        event, place = outcome.event, self.route.here
        if event is None or event.phase != "ready":
            if event is not None:
                self._show(event)
            if self.cancellation.reason is not None:
                self._tell_what_may_be_left(verdict.find_responder(outcome, place), outcome.course.launching)
            self.cancellation.check()
            return verdict.of(outcome, place)
        responder = verdict.find_responder(outcome, place)
        try:
            session = _session(event.data, self.spec, place.hub, responder)
        except UsageError as error:
            self._show(Event("ready", "", {}))
            return verdict.unusable(responder, error.message)
        try:
            self._show(event)
            self._look(session)
        except WrongToken as error:
            self._stop(session, error)
            return verdict.not_opened(responder, error.message, place)
        except SessionError as error:
            self._stop(session, error)
            return verdict.no_answer(responder, error.message)
        except BaseException as reason:
            self._stop(session, reason)
            raise
        log.info("session %s on %s", session.url, place.hub)
        return session

    def _look(self, session: Session) -> None:
        """Wait until the session answers: its container may have crashed. Raises `SessionError`, or the reason to end.

        On a hub with a login, the server may accept only the hub's token and not the token in ``ready``.
        """
        session.hub_token = self._hub_token_for(session)
        until = time.monotonic() + _LOOK_TIMEOUT
        while True:
            try:
                status_of(session, max(1.0, until - time.monotonic()), self.cancellation.check)
                return
            except WrongToken:
                if session.hub_token in (None, session.token):
                    raise
                session.token = session.hub_token
                continue
            except SessionError:
                if time.monotonic() >= until:
                    raise
            self.cancellation.sleep(_LOOK_PAUSE)

    def _hub_token_for(self, session: Session) -> str | None:
        """Return the token of the hub that launched a session, if it may be sent to the session's address.

        It is sent only to the origin of the hub or of its JupyterHub. An address in a stream can't be trusted more than
        that, because a repository's build writes into the same stream.
        """
        token = self.route.here.hub_token
        if not token or origin(session.url) == origin(self.route.here.hub):
            return token
        jupyterhub = self._find_jupyterhub()
        return token if jupyterhub and origin(jupyterhub) == origin(session.url) else None

    def _go_on(self, failure: Verdict, outcome: Outcome, began: float) -> None:
        """Choose where to ask next, and wait until it is time. Raises the final error, or the reason to end."""
        log.info("%s (%s: %s)", failure.what, failure.row.name, failure.fault)
        if failure.row is verdict.RUNNING:
            failure = verdict.with_servers(failure, self._own_servers())
        now = time.monotonic()
        again_at = outcome.address if outcome.is_stream else ""
        budget = Budget.parse(outcome.headers, time.time())
        responder = verdict.find_responder(outcome, self.route.here)
        self.route.note(failure, Try(began, now, responder, again_at, budget))
        if self.route.wants_members:
            self.route.add_members(stream.get_members(self.route.here.hub, self.cancellation))
        self.route.advance(time.monotonic())
        log.info("next: %s in %.1f s", self.route.here.url, self.route.pause)
        self._show(Event("retrying", self.route.news, {}))
        self.cancellation.sleep(self.route.pause)

    def _own_servers(self) -> list[str]:
        """Return the URLs of the servers that the hub token's user already has."""
        token = self.route.here.hub_token
        jupyterhub = self._find_jupyterhub() if token else None
        return servers_of(jupyterhub, token, self.cancellation.check) if jupyterhub and token else []

    def _find_jupyterhub(self) -> str | None:
        """Return the URL of the hub's JupyterHub; None if it is not known, or if it is http and the hub is https."""
        hub = self.route.here.hub
        jupyterhub = find_jupyterhub(hub, self.cancellation.check)
        return jupyterhub if jupyterhub and origin(jupyterhub)[0] in (origin(hub)[0], "https") else None

    def _stop(self, session: Session, reason: BaseException | None = None) -> None:
        """Stop an unused server, and show an event with the result. A failure becomes the reason's ``__cause__``."""
        told = "The server that the hub had launched was stopped."
        try:
            session.stop(self.cancellation.time_to_stop())
        except SessionError as error:
            left = SessionUnreachable(f"The server that the hub had launched may be left. {error.message}", error.hint)
            told = left.message
            if reason is not None:
                reason.__cause__ = left
        log.info("%s %s", told, session.url)
        self._show(Event("stopping", told, {}))

    def _tell_what_may_be_left(self, responder: str, launching: bool) -> None:
        """Show an event about a server that the hub may have launched, and whose address was not read."""
        if launching:
            what = "did not hand over the server it was launching in time, so it could not be stopped."
        elif self.cancellation.is_cut_short:
            what = "sent more than could be read in time. If it has launched a server since, that server may be left."
        else:
            return
        left = SessionUnreachable(f"{responder} {what}", "The hub will stop it when it has been idle.")
        if self.cancellation.reason is not None:
            self.cancellation.reason.__cause__ = left
        self._show(Event("stopping", f"{left.message} {left.hint}", {}))

    def _show(self, event: Event) -> None:
        """Give an event to the caller's ``on_event``, without tokens in its message.

        An exception that ``on_event`` raises becomes the reason to end.
        """
        if self._on_event is None:
            return
        place = self.route.here
        if place.build_token or place.hub_token or event.phase == "ready":  # not for most lines of a long log
            tokens = (place.build_token, place.hub_token, event.data.get("token") if event.phase == "ready" else None)
            event = event._replace(message=hide_tokens(event.message, *filter(_is_text, tokens)))
        try:
            self._on_event(event)
        except BaseException as raised:  # noqa: BLE001  (raised again when no server can be left behind by it)
            self._on_event = None
            self.cancellation.cancel(raised)


class _Launch(_Asking[Session]):
    """A call of launch(): its result is a session."""

    goal = "session"

    def _judge(self, outcome: Outcome) -> Session | Verdict:
        return self._deliver(outcome)


class _Build(_Asking[Image]):
    """A call of build(): its result is an image. In a launch, there is one as soon as the hub says so."""

    goal = "image"

    def __init__(self, *launch: Any) -> None:
        super().__init__(*launch)
        self._built = False  # whether any attempt has built

    def _judge(self, outcome: Outcome) -> Image | Verdict:
        event = outcome.event
        is_ready = event is not None and event.phase == "ready"
        self._built = self._built or outcome.course.building
        if event is not None and is_ready and not event.data.get("url"):  # the hub built without launching
            self._show(event)
        elif is_ready or not outcome.course.launching or self.cancellation.reason is not None:
            result = self._deliver(outcome)
            if isinstance(result, Session):
                self._stop(result)
            elif not is_ready:
                return result
            elif result.row is verdict.UNUSABLE:
                self._tell_what_may_be_left(verdict.find_responder(outcome, self.route.here), launching=True)
        elif event is None:
            self._tell_what_may_be_left(verdict.find_responder(outcome, self.route.here), launching=True)
        data = event.data if event is not None else {}
        name = data.get("imageName") or data.get("image") or outcome.course.image
        return Image(self.route.here.hub, _image_name(name), self._built)


def _to_its_end(asking: _Asking[_Result], timeout: float) -> _Result:
    """Return the result of a launch or a build. Raises the error that says why there is none."""
    try:
        return asking.run()
    except DeadlinePassed as reason:
        raise _too_late(asking, timeout, reason.__cause__) from reason.__cause__
    except CancelRequested as reason:
        raise LaunchCancelled(_with_server_left("The launch was cancelled.", reason.__cause__)) from reason.__cause__


def _place(hub: BinderHub, address: str, spec: RepoSpec) -> Place:
    """Return the place of a hub: what is asked there, and how it is reached."""
    path, token = address.removeprefix(hub.url), token_of(hub.auth, hub.url) if hub.auth else None
    return Place(hub.url, hub.url, path, str(spec), hub._build_token, proxy_of(hub.url), token, bool(hub.auth))


def _session(data: Mapping[str, Any], spec: RepoSpec, hub: str, responder: str) -> Session:
    """Return the session of a ``ready`` event. Raises `UsageError` when its address can't be used."""
    url, token = (value if isinstance(value := data.get(key), str) else "" for key in ("url", "token"))
    launch_url, resolved_ref = _resolved(data, spec, hub)
    return Session(
        urljoin(responder, url) if url and "://" not in url[:_MOST_URL] else url,  # relative: binderhub issue 1939
        token,
        hub=hub,
        spec=spec,
        image=_image_name(data.get("image")),
        resolved_ref=resolved_ref,
        launch_url=launch_url,
    )


def _image_name(value: object) -> str | None:
    """Return the name of an image from a hub's event; None if the value is no name."""
    return (one_line(value) if isinstance(value, str) and len(value) <= _MOST_IMAGE else "") or None


def _resolved(data: Mapping[str, Any], spec: RepoSpec, hub: str) -> tuple[str, str | None]:
    """Return the link that launches the same commit again, and that commit, or None if the hub did not say it."""
    host, request = (
        value if isinstance(value := data.get(key), str) and len(value) <= _MOST_URL else ""
        for key in ("binder_launch_host", "binder_persistent_request")
    )
    try:
        host = check_url(host, "a hub's URL")
    except UsageError:
        host = hub
    try:
        resolved = parse_path(request.removeprefix("v2/"))
    except UsageError:
        return spec.launch_link(host), None
    return resolved.launch_link(host), resolved.ref


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _too_late(launch: _Asking[Any], timeout: float, left: BaseException | None) -> DeadlineExceeded:
    """Return the error of a passed deadline, with the last reason that the hub gave."""
    course, route = launch.course, launch.route
    what = f"No {launch.goal} within {timeout:g} seconds: {route.here.url} was still {course.phase or 'not answering'}."
    words = one_line(course.log[-1]) if course.launching and course.log else ""
    if words:
        what += f" It said: {words}"
    elif route.last is not None:
        what += f" Before that: {route.last.what}"
    hint = "Raise the timeout: a first build may take long, and goes on at the hub after the deadline."
    if course.launching or route.last is not None:
        hint = LATER
    return DeadlineExceeded(_with_server_left(what, left), hint)


def _with_server_left(what: str, left: BaseException | None) -> str:
    return f"{what} {left.message}" if isinstance(left, SessionError) else what


class _WithoutBuildToken(logging.Filter):
    """Removes the build token from urllib3's log records, which contain the path of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "build_token=" in (message := record.getMessage()):
            record.msg, record.args = hide_tokens(message), ()
        return True


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response"):
    logging.getLogger(_name).addFilter(_WithoutBuildToken())
