"""What to launch, and where, when it is not said: from CI's variables, the project's myst.yml, the git checkout.

It reads files and variables of this machine, and asks nobody else. The order is that of the command line's reference:
what was said, what CI builds, myst.yml, the checkout.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinder.errors import UsageError
from clinder.spec import DEFAULT_HUB, RepoSpec, parse_hub
from clinder.text import strip_ansi

if TYPE_CHECKING:
    from clinder.hub import BinderHub
    from clinder.target.checkout import Checkout


class Base(NamedTuple):
    """What a pull or merge request is to be merged into: a repository, and where in a checkout its branch may be."""

    repo: str
    revisions: tuple[str, ...]


class Found(NamedTuple):
    """A repository and commit, and who named it: the checkout for one, which may have what its remote has not."""

    spec: RepoSpec
    where: str
    base: Base | None = None
    from_checkout: bool = False


class Target(NamedTuple):
    """What will be launched and where, decided.

    ``hubs`` are tried in this order. ``lines`` are for the log, the first being what was chosen and from where.
    ``instead_of`` is what would have been launched if no image were to be reused, when that is something else.
    ``hub_inferred`` tells a hub that a file of the project named, which may be a stranger's.
    """

    hubs: tuple[str, ...]
    spec: RepoSpec
    lines: tuple[str, ...]
    instead_of: RepoSpec | None
    hub_inferred: bool

    def open_hubs(self, build_token: str | None) -> "list[BinderHub]":
        """Return the hubs. The build token is for the first of them, and for none that a file of the project named."""
        from clinder.hub import BinderHub

        if build_token and self.hub_inferred:
            raise UsageError(
                f"The build token is not sent to {self.hubs[0]}, which myst.yml named.",
                "A token is good for one hub: name that, too.",
            )
        return [BinderHub(url, build_token=None if n else build_token) for n, url in enumerate(self.hubs)]


def choose(
    *,
    hub: str | None = None,
    fallback_hubs: Iterable[str] = (),
    repo: str | None = None,
    ref: str | None = None,
    provider: str | None = None,
    reuse_image: bool = False,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Target:
    """Return what to launch, from what was said and, for what was not, from the surroundings.

    ``hub`` may be a launch link. ``directory`` is where the project is (default: the current one). Raises `UsageError`;
    when nothing is found, with what was looked at.
    """
    with closing(_Project(environ, directory)) as project:
        first, linked = parse_hub(hub) if hub else (None, None)
        others = [_only_hub(text) for text in fallback_hubs]
        url, hub_from = (first, "") if first else project.hub()
        what = "repository" if ref else "repository and commit"
        if repo:
            found = Found(RepoSpec.parse(repo, ref, provider), "")
        elif provider:
            raise UsageError(
                "The provider says how to read the repository, and none was given.", "Give both, or leave it out."
            )
        else:
            found = Found(linked, "") if linked else project.spec()
            if ref:
                found = found._replace(spec=found.spec.at(ref), from_checkout=False)
        target, lines = found.spec, []
        checkout = project.checkout() if reuse_image or found.from_checkout else None
        if reuse_image:
            from clinder.target.environment import with_image

            target, why = with_image(found, checkout)
            lines.append(why)
        if found.from_checkout and checkout and not checkout.is_pushed(target.ref):
            lines.append(_NOT_PUSHED.format(target.ref[:10]))
    chosen = [f"{what} from {found.where}"] if found.where else []
    chosen += [f"hub from {hub_from}" if hub_from else "hub by default"] if not first else []
    hubs = tuple(dict.fromkeys([url, *others]))
    lines.insert(0, f"launching {target} on {', else '.join(hubs)}" + (f" ({', '.join(chosen)})" if chosen else ""))
    return Target(
        hubs=hubs,
        spec=target,
        lines=tuple(" ".join(strip_ansi(line).split()) for line in lines),  # names of files are strangers' words
        instead_of=None if target == found.spec else found.spec,
        hub_inferred=bool(hub_from),
    )


_NOT_PUSHED = (
    "warning: commit {} is on no branch of that remote, as far as this checkout knows. A hub sees only what was "
    "pushed: push it, or say --ref"
)


def _only_hub(text: str) -> str:
    url, linked = parse_hub(text)
    if linked:
        raise UsageError(f"A launch link can't be a fallback: {text!r}", "Expected the hub's URL alone.")
    return url


class _Project:
    """A directory and the variables of the process, as far as they say what to launch."""

    def __init__(self, environ: Mapping[str, str], directory: Path | None) -> None:
        self._environ = environ
        self._given = directory
        self._checkout: Checkout | None = None

    def close(self) -> None:
        if self._checkout:
            self._checkout.close()

    @cached_property
    def _directory(self) -> Path:
        try:
            return (self._given or Path.cwd()).resolve()
        except OSError:
            raise UsageError("The current directory is gone, where a project might be.", _SAY_WHICH) from None

    def hub(self) -> tuple[str, str]:
        """Return the hub that myst.yml names, and that file; else mybinder.org, and nothing."""
        if self.myst and (url := self.myst.hub()):
            return url, self.myst.name
        return DEFAULT_HUB, ""

    def spec(self) -> Found:
        """Return what CI, myst.yml or the checkout names. Raises `UsageError`."""
        if found := from_ci(self._environ):
            return found
        spec, ref = self.myst.repository() if self.myst else (None, None)
        name = self.myst.name if self.myst else ""
        if spec and ref:
            return Found(spec, name)
        checkout = self.checkout()
        here = checkout.found() if checkout else None
        if here and spec and _same(here.spec, spec):
            return here._replace(spec=spec.at(here.spec.ref), where=f"{name} and {here.where}")
        if spec:
            return Found(spec, name)
        if here and ref:
            return Found(here.spec.at(ref), f"{name} and {here.where}")
        if here:
            return here
        raise UsageError("No repository to launch: " + "; ".join(self._looked_at()) + ".", _SAY_WHICH)

    @cached_property
    def myst(self) -> "Myst | None":
        return from_myst(self._directory)

    def checkout(self) -> "Checkout | None":
        if self._checkout is None:
            from clinder.target.checkout import Checkout

            self._checkout = Checkout.around(self._directory)
        return self._checkout

    def _looked_at(self) -> Iterable[str]:
        yield "none was given"
        yield f"no variables of {', '.join(_CI)} name one"
        myst, checkout = self.myst, self.checkout()
        yield f"{myst.name} names none" if myst else f"no myst.yml is in {self._directory} or above it"
        yield checkout.why_not() if checkout else f"{self._directory} is in no git checkout that can be read"


_SAY_WHICH = (
    "Say which: --repo org/repo (the Action's repo), or a launch link (https://hub/v2/gh/org/repo/ref) as the hub."
)


# CI


def from_ci(environ: Mapping[str, str]) -> Found | None:
    """Return the repository and commit that CI says it builds; None when this is no CI that says it."""
    for name, (mark, read) in _CI.items():
        if environ.get(mark, "").lower() == "true" and (found := read(environ)):
            return found._replace(where=f"{name}{found.where}")
    return None


def _github(environ: Mapping[str, str]) -> Found | None:
    """GitHub Actions: on a pull request its head, in the fork that it may come from.

    The merge commit that GITHUB_SHA names there is a ref of GitHub's own, which a hub can't fetch. (On
    pull_request_target it is the base, as for the job itself.) See docs.github.com, "Events that trigger workflows".
    """
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    repo, sha = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_SHA", "")
    event = environ.get("GITHUB_EVENT_NAME", "")
    where, base = "", None
    if event.startswith("pull_request") and event != "pull_request_target":
        request = _pull_request(environ)
        sha, where = request.sha, f", head of pull request {request.number}".rstrip()
        base = Base(f"{server}/{repo}", request.base)
        repo = request.repo or repo  # when the fork was deleted: GitHub has its commits in the base repository too
    return Found(_of_ci(f"{server}/{repo}", sha), where, base) if repo and sha else None


class _PullRequest(NamedTuple):
    """What GitHub tells of a pull request; of ``repo`` nothing when that was deleted."""

    number: str
    sha: str
    repo: str | None
    base: tuple[str, str]  # the commit, and where a checkout may have the branch


def _pull_request(environ: Mapping[str, str]) -> _PullRequest:
    try:
        request = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["pull_request"]
        head = request["head"]
        repo = head["repo"]["full_name"] if head.get("repo") else None
        base = request.get("base") or {}  # events that people write for a runner of their own may have none
        if not re.fullmatch(r"[0-9a-f]{40,64}", head["sha"]):
            raise ValueError
        revisions = (str(base.get("sha", "")), f"refs/remotes/origin/{base.get('ref', '')}")
        return _PullRequest(str(request.get("number", "")), head["sha"], repo, revisions)
    except (LookupError, TypeError, AttributeError, OSError, ValueError, RecursionError):
        raise UsageError("The pull request being built can't be read from $GITHUB_EVENT_PATH.", _SAY_WHICH) from None


def _gitlab(environ: Mapping[str, str]) -> Found | None:
    """GitLab CI: on a merge request the head of its source. (docs.gitlab.com, "Predefined CI/CD variables")."""
    url, sha = environ.get("CI_PROJECT_URL", ""), environ.get("CI_COMMIT_SHA", "")
    if not environ.get("CI_MERGE_REQUEST_IID"):
        return Found(_of_ci(url, sha), "") if url and sha else None
    # Set in a pipeline for merged results alone: CI_COMMIT_SHA is the merge there, which is on no branch.
    sha = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or sha
    source = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_URL") or url
    base = Base(
        environ.get("CI_MERGE_REQUEST_PROJECT_URL") or url,
        (
            environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", ""),
            environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
            f"refs/remotes/origin/{environ.get('CI_MERGE_REQUEST_TARGET_BRANCH_NAME')}",
        ),
    )
    where = f", head of merge request {environ['CI_MERGE_REQUEST_IID']}"
    return Found(_of_ci(source, sha), where, base) if source and sha else None


def _netlify(environ: Mapping[str, str]) -> Found | None:
    """Netlify, whose commit is a deploy preview's head already (docs.netlify.com, "Build environment variables")."""
    url, sha = environ.get("REPOSITORY_URL", ""), environ.get("COMMIT_REF", "")
    return Found(_of_ci(url, sha), "") if url and sha else None


