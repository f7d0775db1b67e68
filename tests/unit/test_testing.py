"""The hub for authors of tools, as its documentation has it, and what tests may share."""

import ast
import doctest
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinder import BinderHub, HubRefused, HubUnavailable, RepoSpec, SessionGone, testing
from clinder.testing import READY, Exchange, FakeHub
from tests.support.runner import ROOT

SPEC = RepoSpec("org/repo")


def test_the_example_in_its_docstring_is_true() -> None:
    failures, tried = doctest.testmod(testing)
    assert failures == 0
    assert tried > 2


def test_a_script_is_answered_in_its_order_and_its_last_answer_for_ever() -> None:
    said: list[str] = []
    with FakeHub([{"phase": "building", "message": "Step 1"}, READY], [{"phase": "built"}, READY]) as hub:
        for _ in range(3):
            session = BinderHub(hub.url).launch(SPEC, on_event=lambda event: said.append(event.phase))
            assert (session.url, session.token) == (hub.servers[-1].url, hub.servers[-1].token)
    assert said == ["building", "ready", "built", "ready", "built", "ready"]
    assert len(hub.builds) == len({server.url for server in hub.servers} | {server.token for server in hub.servers}) / 2
    assert hub.closed_after_ready == [True, True, True]


def test_a_server_that_was_stopped_is_gone_and_no_other() -> None:
    with FakeHub() as hub:
        first, second = (BinderHub(hub.url).launch(SPEC) for _ in range(2))
        assert (first.stop(), first.stop()) == (True, False)
        with pytest.raises(SessionGone):
            first.status()
        assert second.status().kernels == 0
    assert [server.stopped for server in hub.servers] == [True, False]


def test_a_function_answers_whatever_it_likes() -> None:
    with FakeHub(lambda exchange: exchange.page("403 Forbidden", "Invalid build token")) as hub:  # noqa: SIM117
        with pytest.raises(HubRefused, match="build token"):
            BinderHub(hub.url).launch(SPEC)
    assert hub.servers == []


def test_a_hub_that_died_refuses_connections_and_keeps_its_port_to_the_end_of_the_block() -> None:
    def die(exchange: Exchange) -> None:
        exchange.stream()
        hub.die()
        hub.die()

    with FakeHub(die) as hub:
        address = ("127.0.0.1", int(hub.url.rpartition(":")[2].rstrip("/")))
        with pytest.raises(HubUnavailable, match="connection refused"):
            BinderHub(hub.url).launch(SPEC, timeout=2)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        assert len(hub.builds) == 1
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(address)


def refuse(exchange: Exchange) -> None:
    exchange.stream()
    exchange.ready()
    assert exchange.request.headers["accept"] == "nothing"


def test_what_a_function_raises_comes_out_of_the_block() -> None:
    with pytest.raises(AssertionError, match="nothing"), FakeHub(refuse) as hub:
        BinderHub(hub.url).launch(SPEC)


TESTS = sorted(path for path in ROOT.glob("tests/**/test_*.py") if "node_modules" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports, and of what it imports from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_test_module_imports_another() -> None:
    assert len(TESTS) > 30
    names = {path.stem for path in TESTS}
    others = [(path.name, name) for path in TESTS for name in imported(path) if names & set(name.split("."))]
    assert others == []
