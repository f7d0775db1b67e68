"""What an answer, an event or an exception means: a table, and a pure function over it. No network, no clock, no state.

Each failure has a fault, which decides what to do about it:

- ``attempt``: the hub may launch next time. Ask it again after a pause, and the next place after three failures in a
  row.
- ``elsewhere``: another hub may launch now. Go to the next place at once; if there is none, ask this hub again.
- ``hub``: this hub will not launch. Never ask it again; go to the next place at once.
- ``repository``, ``user``: no hub will launch. The launch ends.

A failure that no row knows is a failed attempt, and never the repository's fault. The page "What a hub says, and what
clinder does" (docs/reference/what-a-hub-says.md) has the same rows; a test compares them.
"""

import re
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from socket import EAI_NONAME, gaierror
from typing import Literal, NamedTuple
from urllib.parse import urljoin

import requests

from clinder._http import caused_by, describe
from clinder.errors import BuildFailed, HubError, HubRefused, HubUnavailable
from clinder.launch.events import FAILED_PHASES
from clinder.launch.stream import Outcome
from clinder.text import hide_tokens, strip_ansi

Fault = Literal["attempt", "elsewhere", "hub", "repository", "user"]

_LOG_LINES = 20  # the most lines of a failed build's log in its error
_TELLING_LINES = 8  # at the end of a log, which may say why the build failed
_LONGEST_MESSAGE = 600  # characters of a hub's words in an error


class NoBuildOnly(HubRefused):
    """The hub does not build without launching. Only a hub in API-only mode does."""


class Limit(NamedTuple):
    """How long failures of one row are tolerated, and how long the pauses between them are."""

    here: int = 1_000_000  # the most failures at one place; after that, the hub is not asked again
    in_all: int = 1_000_000  # the most failures in one launch; after that, the launch ends
    # Seconds after the first failure at a place, after which the hub is not asked again.
    patience: float = float("inf")
    first_pause: float = 1.0  # seconds; doubled after each failure
    longest_pause: float = 60.0  # seconds
    patient: bool = False  # whether it will take minutes, so that the allowed launches must last until the deadline


class Row(NamedTuple):
    """One row of the table: how a failure is recognised, whose fault it is, and what to do about it."""

    name: str
    seen: str  # what the hub says, as the reference shows it
    fault: Fault
    matches: "Callable[[_Facts], object]"
    hint: str = ""  # {proxy} stands for the proxy and the variable that names it
    limit: Limit = Limit()
    error: type[HubError] = HubRefused  # raised when there is no hub left to ask
    waits: bool = False  # whether a time in the hub's words is the time to wait


class Place(NamedTuple):
    """What is asked, and where: the hub, and the URL of the hub or of a member of its federation."""

    hub: str
    url: str
    path: str  # of the build stream, below url
    spec: str
    build_token: str | None = None
    proxy: str = ""  # the proxy to this place, and the variable that names it
    hub_token: str | None = None  # the API token of a hub with a login
    has_login: bool = False  # whether clinder sends that token, or other credentials


class Verdict(NamedTuple):
    """What a failure means: its row, a sentence about what happened (``what``), and what to do about it (``hint``)."""

    row: Row
    what: str
    hint: str
    wait: float | None = None  # the seconds to wait, if the hub said a time and it can be trusted
    at_most: float | None = None  # the longest time to wait, in seconds: the length of a rate limit's window
    log: tuple[str, ...] = ()

    @property
    def fault(self) -> Fault:
        """Whose fault it is."""
        return self.row.fault

    def error(self, what: str = "") -> HubError:
        """Return the final error, with ``what`` as its message if that is given. Its anchor is the row's name."""
        what = what or self.what
        is_build = self.row.error is BuildFailed
        error = BuildFailed(what, self.hint, self.log) if is_build else self.row.error(what, self.hint)
        error.anchor = self.row.name
        return error