def _read_the_docs(environ: Mapping[str, str]) -> Found | None:
    """Read the Docs, whose commit is a pull request's head already (docs.readthedocs.com, "Environment variables")."""
    url, sha = environ.get("READTHEDOCS_GIT_CLONE_URL", ""), environ.get("READTHEDOCS_GIT_COMMIT_HASH", "")
    return Found(_of_ci(url, sha), "") if url and sha else None


_CI = {
    "GitHub Actions": ("GITHUB_ACTIONS", _github),
    "GitLab CI": ("GITLAB_CI", _gitlab),
    "Netlify": ("NETLIFY", _netlify),
    "Read the Docs": ("READTHEDOCS", _read_the_docs),
}


def _of_ci(url: str, commit: str) -> RepoSpec:
    return RepoSpec.parse(over_https(url), commit)


# Where git clones from

# These hosts take git over ssh on the port of https under another name.
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


def without_password(url: str) -> str:
    """Return a URL without the user and password that CI and credential helpers put there."""
    return re.sub(r"^(\w[\w+.-]*://)[^/]*@", r"\1", url)


def over_https(url: str) -> str:
    """Return the web address of what git clones over ssh: a hub has no key. Any other address without its password."""
    url = without_password(url)
    match = re.fullmatch(r"(?:ssh|git\+ssh|ssh\+git)://([\w.-]+)(?::\d*)?/+(\S+)", url, re.IGNORECASE)
    match = match or re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!//)/*(\S+)", url)
    return f"https://{_SSH_HOSTS.get(match[1].lower(), match[1])}/{match[2]}" if match else url


