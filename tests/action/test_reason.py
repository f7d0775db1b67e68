"""Which lines of a failed build's log are in the annotation."""

import pytest

from clinder.action.reason import find_reason

PIP = """\
Collecting numpy
ERROR: Could not find a version that satisfies the requirement nunpy (from versions: none)
ERROR: No matching distribution found for nunpy
Removing intermediate container 0a1b2c3d4e5f
The command '/bin/sh -c ${KERNEL_PYTHON_PREFIX}/bin/pip install -r "requirements.txt"' returned a non-zero code: 1
"""
BUILDKIT = """\
#17 5.120 ERROR: No matching distribution found for nunpy
#17 ERROR: process "/bin/sh -c pip install -r requirements.txt" did not complete successfully: exit code: 1
------
 > [stage-0 12/15] RUN pip install -r requirements.txt:
------
ERROR: failed to build: failed to solve: process "/bin/sh -c pip install" did not complete successfully: exit code: 1
Error during build: Command '['docker', 'buildx', 'build']' returned non-zero exit status 1.
"""
MAMBA = """\
Transaction starting
error    libmamba Could not solve for environment specs
    The following package could not be found
    \u2514\u2500 nunpy =* * does not exist (perhaps a typo or a missing channel).
critical libmamba Could not solve for environment specs
time: 4.332
The command '/bin/sh -c mamba env update' returned a non-zero code: 1
"""
WHEEL = """\
      ValueError: did not find HDF5 headers
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for netCDF4
ERROR: Failed to build installable wheels for some pyproject.toml based projects (netCDF4)
The command '/bin/sh -c pip install' returned a non-zero code: 1
"""
POST_BUILD = """\
Fetching the data
Traceback (most recent call last):
  File "/home/jovyan/get.py", line 3, in <module>
    import nunpy
ModuleNotFoundError: No module named 'nunpy'
The command '/bin/sh -c ./binder/postBuild' returned a non-zero code: 1
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (PIP, "ERROR: No matching distribution found for nunpy"),
        (BUILDKIT, "ERROR: No matching distribution found for nunpy"),
        (MAMBA, "\u2514\u2500 nunpy =* * does not exist (perhaps a typo or a missing channel)."),
        (POST_BUILD, "ModuleNotFoundError: No module named 'nunpy'"),
        ("Step 5/9\nKilled\nError during build: 137", "Killed"),
        ("Step 5/9\n./postBuild: line 3: wgett: command not found\n", "./postBuild: line 3: wgett: command not found"),
        ("E: Unable to locate package libfoo\nnon-zero code: 100", "E: Unable to locate package libfoo"),
        (
            "Command 'wgett' not found, but can be installed with:\nnon-zero code: 127",
            "Command 'wgett' not found, but can be installed with:",
        ),
        (WHEEL, "ERROR: Failed to build installable wheels for some pyproject.toml based projects (netCDF4)"),
        ("one\ntwo\nthree\n\n", "three"),
        ("Error during build: exit status 1", "Error during build: exit status 1"),
    ],
)
def test_the_last_of_the_telling_lines_says_why(log: str, reason: str) -> None:
    assert find_reason(log.splitlines())[-1] == reason


def test_what_every_failed_build_says_is_left_out() -> None:
    assert find_reason(BUILDKIT.splitlines()) == ("ERROR: No matching distribution found for nunpy",)


def test_there_are_three_short_lines_at_the_most_and_none_twice() -> None:
    assert find_reason([f"error {number} {'x' * 1000}" for number in range(9)]) == tuple(
        f"error {number} {'x' * 292}" for number in (6, 7, 8)
    )
    assert find_reason(["error"] * 9) == ("error",)
    assert find_reason([]) == ()