class _Facts(NamedTuple):
    """The facts about a failure that the conditions of the rows test."""

    outcome: Outcome
    place: Place
    responder: str  # the URL that answered: the place, or the member that it redirects to
    said: str
    code: int | None  # the status_code of a failed event

    @property
    def failed(self) -> bool:
        return self.outcome.event is not None and self.outcome.event.phase in FAILED_PHASES

    @property
    def answered(self) -> bool:
        """Whether there was an HTTP answer that is no stream."""
        return self.outcome.error is None and self.outcome.event is None and not self.outcome.is_stream

    @property
    def unreachable(self) -> bool:
        return self.outcome.error is not None and self.outcome.status == 0

    @property
    def place_answered(self) -> bool:
        """Whether the place itself answered, and not a member that it redirects to."""
        return self.responder == self.place.url

    @property
    def is_hub(self) -> bool:
        """Whether the hub itself was asked, and not one of its members directly."""
        return self.place.url == self.place.hub

    def says(self, pattern: str) -> bool:
        """Tell whether the failed event's or the answer's words match."""
        return re.search(pattern, self.said, re.IGNORECASE) is not None

    def log_says(self, pattern: str) -> bool:
        """Tell whether the hub's words or the end of the build's log match."""
        end = "\n".join([*self.outcome.course.log[-_TELLING_LINES:], self.said])[-20_000:]
        return re.search(pattern, strip_ansi(end), re.IGNORECASE) is not None

    @property
    def asks_for_login(self) -> bool:
        """Whether the hub asks for a login: by an event, an HTTP status or a login page."""
        if self.failed:
            return self.code == 401 or (self.code == 403 and self.says(r"^(?:forbidden\W*)?$"))
        return self.answered and (self.outcome.status in (401, 403) or _is_login_page(self.outcome))

    @property
    def is_build(self) -> bool:
        """Whether the build failed: it had begun, and the image was not there yet."""
        course = self.outcome.course
        return self.failed and course.building and not course.launching and course.phase != "pushing"


_OTHER_HUB = "Use another hub, or ask its operators."
_NO_HUB = "Is that the URL of a BinderHub (like https://mybinder.org/)?"
_LOGIN = "This hub needs a login: set CLINDER_HUB_TOKEN (the Action's hub-token) to an API token of its JupyterHub."
_REFUSED = (
    "The hub does not accept the token of CLINDER_HUB_TOKEN (the Action's hub-token). It is of another JupyterHub, it "
    "has expired, or its user may not use this hub: it needs the scope access:services!service=binder."
)
_FAULT_OF_HUB = "This is a fault of the hub. Try later or on another hub, or tell its operators."
LATER = "Try later, with a longer timeout, or on another hub."
_CORRECT = "The last lines of the build's log are above: correct the repository's environment."
_BY_CHANCE = Limit(here=2, in_all=3, first_pause=2.0)
_MINUTES = Limit(first_pause=8.0, longest_pause=180.0, patient=True)

# Words of pip, conda, mamba, apt, git, npm and R about a failed download.
_NETWORK_WORDS = "|".join(
    (
        r"IncompleteRead|Connection broken|Connection(?:Reset)?Error|Connection (?:reset|refused|timed out)",
        r"Temporary failure (?:in name resolution|resolving)|Could not resolve host|Network is unreachable",
        r"CondaHTTPError|CondaSSLError|HTTP(?:Error|/1\.[01])?:? (?:000|429|5\d\d)\b",
        r"\b5\d\d (?:Server Error|Service Unavail|Bad Gateway|Gateway Time)",
        r"TLS handshake|unexpected EOF|SSLEOFError|early EOF|RPC failed|Download error|Read timed out",
        r"ETIMEDOUT|ECONNRESET|EAI_AGAIN|ReadTimeoutError|ProtocolError|ChunkedEncodingError",
    )
)
# Words of a build about a failure of its own.
_BUILD_ERROR = (
    r"\berror\b|non-zero|exit (?:code|status)|\bfail(?:ed|ure)\b|no matching distribution|\w(?:Error|Exception)\b"
    r"|not found|unsatisfiable|^fatal:|command '|traceback"
)


