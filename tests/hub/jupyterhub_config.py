"""JupyterHub's configuration: sessions are local processes, and anybody may have one through BinderHub.

Read by the `jupyterhub` that serve.py starts, in the hub's own directory.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
# mypy: allow-subclassing-any
from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner

c: Any = globals()["c"]  # traitlets puts it there
settings = json.loads(Path("harness.json").read_text())


def stop_with_the_harness() -> None:
    """End this hub in good order when the process that started it is gone, even by SIGKILL."""
    os.read(0, 1)  # nobody writes to it: this returns when the other end closes
    os.kill(os.getpid(), signal.SIGTERM)


class SessionSpawner(SimpleLocalProcessSpawner):
    """Starts a plain Jupyter Server, as the hubs do, with the token that BinderHub made up for the session."""

    cmd = [sys.executable, "-m", "jupyter_server"]  # noqa: RUF012 (a trait's value)

    def get_args(self) -> list[str]:
        return [
            f"--ServerApp.ip={self.ip}",
            f"--ServerApp.port={self.port}",
            f"--ServerApp.base_url={self.server.base_url}",
            f"--IdentityProvider.token={self.user_options['token']}",
            "--ServerApp.port_retries=0",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",  # containers run tests as root
            "--ServerApp.allow_remote_access=True",  # its own address is loopback, what clients call it is not
        ]


threading.Thread(target=stop_with_the_harness, daemon=True).start()

c.JupyterHub.bind_url = settings["jupyterhub_url"]
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings['hub_port']}"
c.JupyterHub.db_url = "sqlite:///:memory:"  # users of an earlier run must not come back
c.JupyterHub.last_activity_interval = 1  # how often it asks the proxy which servers were used
# Nobody logs in: BinderHub makes its users up, or gets the token of one.
c.JupyterHub.authenticator_class = "dummy" if settings["login"] else "null"
c.ConfigurableHTTPProxy.command = [settings["proxy"]]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings['proxy_api_port']}"

c.JupyterHub.spawner_class = SimpleLocalProcessSpawner if settings["login"] else SessionSpawner
c.SimpleLocalProcessSpawner.home_dir_template = str(Path.cwd() / "users" / "{username}")
c.Spawner.ip = settings["session_host"]
c.Spawner.poll_interval = 1  # by default the route of a session that has ended lives on for half a minute
c.LocalProcessSpawner.interrupt_timeout = c.LocalProcessSpawner.term_timeout = 5
# Spawner.env_keep names what else a session gets from here: PATH and the like, and no CI.
c.Spawner.environment = {"CLINDER_TEST_HUB": "real", "BINDER_LAUNCH_HOST": settings["url"]}

c.JupyterHub.services = [
    {
        "name": "binder",
        "url": f"http://127.0.0.1:{settings['service_port']}",
        "command": [sys.executable, str(Path(__file__).with_name("run_binderhub.py"))],
    },
    {"name": "harness", "api_token": settings["token"]},
]
c.JupyterHub.load_roles = [
    {"name": "binder", "services": ["binder"], "scopes": ["admin:users", "admin:servers"]},
    {"name": "harness", "services": ["harness"], "scopes": ["admin:users", "admin:servers", "tokens"]},
]
if settings["login"]:
    c.JupyterHub.load_roles += [{"name": "user", "scopes": ["self", "access:services!service=binder"]}]
    c.JupyterHub.allow_named_servers = True
    c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
    c.Spawner.args = ["--ServerApp.allow_root=True"]  # containers run tests as root
    # MyST shows the token in a web socket's address, which these servers take from a browser alone.
    c.Spawner.environment["JUPYTERHUB_ALLOW_TOKEN_IN_URL"] = "1"
