"""What all tests share: the real command, as a subprocess."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Nothing of the person's or CI's own environment may decide a test.
_FOREIGN = (
    *("CLINDER_", "JUPYTER_", "BINDER_", "NO_COLOR", "TERM", "HTTP_PROXY", "HTTPS_PROXY"),
    *("CI", "GITHUB_", "GITLAB_", "NETLIFY", "READTHEDOCS"),
)

_MOST_SHOWN = 4000  # characters

# If the tests run in the background or under nohup, these signals are ignored, also in the processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped, as in CI, a test that is makes the run fail."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("TESTS_NEVER_SKIP") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Clinder:
    """The command line, run in an empty directory with a plain environment.

    It has no terminal, also where the tests have one: there `run` would leave Ctrl-C to its command.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = ["-m", "clinder"]  # for Python
        self.env = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        self.env["HOME"] = str(directory)
        self._running: list[subprocess.Popen[str]] = []

    def __call__(
        self, *words: str, env: dict[str, str] | None = None, timeout: float = 60, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end, and print for the report of a failed test what it said."""
        done = subprocess.run(
            [sys.executable, *self.program, *words],
            env=self.env | (env or {}),
            cwd=options.pop("cwd", self.directory),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            errors=options.pop("errors", "replace"),
            timeout=timeout,
            check=False,
            start_new_session=True,
            **options,
        )
        print(*words, "->", done.returncode, str(done.stderr)[-_MOST_SHOWN:])
        return done

    def begin(self, *words: str, env: dict[str, str] | None = None, **options: Any) -> "subprocess.Popen[str]":
        """Run in the background."""
        process = subprocess.Popen(
            [sys.executable, *self.program, *words],
            env=self.env | (env or {}),
            cwd=self.directory,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        self._running.append(process)
        return process

    def clean_up(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                stream.close()  # and not read to its end: a command of `run` may hold it for as long as it runs


@pytest.fixture
def clinder(tmp_path: Path) -> Iterator[Clinder]:
    command = Clinder(tmp_path)
    yield command
    command.clean_up()


# A program whose launches are signalled as they return: what comes next has been cancelled.
SIGNALLED_AS_IT_RETURNS = """\
import os, signal, sys
from clinder import hub

def launch(self, *words, _launch=hub.BinderHub.launch, **options):
    session = _launch(self, *words, **options)
    os.kill(os.getpid(), signal.SIGTERM)
    return session

hub.BinderHub.launch = launch
"""


class Signalled:
    """What became of a process after a signal."""

    def __init__(self, process: "subprocess.Popen[str]", number: int) -> None:
        began = time.monotonic()
        process.send_signal(number)
        self.stdout, self.stderr = process.communicate(timeout=30)
        self.seconds = time.monotonic() - began
        self.code = process.returncode


SIGNALS = [pytest.param(signal.SIGINT, id="SIGINT"), pytest.param(signal.SIGTERM, id="SIGTERM")]
