"""The man page is the help of the command line, with the exit codes and variables of the reference."""

import re
import runpy

from tests.support.runner import ROOT

PAGE = (ROOT / "docs/man/clinder.1").read_text()
REFERENCE = (ROOT / "docs/reference/cli.md").read_text()


def section(heading: str) -> str:
    return REFERENCE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_man_page_is_the_help_of_today() -> None:
    made = runpy.run_path(str(ROOT / "docs/man/make.py"))["man_page"]()
    assert PAGE.split() == made.split(), "run: python docs/man/make.py"  # Pythons break lines in their own ways


def test_the_man_page_has_the_exit_codes_and_variables_of_the_reference() -> None:
    codes = {
        code for row in re.findall(r"^\| ([\d, ]+) \|", section("Exit codes"), re.MULTILINE) for code in row.split(", ")
    }
    status = PAGE.partition(".SH EXIT STATUS\n")[2].partition(".SH ")[0]
    assert codes == set(re.findall(r"\b\d+\b", status))
    variables = set(re.findall(r"`((?:CLINDER|JUPYTER)_[A-Z_]+|NO_COLOR)`", section("Environment")))
    assert variables == set(re.findall(r"[A-Z]+_[A-Z_]+", PAGE.partition(".SH ENVIRONMENT\n")[2].partition(".SH ")[0]))
