"""A runner that does not read, a full disk, a slow server: the Action's steps end in time and leave no server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from tests.support.hub import TOKEN, Exchange, FaultyHub
from tests.support.pipes import full_pipe
from tests.support.runner import ROOT

LIMIT = 9.0  # seconds from the first signal to the end: a runner kills after ten


class Process:
    """A step whose standard output is what the test says, with the files that it writes."""

    def __init__(self, tmp_path: Path, entrypoint: str, stdout: int | IO[str], **env: str) -> None:
        self.files = {name: tmp_path / name for name in ("OUTPUT", "ENV", "STATE", "STEP_SUMMARY")}
        for path in self.files.values():
            path.touch()
        plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        files = {f"GITHUB_{name}": str(path) for name, path in self.files.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(ROOT / entrypoint)],
            env={**plain, **files, "INPUT_REPO": "org/repo", **env},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what is on standard error."""
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr


def test_a_full_disk_or_a_reader_who_is_gone_is_no_traceback_and_no_server(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        reader, writer = os.pipe()
        os.close(reader)
        with Path("/dev/full").open("w") as full:
            outputs: tuple[int | IO[str], ...] = (full, writer)
            for number, stdout in enumerate(outputs):
                (tmp_path / str(number)).mkdir()
                step = Process(tmp_path / str(number), "entrypoint.py", stdout, **{"INPUT_HUB-URL": hub.url})
                code, stderr = step.end()
                assert (code, stderr) == (1, "")
                assert step.files["STATE"].read_text() == ""
        os.close(writer)
        assert (hub.launched, hub.stopped) == (2, 2)


def test_a_reader_who_leaves_right_after_ready_is_no_traceback_and_no_server(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        os.close(reader)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        step = Process(tmp_path, "entrypoint.py", writer, **{"INPUT_HUB-URL": hub.url})
        os.close(writer)
        assert step.end() == (1, "")
        assert (hub.launched, hub.stopped) == (1, 1)


@pytest.mark.parametrize("phase", ["building", "launching"])
def test_a_signal_ends_a_step_whose_log_nobody_reads_and_no_server_is_left(tmp_path: Path, phase: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "x" * 100_000)
        exchange.event(phase, "so far")
        exchange.hub.reach(phase)
        if phase == "launching":
            time.sleep(1.5)
            exchange.ready()
        exchange.wait_for_close()

    reader, writer = full_pipe()
    with FaultyHub(answer) as hub:
        step = Process(tmp_path, "entrypoint.py", writer, **{"INPUT_HUB-URL": hub.url})
        hub.wait_until(phase)
        time.sleep(0.3)
        began = time.monotonic()
        step.process.send_signal(signal.SIGINT)
        code, stderr = step.end()
        assert (code, time.monotonic() - began < LIMIT) == (130, True)
        assert "Traceback" not in stderr
        assert hub.launched == hub.stopped == (phase == "launching")
    os.close(reader)
    os.close(writer)


def test_a_signal_after_the_hand_over_changes_nothing(tmp_path: Path) -> None:
    with FaultyHub() as hub:
        step = Process(tmp_path, "entrypoint.py", subprocess.DEVNULL, **{"INPUT_HUB-URL": hub.url})
        while not step.files["STATE"].read_text() and step.process.poll() is None:
            time.sleep(0.001)
        step.process.send_signal(signal.SIGTERM)
        code, _ = step.end()
        assert (code, hub.stopped) == (0, 0)
        assert TOKEN in step.files["ENV"].read_text()
        assert "launch-url" in step.files["OUTPUT"].read_text()


@pytest.mark.parametrize("numbers", [[], [signal.SIGINT, signal.SIGTERM]])
def test_the_last_step_ends_in_time_and_never_fails_the_job(tmp_path: Path, numbers: list[int]) -> None:
    def trickle(exchange: Exchange) -> None:
        exchange.hub.reach("asked")
        exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            exchange.send(b"x")
            time.sleep(0.5)

    with FaultyHub() as hub:
        hub.session = trickle
        state = {"STATE_url": hub.session_url, "STATE_token": TOKEN}
        step = Process(tmp_path, "post_entrypoint.py", subprocess.PIPE, **state)
        hub.wait_until("asked")
        began = time.monotonic()
        for number in numbers:
            step.process.send_signal(number)
        stdout, stderr = step.process.communicate(timeout=30)
        assert (step.process.returncode, stderr) == (0, "")
        assert time.monotonic() - began < LIMIT
        assert "::warning title=Session not stopped::" in stdout


def test_the_last_step_ends_though_nobody_reads_its_log(tmp_path: Path) -> None:
    reader, writer = full_pipe()
    with FaultyHub() as hub:
        state = {"STATE_url": hub.session_url, "STATE_token": TOKEN}
        step = Process(tmp_path, "post_entrypoint.py", writer, **state)
        assert step.end() == (0, "")
        assert hub.stopped == 1
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("entrypoint", ["entrypoint.py", "post_entrypoint.py"])
def test_ctrl_c_while_python_still_imports_is_no_traceback(tmp_path: Path, entrypoint: str) -> None:
    interrupted = tmp_path / "interrupted.py"
    interrupted.write_text(f"""\
import importlib.abc, os, runpy, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "clinder":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
runpy.run_path({str(ROOT / entrypoint)!r}, run_name="__main__")
""")
    with FaultyHub() as hub:
        state = {"STATE_url": hub.session_url, "STATE_token": TOKEN, "INPUT_HUB-URL": hub.url}
        code, stderr = Process(tmp_path, str(interrupted), subprocess.DEVNULL, **state).end()
        assert stderr == ""
        is_first = entrypoint == "entrypoint.py"
        assert (code, hub.launched, hub.stopped) == ((130, 0, 0) if is_first else (0, 0, 1))
