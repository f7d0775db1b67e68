"""What the Action's image costs: its size, its build, the time to its first request, its memory during a long log.

`python -m benchmarks.image [REVISION]`, in the repository's root, with a second column for the image of another
revision. It needs a Docker engine on Linux that has the base image, and for the build a package index; README.md says
what each figure means.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from benchmarks.run import serving
from benchmarks.stream import PAUSE

ROOT = Path(__file__).parents[1]
RUNS = 7
LOADS = 3
LINES = 200_000
LIMIT = 600  # seconds for one command

# The clock of this is the same for all processes of a machine, those in containers included.
CLOCK = "import time; print(time.monotonic())"

# The kernel's own count for a control group, version 2 or 1; the page cache is in it.
PEAK = """
import pathlib, subprocess
subprocess.run(["/entrypoint.py"])
for name in ("memory.peak", "memory/memory.max_usage_in_bytes"):
    if (path := pathlib.Path("/sys/fs/cgroup") / name).exists():
        print(path.read_text().strip())
"""


def docker(*words: str) -> str:
    """What a command of Docker's prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=LIMIT)
    if done.returncode:
        sys.exit(f"docker {' '.join(words)} failed with status {done.returncode}\n{done.stderr[-1000:]}")
    return done.stdout


def run(*words: str) -> str:
    """What a container prints; it has this machine's network, so that no bridge is set up."""
    return docker("run", "--rm", "--network", "host", *words)


def action(image: str, hub: str, *words: str, entrypoint: str = "/entrypoint.py") -> str:
    """What the Action's first step prints; commands for a runner are among it."""
    inputs = ["--env", f"INPUT_HUB-URL={hub}", "--env", "INPUT_REPO=org/repo"]
    return run(*inputs, "--entrypoint", entrypoint, image, *words)


def size(image: str) -> int:
    """The image's size in bytes, uncompressed."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))


def compressed(archive: Path) -> int:
    """The size in bytes of an image that was saved, about as a job pulls it."""
    with archive.open("rb") as saved:
        return len(subprocess.run(["gzip"], stdin=saved, stdout=subprocess.PIPE, check=True).stdout)


def to_python(base: str) -> float:
    """Seconds from `docker run` to a Python that runs."""
    began = monotonic()
    return float(run(base, "python3", "-c", CLOCK)) - began


def to_request(image: str) -> float:
    """Seconds from `docker run` to the Action's request at the hub, which says when it is ready: a pause later."""
    with serving("wait", 0) as hub:
        began = monotonic()
        action(image, hub.url)
        return float(hub.output.readline()) - PAUSE - began


def memory(image: str) -> int:
    """The most bytes that the container held while the Action printed a long log."""
    with serving("events", LINES) as hub:
        printed = action(image, hub.url, "-Ic", PEAK, entrypoint="python3")
    lines = len(set(re.findall(r"line-(\d{7})", printed)))
    if lines != LINES:
        sys.exit(f"of {LINES} lines {lines} were printed")
    return int(printed.splitlines()[-1])


@contextmanager
def saved_flat(image: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """The name and the archive of an image of the same files in one layer, none of which is left when it is removed."""
    flat, archive = f"{image}-flat", directory / "flat.tar"
    container = docker("create", image).strip()
    try:
        docker("export", "--output", str(archive), container)
    finally:
        docker("rm", container)
    docker("import", str(archive), flat)
    try:
        docker("save", "--output", str(archive), flat)
        yield flat, archive
    finally:
        docker("image", "rm", flat)


def from_load(image: str, archive: Path) -> float:
    """Seconds from `docker load` of an image that the engine does not have to the Action's request at the hub."""
    docker("image", "rm", image)
    began = monotonic()
    docker("load", "--input", str(archive))
    loaded = monotonic() - began
    return loaded + to_request(image)


@contextmanager
def tree(revision: str | None) -> Iterator[Path]:
    """The files of a revision, or those that are here."""
    if revision is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as directory:
        packed = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "--extract", "--directory", directory], input=packed, check=True)
        yield Path(directory)


def build(revision: str | None, image: str) -> float:
    """Seconds that the image takes to build."""
    with tree(revision) as root:
        began = monotonic()
        docker("build", "--no-cache", "--tag", image, str(root))
        return monotonic() - began


def measure(revision: str | None, base: str) -> dict[str, float]:
    """All figures of one image."""
    image = f"clinder-benchmark:{uuid.uuid4().hex}"
    built = build(revision, image)
    try:
        to_python(base), to_request(image)  # uncounted: afterwards their files are in the page cache
        pairs = [(to_python(base), to_request(image)) for _ in range(RUNS)]
        with tempfile.TemporaryDirectory() as directory:
            archive = Path(directory) / "image.tar"
            docker("save", "--output", str(archive), image)
            packed = compressed(archive)
            with saved_flat(image, Path(directory)) as (flat, flat_archive):
                loads = [from_load(flat, flat_archive) for _ in range(LOADS)]
        return {
            "image, MB": size(image) / 1e6,
            "image, compressed, MB": packed / 1e6,
            "build without cache, s": built,
            "docker load to the first request, s": statistics.median(loads),
            f"docker run to a Python that runs, in {base}, s": statistics.median(empty for empty, _ in pairs),
            "docker run to the first request, s": statistics.median(request for _, request in pairs),
            "the difference, s": statistics.median(request - empty for empty, request in pairs),
            f"peak memory, {LINES:,} lines, MiB": memory(image) / 2**20,
        }
    finally:
        docker("image", "rm", image)


def main() -> None:
    """Build, measure, print a table."""
    revisions = [None, *sys.argv[1:2]]
    [base] = re.findall(r"^FROM (\S+) AS complete$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    columns = [measure(revision, base) for revision in revisions]
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", base)) or {}
    print("The base is a stand-in." if "clinder.stand-in" in labels else f"The base is {base}.", end="\n\n")
    print(f"| measurement | {' | '.join(revision or '' for revision in revisions)} |")
    print("| --- " + "| ---: " * len(columns) + "|")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:.2f}' for column in columns)} |")


if __name__ == "__main__":
    main()
