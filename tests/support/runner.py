"""A small runner that treats a Docker action as actions/runner does: mounts, environment, files, commands, signals.

Sources (actions/runner, src/): ContainerActionHandler.cs and DockerCommandManager.cs for `docker run`, ActionCommand.cs
and ActionCommandManager.cs for what is a command in a log, FileCommandManager.cs for the files, ProcessInvoker.cs for
how a step is cancelled. The same action can be run as a process on this machine, where its faults are the subject.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# What runners know by name, in any case.
COMMANDS = frozenset(
    {"stop-commands", "internal-set-repo-path", "set-env", "set-output", "save-state", "add-mask", "add-path"}
    | {"add-matcher", "remove-matcher", "debug", "warning", "error", "notice", "group", "endgroup", "echo"}
)

MOUNTS = {
    "runner_temp": "",
    "home": "_github_home",
    "workflow": "_github_workflow",
    "file_commands": "_runner_file_commands",
}


class Log:
    """What a runner makes of the lines that a step prints."""

    def __init__(self) -> None:
        self.lines: list[str] = []  # as the log shows them, masked
        self.raw: list[str] = []  # as they were printed
        self.commands: list[tuple[str, dict[str, str], str]] = []
        self.masks: list[str] = []
        self._stop_token: str | None = None

    def feed(self, line: str) -> None:
        """Take a line as TryProcessCommand does."""
        self.raw.append(line)
        found = self._parse_new(line) or self._parse_old(line)
        if found is None:
            self.lines.append(self._mask(line))
            return
        name, properties, data = found
        if self._stop_token is not None:
            if name.lower() == self._stop_token.lower():
                self._stop_token = None
            else:
                self.lines.append(self._mask(line))
        elif name.lower() == "stop-commands":
            self._stop_token = data
            self.masks.append(data)
        else:
            if name.lower() == "add-mask":
                self.masks.append(data)
            self.commands.append((name.lower(), properties, data))

    def named(self, name: str) -> list[tuple[dict[str, str], str]]:
        return [(properties, data) for each, properties, data in self.commands if each == name]

    def _known(self, name: str) -> bool:
        return name.lower() in COMMANDS or (self._stop_token is not None and name.lower() == self._stop_token.lower())

    def _parse_new(self, line: str) -> tuple[str, dict[str, str], str] | None:
        text = line.lstrip()
        if not text.startswith("::") or "::" not in text[2:]:
            return None
        head, _, data = text[2:].partition("::")
        return self._parsed(head, ",", data)

    def _parse_old(self, line: str) -> tuple[str, dict[str, str], str] | None:
        _, found, text = line.partition("##[")
        if not found or "]" not in text:
            return None
        head, _, data = text.partition("]")
        return self._parsed(head, ";", data)

    def _parsed(self, head: str, separator: str, data: str) -> tuple[str, dict[str, str], str] | None:
        name, _, rest = head.partition(" ")
        if not self._known(name):
            return None
        pairs = (pair.split("=", 1) for pair in rest.split(separator))
        return (
            name,
            {pair[0].strip(): _unescaped(pair[1]) for pair in pairs if len(pair) == 2 and pair[1]},
            _unescaped(data),
        )

    def _mask(self, line: str) -> str:
        for mask in self.masks:
            line = line.replace(mask, "***")
        return line


def _unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


def parse_file(text: str) -> dict[str, str]:
    """Read a command file as a runner does; raise ValueError where it would fail the step."""
    values: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        if match := re.fullmatch(r"([^=]+?)<<(.+)", line):
            value = []
            for each in lines:
                if each == match[2]:
                    break
                value.append(each)
            else:
                raise ValueError(f"no delimiter {match[2]}")
            values[match[1]] = "\n".join(value)
        elif "=" in line:
            name, _, rest = line.partition("=")
            values[name] = rest
        else:
            raise ValueError(f"invalid format: {line}")
    return values


class Step:
    """One run of an entrypoint, begun; `finish()` waits for its end and reads what it left."""

    def __init__(self, job: Job, command: list[str], env: dict[str, str]) -> None:
        self.job = job
        self.log = Log()
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **env} if job.image else env,
            cwd=job.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.log.feed(line.rstrip("\n"))

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until the log has a line with this text."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            is_over = not self._reader.is_alive()  # then nothing comes any more
            if any(text in line for line in list(self.log.lines)):
                return
            if is_over:
                break
            time.sleep(0.05)
        raise AssertionError(f"never in the log: {text}\n" + "\n".join(self.log.raw))

    def cancel(self) -> None:
        """SIGINT, after 7.5 seconds SIGTERM, and 2.5 seconds later the end."""
        for number, patience in ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5)):
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                continue
        if self.job.image:
            subprocess.run(["docker", "rm", "--force", self.job.container], check=False, capture_output=True)
        self.process.kill()

    def finish(self, seconds: float = 120) -> Step:
        """Wait for the end; the files that the step wrote are in `outputs`, `env`, `state` and `summary`."""
        self.code = self.process.wait(seconds)
        self._reader.join()
        self.outputs, self.env, self.state = (parse_file(self.job.read(name)) for name in ("OUTPUT", "ENV", "STATE"))
        self.summary = self.job.read("STEP_SUMMARY")
        self.job.env |= self.env
        return self


class Job:
    """A job with one use of the action. With an `image` its steps are containers, else processes of this machine."""

    def __init__(
        self,
        directory: Path,
        *,
        image: str | None = None,
        network: str | None = None,
        event: tuple[str, dict[str, Any]] = ("push", {}),
        env: dict[str, str] | None = None,
    ) -> None:
        self.image = image
        self.network = network
        self.temp = directory / "temp"
        self.workspace = directory / "workspace"
        self.workspace.mkdir(parents=True)
        for folder in MOUNTS.values():
            (self.temp / folder).mkdir(parents=True, exist_ok=True)
        name, payload = event
        (self.temp / "_github_workflow" / "event.json").write_text(json.dumps(payload))
        self.env = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_REPOSITORY": "org/repo",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "a" * 40,
            "CI": "true",
            **(env or {}),
        }
        self.container = ""
        self._set: dict[str, Path] = {}

    def main(self, entrypoint: str | Path = "entrypoint.py", **inputs: str) -> Step:
        """Begin the main step; underscores in the names of inputs stand for hyphens."""
        self.inputs = {f"INPUT_{name.upper().replace('_', '-')}": value for name, value in inputs.items()}
        return self._begin(entrypoint, {})

    def post(self, state: dict[str, str], *, inputs: bool = True) -> Step:
        """Run the post step to its end."""
        return self.begin_post(state, inputs=inputs).finish()

    def begin_post(self, state: dict[str, str], *, inputs: bool = True) -> Step:
        """Begin the post step."""
        env = {f"STATE_{name}": value for name, value in state.items()}
        return self._begin("post_entrypoint.py", env, inputs=inputs)

    def read(self, name: str) -> str:
        """Return what is in a file of the step that ran last."""
        return self._set[name].read_text()

    def _begin(self, entrypoint: str | Path, more: dict[str, str], *, inputs: bool = True) -> Step:
        home = self.temp / "_runner_file_commands"
        self._set = {
            name: home / f"{name.lower()}_{uuid.uuid4()}" for name in ("OUTPUT", "ENV", "STATE", "STEP_SUMMARY")
        }
        env = {**self.env, **(self.inputs if inputs else {}), **more}
        for name, path in self._set.items():
            path.touch()
            env[f"GITHUB_{name}"] = str(path)
        env["GITHUB_EVENT_PATH"] = str(self.temp / "_github_workflow" / "event.json")
        env["GITHUB_WORKSPACE"] = str(self.workspace)
        env["HOME"] = str(self.temp / "_github_home")
        if self.image is None:
            plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            return Step(self, [sys.executable, "-I", str(ROOT / entrypoint)], {**plain, **env})
        return Step(self, self._docker_run(entrypoint, env), env)

    def _docker_run(self, entrypoint: str | Path, env: dict[str, str]) -> list[str]:
        self.container = f"clinder-test-{uuid.uuid4().hex[:12]}"
        command = ["docker", "run", "--name", self.container, "--workdir", "/github/workspace", "--rm"]
        for name, value in env.items():
            env[name] = self._translated(value)
            command += ["-e", name]
        command += ["--entrypoint", f"/{entrypoint}"]
        if self.network:
            command += ["--network", self.network]
        mounts = {f"/github/{name}": self.temp / folder for name, folder in MOUNTS.items()}
        for target, source in {**mounts, "/github/workspace": self.workspace}.items():
            command += ["-v", f"{source}:{target}"]
        assert self.image is not None
        return [*command, self.image]

    def _translated(self, value: str) -> str:
        """Return the path in the container."""
        for name, folder in reversed(MOUNTS.items()):
            value = value.replace(str(self.temp / folder) + ("/" if folder else ""), f"/github/{name}/")
        return value.replace(str(self.workspace), "/github/workspace")
