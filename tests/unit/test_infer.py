"""What CI's variables say to launch, and what counts when several of said, CI, myst.yml and checkout do."""

import json
from pathlib import Path
from typing import Any

import pytest

from clinder import RepoSpec, UsageError
from clinder.spec import DEFAULT_HUB
from clinder.target.ci import Base, read_ci
from clinder.target.target import Target, Tokens, resolve_target
from tests.support.git import Git

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD_SHA = "89abcdef0123456789abcdef0123456789abcdef"
BASE_SHA = "fedcba9876543210fedcba9876543210fedcba98"
HUB = "https://hub.example.org/"


def chosen(directory: Path, environ: dict[str, str] | None = None, **said: Any) -> Target:
    return resolve_target(environ=environ or {}, directory=directory, **said)


def of_ci(environ: dict[str, str]) -> tuple[str, str, str] | None:
    found = read_ci(environ)
    return found and found.spec


# GitHub Actions

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "org/repo",
    "GITHUB_SHA": SHA,
    "GITHUB_EVENT_NAME": "push",
}


EVENT = json.dumps(
    {
        "pull_request": {
            "number": 7,
            "head": {"sha": HEAD_SHA, "repo": {"full_name": "fork/repo"}},
            "base": {"sha": BASE_SHA, "ref": "main"},
        }
    }
).encode()


def pull_request(directory: Path, *, name: str = "pull_request", repo: str | None = "fork/repo") -> dict[str, str]:
    found = json.dumps(repo and {"full_name": repo}).encode()
    return with_event(directory, EVENT.replace(b'{"full_name": "fork/repo"}', found), name)


def with_event(directory: Path, content: bytes, name: str = "pull_request") -> dict[str, str]:
    (directory / "event.json").write_bytes(content)
    return GITHUB | {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(directory / "event.json")}


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch", "merge_group", ""])
@pytest.mark.parametrize("server", ["https://github.com", "https://github.com/", ""])
def test_on_github_it_is_the_commit_that_the_job_is_for(event: str, server: str) -> None:
    environ = GITHUB | {"GITHUB_EVENT_NAME": event, "GITHUB_SERVER_URL": server}
    assert of_ci(environ) == ("org/repo", SHA, "gh")


@pytest.mark.parametrize("event", ["pull_request", "pull_request_review", "pull_request_review_comment"])
@pytest.mark.parametrize(
    ("repo", "expected"), [("fork/repo", "fork/repo"), ("org/repo", "org/repo"), (None, "org/repo")]
)
def test_a_pull_request_means_its_head_and_not_the_merge(
    tmp_path: Path, event: str, repo: str | None, expected: str
) -> None:
    found = read_ci(pull_request(tmp_path, name=event, repo=repo))
    assert found
    assert found.spec == (expected, HEAD_SHA, "gh")
    assert (found.ci, found.request) == ("GitHub Actions", "head of pull request 7")
    assert found.fork_deleted == (repo is None)
    assert found.base == Base("https://github.com/org/repo", (BASE_SHA, "refs/remotes/origin/main"))


def test_an_event_that_a_person_wrote_needs_no_more_than_a_head(tmp_path: Path) -> None:
    event = json.dumps({"pull_request": {"head": {"sha": HEAD_SHA, "repo": {"full_name": "fork/repo"}}}})
    found = read_ci(with_event(tmp_path, event.encode()))
    assert found
    assert (found.spec.repo, found.request) == ("fork/repo", "head of pull request")


def test_pull_request_target_means_the_base_as_for_the_job_itself(tmp_path: Path) -> None:
    assert of_ci(pull_request(tmp_path, name="pull_request_target")) == ("org/repo", SHA, "gh")


def test_a_server_of_ones_own_is_a_git_repository_for_a_hub(tmp_path: Path) -> None:
    own = {"GITHUB_SERVER_URL": "https://github.example.org"}
    assert of_ci(GITHUB | own) == ("https://github.example.org/org/repo", SHA, "git")
    assert of_ci(pull_request(tmp_path) | own) == ("https://github.example.org/fork/repo", HEAD_SHA, "git")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"pull_request": []}',
        b'{"pull_request": {"head": "x"}}',
        EVENT.replace(b'{"full_name": "fork/repo"}', b'"fork/repo"'),
        EVENT.replace(HEAD_SHA.encode(), b"main"),
        EVENT.replace(f'"{HEAD_SHA}"'.encode(), b"{}"),
        EVENT.replace(b'"base": {', b'"base": "main", "x": {'),
    ],
    ids=lambda content: content[:80],
)
def test_an_event_that_can_not_be_read_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="pull request being built"):
        read_ci(with_event(tmp_path, content))