def _always(facts: _Facts) -> bool:  # noqa: ARG001
    return True


def _never(facts: _Facts) -> bool:  # noqa: ARG001
    return False


# On a hub with a login. If the token may list the user's servers, the hint names them.
RUNNING = Row(
    "running-server",
    "User X already has a running server / has the maximum of N named servers (409)",
    "user",
    lambda f: f.failed and (f.code == 409 or f.says(r"already has a running server|maximum of \d+ named servers")),
    "Stop a server of this user, on the page hub/home of the hub's JupyterHub or with clinder stop, and try again.",
)

# The first row that matches counts.
ROWS: tuple[Row, ...] = (
    # A failed event. First, the words of the hub about itself, which may come in any phase.
    Row(
        "github-quota",
        "GitHub rate limit exceeded. Try again in N minutes",
        "elsewhere",
        lambda f: f.failed and f.says(r"github rate limit|api rate limit exceeded"),
        "The hub has used up what GitHub allows it. " + LATER,
        _MINUTES,
        HubUnavailable,
        waits=True,
    ),
    Row(
        "rate-limit",
        "Rate limit exceeded. Try again in 3600 seconds.",
        "elsewhere",
        lambda f: f.failed and (f.says("rate limit") or (f.code == 429 and not f.says("too many users"))),
        "The hub limits how often this network may launch. Use another hub, or a build token of this one.",
        _MINUTES,
        HubUnavailable,
    ),
    Row(
        "full",
        "Too many users on this BinderHub! / Too many users running X!",
        "elsewhere",
        lambda f: f.failed and f.says("too many users"),
        LATER,
        _MINUTES,
        HubUnavailable,
    ),
    Row(
        "build-token",
        "Invalid build token (event or HTTP 403)",
        "user",
        lambda f: (f.code == 403 or f.outcome.status == 403) and f.says("build.token"),
        "Check the build token: it is good for one hub, one repository and one ref, and it expires after five minutes.",
    ),
    Row(
        "banned-network",
        "Requests from X are not allowed",
        "hub",
        lambda f: f.failed and f.says(r"requests from .{1,200}not allowed"),
        "This hub bans the network that you are in, as public hubs do with cloud data centres. " + _OTHER_HUB,
    ),
    Row(
        "policy",
        "Sorry, X is not allowed to launch / X has been temporarily disabled from launching",
        "hub",
        lambda f: f.failed and f.says(r"not allowed to launch|disabled from launching|temporarily disabled|\bbanned\b"),
        "This hub does not launch this repository: many hubs allow only some organisations, and therefore no forks. "
        + _OTHER_HUB,
    ),
    Row(
        "no-provider",
        "No provider found for prefix 'X'",
        "hub",
        lambda f: f.failed and f.says("no provider found"),
        "This hub can't launch from that provider. " + _OTHER_HUB,
    ),
    Row(
        "token-refused",
        "Forbidden, or a login page, although clinder has sent a token; user X is not allowed",
        "hub",
        lambda f: f.place.has_login and (f.asks_for_login or f.says(r"^\w+ \S{1,300} is not allowed\W*$")),
        _REFUSED,
    ),
    Row(
        "login",
        "Forbidden (event 401 or 403); HTTP 401 or 403; a login page",
        "hub",
        lambda f: f.asks_for_login,
        _LOGIN,
    ),
    RUNNING,
    Row(
        "no-build-only",
        "Building but not launching is not permitted (to clinder build)",
        "user",
        lambda f: f.failed and f.says("building but not launching is not permitted"),
        "clinder launches the repository instead, and stops the server.",
        error=NoBuildOnly,
    ),
    # The words of the repository's host.
    Row(
        "no-such-ref",
        "Could not resolve ref for X. Double check your URL.",
        "repository",
        lambda f: f.failed and f.says("could not resolve ref"),
        "Check the spelling of the repository and the ref. The hub must be able to read the repository: is it public?",
    ),
    Row(
        "host-in-trouble",
        "Error resolving ref for X: HTTP 401, 5xx, 599, ...",
        "elsewhere",
        lambda f: f.failed and f.says("error resolving ref"),
        "The hub could not ask the host of the repository. This is a fault of the hub or of the host. " + LATER,
        Limit(first_pause=4.0),
        HubUnavailable,
    ),
    Row(
        "not-readable",
        "could not read Username; Repository not found (in the build's log)",
        "repository",
        lambda f: (
            f.failed
            and not f.outcome.course.launching
            and f.log_says(r"could not read Username|Repository not found|repository '[^']{1,300}' not found")
        ),
        "The hub can't read this repository. Check its spelling: is it public?",
    ),
    Row(
        "commit-on-no-branch",
        "fatal: Could not parse object; fatal: reference is not a tree (in the build's log)",
        "repository",
        lambda f: (
            f.failed
            and not f.outcome.course.launching
            and f.log_says(r"could not parse object|reference is not a tree|not our ref|unadvertised object")
        ),
        "The commit is on no branch of that repository, so a hub can't fetch it. Push it to a branch. For a pull "
        "request, launch its head commit in the repository that it comes from, not the merge commit.",
    ),
    # The launch, after the build.
    Row(
        "launch-took-too-long",
        "Image X for user Y took too long to launch",
        "attempt",
        lambda f: f.failed and f.says("took too long"),
        "Each try may leave a server at the hub until the hub stops it. " + LATER,
        Limit(in_all=4),
        HubUnavailable,
    ),
    Row(
        "launch-failed",
        "Failed to launch image X / Spawn failed: ... / any failure after the build",
        "attempt",
        lambda f: (
            f.failed
            and (
                f.outcome.course.launching
                or f.outcome.course.phase == "pushing"
                or f.says(r"failed to launch|spawn failed|launch attempt")
            )
            and not (f.code is not None and 400 <= f.code < 500)
        ),
        _FAULT_OF_HUB,
        error=HubUnavailable,
    ),
    Row(
        "try-again",
        "any other failure that says: try again",
        "attempt",
        lambda f: f.failed and f.says(r"try(?:ing)? again|please retry"),
        LATER,
        error=HubUnavailable,
        waits=True,
    ),
    Row(
        "hub-error",
        "any other failure with status_code 500 or more",
        "attempt",
        lambda f: f.failed and f.code is not None and f.code >= 500,
        _FAULT_OF_HUB,
        error=HubUnavailable,
    ),
    Row(
        "hub-refused",
        "any other failure with status_code 400 to 499",
        "hub",
        lambda f: f.failed and f.code is not None and f.code >= 400,
        "Asking this hub again would bring the same answer. " + _OTHER_HUB,
    ),
    # The build.
    Row(
        "build-failed-by-chance",
        "a failed build whose log ends with a network error (CondaHTTPError, Connection broken, ...)",
        "attempt",
        lambda f: f.is_build and f.log_says(_NETWORK_WORDS),
        "The network of the build seems to have failed more than once. Try later.",
        _BY_CHANCE,
        BuildFailed,
    ),
    Row(
        "build-failed",
        "a failed build whose log says why",
        "repository",
        lambda f: f.is_build and (f.says(_BUILD_ERROR) or (not f.said and f.log_says(_BUILD_ERROR))),
        _CORRECT,
        error=BuildFailed,
    ),
    Row(
        "build-lost",
        "failed without a reason, after the build began",
        "attempt",
        lambda f: f.is_build,
        "The build ended more than once without a reason: it may have run out of memory, or the hub has lost it.",
        _BY_CHANCE,
        BuildFailed,
    ),
    Row(
        "build-failed-unwatched",
        "waiting, then failed without a reason",
        "repository",
        lambda f: f.failed and not f.said and f.outcome.course.phase == "waiting",
        "The build failed while nobody was connected, so its log is not known. Start again in two minutes to see it.",
        error=BuildFailed,
    ),
    Row(
        "unknown-failure",
        "any other failure",
        "attempt",
        lambda f: f.failed,
        _FAULT_OF_HUB,
        error=HubUnavailable,
    ),
    # An answer that is no event stream.
    Row(
        "http-429",
        "HTTP 429",
        "elsewhere",
        lambda f: f.answered and f.outcome.status == 429,
        LATER,
        error=HubUnavailable,
        waits=True,
    ),
    Row(
        "http-5xx",
        "HTTP 5xx before any stream",
        "elsewhere",
        lambda f: f.answered and f.outcome.status >= 500 and f.place_answered,
        LATER,
        error=HubUnavailable,
        waits=True,
    ),
    Row(
        "member-lost",
        "HTTP 4xx or 5xx from the federation member that the hub redirects to",
        "attempt",
        lambda f: (
            f.answered and f.is_hub and (f.outcome.status >= 500 or (f.outcome.status >= 400 and not f.place_answered))
        ),
        LATER,
        error=HubUnavailable,
        waits=True,
    ),
    Row(
        "member-refused",
        "HTTP 4xx from another federation member",
        "elsewhere",
        lambda f: f.answered and not f.is_hub and f.outcome.status >= 400,
        LATER,
        error=HubUnavailable,
    ),
    Row(
        "http-404",
        "HTTP 404 from the hub itself",
        "attempt",
        lambda f: f.answered and f.outcome.status == 404,
        "A hub answers so for some seconds while it is updated, but this one did for longer. " + _NO_HUB,
        Limit(patience=30.0, first_pause=2.0, longest_pause=8.0),
    ),
    Row(
        "no-hub",
        "a web page, or another answer that is no event stream; redirects in circles, or to a malformed address",
        "hub",
        lambda f: (
            f.answered
            or (
                f.unreachable
                and not f.place.proxy
                and isinstance(f.outcome.error, (requests.exceptions.TooManyRedirects, ValueError))
            )
        ),
        _NO_HUB,
    ),
    # No answer at all.
    Row(
        "proxy",
        "the proxy refuses, or its address can't be used",
        "hub",
        lambda f: f.unreachable and f.place.proxy and _is_proxy_error(f.outcome.error),
        "The proxy is {proxy}. Check it, or unset that variable.",
        error=HubUnavailable,
    ),
    Row(
        "no-such-name",
        "its name could not be resolved (no such name)",
        "hub",
        lambda f: f.unreachable and getattr(caused_by(_error(f), gaierror), "errno", None) == EAI_NONAME,
        "Check the spelling of the hub's URL, and the network.",
        error=HubUnavailable,
    ),
    Row(
        "certificate",
        "its certificate is not valid",
        "hub",
        lambda f: f.unreachable and caused_by(_error(f), ssl.SSLCertVerificationError),
        "Check the hub's URL; for a certificate of your own, set REQUESTS_CA_BUNDLE.",
        error=HubUnavailable,
    ),
    Row(
        "no-tls",
        "TLS: wrong version, unexpected end",
        "hub",
        lambda f: f.unreachable and caused_by(_error(f), ssl.SSLError),
        "This address does not speak https. Is it http://?",
        error=HubUnavailable,
    ),
    Row(
        "unreachable",
        "connection refused or reset, no connection in time, no answer in time",
        "elsewhere",
        lambda f: f.unreachable and f.place_answered,
        LATER,
        error=HubUnavailable,
    ),
    Row(
        "member-unreachable",
        "connection refused or reset, or no answer in time, from a federation member",
        "attempt",
        lambda f: f.unreachable,
        LATER,
        error=HubUnavailable,
    ),
    # A stream that did not come to an end.
    Row(
        "broken",
        "the connection breaks or falls silent while waiting, building or launching",
        "attempt",
        _always,
        LATER,
        error=HubUnavailable,
    ),
)

