"""Ports for programs that do not choose one themselves."""

import contextlib
import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to connections: another test's would take one before it is bound."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


def has_listener(port: int) -> bool:
    """Whether a program accepts connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
