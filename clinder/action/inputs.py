"""Read the Action's inputs: the target, the deadline and the tokens."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from actions_toolkit import core

from clinder.duration import parse_duration
from clinder.errors import UsageError
from clinder.giturl import quote_text
from clinder.hub import DEFAULT_TIMEOUT
from clinder.jupyterhub import check_token
from clinder.spec import RepoSpec, parse_hub, provider_named
from clinder.target.target import Target, Tokens, resolve_target


class Inputs(NamedTuple):
    """The inputs, each of them checked.

    ``hubs`` has URLs or launch links. They are tried in this order, and after them ``fallback_hubs``. ``directory`` is
    the directory of the project.
    """

    hubs: tuple[str, ...]
    fallback_hubs: tuple[str, ...]
    repo: str | None
    ref: str | None
    provider: str | None
    tokens: Tokens
    timeout: float
    directory: Path
    reuse_image: bool
    remote_extends: bool
    build_only: bool
    all_members: bool

    def target(self) -> Target:
        """Return what to launch and where, from the inputs and the surroundings. Raises `UsageError`."""
        return resolve_target(
            hub=self.hubs[0] if self.hubs else None,
            fallback_hubs=(*self.hubs[1:], *self.fallback_hubs),
            repo=self.repo,
            ref=self.ref,
            provider=self.provider,
            reuse_image=self.reuse_image,
            remote_extends=self.remote_extends,
            build_only=self.build_only,
            directory=self.directory,
        )


def read_tokens() -> Tokens:
    """Return the tokens for the hub. They must be masked before anything is printed."""
    return Tokens(core.get_input("build-token") or None, core.get_input("hub-token") or None)


def read_inputs() -> Inputs:
    """Return the inputs. Raises `UsageError` with the name of the wrong input."""
    repo, ref, provider = (core.get_input(name) or None for name in ("repo", "ref", "provider"))
    hubs = _read_hubs("hub-url")
    fallback_hubs = _read_hubs("fallback-hub")
    with _blamed("timeout"):
        timeout = parse_duration(text) if (text := core.get_input("timeout")) else DEFAULT_TIMEOUT
    defaults = {"reuse-image": "false", "remote-extends": "true", "build-only": "false", "all-members": "false"}
    booleans = [_boolean(name, default) for name, default in defaults.items()]
    with _blamed("all-members"):
        if booleans[3] and not booleans[2]:
            raise UsageError("A session needs one hub.", "Set build-only too, or leave both out.")
    tokens = read_tokens()
    with _blamed("hub-token"):
        if tokens.hub:
            check_token(tokens.hub, "It")
    with _blamed("provider"):
        if provider and provider_named(provider) and not repo:
            raise UsageError("It says how to read repo, which is empty.", "Set repo too, or leave both empty.")
    with _blamed("repo"):
        spec = RepoSpec.parse(repo, None, provider) if repo else None
    with _blamed("ref"):
        if ref:
            (spec or RepoSpec("any/repository")).at(ref)
    with _blamed("working-directory"):
        directory = _parse_directory(core.get_input("working-directory"))
    return Inputs(hubs, fallback_hubs, repo, ref, provider, tokens, timeout, directory, *booleans)


def _read_hubs(name: str) -> tuple[str, ...]:
    hubs = tuple(line.strip() for line in core.get_input(name).splitlines() if line.strip())
    with _blamed(name):
        for hub in hubs:
            if hub.lower() == "local":
                raise UsageError("The Action has no embedded hub.", "Use clinder run local in a step of your own.")
            if re.search(r"^- |^\[(?!!\[)|, ?https?://", hub):
                what = f"Not a BinderHub's URL: {quote_text(hub)}"
                raise UsageError(what, "Write one hub a line, without commas, brackets or hyphens.")
            parse_hub(hub)
    return hubs


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Add the name of the input to a `UsageError` of the block."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"Input {name}: {error.message}", error.hint) from None


def _parse_directory(text: str) -> Path:
    directory = Path(text or ".")  # the step begins in the workspace
    if not os.path.isdir(directory):  # noqa: PTH112  (Path.is_dir() may raise)
        raise UsageError(f"There is no directory {text[:100]!r}.", "Expected one of the workspace, like docs.")
    return directory


def _boolean(name: str, default: str) -> bool:
    text = (core.get_input(name) or default).lower()
    with _blamed(name):
        if text not in ("true", "false"):
            raise UsageError(f"{text[:100]!r} is neither true nor false.", "Expected one of them.")
    return text == "true"