# The failures after ready: a server was launched, and it can't be used.
UNUSABLE = Row(
    "unusable-session",
    "ready, with an address that can't be used",
    "attempt",
    _never,
    "Each try leaves a server at the hub until the hub stops it. " + _FAULT_OF_HUB,
    Limit(in_all=3),
)
NO_ANSWER = Row(
    "session-without-answer",
    "ready, and the session does not answer",
    "attempt",
    _never,
    "The server ended as soon as it was launched, or the hub's proxy does not find it. " + _FAULT_OF_HUB,
    Limit(in_all=4),
    HubUnavailable,
)
NOT_OPENED = Row(
    "session-refuses-token",
    "ready, and no token opens the session, on a hub with a login",
    "user",
    _never,
    "The token of CLINDER_HUB_TOKEN (the Action's hub-token) needs the scope access:servers!user. It is sent only to a "
    "server at the address of the hub or of its JupyterHub.",
)


def of(outcome: Outcome, place: Place) -> Verdict:
    """Return the verdict on an outcome other than ``ready``."""
    facts = _facts(outcome, place)
    row = next(row for row in ROWS if row.matches(facts))
    hint = row.hint.replace("{proxy}", place.proxy)
    log = _log(outcome) if row.error is BuildFailed else ()
    if row.error is BuildFailed and not log and hint == _CORRECT:
        hint = "Correct the repository's environment."
    wait = _wait(facts)
    return Verdict(row, _what(facts, row), hint, wait if row.waits else None, wait if row.limit.patient else None, log)


