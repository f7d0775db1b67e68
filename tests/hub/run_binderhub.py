"""BinderHub, twice in one process: at the root of a port of its own, and as JupyterHub's service under a prefix.

One process, because importing BinderHub and all that it needs takes most of the time that the harness needs to start.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from binderhub.app import BinderHub
from tornado.httpserver import HTTPServer

CONFIG = Path(__file__).with_name("binderhub_config.py")


def listen(base_url: str, host: str, port: int) -> None:
    """What BinderHub.start() does, which listens on all addresses."""
    app = BinderHub(base_url=base_url, config_file=str(CONFIG), use_named_servers=base_url == "/")
    app.initialize([])
    HTTPServer(app.tornado_app, xheaders=True).listen(port, host)


async def serve() -> None:
    settings = json.loads(Path("harness.json").read_text())
    listen("/", settings["host"], settings["binderhub_port"])
    listen(os.environ["JUPYTERHUB_SERVICE_PREFIX"], "127.0.0.1", settings["service_port"])
    await asyncio.Event().wait()


if __name__ == "__main__":
    # JupyterHub ends a service with SIGINT. As an exception it would wait for the threads that watch builds.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # BinderHub 0.1.0 appends paths to it as if it ended in a slash.
    os.environ["JUPYTERHUB_API_URL"] += "/"
    asyncio.run(serve())
