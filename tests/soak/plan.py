"""What happens in one random trial: all of it follows from its seed, so that a failure can be had again."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Stream(NamedTuple):
    """How the hub behaves. Times are in seconds."""

    framing: str = "plain"  # plain, odd (cut anywhere), trickled (byte by byte)
    headers: float = 0.0  # until the answer begins
    trickled_headers: bool = False
    lines: int = 3  # of the log
    keepalives: bool = False
    launch: float = 0.2  # from the launch to ready
    end: str = "ready"  # ready, failed (the build), refused, mute (nothing comes any more)
    cuts: tuple[str, ...] = ()  # attempts before that break off: in the build, or in the launch
    image: int = 20  # characters
    redirected: bool = False
    trouble: float = 0.0  # after each launch, in which the session's proxy says 503
    shutdown: float = 0.0  # how long the session takes to say that it ends


class Signal(NamedTuple):
    """``after`` seconds from a moment: the start of the process, its first output, the launch of a server."""

    name: str
    moment: str
    after: float


class Plan(NamedTuple):
    seed: str
    kind: str  # start, run, action, build
    stream: Stream
    out: str
    err: str
    late: float  # seconds until what is read late is read
    signals: tuple[Signal, ...]
    json: bool = False
    timeout: float | None = None
    command: str = ""  # of run
    full_file: str = ""  # of the Action's files, one on a full disk
    post_out: str = "read"
    post_signals: tuple[Signal, ...] = ()

    def __str__(self) -> str:
        fields = self._asdict()
        fields["stream"] = self.stream._asdict().items() - Stream()._asdict().items()
        shown = {name: value for name, value in fields.items() if value not in ("", (), None, False)}
        return ", ".join(f"{name}={value}" for name, value in shown.items() if name != "seed")


SIGNALS = ("INT", "INT", "TERM", "TERM", "HUP", "QUIT", "USR1", "ALRM")
OUTPUTS = ("read", "read", "late", "late", "never", "closed", "full", "file", "pty", "none")
LOGS = ("read", "read", "read", "late", "never", "closed", "file")

TOO_LONG = 7  # seconds of a launch: a process that was told to end does not wait for so long
COMMANDS = (
    "exit 0",
    "exit 3",
    "sleep 0.5",
    "sleep 2; exit 3",
    "exec sleep 20",
    "trap '' INT TERM HUP QUIT USR1 ALRM; exec sleep 20",
)


def draw(seed: str) -> Plan:
    """Return the plan of this seed."""
    dice = Random(seed)
    kind = dice.choices(("start", "run", "action", "build"), (5, 2, 3, 1))[0]
    stream = _stream(dice)
    plan = Plan(
        seed,
        kind,
        stream,
        out=dice.choice(LOGS if kind == "action" else OUTPUTS),
        err=dice.choice(LOGS),
        late=dice.uniform(0.3, 4),
        signals=_signals(dice),
        json=dice.random() < 0.5,
        timeout=dice.uniform(0.5, 4) if dice.random() < 0.1 else None,
        command=dice.choice(COMMANDS),
    )
    if kind == "action":
        full_file = dice.choice(("STATE", "OUTPUT", "ENV", "STEP_SUMMARY")) if dice.random() < 0.1 else ""
        plan = plan._replace(full_file=full_file, post_out=dice.choice(LOGS), post_signals=_signals(dice))
    return _ending(plan)


def _stream(dice: Random) -> Stream:
    def rarely(value: object, otherwise: object = 0.0, share: float = 0.12) -> object:
        return value if dice.random() < share else otherwise

    fields = {
        "framing": dice.choices(("plain", "odd", "trickled"), (6, 3, 2))[0],
        "headers": rarely(dice.uniform(0.2, 3)),
        "trickled_headers": rarely(True, False, 0.1),
        "lines": rarely(dice.choice((1000, 30_000)), 3, 0.15),
        "keepalives": rarely(True, False, 0.3),
        "launch": dice.choice((0, dice.uniform(0, 1), dice.uniform(0, 4))),
        "end": dice.choices(("ready", "failed", "refused", "mute"), (30, 1, 1, 1))[0],
        "cuts": rarely((dice.choice(("build", "build", "launch")),), (), 0.15),
        "image": rarely(200_000, 20),
        "redirected": rarely(True, False),
        "trouble": rarely(dice.uniform(0.1, 1.5)),
        "shutdown": rarely(dice.uniform(0.2, 8)),
    }
    if fields["framing"] == "trickled":  # or a trial takes minutes
        fields |= {"lines": 3, "image": 20}
    if fields["end"] == "mute" or dice.random() < 0.04:
        fields["launch"] = dice.uniform(TOO_LONG, 12)
    return Stream(**fields)  # type: ignore[arg-type]


def _signals(dice: Random) -> tuple[Signal, ...]:
    if dice.random() < 0.25:
        return ()
    moment = dice.choice(("start", "output", "output", "launch"))
    after = {"start": dice.uniform(0, 3), "output": dice.uniform(0, 0.06), "launch": dice.uniform(0, 0.8)}[moment]
    if dice.random() < 0.25:  # as a GitHub runner cancels
        return (Signal("INT", moment, after), Signal("TERM", "signal", 7.5))
    return (Signal(dice.choice(SIGNALS), moment, after),)


def _ending(plan: Plan) -> Plan:
    """Return the plan with a signal where nothing else would end it."""
    is_unread = "never" in (plan.out, "" if plan.kind == "action" else plan.err) and (
        plan.stream.lines > 500 or plan.stream.image > 1000
    )
    endless = plan.stream.end == "mute" or is_unread or (plan.kind == "run" and "sleep 20" in plan.command)
    if not plan.signals and plan.timeout is None and endless:
        return plan._replace(signals=(Signal("TERM", "start", 5.0),))
    return plan
