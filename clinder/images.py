"""Build the image of a target on several hubs, without a session: for the command line and for the Action."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from clinder._signals import Signals
from clinder.errors import ClinderError
from clinder.handover import deferred

if TYPE_CHECKING:  # these import an HTTP library, for which neither --version nor --help should wait
    from clinder.hub import BinderHub, Image
    from clinder.launch.events import Event
    from clinder.target.target import Target, Tokens


class Built(NamedTuple):
    """The result of a build on one hub: an ``image`` or an ``error``, and how many seconds it took."""

    hub: str
    image: "Image | None"
    error: ClinderError | None
    seconds: float

    @property
    def result(self) -> str:
        """The word for the result."""
        if self.image is None:
            return "failed"
        return "built" if self.image.built else "already there"


def hubs_to_build(
    target: "Target", tokens: "Tokens", tell: Callable[[str], None], *, all_members: bool
) -> "list[BinderHub]":
    """Return the hubs to build on, each once: the target's hubs, or with ``all_members`` the members of each."""
    hubs = target.open_hubs(tokens)
    if all_members:
        hubs = [member for hub in hubs for member in _members(hub, tell)]
    return list({hub.url: hub for hub in hubs}.values())


def _members(hub: "BinderHub", tell: Callable[[str], None]) -> "list[BinderHub]":
    members = hub.members()
    if not members:
        tell(f"{hub.url} names no members of a federation: the image is built only there")
    return members or [hub]


def build_image(
    hub: "BinderHub", target: "Target", signals: Signals, *, timeout: float, on_event: "Callable[[Event], None]"
) -> Built:
    """Make sure that one hub has the image; signals are deferred from here on. Raises only `Signalled`."""
    began = time.monotonic()
    image, error = None, None
    try:
        with deferred(signals):
            image = hub.build(target.spec, timeout=timeout, on_event=on_event, cancel=signals.requested)
    except ClinderError as failure:
        error = failure
    return Built(hub.url, image, error, time.monotonic() - began)


def exit_code(several: list[Built]) -> int:
    """Return the exit code: that of the first error, or 0."""
    return next((built.error.exit_code for built in several if built.error), 0)
