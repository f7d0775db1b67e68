"""What tests of the session's kernels share: a session of the embedded hub, its kernels offered, a client of one."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from clinder import EmbeddedHub, RepoSpec, Session
from clinder.kernels import offered_kernels
from tests.conftest import Clinder
from tests.hub.conftest import hub
from tests.support.session import ask

from .notebooks import WHERE, everything, write
from .tools import TOOLS, run

__all__ = ["hub"]  # a fixture

TIMEOUT = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            # jupyter_client's blocking clients leave event loops to Python's collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks as they are when their kernel is on this machine."""
    clinder = Clinder(tmp_path_factory.mktemp("here"))
    for with_error in (True, False):
        write(clinder.directory / f"{with_error}.ipynb", everything(WHERE, with_error=with_error))
        run(clinder, clinder.directory, *TOOLS["nbclient"], f"{with_error}.ipynb")
    return clinder.directory


class Offer:
    """A session whose kernels are offered, and what `run` would have said about them."""

    def __init__(self, session: Session, project: Path, env: dict[str, str]) -> None:
        self.session = session
        self.project = project
        self.env = env
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @property
    def home(self) -> Path:
        return Path(self.env["JUPYTER_PATH"].split(os.pathsep)[0])

    def manager(self, name: str = "python3") -> KernelManager:
        """A manager of a kernel that a tool would start with this environment."""
        specs = KernelSpecManager(kernel_dirs=[str(self.home / "kernels")])
        return KernelManager(kernel_name=name, kernel_spec_manager=specs)

    @contextlib.contextmanager
    def kernel(self, name: str = "python3", cwd: str = "") -> Iterator[Kernel]:
        manager = self.manager(name)
        manager.start_kernel(cwd=str(self.project / cwd), env={**os.environ, **self.env})
        with running(manager) as kernel:
            yield kernel


class Kernel:
    """A kernel and a client of it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, timeout: float = TIMEOUT, **options: Any) -> list[dict[str, Any]]:
        """Run a cell; return the messages of its outputs."""
        outputs: list[dict[str, Any]] = []
        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=outputs.append, **options)
        assert reply["content"]["status"] in ("ok", "error")
        return [message for message in outputs if message["msg_type"] not in ("status", "execute_input")]

    def printed(self, code: str, **options: Any) -> str:
        """Run a cell; return what it printed."""
        outputs = self.run(code, **options)
        assert all(message["msg_type"] == "stream" for message in outputs), outputs
        return "".join(message["content"]["text"] for message in outputs)

    @property
    def pid(self) -> int:
        pid: int = getattr(self.manager.provisioner, "pid")  # noqa: B009
        return pid


@contextlib.contextmanager
def running(manager: KernelManager) -> Iterator[Kernel]:
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel()


@contextlib.contextmanager
def offering(session: Session, project: Path) -> Iterator[Offer]:
    notes: list[str] = []
    warnings: list[str] = []
    with offered_kernels(session, project, notes.append, warnings.append) as env:
        offer = Offer(session, project, {**session.env, **env})
        offer.notes, offer.warnings = notes, warnings
        yield offer


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project").resolve()
    (directory / "notebooks" / "sub").mkdir(parents=True)
    return directory


@pytest.fixture(scope="module")
def session(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session of the embedded hub, which no test may end. Its own configuration is not the person's.

    It has a second kernel, which says that its language is R.
    """
    home = tmp_path_factory.mktemp("home")
    (home / ".local" / "share" / "jupyter" / "kernels" / "ir").mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    other = {"argv": argv, "display_name": "R", "language": "R", "env": {"STARTED_AS": "ir"}}
    (home / ".local" / "share" / "jupyter" / "kernels" / "ir" / "kernel.json").write_text(json.dumps(other))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        environment.delenv("JUPYTER_PATH", raising=False)
        with EmbeddedHub(str(project)) as hub, hub.launch(RepoSpec("org/repo")) as session:
            yield session


@pytest.fixture(scope="module")
def offer(session: Session, project: Path) -> Iterator[Offer]:
    with offering(session, project) as offer:
        yield offer


@pytest.fixture(scope="module")
def kernel(offer: Offer) -> Iterator[Kernel]:
    """A kernel that a module's tests share. No test that takes it may end or restart it."""
    with offer.kernel() as kernel:
        yield kernel


def paths(offer: Offer) -> list[str]:
    """The paths of the files for which the session has kernels."""
    return [each["path"] for each in ask("GET", f"{offer.session.url}api/sessions", offer.session.token).json()]
