"""Ports for programs that do not choose one themselves."""

import contextlib
import os
import random
import socket

# Below those that the system gives to programs that ask for any port, and for each process that runs tests its own:
# another test's program would take one before it is bound.
PORTS = range(15_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16, 32_000, 16)


def free_ports(count: int) -> list[int]:
    """As many ports, all different, each free on this machine."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


def has_listener(port: int) -> bool:
    """Whether a program accepts connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
