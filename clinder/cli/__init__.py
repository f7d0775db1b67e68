"""The command line: it parses, calls and prints. It decides itself only where words, signals and exit codes go.

Standard output carries the result and nothing else; everything that a person watches goes to standard error.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from clinder._signals import Signalled, Signals
from clinder.cli.arguments import make_parser, parse
from clinder.cli.output import open_streams
from clinder.errors import BuildFailed, ClinderError

if TYPE_CHECKING:
    from clinder.cli.progress import Progress


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with these words, or those of the process, and end the process."""
    parser = make_parser()
    open_streams()
    if "_ARGCOMPLETE" in os.environ:  # it is the shell that asks, not a person
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parse(parser, list(sys.argv[1:] if argv is None else argv))
    from clinder.cli.progress import Progress

    signals = Signals()
    signals.handle()
    signals.end_at_once()
    progress = Progress(sys.stderr, signals, quiet=args.quiet)
    code = _call(args, signals, progress)
    signals.defer()
    progress.close()
    signals.settle(code)
    os._exit(code)  # what Python does at its end is of no use here, takes a while, and may wait for a stuck reader


def _call(args: argparse.Namespace, signals: Signals, progress: "Progress") -> int:
    """Call the command, show its error, and return the exit code."""
    from clinder.cli.commands import COMMANDS

    try:
        return COMMANDS[args.name](args, signals, progress)
    except ClinderError as error:
        # The log of a build is right above, unless nobody was to see it.
        is_shown = isinstance(error, BuildFailed) and not args.quiet
        progress.note(f"error: {ClinderError.__str__(error) if is_shown else error}")
        return error.exit_code
    except Signalled as signalled:
        return 128 + signalled.number
