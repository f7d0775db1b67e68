"""Start the command line, ``clinder`` or ``python -m clinder``. Signals are handled already during the imports."""

from __future__ import annotations

# Not the module signal, which imports enum: signals must be handled before any slow import.
import _signal as signal  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False  # that of typing, whose import is slow
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. A signal that comes during the imports ends the process, without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process of a container would ignore SIGTERM
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))
    from clinder.cli import main

    main()


if __name__ == "__main__":
    main()