def unusable(responder: str, why: str) -> Verdict:
    """Return the verdict on a ``ready`` whose address can't be used."""
    return Verdict(UNUSABLE, f"{responder} launched a server but sent no usable address for it. {why}", UNUSABLE.hint)


def no_answer(responder: str, why: str) -> Verdict:
    """Return the verdict on a launched session that does not answer."""
    return Verdict(NO_ANSWER, f"{responder} launched a server that does not answer. {why}", NO_ANSWER.hint)


def not_opened(responder: str, why: str, place: Place) -> Verdict:
    """Return the verdict on a launched session that accepts no token."""
    if not place.has_login:
        return no_answer(responder, why)
    return Verdict(NOT_OPENED, f"{responder} launched a server that accepts no token. {why}", NOT_OPENED.hint)


def with_servers(verdict: Verdict, urls: Sequence[str]) -> Verdict:
    """Return the verdict with the URLs of the user's servers in its hint, and how to stop one."""
    if not urls:
        return verdict
    how = f"JUPYTER_BASE_URL={urls[0]} JUPYTER_TOKEN=$CLINDER_HUB_TOKEN clinder stop"
    return verdict._replace(hint=f"Stop one and try again: {how}\nThis user has: {', '.join(urls)}")


def find_responder(outcome: Outcome, place: Place) -> str:
    """Return the URL of the hub that answered: the place that was asked, or the member that it redirects to."""
    address = outcome.address
    return address.removesuffix(place.path) if address.endswith(place.path) else urljoin(address, "/")


