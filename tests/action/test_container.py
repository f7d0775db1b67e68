"""The real image on a real hub, run as a runner runs it: what it does for a job, and what is in it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.action.conftest import docker
from tests.hub.serve import RealHub
from tests.support.git import commits
from tests.support.hub import Exchange, FaultyHub, SecureHub
from tests.support.myst import myst_executable, project, show
from tests.support.runner import ROOT, Job, Step
from tests.support.session import never_within, running, user, wait_until

__all__ = ["project"]  # a fixture

pytestmark = pytest.mark.docker

MOST, MOST_COMPRESSED = 50_000_000, 20_000_000  # bytes
BASE = "python:3.13-slim"

# In the image: prints what a test asks about it.
LOOK = """
import importlib.util, json, os, pathlib, shutil
packages = pathlib.Path("/usr/local/lib/python3.13/site-packages")
print(json.dumps({
    "user": os.getuid(),
    "programs": [name for name in ("sh", "bash", "pip", "apt-get", "gcc", "git") if shutil.which(name)],
    "modules": [name for name in ("github", "cryptography", "nacl", "pytest") if importlib.util.find_spec(name)],
    "caches": [str(path) for path in (pathlib.Path.home() / ".cache", pathlib.Path("/tmp")) if any(path.glob("*"))],
    "clinder": sorted(str(path.relative_to(packages)) for path in (packages / "clinder").rglob("*.py")),
    "tests": [str(path) for path in packages.glob("test*")],
    "root": sorted(path.name for path in pathlib.Path("/").glob("*.py")),
    "compiled": any((packages / "clinder" / "__pycache__").iterdir()),
}))
"""


@pytest.fixture
def job(tmp_path: Path, image: str) -> Iterator[Job]:
    job = Job(tmp_path / "job", image=image, network="host")
    yield job
    if job.container:  # if a test failed in the middle
        subprocess.run(["docker", "rm", "--force", job.container], check=False, capture_output=True)


def clinder(image: str, *words: str, options: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run `docker run OPTIONS IMAGE ...`, as somebody without Python would."""
    command = ["docker", "run", "--rm", "--network", "host", *options, image, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def named(what: str) -> str:
    """A repository that no other test launches."""
    return f"{what}-{uuid.uuid4().hex[:6]}"


def gone(hub: RealHub, url: str) -> None:
    wait_until(lambda: user(url) not in hub.servers())


# As an Action


def test_the_steps_between_execute_on_the_session_and_after_the_last_it_is_gone(
    job: Job, hub: RealHub, project: Path
) -> None:
    main = job.main(hub_url=hub.url).finish()
    assert main.code == 0, main.log.raw
    url = main.outputs["url"]
    assert user(url).startswith("org-repo-")
    assert user(url) in hub.servers()
    assert main.env == {"JUPYTER_BASE_URL": url, "JUPYTER_TOKEN": main.outputs["token"]}
    assert main.outputs["image"].endswith(":" + "a" * 40)

    # A step of the job, as far as MyST sees it. What the cell prints it can only know on the hub.
    path = {"PATH": f"{Path(myst_executable()).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(project)}
    command = [myst_executable(), "build", "--site", "--execute"]
    built = subprocess.run(
        command, cwd=project, env={**path, **job.env}, capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert show(project).stdout.startswith(f"launched by: {hub.url}\n")

    post = job.post(main.state)
    assert (post.code, post.log.lines) == (0, [f"Stopped {url}"])
    gone(hub, url)
    [(properties, _)] = job.post(main.state).log.named("warning")
    assert properties["title"] == "Session ended early"


def test_an_unknown_ref_is_one_annotation_with_the_hubs_words(job: Job, hub: RealHub) -> None:
    main = job.main(hub_url=hub.url, repo="org/unknown-ref", ref="no-such-ref").finish()
    assert main.code == 1
    [(_, message)] = main.log.named("error")
    assert "Could not resolve ref for gh:org/unknown-ref/no-such-ref." in message
    assert main.outputs == main.env == main.state == {}
    assert not running(hub, "unknown-ref")


def cancelled(job: Job, hub: RealHub, repo: str, when: str, delay: float = 0) -> Step:
    """Run the action, and cancel it so many seconds after a line of its log."""
    step = job.main(hub_url=hub.url, repo=f"org/{repo}")
    step.wait_for(when)
    time.sleep(delay)
    step.cancel()
    return step.finish()


def test_cancelling_during_the_launch_leaves_no_server(job: Job, hub: RealHub) -> None:
    # After a signal clinder listens on for seven seconds, as long as a runner lets it. Where tests crowd, a launch
    # takes longer: then clinder says so, nothing is proved, and the next attempt cancels later. That may be too late.
    for delay in range(0, 20, 3):
        repo = named("cancelled")
        step = cancelled(job, hub, repo, "Launching server", delay)
        if step.code != 0 and not any("did not hand over the server" in line for line in step.log.raw):
            break
        job.post(step.state)
    assert step.code in (130, 143), step.log.raw
    assert not any("Traceback" in line for line in step.log.raw)
    assert step.outputs == step.env == step.state == {}
    wait_until(lambda: not running(hub, repo))
    never_within(2, hub, repo)


def test_cancelling_during_a_build_leaves_no_server(job: Job, hub: RealHub) -> None:
    repo = named("slow-cancelled")
    step = cancelled(job, hub, repo, "Step 3/30")
    assert step.code == 130, step.log.raw
    assert not any("Traceback" in line for line in step.log.raw)
    assert step.outputs == step.env == step.state == {}
    never_within(8, hub, repo)  # the build goes on for three seconds, and a launch would take two more


def test_the_second_signal_of_a_runner_ends_a_process_1_as_well(job: Job, hub: RealHub) -> None:
    """Where nobody handles it, the kernel keeps SIGTERM from the first process of a container."""
    step = job.main(hub_url=hub.url, repo=f"org/{named('slow-ended')}")
    step.wait_for("Step 3/30")
    step.process.send_signal(signal.SIGTERM)
    assert step.finish(20).code == 143, step.log.raw


def test_two_uses_in_one_job_stop_their_own_sessions(job: Job, hub: RealHub) -> None:
    first = job.main(hub_url=hub.url, repo="org/first-use").finish()
    second = job.main(hub_url=hub.url, repo="org/second-use").finish()
    urls = [step.outputs["url"] for step in (first, second)]
    assert {user(url) for url in urls} <= set(hub.servers())
    assert job.env["JUPYTER_BASE_URL"] == urls[1]

    job.post(second.state)
    gone(hub, urls[1])
    assert user(urls[0]) in hub.servers()
    job.post(first.state)
    gone(hub, urls[0])


def test_what_a_job_sets_for_its_own_python_does_not_reach_the_action(tmp_path: Path, image: str, hub: RealHub) -> None:
    there = "/github/workspace"
    nonsense = {"PYTHONHOME": there, "PYTHONPATH": there, "PYTHONUSERBASE": there, "VIRTUAL_ENV": there}
    nonsense |= {"PYTHONSTARTUP": f"{there}/json.py", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}
    job = Job(tmp_path / "job", image=image, network="host", env=nonsense)
    for name in ("json", "requests", "clinder", "sitecustomize", "usercustomize"):
        (job.workspace / f"{name}.py").write_text("raise SystemExit('not mine')")
    main = job.main(hub_url=hub.url, repo="org/nonsense").finish()
    assert main.code == 0, main.log.raw
    assert job.post(main.state).log.lines == [f"Stopped {main.outputs['url']}"]


def test_in_a_checkout_of_any_owner_an_image_is_reused(job: Job, hub: RealHub) -> None:
    environment, prose = commits(job.workspace)
    # A runner's user, where the container's is root. Only root may give files away: one in a container.
    docker("run", "--rm", "-v", f"{job.workspace}:/w", "--entrypoint", "chown", BASE, "-R", "1001:1001", "/w")
    job.env["GITHUB_SHA"] = prose
    main = job.main(hub_url=hub.url, reuse_image="true").finish()
    assert main.code == 0, main.log.raw
    assert main.outputs["image"].endswith(":" + environment)
    assert prose in main.summary
    assert job.post(main.state).log.lines == [f"Stopped {main.outputs['url']}"]


def test_a_home_that_is_not_there_is_no_trouble(image: str) -> None:
    assert docker("run", "--rm", "--env", "HOME=/no/where", image, "--version").startswith("clinder ")


# As a command


def test_start_prints_a_uri_that_stop_takes(image: str, hub: RealHub) -> None:
    started = clinder(image, "start", hub.url, "--repo", "org/by-command")
    assert started.returncode == 0, started.stderr
    uri = started.stdout.strip()
    url = uri.partition("?")[0]
    assert user(url) in hub.servers()

    status = clinder(image, "status", uri)
    assert status.stdout.startswith("running since "), status.stderr
    stopped = clinder(image, "stop", uri)
    assert (stopped.returncode, stopped.stderr) == (0, f"clinder: stopped {url}\n")
    gone(hub, url)


def test_run_passes_on_the_commands_exit_code_and_stops_the_session(image: str, hub: RealHub) -> None:
    words = ["--", "python3", "-c", "import os; print(os.environ['JUPYTER_BASE_URL']); raise SystemExit(7)"]
    done = clinder(image, "run", hub.url, "--repo", "org/run-here", *words)
    assert done.returncode == 7, done.stderr
    assert user(done.stdout.strip()).startswith("org-run-here-")
    gone(hub, done.stdout.strip())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], r"usage: clinder "),
        (["--version"], r"clinder \d+\."),
        (["completion", "bash"], r"(?s).*complete .*clinder"),
        (["start", "--help"], r"usage: clinder start "),
    ],
)
def test_the_image_is_the_command(image: str, words: list[str], expected: str) -> None:
    done = clinder(image, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(expected, done.stdout)


# The image


def test_nothing_is_in_the_image_that_no_job_needs(image: str, checkout: Path) -> None:
    there = json.loads(docker("run", "--rm", "--entrypoint", "python3", image, "-IBc", LOOK))
    modules = {str(path.relative_to(checkout)) for path in (checkout / "clinder").rglob("*.py")}
    assert there.pop("clinder") == sorted(modules)
    assert there == {
        "user": 0,  # a runner mounts its files for root
        "programs": [],
        "modules": [],
        "caches": [],
        "tests": [],
        "root": ["entrypoint.py", "post_entrypoint.py"],
        "compiled": True,
    }


def test_no_job_compiles_anything(image: str, hub: RealHub) -> None:
    name = f"clinder-test-{uuid.uuid4().hex[:12]}"
    inputs = ["--env", f"INPUT_HUB-URL={hub.url}", "--env", "INPUT_REPO=org/diff", "--env", "INPUT_REF=no-such-ref"]
    inputs += ["--env", "INPUT_REUSE-IMAGE=true"]
    command = ["docker", "run", "--name", name, "--network", "host", *inputs, "--entrypoint", "/entrypoint.py", image]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert "Could not resolve ref" in done.stdout + done.stderr  # so it has asked the hub
        assert docker("diff", name) == ""
    finally:
        docker("rm", name)


def test_the_image_says_what_it_is(image: str) -> None:
    [config] = json.loads(docker("image", "inspect", "--format", "[{{json .Config}}]", image))
    labels = {name: value for name, value in config["Labels"].items() if name.startswith("org.opencontainers.image.")}
    assert {name.rpartition(".")[2] for name in labels} == {"title", "description", "source", "licenses"}
    assert labels["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    assert config.get("User", "") in ("", "root")
    assert config["Entrypoint"] == ["clinder"]


def test_every_module_of_clinder_can_be_imported_in_the_image(image: str, checkout: Path) -> None:
    paths = {path.relative_to(checkout) for path in (checkout / "clinder").rglob("*.py")}
    names = [".".join(path.with_suffix("").parts) for path in paths if path.parts[1] != "kernels"]  # an extra
    script = f"import importlib; [importlib.import_module(name) for name in {names!r} if not name.endswith('__')]"
    docker("run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-IBc", script)


@pytest.mark.parametrize("options", [["--user", "1000"], ["--read-only"], ["--user", "1000", "--read-only"]])
def test_it_runs_as_anybody_and_where_nothing_can_be_written(image: str, hub: RealHub, options: list[str]) -> None:
    words = ["start", hub.url, "--repo", "org/anybody", "--json"]
    started = json.loads(docker("run", "--rm", "--network", "host", *options, image, *words))
    docker("run", "--rm", "--network", "host", *options, image, "stop", started["uri"])
    gone(hub, started["url"])


def test_the_image_has_the_certificates_that_https_needs(image: str) -> None:
    script = (
        "import certifi, ssl; ssl.create_default_context(cafile=certifi.where()); "
        "print(len(ssl.create_default_context().get_ca_certs()))"
    )
    assert int(docker("run", "--rm", "--entrypoint", "python3", image, "-IBc", script)) > 50


def test_an_authority_of_ones_own_is_trusted_and_nobody_else_is(image: str, tmp_path: Path) -> None:
    with SecureHub(tmp_path) as hub:
        refused = clinder(image, "start", hub.url, "--repo", "org/repo")
        assert (refused.returncode, hub.launched) == (3, 0)
        assert "its certificate is not valid" in refused.stderr

        options = ["--volume", f"{tmp_path}:/trust:ro", "--env", "REQUESTS_CA_BUNDLE=/trust/ca.pem"]
        started = clinder(image, "start", hub.url, "--repo", "org/repo", options=options)
        assert started.returncode == 0, started.stderr
        assert clinder(image, "stop", started.stdout.strip(), options=options).returncode == 0
        assert (hub.launched, hub.stopped) == (1, 1)


def test_a_name_of_the_hosts_file_is_found(image: str) -> None:
    with FaultyHub() as hub:
        url = hub.url.replace("127.0.0.1", "hub.made.up")
        done = clinder(image, "start", url, "--repo", "org/repo", options=["--add-host", "hub.made.up:127.0.0.1"])
        assert (done.returncode, hub.launched) == (0, 1), done.stderr


def test_a_name_is_asked_of_the_name_server(image: str) -> None:
    name = named("clinder-test")
    docker("network", "create", name)
    try:
        docker("run", "--detach", "--network", name, "--name", name, "--entrypoint", "sleep", BASE, "60")
        script = f"import socket; print(socket.gethostbyname({name!r}))"
        address = docker("run", "--rm", "--network", name, "--entrypoint", "python3", image, "-IBc", script)
        assert address == docker(
            "inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{name}").IPAddress}}}}', name
        )
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
        docker("network", "rm", name)


