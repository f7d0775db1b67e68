"""A stand-in for a BinderHub's build endpoint, fast enough never to be what is measured.

`python stream.py SCENARIO LINES` prints `URL TOKEN`, then answers every `GET /build/<provider>/...` with the
same pre-rendered event stream, and keeps the connection open after `ready` as a hub does. With `?close` in
the request it ends the stream there instead, for clients such as curl that read to the end. Scenarios:

    ready    the launch of an image that exists: a few events, all at once
    wait     the same, but `ready` comes half a second later, and the time.monotonic() at which it had been
             sent is printed (that clock is the same for all processes of a machine)
    events   a build with a long log, every event in an HTTP chunk of its own
    chunks   the same log in HTTP chunks of 64 KiB, which begin and end anywhere in an event
"""

import contextlib
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator

CHUNK = 64 * 1024
OPEN_AFTER_READY = 60.0  # seconds, what BinderHub's handler sleeps
PAUSE = 0.5  # seconds; long enough for any client to have read what came before
END = b"0\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
# A session is looked at before it is handed over.
STATUS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
    b'{"kernels": 0}'
)
OTHER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def event(phase: str, message: str, **fields: str) -> bytes:
    """One server-sent event, written the way BinderHub writes it."""
    return b"data: " + json.dumps({"phase": phase, "message": message, **fields}).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """`data` as one HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def log(lines: int) -> Iterator[bytes]:
    """The events of a build's log: every line has its own mark, `line-0000000` and so on; lengths differ."""
    for number in range(lines):
        package = "a-package" + "e" * (number * 7 % 60)
        yield event("building", f"line-{number:07} Collecting {package}>=1.0 (from -r requirements.txt)\n")


def launch() -> Iterator[bytes]:
    """What a hub says between a finished image and `ready`."""
    yield event("built", "Found built image, launching...\n", imageName="hub/org-repo:1")
    yield event("launching", "Launching server...\n")


def ready(url: str, token: str) -> bytes:
    """The event that ends a launch, with every field that BinderHub gives it."""
    return event(
        "ready",
        f"server running at {url}user/x/\n",
        url=f"{url}user/x/",
        token=token,
        image="hub/org-repo:1",
        repo_url="https://github.com/org/repo",
        binder_ref_url="https://github.com/org/repo/tree/HEAD",
        binder_launch_host=url,
        binder_request="v2/gh/org/repo/HEAD",
        binder_persistent_request="v2/gh/org/repo/" + "0" * 40,
    )


def render(scenario: str, lines: int, last: bytes) -> tuple[bytes, bytes]:
    """The body of an answer as it goes over the wire: what is sent at once, what after a pause."""
    if scenario == "wait":
        return b"".join(map(chunk, launch())), chunk(last)
    if scenario == "ready":
        return b"".join(map(chunk, [*launch(), last])), b""
    events: Iterable[bytes] = [*log(lines), *launch(), last]
    if scenario == "chunks":
        whole = b"".join(events)
        events = (whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK))
    return b"".join(map(chunk, events)), b""


def answer(client: socket.socket, first: bytes, late: bytes) -> None:
    """Serve one connection: the stream, what a session says of itself, or a 404 for anything else."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while b"\r\n\r\n" not in request:
        received = client.recv(65536)
        if not received:
            return
        request += received
    line = request.partition(b"\r\n")[0]
    if line.startswith(b"GET /user/x/api/status "):
        client.sendall(STATUS)
        return
    if not (line.startswith(b"GET ") and b"/build/" in line):
        client.sendall(OTHER)
        return
    client.sendall(HEAD + first)
    if late:
        time.sleep(PAUSE)
        client.sendall(late)
        print(time.monotonic(), flush=True)
    if b"?close" in line:
        client.sendall(END)
        return
    client.settimeout(OPEN_AFTER_READY)
    client.recv(1)  # returns when the client closes


def serve(client: socket.socket, first: bytes, late: bytes) -> None:
    """The thread of one connection. A client that leaves early is no error here."""
    with client, contextlib.suppress(OSError):
        answer(client, first, late)


def main(scenario: str, lines: int) -> None:
    """Render the stream, say where it is, and serve it until this process is ended."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        token = secrets.token_hex(16)
        first, late = render(scenario, lines, ready(url, token))
        print(url, token, flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, first, late), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