@pytest.mark.parametrize("path", [{}, {"GITHUB_EVENT_PATH": "/no/such/file"}, {"GITHUB_EVENT_PATH": "a\0b"}])
def test_an_event_that_is_not_there_is_a_usage_error_that_says_what_to_do(path: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"\$GITHUB_EVENT_PATH") as caught:
        read_ci(GITHUB | {"GITHUB_EVENT_NAME": "pull_request"} | path)
    assert "--repo org/repo" in caught.value.hint


# The other CIs

GITLAB = {"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.com/group/sub/project", "CI_COMMIT_SHA": SHA}
FORK = {
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.com/group/sub/project",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_URL": "https://gitlab.com/fork/project",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": BASE_SHA,
}
MERGED = {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD_SHA, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": BASE_SHA}
NETLIFY = {"NETLIFY": "true", "COMMIT_REF": SHA}
READ_THE_DOCS = {"READTHEDOCS": "True", "READTHEDOCS_GIT_COMMIT_HASH": SHA}

CLONED = {
    "https://github.com/org/repo": ("org/repo", "gh"),
    "https://github.com/org/repo.git": ("org/repo", "gh"),
    "git@github.com:org/repo.git": ("org/repo", "gh"),
    "git@github.com:org/repo": ("org/repo", "gh"),
    "ssh://git@gitlab.com/group/sub/project.git": ("group/sub/project", "gl"),
    "git@git.example.org:org/repo.git": ("https://git.example.org/org/repo.git", "git"),
    "https://x-access-token:secret@github.com/org/repo": ("org/repo", "gh"),
    "https://secret@git.example.org/org/repo": ("https://git.example.org/org/repo", "git"),
    "https://me:se@secret@git.example.org/org/repo": ("https://git.example.org/org/repo", "git"),
    "ssh://me:secret@git.example.org/org/repo": ("https://git.example.org/org/repo", "git"),
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("group/sub/project", SHA, "gl")),
        (FORK, ("fork/project", SHA, "gl")),
        (FORK | MERGED, ("fork/project", HEAD_SHA, "gl")),
        (MERGED, ("group/sub/project", SHA, "gl")),
        ({"CI_PROJECT_URL": "https://git.example.org/a/b"}, ("https://git.example.org/a/b", SHA, "git")),
    ],
    ids=["push", "merge request of a fork", "merged results", "no merge request", "self-hosted"],
)
def test_on_gitlab_it_is_the_commit_or_the_head_of_the_merge_request(
    more: dict[str, str], expected: tuple[str, str, str]
) -> None:
    assert of_ci(GITLAB | more) == expected


def test_the_base_of_a_merge_request_is_known() -> None:
    found = read_ci(GITLAB | FORK | MERGED)
    assert found
    assert (found.ci, found.request) == ("GitLab CI", "head of merge request 7")
    assert found.base
    assert found.base.repo == "https://gitlab.com/group/sub/project"
    assert set(found.base.revisions) == {BASE_SHA, "refs/remotes/origin/main"}


@pytest.mark.parametrize(
    ("environ", "name"), [(NETLIFY, "REPOSITORY_URL"), (READ_THE_DOCS, "READTHEDOCS_GIT_CLONE_URL")]
)
@pytest.mark.parametrize("url", CLONED)
def test_the_repository_is_the_one_that_was_cloned_without_a_password(
    tmp_path: Path, environ: dict[str, str], name: str, url: str
) -> None:
    target = chosen(tmp_path, environ | {name: url})
    repo, provider = CLONED[url]
    assert target.spec == (repo, SHA, provider)
    assert "secret" not in "".join(target.lines)


@pytest.mark.parametrize("url", ["https://me:secret@github.com/org", "ssh://me:secret@/x", "https://a:secret@[/b/c"])
def test_an_error_about_a_cis_url_has_no_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_ci(NETLIFY | {"REPOSITORY_URL": url})
    assert "secret" not in str(caught.value)


COMPLETE = [
    GITHUB,
    GITLAB,
    NETLIFY | {"REPOSITORY_URL": "https://github.com/org/repo"},
    READ_THE_DOCS | {"READTHEDOCS_GIT_CLONE_URL": "https://github.com/org/repo"},
]


