"""The exceptions of clinder.

::

    ClinderError
    ├── UsageError              2  an argument can't be understood (also a ValueError)
    ├── HubError                   a hub did not launch or build
    │   ├── HubRefused          1  the hub's answer is final: no such ref, banned, not a BinderHub
    │   │   └── BuildFailed     1  the repository's environment could not be built
    │   ├── HubUnavailable      3  the hub could not be reached, or kept failing
    │   ├── DeadlineExceeded    4  there was no session before the deadline
    │   └── LaunchCancelled     1  the caller cancelled the launch
    └── SessionError            1  a session did not do what it was asked
        ├── SessionGone         1  the session has ended
        ├── WrongToken          1  the server answers and does not accept the token
        └── SessionUnreachable  3  the server did not answer, so its state is not known

The number is the exit code of the command line. No message contains a token. A message may contain words of a hub or
names of a repository's files, so control characters and colours are removed from all messages here.

The documentation has a page with an entry for each message. If an error ends the command line or the Action, its last
line has the address of the entry.
"""

from typing import ClassVar

from clinder.text import strip_ansi

# Each anchor is a heading of docs/troubleshooting.md.
TROUBLESHOOTING = "https://org.github.io/clinder/troubleshooting"


def more(anchor: str) -> str:
    """Return the line that says where the documentation explains an error."""
    return f"More: {TROUBLESHOOTING}#{anchor}"


class ClinderError(Exception):
    """The base class: ``message`` says what happened, ``hint`` what to do about it. The hint may be empty."""

    exit_code: ClassVar[int] = 1
    # The heading of the entry. The base class itself is raised only when the result can't be written. The error of a
    # hub's answer has the name of the answer's row (launch/verdict.py).
    anchor: str = "output-not-written"

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = strip_ansi(message)
        self.hint = strip_ansi(hint)
        super().__init__(self.message, self.hint)

    @property
    def more(self) -> str:
        """The line that says where the documentation explains this error."""
        return more(self.anchor)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ClinderError, ValueError):
    """A hub, repository, provider, session or option that can't be understood."""

    exit_code = 2
    anchor = "wrong-input"


class HubError(ClinderError):
    """A hub did not launch a session, or did not build an image."""

    anchor = "the-hub"


class HubRefused(HubError):
    """The hub's answer is final: it would be the same if clinder asked again."""


class BuildFailed(HubRefused):
    """The hub could not build the environment. ``log`` holds the last lines of the build's log."""

    anchor = "build-failed"

    def __init__(self, message: str, hint: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.log = log

    def __str__(self) -> str:
        return "\n".join([*self.log, super().__str__()])


class HubUnavailable(HubError):
    """The hub could not be reached, is full, limits the rate of launches, or kept failing."""

    exit_code = 3


class DeadlineExceeded(HubError):
    """The deadline passed while the hub was still building or launching."""

    exit_code = 4
    anchor = "no-session-in-time"


class LaunchCancelled(HubError):
    """The launch ended because the caller's ``cancel`` event was set."""

    anchor = "launch-cancelled"


class SessionError(ClinderError):
    """A session did not do what it was asked."""

    anchor = "the-session"


class SessionGone(SessionError):
    """The session has ended."""

    anchor = "session-gone"


class WrongToken(SessionError):
    """A Jupyter Server answered and refused the token."""

    anchor = "wrong-token"


class SessionUnreachable(SessionError):
    """The session did not answer, or not as a Jupyter Server does. It may still be running."""

    exit_code = 3
    anchor = "session-not-reached"
