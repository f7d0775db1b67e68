"""The command line: parse the arguments, call the command, show its errors, and exit with its exit code.

Only the result goes to standard output. Everything that a person watches goes to standard error.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from clinder._signals import Signalled, Signals
from clinder.cli.arguments import make_parser, parse
from clinder.cli.output import open_streams
from clinder.errors import BuildFailed, ClinderError, HubError, UsageError

if TYPE_CHECKING:
    from clinder.cli.arguments import Parser
    from clinder.cli.progress import Progress


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with these arguments, or those of the process, and end the process."""
    parser = make_parser()
    open_streams()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parse(parser, list(sys.argv[1:] if argv is None else argv))
    signals = Signals()
    signals.handle()
    signals.end_at_once()
    progress = _open_progress(parser, args, signals)
    code = _call(args, signals, progress)
    signals.defer()
    progress.close()
    signals.settle(code)
    os._exit(code)  # without Python's own shutdown, which takes some time and may wait for a reader for ever


def _open_progress(parser: "Parser", args: argparse.Namespace, signals: Signals) -> "Progress":
    """Return the progress that the options ask for."""
    from clinder.cli.lines import LogFile
    from clinder.cli.progress import Progress

    try:
        file = LogFile(args.log_file) if args.log_file and not args.dry_run else None
    except UsageError as error:
        parser.refuse(error.message, error.hint)
    sections = os.environ.get("GITLAB_CI") == "true"
    return Progress(sys.stderr, signals, quiet=args.quiet, verbose=args.verbose, sections=sections, file=file)


def _call(args: argparse.Namespace, signals: Signals, progress: "Progress") -> int:
    """Call the command, show its error, and return the exit code."""
    from clinder.cli.commands import COMMANDS

    try:
        return COMMANDS[args.name](args, signals, progress)
    except ClinderError as error:
        if isinstance(error, HubError):
            progress.unfold()
        is_shown = isinstance(error, BuildFailed) and progress.has_shown_log
        progress.note(f"error: {ClinderError.__str__(error) if is_shown else error}\n{error.more}")
        return error.exit_code
    except Signalled as signalled:
        return 128 + signalled.number