@pytest.mark.parametrize("environ", COMPLETE, ids=lambda environ: next(iter(environ)))
def test_half_of_cis_variables_name_nothing(environ: dict[str, str]) -> None:
    assert of_ci(environ)
    needed = [name for name in environ if name not in ("GITHUB_SERVER_URL", "GITHUB_EVENT_NAME")]
    for name in needed:
        assert of_ci({**environ, name: ""}) is None
        assert of_ci({other: value for other, value in environ.items() if other != name}) is None


# Which counts

MYST = "project: {jupyter: {binder: {url: 'https://hub.example.org', repo: my/st, ref: v1}}}"


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    return Git(tmp_path, monkeypatch)


@pytest.fixture
def project(git: Git) -> Path:
    """A checkout with a commit and a remote, and a myst.yml that names another repository."""
    (git.path / "myst.yml").write_text(MYST)
    git.commit()
    git("remote", "add", "origin", "https://github.com/check/out")
    return git.path


def test_what_was_said_counts_more_than_ci_and_that_more_than_myst_yml_and_that_more_than_the_checkout(
    project: Path, git: Git
) -> None:
    assert chosen(project, GITHUB, repo="sa/id", ref="main").spec == ("sa/id", "main", "gh")
    assert chosen(project, GITHUB).spec == ("org/repo", SHA, "gh")
    assert chosen(project).spec == ("my/st", "v1", "gh")
    (project / "myst.yml").unlink()
    assert chosen(project).spec == ("check/out", git.head, "gh")


def test_each_item_is_found_for_itself(project: Path) -> None:
    assert chosen(project, GITHUB).hubs == (HUB,)
    assert chosen(project, GITHUB, hub="https://said.example.org").hubs == ("https://said.example.org/",)
    assert chosen(project, ref="main").spec == ("my/st", "main", "gh")
    assert chosen(project, GITHUB, ref="main").spec == ("org/repo", "main", "gh")
    assert chosen(project, GITHUB, repo="sa/id").spec == ("sa/id", "HEAD", "gh"), "a commit is of one repository"
    assert chosen(project, GITHUB, hub="https://h.example.org/v2/gh/li/nk/v2").spec == ("li/nk", "v2", "gh")
    assert chosen(project, GITHUB, hub="https://h.example.org/v2/gh/li/nk/v2", repo="sa/id").spec.repo == "sa/id"
    assert chosen(project, GITHUB, hub="https://h.example.org/v2/gh/li/nk/v2", ref="v3").spec.ref == "v3"


def test_a_provider_without_a_repository_is_a_usage_error(project: Path) -> None:
    with pytest.raises(UsageError, match="provider"):
        chosen(project, GITHUB, provider="gl")


@pytest.mark.parametrize(
    ("names", "same"),
    [
        ("{github: check/out}", True),
        ("{github: 'https://github.com/Check/Out.git'}", True),
        ("{binder: {repo: 'https://github.com/check/out', provider: git}}", True),
        ("{binder: {repo: check/out, ref: HEAD}}", False),
        ("{binder: {repo: check/out, ref: main}}", False),
        ("{github: check/other}", False),
        ("{binder: {repo: check/out, provider: gitlab}}", False),
    ],
)
def test_the_repository_of_myst_yml_is_at_the_checkouts_commit_when_it_is_the_same_and_no_ref_is_named(
    project: Path, git: Git, names: str, same: bool
) -> None:
    (project / "myst.yml").write_text(f"project: {names}")
    target = chosen(project)
    assert (target.spec.ref == git.head) == same
    where = {
        True: "(repository from myst.yml, commit from the git checkout, remote origin, hub by default)",
        False: "(repository from myst.yml, hub by default)"
        if "ref" not in names
        else "(repository and ref from myst.yml",
    }
    assert where[same] in target.lines[0]


@pytest.mark.parametrize("names", ["{github: CHECK/out}", "{binder: {repo: check/Out, ref: v1}}"])
def test_the_remotes_spelling_of_a_repository_counts_more_than_that_of_myst_yml(project: Path, names: str) -> None:
    (project / "myst.yml").write_text(f"project: {names}")
    assert chosen(project).spec.repo == "check/out"
    assert not any("but this checkout is of" in line for line in chosen(project).lines)


