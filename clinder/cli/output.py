"""The standard streams of the command line, and the writing of a result."""

import os
import sys
from io import TextIOWrapper

from clinder._signals import TIME_TO_DELIVER, Signals
from clinder.errors import ClinderError
from clinder.output import Kept, Writer


def open_streams() -> None:
    """Open /dev/null for each closed standard stream. Otherwise the next connection would become that stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # open() takes the lowest free number
    # A closed standard output stays None: a lost result is an error, but a lost log is not.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write_result(text: str, signals: Signals) -> None:
    """Write a result to standard output, and wait until all of it is written, also to a slow reader.

    Raises `ClinderError` if it can't be written, and `Signalled` if a signal came and the reader does not take the
    rest.
    """
    if sys.stdout is None:
        raise ClinderError("Standard output is closed.")
    writer = Writer(sys.stdout)
    writer.write(Kept(text + "\n"))
    if not writer.finish(lambda: signals.time_to_end(TIME_TO_DELIVER), patience=float("inf")):
        signals.check()
        why = writer.error.strerror if writer.error else "nobody reads it"
        raise ClinderError(f"Standard output could not be written: {why}.")
