"""build makes sure that hubs have the image and keeps no session, whether a hub builds alone or only launches."""

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clinder import BinderHub, BuildFailed, Event, Image, RepoSpec
from tests.conftest import Clinder, Signalled
from tests.support.git import commits
from tests.support.hub import Answer, Exchange, FaultyHub, cut, failed, http, launch, ready_at_once, redirect
from tests.support.runner import Job

# What BinderHub answers, with a status code, where the API-only mode is off (binderhub/builder.py).
REFUSAL = (
    "Building but not launching is not permitted when the API only mode was not enabled by setting "
    "`enable_api_only_mode` to True. \n"
)
LAUNCHED_ONLY = failed(REFUSAL, status_code=400)
BROKEN_BUILD = failed("Error during build: exit status 1", after=("fetching", "building"))


def api_only(*phases: str) -> Answer:
    """Answer as a hub in its API-only mode does: the image is ready, and nothing is launched."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for phase in phases:
            exchange.event(phase, f"a line while {phase}\n")
        exchange.event("ready", "Done!\n", imageName="registry/im:abc")
        exchange.wait_for_close()

    return answer


def launching(*phases: str, image: str = "registry/im:abc") -> Answer:
    """Answer as a hub does that launches what it has built."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for phase in phases:
            exchange.event(phase, f"a line while {phase}\n")
        exchange.event("built", "launching...\n", imageName=image)
        exchange.event("launching", "Launching server...\n")
        exchange.ready(image=image)
        exchange.wait_for_close()

    return answer


