"""The real command on a real terminal: what a person sees while it goes on, and what stands there in the end."""

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest

from tests.conftest import Clinder
from tests.support.hub import TOKEN, Exchange, FaultyHub, failed

STEPS = 30


class Seen:
    """What a terminal of so many columns showed: each picture, the last one, and the exit code."""

    def __init__(self, clinder: Clinder, *words: str, columns: int = 80, output: str = "/dev/tty") -> None:
        self.pictures: list[list[str]] = []
        screen = pyte.Screen(columns, 100)
        stream = pyte.ByteStream(screen)
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(clinder.directory)
            command = ["sh", "-c", f'exec "$@" >{output}', "sh", sys.executable, "-m", "clinder", *words]
            os.execve("/bin/sh", command, {**clinder.env, "TERM": "xterm"})
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 100, columns, 0, 0))
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            stream.feed(data)
            self.pictures.append([line.rstrip() for line in screen.display])
        self.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        self.lines = [line for line in self.pictures[-1] if line]
        self.text = "".join(self.pictures[-1])


def build(then: Callable[[Exchange], None], pause: float = 0.5) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", "Waiting for build to start...\n")
        for number in range(1, STEPS + 1):
            exchange.event("building", f"Step {number}/{STEPS} : RUN \u5efa\u9020\u4e2d conda install --yes numpy\n")
            time.sleep(0.02)
        time.sleep(pause)
        then(exchange)

    return answer


def ready(exchange: Exchange) -> None:
    exchange.event("launching", "Launching server...\n")
    exchange.ready()
    exchange.wait_for_close()


def broken(exchange: Exchange) -> None:
    exchange.event("failed", "Command '[conda]' returned 1")
    exchange.wait_for_close()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_start_shows_its_phases_and_how_to_open_and_stop_the_session(clinder: Clinder, columns: int) -> None:
    with FaultyHub(build(ready, pause=1.5)) as hub:  # the last step is seen for so long
        seen = Seen(clinder, "start", hub.url, "--repo", "org/repo", columns=columns)
        uri = f"{hub.session_url}?token={TOKEN}"
    assert seen.code == 0
    live = [picture[number : number + 2] for picture in seen.pictures for number in range(90)]
    bar = r"building \d+s  \[#+\.*\] 30/30"
    assert any(re.fullmatch(bar, lines[0]) and lines[1].startswith("  Step 30/30 : RUN") for lines in live if lines)
    phases = [re.sub(r"[\d.]+s$", "_", line) for line in seen.lines if line.startswith("* ")]
    assert phases == ["* waiting _", "* building _", "* launching _", "* ready _"]
    assert not any(line.startswith(("Step", "building", "  ")) for line in seen.lines)
    said = seen.text.replace(" ", "")
    assert f"clinder:toopenitinabrowser:{uri}clinder:tostopit:clinderstop'{uri}'" in said


def test_a_build_that_fails_shows_its_log_in_full(clinder: Clinder) -> None:
    with FaultyHub(build(broken), build(broken)) as hub:
        seen = Seen(clinder, "start", hub.url, "--repo", "org/repo")
    assert seen.code == 1
    steps = [line.split()[1] for line in seen.lines if line.startswith("Step ")]
    assert steps == [f"{number}/{STEPS}" for number in range(1, STEPS + 1)]
    assert any(line.startswith("x building ") for line in seen.lines)
    assert "clinder: error: " in seen.text.rpartition(f"Step {STEPS}/{STEPS}")[2]


def test_verbose_shows_the_log_as_it_comes(clinder: Clinder) -> None:
    with FaultyHub(build(ready)) as hub:
        seen = Seen(clinder, "start", hub.url, "--repo", "org/repo", "-v")
    assert sum(line.startswith("Step ") for line in seen.lines) == STEPS
    assert any(line.startswith("==> building (") for line in seen.lines)


def test_quiet_shows_nothing_but_the_address(clinder: Clinder) -> None:
    with FaultyHub(build(ready)) as hub:
        seen = Seen(clinder, "start", hub.url, "--repo", "org/repo", "-q")
        assert seen.lines == [f"{hub.session_url}?token={TOKEN}"]


@pytest.mark.parametrize(("printed", "said"), [("uri", "with the address that was printed"), ("env", "after eval")])
def test_the_token_is_told_only_where_the_address_stands_already(clinder: Clinder, printed: str, said: str) -> None:
    with FaultyHub(build(ready)) as hub:
        words = ["start", hub.url, "--repo", "org/repo", "--format", printed]
        seen = Seen(clinder, *words, output="address")
    assert (seen.code, said in " ".join(seen.lines), TOKEN in seen.text) == (0, True, False)
    assert TOKEN in (clinder.directory / "address").read_text()


def test_run_shows_the_phases_and_then_the_commands_own_words(clinder: Clinder) -> None:
    with FaultyHub(build(ready)) as hub:
        seen = Seen(clinder, "run", hub.url, "--repo", "org/repo", "--", "echo", "built")
    assert seen.code == 0
    assert seen.lines[-2] == "built"
    assert re.fullmatch(r"clinder: echo exited with 0 after \d+ s; the session was stopped", seen.lines[-1])
    assert seen.lines[-3].startswith("* ready ")