def _same(one: RepoSpec, other: RepoSpec) -> bool:
    """Tell whether two specs name one repository, however it is written."""

    def name(spec: RepoSpec) -> tuple[str, str]:
        with suppress(UsageError):
            spec = RepoSpec.parse(over_https(spec.repo)) if spec.provider == "git" else spec
        return spec.provider, spec.repo.lower().rstrip("/").removesuffix(".git")

    return name(one) == name(other)


# myst.yml


class Myst:
    """What a project's myst.yml says of its Binder: for each item, what the first place says that names it.

    The places are ``project.jupyter.binder``, ``project.binder`` and ``project.github``, in the forms that MyST accepts
    (mystmd, packages/myst-frontmatter/src/thebe/validators.ts); where a hub is expected, a launch link is fine as well.
    An item is read when it is asked for: what nobody needs may be wrong.
    """

    def __init__(self, project: dict[Any, Any], name: str) -> None:
        self.name = name  # for a person
        jupyter = project.get("jupyter", project.get("thebe"))  # the older name of the same
        self._places = {
            "jupyter.binder": jupyter.get("binder") if isinstance(jupyter, dict) else None,
            "binder": project.get("binder"),
            "github": {"repo": project.get("github")},
        }

    def hub(self) -> str | None:
        """Return the hub's URL. Raises `UsageError`."""
        for place, words in self._places.items():
            with self._blamed(place):
                if url := _text(words, "url"):
                    return parse_hub(url)[0]
        return None

    def repository(self) -> tuple[RepoSpec | None, str | None]:
        """Return the repository, and its ref if that is said: else the spec's is HEAD. Raises `UsageError`."""
        ref = None
        for place, words in self._places.items():
            with self._blamed(place):
                spec, its_ref = _repository(words)
                ref = ref or its_ref
                if spec:
                    return spec.at(ref or "HEAD"), ref
        return None, ref

    @contextmanager
    def _blamed(self, place: str) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.name}, project.{place}: {error.message}", error.hint) from None


