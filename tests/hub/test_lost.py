"""Real sessions that die while a command runs: what the user reads, and what `run` makes of it."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from clinder import BinderHub, EmbeddedHub, RepoSpec
from clinder.cli import watcher
from clinder.cli.watcher import Watcher
from clinder.watch import WatchPolicy
from tests.conftest import Clinder
from tests.support.myst import myst_executable
from tests.support.session import Processes, printed_by_a_cell, servers, temporary, user, wait_for_the_end, wait_until
from tests.support.watch import hasten

from .serve import RealHub

__all__ = ["servers", "temporary"]  # fixtures

SLEEP = "import os, time; print(os.environ['JUPYTER_BASE_URL'], flush=True); time.sleep(100)"


def begin(clinder: Clinder, *hub: str) -> tuple[subprocess.Popen[str], str]:
    """Begin a run; return it when its command runs, and the session's URL."""
    process = clinder.begin("run", *hub, "--", sys.executable, "-c", SLEEP)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_session_of_the_embedded_hub_is_noticed_and_explained(clinder: Clinder, servers: Processes) -> None:
    hasten(clinder)
    process, _ = begin(clinder, "local")
    for one in servers():  # a process that it has just started may be among them
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    _, shown = process.communicate(timeout=40)
    assert process.returncode == 5
    assert "clinder: error: The session ended while python" in shown
    assert "\nIt ran out of memory, was stopped by the hub, or its machine went away.\n" in shown


def kill(hub: RealHub, name: str) -> None:
    (server,) = [one for one in hub.processes() if any(f"/user/{name}/" in word for word in one.cmdline())]
    server.kill()


def stop(hub: RealHub, name: str) -> None:
    hub.stop_server(name)


@pytest.mark.parametrize("end", [kill, stop])
def test_a_session_that_ends_on_a_real_hub_is_noticed(clinder: Clinder, hub: RealHub, end: object) -> None:
    assert callable(end)
    hasten(clinder, patience=2)
    process, url = begin(clinder, hub.url, "--repo", "org/lost")
    end(hub, user(url))
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "clinder: error: The session ended while python" in shown
    wait_until(lambda: user(url) not in hub.servers())


# Looks are no activity


def test_looks_do_not_keep_an_idle_session_alive(
    servers: Processes, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLICY", WatchPolicy(interval=0.2, doubt=0.2))
    with EmbeddedHub(idle=4) as hub:
        session = hub.launch(RepoSpec("org/repo"))
    with Watcher(session) as watch:
        wait_until(lambda: bool(watch.loss), timeout=40)
        assert watch.loss == "the session ended"
    wait_for_the_end(servers, temporary)


def test_neither_jupyter_server_nor_jupyterhubs_proxy_takes_a_look_for_activity(
    hub: RealHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLICY", WatchPolicy(interval=0.2))
    with BinderHub(hub.url).launch(RepoSpec("org/idle")) as session:
        with Watcher(session) as watch:
            time.sleep(3)  # the first looks found something new
            activity = session.status().last_activity
            time.sleep(2)
            counted = hub.last_activity(user(session.url))
            time.sleep(4)
            assert hub.last_activity(user(session.url)) == counted
            assert watch.is_unused
        assert session.status().last_activity == activity
        wait_until(lambda: hub.last_activity(user(session.url)) != counted)  # what counts as activity is seen here
        printed_by_a_cell(session.as_dict(), "print(1)")
        watch.look_at_last()
        assert not watch.is_unused


# MyST

PAGE = """\
---
kernelspec:
  name: {kernel}
  display_name: Python 3
---

```{{code-cell}} python
import os, pathlib, time
here = pathlib.Path({directory!r})
with (here / "log").open("a") as log:
    print("{name}", os.getppid(), file=log)
{code}
```
"""


def write_book(directory: Path, **pages: str) -> Path:
    """Write a project whose pages run this code each; return its log, of the pages that ran and their servers."""
    toc = "".join(f"    - file: {name}.md\n" for name in pages)
    settings = f"version: 1\nproject:\n  toc:\n{toc}site:\n  template: ./template.yml\n"
    (directory / "myst.yml").write_text(settings)
    quickstart = Path(__file__).parents[2] / "examples/quickstart"
    (directory / "template.yml").write_text((quickstart / "template.yml").read_text())
    for name, code in pages.items():
        text = PAGE.format(name=name, code=code, directory=str(directory), kernel="python3")
        (directory / f"{name}.md").write_text(text)
    return directory / "log"


BUILD = ["--", myst_executable(), "build", "--site", "--execute"]


def test_myst_goes_on_with_the_page_in_work_when_its_session_is_replaced(clinder: Clinder, servers: Processes) -> None:
    wait_once = "if not (here / 'again').exists(): (here / 'again').touch(); time.sleep(100)"
    log = write_book(clinder.directory, first="", second=wait_once, third="")
    hasten(clinder)
    process = clinder.begin("run", "local", "--attempts", "2", *BUILD)
    wait_until((clinder.directory / "again").exists, timeout=60)
    lost = int(log.read_text().split()[-1])
    psutil.Process(lost).kill()
    _, shown = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    assert "The session ended while myst ran" in shown
    ran = [line.split() for line in log.read_text().splitlines()]
    assert [name for name, _ in ran] == ["first", "second", "second", "third"], "the first page was kept"
    assert [int(number) == lost for _, number in ran] == [True, True, False, False]
    wait_until(lambda: not servers())
    # Now all of it is in MyST's cache.
    done = clinder("run", "local", *BUILD, timeout=120)
    assert done.returncode == 0
    assert "clinder: warning: The session was not used" in done.stderr


def test_a_kernel_that_dies_fails_the_build_but_is_no_lost_session(clinder: Clinder, servers: Processes) -> None:
    write_book(clinder.directory, only="os._exit(9)")
    done = clinder("run", "local", "--attempts", "3", *BUILD, timeout=120)
    assert done.returncode == 1
    assert "Canceled future for execute_request message" in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"clinder: myst exited with 1 after \d+ s; the session was stopped", last)
    wait_until(lambda: not servers())


def test_a_kernel_that_the_session_has_not_is_warned_of_and_ends_the_build(clinder: Clinder) -> None:
    write_book(clinder.directory, only="")
    page = clinder.directory / "only.md"
    page.write_text(page.read_text().replace("python3", "cookbook-dev"))
    done = clinder("run", "local", *BUILD, timeout=120)
    assert done.returncode != 0
    assert "warning: The session has no kernel cookbook-dev, which only.md names. It has python3." in done.stderr


def test_a_killed_session_ends_a_real_build_in_time(clinder: Clinder, servers: Processes) -> None:
    log = write_book(clinder.directory, only="time.sleep(100)")
    hasten(clinder)
    process = clinder.begin("run", "local", *BUILD)
    wait_until(log.exists, timeout=60)
    began = time.monotonic()
    os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 5
    assert time.monotonic() - began < 30
    wait_until(lambda: not servers())