def build(clinder: Clinder, *hubs: FaultyHub, code: int = 0, more: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    done = clinder("build", *(hub.url for hub in hubs), "--repo", "org/repo", "--json", *more)
    assert done.returncode == code, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["hubs"]
    return rows


@contextmanager
def two_members() -> Iterator[tuple[FaultyHub, FaultyHub, FaultyHub]]:
    with FaultyHub(api_only()) as one, FaultyHub(api_only()) as other, FaultyHub(redirect(one)) as door:
        members = {name: {"url": hub.url.rstrip("/")} for name, hub in (("one", one), ("other", other))}
        door.active_hosts = http("200 OK", body=json.dumps({"active_hosts": members}))
        yield door, one, other


# One hub


@pytest.mark.parametrize(("phases", "result"), [((), "already there"), (("waiting", "building"), "built")])
def test_a_hub_in_api_only_mode_builds_and_launches_nothing(
    clinder: Clinder, phases: tuple[str, ...], result: str
) -> None:
    with FaultyHub(api_only(*phases)) as hub:
        [row] = build(clinder, hub)
        assert (row["hub"], row["result"], row["image"], row["error"]) == (hub.url, result, "registry/im:abc", None)
        assert [one.path for one in hub.builds] == ["/build/gh/org/repo/HEAD?build_only=true"]
        assert hub.launched == 0


@pytest.mark.parametrize(("phases", "result"), [((), "already there"), (("waiting", "building"), "built")])
def test_a_hub_that_only_launches_is_asked_to_launch_and_its_server_is_stopped(
    clinder: Clinder, phases: tuple[str, ...], result: str
) -> None:
    with FaultyHub(LAUNCHED_ONLY, launching(*phases)) as hub:
        [row] = build(clinder, hub)
        assert (row["result"], row["image"]) == (result, "registry/im:abc")
        asked = [one.path for one in hub.builds]
        assert asked == ["/build/gh/org/repo/HEAD?build_only=true", "/build/gh/org/repo/HEAD"]
        assert (hub.launched, hub.stopped) == (1, 1)


def test_an_old_hub_that_launches_all_the_same_is_asked_once_and_its_server_is_stopped(clinder: Clinder) -> None:
    with FaultyHub(launching()) as hub:
        [row] = build(clinder, hub)
        assert (row["result"], len(hub.builds), hub.launched, hub.stopped) == ("already there", 1, 1, 1)


@pytest.mark.parametrize("message", ["Too many users on this BinderHub! Try again soon.\n", "Failed to launch image\n"])
def test_a_launch_that_fails_makes_no_difference_once_the_image_is_there(clinder: Clinder, message: str) -> None:
    with FaultyHub(LAUNCHED_ONLY, failed(message, after=("building", "built", "launching"))) as hub:
        [row] = build(clinder, hub)
        assert (row["result"], len(hub.builds)) == ("built", 2)


def test_a_launch_that_breaks_off_is_not_repeated_and_the_server_that_may_be_left_is_told(clinder: Clinder) -> None:
    with FaultyHub(cut("launching", Exchange.reset)) as hub:
        done = clinder("build", hub.url, "--repo", "org/repo", "--quiet")
        assert (done.returncode, len(hub.builds)) == (0, 1)
        assert "did not hand over the server it was launching" in done.stderr


def test_a_server_without_a_usable_address_is_told(clinder: Clinder) -> None:
    def unusable(exchange: Exchange) -> None:
        exchange.stream()
        exchange.ready(url="ftp://x/")
        exchange.wait_for_close()

    with FaultyHub(unusable) as hub:
        done = clinder("build", hub.url, "--repo", "org/repo", "--quiet")
        assert done.returncode == 0
        assert "did not hand over the server it was launching" in done.stderr


def test_trouble_before_the_build_is_tried_again(clinder: Clinder) -> None:
    with FaultyHub(http("503 Service Unavailable"), cut("building", Exchange.reset), api_only()) as hub:
        [row] = build(clinder, hub)
        assert (row["result"], len(hub.builds)) == ("built", 3)


def test_the_deadline_holds_for_the_build_and_the_launch_together(clinder: Clinder) -> None:
    def slowly_refused(exchange: Exchange) -> None:
        exchange.stream()
        time.sleep(1)
        exchange.event("failed", REFUSAL, status_code=400)

    def builds_on(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "Step 1/9\n")
        exchange.wait_for_close()

    with FaultyHub(slowly_refused, builds_on) as hub:
        began = time.monotonic()
        [row] = build(clinder, hub, code=4, more=("--timeout", "3"))
        assert time.monotonic() - began < 20
        assert re.match("No image within 3 seconds: .* was still building", row["error"])


def test_the_deadline_is_told_in_the_seconds_that_were_given(clinder: Clinder) -> None:
    with FaultyHub() as down:
        down.die()
        done = clinder("build", down.url, "--repo", "org/repo", "--timeout", "2")
        assert "before the deadline (2 s)" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_leaves_no_server_and_asks_no_other_hub(clinder: Clinder, number: int) -> None:
    with FaultyHub(launch(1)) as hub, FaultyHub() as other:
        process = clinder.begin("build", hub.url, other.url, "--repo", "org/repo")
        hub.wait_until("launching")
        done = Signalled(process, number)
        assert (done.code, done.stdout) == (128 + number, "")
        assert done.seconds < 9
        assert (hub.launched, hub.stopped, other.requests) == (1, 1, [])


# Several hubs


def test_every_hub_is_built_whatever_becomes_of_the_others_and_the_table_says_what(clinder: Clinder) -> None:
    with (
        FaultyHub(BROKEN_BUILD) as first,
        FaultyHub(api_only("building")) as second,
        FaultyHub(api_only()) as third,
    ):
        done = clinder("build", first.url, second.url, third.url, "--repo", "org/repo")
        assert done.returncode == BuildFailed.exit_code
        rows = [re.split(" {2,}", line) for line in done.stdout.splitlines()]
        assert [row[:2] for row in rows] == [
            ["hub", "image"],
            [first.url, "failed"],
            [second.url, "built"],
            [third.url, "already there"],
        ]
        assert all(re.fullmatch(r"\d+\.\d s", row[2]) for row in rows[1:])
        assert f"clinder: error: {first.url} could not build gh/org/repo/HEAD" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_exit_code_is_that_of_the_first_hub_that_failed(clinder: Clinder) -> None:
    with FaultyHub(api_only()) as fine, FaultyHub() as down, FaultyHub(BROKEN_BUILD) as broken:
        down.die()
        rows = build(clinder, fine, down, broken, code=3, more=("--timeout", "2"))
        assert [row["result"] for row in rows] == ["already there", "failed", "failed"]
        assert "could not be reached" in rows[1]["error"]


def test_a_hub_given_twice_is_asked_once_and_hubs_may_follow_an_option(clinder: Clinder) -> None:
    with FaultyHub(api_only()) as hub, FaultyHub(api_only()) as other:
        done = clinder("build", hub.url, "--json", hub.url.rstrip("/"), other.url, "--repo=org/repo")
        assert [row["hub"] for row in json.loads(done.stdout)["hubs"]] == [hub.url, other.url]
        assert len(hub.builds) == 1


def test_all_members_of_a_federation_are_built_and_not_its_front_door(clinder: Clinder) -> None:
    with two_members() as (door, one, other), FaultyHub(api_only()) as plain:
        done = clinder("build", door.url, plain.url, "--all-members", "--json", "--repo", "org/repo")
        assert done.returncode == 0, done.stderr
        assert [row["hub"] for row in json.loads(done.stdout)["hubs"]] == [one.url, other.url, plain.url]
        assert (door.builds, len(one.builds), len(other.builds)) == ([], 1, 1)
        assert f"{plain.url} names no members of a federation: the image is built only there" in done.stderr


def test_without_that_a_federation_is_asked_at_its_front_door_which_keeps_the_query(clinder: Clinder) -> None:
    with two_members() as (door, one, other):
        build(clinder, door)
        assert [hub.path for hub in (*door.builds, *one.builds)] == ["/build/gh/org/repo/HEAD?build_only=true"] * 2
        assert other.builds == []


def test_the_build_token_goes_to_the_first_hub_alone(clinder: Clinder) -> None:
    with FaultyHub(api_only()) as first, FaultyHub(api_only()) as second:
        build(clinder, first, second, more=("--build-token", "jwt-secret"))
        assert "build_token=jwt-secret" in first.builds[0].path
        assert "jwt-secret" not in second.builds[0].path


def test_the_commit_that_reuse_image_would_launch_is_built(clinder: Clinder) -> None:
    environment, prose = commits(clinder.directory)
    with FaultyHub(api_only()) as hub:
        build(clinder, hub, more=("--ref", prose, "--reuse-image"))
        assert f"/{environment}?" in hub.builds[0].path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["local"], "local builds no image"),
        (["https://hub.example.org", "https://hub.example.org/v2/gh/org/repo/HEAD"], "further hub"),
        (["https://hub.example.org", "--fallback-hub", "x"], "unknown option: --fallback-hub"),
    ],
)
def test_what_can_not_be_built_is_a_usage_error(clinder: Clinder, words: list[str], said: str) -> None:
    done = clinder("build", *words, "--repo", "org/repo")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "launching" not in done.stderr


