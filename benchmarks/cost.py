"""Run one command and print what it cost: `python -IS cost.py STDOUT STDERR LIMIT COMMAND...`.

A process of its own, and as small as Python gets, because Linux counts the memory of the process that forks
towards the peak of the one it becomes: launched from run.py, nothing would seem to need less than run.py.
So no import beyond these. What is left of that floor (about 7 MiB) is below everything measured here.

Prints: exit status, wall time in s, CPU time (user and system) in s, peak memory in KiB.
"""

import os
import signal
import sys
import time


def main(stdout: str, stderr: str, limit: str, *command: str) -> None:
    """Run `command` with its output in two files, for `limit` seconds at most."""
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        become(stdout, stderr, int(limit), command)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    peak = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)  # macOS counts bytes
    print(os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, peak)


def become(stdout: str, stderr: str, limit: int, command: tuple[str, ...]) -> None:
    """Turn the forked process into `command`; never returns."""
    try:
        for number, path in ((1, stdout), (2, stderr)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        signal.alarm(limit)  # outlives exec, so a command that hangs is ended by the kernel
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


if __name__ == "__main__":
    main(*sys.argv[1:])
