"""jupyter_kernel_test's suite: a kernel of the session passes it as one of this machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import Offer

SUITE = Path(__file__).with_name("suite.py")
# ipykernel itself sometimes does not welcome a client: it may send its first message at the moment of the subscription.
KERNEL = ("-k", "not Welcome")


def begin(directory: Path, env: dict[str, str], *chosen: str) -> subprocess.Popen[str]:
    """Begin to run the suite. It ends by itself, because some of its tests would wait for ever for a lost message."""
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, "--timeout=60"]
    words += ["--timeout-method=thread", str(SUITE), *chosen]
    return subprocess.Popen(
        words, cwd=directory, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def results(suite: subprocess.Popen[str]) -> list[str]:
    """The suite's tests with their results."""
    marks = ("PASSED", "FAILED", "ERROR", "SKIPPED")
    output, _ = suite.communicate()
    return sorted(line for line in output.splitlines() if line.startswith(marks))


def both(offer: Offer, directory: Path) -> tuple[list[str], list[str]]:
    """The results with a kernel of this machine, and with one of the session."""
    with begin(directory, {"JUPYTER_PATH": ""}, *KERNEL) as local, begin(directory, offer.env) as remote:
        return results(local), results(remote)


def test_a_kernel_of_the_session_passes_the_suite_as_a_local_one_does(offer: Offer, tmp_path: Path) -> None:
    here, there = both(offer, tmp_path)
    if not all([here, there]) or any(line.startswith(("FAILED", "ERROR")) for line in [*here, *there]):
        here, there = both(offer, tmp_path)  # it waits a tenth of a second for an output: a busy machine is slower
    welcomes = [line for line in there if "WelcomeTests" in line]
    assert len(welcomes) == 1
    assert welcomes[0].startswith("PASSED")
    assert [line for line in there if line not in welcomes] == here
    assert len([line for line in here if line.startswith("PASSED")]) >= 12
    assert not [line for line in here if line.startswith(("FAILED", "ERROR"))]


def test_the_suite_is_run_on_the_session_where_one_is_offered(offer: Offer) -> None:
    with offer.kernel() as kernel:
        assert kernel.printed("import os; print(os.environ.get('BINDER_LAUNCH_HOST'))") == "local\n"
