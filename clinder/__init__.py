"""Start a Jupyter Server on a BinderHub, use it, and shut it down again.

>>> from clinder import BinderHub, RepoSpec
>>> with BinderHub("https://mybinder.org").launch(RepoSpec("org/repo")) as session:  # doctest: +SKIP
...     print(session.url)

The names below are the whole public interface. Each is imported when it is first used, so that
``clinder --version`` does not import an HTTP library.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # that of typing, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

    from clinder.errors import (
        BuildFailed,
        ClinderError,
        DeadlineExceeded,
        HubError,
        HubRefused,
        HubUnavailable,
        LaunchCancelled,
        SessionError,
        SessionGone,
        SessionUnreachable,
        UsageError,
        WrongToken,
    )
    from clinder.hub import BinderHub, Image
    from clinder.jupyterhub import TokenAuth
    from clinder.launch.events import Event
    from clinder.local import EmbeddedHub
    from clinder.session import Session, SessionStatus
    from clinder.spec import RepoSpec

_HOMES = {
    "BinderHub": "hub",
    "BuildFailed": "errors",
    "ClinderError": "errors",
    "DeadlineExceeded": "errors",
    "EmbeddedHub": "local",
    "Event": "launch.events",
    "HubError": "errors",
    "HubRefused": "errors",
    "HubUnavailable": "errors",
    "Image": "hub",
    "LaunchCancelled": "errors",
    "RepoSpec": "spec",
    "Session": "session",
    "SessionError": "errors",
    "SessionGone": "errors",
    "SessionStatus": "session",
    "SessionUnreachable": "errors",
    "TokenAuth": "jupyterhub",
    "UsageError": "errors",
    "WrongToken": "errors",
}

__all__ = [
    "BinderHub",
    "BuildFailed",
    "ClinderError",
    "DeadlineExceeded",
    "EmbeddedHub",
    "Event",
    "HubError",
    "HubRefused",
    "HubUnavailable",
    "Image",
    "LaunchCancelled",
    "RepoSpec",
    "Session",
    "SessionError",
    "SessionGone",
    "SessionStatus",
    "SessionUnreachable",
    "TokenAuth",
    "UsageError",
    "WrongToken",
    "__version__",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    return getattr(import_module(f"clinder.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
