"""The fixture `hub`: a real BinderHub, one for each process that runs tests; and what several of its tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from .serve import RealHub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHub]:
    """A running BinderHub. Tests share it: look for your own session in `hub.servers()`, not for none.

    Under pytest-xdist every worker that needs a hub starts one, which disturbs no other: nothing in it is at a
    fixed port or path. `pytest.mark.xdist_group("hub")` with `--dist loadgroup` saves the second start.
    """
    hub = RealHub(tmp_path_factory.mktemp("hub"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CI", "true")  # wherever the tests run: a session must not inherit it
        hub.start()
    yield hub
    hub.stop()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command shows on standard error, up to the line that has these words in it."""
    assert process.stderr is not None
    shown = []
    for line in process.stderr:
        if words in line:
            return
        shown.append(line)
    raise AssertionError(f"the command ended without {words!r}: {''.join(shown)}")
