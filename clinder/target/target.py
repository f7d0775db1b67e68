"""Decide what to launch and where: from the arguments, then from CI, the project's myst.yml and the git checkout.

This module knows the order of these sources, which the command line's reference documents, and the words for the log.
The modules of the sources read them. It reads files and variables of this machine. It asks the web only for a file that
myst.yml extends, if nothing else names a hub.
"""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinder.errors import UsageError
from clinder.giturl import quote_text
from clinder.providers import PROVIDERS
from clinder.spec import DEFAULT_HUB, RepoSpec, parse_hub, same_repository
from clinder.target.ci import CIS, Base, CIBuild, read_ci
from clinder.target.folder import checkout_root, warn_of_folder
from clinder.target.myst import MAX_SIZE, MystConfig, find_myst, parse_myst
from clinder.text import strip_ansi

if TYPE_CHECKING:
    from clinder.hub import BinderHub
    from clinder.target.checkout import Checkout


class Tokens(NamedTuple):
    """The tokens for the first hub: ``build`` lifts its rate limit, ``hub`` is an API token for a hub with a login."""

    build: str | None = None
    hub: str | None = None

    def __repr__(self) -> str:  # without the tokens
        return "Tokens(...)"


class Target(NamedTuple):
    """What will be launched, and where.

    - ``hubs``: the hubs, in the order in which they are tried
    - ``lines``: lines for the log; the first says what was chosen and from where
    - ``instead_of``: what would have been launched without the reuse of an image, if that is another commit
    - ``hub_inferred``: whether the hub comes from a file of the project, which can't be trusted
    - ``hub_by_default``: whether the hub is the default, because nothing named one
    - ``directory``: the files that sessions of the embedded hub see; None for any other hub
    - ``sources``: where the repository, the ref and the hub are from; each is empty if it is an argument, and the ref's
      is empty for the default branch
    """

    hubs: tuple[str, ...]
    spec: RepoSpec
    lines: tuple[str, ...]
    instead_of: RepoSpec | None
    hub_inferred: bool
    directory: str | None = None
    sources: tuple[str, str, str] = ("", "", "")
    hub_by_default: bool = False

    def open_hubs(self, tokens: Tokens) -> "list[BinderHub]":
        """Return the hubs, the first of them with the tokens.

        Raises `UsageError` if there is a token, and the hub comes from a file of the project, or is the default.
        """
        from clinder.hub import BinderHub
        from clinder.jupyterhub import TokenAuth

        for name, token in zip(("build", "hub"), tokens, strict=True):
            if token and self.hub_inferred:
                raise UsageError(
                    f"The {name} token is not sent to {self.hubs[0]}, which myst.yml named.",
                    "A token is good for one hub: name that, too.",
                )
        if tokens.hub and self.hub_by_default:
            raise UsageError(
                f"The hub token is not sent to {self.hubs[0]}, which is only the default hub.",
                "Name the hub that the token is of: its URL or CLINDER_HUB (the Action's hub-url).",
            )
        auth = TokenAuth(tokens.hub) if tokens.hub else None
        first, *others = self.hubs
        return [BinderHub(first, build_token=tokens.build, auth=auth), *map(BinderHub, others)]


