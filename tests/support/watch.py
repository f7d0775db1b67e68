"""A run that looks at its session often, and loses its patience soon."""

from tests.conftest import Clinder

HASTY = """\
import sys
from clinder import cli
from clinder.cli import watcher
from clinder.watch import WatchPolicy

watcher.POLICY = WatchPolicy(interval=0.3, doubt=0.1, timeout=5, patience={patience}, silence={silence})
cli.main(sys.argv[1:])
"""


def hasten(clinder: Clinder, *, patience: float = 3, silence: float = 600) -> None:
    """Have each command from now on look at its session three times a second."""
    clinder.program = ["-c", HASTY.format(patience=patience, silence=silence)]
