"""Over TLS it is the same, and a certificate that is not valid is reported at once."""

import signal
import time

import pytest

from tests.conftest import Clinder, Signalled
from tests.support.hub import Exchange, SecureHub


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_certificate_that_is_not_valid_is_reported_at_once(clinder: Clinder) -> None:
    with SecureHub(clinder.directory) as hub:
        began = time.monotonic()
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert done.returncode == 3
        assert time.monotonic() - began < 20
        assert "its certificate is not valid" in done.stderr
        assert "REQUESTS_CA_BUNDLE" in done.stderr


def test_a_session_is_started_and_stopped(clinder: Clinder) -> None:
    with SecureHub(clinder.directory) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", env=hub.env)
        assert done.returncode == 0, done.stderr
        assert clinder("stop", done.stdout.strip(), env=hub.env).returncode == 0
        assert hub.stopped == 1


@pytest.mark.parametrize("phase", ["building", "launching"])
def test_a_signal_leaves_no_server(clinder: Clinder, phase: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event(phase, "so far\n")
        exchange.hub.reach(phase)
        if phase == "launching":
            time.sleep(1)
            exchange.ready()
        exchange.wait_for_close()

    with SecureHub(clinder.directory, answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo", env=hub.env)
        hub.wait_until(phase)
        time.sleep(0.3)
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, done.seconds < 8) == (143, True)
        assert hub.stopped == hub.launched == (phase == "launching")
        assert "Traceback" not in done.stderr


def test_the_deadline_ends_a_silent_build(clinder: Clinder) -> None:
    def silent(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("building", "so far\n")
        exchange.wait_for_close()

    with SecureHub(clinder.directory, silent) as hub:
        assert clinder("start", hub.url, "--repo", "org/repo", "--timeout", "2", env=hub.env).returncode == 4
