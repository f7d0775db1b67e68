"""Pipes that nobody reads."""

import os


def full_pipe() -> tuple[int, int]:
    """Return both ends of a pipe that is full: what is written into it waits for a reader."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer
