"""run looks at its session while the command runs: a lost one ends the command, is explained, and may be replaced."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from clinder._signals import ending_signals
from clinder.errors import more
from clinder.testing import FakeHub, FakeServer
from tests.conftest import Clinder, Signalled
from tests.support.hub import Answer, Exchange
from tests.support.watch import hasten

SLEEP = "import time; print('begun', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEP}"


def python(code: str) -> list[str]:
    return ["--repo", "org/repo", "--", sys.executable, "-c", code]


def after_the_start(answer: Answer, *, looks: int = 2) -> Answer:
    """Return a session that answers as its server does, and after some looks by this answer alone."""
    seen = 0

    def session(exchange: Exchange) -> None:
        nonlocal seen
        seen += exchange.request.path.endswith("/api/status")
        (answer if seen > looks else exchange.hub._answer_for_a_server)(exchange)

    return session


def gone(exchange: Exchange) -> None:
    """Answer as JupyterHub does in place of a server that has ended."""
    if exchange.request.method == "POST":
        exchange.page("403 Forbidden", "<html><title>JupyterHub</title>")
    else:
        exchange.page("302 Found", more=f"Location: /hub{exchange.request.path}\r\n")


def unavailable(exchange: Exchange) -> None:
    exchange.page("503 Service Unavailable", "<title>JupyterHub</title>")


def reset(exchange: Exchange) -> None:
    exchange.reset()


def begun_anew(exchange: Exchange) -> None:
    (server,) = exchange.hub.servers
    server.status["started"] = "2026-01-01T01:00:00Z"
    exchange.hub._answer_for_a_server(exchange)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (gone, "The session ended while python"),
        (unavailable, "The session ended while python"),
        (reset, "The session had not answered for "),
        (begun_anew, "The session's server was started again while python"),
    ],
)
def test_a_lost_session_ends_the_command(clinder: Clinder, answer: Answer, words: str) -> None:
    hasten(clinder, patience=1, silence=4)
    with FakeHub() as hub:
        hub.session = after_the_start(answer)
        began = time.monotonic()
        done = clinder("run", hub.url, *python(SLEEP))
        assert (done.returncode, done.stdout) == (5, "begun\n")
        assert time.monotonic() - began < 40
        assert f"clinder: error: {words}" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("answer", [gone, unavailable, reset])
def test_passing_trouble_of_a_hubs_proxy_is_no_death(clinder: Clinder, answer: Answer) -> None:
    hasten(clinder, patience=50, silence=50)
    over = clinder.directory / "over"
    with FakeHub() as hub:
        troubles = 0

        def trouble(exchange: Exchange) -> None:
            nonlocal troubles
            troubles += 1
            (answer if troubles < 9 else exchange.hub._answer_for_a_server)(exchange)
            if troubles > 10:
                over.touch()

        hub.session = after_the_start(trouble)
        wait = "import pathlib, time\nwhile not pathlib.Path('over').exists(): time.sleep(0.05)"
        done = clinder("run", hub.url, *python(wait))
        assert (done.returncode, hub.servers[0].stopped) == (0, True), done.stderr


def test_a_command_that_ignores_the_signal_is_killed_after_four_seconds(clinder: Clinder) -> None:
    hasten(clinder, patience=1)
    with FakeHub() as hub:
        hub.session = after_the_start(gone)
        began = time.monotonic()
        done = clinder("run", hub.url, *python(STUBBORN))
        assert (done.returncode, done.stderr.splitlines()[-1]) == (5, more("session-lost"))
        assert 5 < time.monotonic() - began < 40


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell who has started whom")
def test_what_the_command_has_started_ends_with_it(clinder: Clinder) -> None:
    hasten(clinder, patience=1)
    shell = f'{sys.executable} -c "{STUBBORN}"; echo not the last command'
    with FakeHub() as hub:
        hub.session = after_the_start(gone)
        # Its standard output is at its end, or this waited for the command of the shell.
        done = clinder("run", hub.url, "--repo", "org/repo", "--", "sh", "-c", shell, timeout=50)
        assert (done.returncode, done.stdout) == (5, "begun\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_of_a_lost_session_ends_is_obeyed_in_time(clinder: Clinder, number: int) -> None:
    assert number in ending_signals()
    hasten(clinder, patience=1)
    told = "import signal; signal.signal(15, lambda *_: print('told', flush=True)); "
    with FakeHub() as hub:
        hub.session = after_the_start(gone)
        process = clinder.begin("run", hub.url, *python(f"{told}{SLEEP}; time.sleep(60)"))
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["begun\n", "told\n"]
        done = Signalled(process, number)
        assert (done.code, done.seconds < 9) == (128 + number, True)


def test_a_look_that_hangs_does_not_hold_up_the_end(clinder: Clinder) -> None:
    def hang(exchange: Exchange) -> None:
        if exchange.request.method == "GET" and hub.reached:
            exchange.wait_for_close()
        hub.reach("looked at")
        exchange.hub._answer_for_a_server(exchange)

    with FakeHub() as hub:
        hub.session = after_the_start(hang, looks=1)
        process = clinder.begin("run", hub.url, *python(SLEEP))
        hub.wait_until("looked at")
        assert process.stdout is not None
        process.stdout.readline()
        assert Signalled(process, signal.SIGTERM).seconds < 8


# Another session


def test_a_lost_session_is_replaced_and_the_command_run_again(clinder: Clinder) -> None:
    hasten(clinder, patience=1)
    code = (
        "import os, pathlib, time; mark = pathlib.Path('mark'); print(os.environ['JUPYTER_BASE_URL'], flush=True)\n"
        "if not mark.exists(): mark.touch(); time.sleep(60)"
    )
    with FakeHub() as hub:

        def first_dies(exchange: Exchange) -> None:
            is_first = hub.server_at(exchange.request.path) is hub.servers[0]
            (dying if is_first else exchange.hub._answer_for_a_server)(exchange)

        dying = after_the_start(gone)
        hub.session = first_dies
        done = clinder("run", hub.url, "--attempts", "2", *python(code))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [server.url for server in hub.servers]
        assert len(hub.builds) == 2
        assert "clinder: starting another session: attempt 2 of 2\n" in done.stderr


def test_when_each_session_is_lost_the_attempts_come_to_an_end(clinder: Clinder) -> None:
    hasten(clinder, patience=1)
    with FakeHub() as hub:
        hub.session = after_the_start(gone, looks=1)
        done = clinder("run", hub.url, "--attempts", "1", *python(SLEEP))
        assert (done.returncode, len(hub.builds)) == (5, 1)


def test_a_command_that_merely_failed_is_not_run_again(clinder: Clinder) -> None:
    with FakeHub() as hub:
        done = clinder("run", hub.url, "--attempts", "3", *python("raise SystemExit(7)"))
        assert (done.returncode, len(hub.builds)) == (7, 1)


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "\u0661", ""])
def test_a_number_of_attempts_is_a_count(clinder: Clinder, number: str) -> None:
    done = clinder("run", f"--attempts={number}", *python(""))
    assert done.returncode == 2
    assert "argument --attempts: expected a number above 0" in done.stderr


# How it ended


def test_at_the_end_a_line_says_how(clinder: Clinder) -> None:
    with FakeHub() as hub:
        done = clinder("run", hub.url, *python("raise SystemExit(7)"))
        name = os.path.basename(sys.executable)  # noqa: PTH119
        assert done.stderr.splitlines()[-1].startswith(f"clinder: {name} exited with 7 after ")
        assert done.stderr.endswith(" s; the session was stopped\n")


def test_a_command_that_failed_because_its_session_had_ended_is_told_so(clinder: Clinder) -> None:
    with FakeHub() as hub:
        hub.session = after_the_start(gone)
        done = clinder("run", hub.url, *python("raise SystemExit(7)"))
        assert done.returncode == 5
        name = os.path.basename(sys.executable)  # noqa: PTH119
        assert f"clinder: error: {name} exited with 7 after " in done.stderr
        assert ", and its session had ended before that.\nIt ran out of memory" in done.stderr


def test_a_memory_that_was_nearly_full_is_named(clinder: Clinder) -> None:
    with FakeHub() as hub:
        hub.session = with_memory
        done = clinder("run", hub.url, *python("raise SystemExit(7)"))
        assert "Its memory was nearly full: 1.9 of 2.0 GB were in use at the most\n" in done.stderr


def test_the_memory_of_a_lost_session_is_named(clinder: Clinder) -> None:
    hasten(clinder, patience=1)
    with FakeHub() as hub:
        dying = after_the_start(gone)

        def session(exchange: Exchange) -> None:
            if exchange.request.path.endswith("/api/status"):
                dying(exchange)
            else:
                with_memory(exchange)

        hub.session = session
        done = clinder("run", hub.url, *python(SLEEP))
        assert done.returncode == 5
        assert "\nMost likely it ran out of memory: 1.9 of 2.0 GB were in use " in done.stderr


def with_memory(exchange: Exchange) -> None:
    server = exchange.hub.server_at(exchange.request.path)
    assert server is not None
    server.answers["api/metrics/v1"] = {"rss": 2_000_000_000, "limits": {"memory": {"rss": 2 << 30}}}
    exchange.hub._answer_for_a_server(exchange)


def unused(server: FakeServer) -> None:
    server.status["last_activity"] = server.status["started"]


class UnusedHub(FakeHub):
    def launch(self) -> FakeServer:
        server = super().launch()
        unused(server)
        return server


def test_a_session_that_nobody_used_is_warned_of(clinder: Clinder) -> None:
    with UnusedHub() as hub:
        done = clinder("run", hub.url, *python("pass"))
        assert done.returncode == 0
        assert "clinder: warning: The session was not used" in done.stderr
        assert "was not used" not in clinder("run", hub.url, *python("raise SystemExit(7)")).stderr
    with FakeHub() as hub:
        assert "was not used" not in clinder("run", hub.url, *python("pass")).stderr


def test_no_look_is_more_than_the_server_need_not_count(clinder: Clinder) -> None:
    hasten(clinder)
    with FakeHub() as hub:
        assert clinder("run", hub.url, *python("import time; time.sleep(3)")).returncode == 0
        looks = [one for one in hub.requests if one.method == "GET" and one.path.startswith("/user/")]
        known = [one for one in looks if "if-none-match" in one.headers]
        assert len(known) >= 3, "it knew what it saw"
        assert all(one.path.endswith(("/api/status", "?no_track_activity=1")) for one in looks)
        assert len(looks) - len(known) <= 5, "nothing has happened, so little was asked"


@pytest.mark.parametrize("etag", ['"' + "x" * 50_000 + '"', '"a\x0bb"', '"\xe9"', "no quotes", '"a" "b"', ""])
def test_an_etag_that_is_none_is_not_sent_back(clinder: Clinder, etag: str) -> None:
    def session(exchange: Exchange) -> None:
        assert "if-none-match" not in exchange.request.headers
        if exchange.request.path.endswith("/api/status"):
            body = json.dumps(exchange.hub.servers[0].status)
            exchange.page("200 OK", body, "application/json", f"ETag: {etag}\r\n")
        else:
            exchange.hub._answer_for_a_server(exchange)

    hasten(clinder, silence=2)
    with FakeHub() as hub:
        hub.session = session
        done = clinder("run", hub.url, *python("import time; time.sleep(3)"))
        assert done.returncode == 0, done.stderr


# Kernels


def test_a_kernel_that_the_session_has_not_is_warned_of_before_the_command_runs(clinder: Clinder) -> None:
    for name in "abcde":
        page = {"cells": [{"cell_type": "code"}], "metadata": {"kernelspec": {"name": "cookbook-dev"}}}
        (clinder.directory / f"{name}.ipynb").write_text(json.dumps(page))
    with FakeHub() as hub:
        done = clinder("run", hub.url, *python("import sys; print('command', file=sys.stderr)"))
        pages = "a.ipynb, b.ipynb, c.ipynb and 2 more"
        warning = f"The session has no kernel cookbook-dev, which {pages} name. It has python3."
        assert f"clinder: warning: {warning}\ncommand\n" in done.stderr
        done = clinder("run", hub.url, "--quiet", *python("pass"))
        assert done.stderr == ""


def test_a_session_that_names_no_kernels_is_not_warned_of(clinder: Clinder) -> None:
    page = {"cells": [{"cell_type": "code"}], "metadata": {"kernelspec": {"name": "cookbook-dev"}}}
    (clinder.directory / "a.ipynb").write_text(json.dumps(page))

    def odd(exchange: Exchange) -> None:
        if "/api/kernelspecs" in exchange.request.path:
            exchange.page("200 OK", '{"kernelspecs": ["python3"]}', "application/json")
        else:
            exchange.hub._answer_for_a_server(exchange)

    with FakeHub() as hub:
        hub.session = odd
        assert "warning" not in clinder("run", hub.url, *python("pass")).stderr


# Quiet


def test_quiet_leaves_nothing_but_errors(clinder: Clinder) -> None:
    with UnusedHub() as hub:
        done = clinder("run", hub.url, "--quiet", *python("raise SystemExit(7)"))
        assert (done.returncode, done.stderr) == (7, "")
    hasten(clinder, patience=1)
    with FakeHub() as hub:
        hub.session = after_the_start(gone)
        done = clinder("run", hub.url, "--quiet", *python(SLEEP))
        assert done.returncode == 5
        assert done.stderr.startswith("clinder: error: The session ended while ")
