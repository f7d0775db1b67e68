"""One trial: the process runs as its plan says, and what became of it is judged."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from clinder.testing import FakeHub, FakeServer
from tests.conftest import Clinder
from tests.soak.hub import SoakHub
from tests.soak.output import Output
from tests.soak.plan import TOO_LONG, Plan, Signal, draw
from tests.support.hub import redirect
from tests.support.runner import ROOT, parse_file

TIME_TO_END = 9.5  # seconds from the first signal: nine are promised, the rest is the machine's
_PATIENCE = 60.0
_FILES = ("STATE", "OUTPUT", "ENV", "STEP_SUMMARY")
_LEFT = re.compile(r"may be left|is left\.|may still be running|was not stopped|could not be stopped")

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGQUIT would leave a file


class Ended(NamedTuple):
    """A process that has ended."""

    code: int
    seconds: float  # since the first signal; 0 without one
    out: str
    err: str
    is_heard: bool  # its last lines reach a reader, or would

    @property
    def was_interrupted_in_python(self) -> bool:
        """Whether an interrupt came before the first line of clinder."""
        shown = self.out + self.err
        return f'File "{ROOT}/clinder/' not in shown and shown.rstrip().endswith("KeyboardInterrupt")

    @property
    def says_left(self) -> bool:
        """Whether its last lines say that a server may be left."""
        return any(_LEFT.search("\n".join(text.splitlines()[-12:])) for text in (self.out, self.err))


def run(seed: str) -> list[str]:
    """Run the trial of this seed; return what is wrong, one line each."""
    plan = draw(seed)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        with ExitStack() as stack:
            hub = stack.enter_context(SoakHub(plan.stream, Random(seed)))
            front = stack.enter_context(FakeHub(redirect(hub))) if plan.stream.redirected else hub
            trial = _TRIALS[plan.kind](plan, hub, front.url, directory)
            return trial.faults()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Trial:
    """What all kinds have in common."""

    def __init__(self, plan: Plan, hub: SoakHub, url: str, directory: Path) -> None:
        self.plan = plan
        self.hub = hub
        self.url = url
        self.directory = directory
        self.env = Clinder(directory).env | {"PYTHONPATH": str(ROOT)}
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """Run everything; return what is wrong."""
        raise NotImplementedError

    def expect(self, holds: bool, what: str, ended: Ended) -> None:
        if not holds:
            tail = " | ".join([*ended.out[-300:].splitlines()[-4:], *ended.err[-600:].splitlines()[-6:]])
            self._faults.append(f"{what} (exit {ended.code}, {ended.seconds:.1f} s after the signal): {tail}")

    def execute(self, command: list[str], plan: tuple[Signal, ...], out: Output, err: Output) -> Ended:
        """Run a process, signal it as planned, and wait for its end."""
        if out.kind == "none":
            command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
        process = subprocess.Popen(
            command,
            env=self.env,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=out.descriptor,
            stderr=err.descriptor,
            start_new_session=True,
        )
        began = signalled = time.monotonic()
        out.started()
        if err is not out:
            err.started()
        for number, each in enumerate(plan):
            if not self._wait_for(each, process, began if number == 0 else signalled, out):
                break
            signalled = signalled if number else time.monotonic()
            process.send_signal(getattr(signal, f"SIG{each.name}"))
        else:
            number = len(plan)
        has_ended = _has_ended(process, _PATIENCE)
        seconds = time.monotonic() - signalled if number else 0.0
        if not has_ended:
            process.kill()
            process.wait()
        text = out.finish()
        ended = Ended(process.returncode, seconds, text, text if err is out else err.finish(), not err.is_lost)
        self.expect(has_ended, f"did not end within {_PATIENCE:.0f} s", ended)
        self.expect(seconds <= TIME_TO_END, "took too long to end", ended)
        self.expect(not self._has_traceback(ended), "a traceback", ended)
        return ended

    def _has_traceback(self, ended: Ended) -> bool:
        """Whether it shows one; not Python's own of an interrupt before the first line of clinder."""
        return "Traceback" in ended.out + ended.err and not ended.was_interrupted_in_python

    def _wait_for(self, each: Signal, process: subprocess.Popen[bytes], since: float, out: Output) -> bool:
        """Wait for the moment of a signal; return whether the process still runs then."""
        until = time.monotonic() + 20
        while each.moment in ("output", "launch") and time.monotonic() < until and process.poll() is None:
            if out.has_some(0.005) if each.moment == "output" else self.hub.launching.wait(0.02):
                since = time.monotonic()
                break
        return not _has_ended(process, max(0.0, since + each.after - time.monotonic()))

    def left(self) -> list[FakeServer]:
        """The servers that run on, but those that nobody could have known of. A shutdown on its way may arrive."""
        until = time.monotonic() + 1
        while True:
            left = [server for server in self.hub.servers if not server.stopped and server not in self.hub.lost]
            if not left or time.monotonic() > until:
                return left
            time.sleep(0.02)

    def expect_no_token(self, text: str, where: str, ended: Ended) -> None:
        tokens = [server.token for server in self.hub.servers]
        self.expect(not any(token in text for token in tokens), f"a token in {where}", ended)

    def expect_nothing_left(self, ended: Ended) -> None:
        self.expect(not self.left() or self.is_told(ended), "a server is left behind", ended)

    def is_told(self, ended: Ended) -> bool:
        """Whether the process said that a server may be left; or the launch took too long, and nobody reads the log."""
        return ended.says_left or (not ended.is_heard and self.plan.stream.launch >= TOO_LONG)


