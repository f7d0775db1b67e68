"""``python -m clinder`` and ``clinder``: the command line, guarded while Python still imports it."""

from __future__ import annotations

# Not signal, which imports enum first: this is for the time of imports.
import _signal as signal  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False  # typing's, whose import takes a while
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. A signal that comes before it can handle signals ends the process without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):  # as the first process of a container it would ignore the second
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))
    from clinder.cli import main

    main()


if __name__ == "__main__":
    main()