def test_cis_spelling_of_a_repository_counts_more_than_what_was_said(tmp_path: Path) -> None:
    assert chosen(tmp_path, GITHUB, repo="Org/Repo", ref="v1").spec == ("org/repo", "v1", "gh")
    assert chosen(tmp_path, GITHUB, repo="https://github.com/ORG/repo").spec == ("org/repo", "HEAD", "gh")
    assert chosen(tmp_path, GITHUB, hub="https://h.org/v2/gh/ORG/repo/v1").spec == ("org/repo", "v1", "gh")
    assert chosen(tmp_path, GITHUB, repo="Org/Other").spec == ("Org/Other", "HEAD", "gh")
    broken = GITHUB | {"GITHUB_EVENT_NAME": "pull_request"}
    assert chosen(tmp_path, broken, repo="Org/Repo").spec == ("Org/Repo", "HEAD", "gh"), "CI was not asked"


@pytest.mark.parametrize("environ", [{}, GITHUB], ids=["without CI", "CI builds another"])
def test_the_remotes_spelling_of_a_repository_counts_more_than_what_was_said(
    project: Path, environ: dict[str, str]
) -> None:
    assert chosen(project, environ, repo="Check/Out", ref="v1").spec == ("check/out", "v1", "gh")
    assert chosen(project, environ, hub="https://h.org/v2/gh/CHECK/out/v1").spec == ("check/out", "v1", "gh")
    assert chosen(project, environ, repo="Check/Other").spec == ("Check/Other", "HEAD", "gh")


def test_cis_spelling_of_a_repository_counts_more_than_those_of_the_remote_and_myst_yml(project: Path) -> None:
    (project / "myst.yml").write_text("project: {github: CHECK/out}")
    ci = GITHUB | {"GITHUB_REPOSITORY": "Check/Out"}
    assert chosen(project, ci).spec.repo == "Check/Out"
    assert chosen(project, ci, repo="check/out").spec.repo == "Check/Out"
    assert chosen(project, ci, reuse_image=True).spec.repo == "Check/Out"


def test_a_repository_of_myst_yml_that_is_not_the_checkouts_is_warned_about(project: Path, git: Git) -> None:
    first, warning = chosen(project).lines
    assert first == f"launching gh/my/st/v1 on {HUB} (repository and ref from myst.yml, hub from myst.yml)"
    assert warning == "warning: myst.yml names the repository my/st, but this checkout is of check/out"
    assert len(chosen(project, GITHUB).lines) == 1
    assert len(chosen(project, repo="my/st").lines) == 1
    git("remote", "add", "upstream", "https://github.com/my/st")
    assert len(chosen(project).lines) == 1, "the checkout of a fork"


def test_a_folder_after_the_ref_in_an_address_is_left_out_where_the_checkout_knows_the_ref(
    project: Path, git: Git
) -> None:
    git("update-ref", "refs/remotes/origin/feature/x", "HEAD")
    git("tag", "v1")
    url = "https://github.com/Check/out/tree"
    for path, ref in {
        "feature/x": "feature/x",
        "feature/x/docs/a": "feature/x",
        "v1/docs": "v1",
        "feature/y/docs": "feature/y/docs",
        "main/docs": "main",
    }.items():
        assert chosen(project, repo=f"{url}/{path}").spec.ref == ref
        (project / "myst.yml").write_text(f"project: {{github: '{url}/{path}'}}")
        assert chosen(project).spec == ("check/out", ref, "gh")
    assert chosen(project, repo=f"{url}/x/y", ref="v1/docs").spec.ref == "v1/docs", "that was said"


def test_a_provider_that_clinder_does_not_know_is_said(tmp_path: Path) -> None:
    first, more = chosen(tmp_path, hub=HUB, repo="https://example.org/a.zip", provider="meca").lines
    assert first == f"launching meca/https://example.org/a.zip on {HUB}"
    assert "no provider meca is known to clinder" in more


@pytest.mark.parametrize("reuse_image", [True, False])
def test_the_head_of_a_deleted_fork_is_refused_before_anything_is_launched(project: Path, reuse_image: bool) -> None:
    environ = pull_request(project, repo=None)
    with pytest.raises(UsageError, match=r"fork of this pull request was deleted: its head 89abcdef01") as caught:
        chosen(project, environ, reuse_image=reuse_image)
    assert "--ref" in caught.value.hint
    assert chosen(project, environ, ref="main").spec == ("org/repo", "main", "gh")
    assert chosen(project, environ, repo="sa/id").spec.repo == "sa/id"


def test_the_head_of_a_deleted_fork_that_only_changed_prose_is_launched_at_the_commit_of_the_environment(
    project: Path, git: Git
) -> None:
    (project / "apt.txt").write_text("cowsay")
    git("add", "apt.txt")
    base = git.commit()
    event = {"head": {"sha": git.commit(), "repo": None}, "base": {"sha": base, "ref": "main"}}
    environ = with_event(project.parent, json.dumps({"pull_request": event}).encode())
    assert chosen(project, environ, reuse_image=True).spec == ("org/repo", base, "gh")