class Start(Trial):
    def faults(self) -> list[str]:
        plan = self.plan
        words = ["start", self.url, "--repo", "org/repo", *(["--json"] if plan.json else [])]
        out = Output(plan.out, self.directory, "out", plan.late)
        err = Output(plan.err, self.directory, "err", plan.late)
        command = [sys.executable, "-m", "clinder", *words, *_timeout(plan)]
        ended = self.execute(command, plan.signals, out, err)
        self.expect_no_token(ended.err, "standard error", ended)
        if ended.code != 0:
            self.expect_nothing_left(ended)
            return self._faults
        delivered = self._delivered(ended.out)
        self.expect(delivered is not None, "exit 0 without an address", ended)
        self.expect(delivered is None or not delivered.stopped, "the server that was delivered is stopped", ended)
        others = [server for server in self.left() if server is not delivered]
        self.expect(not others, "a server but the one that was delivered is left behind", ended)
        return self._faults

    def _delivered(self, text: str) -> FakeServer | None:
        """Return the server whose address was written, all of it."""
        for server in self.hub.servers:
            if self.plan.json and text.endswith("}\n"):
                content = json.loads(text)
                if (content["url"], content["token"]) == (server.url, server.token):
                    return server
            elif text == f"{server.url}?token={server.token}\n":
                return server
        return None


class Run(Trial):
    def faults(self) -> list[str]:
        plan = self.plan
        out = Output(plan.out, self.directory, "out", plan.late)
        err = Output(plan.err, self.directory, "err", plan.late)
        script = f'echo "$JUPYTER_BASE_URL $JUPYTER_TOKEN" >got; echo began; {plan.command}'
        options = ["run", self.url, "--repo", "org/repo", *_timeout(plan)]
        command = [sys.executable, "-m", "clinder", *options, "--", "sh", "-c", script]
        ended = self.execute(command, plan.signals, out, err)
        self.expect_no_token(ended.out + ended.err, "the output", ended)
        self.expect_nothing_left(ended)
        if ended.code == 0:
            got = (self.directory / "got").read_text().split() if (self.directory / "got").exists() else []
            addresses = [[server.url, server.token] for server in self.hub.servers]
            self.expect(got in addresses, "exit 0, and the command has not got the address", ended)
        return self._faults


class Build(Trial):
    def faults(self) -> list[str]:
        plan = self.plan
        out = Output(plan.out, self.directory, "out", plan.late)
        err = Output(plan.err, self.directory, "err", plan.late)
        command = [sys.executable, "-m", "clinder", "build", self.url, "--repo", "org/repo", *_timeout(plan)]
        ended = self.execute(command, plan.signals, out, err)
        self.expect_no_token(ended.out + ended.err, "the output", ended)
        self.expect_nothing_left(ended)
        return self._faults


class Action(Trial):
    def faults(self) -> list[str]:
        plan = self.plan
        self.env |= {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY": "org/repo"}
        self.env |= {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_SHA": "a" * 40, "CI": "true"}
        self.env |= {"INPUT_HUB-URL": self.url, "INPUT_REPO": "org/repo"}
        if plan.timeout:
            self.env["INPUT_TIMEOUT"] = f"{plan.timeout:.1f}"
        main = self._step("entrypoint.py", "main", plan.out, plan.signals, plan.full_file)
        files = {name: self._written("main", name) for name in _FILES}
        state = parse_file(files["STATE"]) if main.code == 0 else {}
        if main.code == 0:
            self._expect_delivered(main, files, state)
        else:
            self.expect_nothing_left(main)
        self.env |= {f"STATE_{name}": value for name, value in state.items()}
        asked = len(self.hub.requests)
        post = self._step("post_entrypoint.py", "post", plan.post_out, plan.post_signals, "")
        # Of a signal before the first line of clinder Python ends.
        has_begun = len(self.hub.requests) > asked or not (post.code < 0 or post.was_interrupted_in_python)
        self.expect(post.code == 0 or not has_begun, "the last step failed", post)
        if post.code == 0:
            self.expect(not self.left() or self.is_told(main) or self.is_told(post), "left after the last step", post)
        return self._faults

    def _expect_delivered(self, main: Ended, files: dict[str, str], state: dict[str, str]) -> None:
        found = [server for server in self.hub.servers if server.token == state.get("token")]
        self.expect(len(found) == 1 and not found[0].stopped, "exit 0 without a server in the state", main)
        others = [server for server in self.left() if server not in found]
        self.expect(not others, "a server but the one that was delivered is left behind", main)
        for server in found:
            outputs, env = parse_file(files["OUTPUT"]), parse_file(files["ENV"])
            whole = (state["url"], outputs.get("url"), env.get("JUPYTER_BASE_URL")) == (server.url,) * 3
            tokens = (outputs.get("token"), env.get("JUPYTER_TOKEN")) == (server.token,) * 2
            self.expect(whole and tokens, "exit 0 with half an address", main)

    def _step(self, entrypoint: str, name: str, kind: str, signals: tuple[Signal, ...], full: str) -> Ended:
        (self.directory / name).mkdir()
        for file in _FILES:
            path = self.directory / name / file
            path.touch()
            self.env[f"GITHUB_{file}"] = "/dev/full" if file == full else str(path)
        out = Output(kind, self.directory, f"{name}.out", self.plan.late)
        ended = self.execute([sys.executable, "-I", str(ROOT / entrypoint)], signals, out, out)
        shown = "\n".join(line for line in ended.out.splitlines() if not line.startswith("::add-mask::"))
        self.expect_no_token(shown + self._written(name, "STEP_SUMMARY"), "the log or the summary", ended)
        return ended

    def _written(self, step: str, name: str) -> str:
        return (self.directory / step / name).read_text()


_TRIALS: dict[str, type[Trial]] = {"start": Start, "run": Run, "action": Action, "build": Build}


def _timeout(plan: Plan) -> list[str]:
    return ["--timeout", f"{plan.timeout:.1f}"] if plan.timeout else []


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
