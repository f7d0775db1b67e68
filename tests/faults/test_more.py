"""The last line of an error has the address of its entry in the documentation, and nothing else has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinder import BinderHub, HubRefused, HubUnavailable, RepoSpec
from clinder.errors import more
from tests.conftest import Clinder
from tests.support.hub import Answer, Exchange, FaultyHub, cut, failed, http
from tests.support.runner import Job

NO_REF = failed("Could not resolve ref for gh:org/repo/no. Double check your URL.")
BANNED = failed("Requests from AWS are not allowed\n", status_code=403)
FULL = failed("Too many users on this BinderHub! Try again soon.\n")
BROKEN_BUILD = failed("Error during build: exit status 1", after=("fetching", "building"))
DOWN = http("503 Service Unavailable")
BREAKS = cut("building", Exchange.reset)


@pytest.mark.parametrize(
    ("answer", "anchor"),
    [
        (NO_REF, "no-such-ref"),
        (BANNED, "banned-network"),
        (FULL, "full"),
        (BROKEN_BUILD, "build-failed"),
        (DOWN, "http-5xx"),
        (BREAKS, "broken"),
    ],
)
@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
def test_a_final_error_ends_with_the_address_of_its_entry(
    clinder: Clinder, answer: Answer, anchor: str, option: str
) -> None:
    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "2", "--json", option)
    assert done.returncode
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if "More:" in line] == [lines[-1]] == [more(anchor)]


@pytest.mark.parametrize(
    ("words", "anchor"),
    [
        (["start", "https://hub.example.org", "--repo", "no repo"], "wrong-input"),
        (["start", "--no-such"], "command-line"),
        (["stop", "not-an-address"], "wrong-input"),
        (["run", "local", "--", "no-such-command"], "command-not-run"),
    ],
)
def test_a_usage_error_ends_with_the_address_of_its_entry(clinder: Clinder, words: list[str], anchor: str) -> None:
    done = clinder(*words)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if "More:" in line] == [lines[-1]] == [more(anchor)]


def test_with_several_hubs_the_address_is_that_of_the_error_whose_hint_is_shown(clinder: Clinder) -> None:
    with FaultyHub(BANNED) as first, FaultyHub(DOWN) as second:
        done = clinder("start", first.url, "--fallback-hub", second.url, "--repo", "org/repo", "--timeout", "2")
    assert done.stderr.splitlines()[-1] == more("http-5xx")


def test_a_build_on_several_hubs_has_one_address(clinder: Clinder) -> None:
    with FaultyHub(NO_REF) as first, FaultyHub(BROKEN_BUILD) as second:
        done = clinder("build", first.url, second.url, "--repo", "org/repo", "--json")
    lines = done.stderr.splitlines()
    assert [line for line in lines if "More:" in line] == [f"clinder: {more('build-failed')}"] == [lines[-1]]
    assert "More" not in done.stdout
    assert [row["result"] for row in json.loads(done.stdout)["hubs"]] == ["failed", "failed"]


def test_a_command_that_fails_is_followed_by_no_address(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "More:" not in done.stderr


@pytest.mark.parametrize(("answer", "anchor"), [(NO_REF, "no-such-ref"), (BROKEN_BUILD, "build-failed")])
def test_the_annotation_ends_with_the_address(tmp_path: Path, answer: Answer, anchor: str) -> None:
    with FaultyHub(answer) as hub:
        main = Job(tmp_path / "job").main(hub_url=hub.url, repo="org/repo").finish()
    [(_, message)] = main.log.named("error")
    assert message.endswith(f"\n{more(anchor)}")
    assert message.count("More:") == 1


def test_the_library_has_the_address_apart_from_the_words_of_the_error() -> None:
    with FaultyHub(NO_REF) as hub, pytest.raises(HubRefused) as refused:
        BinderHub(hub.url).launch(RepoSpec("org/repo"), timeout=5)
    assert refused.value.more == more("no-such-ref")
    assert "More:" not in str(refused.value)
    with FaultyHub(FULL) as hub, pytest.raises(HubUnavailable) as unavailable:
        BinderHub(hub.url).launch(RepoSpec("org/repo"), timeout=1)
    assert unavailable.value.more == more("full")
