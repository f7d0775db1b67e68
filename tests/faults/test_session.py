"""stop is idempotent, and a session that is gone is told from a wrong token and from one that may still run."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from clinder import BinderHub, ClinderError, RepoSpec, Session, SessionUnreachable, UsageError
from tests.conftest import Clinder, Signalled
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, in_trouble_once


def page(status: str, body: str = "", kind: str = "text/html", more: str = "") -> Answer:
    return lambda exchange: exchange.page(status, body, kind, more)


def test_a_live_session_is_stopped_and_said_so(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("stop", f"{hub.session_url}?token={TOKEN}")
        assert (done.returncode, done.stdout, hub.stopped) == (0, "", 1)
        assert done.stderr == f"clinder: stopped {hub.session_url}\n"


@pytest.mark.parametrize(
    ("words", "stdin", "env"),
    [
        (["stop", "{uri}"], "", {}),
        (["stop", "{url}", "{token}"], "", {}),
        (["stop", "{bare}", "{token}"], "", {}),
        (["stop", "{url}lab?token={token}"], "", {}),
        (["stop", "{url}lab/tree/a/b.ipynb?reset&token={token}"], "", {}),
        (["stop", "{url}tree", "{token}"], "", {}),
        (["stop", "-"], "{uri}\n", {}),
        (["stop", "-"], '{{"url": "{url}", "token": "{token}", "more": 1}}', {}),
        (["stop"], "", {"JUPYTER_BASE_URL": "{url}", "JUPYTER_TOKEN": "{token}"}),
        (["stop"], "", {"JUPYTER_BASE_URL": "{bare}", "JUPYTER_TOKEN": "{token}"}),
    ],
)
def test_a_session_can_be_named_in_every_way(
    clinder: Clinder, words: list[str], stdin: str, env: dict[str, str]
) -> None:
    with FaultyHub() as hub:
        names = {
            "uri": f"{hub.session_url}?token={TOKEN}",
            "url": hub.session_url,
            "bare": hub.session_url.rstrip("/"),
            "token": TOKEN,
        }
        done = clinder(
            *(word.format(**names) for word in words),
            input=stdin.format(**names),
            env={name: value.format(**names) for name, value in env.items()},
        )
        assert (done.returncode, hub.stopped) == (0, 1), done.stderr


GONE: dict[str, Answer] = {
    "the proxy says 503 for JupyterHub": page("503 Service Unavailable", "<title>JupyterHub</title>"),
    "JupyterHub answers": lambda exchange: (
        exchange.page("403 Forbidden", "<html>its XSRF check</html>")
        if exchange.request.method == "POST"
        else exchange.page("302 Found", more=f"Location: /hub{exchange.request.path}\r\n")
    ),
    "404": page("404 Not Found", "<html>nothing here</html>"),
    "424": page("424 Failed Dependency", '{"message": "x is not running"}', "application/json"),
}


@pytest.mark.parametrize("case", GONE)
def test_a_session_that_is_gone_is_stopped_already_and_has_no_status(clinder: Clinder, case: str) -> None:
    with FaultyHub() as hub:
        hub.session = GONE[case]
        uri = f"{hub.session_url}?token={TOKEN}"
        stop = clinder("stop", uri)
        assert stop.returncode == 0, stop.stderr
        assert "already gone" in stop.stderr
        status = clinder("status", uri)
        assert (status.returncode, status.stdout) == (1, "")
        assert "The session is gone" in status.stderr


def test_a_closed_port_on_this_machine_is_a_session_that_is_gone(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.die()
        done = clinder("stop", hub.session_url, TOKEN)
    assert done.returncode == 0
    assert "already gone" in done.stderr


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_wrong_token_is_an_error(clinder: Clinder, command: str) -> None:
    with FaultyHub() as hub:
        done = clinder(command, hub.session_url, "t0ken-of-another")
        assert done.returncode == 1
        assert "does not accept this token" in done.stderr
        assert "t0ken-of-another" not in done.stderr
        assert hub.stopped == 0


def test_a_wrong_token_that_is_refused_with_a_page_is_an_error_as_well(clinder: Clinder) -> None:
    def jupyter_server(exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            exchange.page("403 Forbidden", "<html><title>Jupyter Server</title></html>")
        else:
            exchange.page("200 OK", '{"version": "2.21.0"}', "application/json")

    with FaultyHub() as hub:
        hub.session = jupyter_server
        done = clinder("stop", hub.session_url, "wrong-token")
        assert done.returncode == 1
        assert "does not accept this token" in done.stderr


def hang(exchange: Exchange) -> None:
    exchange.wait_for_close()


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_server_that_hangs_is_an_error_after_ten_seconds(clinder: Clinder, command: str) -> None:
    with FaultyHub() as hub:
        hub.session = hang
        began = time.monotonic()
        done = clinder(command, hub.session_url, TOKEN)
        assert 9 < time.monotonic() - began < 30
        assert done.returncode == 3
        assert "did not answer within 10 seconds" in done.stderr


def test_a_page_of_a_server_that_runs_is_no_proof_that_it_is_gone(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = page("404 Not Found", "<html><title>Jupyter Server</title>The page you are looking for ...")
        for command in ("stop", "status"):
            done = clinder(command, f"{hub.session_url}typo/?token={TOKEN}")
            assert done.returncode == 3
            assert "HTTP 404 and a web page came from" in done.stderr


@pytest.mark.parametrize("token", ["-Xq3v0dP1T2m9", "-hq3v0dP1T2m9", "--q3v0dP1T2m9", "-"])
def test_a_token_may_begin_with_a_hyphen(clinder: Clinder, token: str) -> None:
    tokens = []

    def listen(exchange: Exchange) -> None:
        tokens.append(exchange.request.headers["authorization"])
        exchange.page("200 OK", '{"kernels": 0}', "application/json")

    with FaultyHub() as hub:
        hub.session = listen
        assert clinder("stop", hub.session_url, token).returncode == 0
        assert clinder("status", hub.session_url, token, "--json").returncode == 0
        assert len(tokens) >= 2
        assert set(tokens) == {f"token {token}"}


def test_ctrl_c_does_not_end_a_stop_half_way(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = in_trouble_once
        process = clinder.begin("stop", f"{hub.session_url}?token={TOKEN}")
        hub.wait_until("stopping")
        done = Signalled(process, signal.SIGINT)
        assert (done.code, hub.stopped) == (130, 1)


@pytest.mark.parametrize("body", ["<html>login</html>", "<html><title>JupyterHub</title>sign in</html>"])
def test_a_page_is_no_proof_of_a_shutdown(clinder: Clinder, body: str) -> None:
    with FaultyHub() as hub:
        hub.session = page("200 OK", body)
        done = clinder("stop", hub.session_url, TOKEN)
        assert done.returncode == 3
        assert "a web page" in done.stderr


def test_a_redirect_is_followed_nowhere(clinder: Clinder) -> None:
    with FaultyHub() as other, FaultyHub() as hub:
        hub.session = page("307 Temporary Redirect", more=f"Location: {other.session_url}api/shutdown\r\n")
        done = clinder("stop", hub.session_url, TOKEN)
        assert done.returncode == 3
        assert other.requests == []


@pytest.mark.parametrize("location", ["http://[", "//[", "http://h:port/", "http://h:99999/", "\xff"])
def test_a_redirect_to_an_address_that_is_none_is_an_error_like_any_other(location: str) -> None:
    with FaultyHub() as hub:
        answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        hub.session = lambda exchange: exchange.send(answer.encode("latin-1"))
        session = Session(hub.session_url, TOKEN)
        for ask in (session.status, session.stop):
            with pytest.raises(SessionUnreachable, match="HTTP 302"):
                ask(1)


def test_a_proxy_in_trouble_is_asked_again(clinder: Clinder) -> None:
    def trouble(exchange: Exchange) -> None:
        exchange.hub.session = None
        exchange.page("502 Bad Gateway")

    with FaultyHub() as hub:
        hub.session = trouble
        assert clinder("stop", hub.session_url, TOKEN).returncode == 0
        assert hub.stopped == 1


def test_a_proxy_that_stays_in_trouble_is_an_error(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = page("502 Bad Gateway", "<html>nginx</html>")
        done = clinder("stop", hub.session_url, TOKEN)
        assert done.returncode == 3
        assert "may still be running" in done.stderr


def test_a_server_that_resets_the_connection_while_it_ends_was_stopped(clinder: Clinder) -> None:
    def abrupt(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        exchange.reset()

    with FaultyHub() as hub:
        hub.session = abrupt
        assert clinder("stop", hub.session_url, TOKEN).returncode == 0


def test_status_says_since_when_and_how_busy(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("status", hub.session_url, TOKEN)
        assert done.stdout == (
            "running since 2026-01-01T00:00:00Z, last active 2026-01-01T00:01:00Z, kernels: 2, connections: 1\n"
        )
        done = clinder("status", hub.session_url, TOKEN, "--json")
        assert json.loads(done.stdout)["kernels"] == 2


def test_status_shows_nothing_hostile(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = page("200 OK", json.dumps({"started": "\x1b[2J", "kernels": "\x1b[2J"}), "application/json")
        done = clinder("status", hub.session_url, TOKEN)
        assert "\x1b" not in done.stdout


def test_status_that_can_not_be_written_is_an_error(clinder: Clinder) -> None:
    with FaultyHub() as hub, Path("/dev/full").open("w") as full:
        done = clinder("status", f"{hub.session_url}?token={TOKEN}", stdout=full)
        said = "clinder: error: Standard output could not be written: No space left on device."
        assert (done.returncode, done.stderr) == (1, f"{said}\n{ClinderError('').more}\n")


def test_status_is_written_whatever_the_encoding_of_standard_output(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        hub.session = page("200 OK", '{"kernels": 1, "started": "gestern, f\u00fcnf Uhr"}', "application/json")
        done = clinder("status", f"{hub.session_url}?token={TOKEN}", env={"PYTHONIOENCODING": "ascii"})
        assert (done.returncode, "f\\xfcnf" in done.stdout) == (0, True)


def test_standard_input_that_is_closed_has_no_session(clinder: Clinder) -> None:
    done = clinder("stop", "-", preexec_fn=lambda: os.close(0))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.parametrize("said", ['{"url": "http://127.0.0.1:1/", "token": null}', '{"url": 1, "token": "x"}', "{}"])
def test_an_object_that_is_no_session_is_a_usage_error(clinder: Clinder, said: str) -> None:
    done = clinder("stop", "-", input=said)
    assert (done.returncode, "Standard input has no session" in done.stderr) == (2, True)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_a_usage_error(timeout: float) -> None:
    with pytest.raises(UsageError, match="timeout"):
        Session("http://127.0.0.1:1/", TOKEN).stop(timeout)


@pytest.mark.parametrize("timeout", [1e10, float("inf")])
def test_a_timeout_may_be_infinite(timeout: float) -> None:
    with FaultyHub() as hub:
        session = BinderHub(hub.url, silence=timeout).launch(RepoSpec("a/b"), timeout=timeout)
        assert session.status(timeout).kernels == 2
        assert session.stop(timeout)


@pytest.mark.parametrize("words", [["stop"], ["stop", "-"], ["stop", "http://127.0.0.1/"], ["status", "nonsense"]])
def test_no_session_is_a_usage_error_that_says_what_was_expected(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words, input='{"no": "session"}')
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert "token" in done.stderr.lower()


def test_leaving_the_block_stops_the_session_exception_or_not() -> None:
    with FaultyHub() as hub:
        with BinderHub(hub.url).launch(RepoSpec("org/repo")) as session:
            assert session.status().kernels == 2
        assert hub.stopped == 1
        with pytest.raises(ZeroDivisionError), BinderHub(hub.url).launch(RepoSpec("org/repo")):
            _ = 1 / 0
        assert hub.stopped == 2


def test_a_stop_that_fails_does_not_hide_the_blocks_own_exception() -> None:
    with FaultyHub() as hub:
        hub.session = page("403 Forbidden", "{}", "application/json")
        with (
            pytest.warns(RuntimeWarning, match="does not accept this token"),
            pytest.raises(ZeroDivisionError),
            Session(hub.session_url, TOKEN),
        ):
            _ = 1 / 0


def trickle(exchange: Exchange) -> None:
    """Answer a byte a second, which no timeout of a single read ends."""
    exchange.hub.reach("asked")
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        exchange.send(b"x")
        time.sleep(0.5)


@pytest.mark.parametrize("slow", [hang, trickle], ids=["hang", "trickle"])
@pytest.mark.parametrize(("command", "seconds"), [("stop", 7), ("status", 5)])  # without a signal, ten
def test_a_signal_ends_what_waits_for_a_slow_server(
    clinder: Clinder, command: str, seconds: float, slow: Answer
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.hub.reach("asked")
        slow(exchange)

    with FaultyHub() as hub:
        hub.session = answer
        process = clinder.begin(command, hub.session_url, TOKEN)
        hub.wait_until("asked")
        time.sleep(0.2)
        done = Signalled(process, signal.SIGTERM)
        assert (done.code, done.seconds < seconds) == (143, True)
        assert "Traceback" not in done.stderr
        assert ("warning: the session was not stopped" in done.stderr) == (command == "stop")
