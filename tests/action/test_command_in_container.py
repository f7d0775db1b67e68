"""The command in the real image, where it imports late and where it is process 1: nothing that it needs is missing."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.action.conftest import docker
from tests.support.git import URL, commits, git
from tests.support.hub import Exchange, FaultyHub

pytestmark = pytest.mark.docker


def command(image: str, *words: str, options: Iterable[str] = ()) -> list[str]:
    return ["docker", "run", "--rm", "--network", "host", "--workdir", "/tmp", *options, image, *words]


def clinder(image: str, *words: str, options: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command in a container, and see that no traceback is in what it says."""
    line = command(image, *words, options=options)
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("words", [["start", "local"], ["run", "local", "--", "python3", "-V"]])
def test_the_embedded_hub_says_which_libraries_it_has_not(image: str, words: list[str]) -> None:
    done = clinder(image, *words)
    assert done.returncode == 2
    assert "needs jupyter-server and ipykernel" in done.stderr


def test_each_public_name_of_the_library_can_be_imported(image: str) -> None:
    script = "from clinder import *; import clinder; print({*clinder.__all__} <= {*dir()})"
    assert docker("run", "--rm", "--entrypoint", "python3", image, "-IBc", script) == "True"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(image: str, shell: str) -> None:
    done = clinder(image, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "clinder" in done.stdout


def test_a_shell_that_asks_for_completions_gets_the_commands(image: str, tmp_path: Path) -> None:
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": "clinder st", "COMP_POINT": "10", "_ARGCOMPLETE_IFS": " "}
    asked["_ARGCOMPLETE_STDOUT_FILENAME"] = "/answer/words"
    options = ["--volume", f"{tmp_path}:/answer", *(w for pair in asked.items() for w in ("--env", "=".join(pair)))]
    clinder(image, options=options)
    assert {word.strip() for word in (tmp_path / "words").read_text().split(" ")} == {"start", "status", "stop"}


def test_a_packed_checkout_with_names_in_utf_8_is_read_and_its_image_reused(image: str, tmp_path: Path) -> None:
    checkout = tmp_path / "Größe 東京"
    checkout.mkdir()
    environment, _ = commits(checkout)
    git(checkout, "remote", "add", "origin", URL)
    with FaultyHub() as hub:
        (checkout / "myst.yml").write_text(f"project:\n  jupyter:\n    binder:\n      url: {hub.url}\n")
        (checkout / "naïve.md").write_text("# 東京\n")
        git(checkout, "add", ".")
        git(checkout, "commit", "--quiet", "--message", "prose, naïve")
        git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
        git(checkout, "gc", "--quiet")
        options = ["--volume", f"{checkout}:/tmp/{checkout.name}:ro", "--workdir", f"/tmp/{checkout.name}"]
        done = clinder(image, "start", "--reuse-image", options=options)
        assert done.returncode == 0, done.stderr
        assert hub.builds[0].path.startswith(f"/build/gh/org/repo/{environment}")


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_signal_ends_process_1_and_leaves_no_server(image: str, name: str, code: int) -> None:
    def build(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "Step 1/30\n")
        exchange.hub.reach("building")
        exchange.wait_for_close()

    container = f"clinder-test-{uuid.uuid4().hex[:12]}"
    with FaultyHub(build) as hub:
        line = command(image, "start", hub.url, "--repo", "org/repo", options=["--name", container])
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            hub.wait_until("building", 60)
            docker("kill", "--signal", name, container)
            out, err = process.communicate(timeout=30)
        finally:
            subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)
        assert (process.returncode, out, hub.launched) == (code, "", 0), err
        assert "Traceback" not in err


def test_docker_stop_ends_the_command_of_run_and_its_session(image: str) -> None:
    container = f"clinder-test-{uuid.uuid4().hex[:12]}"
    words = ["--", "python3", "-c", "import time; print('runs', flush=True); time.sleep(120)"]
    with FaultyHub() as hub:
        line = command(image, "run", hub.url, "--repo", "org/repo", *words, options=["--name", container])
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "runs\n"
            docker("stop", container)
            _, err = process.communicate(timeout=30)
        finally:
            subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)
        assert (process.returncode, hub.launched, hub.stopped) == (143, 1, 1), err
        assert "Traceback" not in err
