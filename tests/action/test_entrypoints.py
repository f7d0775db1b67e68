"""The Action's two steps as a runner sees them, against a hub that does what it is told to. No container needed."""

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clinder._signals import Signalled, Signals
from clinder.action import log as action_log
from tests.conftest import SIGNALLED_AS_IT_RETURNS, Clinder
from tests.support.git import commits
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, in_trouble_once
from tests.support.runner import Job, Log, Step

HOSTILE = [
    "::error::owned",
    "  ::set-env name=PATH::/evil",
    "\t::set-output name=url::http://evil/",
    "\u00a0\u2003::error::owned",
    "::SET-ENV name=X::owned",
    "text ##[error]owned",
    "##[Set-Env name=X]owned",
    "text\r::error::owned",
    "text\r\n::add-mask::e",
    "text\n::stop-commands::x",
    "::endgroup::",
    "##[endgroup]",
    "::stop-commands::attacker\n::attacker::\n::error::owned",
    "::debug::owned",
    "::save-state name=token::owned",
    "\x1b[31m::error::owned",
    "\x00::error::owned",
]


def escaped(text: str) -> str:
    """Return text as the summary's Markdown has it."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def job(tmp_path: Path, **options: Any) -> Job:
    return Job(tmp_path / "job", **options)


def start(tmp_path: Path, hub: FaultyHub, **inputs: str) -> Step:
    return job(tmp_path).main(hub_url=hub.url, **inputs).finish()


def building(*messages: str, then: str = "ready", **more: Any) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", "Waiting for build to start...\n")
        for message in messages:
            exchange.event("building", message)
        if then == "ready":
            exchange.ready(**more)
        else:
            exchange.event(then, **more)
        exchange.wait_for_close()

    return answer


def test_the_session_is_handed_over_whole_and_stopped_at_the_end(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        main = the_job.main(hub_url=hub.url).finish()
        assert main.code == 0, main.log.raw
        assert hub.builds[0].path == f"/build/gh/org/repo/{'a' * 40}"
        assert main.env == {"JUPYTER_BASE_URL": hub.session_url, "JUPYTER_TOKEN": TOKEN}
        assert main.outputs == {
            "url": hub.session_url,
            "token": TOKEN,
            "image": "im/age:1",
            "ref": "a" * 40,
            "launch-url": f"{hub.url}v2/gh/org/repo/{'a' * 40}",
        }
        post = the_job.post(main.state)
        assert (post.code, hub.stopped) == (0, 1)
        assert post.log.lines == [f"Stopped {hub.session_url}"]


def test_a_workflow_of_the_node_action_runs_unchanged(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        main = start(tmp_path, hub, repo="other/repo", ref="main", build_token="jwt")
        assert main.code == 0
        assert hub.builds[0].path == "/build/gh/other/repo/main?build_token=jwt"
        assert {"url", "token"} <= main.outputs.keys()


def test_on_a_pull_request_the_head_is_launched_from_its_fork(tmp_path: Path) -> None:
    head = {"sha": "b" * 40, "repo": {"full_name": "fork/repo"}}
    with FaultyHub() as hub:
        the_job = job(tmp_path, event=("pull_request", {"pull_request": {"head": head}}))
        assert the_job.main(hub_url=hub.url).finish().code == 0
        assert hub.builds[0].path == f"/build/gh/fork/repo/{'b' * 40}"


def test_the_head_of_a_deleted_fork_is_said_to_be_on_no_branch_and_no_hub_is_asked(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path, event=("pull_request", {"pull_request": {"head": {"sha": "b" * 40, "repo": None}}}))
        main = the_job.main(hub_url=hub.url).finish()
        assert (main.code, hub.requests) == (2, [])
        assert "fork of this pull request was deleted" in str(main.log.raw)


def test_on_a_server_of_ones_own_the_repository_is_a_git_url(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path, env={"GITHUB_SERVER_URL": "https://git.example.edu"})
        assert the_job.main(hub_url=hub.url).finish().code == 0
        assert hub.builds[0].path == f"/build/git/https%3A%2F%2Fgit.example.edu%2Forg%2Frepo/{'a' * 40}"


def test_a_launch_link_names_repository_and_ref(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        main = job(tmp_path).main(hub_url=f"{hub.url}v2/gh/linked/repo/dev?urlpath=lab").finish()
        assert main.code == 0
        assert hub.builds[0].path == "/build/gh/linked/repo/dev"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hub_url", "no url"),
        ("hub_url", "mybinder.org"),
        ("hub_url", "local"),
        ("hub_url", "- https://mybinder.org"),
        ("hub_url", "['https://mybinder.org']"),
        ("hub_url", "https://mybinder.org, https://hub.example.org"),
        ("hub_url", "https://hub.example.org/user/x/lab?token=s3cret"),
        ("timeout", "soon"),
        ("timeout", "0"),
        ("timeout", "-5"),
        ("repo", "not a repo"),
        ("provider", "svn"),
        ("provider", "gl"),
        ("ref", "a b"),
        ("hub_url", "https://hub.example.org/\nno url"),
        ("reuse_image", "perhaps"),
        ("fallback_hub", "https://hub.example.org/\nno url"),
        ("working_directory", "no/such/directory"),
        ("working_directory", "a" * 300),
    ],
)
def test_bad_input_is_one_annotation_that_names_the_input(tmp_path: Path, name: str, value: str) -> None:
    with FaultyHub() as hub:
        main = job(tmp_path).main(**{"hub_url": hub.url, name: value}).finish()
        assert main.code == 2
        [(properties, message)] = main.log.named("error")
        assert message.startswith(f"Input {name.replace('_', '-')}: ")
        assert properties["title"] == "Invalid input"
        assert main.summary.startswith("### Invalid input\n\nInput ")
        assert "s3cret" not in f"{main.log.raw!r} {main.summary}"
        assert hub.builds == []


def refusing(message: str, **more: Any) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("failed", message, **more)
        exchange.wait_for_close()

    return answer


def test_several_hubs_are_tried_in_order_and_the_summary_says_which_it_was(tmp_path: Path) -> None:
    full = "Too many users on this BinderHub! Try again soon."
    with FaultyHub(refusing(full)) as first, FaultyHub() as second:
        main = job(tmp_path).main(hub_url=f"\n {first.url}\n{second.url}\n", build_token="jwt").finish()
        assert main.code == 0, main.log.raw
        assert any(line.endswith(f"Try again soon. Trying {second.url} now.") for line in main.log.lines)
        assert main.outputs["url"] == second.session_url
        assert escaped(second.url) in main.summary
        assert (len(first.builds), len(second.builds)) == (1, 1)
        assert "jwt" in first.builds[0].path
        assert "jwt" not in second.builds[0].path


def test_a_hub_that_myst_yml_names_has_one_to_fall_back_on(tmp_path: Path) -> None:
    with FaultyHub(refusing("Too many users on this BinderHub! Try again soon.")) as first, FaultyHub() as second:
        the_job = job(tmp_path)
        (the_job.workspace / "myst.yml").write_text(f"project: {{jupyter: {{binder: {{url: '{first.url}'}}}}}}")
        main = the_job.main(fallback_hub=f"{second.url}\n").finish()
        assert main.code == 0, main.log.raw
        assert main.outputs["url"] == second.session_url


def test_myst_yml_and_the_checkout_are_looked_for_in_the_working_directory(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        docs = the_job.workspace / "book" / "docs"
        docs.mkdir(parents=True)
        environment, prose = commits(docs.parent)
        (docs / "myst.yml").write_text(f"project: {{jupyter: {{binder: {{url: '{hub.url}'}}}}}}")
        (docs / "page.md").write_text("```{code-cell}\nopen('data.csv')\n```\n")
        (docs / "data.csv").touch()
        the_job.env["GITHUB_SHA"] = prose
        main = the_job.main(working_directory="book/docs", reuse_image="true").finish()
        assert main.code == 0, main.log.raw
        assert hub.builds[0].path == f"/build/gh/org/repo/{environment}"
        assert any(line.startswith("clinder: warning: docs/page.md names 'data.csv'") for line in main.log.lines)


def test_the_hub_of_myst_yml_is_used_and_gets_no_build_token(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        (the_job.workspace / "myst.yml").write_text(f"project: {{jupyter: {{binder: {{url: '{hub.url}'}}}}}}")
        main = the_job.main().finish()
        assert main.code == 0, main.log.raw
        assert main.log.lines[0].endswith(
            f" on {hub.url} (repository and commit from GitHub Actions, hub from myst.yml)"
        )
        asked = len(hub.requests)
        main = the_job.main(build_token="jwt").finish()
        assert main.code == 2
        [(_, message)] = main.log.named("error")
        assert "is not sent to" in message
        assert len(hub.requests) == asked


def test_an_image_is_reused_and_log_and_summary_say_what_for(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        environment, prose = commits(the_job.workspace)
        the_job.env["GITHUB_SHA"] = prose
        main = the_job.main(hub_url=hub.url, reuse_image="true").finish()
        assert main.code == 0, main.log.raw
        assert hub.builds[0].path == f"/build/gh/org/repo/{environment}"
        assert main.outputs["ref"] == environment
        assert environment in main.log.lines[0]
        assert main.log.lines[1].startswith(f"clinder: reusing the image of {environment[:10]}, ")
        assert f"| Instead of | {escaped(f'gh/org/repo/{prose}')} |" in main.summary


def test_tokens_are_masked_before_anything_else_and_never_in_clear(tmp_path: Path) -> None:
    with FaultyHub(building(f"what if the log knew {TOKEN[:4]}\n")) as hub:
        main = start(tmp_path, hub, build_token="build-secret")
        assert main.log.commands[0] == ("add-mask", {}, "build-secret")
        assert main.log.raw[0] == "::add-mask::build-secret"
        clear = [line for line in main.log.raw if TOKEN in line or "build-secret" in line]
        assert clear == ["::add-mask::build-secret", f"::add-mask::{TOKEN}"]
        assert TOKEN not in main.summary
        post = main.job.post(main.state)
        assert post.log.raw[0] == f"::add-mask::{TOKEN}"


def test_each_phase_is_a_group_with_its_duration(tmp_path: Path) -> None:
    with FaultyHub(building("one\n", "two")) as hub:
        log = start(tmp_path, hub).log
        assert [data for _, data in log.named("group")] == ["waiting", "building", "ready"]
        assert len(log.named("endgroup")) == 3
        said = f"clinder: launching gh/org/repo/{'a' * 40} on {hub.url} (repository and commit from GitHub Actions)"
        assert log.lines[0] == said
        assert "one" in log.lines
        assert any(line.startswith("building took 0.") for line in log.lines)
        assert log.lines[-1] == f"clinder: ready: {hub.session_url}"


def test_step_debug_shows_every_event_without_its_token(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        main = job(tmp_path, env={"RUNNER_DEBUG": "1"}).main(hub_url=hub.url).finish()
        assert any('"phase": "ready"' in line for line in main.log.lines)
        assert sum(TOKEN in line for line in main.log.raw) == 1


@pytest.mark.parametrize("message", HOSTILE)
def test_nothing_in_a_build_log_is_a_command(tmp_path: Path, message: str) -> None:
    with FaultyHub(building(message, message + "\n")) as hub:
        log = start(tmp_path, hub).log
        assert {name for name, _, _ in log.commands} <= {"add-mask", "group", "endgroup"}
        assert len(log.named("endgroup")) == len(log.named("group")) == 3
        assert log.named("add-mask") == [({}, TOKEN)]


def test_a_log_that_knows_the_token_of_its_guard_is_no_command_either(tmp_path: Path) -> None:
    """A build can't know it; but were it to leak, it would still not end the guard."""

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "begun\n")
        token = ""
        while not token:
            guards = [line for line in list(step.log.raw) if line.startswith("::stop-commands::")]
            token = guards[-1].rpartition("::")[2] if guards else ""
            time.sleep(0.05)
        for form in (token, token.upper()):
            exchange.event("building", f"::{form}::\n::error::owned\n##[{form}]\n::error::owned\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        step = job(tmp_path).main(hub_url=hub.url)
        log = step.finish().log
        assert log.named("error") == []
        assert sum("::error::owned" in line for line in log.lines) == 4


@pytest.mark.parametrize("message", HOSTILE)
@pytest.mark.parametrize("after", ["built", "building", "waiting"])
def test_nothing_in_a_failure_is_a_command(tmp_path: Path, message: str, after: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event(after, "so far\n")
        exchange.event("failed", message)
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        main = start(tmp_path, hub, timeout="3")
        assert main.code in (1, 3, 4)  # the last on a machine that is busy
        assert len(main.log.named("error")) == 1
        assert {name for name, _, _ in main.log.commands} <= {"group", "endgroup", "error"}


@pytest.mark.parametrize("message", [*HOSTILE, ":\n::error::owned", "###[error]owned"])
@pytest.mark.parametrize("then", ["ready", "failed"])
def test_nothing_in_a_build_log_is_a_command_to_a_step_that_runs_the_command_line(
    clinder: Clinder, message: str, then: str
) -> None:
    more = {"message": message} if then == "failed" else {}
    with FaultyHub(building(message, message + "\n", then=then, **more)) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", encoding="utf-8")
        assert done.returncode == (0 if then == "ready" else 1)
        log = Log()
        for line in re.split("\r\n|\r|\n", done.stderr):
            log.feed(line)
        assert log.commands == []
        words = re.sub(r"\x1b\[\d+m|[^\w:]", "", message)
        assert words in re.sub(r"[^\w:]", "", done.stderr)  # all of it is there, with a blank in it


def test_a_failed_build_is_one_annotation_with_the_end_of_its_log_outside_the_groups(tmp_path: Path) -> None:
    with FaultyHub(building(*(f"line {number}\n" for number in range(50)), "::error::owned\n", then="failed")) as hub:
        main = start(tmp_path, hub)
        assert main.code == 1
        [(properties, message)] = main.log.named("error")
        assert "could not build" in message
        assert properties["title"] == "Build failed"
        raw = main.log.raw
        outside = raw[max(index for index, line in enumerate(raw) if line == "::endgroup::") :]
        assert {"line 31", "line 49"} <= set(outside)
        assert "line 10" not in outside


def test_the_annotation_of_a_failed_build_begins_with_the_reason_that_its_log_gives(tmp_path: Path) -> None:
    reason = "ERROR: No matching distribution found for nunpy"
    end = "The command '/bin/sh -c pip install -r requirements.txt' returned a non-zero code: 1"
    with FaultyHub(building("Collecting numpy\n", f"{reason}\n", f"{end}\n", then="failed")) as hub:
        main = start(tmp_path, hub)
        [(_, message)] = main.log.named("error")
        assert message.splitlines()[0] == reason
        assert len(message.splitlines()) == 4


def test_the_summary_of_a_failed_build_says_what_where_and_why_and_escapes_the_log(tmp_path: Path) -> None:
    markup = "</pre><script>alert(1)</script> error [x](http://evil/) `code`\n"
    with FaultyHub(building("Step 1/2\n", markup, then="failed")) as hub:
        summary = start(tmp_path, hub).summary
        assert summary.startswith("### Build failed\n\n")
        assert f"| Hub | {escaped(hub.url)} |" in summary
        assert f"| Commit | {'a' * 40} |" in summary
        assert "\nStep 1/2\n&lt;/pre&gt;&lt;script&gt;" in summary
        assert summary.count("</pre>") == 1
        assert f"[Try the same in a browser](<{hub.url}v2/gh/org/repo/{'a' * 40}>)" in summary


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (refusing("Requests from X are not allowed", status_code=403), "Hub refused"),
        (refusing("Too many users on this BinderHub! Try again soon."), "Hub unavailable"),
        (lambda exchange: exchange.wait_for_close(), "Deadline passed"),
    ],
)
def test_the_title_of_a_failure_is_plain_and_the_same_in_the_summary(
    tmp_path: Path, answer: Answer, title: str
) -> None:
    with FaultyHub(answer) as hub:
        main = start(tmp_path, hub, timeout="3")
        [(properties, _)] = main.log.named("error")
        assert properties["title"] == title
        assert main.summary.startswith(f"### {title}\n\n")
        assert "[Try the same in a browser](<" in main.summary