def resolve_target(
    *,
    hub: str | None = None,
    fallback_hubs: Iterable[str] = (),
    repo: str | None = None,
    ref: str | None = None,
    provider: str | None = None,
    reuse_image: bool = False,
    remote_extends: bool = True,
    build_only: bool = False,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Target:
    """Return what to launch and where: from the arguments, and from the surroundings if an argument is None.

    ``hub`` may be a launch link. With ``remote_extends``, a file that myst.yml extends from the web is read if nothing
    else names a hub. ``offline`` forbids that for a dry run, with a warning. ``build_only`` means that all hubs build;
    it changes the lines for the log. ``directory`` is in the project (default: the current directory).

    Raises `UsageError`. If no repository is found, its message says where clinder looked.
    """
    with closing(_Surroundings(environ, directory)) as surroundings:
        said_hub, linked = parse_hub(hub) if hub else (None, None)
        hubs = [_fallback_hub(text) for text in fallback_hubs]
        url, hub_source, unread = (said_hub, "", []) if said_hub else surroundings.hub(remote_extends, offline)
        choice = _said(repo, ref, provider, linked)
        choice = surroundings.spell(choice) if choice else surroundings.choice(ref)
        spec, lines = choice.spec, [*unread, *choice.warnings()]
        if reuse_image:
            spec, line = surroundings.reuse(choice)
            lines.append(line)
        lines += surroundings.reachability(choice, spec)
        if not build_only:
            lines += surroundings.folder_warning()
    hubs = list(dict.fromkeys([url, *hubs]))
    hub_words = "" if hub else f"from {hub_source}" if hub_source else "by default"
    sources = [*choice.sources(), *([f"hub {hub_words}"] if hub_words else [])]
    what = f"building {spec} on {', '.join(hubs)}" if build_only else f"launching {spec} on {', else '.join(hubs)}"
    first = what + (f" ({', '.join(sources)})" if sources else "")
    return Target(
        hubs=tuple(hubs),
        spec=spec,
        lines=tuple(map(_clean, (first, *lines))),
        instead_of=None if spec == choice.spec else choice.spec,
        hub_inferred=bool(hub_source),
        sources=(_clean(choice.repo_source), _clean(choice.ref_source), _clean(hub_source or hub_words)),
        hub_by_default=not (said_hub or hub_source),
    )


def _clean(words: str) -> str:
    """Return words on one line without control characters, because names of files and branches can't be trusted."""
    return " ".join(strip_ansi(words).split())


def _fallback_hub(text: str) -> str:
    if text == "local":
        raise UsageError("The embedded hub, local, can't be a fallback.", "Give it as the hub, or leave it out.")
    url, linked = parse_hub(text)
    if linked:
        raise UsageError(
            f"A launch link can't be a fallback or a further hub: {quote_text(text)}", "Expected the hub's URL alone."
        )
    return url


class _Choice(NamedTuple):
    """A repository and ref, and the source of each. A source is empty for an argument and for the default branch.

    ``pushed_matters``: the commit comes from the checkout, so it may not be pushed yet. ``ref_in_url``: the ref comes
    from a URL, in which a folder may follow it. ``other_repository``: the checkout's repository, if it is not the one
    that myst.yml names.
    """

    spec: RepoSpec
    repo_source: str = ""
    ref_source: str = ""
    base: Base | None = None
    fork_deleted: bool = False
    pushed_matters: bool = False
    ref_in_url: bool = False
    other_repository: str = ""

    def sources(self) -> list[str]:
        """Return clauses for the log that say where the repository and the ref are from."""
        what = "commit" if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.spec.ref) else "ref"
        if self.repo_source and self.repo_source == self.ref_source:
            return [f"repository and {what} from {self.repo_source}"]
        parts = (("repository", self.repo_source), (what, self.ref_source))
        return [f"{name} from {source}" for name, source in parts if source]

    def warnings(self) -> list[str]:
        """Return warnings about a choice that the user may not want."""
        lines = []
        if self.spec.provider not in PROVIDERS:
            lines.append(f"no provider {self.spec.provider} is known to clinder: the hub has to have one of that name")
        if self.other_repository:
            lines.append(
                f"warning: {self.repo_source} names the repository {self.spec.repo}, "
                f"but this checkout is of {self.other_repository}"
            )
        return lines


