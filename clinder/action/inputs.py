"""The Action's inputs, and what they say: the target and the deadline."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from actions_toolkit import core

from clinder.duration import parse_duration
from clinder.errors import UsageError
from clinder.hub import DEFAULT_TIMEOUT
from clinder.spec import RepoSpec, parse_hub, provider_named
from clinder.target.target import Target, resolve_target


class Inputs(NamedTuple):
    """The inputs, each checked by itself. ``hubs`` are URLs or launch links, tried in this order; none is an input."""

    hubs: tuple[str, ...]
    repo: str | None
    ref: str | None
    provider: str | None
    build_token: str | None
    timeout: float
    reuse_image: bool
    remote_extends: bool

    def target(self) -> Target:
        """Return what to launch where; what the inputs leave open is found. Raises `UsageError`."""
        return resolve_target(
            hub=self.hubs[0] if self.hubs else None,
            fallback_hubs=self.hubs[1:],
            repo=self.repo,
            ref=self.ref,
            provider=self.provider,
            reuse_image=self.reuse_image,
            remote_extends=self.remote_extends,
        )


def build_token() -> str | None:
    """Return the build token, which is to be masked before anything else is done."""
    return core.get_input("build-token") or None


def read_inputs() -> Inputs:
    """Return the inputs. Raises `UsageError`, whose message names the input."""
    repo, ref, provider = (core.get_input(name) or None for name in ("repo", "ref", "provider"))
    hubs = tuple(line.strip() for line in core.get_input("hub-url").splitlines() if line.strip())
    with _blamed("hub-url"):
        for hub in hubs:
            parse_hub(hub)
    with _blamed("timeout"):
        timeout = parse_duration(text) if (text := core.get_input("timeout")) else DEFAULT_TIMEOUT
    with _blamed("reuse-image"):
        reuse_image = _parse_boolean(core.get_input("reuse-image"))
    with _blamed("remote-extends"):
        remote_extends = _parse_boolean(core.get_input("remote-extends") or "true")
    with _blamed("provider"):
        if provider and provider_named(provider) and not repo:
            raise UsageError("It says how to read repo, which is empty.", "Set repo too, or leave both empty.")
    with _blamed("repo"):
        spec = RepoSpec.parse(repo, None, provider) if repo else None
    with _blamed("ref"):
        if ref:
            (spec or RepoSpec("any/repository")).at(ref)
    return Inputs(hubs, repo, ref, provider, build_token(), timeout, reuse_image, remote_extends)


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Name the input in a `UsageError` of the block."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"Input {name}: {error.message}", error.hint) from None


def _parse_boolean(text: str) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise UsageError(f"{text[:100]!r} is neither true nor false.", "Expected one of them.")
    return text.lower() == "true"