def test_the_hubs_words_are_in_the_annotation(tmp_path: Path) -> None:
    with FaultyHub(building(then="failed", status_code=403, message="Requests from X are not allowed\n")) as hub:
        main = start(tmp_path, hub)
        [(_, message)] = main.log.named("error")
        assert "Requests from X are not allowed" in message
        assert len(message.splitlines()) == 3


def test_nothing_that_a_hub_sends_adds_a_line_to_a_file(tmp_path: Path) -> None:
    evil = "x\nPATH=/evil\nghadelimiter\nLD_PRELOAD=/evil"
    with FaultyHub(building(image=evil, binder_persistent_request=f"v2/gh/a/b/{evil}")) as hub:
        main = start(tmp_path, hub)
        assert main.env.keys() == {"JUPYTER_BASE_URL", "JUPYTER_TOKEN"}
        assert main.outputs.keys() == {"url", "token", "image", "ref", "launch-url"}
        assert main.state.keys() == {"url", "token"}
        assert "\n" not in "".join(main.outputs.values())


def test_the_summary_says_what_ran_where_and_escapes_what_the_hub_sent(tmp_path: Path) -> None:
    markup = "<script>alert(1)</script>|[x](http://evil/)`code`*"
    with FaultyHub(building("a line\n", image=markup, binder_persistent_request=f"v2/gh/org/repo/{'c' * 40}")) as hub:
        summary = start(tmp_path, hub).summary
        assert "c" * 40 in summary
        assert f"(<{hub.url}v2/gh/org/repo/{'c' * 40}>)" in summary
        assert re.search(r"^\| building \| \d\.\d s \|$", summary, re.MULTILINE)
        assert "<script>" not in summary
        assert "[x](" not in summary
        [row] = [line for line in summary.splitlines() if line.startswith("| Image")]
        assert row.count("|") - row.count("\\|") == 3


