"""Read which repository and commit a CI builds. There is a reader for each CI.

The readers use the CI's variables, and the event file of GitHub Actions; no checkout, no myst.yml, no network. Each
reader names the page of its CI's documentation that describes the variables.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from clinder.errors import UsageError
from clinder.giturl import to_https
from clinder.spec import RepoSpec
from clinder.target.files import read_file

_MAX_EVENT = 2 * 1024 * 1024  # bytes; a pull request with the longest text that GitHub allows has a quarter of it


class Base(NamedTuple):
    """The target of a pull or merge request: its repository, and revisions of its branch in a checkout."""

    repo: str
    revisions: tuple[str, ...]


class CIBuild(NamedTuple):
    """The repository and commit that a CI builds.

    For a pull or merge request, the commit is its head: ``request`` says of which one, and ``base`` is its target.
    ``fork_deleted``: the head is on no branch any more, so no hub can fetch it.
    """

    spec: RepoSpec
    ci: str = ""
    request: str = ""
    base: Base | None = None
    fork_deleted: bool = False


def read_ci(environ: Mapping[str, str]) -> CIBuild | None:
    """Return what the CI builds; None if this process runs in no known CI. Raises `UsageError`."""
    for name, ci in CIS.items():
        if environ.get(ci.mark, "").lower() == "true" and (build := ci.read(environ)):
            return build._replace(ci=name)
    return None


def _github(environ: Mapping[str, str]) -> CIBuild | None:
    """Return what GitHub Actions builds: for a pull request, its head in the repository or fork that it comes from.

    For a pull request, GITHUB_SHA is a merge commit on a ref of GitHub's own, which a hub can't fetch. For
    pull_request_target it is the base, as for the job itself. Source: docs.github.com, "Events that trigger workflows".
    """
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    repo, sha = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_SHA", "")
    if not repo or not sha:
        return None
    event = environ.get("GITHUB_EVENT_NAME", "")
    if not event.startswith("pull_request") or event == "pull_request_target":
        return CIBuild(_spec(f"{server}/{repo}", sha))
    request = _pull_request(environ)
    return CIBuild(
        _spec(f"{server}/{request.repo or repo}", request.sha),
        request=f"head of pull request {request.number}".rstrip(),
        base=Base(f"{server}/{repo}", request.base),
        fork_deleted=request.repo is None,
    )


class _PullRequest(NamedTuple):
    """A pull request in GitHub's event; ``repo`` is None if its fork was deleted."""

    number: str
    sha: str
    repo: str | None
    base: tuple[str, str]  # the target's commit, and the ref of its branch in a checkout


def _pull_request(environ: Mapping[str, str]) -> _PullRequest:
    try:
        request = json.loads(read_file(environ["GITHUB_EVENT_PATH"], _MAX_EVENT))["pull_request"]
        head = request["head"]
        repo = head["repo"]["full_name"] if head.get("repo") else None
        base = request.get("base") or {}  # events that people write for another runner may have none
        if not re.fullmatch(r"[0-9a-f]{40,64}", head["sha"]):
            raise ValueError
        revisions = (str(base.get("sha", "")), f"refs/remotes/origin/{base.get('ref', '')}")
        return _PullRequest(str(request.get("number", "")), head["sha"], repo, revisions)
    except (LookupError, TypeError, AttributeError, OSError, ValueError, RecursionError):
        raise UsageError(
            "The pull request being built can't be read from $GITHUB_EVENT_PATH.",
            "Say what to launch: --repo org/repo (the Action's repo).",
        ) from None


def _gitlab(environ: Mapping[str, str]) -> CIBuild | None:
    """Return what GitLab CI builds: for a merge request, the head of its source branch.

    Source: docs.gitlab.com, "Predefined CI/CD variables".
    """
    url, sha = environ.get("CI_PROJECT_URL", ""), environ.get("CI_COMMIT_SHA", "")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if number:
        # This is set only in a pipeline for merged results, where CI_COMMIT_SHA is a merge that is on no branch.
        sha = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or sha
        url = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_URL") or url
    if not url or not sha:
        return None
    if not number:
        return CIBuild(_spec(url, sha))
    revisions = (
        environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", ""),
        environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
        f"refs/remotes/origin/{environ.get('CI_MERGE_REQUEST_TARGET_BRANCH_NAME')}",
    )
    base = Base(environ.get("CI_MERGE_REQUEST_PROJECT_URL") or environ.get("CI_PROJECT_URL", ""), revisions)
    return CIBuild(_spec(url, sha), request=f"head of merge request {number}", base=base)


def _netlify(environ: Mapping[str, str]) -> CIBuild | None:
    """Return what Netlify builds: for a deploy preview, the head (docs.netlify.com, "Build environment variables")."""
    url, sha = environ.get("REPOSITORY_URL", ""), environ.get("COMMIT_REF", "")
    return CIBuild(_spec(url, sha)) if url and sha else None


def _read_the_docs(environ: Mapping[str, str]) -> CIBuild | None:
    """Return what Read the Docs builds: for a pull request, its head.

    Source: docs.readthedocs.com, "Environment variables".
    """
    url, sha = environ.get("READTHEDOCS_GIT_CLONE_URL", ""), environ.get("READTHEDOCS_GIT_COMMIT_HASH", "")
    return CIBuild(_spec(url, sha)) if url and sha else None


class CI(NamedTuple):
    """A CI: the variable that is ``true`` in it, and its reader."""

    mark: str
    read: Callable[[Mapping[str, str]], CIBuild | None]


CIS = {
    "GitHub Actions": CI("GITHUB_ACTIONS", _github),
    "GitLab CI": CI("GITLAB_CI", _gitlab),
    "Netlify": CI("NETLIFY", _netlify),
    "Read the Docs": CI("READTHEDOCS", _read_the_docs),
}


def _spec(url: str, commit: str) -> RepoSpec:
    return RepoSpec.parse(to_https(url), commit)