def from_myst(directory: Path) -> Myst | None:
    """Return the project's myst.yml: the first in directory or above it that has a project, as MyST finds it.

    What a file includes by ``extends`` is not read. Raises `UsageError`.
    """
    for folder in (directory, *directory.parents):
        for name in ("myst.yml", "myst.yaml"):
            path = folder / name
            # os.path's says no where a directory above may not be looked into
            if os.path.isfile(path) and isinstance(project := _load(path).get("project"), dict):  # noqa: PTH113
                return Myst(project, os.path.relpath(path, directory))
    return None


def _load(path: Path) -> dict[Any, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes a number and a date for text, as each may be a ref: 0123456, 1.10, 2024-01-31."""

        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [each for each in resolvers if each[0].endswith((":bool", ":merge", ":null"))]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    mark = None
    try:
        content = Loader(path.read_text(encoding="utf-8")).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
    except (OSError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError):
        pass  # PyYAML does not reckon with a value that is not of the tag before it
    else:
        if content is None or isinstance(content, dict):
            return content or {}
    raise UsageError(
        f"{path}{f', line {mark.line + 1},' if mark else ''} can't be read as MyST's configuration.",
        "Correct it, or say what to launch where: a hub and --repo.",
    )


def _repository(words: Any) -> tuple[RepoSpec | None, str | None]:
    """Return what one of the places in myst.yml says: repository, ref."""
    repo, ref, provider, url = (_text(words, key) for key in ("repo", "ref", "provider", "url"))
    if not repo:
        spec = parse_hub(url)[1] if "/v2/" in url else None
        return spec, ref or (spec.ref if spec else None)
    spec = _of_myst(without_password(repo), provider.lower())
    if spec.ref != "HEAD":  # in the repository's URL
        ref = ref or spec.ref
    return spec, ref or None


def _of_myst(repo: str, provider: str) -> RepoSpec:
    """Return the spec of a repository as MyST has it, whose default provider, github, takes any URL as well."""
    if "://" in repo and provider in ("", "github", "gitlab", "gist"):
        return RepoSpec.parse(repo)
    return RepoSpec.parse(repo, None, provider or "github")


def _text(words: Any, key: str) -> str:
    """Return one of the options of a place; a place that is a text itself is a hub's URL."""
    if not isinstance(words, dict):
        words = {"url": words} if isinstance(words, str) else {}
    value = words.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{key} is no text.", "Expected it in quotes.")
    return value.strip()
