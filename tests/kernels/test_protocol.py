"""A kernel of the session, as a client of Jupyter's messaging protocol sees it: like one on this machine."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import NoSuchKernel

from tests.support.session import wait_until

from .conftest import Kernel, Offer, paths

WHERE = "import os; print(os.environ.get('BINDER_LAUNCH_HOST'))"


def test_a_cell_runs_in_the_session(kernel: Kernel) -> None:
    assert "BINDER_LAUNCH_HOST" not in os.environ
    assert kernel.printed(WHERE) == "local\n"


def test_a_kernel_of_another_language_has_its_own_name_and_language(offer: Offer) -> None:
    spec = offer.manager("ir").kernel_spec
    assert spec is not None
    assert (spec.language, spec.display_name) == ("R", "R")
    with offer.kernel("ir") as kernel:
        assert kernel.printed("import os; print(os.environ['STARTED_AS'])") == "ir\n"


@pytest.mark.parametrize("directory", ["", "notebooks", "notebooks/sub"])
def test_a_kernel_works_in_the_directory_of_its_notebook(offer: Offer, directory: str) -> None:
    with offer.kernel(cwd=directory) as kernel:
        assert kernel.printed("import os; print(os.getcwd())") == f"{offer.project / directory}\n"


def test_outside_the_project_a_kernel_works_in_the_sessions_root(offer: Offer, tmp_path: Path) -> None:
    with offer.kernel(cwd=str(tmp_path)) as kernel:
        assert kernel.printed("import os; print(os.getcwd())") == f"{offer.project}\n"


def interrupted(kernel: Kernel, interrupt: Callable[[], object]) -> str:
    """Run a cell, interrupt it when it has printed a word, and return the name of its error."""
    names = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            interrupt()
        elif message["msg_type"] == "error":
            names.append(message["content"]["ename"])

    code = "x = 1\nprint('begun', end='', flush=True)\nimport time; time.sleep(60)"
    kernel.client.execute_interactive(code, timeout=30, output_hook=take)
    return " ".join(names)


def test_an_interrupt_ends_a_cell_and_the_kernel_goes_on(kernel: Kernel) -> None:
    assert interrupted(kernel, kernel.manager.interrupt_kernel) == "KeyboardInterrupt"
    assert kernel.printed("print(x)") == "1\n"


def test_sigint_interrupts_as_well(kernel: Kernel) -> None:
    assert interrupted(kernel, lambda: os.kill(kernel.pid, signal.SIGINT)) == "KeyboardInterrupt"


def test_a_restart_is_a_new_kernel_for_the_same_client(offer: Offer) -> None:
    with offer.kernel() as kernel:
        kernel.run("x = 1")
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=60)
        (error,) = kernel.run("x")
    assert error["content"]["ename"] == "NameError"


def test_a_shutdown_ends_the_kernel_in_the_session_and_is_confirmed(offer: Offer) -> None:
    before = set(offer.home.glob("bridge-*"))
    with offer.kernel() as kernel:
        name = kernel.printed("import os; print(os.environ['JPY_SESSION_NAME'])")
        path = Path(name.strip()).relative_to(offer.project).as_posix()
        assert path in paths(offer)
        kernel.client.shutdown()
        reply = kernel.client.get_control_msg(timeout=30)
        assert (reply["msg_type"], reply["content"]) == ("shutdown_reply", {"status": "ok", "restart": False})
        assert path not in paths(offer)
        wait_until(lambda: not kernel.manager.is_alive())
    assert set(offer.home.glob("bridge-*")) == before


def test_a_cell_asks_for_input_and_gets_it(kernel: Kernel) -> None:
    def answer(message: dict[str, Any]) -> None:
        assert message["content"]["prompt"] == "name? "
        kernel.client.input("Ada")

    assert kernel.printed("print(input('name? '))", stdin_hook=answer, allow_stdin=True) == "Ada\n"


COMM = """
from comm import create_comm
def opened(comm, message):
    @comm.on_msg
    def received(message):
        comm.send({"sizes": [len(b) for b in message["buffers"]]}, buffers=[bytes(b)[::-1] for b in message["buffers"]])
