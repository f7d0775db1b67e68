"""The reader of the output is slow or gone: the deadline and signals still work, and an address is written whole."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Clinder
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub
from tests.support.pipes import full_pipe

LINE = "x" * 99 + "\n"
LIMIT = 9.0  # seconds from the first signal to the end: a runner kills after ten


def flood(exchange: Exchange) -> None:
    """Send more lines than all buffers take."""
    exchange.stream()
    exchange.event("building", "begun\n")
    exchange.hub.reach("building")
    while True:
        exchange.event("building", LINE)


@pytest.fixture
def full() -> Iterator[int]:
    """A pipe that is full and that nobody reads: the end to write to."""
    reader, writer = full_pipe()
    yield writer
    os.close(reader)
    os.close(writer)


class Unread:
    """A start whose standard error nobody reads, in the background."""

    def __init__(self, clinder: Clinder, stderr: int, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clinder", *words],
            env=clinder.env,
            cwd=clinder.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def signal(self, number: int) -> tuple[int, float]:
        """Return the exit code, and the seconds from the signal to the end."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.wait(), time.monotonic() - began

    def wait(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_start_whose_log_nobody_reads(clinder: Clinder, full: int, number: int) -> None:
    with FaultyHub(flood) as hub:
        start = Unread(clinder, full, "start", hub.url, "--repo", "org/repo")
        hub.wait_until("building")
        time.sleep(1)
        code, seconds = start.signal(number)
        assert (code, seconds < LIMIT) == (128 + number, True)
        assert hub.launched == 0


def test_a_deadline_ends_a_start_whose_log_nobody_reads(clinder: Clinder, full: int) -> None:
    with FaultyHub(flood) as hub:
        began = time.monotonic()
        start = Unread(clinder, full, "start", hub.url, "--repo", "org/repo", "--timeout", "2")
        assert start.wait() == 4
        assert time.monotonic() - began < 2 + 12, "the reader gets five seconds for the last lines"


def test_a_signal_during_a_launch_stops_the_server_though_nobody_reads_the_log(clinder: Clinder, full: int) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("launching", "Launching server...\n")
        exchange.hub.reach("launching")
        time.sleep(2)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        start = Unread(clinder, full, "start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        time.sleep(0.3)
        code, seconds = start.signal(signal.SIGTERM)
        assert (code, seconds < LIMIT) == (143, True)
        assert (hub.launched, hub.stopped) == (1, 1)


def test_an_address_is_delivered_though_nobody_reads_the_log(clinder: Clinder, full: int) -> None:
    with FaultyHub() as hub:
        start = Unread(clinder, full, "start", hub.url, "--repo", "org/repo")
        assert start.process.stdout is not None
        assert start.process.stdout.readline() == f"{hub.session_url}?token={TOKEN}\n"
        code, seconds = start.signal(signal.SIGTERM)
        assert (code, seconds < LIMIT, hub.stopped) == (0, True, 0)


def test_every_line_is_shown_to_a_reader_who_is_merely_slow(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for number in range(6000):
            exchange.event("building", f"line {number} {LINE}")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo", bufsize=-1)
        assert process.stderr is not None
        came = b""
        while piece := os.read(process.stderr.fileno(), 1 << 15):
            came += piece
            time.sleep(0.03)
        assert process.wait(10) == 0
        assert [line.split()[1] for line in came.split(b"\n") if line.startswith(b"line")] == [
            b"%d" % number for number in range(6000)
        ]


# From the first byte of the address on, the outcome is fixed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20])
def test_a_signal_after_the_address_changes_nothing(clinder: Clinder, number: int, milliseconds: float) -> None:
    with FaultyHub() as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(milliseconds / 1000)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert (process.returncode, hub.launched, hub.stopped) == (0, 1, 0), stderr
        assert "Traceback" not in stderr


WRITE = """\
import os
from clinder._signals import Signalled, Signals
from clinder.cli import output
{patch}
signals = Signals()
signals.handle()
print("begun", file=__import__("sys").stderr, flush=True)
try:
    output.write_result("x" * 200_000, signals)
    code = 0
except Signalled as signalled:
    code = 128 + signalled.number
signals.settle(code)
os._exit(code)
"""


def write_200_kb(clinder: Clinder, patch: str = "") -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE.format(patch=patch)],
        env=clinder.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.2)
    return process


def test_a_result_that_is_read_late_is_whole_whatever_signals_come(clinder: Clinder) -> None:
    process = write_200_kb(clinder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        process.send_signal(number)
        time.sleep(0.1)
    stdout, _ = process.communicate(timeout=20)
    assert (process.returncode, len(stdout)) == (0, 200_001)


def test_a_result_that_nobody_takes_the_rest_of_is_given_up_in_time_after_a_signal(clinder: Clinder) -> None:
    process = write_200_kb(clinder, "output.TIME_TO_DELIVER = 1")
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(20) == 143
    assert 0.9 < time.monotonic() - began < 5, "usually six"
    process.communicate()


# Every signal that ends a process


NUMBERS = ["SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU", "SIGVTALRM", "SIGRTMIN"]


@pytest.mark.parametrize("name", [name for name in NUMBERS if hasattr(signal, name)])
def test_each_signal_that_ends_a_process_leaves_no_server(clinder: Clinder, name: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("launching", "Launching server...\n")
        exchange.hub.reach("launching")
        time.sleep(0.7)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        hub.wait_until("launching")
        time.sleep(0.2)
        number = getattr(signal, name)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert (process.returncode, hub.launched, hub.stopped) == (128 + number, 1, 1), stderr
        assert "Traceback" not in stderr


@pytest.mark.parametrize("module", ["argparse", "clinder.cli", "requests", "clinder.hub"])
def test_ctrl_c_while_python_still_imports_is_no_traceback(clinder: Clinder, tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"""\
import importlib.abc, os, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r} and "clinder" in sys.modules:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
""")
    done = clinder("start", "http://127.0.0.1:1/", "--repo", "org/repo", env={"PYTHONPATH": path_with(tmp_path)})
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


def path_with(directory: Path) -> str:
    return os.pathsep.join([str(directory), *filter(None, [os.environ.get("PYTHONPATH")])])


# What a hub chooses of the result is no command to the CI that reads standard output


def busy(started: str) -> Answer:
    body = json.dumps({"started": started, "last_activity": "now", "kernels": 1, "connections": 0})
    return lambda exchange: exchange.page("200 OK", body, "application/json")


def result(clinder: Clinder, hub: FaultyHub, *words: str) -> str:
    hub.session = busy("now")
    done = clinder("start", hub.url, "--repo", "org/repo", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_commands(exchange: Exchange) -> None:
    exchange.stream()
    exchange.ready(token="a##[error]b###[x]::y::", image="::error::owned ##[error]owned ####[group]x")
    exchange.wait_for_close()


def test_the_json_of_a_start_has_no_command_in_it_and_means_the_same(clinder: Clinder) -> None:
    with FaultyHub(with_commands) as hub:
        text = result(clinder, hub, "--json")
    assert "##" not in text
    assert not text.lstrip().startswith("::")
    content = json.loads(text)
    assert content["token"] == "a##[error]b###[x]::y::"
    assert content["image"] == "::error::owned ##[error]owned ####[group]x"


def test_the_shell_code_of_a_start_has_no_command_in_it_and_means_the_same(clinder: Clinder) -> None:
    with FaultyHub(with_commands) as hub:
        text = result(clinder, hub, "--format", "env")
    assert "##" not in text
    done = subprocess.run(["sh", "-c", f'{text}printf %s "$JUPYTER_TOKEN"'], capture_output=True, text=True, check=True)
    assert done.stdout == "a##[error]b###[x]::y::"
    assert shlex.split(text)[0] == "export"


def test_the_uri_of_a_start_has_no_command_in_it(clinder: Clinder) -> None:
    with FaultyHub(with_commands) as hub:
        text = result(clinder, hub)
    assert "##" not in text
    assert text.startswith("http")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_status_has_no_command_in_it(clinder: Clinder, output: str) -> None:
    with FaultyHub() as hub:
        hub.session = busy("##[error]owned")
        done = clinder("status", hub.session_url, TOKEN, "--format", output)
        assert done.returncode == 0
        assert "##[" not in done.stdout
        if output == "json":
            assert json.loads(done.stdout)["started"] == "##[error]owned"
