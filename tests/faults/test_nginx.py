"""A real nginx in front of a hub, which buffers: it holds back what the hub sent until the hub closes the stream."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinder import BinderHub, RepoSpec
from clinder.hub import SILENCE
from tests.hub.serve import LOOPBACK, free_ports
from tests.support.hub import Exchange, FaultyHub

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
HELD = 4.0  # seconds; a real hub keeps a stream open for 60 s after ready

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not there")


def ready_and_open(exchange: Exchange) -> None:
    """Launch, and keep the stream open as a hub does that has built an image."""
    exchange.stream(chunked=False)
    exchange.event("building", "a line\n")
    exchange.ready()
    time.sleep(HELD)


def has_listener(port: int) -> bool:
    """Whether a program accepts connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture
def buffered(tmp_path: Path) -> Iterator[tuple[FaultyHub, str]]:
    """Yield a hub and the address of an nginx in front of it, with ``proxy_buffering on``, its default."""
    (port,) = free_ports([LOOPBACK])
    with FaultyHub(ready_and_open) as hub:
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in names)
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {paths}\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {hub.url}; proxy_buffering on; }} }} }}\n"
        )
        process = subprocess.Popen([str(NGINX), "-c", str(configuration), "-e", f"{tmp_path}/error.log"])
        try:
            until = time.monotonic() + 30
            while not has_listener(port):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            yield hub, f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def test_a_ready_that_a_buffering_proxy_holds_back_is_waited_for(buffered: tuple[FaultyHub, str]) -> None:
    hub, url = buffered
    began = time.monotonic()
    session = BinderHub(url, silence=HELD + 5).launch(RepoSpec("org/repo"))
    assert time.monotonic() - began >= HELD - 0.5, "it was held back"
    assert (session.token, hub.launched, len(hub.builds)) == (hub.servers[-1].token, 1, 1)


def test_less_patience_would_launch_a_second_server(buffered: tuple[FaultyHub, str]) -> None:
    hub, url = buffered
    with pytest.raises(Exception, match="no answer in time"):
        BinderHub(url, silence=HELD / 4).launch(RepoSpec("org/repo"), timeout=HELD)
    assert hub.launched > 1


def test_the_usual_patience_is_longer_than_a_hubs_hold_and_its_keepalives() -> None:
    assert SILENCE > 60 + 25