def _facts(outcome: Outcome, place: Place) -> _Facts:
    event = outcome.event
    said = strip_ansi(event.message).strip() if event else outcome.said
    said = _shortened(hide_tokens(said, place.build_token, place.hub_token))
    code = event.data.get("status_code") if event else None
    return _Facts(outcome, place, find_responder(outcome, place), said, code if isinstance(code, int) else None)


def _shortened(said: str) -> str:
    """Return a hub's words, cut to 600 characters and without the command that repo2docker repeats in its errors."""
    said = re.sub(r"Command '?\[.{60,5000}\]'? (?=returned|died)", "Command ", said, flags=re.DOTALL)
    return said if len(said) <= _LONGEST_MESSAGE else f"{said[: _LONGEST_MESSAGE - 3]}..."


def _what(facts: _Facts, row: Row) -> str:
    """Return the sentence that says what happened, with the hub's own words."""
    outcome, responder, said = facts.outcome, facts.responder, facts.said
    if row.error is BuildFailed:
        return _sentence(f"{responder} could not build {facts.place.spec}" + (f": {said}" if said else ""))
    if facts.failed:
        return _sentence(f"{responder} said: {said}" if said else f"{responder} gave no reason")
    if isinstance(outcome.error, requests.exceptions.TooManyRedirects):
        return f"{responder} redirects in circles."
    if row.name == "no-hub" and outcome.error is not None:
        return f"{responder} redirects to an address that can't be used."
    if facts.unreachable:
        return _sentence(f"{responder} could not be reached: {describe(_error(facts))}")
    if outcome.is_stream:
        how = describe(outcome.error) if outcome.error else "it ended"
        phase = outcome.course.phase or "waiting"
        left = " The server that it was launching may be left there." if outcome.course.launching else ""
        return _sentence(f"The connection to {responder} broke while {phase}: {how}") + left
    if outcome.encoding:
        return f"{responder} sent an event stream in an encoding that nobody asked for: {outcome.encoding}."
    if 200 <= outcome.status < 300:
        return f"{responder} answered with {outcome.content_type or 'something'} instead of an event stream."
    return _sentence(f"{responder} answered HTTP {outcome.status}" + (f": {said}" if said else ""))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _log(outcome: Outcome) -> tuple[str, ...]:
    """Return the last lines of the build's log, shortened, without empty lines."""
    lines: list[str] = []
    for text in reversed(outcome.course.log):
        if len(lines) < _LOG_LINES:  # a text may have 100,000 lines
            lines = [line for line in strip_ansi(text).splitlines() if line.strip()][-_LOG_LINES:] + lines
    return tuple(_shortened(line) for line in lines[-_LOG_LINES:])


