"""Measure what a kernel in a session costs a tool: a bridge and a Jupyter Server on loopback, against ipykernel here.

`python -m benchmarks.kernels` prints one table. It needs clinder's extras kernels and local, jupyter-client and psutil.
Both kernels run all the time, and each measurement takes them in turn, so that whatever else the machine does hits
both alike.
"""

# mypy: disable-error-code="import-untyped"

import argparse
import contextlib
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from clinder import EmbeddedHub, RepoSpec
from clinder.kernels import offered_kernels

LIMIT = 300.0  # seconds for one cell
CELLS = 200
MESSAGES = "for n in range(10_000): display({'text/plain': str(n)}, raw=True)"
STREAM = "import sys\nfor n in range(10_000): print(n); sys.stdout.flush()"
LARGE = "print('x' * 100_000_000)"


class Kernel:
    """A running kernel and its client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.client = client
        self.process = psutil.Process(getattr(manager.provisioner, "pid"))  # noqa: B009

    def run(self, code: str, expected: int = 0) -> float:
        """Run a cell; return the seconds until all its outputs were there, of which there must be so many bytes."""
        seen = 0

        def count(message: dict[str, Any]) -> None:
            nonlocal seen
            content = message["content"]
            seen += len(content.get("text", "")) + len(content.get("data", {}).get("text/plain", ""))

        began = time.perf_counter()
        reply = self.client.execute_interactive(code, timeout=LIMIT, output_hook=count, allow_stdin=False)
        seconds = time.perf_counter() - began
        assert reply["content"]["status"] == "ok", reply["content"]
        assert seen >= expected, (seen, expected)
        return seconds


@contextlib.contextmanager
def running(manager: KernelManager, env: dict[str, str]) -> Iterator[Kernel]:
    manager.start_kernel(env={**os.environ, **env})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


@contextlib.contextmanager
def both() -> Iterator[dict[str, Kernel]]:
    """A kernel of this machine, and one in a session of the embedded hub."""
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedHub(directory) as hub,
        hub.launch(RepoSpec("org/repo")) as session,
        offered_kernels(session, Path(directory), lambda _: None, print) as env,
    ):
        specs = KernelSpecManager(kernel_dirs=[env["JUPYTER_PATH"].split(os.pathsep)[0] + "/kernels"])
        with (
            running(KernelManager(kernel_name="python3"), {}) as here,
            running(KernelManager(kernel_name="python3", kernel_spec_manager=specs), session.env) as there,
        ):
            yield {"ipykernel": here, "bridge": there}


def measure(kernels: dict[str, Kernel], runs: int, work: Callable[[Kernel], float]) -> dict[str, list[float]]:
    """Do the work with each once, uncounted, then with both in turn."""
    for kernel in kernels.values():
        work(kernel)
    samples: dict[str, list[float]] = {name: [] for name in kernels}
    for _ in range(runs):
        for name, kernel in kernels.items():
            samples[name].append(work(kernel))
    return samples


def most_memory(pid: int) -> int:
    """The most bytes that a process held at once; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) << 10 if found else 0


def row(*cells: object) -> None:
    print("| " + " | ".join(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a bridge against ipykernel.")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each large cell (default: %(default)s)")
    runs = parser.parse_args().runs
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    row("measurement", "ipykernel", "bridge", "difference")
    row("---", "---:", "---:", "---:")
    with both() as kernels:
        memory = {"after the start": kernels["bridge"].process.memory_info().rss}
        for title, count, work in (
            ("an empty cell, ms", CELLS, lambda kernel: 1000 * kernel.run("")),
            ("10,000 outputs, s", runs, lambda kernel: kernel.run(MESSAGES, 38_890)),
            ("10,000 stream messages, s", runs, lambda kernel: kernel.run(STREAM, 48_890)),
            ("an output of 100 MB, s", runs, lambda kernel: kernel.run(LARGE, 100_000_001)),
        ):
            median = {name: statistics.median(each) for name, each in measure(kernels, count, work).items()}
            row(title, *median.values(), median["bridge"] - median["ipykernel"])
            memory[f"after {title.rpartition(',')[0]}"] = kernels["bridge"].process.memory_info().rss
        peak = most_memory(kernels["bridge"].process.pid)
    if peak:
        memory["at most"] = peak
    for title, size in memory.items():
        row(f"memory of the bridge {title}, MiB", "", size / (1 << 20), "")


if __name__ == "__main__":
    main()
