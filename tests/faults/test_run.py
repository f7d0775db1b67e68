"""`clinder run` gives the session to the command, passes its exit code on, and always stops the session."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from clinder.errors import more
from tests.conftest import SIGNALS, Clinder, Signalled
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, in_trouble_once

PRINT = "import os; print(os.environ['JUPYTER_BASE_URL'], os.environ['JUPYTER_TOKEN'])"


def python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def test_the_command_gets_the_session_and_the_session_is_stopped(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", *python(PRINT))
        assert (done.returncode, done.stdout) == (0, f"{hub.session_url} {TOKEN}\n")
        assert TOKEN not in done.stderr
        assert (hub.launched, hub.stopped) == (1, 1)


@pytest.mark.parametrize(
    ("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_commands_exit_code_is_passed_on(clinder: Clinder, code: str, expected: int) -> None:
    with FaultyHub() as hub:
        assert clinder("run", hub.url, "--repo", "org/repo", *python(code)).returncode == expected
        assert hub.stopped == 1


def test_the_commands_own_options_are_its_own(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        show = "import sys; print(sys.argv[1:])"
        done = clinder("run", hub.url, "--repo", "org/repo", *python(show), "--repo", "x", "--", "--help")
        assert done.stdout == "['--repo', 'x', '--', '--help']\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_command_and_stops_the_session(clinder: Clinder, number: int) -> None:
    with FaultyHub() as hub:
        process = clinder.begin(
            "run", hub.url, "--repo", "org/repo", *python("import time; print('begun', flush=True); time.sleep(60)")
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        done = Signalled(process, number)
        assert done.code == 128 + number
        assert done.seconds < 8
        assert "making sure that no server is left" in done.stderr
        assert hub.stopped == 1
        assert "clinder" not in done.stdout


@pytest.mark.parametrize(
    ("content", "code"),
    [("echo no first line\n", 126), ("#!/no/such/interpreter\n", 127)],
    ids=["format", "interpreter"],
)
def test_a_command_that_can_not_be_run_is_an_error_and_the_session_is_stopped(
    clinder: Clinder, content: str, code: int
) -> None:
    script = clinder.directory / "build.sh"
    script.write_text(content)
    script.chmod(0o755)
    with FaultyHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", "--", str(script))
        assert (done.returncode, hub.launched, hub.stopped) == (code, 1, 1)
        assert f"clinder: error: {script} could not be run: " in done.stderr
        assert f"\n{more('command-not-run')}\n" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_command_that_ignores_the_signal_is_killed_in_time_to_stop_the_session(clinder: Clinder) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); time.sleep(60)"
    with FaultyHub() as hub:
        process = clinder.begin("run", hub.url, "--repo", "org/repo", *python(stubborn))
        assert process.stdout is not None
        process.stdout.readline()
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, hub.stopped) == (143, 1)
        assert done.seconds < 9.5, "a runner kills after ten seconds"


def test_a_signal_while_the_session_is_being_stopped_does_not_end_that(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = in_trouble_once
        process = clinder.begin("run", hub.url, "--repo", "org/repo", *python("pass"))
        hub.wait_until("stopping")
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, hub.launched, hub.stopped) == (143, 1, 1)


def test_the_command_gets_the_signal_and_time_to_end(clinder: Clinder) -> None:
    tidy = (
        "import signal, sys, time\n"
        "def end(*_): time.sleep(1); print('ended', flush=True); sys.exit()\n"
        "signal.signal(15, end); print('begun', flush=True); time.sleep(60)\n"
    )
    with FaultyHub() as hub:
        process = clinder.begin("run", hub.url, "--repo", "org/repo", *python(tidy))
        assert process.stdout is not None
        process.stdout.readline()
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, done.stdout, hub.stopped) == (143, "ended\n", 1)


def test_a_signal_that_was_to_be_ignored_is_ignored(clinder: Clinder) -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with FaultyHub() as hub:
        process = clinder.begin(
            "run",
            hub.url,
            "--repo",
            "org/repo",
            *python("input('begun\\n'); print('ended')"),
            stdin=subprocess.PIPE,
            preexec_fn=nohup,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        stdout, _ = process.communicate("\n", timeout=30)
        assert (process.returncode, stdout, hub.stopped) == (0, "ended\n", 1)


def test_the_end_of_the_terminal_stops_the_session(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        process = clinder.begin(
            "run", hub.url, "--repo", "org/repo", *python("import time; print('begun', flush=True); time.sleep(60)")
        )
        assert process.stdout is not None
        process.stdout.readline()
        assert Signalled(process, signal.SIGHUP).code == 129
        assert hub.stopped == 1


def test_ctrl_c_in_a_terminal_is_the_commands_to_handle(clinder: Clinder) -> None:
    patient = (
        "import time\n"
        "try:\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(1); print('handled', flush=True)\n"
    )
    with FaultyHub() as hub:
        child, terminal = pty.fork()
        if child == 0:
            words = [sys.executable, "-m", "clinder", "run", hub.url, "--repo", "org/repo", "-q", *python(patient)]
            os.execve(words[0], words, clinder.env)
        shown = b""
        while b"begun" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        while b"handled" not in shown:
            shown += os.read(terminal, 4096)
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 0
        assert hub.stopped == 1


@pytest.mark.parametrize(
    ("word", "code", "why"),
    [
        ("no-such-command", 127, "command not found: no-such-command"),
        ("./no-such-command", 127, "command not found: ./no-such-command"),
        ("docs", 126, "docs is a directory, not a command"),
        ("./docs", 126, "./docs is a directory, not a command"),
        ("./build.sh", 126, "./build.sh is not executable"),
    ],
)
def test_a_command_that_can_not_be_one_costs_no_launch(clinder: Clinder, word: str, code: int, why: str) -> None:
    (clinder.directory / "docs").mkdir()
    (clinder.directory / "build.sh").write_text("#!/bin/sh\n")
    with FaultyHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", "--", word)
        assert (done.returncode, done.stderr.splitlines()[0]) == (code, f"clinder: error: {why}")
        assert hub.builds == []


def test_a_script_with_the_line_ends_of_windows_is_told_so_and_costs_no_launch(clinder: Clinder) -> None:
    script = clinder.directory / "build.sh"
    script.write_bytes(b"#!/bin/sh\r\necho hi\r\n")
    script.chmod(0o755)
    with FaultyHub() as hub:
        done = clinder("run", hub.url, "--repo", "org/repo", "--", "./build.sh")
        assert (done.returncode, hub.builds) == (127, [])
        assert "./build.sh has lines that end as on Windows" in done.stderr
        assert "sed -i 's/\\r$//' ./build.sh\n" in done.stderr


@pytest.mark.parametrize("words", [["run"], ["run", "--"]])
def test_no_command_is_a_usage_error_that_says_where_it_goes(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words)
    assert done.returncode == 2
    assert "clinder run --" in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["local", "echo", "hi"], "clinder run local -- COMMAND"),
        (["local", "--repo", "org/repo", "myst", "build"], "clinder run local -- COMMAND"),
        (["https://hub.example.org/", "myst", "build"], "clinder run HUB -- COMMAND"),
        (["myst", "build", "--execute"], "clinder run -- COMMAND"),
    ],
)
def test_a_command_without_the_hyphens_before_it_is_told_so(clinder: Clinder, words: list[str], meant: str) -> None:
    done = clinder("run", *words)
    assert done.returncode == 2
    assert f"two hyphens are missing before the command\nWrite: {meant}\n" in done.stderr


def answers_but(status: str) -> Answer:
    """Return a session that says how it is, and answers its shutdown with that."""

    def answer(exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            exchange.page("200 OK", '{"kernels": 0}', "application/json")
        else:
            exchange.page(status)

    return answer


def test_a_session_that_ended_by_itself_is_no_failure(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = answers_but("404 Not Found")
        assert clinder("run", hub.url, "--repo", "org/repo", *python("pass")).returncode == 0


def test_a_session_that_can_not_be_stopped_is_reported(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = answers_but("500 Oh no")
        done = clinder("run", hub.url, "--repo", "org/repo", *python("print('done')"), timeout=60)
        assert (done.returncode, done.stdout) == (3, "done\n")
        done = clinder("run", hub.url, "--repo", "org/repo", *python("raise SystemExit(7)"), timeout=60)
        assert done.returncode == 7
        assert "warning: the session was not stopped. HTTP 500" in done.stderr
        assert "may still be running" in done.stderr


def test_a_stubborn_command_and_a_slow_shutdown_do_not_take_longer_than_a_runner_waits(clinder: Clinder) -> None:
    def slow(exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            time.sleep(8)
        exchange.page("200 OK", '{"kernels": 0}', "application/json")

    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); time.sleep(60)"
    with FaultyHub() as hub:
        hub.session = slow
        process = clinder.begin("run", hub.url, "--repo", "org/repo", *python(stubborn))
        assert process.stdout is not None
        process.stdout.readline()
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, done.seconds < 9) == (143, True)
        assert "warning: the session was not stopped" in done.stderr


def test_ctrl_c_while_the_session_of_a_finished_command_is_being_stopped_is_an_exit_code(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = in_trouble_once
        process = clinder.begin("run", hub.url, "--repo", "org/repo", *python("raise SystemExit(7)"))
        hub.wait_until("stopping")
        done = Signalled(process, signal.SIGINT)
        assert (done.code, hub.stopped) == (130, 1)