@pytest.mark.parametrize("name", ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE"])
def test_when_the_session_can_not_be_handed_over_it_is_stopped_and_the_step_fails(tmp_path: Path, name: str) -> None:
    def remove(exchange: Exchange) -> None:
        exchange.stream()
        the_job._set[name.removeprefix("GITHUB_")].unlink()
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(remove) as hub:
        the_job = job(tmp_path)
        step = the_job.main(hub_url=hub.url)
        assert step.process.wait(30) == 1
        assert (hub.launched, hub.stopped) == (1, 1)
        step._reader.join()
        assert len(step.log.named("error")) == 1


@pytest.mark.parametrize("gone", ["404 Not Found", "503 Service Unavailable"])
def test_a_session_that_had_ended_before_is_a_warning(tmp_path: Path, gone: str) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        main = the_job.main(hub_url=hub.url).finish()
        hub.session = lambda exchange: exchange.page(gone, "<title>JupyterHub</title>")
        post = the_job.post(main.state)
        assert (post.code, post.log.lines) == (0, [])
        [(properties, message)] = post.log.named("warning")
        assert properties["title"] == "Session ended early"
        assert f"{hub.session_url} had ended before" in message
        assert "ran out of memory" in message


@pytest.mark.parametrize("used", [False, True])
def test_a_session_that_nobody_used_is_a_warning(tmp_path: Path, used: bool) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        main = the_job.main(hub_url=hub.url).finish()
        if not used:
            server = hub.server_at("/user/x/")
            assert server
            server.status.update(kernels=0, last_activity=server.status["started"])
        post = the_job.post(main.state)
        assert (post.code, post.log.lines) == (0, [f"Stopped {hub.session_url}"])
        titles = [properties["title"] for properties, _ in post.log.named("warning")]
        assert titles == ([] if used else ["Session never used"])


def test_a_session_that_can_not_be_stopped_is_a_warning(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path)
        main = the_job.main(hub_url=hub.url).finish()
        hub.session = lambda exchange: exchange.page("403 Forbidden", "{}", "application/json")
        post = the_job.post(main.state)
        assert post.code == 0
        assert len(post.log.named("warning")) == 1


def test_a_signal_between_the_launch_and_the_delivery_stops_the_session(tmp_path: Path) -> None:
    entrypoint = tmp_path / "signalled.py"
    entrypoint.write_text(f"{SIGNALLED_AS_IT_RETURNS}from clinder import action; action.main()")
    with FaultyHub() as hub:
        step = job(tmp_path).main(entrypoint, hub_url=hub.url).finish()
        assert (step.code, hub.launched, hub.stopped) == (143, 1, 1), step.log.raw
        assert (step.env, step.outputs, step.state) == ({}, {}, {})


def test_an_event_without_a_phase_ends_no_group_and_a_share_is_shown_once(tmp_path: Path) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("pushing", "going\n", progress={"a": {"current": 1, "total": 2}})
        exchange.event(None, "a word between\n")
        exchange.event("pushing", "going\n", progress={"a": {"current": 1, "total": 2}})
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        log = start(tmp_path, hub).log
        assert [data for _, data in log.named("group")] == ["pushing", "ready"]
        assert (log.lines.count("going 50%"), log.lines.count("going")) == (1, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_end_the_stopping(tmp_path: Path, number: int) -> None:
    with FaultyHub() as hub:
        hub.session = in_trouble_once
        post = job(tmp_path)
        post.inputs = {}
        step = post.begin_post({"url": hub.session_url, "token": TOKEN})
        hub.wait_until("stopping")
        step.process.send_signal(number)
        assert (step.finish().code, hub.stopped) == (0, 1)
        assert f"Stopped {hub.session_url}" in step.log.lines


@pytest.mark.parametrize("state", [{"url": "", "token": TOKEN}, {"url": "http://[", "token": TOKEN}])
def test_a_post_step_with_a_damaged_state_warns_and_fails_no_job(tmp_path: Path, state: dict[str, str]) -> None:
    the_job = job(tmp_path)
    the_job.inputs = {}
    post = the_job.post(state)
    assert post.code == 0
    [(properties, message)] = post.log.named("warning")
    assert (properties["title"], "Not a session's URL" in message) == ("Session not stopped", True)
    assert TOKEN not in message


def test_a_post_step_without_state_touches_no_server(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        the_job = job(tmp_path, env={"JUPYTER_BASE_URL": hub.session_url, "JUPYTER_TOKEN": TOKEN})
        the_job.inputs = {}
        post = the_job.post({})
        assert (post.code, hub.requests) == (0, [])


@pytest.mark.parametrize("phase", ["building", "launching"])
def test_cancelling_leaves_no_server(tmp_path: Path, phase: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event(phase, "so far\n")
        if phase == "launching":
            time.sleep(3)
            exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        step = job(tmp_path).main(hub_url=hub.url)
        step.wait_for("so far")
        step.cancel()
        assert step.finish().code == 128 + signal.SIGINT
        assert hub.launched == hub.stopped == (phase == "launching")
        assert step.outputs == step.env == step.state == {}


def test_a_signal_ends_the_wait_for_a_runner_that_does_not_read() -> None:
    reader, writer = os.pipe()
    signals = Signals()
    with os.fdopen(writer, "w") as stream:
        log = action_log.Log(stream, signals)
        for _ in range(20):
            log.write(f"{'x' * 8000}\n")
        threading.Timer(0.5, lambda: setattr(signals, "number", signal.SIGTERM)).start()
        began = time.monotonic()
        with pytest.raises(Signalled):
            log.deliver_masks()
        assert time.monotonic() - began < 15
        os.close(reader)  # what the thread still writes fails
