"""The embedded hub: a BinderHub's protocol, and at its end a real Jupyter Server that somebody has to stop."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from packaging.requirements import Requirement

import clinder as package
from clinder import EmbeddedHub, HubRefused, RepoSpec, Session, UsageError
from tests.conftest import SIGNALS, Clinder, Signalled
from tests.support.session import Processes, ask, printed_by_a_cell, servers, temporary, wait_for_the_end, wait_until

from .conftest import read_until

__all__ = ["servers", "temporary"]  # fixtures


def start(clinder: Clinder, *words: str) -> subprocess.CompletedProcess[str]:
    done = clinder("start", "local", *words, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


# A session


def test_start_prints_the_uri_of_a_server_that_outlives_the_command(clinder: Clinder, servers: Processes) -> None:
    done = start(clinder)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\S+/\?token=\S+\n", done.stdout)
    (server,) = servers()
    assert os.getsid(server.pid) == server.pid, "Ctrl-C in a terminal is not for it"
    status = clinder("status", done.stdout.strip())
    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout.startswith("running since ")


def test_the_session_is_one_of_the_directory_that_clinder_was_started_in(clinder: Clinder, servers: Processes) -> None:
    clinder.env |= {"JUPYTER_BASE_URL": "http://127.0.0.1:1/", "JUPYTER_TOKEN": "of-another-session"}
    session = json.loads(start(clinder, "--json").stdout)
    (clinder.directory / "data.csv").write_text("1,2\n")
    code = "import os; print(os.environ['BINDER_LAUNCH_HOST'], os.environ.get('JUPYTER_BASE_URL'), os.listdir())"
    printed = printed_by_a_cell(session, code)
    assert printed.startswith("local None ")
    assert "'data.csv'" in printed
    files = ask("GET", f"{session['url']}api/contents", session["token"]).json()["content"]
    assert "data.csv" in [file["name"] for file in files]
    assert len(servers()) == 2, "the server and its kernel"


def test_the_token_is_in_no_process_list(clinder: Clinder, servers: Processes) -> None:
    token = Session.parse(start(clinder).stdout).token
    (server,) = servers()
    assert server.cmdline(), "it can be read"
    for process in psutil.process_iter(["cmdline"]):
        assert token not in " ".join(process.info["cmdline"] or [])


def test_what_the_server_writes_is_out_of_everybody_elses_reach(
    clinder: Clinder, servers: Processes, temporary: Path
) -> None:
    done = clinder("start", "local", timeout=120, umask=0)
    assert done.returncode == 0, done.stderr
    token = Session.parse(done.stdout).token
    assert len(servers()) == 1
    (home,) = temporary.iterdir()
    assert home.stat().st_mode & 0o077 == 0
    # Jupyter Server writes its token down, for those who look for running servers. HOME is in this directory as well.
    files = [file for file in clinder.directory.rglob("*") if file.is_file()]
    with_token = [file for file in files if token in file.read_text(errors="replace")]
    assert with_token
    assert all(file.is_relative_to(home) for file in with_token)


def test_stop_ends_the_process_and_removes_its_files(clinder: Clinder, servers: Processes, temporary: Path) -> None:
    uri = start(clinder).stdout.strip()
    assert len(servers()) == 1
    assert len(list(temporary.iterdir())) == 1
    first = clinder("stop", uri)
    assert (first.returncode, "stopped" in first.stderr) == (0, True)
    wait_for_the_end(servers, temporary)
    second = clinder("stop", uri)
    assert (second.returncode, "already gone" in second.stderr) == (0, True)


def test_run_gives_the_command_a_session_and_stops_it(clinder: Clinder, servers: Processes, temporary: Path) -> None:
    code = (
        "import os, urllib.request\n"
        "headers = {'Authorization': 'token ' + os.environ['JUPYTER_TOKEN']}\n"
        "request = urllib.request.Request(os.environ['JUPYTER_BASE_URL'] + 'api/status', headers=headers)\n"
        "print(urllib.request.urlopen(request).status)\n"
        "raise SystemExit(7)\n"
    )
    done = clinder("run", "local", "--", sys.executable, "-c", code, timeout=120)
    assert (done.returncode, done.stdout) == (7, "200\n"), done.stderr
    wait_for_the_end(servers, temporary)


# What is shown


def test_the_log_has_all_phases_and_says_that_nothing_is_built_for_which_python(
    clinder: Clinder, servers: Processes
) -> None:
    shown = start(clinder).stderr
    phases = re.findall(r"^==> (\w+) ", shown, re.MULTILINE)
    assert phases == ["waiting", "fetching", "building", "pushing", "built", "launching", "ready"]
    assert "No image is built" in shown
    assert sys.executable in shown
    assert f"Python {sys.version.split()[0]}" in shown
    assert len(servers()) == 1


# No server is left


def configure(clinder: Clinder, code: str) -> None:
    """Have each server run this code as it begins."""
    configuration = clinder.directory / ".jupyter/jupyter_server_config.py"
    configuration.parent.mkdir()
    configuration.write_text(code)


@pytest.mark.parametrize("after", [0, 0.2])
def test_a_start_that_is_killed_leaves_no_server(clinder: Clinder, servers: Processes, after: float) -> None:
    configure(clinder, "import time\ntime.sleep(1)\n")  # it must not be ready before it is killed
    process = clinder.begin("start", "local")
    wait_until(lambda: bool(servers()))
    time.sleep(after)
    process.kill()
    stdout, _ = process.communicate(timeout=30)
    assert stdout == "", "it was killed before it was done"
    wait_until(lambda: not servers(), timeout=40)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_start_that_is_cancelled_leaves_no_server(
    clinder: Clinder, servers: Processes, temporary: Path, number: int
) -> None:
    process = clinder.begin("start", "local")
    read_until(process, "==> launching")
    wait_until(lambda: bool(servers()))
    done = Signalled(process, number)
    assert (done.code, done.stdout) == (128 + number, "")
    wait_for_the_end(servers, temporary)


LEAVE_DURING_THE_LAUNCH = """
import sys
import requests
from clinder import EmbeddedHub, RepoSpec
with EmbeddedHub() as hub:
    url, headers = hub.build_url(RepoSpec("org/repo")), {"Accept": "text/event-stream"}
    with requests.get(url, headers=headers, stream=True) as stream:
        next(line for line in stream.iter_lines() if b"launching" in line)
    print("left", flush=True)
    sys.stdin.readline()
