"""The tools that execute notebooks, as commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Clinder

BIN = Path(sys.executable).parent

NBCLIENT = """
import sys, nbformat, nbclient
from importlib.metadata import version
from pathlib import Path
for file in map(Path, sys.argv[1:]):
    notebook = nbformat.read(file, 4)
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": file.parent}}).execute()
    nbformat.write(notebook, file)
"""

JCACHE = """
set -eu
export JUPYTERCACHE="$PWD/cache"
jcache notebook add "$0" <<<y
jcache project execute
jcache notebook merge "$0" merged.ipynb
mv merged.ipynb "$0"
"""

# Each executes the notebook that follows, and leaves its outputs in it.
TOOLS = {
    "nbconvert": ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace"],
    "jupyter execute": ["jupyter", "execute", "--inplace"],
    "nbclient": ["python", "-c", NBCLIENT],
    "papermill": ["bash", "-c", 'papermill "$0" "$0" --cwd "$(dirname "$0")" --no-progress-bar'],
    "nbmake": ["pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=.", "--nbmake", "--overwrite"],
    "jupyter-cache": ["bash", "-c", JCACHE],
}
FILE = "notebooks/sub/all.ipynb"


def start(clinder: Clinder, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the tools of this Python."""
    environment = {**clinder.env, "PATH": f"{BIN}:{clinder.env['PATH']}"}
    return subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False)


def run(clinder: Clinder, project: Path, *words: str) -> str:
    """Run a command with the tools of this Python, which succeeds; return what it wrote."""
    done = start(clinder, project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def on(*hub: str) -> list[str]:
    return ["clinder", "run", *hub, "--kernels", "--"]