def _error(facts: _Facts) -> Exception:
    return facts.outcome.error or Exception()


def _is_proxy_error(error: Exception | None) -> bool:
    return isinstance(error, ValueError | requests.exceptions.ProxyError)


def _is_login_page(outcome: Outcome) -> bool:
    path = outcome.address.partition("?")[0]
    return outcome.content_type == "text/html" and (
        re.search(r"/(?:hub/)?(?:login|oauth\w*|signin)\b", path[-200:]) is not None
        or re.search(r"\b(?:log ?in|sign ?in)\b", outcome.said, re.IGNORECASE) is not None
    )


def _wait(facts: _Facts) -> float | None:
    headers = facts.outcome.headers
    header = None if facts.failed else retry_after(headers.get("Retry-After"), headers.get("Date"))
    return header or said_wait(facts.said)


def retry_after(value: str | None, now: str | None = None) -> float | None:
    """Return the seconds in a Retry-After header, which is a number or a date (RFC 9110); None if it is neither.

    ``now`` is the Date header of the same answer, so that a difference between the two clocks does not matter.
    """
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value) or None
    then, since = _timestamp(value), _timestamp(now)
    return None if then is None or since is None or then <= since else then - since


def _timestamp(value: str | None) -> float | None:
    try:
        date = datetime.now(timezone.utc) if value is None else parsedate_to_datetime(value)
        # RFC 9110 has three forms of a date. One of them has no time zone, and all of them mean GMT.
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def said_wait(said: str) -> float | None:
    """Return the time in words like "Try again in 5 minutes." (binderhub/repoproviders.py) in seconds, or None."""
    match = re.search(r"try again in (\d{1,9}) (second|minute|hour)", said, re.IGNORECASE)
    if match is None:
        return None
    return float(match[1]) * {"second": 1, "minute": 60, "hour": 3600}[match[2].lower()] or None