"""


def test_a_client_that_leaves_during_the_launch_leaves_no_server(
    clinder: Clinder, servers: Processes, temporary: Path
) -> None:
    command = [sys.executable, "-c", LEAVE_DURING_THE_LAUNCH]
    with subprocess.Popen(
        command, env=clinder.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=clinder.directory
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"left\n"
        wait_until(lambda: bool(servers()))
        wait_for_the_end(servers, temporary)
        program.communicate(b"\n")


# In a process of its own: as long as the one that has started a server lives, that does not vanish when it ends.
LAUNCH_IN_PYTHON = """
from clinder import EmbeddedHub, RepoSpec
with EmbeddedHub(idle=5) as hub:
    print(hub.launch(RepoSpec("org/repo")).uri)
"""


def test_a_session_that_nobody_uses_or_stops_ends_with_its_kernel(
    clinder: Clinder, servers: Processes, temporary: Path
) -> None:
    done = python(clinder, "-c", LAUNCH_IN_PYTHON)
    assert done.returncode == 0, done.stderr
    session = Session.parse(done.stdout)
    kernel = psutil.Process(int(printed_by_a_cell(session.as_dict(), "import os; print(os.getpid())")))
    assert kernel in servers()
    wait_for_the_end(servers, temporary)
    assert not kernel.is_running()
    assert session.stop() is False


def test_the_python_api_leaves_nothing_open_of_which_python_warns(clinder: Clinder, servers: Processes) -> None:
    done = python(clinder, "-X", "dev", "-c", LAUNCH_IN_PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(servers()) == 1


def python(clinder: Clinder, *words: str, executable: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run Python where and as the command would run."""
    return subprocess.run(
        [executable, *words],
        env=clinder.env,
        cwd=clinder.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# Who may not have a session


def test_without_the_extra_the_error_says_how_to_install_it(clinder: Clinder, tmp_path: Path) -> None:
    plain = environment_without_extras(tmp_path / "plain")
    done = python(clinder, "-m", "clinder", "start", "local", executable=plain)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'clinder[local]'" in done.stderr
    assert "Traceback" not in done.stderr


def environment_without_extras(directory: Path) -> Path:
    """Make a virtual environment with clinder and what it always needs, by links to what is installed here."""
    venv.create(directory, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    (packages / "clinder").symlink_to(Path(package.__file__).parent)
    for name in always_needed_by("clinder"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    return directory / "bin" / "python"


def always_needed_by(name: str) -> set[str]:
    """The distributions that `name` needs without any extra, and those that these need."""
    needed: set[str] = set()
    for requirement in map(Requirement, importlib.metadata.requires(name) or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed |= {requirement.name} | always_needed_by(requirement.name)
    return needed


def test_the_persons_own_configuration_may_print_and_there_may_be_no_current_directory_to_import_from(
    clinder: Clinder, servers: Processes
) -> None:
    configure(clinder, "print('http://127.0.0.1:1/ is not the address', flush=True)\n")
    done = clinder("start", "local", timeout=120, env={"PYTHONSAFEPATH": "1"})
    assert done.returncode == 0, done.stderr
    assert len(servers()) == 1
    assert clinder("status", done.stdout.strip()).returncode == 0


def test_a_server_that_ends_as_it_begins_is_a_failure_with_its_words(clinder: Clinder, temporary: Path) -> None:
    configure(clinder, "import os\nos.write(2, b'out of order')\nos._exit(3)\n")
    done = clinder("start", "local", timeout=120)
    assert done.returncode == 1
    assert "The server could not be started:" in done.stderr
    assert "out of order" in done.stderr
    wait_until(lambda: not list(temporary.iterdir()))


def test_what_makes_no_difference_to_the_embedded_hub_is_said(clinder: Clinder, servers: Processes) -> None:
    words = ["--ref", "main", "--fallback-hub", "https://hub.example.org", "--reuse-image"]
    done = clinder("start", "local", *words, timeout=120)
    assert done.returncode == 0, done.stderr
    files = f"the files of {clinder.directory}"
    assert f"local launches {files}, and ignores --ref, --fallback-hub, --reuse-image" in done.stderr
    assert len(servers()) == 1


def test_the_files_are_those_of_the_whole_checkout_as_on_a_hub(clinder: Clinder) -> None:
    docs = clinder.directory / "docs"
    docs.mkdir()
    (clinder.directory / ".git").mkdir()
    (docs / "myst.yml").write_text("project: {}\n")
    (docs / "page.md").write_text("```{code-cell}\nopen('data.csv')\n```\n")
    (docs / "data.csv").touch()
    done = clinder("start", "local", "--json", cwd=docs, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "warning: docs/page.md names 'data.csv', but its cells will run in the repository's root" in done.stderr
    started = json.loads(done.stdout)
    assert printed_by_a_cell(started, "import os; print(os.getcwd())") == f"{clinder.directory}\n"
    assert clinder("stop", started["uri"]).returncode == 0


def test_a_server_that_can_not_be_started_is_the_hubs_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with EmbeddedHub() as hub, pytest.raises(HubRefused, match="could not be started: "):
        hub.launch(RepoSpec("org/repo"), timeout=20)


def test_a_port_that_another_program_gets_first_is_not_the_servers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-c", f"from clinder import local; local._free_port = lambda: {port}; local.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")},
        ) as server:
            assert server.stdin
            assert server.stdout
            server.stdin.write(json.dumps({"token": "t", "directory": str(tmp_path), "idle": 600}) + "\n")
            server.stdin.flush()
            url = server.stdout.readline().strip()
            assert urlsplit(url).port != port
            assert ask("GET", f"{url}api/status", "t").ok


def test_a_directory_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Not a directory"):
        EmbeddedHub(str(tmp_path / "none"))


def test_a_current_directory_that_is_gone_is_a_usage_error(clinder: Clinder) -> None:
    gone = clinder.directory / "gone"
    gone.mkdir()
    done = clinder("start", "local", cwd=gone, preexec_fn=gone.rmdir)
    assert (done.returncode, "The current directory is gone" in done.stderr) == (2, True)


@pytest.mark.parametrize("page", ["build/git/x/HEAD", "versions", "not-the-secret/build/git/x/HEAD"])
@pytest.mark.usefixtures("servers")
def test_who_does_not_know_the_secret_path_gets_no_server(page: str, temporary: Path) -> None:
    with EmbeddedHub() as hub:
        parts = urlsplit(hub.url)
        assert len(parts.path) > 20
        answer = requests.get(
            f"{parts.scheme}://{parts.netloc}/{page}", headers={"Accept": "text/event-stream"}, timeout=30
        )
        assert answer.status_code == 404
        assert requests.get(f"{hub.url}versions", timeout=30).status_code == 200
    assert not list(temporary.iterdir())


@pytest.mark.usefixtures("servers")
def test_without_the_accept_header_the_hub_says_that_it_is_missing_and_launches_nothing(temporary: Path) -> None:
    with EmbeddedHub() as hub:
        answer = requests.get(f"{hub.url}build/gh/org/repo/HEAD", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    event = json.loads(answer.text.removeprefix("data:"))
    assert (event["phase"], event["status_code"]) == ("failed", 400)
    assert "Missing Accept header" in event["message"]
    assert not list(temporary.iterdir())
