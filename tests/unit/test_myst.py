"""What a project's myst.yml says to launch, in all the forms that MyST has for it."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from clinder import UsageError
from clinder.spec import DEFAULT_HUB
from clinder.target.target import Target, resolve_target
from clinder.text import strip_ansi

HUB = "https://hub.example.org/"


def chosen(directory: Path, **said: Any) -> Target:
    return resolve_target(environ={}, directory=directory, **said)


def of_myst(directory: Path, text: str) -> tuple[str, tuple[str, str, str]]:
    """Return the hub and the spec that a myst.yml gives."""
    (directory / "myst.yml").write_text(text, encoding="utf-8")
    target = chosen(directory)
    return target.hubs[0], target.spec


ORG_REPO = ("org/repo", "HEAD", "gh")
OPTIONS = {
    "repo: org/repo": ORG_REPO,
    "repo: ' org/repo '": ORG_REPO,
    "repo: org/repo, provider: github": ORG_REPO,
    "repo: org/repo, provider: GitHub": ORG_REPO,
    "repo: org/repo, provider: gh": ORG_REPO,
    "repo: org/repo, provider: null, ref: ~": ORG_REPO,
    "repo: https://github.com/org/repo": ORG_REPO,
    "repo: https://github.com/org/repo.git": ORG_REPO,
    "repo: https://token@github.com/org/repo": ORG_REPO,
    "repo: git@github.com:org/repo.git": ORG_REPO,
    "repo: https://github.com/org/repo/tree/a/b": ("org/repo", "a/b", "gh"),
    "repo: https://github.com/org/repo/tree/a/b, ref: v1": ("org/repo", "v1", "gh"),
    "repo: https://github.com/org/repo, provider: git": ("https://github.com/org/repo", "HEAD", "git"),
    "repo: https://secret@git.example.org/x, provider: git": ("https://git.example.org/x", "HEAD", "git"),
    "repo: group/project, provider: gitlab": ("group/project", "HEAD", "gl"),
    "repo: group/sub/project, provider: gl": ("group/sub/project", "HEAD", "gl"),
    "repo: https://gitlab.com/group/project, provider: gitlab": ("group/project", "HEAD", "gl"),
    "repo: https://gitlab.com/group/project, provider: github": ("group/project", "HEAD", "gl"),
    "repo: https://gitlab.com/group/other, provider: GitHub": ("group/other", "HEAD", "gl"),
    "repo: https://git.example.org/a/b, provider: gitlab": ("https://git.example.org/a/b", "HEAD", "git"),
    "repo: user/0123abcd, provider: gist": ("user/0123abcd", "HEAD", "gist"),
    "repo: https://gist.github.com/user/0123abcd, provider: gist": ("user/0123abcd", "HEAD", "gist"),
    "repo: 10.5281/zenodo.3242074, provider: zenodo": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "repo: https://doi.org/10.5281/zenodo.3242074": ("10.5281/zenodo.3242074", "HEAD", "zenodo"),
    "repo: 'doi:/10292.131k2', provider: custom": ("doi:/10292.131k2", "HEAD", "custom"),
    "repo: github.com/org/repo": ORG_REPO,
    "repo: https://github.com/org/repo/tree/main/docs": ("org/repo", "main", "gh"),
    "repo: org/repo, ref: main": ("org/repo", "main", "gh"),
    "repo: org/repo, ref: HEAD": ORG_REPO,
    "repo: org/repo, ref: feature/x": ("org/repo", "feature/x", "gh"),
    "repo: org/repo, ref: 1234567": ("org/repo", "1234567", "gh"),
    "repo: org/repo, ref: 0123456": ("org/repo", "0123456", "gh"),
    "repo: org/repo, ref: 1.10": ("org/repo", "1.10", "gh"),
    "repo: org/repo, ref: 1234e56": ("org/repo", "1234e56", "gh"),
    "repo: org/repo, ref: 2024-01-31": ("org/repo", "2024-01-31", "gh"),
    "repo: org/repo, ref: 'true'": ("org/repo", "true", "gh"),
    "repo: 42/7, ref: 8:30": ("42/7", "8:30", "gh"),
    "<<: {repo: org/repo}, ref: main": ("org/repo", "main", "gh"),
    "url: 'https://mybinder.org/v2/gh/org/repo/main?urlpath=lab'": ("org/repo", "main", "gh"),
}


@pytest.mark.parametrize("key", ["jupyter: {binder: %s}", "thebe: {binder: %s}", "binder: %s"])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_options_of_binder_are_understood_in_every_form_of_myst(tmp_path: Path, key: str, options: str) -> None:
    assert of_myst(tmp_path, f"project: {{{key % f'{{{options}}}'}}}") == (DEFAULT_HUB, OPTIONS[options])


PLACES = [
    # What needs no more than a repository from elsewhere
    ("{jupyter: true, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: binder, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: lite, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: true, thebe: {binder: {url: 'https://hub.example.org'}}, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: {binder: true}, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: {binder: false}, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: {binder: {}}, binder: true, github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{jupyter: [binder], binder: [1], github: org/repo}", DEFAULT_HUB, ORG_REPO),
    ("{github: 'https://github.com/org/repo'}", DEFAULT_HUB, ORG_REPO),
    ("{github: 'https://github.com/org/repo/tree/v1'}", DEFAULT_HUB, ("org/repo", "v1", "gh")),
    ("{github: 'https://github.com/org/repo/blob/v1/README.md'}", DEFAULT_HUB, ORG_REPO),
    ("{github: 'https://github.com/org/repo/issues'}", DEFAULT_HUB, ORG_REPO),
    ("{github: 'https://github.example.org/o/r'}", DEFAULT_HUB, ("https://github.example.org/o/r", "HEAD", "git")),
    # The other place for the hub
    ("{binder: 'https://hub.example.org', github: org/repo}", HUB, ORG_REPO),
    ("{binder: {url: 'https://hub.example.org'}, github: org/repo}", HUB, ORG_REPO),
    ("{binder: 'https://hub.example.org/v2/gh/li/nk/main?urlpath=lab'}", HUB, ("li/nk", "main", "gh")),
    ("{binder: 'https://hub.example.org/build/gh/li/nk/v1', github: org/repo}", HUB, ("li/nk", "v1", "gh")),
    ("{binder: 'https://mybinder.org/repo/li/nk', github: org/repo}", DEFAULT_HUB, ("li/nk", "HEAD", "gh")),
    ("{binder: 'https://hub.example.org/v2/gl/a%2Fb%2Fc/main', github: org/repo}", HUB, ("a/b/c", "main", "gl")),
    # Each item from the first that names it
    ("{jupyter: {binder: {url: 'https://hub.example.org'}}, github: org/repo}", HUB, ORG_REPO),
    (
        "{jupyter: {binder: {url: 'https://hub.example.org'}}, binder: {url: 'https://b.org', repo: org/repo}}",
        HUB,
        ORG_REPO,
    ),
    (
        "{jupyter: {binder: {repo: org/repo}}, binder: 'https://hub.example.org/v2/gh/li/nk/v1', github: g/g}",
        HUB,
        ORG_REPO,
    ),
    ("{jupyter: {binder: {ref: main}}, binder: {repo: b/b, ref: v1}, github: g/g}", DEFAULT_HUB, ("b/b", "main", "gh")),
    ("{jupyter: {binder: {ref: main}}, github: 'https://github.com/g/g/tree/x'}", DEFAULT_HUB, ("g/g", "main", "gh")),
    (
        "{jupyter: {binder: {ref: main}}, binder: 'https://hub.example.org/v2/gh/li/nk/v1'}",
        HUB,
        ("li/nk", "main", "gh"),
    ),
    ("{jupyter: {binder: {repo: j/j}}, thebe: {binder: {repo: t/t}}}", DEFAULT_HUB, ("j/j", "HEAD", "gh")),
]


@pytest.mark.parametrize(("project", "hub", "spec"), PLACES)
def test_each_item_is_from_the_first_place_of_myst_yml_that_names_it(
    tmp_path: Path, project: str, hub: str, spec: tuple[str, str, str]
) -> None:
    assert of_myst(tmp_path, f"project: {project}") == (hub, spec)


@pytest.mark.parametrize("nothing", ["site: {title: x}", "project:", "project: x", "", "# nothing\n"])
def test_the_file_is_the_first_in_the_directory_or_above_that_has_a_project(tmp_path: Path, nothing: str) -> None:
    below = tmp_path / "book" / "chapter"
    below.mkdir(parents=True)
    (tmp_path / "myst.yaml").write_text("\ufeffproject: {github: org/repo}", encoding="utf-8")
    (below / "myst.yml").write_text(nothing)
    target = chosen(below)
    assert target.spec == ORG_REPO
    assert "from ../../myst.yaml, hub by default" in target.lines[0]
    (below.parent / "myst.yml").write_text("project: {github: near/er}")
    assert chosen(below).spec.repo == "near/er"


BROKEN = {
    b"project: {": "line 1",
    b"project:\n  binder: [\n": "line 3",
    b"project:\n\tbinder: x": "line 2",
    b"project: @x": "line 1",
    b"a: b: c": "line 1",
    b"project: {github: *no}": "line 1",
    b"project: !secret x": "line 1",
    b"{}\n---\n{}\n": "line 2",
    b"project: !!int ''": "",
    b"project: !!bool x": "",
    b"project: !!timestamp x": "",
    b"project: !!float 1" + b":1" * 200: "",
    b"[" * 20_000: "",
    b"- project": "",
    b"project": "",
    b"\xff\xfe": "",
    b"project: \x00": "",
}


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:40]))
def test_a_broken_file_is_a_usage_error_that_names_it_and_the_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "myst.yml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        chosen(tmp_path)
    where = f"{path}, {BROKEN[content]}," if BROKEN[content] else f"{path}"
    assert caught.value.message.startswith(f"{where} can't be read")
    assert "--repo" in caught.value.hint
    assert chosen(tmp_path, hub=HUB, repo="org/repo").spec == ORG_REPO, "as the hint says"


def test_a_file_that_can_not_be_read_is_a_usage_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "myst.yml").write_text("project: {github: org/repo}")
    monkeypatch.setattr("clinder.target.myst.read_file", refuse)
    with pytest.raises(UsageError, match=r"myst\.yml can't be read as MyST's configuration: Permission denied"):
        chosen(tmp_path)


@pytest.mark.parametrize(
    ("project", "where"),
    [
        ("{binder: {url: mybinder.org, repo: org/repo}}", "binder"),
        ("{binder: true, jupyter: {binder: {url: 'https://hub example'}}, github: org/repo}", "jupyter.binder"),
        ("{binder: not a hub, github: org/repo}", "binder"),
        ("{binder: {repo: org}}", "binder"),
        ("{binder: {repo: org/repo, ref: [main]}}", "binder"),
        ("{binder: {repo: org/repo, ref: true}}", "binder"),
        ("{binder: {repo: {a: b}}}", "binder"),
        ("{binder: {repo: 'a b', provider: custom}}", "binder"),
        ("{binder: {repo: a/b, provider: githb}}", "binder"),
        ("{binder: {repo: org/<your-repo>}}", "binder"),
        ("{binder: {repo: org/repo, provider: git}}", "binder"),
        ("{binder: {repo: 10.5281/zenodo.1, provider: zenodo, ref: main}}", "binder"),
    ],
)
def test_what_is_not_understood_is_a_usage_error_that_names_file_and_place(
    tmp_path: Path, project: str, where: str
) -> None:
    with pytest.raises(UsageError) as caught:
        of_myst(tmp_path, f"project: {project}")
    assert caught.value.message.startswith(f"myst.yml, project.{where}: ")
    assert caught.value.hint


def test_an_item_that_nobody_needs_may_be_wrong(tmp_path: Path) -> None:
    wrong_repo = "project: {binder: {url: 'https://hub.example.org', repo: x, provider: custom}}"
    (tmp_path / "myst.yml").write_text(wrong_repo)
    assert chosen(tmp_path, repo="org/repo").hubs == (HUB,)
    (tmp_path / "myst.yml").write_text("project: {binder: {url: mybinder.org}, github: org/repo}")
    assert chosen(tmp_path, hub=HUB).spec == ORG_REPO


@pytest.mark.parametrize(
    "github",
    [
        "false",
        "true",
        "null",
        "org",
        "'https://github.com/org/'",
        "'https://org.github.io/repo/'",
        "[org/repo]",
        "''",
        "5",
        "{a: b}",
        "'https://x'",
        "'https://github.com/org/repo/blob/v1/docs/a.md'",
    ],
)
def test_a_github_that_names_no_repository_names_none(tmp_path: Path, github: str) -> None:
    with pytest.raises(UsageError, match=r"No repository to launch: .* myst\.yml names none"):
        of_myst(tmp_path, f"project: {{github: {github}}}")


# What a file extends

EXTENDED = {
    "a.yml": "project: {jupyter: {binder: {url: 'https://a.example.org'}}, binder: {repo: a/a}}",
    "b.yml": "project: {jupyter: {binder: {repo: b/b}}, github: g/g}",
    "thebe.yml": "project: {thebe: {binder: {repo: t/t}}}",
    "chain.yml": "extends: sub/c.yml",
    "sub/c.yml": "{extends: d.yml, project: {github: c/c}}",
    "sub/d.yml": "{extends: ../myst.yml, project: {github: d/d, binder: {ref: v1}}}",
    "site.yml": "site: {title: x}",
}


@pytest.mark.parametrize(
    ("text", "hub", "repo"),
    [
        ("extends: a.yml", "https://a.example.org/", "a/a"),
        ("extend: a.yml", "https://a.example.org/", "a/a"),
        ("{extends: [a.yml], project: {binder: {repo: own/own}}}", "https://a.example.org/", "own/own"),
        # A key is taken whole: what the other file says below it is gone. The last file counts most.
        ("{extends: a.yml, project: {jupyter: {binder: {repo: own/own}}}}", DEFAULT_HUB, "own/own"),
        ("{extends: [a.yml, b.yml]}", DEFAULT_HUB, "b/b"),
        ("{extends: [b.yml, a.yml]}", "https://a.example.org/", "a/a"),
        ("{extends: [b.yml, a.yml], project: {jupyter: null}}", "https://a.example.org/", "a/a"),
        ("{extends: thebe.yml}", DEFAULT_HUB, "t/t"),
        ("{extends: [site.yml], project: {github: own/own}}", DEFAULT_HUB, "own/own"),
        ("extends: chain.yml", DEFAULT_HUB, "c/c"),
        ("{extends: [[], {a: b}], project: {github: own/own}}", DEFAULT_HUB, "own/own"),
    ],
)
def test_local_files_are_merged_as_myst_merges_them(tmp_path: Path, text: str, hub: str, repo: str) -> None:
    for name, content in EXTENDED.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert (of_myst(tmp_path, text)[0], of_myst(tmp_path, text)[1][0]) == (hub, repo)


@pytest.mark.parametrize("text", ["extends: gone.yml", "extends: .", "extends: broken.yml", "extends: fifo.yml"])
def test_a_file_that_is_extended_and_can_not_be_read_is_a_usage_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yml").write_text("[")
    os.mkfifo(tmp_path / "fifo.yml")
    with pytest.raises(UsageError, match=r"can't be read as MyST's configuration"):
        of_myst(tmp_path, text)


def test_files_that_extend_each_other_end(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.yml").write_text(f"{{extends: [{number + 1}.yml, myst.yml], project: {{github: o/o}}}}")
    assert of_myst(tmp_path, "extends: 0.yml")[1][0] == "o/o"


def test_values_that_grow_without_end_are_not_repeated(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "\n".join(["l0: &l0 [x]", *levels, "project: {github: *l29}"])
    with pytest.raises(UsageError) as caught:
        of_myst(tmp_path, text)
    assert len(caught.value.message) < len(str(tmp_path)) + 80


# Whatever a file says


TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "org/repo",
            "https://github.com/org/repo/tree/a/b",
            "https://hub.example.org/v2/gh/org/repo/HEAD",
            "10.5281/zenodo.1",
            "https://[::1",
            "other.yml",
            "loop.yml",
            "..",
            "a\0b",
            "https://example.org/x.yml",
        ]
    ),
)
NAMES = st.sampled_from(["url", "repo", "ref", "provider", "binder", "jupyter", "github", "thebe"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXT, inner, max_size=4),
    max_leaves=12,
)
BINDERS = (
    st.fixed_dictionaries({}, optional={"url": VALUES, "repo": VALUES, "ref": VALUES, "provider": VALUES}) | VALUES
)
PROJECTS = (
    st.fixed_dictionaries(
        {},
        optional={
            "binder": BINDERS,
            "github": VALUES,
            "jupyter": st.fixed_dictionaries({"binder": BINDERS}) | VALUES,
            "thebe": VALUES,
        },
    )
    | VALUES
)
CONFIGS = st.fixed_dictionaries({}, optional={"project": PROJECTS, "extends": VALUES, "extend": VALUES})


@given(CONFIGS.map(yaml.safe_dump) | st.text(max_size=200))
@example("extends: true")
@example('extends: "a\\0b"')
@example('extends: "a\\e[8mb\\e]0;x\\a\\u202e"')
@example("extends: loop.yml")
@example("project: !!python/object:os.system {}")
def test_any_myst_yml_names_something_to_launch_or_is_an_error_in_words(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "myst.yml").write_text(text, encoding="utf-8", errors="surrogatepass")
        (directory / "other.yml").write_text(text, encoding="utf-8", errors="surrogatepass")
        (directory / "loop.yml").symlink_to("loop.yml")
        for said in ({}, {"repo": "org/repo"}, {"hub": HUB}):
            try:
                target = chosen(directory, offline=True, **said)
            except UsageError as error:
                words = str(error)
            else:
                assert all(hub.startswith(("http://", "https://")) for hub in target.hubs)
                words = "\n".join([*target.hubs, *target.lines])
            assert words == strip_ansi(words)
