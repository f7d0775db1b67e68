"""A session is delivered whole, or it is not left behind; its token appears where it was asked for and nowhere else."""

import json
import os
import pty
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clinder
from tests.support.hub import TOKEN, Answer, Exchange, FaultyHub, ready_at_once, redirect


def test_the_stream_is_closed_as_soon_as_ready_is_read(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        assert clinder("start", hub.url, "--repo", "org/repo").returncode == 0
        assert hub.closed_after_ready == [True]
        assert (len(hub.builds), hub.launched, hub.stopped) == (1, 1, 0)


def test_uri_is_one_line(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        assert clinder("start", hub.url, "--repo", "org/repo").stdout == f"{hub.session_url}?token={TOKEN}\n"


@pytest.mark.parametrize("flag", [["--json"], ["--format", "json"]])
def test_json_is_one_object_with_everything_about_the_session(clinder: Clinder, flag: list[str]) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.ready(
            binder_launch_host="https://hub.example.org/", binder_persistent_request=f"v2/gh/org/repo/{'c' * 40}"
        )

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--ref", "main", *flag)
        assert json.loads(done.stdout) == {
            "url": hub.session_url,
            "token": TOKEN,
            "uri": f"{hub.session_url}?token={TOKEN}",
            "hub": hub.url,
            "provider": "gh",
            "repo": "org/repo",
            "ref": "main",
            "resolved_ref": "c" * 40,
            "image": "im/age:1",
            "launch_url": f"https://hub.example.org/v2/gh/org/repo/{'c' * 40}",
            "instead_of": None,
        }


def test_env_can_be_evaluated_by_a_shell_whatever_the_hub_sends(clinder: Clinder) -> None:
    nasty = "a'b\"c$(touch${IFS}pwned)`touch${IFS}pwned`;&|"

    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.ready(token=nasty, url=f"{exchange.hub.url}user/x/$(touch${{IFS}}pwned)/")

    with FaultyHub(answer) as hub:
        hub.session = lambda exchange: exchange.page("200 OK", '{"kernels": 0}', "application/json")
        script = 'eval "$("$PYTHON" -m clinder start "$HUB" --repo org/repo --format env)"; "$PYTHON" -c "$SHOW"'
        env = {
            **clinder.env,
            "PYTHON": sys.executable,
            "HUB": hub.url,
            "SHOW": "import os; print(os.environ['JUPYTER_BASE_URL']); print(os.environ['JUPYTER_TOKEN'])",
        }
        done = subprocess.run(
            ["sh", "-c", script], env=env, cwd=clinder.directory, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{hub.session_url}$(touch${{IFS}}pwned)/\n{nasty}\n"
        assert not (clinder.directory / "pwned").exists()


@pytest.mark.parametrize("output", ["uri", "json", "env"])
def test_a_session_whose_address_can_not_be_written_is_stopped(clinder: Clinder, output: str) -> None:
    with FaultyHub() as hub, Path("/dev/full").open("w") as full:
        done = clinder("start", hub.url, "--repo", "org/repo", "--format", output, stdout=full)
        assert done.returncode == 1
        assert (hub.launched, hub.stopped) == (1, 1)
        assert "The session's address: Standard output could not be written: No space left on device." in done.stderr
        assert "The server that the hub had launched was stopped." in done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert TOKEN not in done.stderr


def test_a_session_that_nobody_reads_the_address_of_is_stopped(clinder: Clinder) -> None:
    read, write = os.pipe()
    os.close(read)
    with FaultyHub() as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", stdout=write)
        os.close(write)
        assert done.returncode == 1
        assert (hub.launched, hub.stopped) == (1, 1)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_nothing_is_launched_when_standard_output_is_closed(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", preexec_fn=lambda: os.close(1))
        assert done.returncode == 1
        assert "Standard output is closed" in done.stderr
        assert hub.builds == []


@pytest.mark.parametrize("close", ["closed", "full", "broken"])
def test_a_start_that_nobody_watches_is_delivered(clinder: Clinder, close: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        for number in range(1000):
            exchange.event("building", f"line {number}\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub, Path("/dev/full").open("w") as full:
        if close == "closed":
            done = clinder("start", hub.url, "--repo", "org/repo", stderr=None, preexec_fn=lambda: os.close(2))
        elif close == "full":
            done = clinder("start", hub.url, "--repo", "org/repo", stderr=full)
        else:
            read, write = os.pipe()
            os.close(read)
            done = clinder("start", hub.url, "--repo", "org/repo", stderr=write)
            os.close(write)
        assert (done.returncode, done.stdout) == (0, f"{hub.session_url}?token={TOKEN}\n")


def test_an_error_that_nobody_can_read_is_not_for_standard_output(clinder: Clinder) -> None:
    done = clinder("start", "ftp://x", stderr=None, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (2, "")


def answers_but_does_not_stop(exchange: Exchange) -> None:
    if exchange.request.path.endswith("shutdown"):
        exchange.page("502 Bad Gateway")
    else:
        exchange.page("200 OK", '{"kernels": 0}', "application/json")


def test_a_session_that_can_be_neither_delivered_nor_stopped_is_said_to_be_left(clinder: Clinder) -> None:
    with FaultyHub() as hub, Path("/dev/full").open("w") as full:
        hub.session = answers_but_does_not_stop
        done = clinder("start", hub.url, "--repo", "org/repo", stdout=full)
        assert done.returncode == 1
        assert "Standard output could not be written" in done.stderr
        assert "The server that the hub had launched is left." in done.stderr


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_stream_that_was_compressed_on_the_way_is_read(clinder: Clinder, encoding: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream(more=f"Content-Encoding: {encoding}\r\n")
        packed, send = zlib.compressobj(wbits=31 if encoding == "gzip" else 15), exchange.send

        def compressed(data: bytes) -> None:
            send(b"%x\r\n%s\r\n" % (len(data), data))

        exchange.chunk = lambda data: compressed(packed.compress(data) + packed.flush(zlib.Z_SYNC_FLUSH))  # type: ignore[method-assign]
        exchange.event("building", "a line\n" * 1000)
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert (done.returncode, hub.launched) == (0, 1), done.stderr
        assert done.stderr.count("a line\n") == 1000
        assert hub.closed_after_ready == [True]


def test_a_stream_in_an_encoding_that_nobody_knows_launches_one_server_and_not_one_each_try(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream(more="Content-Encoding: br\r\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert (done.returncode, hub.launched) == (1, 1)
        assert "in an encoding that nobody asked for: br" in done.stderr


def test_the_body_of_a_redirect_is_not_read(clinder: Clinder) -> None:
    sent: list[int] = []

    def endless(exchange: Exchange) -> None:
        exchange.send(f"HTTP/1.1 302 Found\r\nLocation: {hub.url}build/gh/org/repo/HEAD\r\n\r\n".encode())
        try:
            while len(sent) < 1000:
                exchange.send(b"x" * 100_000)
                sent.append(1)
        except OSError:
            pass

    with FaultyHub() as hub, FaultyHub(endless) as door:
        assert clinder("start", door.url, "--repo", "org/repo").returncode == 0
        assert len(sent) < 1000


def test_the_hub_does_not_speak_for_clinder(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("stopping", "The server was stopped.\n")
        exchange.event("ret\0rying", "Trying again.\n")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert "\nThe server was stopped.\nTrying again.\n" in done.stderr


USELESS: dict[str, dict[str, Any]] = {
    "no url": {"url": None},
    "an empty url": {"url": ""},
    "a url that is a number": {"url": 7},
    "a script": {"url": "javascript:alert(1)"},
    "a file": {"url": "file:///etc/passwd"},
    "a url with a newline": {"url": "http://127.0.0.1/\nJUPYTER_TOKEN=x/"},
    "a url with a blank": {"url": "http://127.0.0.1/ x/"},
    "a url with an escape": {"url": "http://127.0.0.1/\x1b[2J/"},
    "a url with a password": {"url": "http://user:pass@127.0.0.1/"},
    "a url with a port that is none": {"url": "http://127.0.0.1:99999/"},
    "no token": {"token": None},
    "an empty token": {"token": ""},
    "a token with a newline": {"token": f"{TOKEN}\nPATH=/evil"},
    "a token with a blank": {"token": f"{TOKEN} x"},
    "a token with a NUL": {"token": f"{TOKEN}\0"},
    "a token that is a list": {"token": [TOKEN]},
}


@pytest.mark.parametrize("case", USELESS)
def test_ready_without_a_usable_address_is_an_error_and_used_nowhere(clinder: Clinder, case: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.ready(**USELESS[case])
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo")
        assert (done.returncode, done.stdout) == (1, "")
        assert "no usable address" in done.stderr
        assert TOKEN not in done.stderr
        assert "pass@" not in done.stderr
        assert len(hub.requests) == 3, "each try launches a server"
    assert hub.closed_after_ready == [True] * 3


def test_the_token_is_on_standard_output_alone(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--build-token", "jwt-secret")
        assert TOKEN not in done.stderr
        assert "jwt-secret" not in done.stderr + done.stdout
        assert hub.builds[0].path.endswith("?build_token=jwt-secret")
        assert "authorization" not in hub.builds[0].headers


def test_a_hub_that_repeats_tokens_does_not_bring_them_into_the_log(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", f"GET {exchange.request.path} with jwt-secret\n")
        exchange.ready(message=f"server running at {exchange.hub.url}user/x/?token={TOKEN}\n")
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        done = clinder("start", hub.url, "--repo", "org/repo", "--build-token", "jwt-secret")
        assert "GET /build/gh/org/repo/HEAD?build_token=... with ...\n" in done.stderr
        assert "user/x/?token=...\n" in done.stderr


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_this_machine_is_never_asked_through_a_proxy(clinder: Clinder, variable: str) -> None:
    with FaultyHub() as hub, FaultyHub() as proxy:
        done = clinder("start", hub.url, "--repo", "org/repo", env={variable: proxy.url})
        assert done.returncode == 0, done.stderr
        assert clinder("stop", done.stdout.strip(), env={variable: proxy.url}).returncode == 0
        assert (hub.launched, hub.stopped, proxy.requests) == (1, 1, [])


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "soon", ""])
def test_a_deadline_that_is_none_is_a_usage_error(clinder: Clinder, seconds: str) -> None:
    done = clinder("start", "http://127.0.0.1:1/", "--repo", "org/repo", f"--timeout={seconds}")
    assert (done.returncode, "Expected a number of seconds above 0" in done.stderr) == (2, True)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http:///", "htp://proxy.example.org:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_is_none_is_named_as_the_cause(clinder: Clinder, variable: str, proxy: str) -> None:
    done = clinder("start", "http://hub.example.org", "--repo", "org/repo", env={variable: proxy})
    assert done.returncode == 3, done.stderr
    assert "could not be reached: " in done.stderr
    assert f"The proxy is {proxy} (from {variable})." in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["stop", TOKEN, "http://127.0.0.1:1/"],
        ["stop", "http://127.0.0.1:1/", TOKEN, "too-much"],
        ["stop", "--token", TOKEN],
        [f"http://127.0.0.1:1/?token={TOKEN}"],
        ["--build-token", TOKEN, "start"],
        ["start", f"-q{TOKEN}"],
        ["start", f"-X{TOKEN}"],
        ["start", "http://127.0.0.1:1/", "--repo", f"https://{TOKEN}:x@git.example.org/org/repo"],
        ["start", "http://127.0.0.1:1/", "--repo", f"me:{TOKEN}@github.com/org/repo"],
        ["stop", f"--token={TOKEN}"],
        ["stop", f"ftp://host/?token={TOKEN}"],
        ["stop", f"http://ho st/?token={TOKEN}"],
        ["status", f"http://[::1/?token={TOKEN}"],
        ["start", f"http://127.0.0.1:1/{'x' * 10} /?token={TOKEN}", "--repo", "org/repo"],
    ],
)
def test_a_token_in_a_usage_error_is_not_repeated(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words)
    assert done.returncode == 2
    assert TOKEN not in done.stderr + done.stdout


def test_a_build_token_in_the_environment_is_used(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        clinder("start", hub.url, "--repo", "org/repo", env={"CLINDER_BUILD_TOKEN": "from-env"})
        assert hub.builds[0].path.endswith("?build_token=from-env")


def test_a_password_in_netrc_is_sent_neither_to_the_hub_nor_to_the_session(clinder: Clinder) -> None:
    netrc = clinder.directory / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    with FaultyHub() as hub, FaultyHub(redirect(hub)) as door:
        uri = clinder("start", door.url, "--repo", "org/repo").stdout.strip()
        assert clinder("stop", uri).returncode == 0
        assert "authorization" not in door.builds[0].headers
        assert "authorization" not in hub.builds[0].headers
        assert hub.requests[-1].headers["authorization"] == f"token {TOKEN}"


def on_a_terminal(clinder: Clinder, answer: Answer, *options: str, **env: str) -> str:
    """Return what a start shows where standard error is a terminal."""
    control, terminal = pty.openpty()
    with FaultyHub(answer) as hub:
        shown = b""
        with subprocess.Popen(
            [sys.executable, "-m", "clinder", "start", hub.url, "--repo", "org/repo", *options],
            env={**clinder.env, "TERM": "xterm", **env},
            stdout=subprocess.PIPE,
            stderr=terminal,
        ) as shown_process:
            os.close(terminal)
            while True:
                try:
                    data = os.read(control, 65536)
                except OSError:  # Linux's way to say that the other end is closed
                    break
                if not data:
                    break
                shown += data
            assert shown_process.wait() == 0
        os.close(control)
    return shown.decode()


def colourful(exchange: Exchange) -> None:
    exchange.stream()
    exchange.event("building", "\x1b[31mred\x1b[2J\x1b]0;title\x07\n")
    exchange.event("pushing", "Pushing image\n", progress={"a": {"current": 50, "total": 100}})
    time.sleep(1.6)
    exchange.ready()
    exchange.wait_for_close()


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_on_a_terminal_a_live_line_has_the_phase_the_time_and_a_bar(clinder: Clinder, options: list[str]) -> None:
    shown = on_a_terminal(clinder, colourful, *options)
    assert "pushing 1s  [##########..........] 50%" in shown
    assert ("\x1b[31mred" in shown) == bool(options)
    assert shown.count("\x1b[K") >= 2
    assert not re.search(r"\x1b(?!\[[0-9;]*m|\[K|\[A)", shown), "nothing but colours and our own lines"


def test_no_color_leaves_out_colours_but_not_the_live_line(clinder: Clinder) -> None:
    shown = on_a_terminal(clinder, colourful, "--verbose", NO_COLOR="1")
    assert "\x1b[31m" not in shown
    assert "\x1b[1m" not in shown
    assert "pushing 1s  [##########..........] 50%" in shown


def test_a_dumb_terminal_gets_plain_lines(clinder: Clinder) -> None:
    shown = on_a_terminal(clinder, colourful, TERM="dumb")
    assert "\x1b" not in shown
    assert "Pushing image 50%" in shown


def test_quiet_shows_nothing(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        assert clinder("start", hub.url, "--repo", "org/repo", "--quiet").stderr == ""


def test_plain_lines_are_flushed_as_they_come_with_a_header_a_phase(clinder: Clinder) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event("waiting", "one\n")
        exchange.event("waiting", "two\n")
        exchange.event("building", "three")
        exchange.hub.wait_until("read")
        exchange.ready()
        exchange.wait_for_close()

    with FaultyHub(answer) as hub:
        process = clinder.begin("start", hub.url, "--repo", "org/repo")
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(6)]
        hub.reach("read")
        assert [re.sub(r"\(\d:\d\d\)", "(t)", line) for line in lines[1:]] == [
            "==> waiting (t)\n",
            "one\n",
            "two\n",
            "==> building (t)\n",
            "three\n",
        ]
        assert lines[0] == f"clinder: launching gh/org/repo/HEAD on {hub.url}\n"


def test_a_hub_under_a_prefix_is_asked_under_it(clinder: Clinder) -> None:
    with FaultyHub(ready_at_once) as hub:
        clinder("start", f"{hub.url}services/binder", "--repo", "org/repo", "--ref", "feature/x#1")
        assert hub.builds[0].path == "/services/binder/build/gh/org/repo/feature/x%231"
        assert hub.builds[0].headers["accept"] == "text/event-stream"
        assert hub.builds[0].headers["user-agent"].startswith("clinder/")


def test_a_launch_link_carries_repository_and_ref(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        link = f"{hub.url}v2/git/https%3A%2F%2Fexample.org%2Fa%2Fb/feature/x?urlpath=lab%2Ftree%2Findex.ipynb"
        done = clinder("start", link, "--json")
        assert hub.builds[0].path == "/build/git/https%3A%2F%2Fexample.org%2Fa%2Fb/feature/x"
        assert json.loads(done.stdout)["repo"] == "https://example.org/a/b"


def test_the_hub_comes_from_the_environment_when_none_is_given(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        assert clinder("start", "--repo", "org/repo", env={"CLINDER_HUB": hub.url}).returncode == 0


def test_names_of_options_of_the_node_tool_are_accepted(clinder: Clinder) -> None:
    with FaultyHub() as hub:
        done = clinder(
            "start", hub.url, "--github-repo", "org/repo", "--github-ref", "dev", "--json", "--build-token", "t"
        )
        assert (json.loads(done.stdout)["ref"], hub.builds[0].path) == ("dev", "/build/gh/org/repo/dev?build_token=t")
        assert clinder("stop", hub.session_url, TOKEN).returncode == 0
        assert hub.stopped == 1
