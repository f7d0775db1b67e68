"""The README's commands of "Try it", typed on a fresh copy, with an environment from the package registries."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import commands
from tests.support.git import copy_this_tree


@pytest.mark.timeout(660)  # it downloads much
def test_the_quickstart_shows_what_ran_on_a_session_that_is_gone_afterwards(tmp_path: Path) -> None:
    copy_this_tree(tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER_", "BINDER_", "VIRTUAL"))}
    done = subprocess.run(
        ["bash", "-e", "-c", commands("quickstart")],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "==> launching" in done.stderr
    assert "launched by: local\n" in done.stdout
