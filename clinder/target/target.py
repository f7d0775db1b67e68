"""What to launch, and where: what was said, and for the rest CI, the project's myst.yml and the git checkout.

It knows the order of these sources, which is that of the command line's reference, and the words for the log. How each
source is read is that source's module's to know. It asks files and variables of this machine; the web
only for a file that myst.yml extends, when nothing else names a hub.
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
    """What the first hub is sent: a token that lifts its rate limit, and an API token where it needs a login."""

    build: str | None = None
    hub: str | None = None

    def __repr__(self) -> str:  # without the tokens
        return "Tokens(...)"


class Target(NamedTuple):
    """What will be launched and where, decided.

    ``hubs`` are tried in this order. ``lines`` are for the log, the first being what was chosen and from where.
    ``instead_of`` is what would have been launched if no image were to be reused, when that is something else.
    ``hub_inferred`` tells a hub that a file of the project named, which may be a stranger's, and ``hub_by_default`` one
    that nobody named. ``directory`` is what the embedded hub's sessions see as their files, None for any other hub.
    ``sources`` are where the repository, the ref and the hub are from; nothing for what was said,
    or is the repository's default.
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
        """Return the hubs. Tokens are for the first of them, and for none that a file of the project named."""
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
                f"The hub token is not sent to {self.hubs[0]}, which is the hub only because none was named.",
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
    """Return what to launch, from what was said and, for what was not, from the surroundings.

    ``hub`` may be a launch link. With ``remote_extends`` a file that myst.yml extends from the web is read when nothing
    else names a hub; ``offline`` says of it that it was not read, for no request is made. ``build_only`` is for the
    log: all hubs are to build it. ``directory`` is where the project is (default: the current one). Raises
    `UsageError`; when nothing is found, with what was looked at.
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
    """Return words on one line: names of files, remotes and branches are strangers' words."""
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
    """A repository and ref, and where each is from: nowhere if it was said, or if the ref is the default branch.

    ``pushed_matters``: the commit is the checkout's, which may have what its remote has not. ``ref_in_url``: the ref is
    from an address, where a folder may follow it. ``other_repository``: myst.yml named the repository, and the checkout
    is of this other one.
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
        """Return the words of the log for where the repository and the ref are from."""
        what = "commit" if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.spec.ref) else "ref"
        if self.repo_source and self.repo_source == self.ref_source:
            return [f"repository and {what} from {self.repo_source}"]
        parts = (("repository", self.repo_source), (what, self.ref_source))
        return [f"{name} from {source}" for name, source in parts if source]

    def warnings(self) -> list[str]:
        """Return what a person may not have meant."""
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
    """Return what was said to launch, if a repository was."""
    if repo:
        spec = RepoSpec.parse(repo, ref, provider)
        return _Choice(spec, ref_in_url=not ref and "/" in spec.ref)
    if provider:
        raise UsageError(
            "The provider says how to read the repository, and none was given.", "Give both, or leave it out."
        )
    if linked:
        return _Choice(linked.at(ref) if ref else linked)
    return None


class _Surroundings:
    """A directory and the variables of the process, as far as they say what to launch. Each is read once, if needed."""

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
            raise UsageError("The current directory is gone, where a project might be.", _SAY_WHICH) from None

    @cached_property
    def ci(self) -> CIBuild | None:
        return read_ci(self._environ)

    @cached_property
    def myst(self) -> MystConfig | None:
        return find_myst(self._directory)

    @cached_property
    def checkout(self) -> "Checkout | None":
        if checkout_root(self._directory) is None:  # then the library that reads checkouts is not imported
            return None
        from clinder.target.checkout import Checkout

        return Checkout.around(self._directory)

    def hub(self, remote_extends: bool, offline: bool) -> tuple[str, str, list[str]]:
        """Return the hub that myst.yml or a file that it extends names, and that name; else mybinder.org, and nothing.

        The third are warnings: which files were not read.
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
        """Return a choice that was said, with the repository's name as CI, else a remote has it: hubs see the case."""
        if choice.ref_in_url and self.checkout and self.checkout.spelling_of(choice.spec):
            choice = choice._replace(spec=choice.spec.at(self.checkout.ref_in(choice.spec)))
        spec = choice.spec
        with suppress(UsageError):  # nobody asked CI
            if self.ci and same_repository(spec, self.ci.spec):
                return choice._replace(spec=_spelled(spec, self.ci.spec))
        with suppress(UsageError):  # nor the directory, which may be gone
            known = self.checkout.spelling_of(spec) if self.checkout else None
            return choice._replace(spec=_spelled(spec, known)) if known else choice
        return choice

    def choice(self, ref: str | None) -> _Choice:
        """Return what CI, myst.yml or the checkout names, at the ref if one was said. Raises `UsageError`."""
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
        yield f"{self.myst.name} names none" if self.myst else f"no myst.yml is in {self._directory} or above it"
        if self.checkout:
            yield self.checkout.why_not()
        else:
            yield f"{self._directory} is in no git checkout that can be read"

    def reuse(self, choice: _Choice) -> tuple[RepoSpec, str]:
        """Return what to launch so that an image can be used again, and a line that says why that.

        At the repository that a pull request is to be merged into, if it has that commit already, for that repository
        has most likely built it.
        """
        from clinder.target.environment import find_environment

        commit, line = find_environment(choice.spec.ref, self.checkout)
        if commit is None:
            return choice.spec, line
        if choice.base and self.checkout and self.checkout.has_in(choice.base.revisions, commit):
            return RepoSpec.parse(choice.base.repo, commit), line
        return choice.spec.at(commit), line

    def folder_warning(self) -> list[str]:
        """Return a warning if cells will not begin where their files are."""
        try:
            return warn_of_folder(self._directory)
        except UsageError:  # the current directory is gone, and nobody asked for it
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
    """Return a spec with the repository's name as it is known to be spelled, if that is the same repository."""
    if spec.provider == known.provider and same_repository(spec, known):
        return known.at(spec.ref)
    return spec


_SAY_WHICH = (
    "Say which: --repo org/repo (the Action's repo), or a launch link (https://hub/v2/gh/org/repo/ref) as the hub."
)
_MAX_REMOTE = 3  # files of the web that are read
_UNREAD = (
    "warning: {}, which {} extends, was not read ({}). If it names the hub, say that: the hub's URL or CLINDER_HUB "
    "(the Action's hub-url)"
)
_NOT_PUSHED = (
    "warning: commit {} is on no branch of that remote, as far as this checkout knows. A hub sees only what was "
    "pushed: push it, or say --ref"
)