def test_a_proxy_is_asked_for_a_hub(image: str) -> None:
    with FaultyHub() as proxy:
        options = ["--env", f"HTTP_PROXY={proxy.url}"]
        clinder(image, "start", "http://hub.example.org/", "--repo", "org/repo", "--timeout", "3", options=options)
        assert proxy.requests[0].path.startswith("http://hub.example.org/")


@pytest.mark.parametrize("setting", [{}, {"LANG": "C"}, {"LANG": "C.UTF-8"}, {"LC_ALL": "de_DE.ISO-8859-1"}])
def test_text_is_utf_8_whatever_the_locale(image: str, setting: dict[str, str]) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "Größe → 東京\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        options = [word for name, value in setting.items() for word in ("--env", f"{name}={value}")]
        done = clinder(image, "start", hub.url, "--repo", "org/repo", options=options)
        assert done.returncode == 0, done.stderr
        assert "Größe → 東京\n" in done.stderr


def test_run_says_which_command_is_not_in_the_image(image: str) -> None:
    with FaultyHub() as hub:
        done = clinder(image, "run", hub.url, "--repo", "org/repo", "--", "sh", "-c", "true")
        assert done.returncode == 127, done.stderr
        assert hub.launched == hub.stopped
        assert "Traceback" not in done.stderr


def test_the_image_has_the_licences_of_what_it_holds(image: str) -> None:
    script = "import pathlib; print(*pathlib.Path('/usr/local/lib/python3.13/site-packages').glob('*.dist-info'))"
    names = re.findall(
        r"(\w+)-[^/]*\.dist-info", docker("run", "--rm", "--entrypoint", "python3", image, "-IBc", script)
    )
    locked = re.findall(r"^(\S+)==", (ROOT / "requirements" / "image.txt").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(name.replace("-", "_") for name in locked)


def test_the_image_is_small(image: str) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) <= MOST
    command = ["bash", "-o", "pipefail", "-c", f"docker save {image} | gzip | wc -c"]
    packed = subprocess.run(command, capture_output=True, check=True)
    assert int(packed.stdout) <= MOST_COMPRESSED