# The library


def test_the_library_returns_the_image_and_gives_the_events() -> None:
    events: list[Event] = []
    with FaultyHub(LAUNCHED_ONLY, launching("building")) as hub:
        image = BinderHub(hub.url).build(RepoSpec("org/repo"), on_event=events.append)
        assert image == Image(hub.url, "registry/im:abc", built=True)
        assert [event.phase for event in events if event.phase != "failed"] == [
            *("building", "built", "launching", "ready", "stopping")
        ]


def test_the_library_raises_what_the_build_failed_of() -> None:
    with FaultyHub(BROKEN_BUILD) as hub, pytest.raises(BuildFailed, match="exit status 1"):
        BinderHub(hub.url).build(RepoSpec("org/repo"))


def test_a_name_that_is_no_text_is_not_known() -> None:
    def odd(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("ready", "Done!", imageName={"a": 1})

    with FaultyHub(odd) as hub:
        assert BinderHub(hub.url).build(RepoSpec("org/repo")) == Image(hub.url, None, built=False)


# The Action


def test_the_action_builds_on_each_hub_starts_nothing_and_shows_a_table(tmp_path: Path) -> None:
    with FaultyHub(BROKEN_BUILD) as first, FaultyHub(LAUNCHED_ONLY, launching()) as second:
        job = Job(tmp_path / "job")
        main = job.main(hub_url=f"{first.url}\n{second.url}", build_only="true").finish()
        assert main.code == BuildFailed.exit_code
        [(properties, message)] = main.log.named("error")
        assert properties["title"] == "Build failed"
        assert first.url in message
        assert "exit status 1" in message
        assert re.search(r"\| failed \| \d+\.\d s \|\n.*\| already there \| \d+\.\d s \|", main.summary)
        assert (main.outputs, main.env, main.state) == ({}, {}, {})
        assert (second.launched, second.stopped) == (1, 1)
        post = job.post(main.state)
        assert (post.code, post.log.lines) == (0, ["This step started no session: nothing to stop."])


def test_the_action_builds_on_all_members(tmp_path: Path) -> None:
    with two_members() as (door, one, other):
        main = Job(tmp_path / "job").main(hub_url=door.url, build_only="true", all_members="true").finish()
        assert main.code == 0, main.log.raw
        assert (door.builds, len(one.builds), len(other.builds)) == ([], 1, 1)


@pytest.mark.parametrize("inputs", [{"build_only": "perhaps"}, {"all_members": "true"}])
def test_an_input_that_can_not_be_meant_is_an_annotation(tmp_path: Path, inputs: dict[str, str]) -> None:
    with FaultyHub(ready_at_once) as hub:
        main = Job(tmp_path / "job").main(hub_url=hub.url, **inputs).finish()
        assert (main.code, hub.requests) == (2, [])
        [name] = inputs
        assert main.log.named("error")[0][1].startswith(f"Input {name.replace('_', '-')}: ")