def _said(repo: str | None, ref: str | None, provider: str | None, linked: RepoSpec | None) -> _Choice | None:
    """Return the choice of the arguments, or None if they name no repository."""
    if repo:
        spec = RepoSpec.parse(repo, ref, provider)
        return _Choice(spec, ref_in_url=not ref and "/" in spec.ref)
    if provider:
        raise UsageError("A provider was given without a repository.", "Give both, or leave the provider out.")
    if linked:
        return _Choice(linked.at(ref) if ref else linked)
    return None


class _Surroundings:
    """The sources around a process: CI's variables, myst.yml and the checkout. Each is read once, when it is needed."""

    def __init__(self, environ: Mapping[str, str], directory: Path | None) -> None:
        self._environ = environ
        self._given = directory

    def close(self) -> None:
        """Close the files of the checkout, if one was opened."""
        if checkout := self.__dict__.get("checkout"):
            checkout.close()

    @cached_property
    def _directory(self) -> Path:
        try:
            return (self._given or Path.cwd()).resolve()
        except OSError:
            raise UsageError(
                "The current directory is gone, so clinder can't look for a project in it.", _SAY_WHICH
            ) from None

    @cached_property
    def ci(self) -> CIBuild | None:
        return read_ci(self._environ)

    @cached_property
    def myst(self) -> MystConfig | None:
        return find_myst(self._directory)

    @cached_property
    def checkout(self) -> "Checkout | None":
        if checkout_root(self._directory) is None:  # without a checkout, dulwich need not be imported
            return None
        from clinder.target.checkout import Checkout

        return Checkout.around(self._directory)

    def hub(self, remote_extends: bool, offline: bool) -> tuple[str, str, list[str]]:
        """Return a hub, its source, and warnings about files that were not read.

        The hub and its source come from myst.yml or a file that it extends. If they name none, the hub is mybinder.org
        and the source is empty.
        """
        if not self.myst:
            return DEFAULT_HUB, "", []
        if url := self.myst.hub():
            return url, self.myst.name, []
        from clinder.target.remote import read_remote

        config, unread = self.myst, []
        for remote in self.myst.remote[:_MAX_REMOTE]:
            try:
                if not remote_extends:
                    raise OSError("files of the web are not to be read")
                if offline:
                    raise OSError("a dry run makes no request")
                config = config.filled(parse_myst(read_remote(remote, MAX_SIZE), remote))
            except (OSError, UsageError) as error:
                unread.append(_UNREAD.format(remote[:200], self.myst.name, str(error).partition("\n")[0][:200]))
            else:
                if url := config.hub():
                    return url, f"{remote}, which {self.myst.name} extends", unread
        return DEFAULT_HUB, "", unread

    def spell(self, choice: _Choice) -> _Choice:
        """Return the arguments' choice, with the repository's name as CI or a remote spells it.

        For a hub, names that differ in case are different repositories.
        """
        if choice.ref_in_url and self.checkout and self.checkout.spelling_of(choice.spec):
            choice = choice._replace(spec=choice.spec.at(self.checkout.ref_in(choice.spec)))
        spec = choice.spec
        with suppress(UsageError):  # CI is not needed, so its error does not matter
            if self.ci and same_repository(spec, self.ci.spec):
                return choice._replace(spec=_spelled(spec, self.ci.spec))
        with suppress(UsageError):  # the same for the directory, which may be gone
            known = self.checkout.spelling_of(spec) if self.checkout else None
            return choice._replace(spec=_spelled(spec, known)) if known else choice
        return choice

    def choice(self, ref: str | None) -> _Choice:
        """Return the choice of CI, myst.yml or the checkout, at ``ref`` if it is given. Raises `UsageError`."""
        choice = self._of_ci(ref) if self.ci else self._of_files()
        if ref:
            choice = choice._replace(spec=choice.spec.at(ref), ref_source="", pushed_matters=False, fork_deleted=False)
        return choice

    def _of_ci(self, ref: str | None) -> _Choice:
        build = self.ci
        assert build
        source = build.ci if ref or not build.request else f"{build.ci}, {build.request}"
        return _Choice(build.spec, source, source, build.base, build.fork_deleted)

    def _of_files(self) -> _Choice:
        name = self.myst.name if self.myst else ""
        spec, ref = self.myst.repository() if self.myst else (None, None)
        here = self.checkout.remote_commit() if self.checkout else None
        source = f"the git checkout, remote {here.remote}" if here else ""
        known = self.checkout.spelling_of(spec) if spec and self.checkout else None
        if spec and self.checkout and known:
            spec = _spelled(spec, known)
            if ref and "/" in ref:
                spec = spec.at(self.checkout.ref_in(spec))
            if not ref and here and same_repository(here.spec, spec):
                return _Choice(spec.at(here.spec.ref), name, source, pushed_matters=True)
        if spec:
            other = here.spec.repo if here and not known else ""
            return _Choice(spec, name, name if ref else "", other_repository=other)
        if here and ref:
            return _Choice(here.spec.at(ref), source, name)
        if here:
            return _Choice(here.spec, source, source, pushed_matters=True)
        raise UsageError("No repository to launch: " + "; ".join(self._looked_at()) + ".", _SAY_WHICH)

    def _looked_at(self) -> Iterable[str]:
        yield "none was given"
        yield f"no variables of {', '.join(CIS)} name one"
        yield (
            f"{self.myst.name} names none"
            if self.myst
            else f"no myst.yml with a project is in {self._directory} or above it"
        )
        if self.checkout:
            yield self.checkout.why_not()
        else:
            yield f"{self._directory} is in no git checkout that can be read"

    def reuse(self, choice: _Choice) -> tuple[RepoSpec, str]:
        """Return a spec for which the hub may already have an image, and a line for the log about it.

        For a pull request, it is a spec of the target's repository, if that has the commit. The hub most likely has
        built the image for that repository.
        """
        from clinder.target.environment import find_environment

        commit, line = find_environment(choice.spec.ref, self.checkout)
        if commit is None:
            return choice.spec, line
        if choice.base and self.checkout and self.checkout.has_in(choice.base.revisions, commit):
            return RepoSpec.parse(choice.base.repo, commit), line
        return choice.spec.at(commit), line

    def folder_warning(self) -> list[str]:
        """Return a warning if cells will not run in the folder of their files."""
        try:
            return warn_of_folder(self._directory)
        except UsageError:  # the current directory is gone, and it is not needed
            return []

    def reachability(self, choice: _Choice, spec: RepoSpec) -> list[str]:
        """Return a warning if a hub may not find the commit. Raises `UsageError` if it can't be there."""
        if choice.fork_deleted and spec.ref == choice.spec.ref:
            raise UsageError(
                f"The fork of this pull request was deleted: its head {spec.ref[:10]} is on no branch, "
                "and no hub can fetch it.",
                "Say what to launch instead: --ref, with the branch that the request goes to.",
            )
        if choice.pushed_matters and self.checkout and not self.checkout.is_pushed(spec.ref):
            return [_NOT_PUSHED.format(spec.ref[:10])]
        return []


def _spelled(spec: RepoSpec, known: RepoSpec) -> RepoSpec:
    """Return a spec with the known spelling of the repository's name, if both are the same repository."""
    if spec.provider == known.provider and same_repository(spec, known):
        return known.at(spec.ref)
    return spec


_SAY_WHICH = (
    "Say which: --repo org/repo (the Action's repo), or a launch link (https://hub/v2/gh/org/repo/ref) as the hub."
)
_MAX_REMOTE = 3  # the most files that are read from the web
_UNREAD = (
    "warning: {}, which {} extends, was not read ({}). If it names the hub, give the hub yourself: its URL or "
    "CLINDER_HUB (the Action's hub-url)"
)
_NOT_PUSHED = (
    "warning: commit {} is on no branch of that remote, as far as this checkout knows. A hub sees only what was "
    "pushed: push it, or give --ref"
)