get_ipython().kernel.comm_manager.register_target("test", opened)
"""


def test_a_widgets_messages_have_their_buffers_both_ways(kernel: Kernel) -> None:
    kernel.run(COMM)
    session, shell = kernel.client.session, kernel.client.shell_channel
    blobs = [b"", bytes(range(256)), b"<IDS|MSG>", os.urandom(1 << 20)]
    shell.send(session.msg("comm_open", {"comm_id": "c", "target_name": "test", "data": {}}))
    message = session.msg("comm_msg", {"comm_id": "c", "data": {}})
    session.send(shell.socket, message, buffers=blobs)
    while (answer := kernel.client.get_iopub_msg(timeout=30))["msg_type"] != "comm_msg":
        pass
    assert answer["content"]["data"]["sizes"] == [len(blob) for blob in blobs]
    assert [bytes(buffer) for buffer in answer["buffers"]] == [blob[::-1] for blob in blobs]


@pytest.mark.parametrize(
    "code",
    ["print(text)", "display({'text/plain': text}, raw=True)"],
    ids=["stream", "display"],
)
def test_an_output_of_fifty_megabytes_comes_whole(kernel: Kernel, code: str) -> None:
    size = 50 * 10**6
    outputs = kernel.run(f"text = 'x' * {size - 1} + 'y'\n{code}", timeout=120)
    texts = [each["content"].get("text") or each["content"]["data"]["text/plain"] for each in outputs]
    whole = "".join(texts).rstrip("\n")
    assert (len(whole), whole[-2:]) == (size, "xy")


def paced(count: int, statement: str) -> str:
    """A cell that runs a statement so many times, with pauses.

    Without them ipykernel itself drops messages, when the session's server is a thousand messages behind it (ZeroMQ's
    high-water mark). That happens on a busy machine.
    """
    return f"import time\nfor n in range({count}):\n    {statement}\n    if n % 100 == 99: time.sleep(0.03)"


def test_ten_thousand_messages_come_in_their_order(kernel: Kernel) -> None:
    code = paced(10_000, "display({'text/plain': str(n)}, raw=True)")
    outputs = kernel.run(code, timeout=120)
    assert [each["content"]["data"]["text/plain"] for each in outputs] == [str(n) for n in range(10_000)]


def test_a_tool_that_reads_slowly_loses_nothing(kernel: Kernel) -> None:
    msg_id = kernel.client.execute(paced(5_000, "display({'text/plain': 'x' * 2_000 + str(n)}, raw=True)"))
    time.sleep(3)
    seen = []
    while True:
        message = kernel.client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        if message["msg_type"] == "display_data":
            seen.append(int(message["content"]["data"]["text/plain"].lstrip("x")))
        if message["content"].get("execution_state") == "idle":
            break
    assert seen == list(range(5_000))


def test_several_kernels_run_at_once_each_with_its_own_variables(offer: Offer) -> None:
    with offer.kernel() as first, offer.kernel() as second, offer.kernel() as third:
        for number, kernel in enumerate((first, second, third)):
            kernel.run(f"x = {number}")
        slow = second.client.execute("import time; time.sleep(2); print(x)")
        assert [kernel.printed("print(x)") for kernel in (first, third)] == ["0\n", "2\n"]
        assert second.client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] == slow


def test_two_clients_of_one_kernel_get_their_own_answers_and_all_outputs(kernel: Kernel) -> None:
    other = BlockingKernelClient(connection_file=kernel.manager.connection_file)
    other.load_connection_file()
    other.start_channels()
    other.wait_for_ready(timeout=30)
    asked = [(client, client.execute(f"print({n})")) for n, client in enumerate((kernel.client, other), start=1)]
    for client, msg_id in asked:
        while client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] != msg_id:
            pass  # earlier answers
    printed: list[str] = []
    while len(printed) < 2:
        if (message := other.get_iopub_msg(timeout=30))["msg_type"] == "stream":
            printed.append(message["content"]["text"])
    assert sorted(printed) == ["1\n", "2\n"]
    other.stop_channels()


def test_the_heartbeat_beats_while_a_cell_runs(kernel: Kernel) -> None:
    client = kernel.client
    client.execute("import time; time.sleep(2)")
    client.hb_channel.unpause()
    wait_until(client.hb_channel.is_beating)


def test_an_unknown_kernel_is_not_there(offer: Offer) -> None:
    with pytest.raises(NoSuchKernel):
        offer.manager("no-such-kernel").start_kernel()


def test_forged_messages_are_passed_over(kernel: Kernel) -> None:
    session, shell = kernel.client.session, kernel.client.shell_channel
    shell.socket.send_multipart([b"<IDS|MSG>", hashlib.sha256(b"").hexdigest().encode(), b"{}", b"{}", b"{}", b"{}"])
    for frames in ([b""], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{}"]):
        shell.socket.send_multipart(frames)
    for header in (b"[]", b"{", b"1" * 100_000, b'{"msg_type": 1}', b"[" * 100_000):
        shell.socket.send_multipart([b"<IDS|MSG>", session.sign([header, b"{}", b"{}", b"{}"]), header, *[b"{}"] * 3])
    assert kernel.printed("print(1)") == "1\n"


def test_the_token_is_in_no_file_and_no_argument(offer: Offer, kernel: Kernel) -> None:
    token = offer.session.token
    assert kernel.printed("print(1)") == "1\n"
    assert offer.home.stat().st_mode & 0o077 == 0
    for file in offer.home.rglob("*"):
        assert not file.is_file() or token not in file.read_text()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert token.encode() not in process.read_bytes()
        except OSError:
            continue
