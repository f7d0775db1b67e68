"""The real command and the Python API on a real BinderHub: what is started is there, and what is stopped is gone."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
import time

import pytest

from clinder import BinderHub, RepoSpec, Session, SessionGone
from tests.conftest import Clinder, Signalled
from tests.support.session import OTHER_TOKEN, ask, never_within, printed_by_a_cell, running, user, wait_until

from .conftest import read_until
from .serve import RealHub

# What `start --json` prints.
Started = dict[str, str]


def start(clinder: Clinder, *words: str) -> Started:
    done = clinder("start", *words, "--json", timeout=120)
    assert done.returncode == 0, done.stderr
    started: Started = json.loads(done.stdout)
    assert started["token"] not in done.stderr
    return started


@pytest.fixture(scope="module")
def started(hub: RealHub, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """A live session. No test that takes it may end it."""
    return start(Clinder(tmp_path_factory.mktemp("started")), hub.url, "--repo", "org/started")


# start, status


def test_start_prints_the_uri_of_a_server_that_the_hub_runs(clinder: Clinder, hub: RealHub) -> None:
    done = clinder("start", hub.url, "--repo", "org/repo", timeout=120)
    assert done.returncode == 0, done.stderr
    uri = re.fullmatch(rf"({re.escape(hub.jupyterhub_url)}user/org-repo-[^/]+/)\?token=(\S+)\n", done.stdout)
    assert uri, done.stdout
    url, token = uri.groups()
    assert user(url) in hub.servers()
    assert ask("GET", f"{url}api/status", token).status_code == 200
    assert token not in done.stderr


def test_start_prints_where_the_session_came_from_as_json(started: Started, hub: RealHub) -> None:
    assert user(started["url"]) in hub.servers()
    assert started["uri"] == f"{started['url']}?token={started['token']}"
    assert started["hub"] == hub.url
    assert (started["provider"], started["repo"], started["ref"]) == ("gh", "org/started", "HEAD")
    assert started["image"].startswith("org-2dstarted-")


def test_status_says_since_when_the_server_runs(clinder: Clinder, started: Started) -> None:
    done = clinder("status", started["uri"])
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"running since \d{4}-\d\d-\d\dT\S+, last active \d{4}-\S+, kernels: \d+", done.stdout)


def test_status_as_json_counts_the_kernels_of_the_session_in_the_environment(
    clinder: Clinder, started: Started
) -> None:
    environment = {"JUPYTER_BASE_URL": started["url"], "JUPYTER_TOKEN": started["token"]}
    before = json.loads(clinder("status", "--json", env=environment).stdout)
    assert ask("POST", f"{started['url']}api/kernels", started["token"]).status_code == 201
    after = json.loads(clinder("status", "--json", env=environment).stdout)
    assert after["kernels"] == before["kernels"] + 1
    assert after["started"] == before["started"]


def test_a_cell_runs_on_the_session_and_not_where_clinder_runs(started: Started) -> None:
    code = "import json, os; print(json.dumps([os.environ.get('CLINDER_TEST_HUB'), os.environ.get('CI')]))"
    assert json.loads(printed_by_a_cell(started, code)) == ["real", None]


@pytest.mark.parametrize("slash", ["/", ""])
@pytest.mark.parametrize("address", ["url", "prefixed_url"])
def test_a_hub_may_live_under_a_prefix_and_need_not_end_in_a_slash(
    clinder: Clinder, hub: RealHub, address: str, slash: str
) -> None:
    url: str = getattr(hub, address)
    started = start(clinder, url.rstrip("/") + slash, "--repo", "org/addressed")
    assert user(started["url"]) in hub.servers()
    assert started["hub"] == url


def test_a_launch_link_says_repository_and_ref(clinder: Clinder, hub: RealHub) -> None:
    started = start(clinder, f"{hub.url}v2/gh/org/linked/feature/x?urlpath=lab")
    assert user(started["url"]) in hub.servers()
    assert (started["hub"], started["repo"], started["ref"]) == (hub.url, "org/linked", "feature/x")
    # The hub takes this for the commit that the ref stands for: all of the ref has reached it.
    assert started["image"].endswith(f":{hashlib.sha1(b'org/linked/feature/x').hexdigest()}")


def test_all_of_a_builds_log_is_shown_in_order_and_the_uri_alone_is_printed(clinder: Clinder, hub: RealHub) -> None:
    done = clinder("start", hub.url, "--repo", "org/slow-log", timeout=120)
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"^Step (\d+)/30$", done.stderr, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 31)]
    phases = re.findall(r"^==> (\w+) ", done.stderr, re.MULTILINE)
    assert phases == ["waiting", "fetching", "building", "built", "launching", "ready"]
    assert done.stdout.count("\n") == 1
    assert Session.parse(done.stdout).status().kernels == 0


def test_what_the_hub_says_of_an_unknown_ref_is_what_clinder_says(clinder: Clinder, hub: RealHub) -> None:
    done = clinder("start", hub.url, "--repo", "org/unresolved", "--ref", "no-such-ref")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Could not resolve ref for gh:org/unresolved/no-such-ref." in done.stderr
    assert "Traceback" not in done.stderr
    assert not running(hub, "unresolved")


def test_a_provider_that_no_hub_has_is_a_usage_error(clinder: Clinder, hub: RealHub) -> None:
    done = clinder("start", f"{hub.url}v2/nowhere/org/repo/HEAD")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown provider: 'nowhere'" in done.stderr


# build


def test_an_image_is_built_once_and_there_ever_after_and_no_server_is_left(clinder: Clinder, hub: RealHub) -> None:
    results = []
    for _ in range(2):
        done = clinder("build", hub.url, "--repo", "org/built-ahead", "--json", timeout=120)
        assert done.returncode == 0, done.stderr
        [row] = json.loads(done.stdout)["hubs"]
        results.append((row["hub"], row["result"], row["image"].partition(":")[0].startswith("org-2dbuilt-2dahead-")))
    assert results == [(hub.url, "built", True), (hub.url, "already there", True)]
    wait_until(lambda: not running(hub, "built-ahead"))


# stop


def test_a_session_is_stopped_once_and_is_already_gone_ever_after(clinder: Clinder, hub: RealHub) -> None:
    started = start(clinder, hub.url, "--repo", "org/stopped-twice")
    url, token = started["url"], started["token"]
    assert user(url) in hub.servers()

    first = clinder("stop", "-", input=json.dumps(started))
    assert (first.returncode, first.stdout, first.stderr) == (0, "", f"clinder: stopped {url}\n")

    wait_until(lambda: answer(url, token) != 200)  # it has said yes, and needs a moment to end
    second = clinder("stop", url, token)
    assert (second.returncode, second.stderr) == (0, f"clinder: already gone: {url}\n")

    wait_until(lambda: user(url) not in hub.servers())
    wait_until(lambda: answer(url, token) == 302)
    assert ask("POST", f"{url}api/shutdown", token).status_code == 403, "as a live server says to a wrong token"
    third = clinder("stop", started["uri"])
    assert (third.returncode, third.stderr) == (0, f"clinder: already gone: {url}\n")

    status = clinder("status", started["uri"])
    assert (status.returncode, status.stdout) == (1, "")
    assert "gone" in status.stderr


def test_a_proxy_that_says_503_is_asked_until_the_hub_has_noticed_that_the_server_ended(hub: RealHub) -> None:
    """JupyterHub looks once a second here, so this may need more than one session."""
    for _ in range(10):
        session = BinderHub(hub.url).launch(RepoSpec("org/unnoticed"))
        assert session.stop() is True
        while answer(session.url, session.token) == 200:
            time.sleep(0.02)
        status = answer(session.url, session.token)
        assert session.stop() is False
        if status == 503:
            return
    pytest.fail("the proxy has never said 503")


def answer(url: str, token: str) -> int:
    """The HTTP status with which somebody answers for a session."""
    return ask("GET", f"{url}api/status", token).status_code


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_wrong_token_is_an_error_and_the_server_goes_on(
    clinder: Clinder, hub: RealHub, started: Started, command: str
) -> None:
    done = clinder(command, started["url"], OTHER_TOKEN)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not accept this token" in done.stderr
    assert OTHER_TOKEN not in done.stderr
    assert clinder("status", started["uri"]).returncode == 0
    assert user(started["url"]) in hub.servers()


# run


def test_run_gives_the_command_a_live_session_and_stops_it_with_the_commands_exit_code(
    clinder: Clinder, hub: RealHub
) -> None:
    code = (
        "import os, urllib.request\n"
        "url = os.environ['JUPYTER_BASE_URL']\n"
        "headers = {'Authorization': 'token ' + os.environ['JUPYTER_TOKEN']}\n"
        "request = urllib.request.Request(url + 'api/status', headers=headers)\n"
        "print(url, urllib.request.urlopen(request).status)\n"
        "raise SystemExit(7)\n"
    )
    done = clinder("run", hub.url, "--repo", "org/run", "--", sys.executable, "-c", code, timeout=120)
    assert done.returncode == 7, done.stderr
    url, status = done.stdout.split()
    assert status == "200"
    assert user(url).startswith("org-run-")
    wait_until(lambda: user(url) not in hub.servers())


# Cancelled


def test_a_signal_during_the_launch_leaves_no_server(clinder: Clinder, hub: RealHub) -> None:
    # clinder can listen on for seven seconds after a signal. Where tests crowd, a launch may take longer: clinder says
    # so, which proves nothing, and the signal has to come later in the launch, but before its end.
    delay = 0.0
    for attempt in range(10):
        repo = f"cancelled-launch-{attempt}"
        process = clinder.begin("start", hub.url, "--repo", f"org/{repo}", "--timeout", "120")
        read_until(process, "==> launching")
        time.sleep(delay)
        done = Signalled(process, signal.SIGTERM)
        if "did not hand over the server" in done.stderr:
            delay += 3
        elif done.code == 0 and delay > 0:
            Session.parse(done.stdout).stop()
            delay -= 1
        else:
            break
    assert (done.code, done.stdout) == (143, "")
    wait_until(lambda: not running(hub, repo))
    never_within(3, hub, repo)


def test_a_signal_during_the_build_leaves_no_server(clinder: Clinder, hub: RealHub) -> None:
    process = clinder.begin("start", hub.url, "--repo", "org/slow-cancelled", "--timeout", "120")
    read_until(process, "Step 3/30")
    done = Signalled(process, signal.SIGINT)
    assert (done.code, done.stdout) == (130, "")
    never_within(8, hub, "slow-cancelled")  # the build goes on for three seconds, and a launch would take two more


# The Python API


def test_a_session_of_the_python_api_lives_as_long_as_its_block(hub: RealHub) -> None:
    phases = []
    with BinderHub(hub.url).launch(
        RepoSpec("org/python"), on_event=lambda event: phases.append(event.phase)
    ) as session:
        assert user(session.url) in hub.servers()
        assert session.status().kernels == 0
        assert printed_by_a_cell(session.as_dict(), "import os; print(os.environ['CLINDER_TEST_HUB'])") == "real\n"
    assert list(dict.fromkeys(phases)) == ["built", "launching", "ready"]
    wait_until(lambda: user(session.url) not in hub.servers())
    assert session.stop() is False
    with pytest.raises(SessionGone):
        session.status()


def test_a_session_of_the_python_api_is_stopped_when_its_block_fails(hub: RealHub) -> None:
    session = BinderHub(hub.prefixed_url).launch(RepoSpec("org/failing", "main"))
    assert user(session.url) in hub.servers()
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    wait_until(lambda: user(session.url) not in hub.servers())
