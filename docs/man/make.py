"""Makes the man page from the help of the command line and from more.man: `python docs/man/make.py`."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def man_page() -> str:
    """Return the man page of clinder(1), in roff."""
    source = ["--module", "clinder.cli.arguments", "--function", "make_parser", "--format", "single-commands-section"]
    names = ["--project-name", "clinder", "--manual-title", "clinder", "--description", "run code on a BinderHub"]
    command = ["argparse-manpage", *source, *names, "--include", str(HERE / "more.man")]
    # argparse breaks the usage lines at this width.
    env = {"COLUMNS": "80", "PATH": str(Path(sys.executable).parent)}
    page = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    # With a date, the page would differ from day to day.
    page = re.sub(r'^(\.TH CLINDER "1") "[^"]*"', r'\1 ""', page, flags=re.MULTILINE)
    # The end of the help has the exit codes and examples, and more.man has them in more detail.
    page = re.sub(r"^\.SH COMMENTS\n.*?(?=^\.SH )", "", page, flags=re.MULTILINE | re.DOTALL)
    # The lines of a usage are kept, and not filled into a paragraph.
    return re.sub(r"^usage: .*?(?=\n\n)", r".nf\n\g<0>\n.fi", page, flags=re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    (HERE / "clinder.1").write_text(man_page())
