"""What a signal does to a process, and how much time it leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinder._signals import TIME_TO_END, Signals, ending_signals
from clinder.cli import processes
from tests.support.pipes import full_pipe

# Of a crash: Python can't handle them, the fault would come again at once.
CRASHES = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"}
NOT_TO_HANDLE = {"SIGKILL", "SIGSTOP"}
# Python ignores these, and reports what they are about as an error of the call.
REPORTED = {"SIGPIPE", "SIGXFSZ"}


def ends_a_process(number: int) -> bool:
    code = f"import os, signal, time; signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        time.sleep(0)
        try:
            return process.wait(10) == -number
        except subprocess.TimeoutExpired:  # it stopped
            process.kill()
            return False


STOPPING = {"SIGTSTP", "SIGTTIN", "SIGTTOU"}


@pytest.mark.parametrize("name", sorted({one.name for one in signal.Signals} - NOT_TO_HANDLE - STOPPING))
def test_each_signal_that_ends_a_process_and_tells_of_no_crash_is_handled(name: str) -> None:
    number = signal.Signals[name]
    expected = ends_a_process(number) and name not in CRASHES | REPORTED
    assert (number in ending_signals()) == expected


def signalled() -> tuple[Signals, float]:
    """Return what a signal has come to, and when; without the thread that would end this process."""
    signals = Signals()
    signals.number, signals._came_at = signal.SIGTERM, 1000.0
    return signals, signals._came_at


def test_without_a_signal_there_is_all_the_time() -> None:
    assert Signals().time_to_end() == float("inf")
    Signals().check()


@pytest.mark.parametrize(
    ("after", "since", "seconds"),
    [(TIME_TO_END, 0, TIME_TO_END), (1, 0, 1), (1, 2, 3), (1, 100, TIME_TO_END), (100, 0, TIME_TO_END)],
)
def test_the_time_to_end_is_counted_from_the_signal_or_a_later_time(after: float, since: float, seconds: float) -> None:
    signals, came = signalled()
    assert signals.time_to_end(after, came + since) == pytest.approx(came + seconds)


def test_the_last_words_have_a_moment_even_when_all_the_time_is_used() -> None:
    assert Signals().time_for_words(time.monotonic()) == float("inf")
    signals, came = signalled()
    for later, seconds in ((0, 1), (5, 6), (TIME_TO_END, TIME_TO_END + 0.3)):
        assert signals.time_for_words(came + later) == pytest.approx(came + seconds)


PROGRAM = """\
import os, signal, sys, time
from clinder import _signals
{patch}
signals = _signals.Signals()
signals.handle()
{code}
"""


def run(code: str, patch: str = "", **options: object) -> "subprocess.CompletedProcess[str]":
    program = PROGRAM.format(code=code, patch=patch)
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False, **options
    )


def test_a_signal_is_deferred_and_the_first_one_counts() -> None:
    done = run(
        "os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "print(signals.number, signals.requested.is_set()); signals.settle(0)"
    )
    assert (done.returncode, done.stdout) == (0, "15 True\n")
    assert done.stderr == "\nclinder: cancelled\n"


@pytest.mark.parametrize("before", [False, True])
def test_a_signal_ends_the_process_at_once_where_that_was_asked_for(before: bool) -> None:
    steps = ["signals.end_at_once()", "os.kill(os.getpid(), signal.SIGQUIT)"]
    done = run("\n".join([*(reversed(steps) if before else steps), "print('not reached')"]))
    assert (done.returncode, done.stdout) == (128 + signal.SIGQUIT, "")
    assert done.stderr == "\nclinder: cancelled\n"


def test_a_signal_in_the_middle_of_a_destructor_is_no_traceback() -> None:
    done = run(
        "class Thing:\n    def __del__(self): os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)\n"
        "signals.end_at_once(); Thing()"
    )
    assert (done.returncode, done.stderr) == (143, "\nclinder: cancelled\n")


def test_whatever_blocks_the_process_it_ends_in_time() -> None:
    began = time.monotonic()
    done = run("os.kill(os.getpid(), signal.SIGTERM)\nwhile True: time.sleep(1)", patch="_signals._LAST_RESORT = 0.5")
    assert done.returncode == 143
    assert "a server may be left" in done.stderr
    assert time.monotonic() - began < 8, "usually nearly nine, and Python's start"


def test_once_the_outcome_is_settled_no_signal_changes_it() -> None:
    done = run(
        "signals.settle(0)\nfor number in _signals.ending_signals(): os.kill(os.getpid(), number)\nprint('whole')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    done = run("os.kill(os.getpid(), signal.SIGHUP); print(signals.number)", preexec_fn=nohup)
    assert done.stdout == "None\n"


def test_a_signal_that_is_somebody_elses_is_left_alone() -> None:
    done = run("signals.spare(2, 3); os.kill(os.getpid(), 2); os.kill(os.getpid(), 3); print(signals.number)")
    assert done.stdout == "None\n"


def test_the_news_of_a_signal_waits_for_no_reader() -> None:
    reader, writer = full_pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(patch="", code="os.kill(os.getpid(), 15); os._exit(7)")], stderr=writer
    ) as process:
        assert process.wait(20) == 7
    os.close(reader)
    os.close(writer)


def test_a_system_without_proc_has_no_descendants_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert child.pid in [each.number for each in processes.descendants(os.getpid())]
            monkeypatch.setattr(processes, "_PROC", tmp_path / "none")  # as on macOS
            assert processes.descendants(os.getpid()) == []
        finally:
            child.kill()
