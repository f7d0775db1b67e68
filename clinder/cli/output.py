"""The standard streams of the command line, and how a result is written."""

import os
import sys
from io import TextIOWrapper

from clinder._signals import TIME_TO_DELIVER, Signals
from clinder.errors import ClinderError
from clinder.output import Kept, Writer


def open_streams() -> None:
    """Open nothing in place of standard streams that are closed, or the next connection would be one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    # Standard output stays None: a result that nobody can get is an error, and a log is not.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write_result(text: str, signals: Signals) -> None:
    """Write a result to standard output, all of it, however late it is read.

    Raises `ClinderError` when that can't be done, and `Signalled` when a signal came and nobody takes the rest.
    """
    if sys.stdout is None:
        raise ClinderError("Standard output is closed.")
    writer = Writer(sys.stdout)
    writer.write(Kept(text + "\n"))
    if not writer.finish(lambda: signals.time_to_end(TIME_TO_DELIVER), patience=float("inf")):
        signals.check()
        why = writer.error.strerror if writer.error else "nobody reads it"
        raise ClinderError(f"Standard output could not be written: {why}.")
