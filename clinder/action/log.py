"""Write the job's log, and commands for the runner, to standard output.

A build's log can't be trusted. So all text of a hub is printed between ``::stop-commands::`` and a random token that
ends it. Everything goes to one stream, because a runner reads the two streams independently. A separate thread writes
the stream, so that the step ends in time even if the runner does not read.

Sources: actions/runner, ActionCommandManager.cs and ActionCommand.cs (what is a command).
"""

import json
import re
import secrets
import time
from typing import TextIO

from actions_toolkit import core
from actions_toolkit.command import Command

from clinder._signals import TIME_TO_DELIVER, Signals
from clinder.errors import ClinderError
from clinder.launch.events import FAILED_PHASES, OWN_PHASES, Event
from clinder.output import Kept, Writer, push_share
from clinder.text import escape_ci_commands

_MOST_PHASES = 20  # the most phases with a duration; hubs have about ten
_OTHER_PHASES = "other phases"
_MOST_TOKENS = 10  # the most tokens that are masked; each attempt has one at most
_PATIENCE = 10.0  # seconds for the runner to take the masks


class Log:
    """The job's log, with a collapsible group for each phase of the hub, and messages of clinder between the groups.

    It is also a text stream, so that actions-toolkit and print() can write to it. ``durations`` has the seconds that
    each phase took. From ``deadline`` on (a time of `time.monotonic`), it does not wait for a slow runner any more.
    """

    def __init__(self, stream: TextIO, signals: Signals) -> None:
        self.durations: dict[str, float] = {}
        self.deadline = float("inf")
        self._signals = signals
        self._writer = Writer(stream, hurry=self._is_urgent)
        self._phase = ""
        self._began = 0.0
        self._share = ""  # how much of the image is pushed
        self._guard = ""  # the token that ends the text of a hub
        self._masked: set[str] = set()
        self._debug = core.is_debug()

    def write(self, text: str) -> int:
        """Write lines of clinder itself, for example commands."""
        self._writer.write(Kept(text))
        return len(text)

    def flush(self) -> None:
        """Do nothing, because the thread writes all text."""

    def say(self, text: str) -> None:
        """Write a message of clinder. It may contain words of a hub."""
        self.write(escape_ci_commands(f"clinder: {text}".replace("\n", " ")) + "\n")

    def command(self, name: str, text: str = "", **properties: str) -> None:
        """Write a command to the runner."""
        self.write(f"{Command(name, properties, text)}\n")

    def mask(self, token: str) -> None:
        """Tell the runner to show asterisks in place of a token."""
        self.command("add-mask", token)

    def show(self, event: Event) -> None:
        """Write an event, in the group of its phase."""
        self._mask_token(event)
        phase, message, _ = event
        if phase in OWN_PHASES:
            self.close_group()
            self.say(message)
            return
        if not self._writer.has_room():
            return  # the runner does not read, and there is no time to wait
        if phase != self._phase and (phase != "unknown" or not self._phase):
            self.close_group()
            self._open_group(phase)
        if message := self._message(event):
            self._write_foreign(message)

    def close_group(self) -> None:
        """End the group of the current phase with a line about its duration, if there is a group."""
        if not self._phase:
            return
        seconds = time.monotonic() - self._began
        name = self._phase if self._phase in self.durations or len(self.durations) < _MOST_PHASES else _OTHER_PHASES
        self.durations[name] = self.durations.get(name, 0) + seconds
        self.write(f"::{self._guard}::\n{self._phase} took {seconds:.1f} s\n")
        self.command("endgroup")
        self._phase = ""

    def show_lines(self, lines: tuple[str, ...]) -> None:
        """Write lines of a build's log outside of the groups."""
        if lines:
            self._begin_foreign()
            self._write_foreign("".join(f"{line}\n" for line in lines))
            self.write(f"::{self._guard}::\n")

    def deliver_masks(self) -> None:
        """Wait until the runner has read everything, masks included. Raises `ClinderError` if it does not."""
        until = time.monotonic() + _PATIENCE
        if not self._writer.drain(lambda: min(until, self._signals.time_to_end(TIME_TO_DELIVER))):
            self._signals.check()
            why = self._writer.error.strerror if self._writer.error else "nobody reads it"
            raise ClinderError(f"The step's log could not be written: {why}.")

    def finish(self) -> None:
        """Write the rest, as long as the runner reads; after a signal, only messages of clinder."""
        now = time.monotonic()
        self._writer.finish(lambda: self._signals.time_for_words(now))

    def _message(self, event: Event) -> str:
        """Return the text to show for an event of the hub."""
        phase, message, data = event
        if self._debug:
            fields = {name: value for name, value in data.items() if name != "token"}
            return f"{message.rstrip()}\n{json.dumps(fields)}\n"
        if phase in FAILED_PHASES:  # the annotation, or the line about the next attempt, has the hub's words
            return ""
        if phase == "pushing" and (share := push_share(data.get("progress"))):
            message = "" if share == self._share else f"{message.rstrip()} {share}"
            self._share = share
        return message

    def _mask_token(self, event: Event) -> None:
        """Mask the token of an event before the event is shown. In a group, the runner would ignore the command."""
        token = event.data.get("token")
        if not isinstance(token, str) or not token or token in self._masked or len(self._masked) >= _MOST_TOKENS:
            return
        self.close_group()
        self._masked.add(token)
        self.mask(token)

    def _open_group(self, phase: str) -> None:
        self._phase, self._began, self._share = phase, time.monotonic(), ""
        self.command("group", phase)
        self._begin_foreign()

    def _begin_foreign(self) -> None:
        """Tell the runner to ignore commands until it reads a new random token."""
        self._guard = secrets.token_hex(32)
        self.command("stop-commands", self._guard)

    def _write_foreign(self, text: str) -> None:
        if self._guard in text.lower():
            text = re.sub(self._guard, "", text, flags=re.IGNORECASE)
        self._writer.write(text if text.endswith("\n") else text + "\n")

    def _is_urgent(self) -> bool:
        return self._signals.number is not None or time.monotonic() >= self.deadline
