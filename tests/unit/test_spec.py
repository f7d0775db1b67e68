"""Every way in which people write a repository or a hub, and what a hub reads from what clinder sends."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import unquote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from clinder import BinderHub, RepoSpec, Session, UsageError
from clinder.spec import PROVIDERS, parse_hub, parse_path

SHA = "0123456789abcdef0123456789abcdef01234567"
RESOURCE = "8f7c2f0341ef4180b0dbe97f59130756"


# What people write, and the repository, ref and provider that they mean

WRITTEN = {
    # GitHub
    "org/repo": ("org/repo", "HEAD", "gh"),
    "  org/repo\n": ("org/repo", "HEAD", "gh"),
    "my-org/my.repo_1": ("my-org/my.repo_1", "HEAD", "gh"),
    "https://github.com/org/repo": ("org/repo", "HEAD", "gh"),
    "http://github.com/org/repo": ("org/repo", "HEAD", "gh"),
    "https://www.github.com/org/repo": ("org/repo", "HEAD", "gh"),
    "https://GitHub.com/org/repo": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo/": ("org/repo", "HEAD", "gh"),
    "org/repo.git": ("org/repo", "HEAD", "gh"),
    "https://me@bitbucket.org/org/repo.git": ("https://bitbucket.org/org/repo.git", "HEAD", "git"),
    "https://github.com/org/repo.git": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo.git/": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo?tab=readme-ov-file#usage": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo.github.io": ("org/repo.github.io", "HEAD", "gh"),
    "https://github.com/org/repo/tree/main": ("org/repo", "main", "gh"),
    "https://github.com/org/repo/tree/main/": ("org/repo", "main", "gh"),
    "https://github.com/org/repo/tree/feature/x/y": ("org/repo", "feature/x/y", "gh"),
    "https://github.com/org/repo/tree/fix%2342": ("org/repo", "fix#42", "gh"),
    f"https://github.com/org/repo/commit/{SHA}": ("org/repo", SHA, "gh"),
    "git@github.com:org/repo.git": ("org/repo", "HEAD", "gh"),
    "git@github.com:org/repo": ("org/repo", "HEAD", "gh"),
    "ssh://git@github.com/org/repo.git": ("org/repo", "HEAD", "gh"),
    "ssh://git@github.com:22/org/repo.git": ("org/repo", "HEAD", "gh"),
    "github.com/org/repo": ("org/repo", "HEAD", "gh"),
    "www.github.com/org/repo.git": ("org/repo", "HEAD", "gh"),
    "gh:org/repo": ("org/repo", "HEAD", "gh"),
    "github:org/repo": ("org/repo", "HEAD", "gh"),
    "gh:org/repo@v1": ("org/repo", "v1", "gh"),
    "org/repo@main": ("org/repo", "main", "gh"),
    "org/repo/": ("org/repo", "HEAD", "gh"),
    "git/git@feature/x": ("git/git", "feature/x", "gh"),
    "gh/org/repo": ("org/repo", "HEAD", "gh"),
    "gh/org/repo/feature/x": ("org/repo", "feature/x", "gh"),
    "https://github.dev/org/repo/tree/v1": ("org/repo", "v1", "gh"),
    "https://vscode.dev/github/org/repo": ("org/repo", "HEAD", "gh"),
    "https://beta.mybinder.org/repo/org/repo": ("org/repo", "HEAD", "gh"),
    "org/repo@feature/x": ("org/repo", "feature/x", "gh"),
    "https://github.com/org/repo/tree/main/docs": ("org/repo", "main", "gh"),
    f"https://github.com/org/repo/tree/{SHA}/docs/x": ("org/repo", SHA, "gh"),
    "https://github.com/org/repo/blob/main/docs/a.ipynb": ("org/repo", "main", "gh"),
    "https://github.com/org/repo/blob/v1/a.ipynb": ("org/repo", "v1", "gh"),
    "https://github.com/org/repo/commits/v1": ("org/repo", "v1", "gh"),
    "https://github.com/org/repo/releases/tag/v1.0": ("org/repo", "v1.0", "gh"),
    "https://github.com/org/repo/releases": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo/issues": ("org/repo", "HEAD", "gh"),
    "https://github.com/org/repo/issues/12#issuecomment-1": ("org/repo", "HEAD", "gh"),
    "https://raw.githubusercontent.com/org/repo/main/docs/a.ipynb": ("org/repo", "main", "gh"),
    "https://raw.githubusercontent.com/org/repo/refs/heads/main/docs/a.ipynb": ("org/repo", "main", "gh"),
    "https://nbviewer.org/github/org/repo/blob/main/docs/a.ipynb": ("org/repo", "main", "gh"),
    "https://nbviewer.jupyter.org/github/org/repo/tree/v1": ("org/repo", "v1", "gh"),
    "https://nbviewer.org/gist/user/0123abcd": ("user/0123abcd", "HEAD", "gist"),
    "https://colab.research.google.com/github/org/repo/blob/main/a.ipynb": ("org/repo", "main", "gh"),
    "https://mybinder.org/v2/gh/org/repo/main?urlpath=lab": ("org/repo", "main", "gh"),
    "https://mybinder.org/repo/org/repo": ("org/repo", "HEAD", "gh"),
    "[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/org/repo/v1)": (
        "org/repo",
        "v1",
        "gh",
    ),
    "https://github.com/org/repo/tree/v2/gh/x": ("org/repo", "v2/gh/x", "gh"),
    # gists
    "https://gist.github.com/user/0123abcd": ("user/0123abcd", "HEAD", "gist"),
    "https://gist.github.com/user/0123abcd/": ("user/0123abcd", "HEAD", "gist"),
    "https://gist.github.com/user/0123abcd.git": ("user/0123abcd", "HEAD", "gist"),
    "https://gist.github.com/user/0123abcd#file-a-ipynb": ("user/0123abcd", "HEAD", "gist"),
    f"https://gist.github.com/user/0123abcd/{SHA}": ("user/0123abcd", SHA, "gist"),
    # GitLab
    "https://gitlab.com/group/project": ("group/project", "HEAD", "gl"),
    "https://gitlab.com/group/project/": ("group/project", "HEAD", "gl"),
    "https://gitlab.com/group/project.git": ("group/project", "HEAD", "gl"),
    "https://gitlab.com/group/sub/subsub/project": ("group/sub/subsub/project", "HEAD", "gl"),
    "https://gitlab.com/group/sub/project/-/tree/main": ("group/sub/project", "main", "gl"),
    "https://gitlab.com/group/project/-/tree/feature/x?ref_type=heads": ("group/project", "feature/x", "gl"),
    f"https://gitlab.com/group/project/-/commit/{SHA}": ("group/project", SHA, "gl"),
    "https://gitlab.com/group/project/tree/main": ("group/project", "main", "gl"),
    "git@gitlab.com:group/sub/project.git": ("group/sub/project", "HEAD", "gl"),
    "ssh://git@gitlab.com/group/sub/project.git": ("group/sub/project", "HEAD", "gl"),
    "https://gitlab.com/group/project/-/blob/main/docs/a.ipynb": ("group/project", "main", "gl"),
    "https://gitlab.com/group/project/-/issues": ("group/project", "HEAD", "gl"),
    "gitlab.com/group/sub/project": ("group/sub/project", "HEAD", "gl"),
    "gitlab:group/sub/project@v1": ("group/sub/project", "v1", "gl"),
    "gl/group%2Fproject/main": ("group/project", "main", "gl"),
    # any other host
    "git/https%3A//git.example.org/org/repo/main": ("https://git.example.org/org/repo", "main", "git"),
    "https://bitbucket.org/org/repo/src/main/": ("https://bitbucket.org/org/repo", "main", "git"),
    "https://bitbucket.org/org/repo/src/main/docs/a.ipynb": ("https://bitbucket.org/org/repo", "main", "git"),
    "https://codeberg.org/org/repo/src/branch/v1": ("https://codeberg.org/org/repo", "v1", "git"),
    "bitbucket.org/org/repo": ("https://bitbucket.org/org/repo", "HEAD", "git"),
    "https://bitbucket.org/org/repo": ("https://bitbucket.org/org/repo", "HEAD", "git"),
    "https://git.example.org/org/repo.git": ("https://git.example.org/org/repo.git", "HEAD", "git"),
    "http://git.example.org:8080/repo": ("http://git.example.org:8080/repo", "HEAD", "git"),
    "git://git.example.org/repo.git": ("git://git.example.org/repo.git", "HEAD", "git"),
    "https://gitlab.example.org/a/b/-/tree/feature/x": ("https://gitlab.example.org/a/b", "feature/x", "git"),
    "https://gitlab.example.org/a/b/-/blob/main/c/d.ipynb": ("https://gitlab.example.org/a/b", "main", "git"),
    "https://gitlab.example.org/a/b/c/-/issues/7": ("https://gitlab.example.org/a/b/c", "HEAD", "git"),
    "https://git.example.org/a/-/b": ("https://git.example.org/a/-/b", "HEAD", "git"),
    "https://notgithub.com/org/repo": ("https://notgithub.com/org/repo", "HEAD", "git"),
    # DOIs
    "10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "doi:10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "DOI:10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://doi.org/10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://doi.org/10.5281/zenodo.3242074/": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://dx.doi.org/10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://zenodo.org/record/3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://zenodo.org/records/3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://www.zenodo.org/records/3242074/files/a.zip?download=1": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://zenodo.org/badge/DOI/10.5281/zenodo.3242074.svg": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://zenodo.org/doi/10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "https://figshare.com/articles/dataset/A_title/9782777/1": ("10.6084/m9.figshare.9782777.v1", "HEAD", "figshare"),
    "https://figshare.com/articles/9782777": ("10.6084/m9.figshare.9782777", "HEAD", "figshare"),
    "10.6084/m9.figshare.9782777.v1": ("10.6084/m9.figshare.9782777.v1", "HEAD", "figshare"),
    "https://doi.org/10.6084/m9.figshare.9782777": ("10.6084/m9.figshare.9782777", "HEAD", "figshare"),
    "10.7910/DVN/TJCLKP": ("10.7910/DVN/TJCLKP", "HEAD", "dataverse"),
    "doi:10.7910/DVN/TJCLKP": ("10.7910/DVN/TJCLKP", "HEAD", "dataverse"),
    "https://doi.org/10.7910/dvn/tjclkp": ("10.7910/dvn/tjclkp", "HEAD", "dataverse"),
    # HydroShare
    f"https://www.hydroshare.org/resource/{RESOURCE}": (RESOURCE, "HEAD", "hydroshare"),
    f"https://www.hydroshare.org/resource/{RESOURCE}/": (RESOURCE, "HEAD", "hydroshare"),
    f"http://hydroshare.org/resource/{RESOURCE}": (RESOURCE, "HEAD", "hydroshare"),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_repository_is_understood_as_people_write_it(text: str) -> None:
    assert RepoSpec.parse(text) == WRITTEN[text]


WITH_PROVIDER = [
    ("org/repo", "gh", ("org/repo", "gh")),
    ("org/repo", "github", ("org/repo", "gh")),
    ("org/repo", "GitHub", ("org/repo", "gh")),
    ("https://github.com/org/repo", "gh", ("org/repo", "gh")),
    ("https://github.example.org/org/repo.git", "gh", ("org/repo", "gh")),
    ("user/0123abcd", "gist", ("user/0123abcd", "gist")),
    ("group/project", "gitlab", ("group/project", "gl")),
    ("group/sub/project", "gl", ("group/sub/project", "gl")),
    ("group/sub/project/", "gl", ("group/sub/project", "gl")),
    ("https://gitlab.example.org/group/sub/project", "gl", ("group/sub/project", "gl")),
    ("https://gitlab.example.org/group/sub/project.git", "gl", ("group/sub/project", "gl")),
    ("git@gitlab.example.org:group/sub/project.git", "gl", ("group/sub/project", "gl")),
    ("ssh://git@gitlab.example.org:2222/group/project.git", "gl", ("group/project", "gl")),
    ("https://github.com/org/repo", "git", ("https://github.com/org/repo", "git")),
    ("git@git.example.org:org/repo.git", "git", ("git@git.example.org:org/repo.git", "git")),
    ("10.5281/zenodo.3242074", "zenodo", ("10.5281/zenodo.3242074", "zenodo")),
    ("https://zenodo.org/record/3242074", "zenodo", ("10.5281/zenodo.3242074", "zenodo")),
    ("https://doi.org/10.21942/uva.14337968", "figshare", ("10.21942/uva.14337968", "figshare")),
    ("doi:10.5064/F6AJ8GDP", "dataverse", ("10.5064/F6AJ8GDP", "dataverse")),
    (RESOURCE, "hydroshare", (RESOURCE, "hydroshare")),
    (f"https://beta.hydroshare.org/resource/{RESOURCE}/", "hydroshare", (RESOURCE, "hydroshare")),
    ("https://demo.ckan.org/dataset/my-data", "ckan", ("https://demo.ckan.org/dataset/my-data", "ckan")),
    ("https://example.org/a.zip", "meca", ("https://example.org/a.zip", "meca")),
    ("org/repo", "bitbucket", ("org/repo", "bitbucket")),
    ("https://ckan.org/x/dataset/d?activity_id=1", "ckan", ("https://ckan.org/x/dataset/d?activity_id=1", "ckan")),
]


@pytest.mark.parametrize(("text", "provider", "expected"), WITH_PROVIDER)
def test_a_named_provider_says_how_to_read_the_repository(text: str, provider: str, expected: tuple[str, str]) -> None:
    repo, name = expected
    assert RepoSpec.parse(text, provider=provider) == (repo, "HEAD", name)


def test_a_ref_of_a_self_hosted_gitlab_is_found_in_its_address() -> None:
    url = "https://gitlab.example.org/group/project/-/tree/feature/x"
    assert RepoSpec.parse(url, provider="gl") == ("group/project", "feature/x", "gl")


@pytest.mark.parametrize("text", ["gl:group/sub/project@v1", "gl:group/sub/project.git@v1"])
def test_a_ref_follows_a_project_of_gitlab_as_it_follows_a_repository(text: str) -> None:
    assert RepoSpec.parse(text) == ("group/sub/project", "v1", "gl")
    assert RepoSpec.parse(text.removeprefix("gl:"), provider="gl") == ("group/sub/project", "v1", "gl")


@pytest.mark.parametrize("text", ["org/repo", "https://github.com/org/repo/tree/main", "git@github.com:org/repo.git"])
def test_a_ref_that_is_given_counts_more_than_that_of_the_address(text: str) -> None:
    assert RepoSpec.parse(text, "v1.0") == ("org/repo", "v1.0", "gh")


# What nobody can understand

NOT_UNDERSTOOD = [
    ("", None, "org/repo"),
    ("repo", None, "org/repo"),
    ("org/", None, "org/repo"),
    ("/repo", None, "org/repo"),
    ("org/repo/main", None, "org/repo"),
    ("org/repo/tree/main", None, "org/repo with --ref main,"),
    ("group/pro:ject", "gl", "group/subgroup/project"),
    ("gitlab.com/group/project@v1", "gl", "group/subgroup/project"),
    ("//example.org/repo", None, "org/repo"),
    ("org/my repo", None, "org/repo"),
    ("https://github.com/org", None, "org/repo"),
    ("https://github.com/org/repo/blob/v1/docs/a.ipynb", None, "org/repo with --ref v1"),
    ("https://github.com/org/repo/pull/5", None, "on a branch of the fork"),
    ("https://github.com/org/repo/pull/5/files", None, "on a branch of the fork"),
    ("https://github.com/org/repo/oops", None, "org/repo"),
    ("https://nbviewer.org/url/example.org/a.ipynb", None, "org/repo"),
    ("https://zenodo.org/badge/latestdoi/123456", None, "DOI"),
    ("https://zenodo.org/badge/123456.svg", None, "DOI"),
    ("https://figshare.com/authors/x/5", None, "DOI"),
    ("https://bitbucket.org/org", None, "a URL that git can clone"),
    ("https://mybinder.org/badge_logo.svg", None, "the badge leads to"),
    ("org/<your-repo>", None, "to be replaced"),
    ("{org}/{repo}", None, "to be replaced"),
    ("https://github.com/<org>/<repo>", None, "org/repo"),
    ("https://gitlab.com/group", None, "group/subgroup/project"),
    ("https://gitlab.com/group/project/-/merge_requests/3", None, "on a branch of the fork"),
    ("https://[oops/org/repo", None, "org/repo"),
    ("ftp://example.org/repo", None, "org/repo"),
    ("file:///home/me/repo", None, "org/repo"),
    ("10.1234/whose-is-it", None, "--provider zenodo, figshare or dataverse"),
    ("org/repo", "git hub", "Did you mean github?"),
    ("org/repo", "githb", "Did you mean github?"),
    ("org/repo", "zenod", "Did you mean zenodo?"),
    ("org/repo", "x/y", "gh, gist, gl, git, zenodo, figshare, dataverse, hydroshare, ckan"),
    ("org/repo", "m" * 41, "gh, gist, gl, git, zenodo, figshare, dataverse, hydroshare, ckan"),
    ("a b", "meca", "whatever the hub's provider reads"),
    ("org", "gh", "org/repo"),
    ("project", "gl", "group/subgroup/project"),
    ("no-doi", "zenodo", "10.5281/zenodo."),
    ("no-doi", "figshare", "10.6084/m9.figshare."),
    ("no-doi", "dataverse", "10.7910/DVN/"),
    ("no-url", "ckan", "a dataset's URL"),
    ("https://demo.ckan.org/group/x", "ckan", "a dataset's URL"),
    ("https://github.com/org/repo", "gl", "gh"),
    ("git@github.com:org/repo.git", "gl", "gh"),
    ("https://gitlab.com/group/project", "gh", "gl"),
    ("https://gist.github.com/user/0123abcd", "gh", "gist"),
    ("https://doi.org/10.5281/zenodo.3242074", "gh", "zenodo"),
    ("https://zenodo.org/record/3242074", "gl", "zenodo"),
    ("https://git.example.org/x", "zenodo", "DOI"),
]


@pytest.mark.parametrize(("text", "provider", "hint"), NOT_UNDERSTOOD)
def test_what_is_not_understood_is_a_usage_error_that_says_what_was_expected(
    text: str, provider: str | None, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        RepoSpec.parse(text, provider=provider)
    assert hint in caught.value.hint


@pytest.mark.parametrize("provider", ["zenodo", "figshare", "dataverse", "hydroshare", "ckan"])
def test_a_ref_for_a_provider_without_refs_is_a_usage_error(provider: str) -> None:
    repo = {"ckan": "https://example.org/dataset/10.1/x", "hydroshare": "0" * 32}.get(provider, "10.1/x")
    assert RepoSpec.parse(repo, "HEAD", provider).provider == provider
    with pytest.raises(UsageError, match="no refs"):
        RepoSpec.parse(repo, "main", provider)


@pytest.mark.parametrize("ref", ["", " ", "a b", "a\nb", "\x00", "\x7f", "a\x9bb", "main/"])
def test_what_no_git_takes_for_a_ref_is_a_usage_error(ref: str) -> None:
    with pytest.raises(UsageError, match="Not a ref") as caught:
        RepoSpec("org/repo", ref)
    assert "a branch, a tag or a commit" in caught.value.hint


@pytest.mark.parametrize(
    "parts", [("org/..",), ("../repo",), ("./repo",), ("org/repo", ".."), ("org/repo", "a/../b"), ("org/repo", "./a")]
)
def test_what_would_climb_out_of_the_hubs_build_endpoint_is_a_usage_error(parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        RepoSpec(*parts)


@pytest.mark.parametrize("parts", [("org/\udcff",), ("org/repo", "\udcff")])
def test_what_is_no_text_is_a_usage_error(parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):  # so a word of the command line arrives that is not UTF-8
        RepoSpec(*parts)


def test_a_gist_has_no_ref_with_a_slash() -> None:
    with pytest.raises(UsageError):  # a hub would take its first word for the ref
        RepoSpec("user/0123abcd", "feature/x", "gist")


@pytest.mark.parametrize("repo", ["org/a\x1b[2Jb", "org/a\x00b", "org/a\x9b2Jb"])
def test_nothing_that_a_terminal_obeys_is_in_what_is_shown_of_a_spec(repo: str) -> None:
    try:
        shown = str(RepoSpec(repo))
    except UsageError as error:
        shown = str(error).replace("\n", " ")
    assert shown.isprintable()


@pytest.mark.parametrize("ref", ["HEAD", "main"])
def test_the_repository_of_a_provider_that_clinder_does_not_know_is_one_word_of_the_path(ref: str) -> None:
    spec = RepoSpec.parse("https://example.org/a b".replace(" ", "%20"), ref, "meca")
    assert spec.path == "meca/https%3A%2F%2Fexample.org%2Fa%2520b" + ("/main" if ref == "main" else "")


# How long it takes

LONG = [
    *(
        "a",
        "/",
        "@",
        ":",
        ".",
        "a/",
        "/a",
        "a@",
        "@a",
        "a.",
        "a:",
        "a@b:",
        "%2F",
        "<",
        "\u00e9",
        "-",
        "0/",
        "/0",
        "?",
        "#",
    ),
    *("https://", "git@", "doi:10.1/", "/dataset/", "/v2/", "/build/gh/", "](", "![", "&persistentId=doi:", "/tree/"),
]
BEGINNINGS = [
    *("", "https://", "https://h.org/", "https://github.com/", "https://github.com/o/r/blob/", "git@h.org:", "ssh://"),
    *(
        "https://figshare.com/articles/",
        "https://x?",
        "![",
        "[![a](b)](",
        "10.1/",
        "https://zenodo.org/badge/doi/10.1/",
    ),
]


@pytest.mark.parametrize("read", [RepoSpec.parse, parse_hub, parse_path, lambda text: RepoSpec("org/repo", text)])
def test_an_address_of_any_length_is_read_in_no_time(read: Callable[[str], object]) -> None:
    for length in (1_000, 2_000, 250_000):
        began = time.process_time()
        for beginning in BEGINNINGS:
            for word in LONG:
                for end in ("", " ", "\n", "@"):
                    text = beginning + word * ((length - len(beginning)) // len(word)) + end
                    with suppress(UsageError):
                        read(text)
        # About 3 ms each at 2,000 characters, the longest that is looked at.
        assert time.process_time() - began < len(BEGINNINGS) * len(LONG) * 4 * 0.01, length


@pytest.mark.parametrize("length", [2_001, 100_000])
@pytest.mark.parametrize("provider", [*PROVIDERS, "meca", None])
def test_an_address_that_is_too_long_is_a_usage_error_that_is_short_itself(length: int, provider: str | None) -> None:
    for text in ("a/" + "b" * (length - 2), "https://me:secret@example.org/" + "b" * length, "10.5281/" + "b" * length):
        with pytest.raises(UsageError) as caught:
            RepoSpec.parse(text, provider=provider)
        assert len(str(caught.value)) < 400
        assert "secret" not in str(caught.value)
        assert "2,000" in str(caught.value)


# What a hub reads (binderhub/repoproviders.py): from the raw path, encoded as it came

Splitter = Callable[[str], tuple[str, str]]


def split_github(spec: str) -> tuple[str, str]:
    user, repo, ref = spec.split("/", 2)
    return f"{unquote(user)}/{unquote(repo)}", unquote(ref)  # GitHub's API unquotes them


def split_gist(spec: str) -> tuple[str, str]:
    user, gist, *ref = spec.split("/")
    return f"{unquote(user)}/{unquote(gist)}", unquote(ref[0])


def split_once(spec: str) -> tuple[str, str]:
    repo, ref = spec.split("/", 1)
    return unquote(repo), unquote(ref)


def not_split(spec: str) -> tuple[str, str]:
    return unquote(spec), "HEAD"


def one_word(spec: str) -> tuple[str, str]:
    assert "/" not in spec
    return unquote(spec), "HEAD"


HUB: dict[str, Splitter] = {
    "gh": split_github,
    "gist": split_gist,
    "gl": split_once,
    "git": split_once,
    "zenodo": not_split,
    "figshare": not_split,
    "dataverse": not_split,
    "hydroshare": one_word,
    "ckan": one_word,
}

NAMES = st.text("abcXYZ019-_.", min_size=1, max_size=12).filter(lambda name: name.strip("."))
WORDS = st.text("abXY09-_.#%?&=+@!~,;:()'\u00e9\u6f22\U0001f600", min_size=1, max_size=12).filter(
    lambda word: word.strip(".")
)
REFS = st.lists(WORDS, min_size=1, max_size=4).map("/".join)
DOIS = st.builds("10.{}/{}".format, st.integers(1000, 99999), st.lists(NAMES, min_size=1, max_size=3).map("/".join))
URLS = st.builds(
    "{}/{}{}".format,
    st.sampled_from(
        ["https://git.example.org", "http://git.example.org:81", "ssh://me@git.example.org:2222", "git://[::1]"]
    ),
    REFS,
    st.sampled_from(["", "/", ".git"]),
)
TWO = st.builds("{}/{}".format, NAMES, NAMES)
MANY = st.lists(NAMES, min_size=2, max_size=5).map("/".join)
DATASETS = st.builds("https://ckan.example.org/{}/dataset/{}".format, NAMES, REFS)

VALID = st.one_of(
    st.builds(RepoSpec, TWO, REFS, st.just("gh")),
    st.builds(RepoSpec, TWO, WORDS, st.just("gist")),
    st.builds(RepoSpec, MANY, REFS, st.just("gl")),
    st.builds(RepoSpec, URLS, REFS, st.just("git")),
    st.builds(RepoSpec, DOIS, st.just("HEAD"), st.sampled_from(["zenodo", "figshare", "dataverse"])),
    st.builds(RepoSpec, st.one_of(NAMES, URLS), st.just("HEAD"), st.just("hydroshare")),
    st.builds(RepoSpec, DATASETS, st.just("HEAD"), st.just("ckan")),
)


@given(VALID)
@example(RepoSpec("https://git.example.org/a/b.git", "feature/#1?x=100%", "git"))
@example(RepoSpec("org/repo", "%2F"))
def test_a_hub_reads_repository_and_ref_as_they_are_meant(spec: RepoSpec) -> None:
    provider, _, rest = spec.path.partition("/")
    assert provider == spec.provider
    assert HUB[provider](rest.rstrip("/")) == (spec.repo, spec.ref)


@given(VALID)
def test_the_path_is_sent_to_the_hub_just_as_it_is_written(spec: RepoSpec) -> None:
    url = BinderHub("https://hub.example.org/services/binder").build_url(spec)
    assert requests.Request("GET", url).prepare().path_url == f"/services/binder/build/{spec.path}"


@given(VALID)
def test_a_spec_survives_its_path_and_its_launch_link(spec: RepoSpec) -> None:
    assert parse_path(spec.path) == spec
    link = spec.launch_link("https://hub.example.org/binder/")
    assert parse_hub(f"{link}?urlpath=lab/tree/v2/a.ipynb#v2") == ("https://hub.example.org/binder/", spec)


def test_every_provider_is_tried_above() -> None:
    assert set(HUB) == set(PROVIDERS)


# Launch links, as on a badge

REPO = RepoSpec("org/repo", "main")
LINKS = [
    ("https://mybinder.org/v2/gh/org/repo/main", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main/", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main?urlpath=lab", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main/?urlpath=lab", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main?urlpath=git-pull%3Frepo%3Dx%26u%3D/v2/y", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main?filepath=a%2Fb.ipynb", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main?labpath=a/b.ipynb", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo/main#top", "https://mybinder.org/", REPO),
    ("https://mybinder.org/v2/gh/org/repo", "https://mybinder.org/", RepoSpec("org/repo")),
    ("https://mybinder.org/v2/gh/org/repo/", "https://mybinder.org/", RepoSpec("org/repo")),
    ("https://mybinder.org/v2/gh/org/repo?urlpath=lab", "https://mybinder.org/", RepoSpec("org/repo")),
    ("https://mybinder.org/v2/gh/org/repo/a/b", "https://mybinder.org/", RepoSpec("org/repo", "a/b")),
    ("https://mybinder.org/v2/gh/org/repo/a%2Fb%23c", "https://mybinder.org/", RepoSpec("org/repo", "a/b#c")),
    ("https://hub.example.org/services/binder/v2/gh/org/repo/main", "https://hub.example.org/services/binder/", REPO),
    ("http://127.0.0.1:8585/v2/gh/org/repo/main", "http://127.0.0.1:8585/", REPO),
    (" https://mybinder.org/v2/gh/org/repo/main\n", "https://mybinder.org/", REPO),
    ("https://h.org/v2/gl/group%2Fsub%2Fproject/main", "https://h.org/", RepoSpec("group/sub/project", "main", "gl")),
    ("https://h.org/v2/gl/group%2fproject", "https://h.org/", RepoSpec("group/project", "HEAD", "gl")),
    (
        "https://h.org/v2/git/https%3A%2F%2Fgit.example.org%2Fv2%2Frepo.git/a/b?urlpath=lab",
        "https://h.org/",
        RepoSpec("https://git.example.org/v2/repo.git", "a/b", "git"),
    ),
    (
        "https://h.org/v2/git/https%3A//git.example.org/a/b/main?urlpath=lab",
        "https://h.org/",
        RepoSpec("https://git.example.org/a/b", "main", "git"),
    ),
    ("https://mybinder.org/build/gh/org/repo/main", "https://mybinder.org/", REPO),
    ("https://hub.org/services/binder/build/gh/org/repo/main", "https://hub.org/services/binder/", REPO),
    ("https://mybinder.org/repo/org/repo", "https://mybinder.org/", RepoSpec("org/repo")),
    ("https://mybinder.org/repo/org/repo/main", "https://mybinder.org/", REPO),
    ("https://hub.org/v2/gh/org/repo/build/gh/x", "https://hub.org/", RepoSpec("org/repo", "build/gh/x")),
    (
        "[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/org/repo/main?urlpath=lab)",
        "https://mybinder.org/",
        REPO,
    ),
    ("![Binder](https://x.org/a.svg)](https://mybinder.org/v2/gh/org/repo/main)", "https://mybinder.org/", REPO),
    ("https://h.org/v2/gist/user/0123abcd", "https://h.org/", RepoSpec("user/0123abcd", "HEAD", "gist")),
    (f"https://h.org/v2/gist/user/0123abcd/{SHA}", "https://h.org/", RepoSpec("user/0123abcd", SHA, "gist")),
    ("https://h.org/v2/zenodo/10.5281/zenodo.1/", "https://h.org/", RepoSpec("10.5281/zenodo.1", "HEAD", "zenodo")),
    (
        "https://h.org/v2/dataverse/10.7910/DVN/TJCLKP",
        "https://h.org/",
        RepoSpec("10.7910/DVN/TJCLKP", "HEAD", "dataverse"),
    ),
    (f"https://h.org/v2/hydroshare/{RESOURCE}", "https://h.org/", RepoSpec(RESOURCE, "HEAD", "hydroshare")),
    (
        "https://h.org/v2/ckan/https%3A%2F%2Fckan.org%2Fdataset%2Fx",
        "https://h.org/",
        RepoSpec("https://ckan.org/dataset/x", "HEAD", "ckan"),
    ),
]


@pytest.mark.parametrize(("link", "hub", "spec"), LINKS)
def test_a_launch_link_gives_the_hub_and_the_repository(link: str, hub: str, spec: RepoSpec) -> None:
    assert parse_hub(link) == (hub, spec)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://mybinder.org", "https://mybinder.org/"),
        ("https://mybinder.org/", "https://mybinder.org/"),
        (" https://mybinder.org/\n", "https://mybinder.org/"),
        ("https://hub.example.org/services/binder", "https://hub.example.org/services/binder/"),
        ("http://[::1]:8585", "http://[::1]:8585/"),
        ("https://mybinder.org/?repo=x#y", "https://mybinder.org/"),
        ("https://hub.example.org/services/binder/?token=x", "https://hub.example.org/services/binder/"),
    ],
)
def test_a_hub_is_its_address_with_one_slash_at_the_end(text: str, url: str) -> None:
    assert parse_hub(text) == (url, None)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mybinder.org", "https://mybinder.org"),
        ("mybinder.org/v2/gh/org/repo/main", "https://mybinder.org/v2/gh/org/repo/main"),
        ("mybinder", "Did you mean https://mybinder.org/"),
        ("ftp://mybinder.org/", "Did you mean https://mybinder.org/"),
        ("https://", "https://example.org/"),
        ("https://my binder.org/", "https://example.org/"),
        ("https://m\u00fcbinder.org/", "https://example.org/"),
        ("https://mybinder.org:99999/", "https://example.org/"),
        ("https://mybinder.org/a\\b/", "https://example.org/"),
        ("https://[::1/", "https://example.org/"),
        ("https://user:secret@mybinder.org/", "https://example.org/"),
        ("https://mybinder.org/v2/", "gh, gist, gl"),
        ("https://mybinder.org/v2/svn/org/repo/main", "gh, gist, gl"),
        ("https://mybinder.org/v2/gh/org", "org/repo"),
        ("https://mybinder.org/v2/gl/group/project/main", "gl/group%2Fproject/main"),
        ("https://mybinder.org/v2", "https://hub/v2/gh/org/repo/ref"),
        ("https://mybinder.org/badge_logo.svg", "the badge leads to"),
        ("https://mybinder.org/badge.svg", "the badge leads to"),
        ("https://github.com/org/repo", "--repo"),
        ("https://www.gitlab.com/group/project", "--repo"),
        ("https://zenodo.org/records/3242074", "--repo"),
        ("https://nbviewer.org/github/org/repo", "--repo"),
        ("https://mybinder.org/repo/org", "org/repo"),
        ("binder.md", "For a host of that name, write https://binder.md"),
        ("hub.example.py", "Did you mean https://hub.example.py ?"),
        ("~", "write local."),
        ("file:///home/me/project", "write local."),
        ("//mybinder.org/", "https://example.org/"),
        ("local/", "https://example.org/"),
        ("binder:8080/services/binder/", "https://example.org/"),
        ("gh:org/repo", "--repo gh:org/repo"),
    ],
)
def test_what_is_no_hub_is_a_usage_error_that_says_what_was_expected(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_hub(text)
    assert hint in caught.value.hint


def test_a_password_in_a_hubs_address_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_hub("https://user:secret@mybinder.org/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "secret",
        "https://hub.example.org/user/x/",
        "https://hub.example.org/user/x/?token=",
        "https://hub.example.org/user/x/?token=se%20cret",
        "https://hub.example.org/user/x/?token=secret%0A",
        "https://secret@hub.example.org/?token=secret",
        "https://me:secret@h\u2100.example.org/?token=secret",
        "https://[secret]/?token=secret",
        "ftp://hub.example.org/?token=secret",
    ],
)
def test_what_is_no_session_is_a_usage_error_that_repeats_none_of_it(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        Session.parse(uri)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


# Whatever is typed

FRAGMENTS = (
    "https:// http:// ssh:// git:// git@ doi: 10.5281/ zenodo. org repo main .git / // . .. : :80 :99999 @ ? # % %2F"
    " %ff [ ] [::1] \\ ?token= abc github.com gitlab.com gist.github.com zenodo.org/record/1 doi.org/ mybinder.org /v2/"
    " gh/ hydroshare.org/resource/ gl/ git/ ckan/ /dataset/ /tree/ /-/ - \u2100 \u00e9 \x1b[2J \x00 \x9b \udcff \u2028"
)
ANYTHING = st.one_of(
    st.text(st.characters(), max_size=40), st.lists(st.sampled_from(FRAGMENTS.split(" ")), max_size=8).map("".join)
)
ADDRESSES = st.builds(
    "{}{}".format, st.sampled_from(["https://hub.example.org/", "http://[::1]:80/", "https://"]), ANYTHING
)
TOKENS = st.text("abcXYZ019-_.~+/=%&?#", min_size=1)

Given = TypeVar("Given")


def if_understood(call: Callable[[], Given]) -> Given | None:
    """Return what call() gives, or None after a UsageError that can be shown; let no other exception pass."""
    try:
        return call()
    except UsageError as error:
        said = str(error)
    assert said.replace("\n", " ").isprintable()
    return None


def check(spec: RepoSpec | None) -> None:
    """Check that a spec is one, that its path says the same, and that nothing on the way changes that path."""
    if spec is None:
        return
    assert RepoSpec(*spec) == spec
    if spec.provider in PROVIDERS:
        assert parse_path(spec.path) == spec
    url = f"https://hub.example.org/build/{spec.path}"
    assert requests.Request("GET", url).prepare().url == url


@given(ANYTHING, st.none() | st.sampled_from([*sorted(PROVIDERS), "meca"]))
@example("https://doi.org/10.5281/zenodo.1/", None)
@example("../..", None)
@example("org/\udcff", None)
def test_whatever_is_given_as_a_repository_is_valid_or_a_usage_error(text: str, provider: str | None) -> None:
    check(if_understood(lambda: RepoSpec.parse(text, provider=provider)))


@given(ANYTHING)
@example("main/")
@example("..")
@example("\udcff")
def test_whatever_is_given_as_a_ref_is_valid_or_a_usage_error(ref: str) -> None:
    check(if_understood(lambda: RepoSpec.parse("org/repo", ref)))


@given(ANYTHING | ADDRESSES)
@example("https://mybinder.org/v2/gh/org/repo/..")
@example("mybinder.org/\x1b[2J")
def test_whatever_is_given_as_a_hub_is_valid_or_a_usage_error(text: str) -> None:
    if found := if_understood(lambda: parse_hub(text)):
        url, spec = found
        assert BinderHub(url).url == url
        check(spec)


@given(ANYTHING | ADDRESSES, st.none() | ANYTHING | TOKENS)
@example("https://h\u2100.example.org/?token=x", None)
def test_whatever_is_given_as_a_session_is_valid_or_a_usage_error(uri: str, token: str | None) -> None:
    if session := if_understood(lambda: Session.parse(uri, token)):
        assert session.uri.isascii()
        assert session.uri.isprintable()
        assert Session.parse(session.uri).env == session.env


@given(TOKENS)
def test_a_session_survives_its_uri_whatever_its_token(token: str) -> None:
    session = Session("https://hub.example.org/user/x/", token)
    assert Session.parse(session.uri).env == session.env


@pytest.mark.parametrize("text", ["https://u:se@cret@host/[x", "https://secret@github.com/", "ssh://u:secret@host"])
def test_no_error_repeats_a_password(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        RepoSpec.parse(text)
    assert "cret" not in str(raised.value)
