"""Messages on the websocket, as jupyter-server itself writes and reads them, in its newer and in its older protocol."""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_server.services.kernels.connection import base

from clinder import EmbeddedHub, RepoSpec, Session
from clinder.kernels.wire import V1, Message, pack, unpack

from .conftest import offering
from .notebooks import WHERE

PARTS = [b'{"msg_id": "1", "msg_type": "comm_msg"}', b"{}", b"{}", b'{"data": [1, "\\u00e9"]}']
BUFFERS = [b"", b"\x00\xff" * 100]


@pytest.mark.parametrize("buffers", [[], BUFFERS], ids=["none", "buffers"])
def test_the_newer_protocol_is_jupyter_servers(buffers: list[bytes]) -> None:
    theirs = base.serialize_msg_to_ws_v1([*PARTS, *buffers], "shell")
    assert pack(Message("shell", [*PARTS, *buffers]), V1) == theirs
    channel, parts = unpack(theirs, V1)
    assert (channel, [bytes(part) for part in parts]) == ("shell", [*PARTS, *buffers])
    assert base.deserialize_msg_from_ws_v1(theirs) == ("shell", [*PARTS, *buffers])


def test_the_older_protocol_is_jupyter_servers() -> None:
    names = ("header", "parent_header", "metadata", "content")
    message = {**dict(zip(names, map(json.loads, PARTS), strict=True)), "channel": "shell", "buffers": BUFFERS}
    channel, parts = unpack(base.serialize_binary_message(message), None)
    assert channel == "shell"
    assert [json.loads(bytes(part)) for part in parts[:4]] == [json.loads(part) for part in PARTS]
    assert [bytes(part) for part in parts[4:]] == BUFFERS
    ours = pack(Message("shell", [*PARTS, *BUFFERS]), None)
    assert base.deserialize_binary_message(ours) == message


@pytest.fixture
def old_session(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session whose server knows the older protocol alone."""
    (tmp_path / ".jupyter").mkdir()
    config = "c.ZMQChannelsWebsocketConnection.kernel_ws_protocol = ''\n"
    (tmp_path / ".jupyter" / "jupyter_server_config.py").write_text(config)
    monkeypatch.setenv("HOME", str(tmp_path))
    with EmbeddedHub(str(project)) as hub, hub.launch(RepoSpec("org/repo")) as session:
        yield session


COMM = """
from comm import create_comm
comm = create_comm(target_name="test", data={"x": "é"}, buffers=[b"\\x00\\xff", b""])
"""


def test_a_session_that_knows_the_older_protocol_alone_serves_as_well(old_session: Session, project: Path) -> None:
    with offering(old_session, project) as offer, offer.kernel() as kernel:
        assert kernel.printed(WHERE) == f"launched by: local {project}\n"
        (opened,) = kernel.run(COMM)
        assert (opened["msg_type"], opened["content"]["data"]) == ("comm_open", {"x": "é"})
        assert [bytes(buffer) for buffer in opened["buffers"]] == [b"\x00\xff", b""]
        session, shell = kernel.client.session, kernel.client.shell_channel
        kernel.run("@comm.on_msg\ndef received(message): comm.send(len(message['buffers'][0]))")
        message = session.msg("comm_msg", {"comm_id": opened["content"]["comm_id"], "data": {}})
        session.send(shell.socket, message, buffers=[b"x" * 1000])
        while (answer := kernel.client.get_iopub_msg(timeout=30))["msg_type"] != "comm_msg":
            pass
        assert answer["content"]["data"] == 1000