# Where there is no terminal


def test_without_a_terminal_the_log_is_shown_in_full_and_nothing_is_said_of_the_next_steps(clinder: Clinder) -> None:
    with FaultyHub(build(ready)) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
    assert done.stderr.count("\nStep ") == STEPS
    assert "\x1b" not in done.stderr
    assert "to stop it" not in done.stderr


def without_times(text: str) -> str:
    """A log without its phases' times: those of the file and those of the terminal begin at different moments."""
    return re.sub(r"\(\d+:\d\d\)", "(t)", text)


def test_the_log_file_has_what_is_shown_and_no_token(clinder: Clinder) -> None:
    log = clinder.directory / "log"
    log.write_text("of an earlier run\n" * 1000)
    with FaultyHub(build(ready)) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--log-file", "log")
        assert without_times(log.read_text()) == without_times(done.stderr)
        assert TOKEN not in done.stderr
        quiet = clinder("start", hub.url, "--repo", "org/repo", "-q", "--log-file", "log")
        assert (quiet.returncode, quiet.stderr) == (0, "")
        assert log.read_text().count("\nStep ") == STEPS


def test_the_log_file_is_complete_for_the_command_of_run(clinder: Clinder) -> None:
    with FaultyHub(build(ready)) as hub:
        done = clinder(
            "run", hub.url, "--repo", "org/repo", "-q", "--log-file", "log", "--", "grep", "-c", "^Step", "log"
        )
    assert (done.returncode, done.stdout) == (0, f"{STEPS}\n")


def test_in_gitlab_each_phase_is_a_section_and_the_end_of_a_failed_build_is_outside(clinder: Clinder) -> None:
    with FaultyHub(failed("returned 1", after=("building",)), failed("returned 1", after=("building",))) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", env={"GITLAB_CI": "true"})
    sections = re.findall(r"section_(start|end):\d+:(clinder_\d_building)", done.stderr)
    assert sections[:2] == [("start", "clinder_1_building"), ("end", "clinder_1_building")]
    assert "a line while building" in done.stderr.rpartition("section_end")[2]


# A dry run


def test_a_dry_run_says_what_would_be_launched_where_and_asks_nobody(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        words = [hub.url, "--repo", "org/repo", "--ref", "dev", "--fallback-hub", "https://mybinder.org"]
        done = clinder("start", *words, "--dry-run", "--timeout", "20m")
        assert (done.returncode, done.stderr, hub.requests) == (0, "", [])
        assert done.stdout.splitlines() == [
            "Nothing is launched: this is a dry run.",
            "  repository   org/repo (gh)",
            "  ref          dev",
            f"  hub          {hub.url}",
            "  then         https://mybinder.org/",
            f"  launch link  {hub.url}v2/gh/org/repo/dev",
            "  deadline     1200 seconds",
        ]


def test_a_dry_run_of_run_is_an_object_with_everything(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        (clinder.directory / "myst.yml").write_text(
            f"project: {{github: org/repo, jupyter: {{binder: {{url: '{hub.url}'}}}}}}"
        )
        done = clinder("run", "--dry-run", "--json", "--", "echo", "a b")
        assert (done.returncode, hub.requests) == (0, [])
        assert json.loads(done.stdout) == {
            "hub": hub.url,
            "fallback_hubs": [],
            "provider": "gh",
            "repo": "org/repo",
            "ref": "HEAD",
            "directory": None,
            "launch_url": f"{hub.url}v2/gh/org/repo/HEAD",
            "instead_of": None,
            "from": {"hub": "myst.yml", "repo": "myst.yml", "ref": None},
            "notes": [],
            "timeout": 1800,
            "command": ["echo", "a b"],
        }


def test_a_dry_run_reads_nothing_of_the_web_and_says_so(clinder: Clinder) -> None:
    (clinder.directory / "myst.yml").write_text("extends: https://127.0.0.1:9/base.yml\nproject: {github: org/repo}")
    done = clinder("start", "--dry-run")
    assert done.returncode == 0
    assert "hub          https://mybinder.org/  (by default)" in done.stdout
    assert (
        "https://127.0.0.1:9/base.yml, which myst.yml extends, was not read (a dry run makes no request)" in done.stdout
    )


def test_a_dry_run_finds_the_mistakes_that_a_launch_would(clinder: Clinder) -> None:
    (clinder.directory / "myst.yml").write_text("project: {binder: 'https://hub.example.org/v2/gh/org/repo/HEAD'}")
    done = clinder("start", "--dry-run", env={"CLINDER_BUILD_TOKEN": "s3cret"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "The build token is not sent" in done.stderr
    assert clinder("run", "--dry-run", "--", "no-such-command").returncode == 127


def test_a_dry_run_of_local_names_the_directory(clinder: Clinder, tmp_path: Path) -> None:
    done = clinder("run", "local", "--dry-run", "--", "echo", cwd=tmp_path)
    assert f"  files        {tmp_path}\n" in done.stdout
    assert "launch link" not in done.stdout


def test_a_dry_run_writes_no_log_file(clinder: Clinder) -> None:
    assert clinder("start", "local", "--dry-run", "--log-file", "log").returncode == 0
    assert not (clinder.directory / "log").exists()