def test_the_head_of_a_request_is_not_mentioned_when_a_ref_was_said(tmp_path: Path) -> None:
    environ = pull_request(tmp_path)
    assert "commit from GitHub Actions, head of pull request 7" in chosen(tmp_path, environ).lines[0]
    assert "(repository from GitHub Actions, hub" in chosen(tmp_path, environ, ref="main").lines[0]


def test_a_ref_of_myst_yml_is_for_the_checkouts_repository_when_it_names_none(project: Path) -> None:
    (project / "myst.yml").write_text("project: {binder: {ref: main}}")
    target = chosen(project)
    assert target.spec == ("check/out", "main", "gh")
    assert "(repository from the git checkout, remote origin, ref from myst.yml, hub by default)" in target.lines[0]


# What is said of it


def test_the_first_line_says_what_was_chosen_and_from_where(project: Path, git: Git) -> None:
    target = chosen(project, GITHUB)
    assert target.lines == (
        f"launching gh/org/repo/{SHA} on {HUB} (repository and commit from GitHub Actions, hub from myst.yml)",
    )
    assert chosen(project, hub=HUB, repo="a/b").lines == (f"launching gh/a/b/HEAD on {HUB}",)
    (project / "myst.yml").unlink()
    first, warning = chosen(project).lines
    assert first == (
        f"launching gh/check/out/{git.head} on {DEFAULT_HUB} "
        "(repository and commit from the git checkout, remote origin, hub by default)"
    )
    assert "A hub sees only what was pushed" in warning
    assert len(chosen(project, ref=git.head).lines) == 1, "a ref that was said is the person's own affair"


@pytest.mark.parametrize("tokens", [Tokens(build="secret"), Tokens(hub="secret")])
def test_the_hub_of_a_file_is_told_from_one_that_was_said_for_a_token(project: Path, tokens: Tokens) -> None:
    with pytest.raises(UsageError, match=r"not sent to https://hub\.example\.org/"):
        chosen(project).open_hubs(tokens)
    assert chosen(project).open_hubs(Tokens())[0].url == HUB
    assert chosen(project, hub=HUB).open_hubs(tokens)[0].url == HUB


def test_the_hub_by_default_is_sent_no_hub_token(tmp_path: Path) -> None:
    assert chosen(tmp_path, GITHUB).open_hubs(Tokens(build="secret"))[0].url == DEFAULT_HUB
    with pytest.raises(UsageError, match=r"not sent to https://mybinder\.org/"):
        chosen(tmp_path, GITHUB).open_hubs(Tokens(hub="secret"))
    assert chosen(tmp_path, GITHUB, hub=DEFAULT_HUB).open_hubs(Tokens(hub="secret"))[0].auth is not None
    assert "secret" not in repr(Tokens("secret", "secret"))


def test_the_fallback_hubs_follow_and_none_is_tried_twice(tmp_path: Path) -> None:
    others = ["https://b.example.org", HUB, "https://b.example.org/"]
    assert chosen(tmp_path, GITHUB, hub=HUB, fallback_hubs=others).hubs == (HUB, "https://b.example.org/")
    with pytest.raises(UsageError, match="can't be a fallback"):
        chosen(tmp_path, GITHUB, hub=HUB, fallback_hubs=["https://b.example.org/v2/gh/org/repo/main"])


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no myst.yml with a project is in "), ("project: {title: x}", "myst.yml names none")]
)
def test_nothing_found_is_a_usage_error_that_lists_what_was_looked_at(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content:
        (tmp_path / "myst.yml").write_text(content)
    with pytest.raises(UsageError, match="No repository to launch: none was given; ") as caught:
        chosen(tmp_path, {"GITHUB_ACTIONS": "true"})
    for words in ("GitHub Actions, GitLab CI, Netlify, Read the Docs", said, f"{tmp_path} is in no git checkout"):
        assert words in caught.value.message
    assert "--repo org/repo" in caught.value.hint


def test_a_directory_that_is_gone_matters_only_to_what_is_looked_for_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    assert resolve_target(hub=HUB, repo="org/repo", environ={}).spec == RepoSpec("org/repo")
    with pytest.raises(UsageError, match="current directory is gone"):
        resolve_target(repo="org/repo", environ={})
