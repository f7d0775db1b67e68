"""A start that is cancelled, or whose deadline passes, leaves no server running."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest

from clinder import BinderHub, DeadlineExceeded, RepoSpec
from clinder._http import Client
from clinder.launch.cancellation import Cancellation
from tests.conftest import SIGNALLED_AS_IT_RETURNS, SIGNALS, Clinder, Signalled
from tests.support.hub import Exchange, FaultyHub, launch

AT_ONCE = 6.0  # seconds: with a machine's delays, and less than a launch may take to end


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("phase", ["waiting", "fetching", "building", "pushing"])
def test_a_signal_before_the_launch_closes_the_stream_and_goes(clinder: Clinder, number: int, phase: str) -> None:
    closed: Queue[bool] = Queue()

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event(phase, "so far\n")
        exchange.hub.reach(phase)
        closed.put(exchange.wait_for_close())

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until(phase)
        time.sleep(0.3)
        done = Signalled(process, number)
        assert done.code == 128 + number
        assert done.seconds < AT_ONCE
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert closed.get(timeout=30)
    assert hub.launched == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_any_answer_goes_at_once(clinder: Clinder, number: int) -> None:
    def mute(exchange: Exchange) -> None:
        exchange.hub.reach("asked")
        exchange.wait_for_close()

    with FaultyHub(mute) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("asked")
        done = Signalled(process, number)
        assert (done.code, done.seconds < AT_ONCE) == (128 + number, True)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_between_attempts_goes_at_once(clinder: Clinder, number: int) -> None:
    def later(exchange: Exchange) -> None:
        exchange.page("503 Service Unavailable", more="Retry-After: 100\r\n")
        exchange.hub.reach("refused")

    with FaultyHub(later) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("refused")
        time.sleep(0.5)
        done = Signalled(process, number)
        assert (done.code, done.seconds < AT_ONCE) == (128 + number, True)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("after", [0.2, 4])
def test_a_signal_during_the_launch_stops_the_server_that_comes(clinder: Clinder, number: int, after: float) -> None:
    with FaultyHub(launch(after)) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        done = Signalled(process, number)
        assert done.code == 128 + number
        assert done.seconds < 9.5, "a runner kills after ten seconds"
        assert done.stdout == ""
        assert (hub.launched, hub.stopped, len(hub.builds)) == (1, 1, 1)
        assert "was stopped" in done.stderr


def test_a_launch_that_begins_just_after_the_signal_is_stopped_as_well(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", "so far\n")
        exchange.hub.reach("waiting")
        exchange.hub.wait_until("signalled")
        time.sleep(0.1)
        exchange.event("launching", "Launching server...\n")
        time.sleep(2)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("waiting")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        hub.reach("signalled")
        process.communicate(timeout=30)
        assert (process.returncode, hub.launched, hub.stopped) == (143, 1, 1)


def test_a_launch_that_does_not_end_is_left_in_time_and_said(clinder: Clinder) -> None:
    with FaultyHub(launch(30)) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        time.sleep(0.3)
        done = Signalled(process, signal.SIGINT)
        assert done.code == 130
        assert 6 < done.seconds < 9.5
        assert "did not hand over the server" in done.stderr


def test_the_signals_of_a_runner_that_cancels_leave_no_server(clinder: Clinder) -> None:
    """SIGINT, then SIGTERM 7.5 s later; here sooner, and one more of each."""
    with FaultyHub(launch(3)) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.3)
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, hub.launched, hub.stopped) == (130, 1, 1)


@pytest.mark.parametrize("after", [2, 3])
def test_a_deadline_during_the_launch_stops_the_server_that_comes(clinder: Clinder, after: float) -> None:
    with FaultyHub(launch(after)) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--timeout", "1.5")
        assert done.returncode == 4
        assert (hub.launched, hub.stopped) == (1, 1)


@pytest.mark.parametrize("late", [0.01, 0.03, 0.05, 0.07, 0.09])
def test_a_server_that_comes_just_after_the_deadline_is_stopped_too(
    monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    deadlines: list[float] = []

    def cancellation(*words: Any) -> Cancellation:
        made = Cancellation(*words)
        deadlines.append(made.deadline)
        return made

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("launching")
        time.sleep(max(0.0, deadlines[0] + late - time.monotonic()))
        exchange.ready()
        exchange.wait_for_close()

    monkeypatch.setattr("clinder.hub.Cancellation", cancellation)
    with FaultyHub(answer) as hub, pytest.raises(DeadlineExceeded):
        BinderHub(hub.url).launch(RepoSpec("org/repo"), timeout=2.05)  # between two looks of the watch
    assert (hub.launched, hub.stopped) == (1, 1)


def test_a_phase_that_nobody_knows_ends_no_launch(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("built")
        exchange.event("spawning", "A word of tomorrow's hubs\n")
        exchange.hub.reach("spawning")
        time.sleep(2)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("spawning")
        time.sleep(0.3)
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, hub.launched, hub.stopped) == (143, 1, 1)


def test_with_standard_error_closed_a_signal_writes_into_no_connection(clinder: Clinder) -> None:
    heard = []

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("launching")
        exchange.hub.reach("launching")
        time.sleep(1)
        exchange.connection.setblocking(False)
        try:
            heard.append(exchange.connection.recv(1000))
        except BlockingIOError:
            heard.append(b"")
        exchange.connection.setblocking(True)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo", preexec_fn=lambda: os.close(2))
        hub.wait_until("launching")
        time.sleep(0.3)
        done = Signalled(process, signal.SIGINT)
        assert (done.code, hub.launched, hub.stopped) == (130, 1, 1)
        assert (heard, done.stdout) == ([b""], "")


def test_a_busy_hub_can_not_hold_up_a_cancellation_and_what_it_may_have_launched_is_said(clinder: Clinder) -> None:
    # More at once than clinder takes in a moment: on a busy machine the hub's thread itself may pause for that long.
    lines = b'data: {"phase": "building", "message": "one more line\\n"}\n\n' * 20_000

    def busy(exchange: Exchange) -> None:
        exchange.stream()
        exchange.hub.reach("busy")
        while True:
            exchange.chunk(lines)

    with FaultyHub(busy) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo", "--quiet")
        hub.wait_until("busy")
        time.sleep(0.5)
        done = Signalled(process, signal.SIGINT)
        assert (done.code, done.seconds < 9) == (130, True)
        assert "it has launched a server since, that server may be left" in done.stderr


@pytest.mark.parametrize("command", ["start", "run"])
def test_a_signal_between_the_launch_and_the_delivery_stops_the_session(clinder: Clinder, command: str) -> None:
    with FaultyHub() as hub:
        words = [command, hub.url, "--repo", "org/repo", *(["--", "echo", "begun"] if command == "run" else [])]
        done = subprocess.run(
            [sys.executable, "-c", f"{SIGNALLED_AS_IT_RETURNS}from clinder import cli; cli.main(sys.argv[1:])", *words],
            env=clinder.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (143, ""), done.stderr
        assert (hub.launched, hub.stopped) == (1, 1)


def test_ctrl_c_as_the_launch_ends_leaves_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def close(self: Client, really_close: Callable[[Client], None] = Client.close) -> None:
        closed.append(self)
        if len(closed) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        really_close(self)

    monkeypatch.setattr(Client, "close", close)
    with FaultyHub() as hub, pytest.raises(KeyboardInterrupt):
        BinderHub(hub.url).launch(RepoSpec("org/repo"))
    assert (hub.launched, hub.stopped) == (1, 1)


def test_a_server_that_can_not_be_stopped_is_said_to_be_left(clinder: Clinder) -> None:
    with FaultyHub(launch(1)) as hub:
        hub.session = lambda exchange: exchange.page("502 Bad Gateway")
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        time.sleep(0.3)
        done = Signalled(process, signal.SIGTERM)
        assert done.code == 143
        assert done.seconds < 9.5, "a runner kills after ten seconds"
        assert "clinder: The server that the hub had launched may be left." in done.stderr


def test_an_exception_in_a_callback_leaves_no_server() -> None:
    def refuse(event: object) -> None:
        raise ValueError(event)

    with FaultyHub(launch(1)) as hub, pytest.raises(ValueError, match="built"):
        BinderHub(hub.url).launch(RepoSpec("org/repo"), on_event=refuse)
    assert (hub.launched, hub.stopped) == (1, 1)


def test_ctrl_c_in_python_leaves_no_server() -> None:
    def interrupt() -> None:
        hub.wait_until("launching")
        signal.raise_signal(signal.SIGINT)

    with FaultyHub(launch(1)) as hub:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            BinderHub(hub.url).launch(RepoSpec("org/repo"))
    assert (hub.launched, hub.stopped) == (1, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_of_a_program_can_launch_too() -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            BinderHub(hub.url).launch(RepoSpec("org/repo"), timeout=1)
        except DeadlineExceeded as error:
            raised.append(error)

    with FaultyHub(launch(2)) as hub:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(raised) == 1
    assert (hub.launched, hub.stopped) == (1, 1)
