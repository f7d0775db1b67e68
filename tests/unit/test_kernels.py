"""A kernel's messages as bytes, what is asked and answered, and the names of kernels. No network."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinder.kernels import roll
from clinder.kernels.bridge import _check
from clinder.kernels.link import _answer_in
from clinder.kernels.questions import IDLE, REPLY, Questions
from clinder.kernels.remote import KernelSpec
from clinder.kernels.specs import aliases, kernel_names
from clinder.kernels.wire import CHANNELS, V1, Malformed, Message, Signer, pack, unpack
from clinder.target.pages import Named

OBJECTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)
FIELDS = st.lists(OBJECTS, min_size=4, max_size=4)
BUFFERS = st.lists(st.binary(max_size=40), max_size=4)


@given(
    st.sampled_from(CHANNELS), st.lists(OBJECTS, min_size=4, max_size=4), st.lists(st.binary(max_size=40), max_size=4)
)
@pytest.mark.parametrize("protocol", [V1, None])
def test_a_message_is_the_same_behind_the_websocket(
    protocol: str | None, channel: str, objects: list[dict[str, object]], buffers: list[bytes]
) -> None:
    parts = [*(json.dumps(each).encode() for each in objects), *buffers]
    found = unpack(pack(Message(channel, parts), protocol), protocol)
    assert found.channel == channel
    assert [json.loads(bytes(part)) for part in found.parts[:4]] == objects
    assert [bytes(part) for part in found.parts[4:]] == buffers


@given(st.binary(max_size=200) | st.text(max_size=200))
@pytest.mark.parametrize("protocol", [V1, None])
def test_any_bytes_are_a_message_or_malformed(protocol: str | None, data: bytes | str) -> None:
    try:
        message = unpack(data, protocol)
        _ = message.header, message.parent
    except Malformed:
        pass


_IDENTITIES = st.lists(st.binary(max_size=9).filter(lambda each: each != b"<IDS|MSG>"), max_size=3)


@given(st.lists(st.binary(max_size=20), min_size=4, max_size=8), _IDENTITIES)
def test_what_was_signed_is_taken_and_what_was_changed_is_not(parts: list[bytes], identities: list[bytes]) -> None:
    signer = Signer("key", "hmac-sha256")
    frames = [bytes(each) for each in signer.frames(identities, parts)]
    assert signer.parts(frames) == (identities, parts)
    for number in range(len(identities) + 1, len(identities) + 6):  # the signature and what it covers
        with pytest.raises(Malformed):
            signer.parts([*frames[:number], frames[number] + b"x", *frames[number + 1 :]])
    with pytest.raises(Malformed):
        Signer("other", "hmac-sha256").parts(frames)


def test_without_a_key_nothing_is_signed() -> None:
    signer = Signer("", "hmac-sha256")
    assert signer.frames([], [b"{}"] * 4) == [b"<IDS|MSG>", b"", *[b"{}"] * 4]


def test_a_question_is_open_until_both_of_its_answers_came() -> None:
    questions = Questions()
    questions.ask("1", "execute_request", [b"me"])
    questions.answer("1", REPLY)
    assert questions.asker("1") == [b"me"]
    assert questions.has_cell
    questions.answer("1", IDLE)
    assert questions.asker("1") is None
    assert not questions.are_open


def test_a_message_without_a_reply_is_done_when_the_kernel_is_idle() -> None:
    questions = Questions()
    questions.ask("1", "comm_msg", [b"me"])
    questions.answer("1", IDLE)
    assert not questions.are_open


@pytest.mark.parametrize(
    ("kind", "came", "lost"),
    [
        ("execute_request", {REPLY}, {REPLY: False, IDLE: True}),
        ("execute_request", {IDLE}, {REPLY: True, IDLE: False}),
        ("execute_request", set(), {REPLY: True, IDLE: True}),
        ("execute_request", {REPLY, IDLE}, {REPLY: False, IDLE: False}),
        ("comm_info_request", set(), {REPLY: False, IDLE: False}),
    ],
)
def test_an_answer_is_lost_when_a_later_question_has_it(kind: str, came: set[str], lost: dict[str, bool]) -> None:
    questions = Questions()
    questions.ask("cell", kind, [])
    questions.ask("probe", "kernel_info_request", [])
    questions.ask("later", "execute_request", [])
    for each in came:
        questions.answer("cell", each)
    assert {what: questions.is_lost("probe", what) for what in (REPLY, IDLE)} == lost
    assert not questions.is_lost("unknown", REPLY)


def test_questions_without_answers_are_bounded() -> None:
    questions = Questions()
    for number in range(20_000):
        questions.ask(str(number), "execute_request", [])
    assert questions.asker("0") is None
    assert questions.asker("19999") == []


PYTHON, OTHER_PYTHON, R = KernelSpec("python", ""), KernelSpec("Python", ""), KernelSpec("R", "")


@pytest.mark.parametrize(
    ("specs", "named", "found", "unknown"),
    [
        ({"python3": PYTHON}, [("dev", "python")], {"dev": "python3"}, []),
        ({"python3": PYTHON}, [("dev", "")], {"dev": "python3"}, []),
        ({"python3": PYTHON, "ir": R}, [("dev", "")], {}, ["dev"]),
        ({"python3": PYTHON, "ir": R}, [("R", "r"), ("dev", "python")], {"R": "ir", "dev": "python3"}, []),
        ({"python3": PYTHON, "py2": OTHER_PYTHON}, [("dev", "python")], {}, ["dev"]),
        ({"python3": PYTHON}, [("julia", "julia")], {}, ["julia"]),
        ({"python3": PYTHON}, [("PYTHON3", "python")], {}, []),
        ({"conda": PYTHON}, [], {"python3": "conda"}, []),
        ({"ir": R}, [], {}, []),
        ({}, [("dev", "python")], {}, ["dev"]),
        ({"python3": PYTHON}, [("dev", "julia"), ("dev", "python")], {"dev": "python3"}, []),
        ({"python3": PYTHON}, [("dev", "python"), ("Dev", "python")], {"Dev": "python3"}, []),
        ({"python3": PYTHON}, [("dev", "python"), ("DEV", "julia")], {"dev": "python3"}, []),
    ],
)
def test_a_name_that_the_session_has_not_is_its_only_kernel_of_the_language(
    specs: dict[str, KernelSpec], named: list[tuple[str, str]], found: dict[str, str], unknown: list[str]
) -> None:
    assert aliases(specs, [Named(*each) for each in named]) == (found, unknown)


def test_a_status_of_any_size_takes_little_memory() -> None:
    """Python takes 250 bytes for each of these objects of eight characters."""
    header = b'{"msg_id": "1", "msg_type": "status", "session": "2"}'
    content = b'{"execution_state": "idle", "x": [' + b'{"":{}},' * 100_000 + b"0]}"
    message = Message("iopub", [header, b"{}", b"{}", content])
    tracemalloc.start()
    try:
        for look in (_check, _answer_in):
            with pytest.raises(Malformed):
                look(message)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def notebook(name: object, **metadata: object) -> str:
    return json.dumps({"cells": [], "metadata": {"kernelspec": {"name": name, **metadata}}})


def test_notebooks_and_pages_name_kernels(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.ipynb").write_text(notebook("dev", language="python"))
    content = {"metadata": {"kernelspec": {"name": "old"}, "language_info": {"name": "R"}}}
    (tmp_path / "y.ipynb").write_text(json.dumps(content))
    (tmp_path / "z.md").write_bytes(b"---\r\nkernelspec:\r\n  name: page\r\n---\r\ntext\n---\n")
    (tmp_path / "q.qmd").write_text("---\nkernelspec: {name: quarto, language: julia}\n---\n")
    assert kernel_names(tmp_path) == {
        Named("dev", "python"),
        Named("old", "R"),
        Named("page", ""),
        Named("quarto", "julia"),
    }


def test_what_is_no_notebook_names_no_kernel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.ipynb")
    (tmp_path / "dir.ipynb").mkdir()
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "nowhere")
    for number, name in enumerate(["../x", "", "a b", None, ["x"], "x" * 101, "::error::"]):
        (tmp_path / f"{number}.ipynb").write_text(notebook(name))
    bad = [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"metadata": 1}',
        '{"metadata": {"kernelspec": []}}',
        "\x00",
        notebook("x")[:-5],
    ]
    for number, text in enumerate(bad):
        (tmp_path / f"bad{number}.ipynb").write_text(text)
    (tmp_path / "latin.md").write_bytes(b"---\nkernelspec:\n  name: \xe9\n---\n")
    (tmp_path / "bomb.md").write_text("---\na: &a [x]\n" + "b: [*a, *a]\n" * 200 + "kernelspec: {name: x}\n---\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.ipynb").write_text(notebook("hidden"))
    assert kernel_names(tmp_path) == set()


def test_trouble_is_one_line_each_and_bounded(tmp_path: Path) -> None:
    roll.tell(tmp_path, "one\ntwo\x1b[2J")
    roll.tell(tmp_path, "x" * 10_000)
    first, second = roll.trouble(tmp_path)
    assert first == "one two"
    assert len(second) == 500
    roll.tell(tmp_path / "gone", "nobody hears it")
    assert roll.trouble(tmp_path / "gone") == []


def test_only_an_entry_whose_process_is_gone_is_abandoned(tmp_path: Path) -> None:
    lock = roll.enter(tmp_path, "1", "a/1.ipynb")
    assert list(roll.abandoned(tmp_path)) == []
    os.close(lock)
    (entry,) = roll.abandoned(tmp_path)
    assert entry[:2] == ("1", "a/1.ipynb")
    roll.leave(tmp_path, "1")
    assert list(roll.abandoned(tmp_path)) == []
