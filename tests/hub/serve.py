"""A real BinderHub on this machine: JupyterHub, its proxy, BinderHub, and a Jupyter Server per session.

Starts and stops them, and nothing else: what they do is said in jupyterhub_config.py and binderhub_config.py.
By hand, `python tests/hub/serve.py [--host ADDRESS]` prints the addresses and serves until Ctrl-C.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

HERE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
SETTINGS = "harness.json"  # in the hub's directory, where both configurations read it
START_TIMEOUT = 60.0  # seconds; about four are needed
STOP_TIMEOUT = 20.0  # seconds that the hub has for stopping its servers, before all of them are killed


class RealHub:
    """One BinderHub with all that it needs, in a directory of its own, on free ports.

    JupyterHub chooses the port of a session's server before the server listens there. So on Linux these servers have a
    loopback address that no other hub or test uses. Otherwise another program could get the port in between, or a new
    server could get a port to which the proxy of another hub still sends requests.

    `directory` is empty or does not exist yet; the hub's log, `hub.log`, is left in it. `host` is the address of
    this machine that BinderHub and the sessions are bound to and that stands in their URLs: loopback, or one
    that containers reach too. With `login`, JupyterHub lives under a prefix, servers are `jupyterhub-singleuser`,
    and BinderHub launches them for users with a token: at `prefixed_url` one server a user, at `url` named ones.
    """

    def __init__(self, directory: Path, host: str = LOOPBACK, *, login: bool = False) -> None:
        self.directory = directory.resolve()
        proxy, binderhub, *internal = free_ports([host] * 2 + [LOOPBACK] * 3)
        self.jupyterhub_url = f"http://{host}:{proxy}/{'jupyter/' if login else ''}"
        self.url = f"http://{host}:{binderhub}/"
        self.prefixed_url = f"{self.jupyterhub_url}services/binder/"
        self._token = secrets.token_hex(16)  # JupyterHub takes one of 64 characters, and then knows it no more
        self._settings = {
            "host": host,
            "session_host": own_loopback(),
            "url": self.url,
            "jupyterhub_url": self.jupyterhub_url,
            "binderhub_port": binderhub,
            "token": self._token,
            "login": login,
            **dict(zip(["hub_port", "proxy_api_port", "service_port"], internal, strict=True)),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealHub:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """What JupyterHub, its proxy, BinderHub and the sessions' servers have written."""
        return self.directory / "hub.log"

    def start(self) -> None:
        """Start it all, and return when it answers. RuntimeError, with the log's end, when it does not."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / SETTINGS
        settings.touch(mode=0o600)
        settings.write_text(json.dumps({**self._settings, "proxy": proxy_executable()}))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "--config", str(HERE / "jupyterhub_config.py")],
                cwd=self.directory,
                stdin=subprocess.PIPE,  # closes when this process ends, however it ends: the hub waits for that
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, who then stop the hub in good order
            )
        try:
            self._wait_until_healthy(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it all, the sessions' servers and their kernels too. Does nothing when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        left_behind = self.processes()
        for each in left_behind:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
        psutil.wait_procs(left_behind, timeout=5)
        if process.stdin:
            process.stdin.close()

    def servers(self) -> list[str]:
        """The users whose server is running or starting, as JupyterHub sees it: a session is `user/<name>/`.

        JupyterHub looks once a second whether a server is still there.
        """
        return sorted(user["name"] for user in self.api("GET", "users?state=active&limit=200"))

    def last_activity(self, user: str) -> str:
        """When JupyterHub has seen this user's server used, as it and its proxy count that: within a second."""
        return str(self.api("GET", f"users/{user}")["last_activity"])

    def stop_server(self, user: str) -> None:
        """Stop this user's server, as an administrator or the culler does."""
        self.api("DELETE", f"users/{user}/server")

    def servers_of(self, user: str) -> list[str]:
        """The names of the servers that JupyterHub has in its books for a user, stopped named ones included."""
        return sorted(self.api("GET", f"users/{user}?include_stopped_servers=1")["servers"])

    def new_token(self, user: str, *scopes: str) -> str:
        """A new API token of a user, who need not exist yet."""
        with contextlib.suppress(requests.HTTPError):  # 409: there is such a user
            self.api("POST", f"users/{user}")
        return str(self.api("POST", f"users/{user}/tokens", scopes=list(scopes), expires_in=600)["token"])

    def api(self, method: str, path: str, **content: object) -> Any:
        """Ask JupyterHub's API."""
        answer = requests.request(
            method,
            f"{self.jupyterhub_url}hub/api/{path}",
            json=content or None,
            headers={"Authorization": f"token {self._token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def processes(self) -> list[psutil.Process]:
        """Every process of this hub. All of them, kernels included, work in its directory or below."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()).is_relative_to(self.directory)
        except (psutil.Error, OSError):  # it has just ended, or is somebody else's
            return False

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        login = self._settings["login"]
        for url in [f"{self.jupyterhub_url}hub/api/", self.url, self.prefixed_url]:
            while not answers(url, "/hub/api/oauth2/" if login and "hub/api" not in url else ""):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the hub did not start, its log ends:\n{self.log.read_text()[-4000:]}")
                time.sleep(0.1)


def own_loopback() -> str:
    """Return a loopback address by chance; on macOS, which has only one, that one."""
    if sys.platform == "darwin":
        return LOOPBACK
    return ".".join(["127", *(str(random.SystemRandom().randint(1, 254)) for _ in range(3))])


def free_ports(hosts: list[str]) -> list[int]:
    """As many ports, all different, each free on its host.

    None is from the range from which the system chooses a port for a program that asks for any port, and each process
    that runs tests has its own ports. Otherwise another program or another hub could get one of them before the hub has
    started.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    candidates = iter(random.sample(range(10_000 + worker % 16, 32_768, 16), 1000))
    return [next(port for port in candidates if is_free(host, port)) for host in hosts]


def is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def proxy_executable() -> str:
    """configurable-http-proxy: $CONFIGURABLE_HTTP_PROXY, what `npm ci` put here, or the one on the PATH."""
    name = os.environ.get("CONFIGURABLE_HTTP_PROXY", "configurable-http-proxy")
    path = os.pathsep.join([str(HERE / "node_modules" / ".bin"), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeError(f"no {name}: run `npm ci` in {HERE}, or name one in $CONFIGURABLE_HTTP_PROXY")
    return found


def answers(url: str, login: str = "") -> bool:
    """Whether there is a page at `url` itself, or the way to the login that is in front of it.

    While it starts, the hub answers for BinderHub with other redirects.
    """
    try:
        answer = requests.get(url, timeout=5, allow_redirects=False)
        return login in answer.headers.get("Location", "") if login else answer.status_code == 200
    except requests.RequestException:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a real BinderHub until Ctrl-C.")
    parser.add_argument("--host", default=LOOPBACK, help="address to serve at (default: %(default)s)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="clinder-hub-", ignore_cleanup_errors=True) as directory,
        RealHub(Path(directory), arguments.host) as hub,
    ):
        print("BinderHub:               ", hub.url)
        print("BinderHub under a prefix:", hub.prefixed_url)
        print("JupyterHub:              ", hub.jupyterhub_url)
        print("Log:                     ", hub.log, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
