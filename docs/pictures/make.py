"""Makes the pictures of the documentation: `python docs/pictures/make.py`.

terminal.svg and summary.svg show real runs: the quickstart on a terminal, and the summary that the Action wrote for a
job. life.svg is drawn from the words below. MyST is needed: `npm ci --prefix tests/hub`.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyte
from drawing import Link, Message, Run, page, sequence
from drawing import terminal as draw_terminal
from markdown_it import MarkdownIt
from markdown_it.token import Token

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = (Path(sys.executable).parent, ROOT / "tests" / "hub" / "node_modules" / ".bin")
COLUMNS, ROWS = 63, 60
QUICKSTART = ("clinder run local -- \\\n    myst build --site --execute --strict", "python show.py")


def plain_environment(home: Path) -> dict[str, str]:
    """An environment in which a picture is the same everywhere."""
    path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}


def terminal(home: Path) -> str:
    """Type the quickstart's commands on a terminal; return the picture of the terminal after that."""
    project = home / "quickstart"
    shutil.copytree(ROOT / "examples" / "quickstart", project, ignore=shutil.ignore_patterns("_build"))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    for command in QUICKSTART:
        shown = type_on_terminal(command, project, plain_environment(home))
        stream.feed(f"$ {command}\n".replace("\n", "\r\n").encode() + shown.replace(bytes(home), b"/home/me"))
    lines = max(line for line in range(ROWS) if screen.display[line].strip()) + 1
    assert lines < ROWS, "there is more than the picture can show"
    return draw_terminal("quickstart", COLUMNS, lines, [run for line in range(lines) for run in runs_of(screen, line)])


def type_on_terminal(command: str, directory: Path, env: dict[str, str]) -> bytes:
    """Run a command on a terminal of its own to its end; return what it wrote there."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execve("/bin/sh", ["sh", "-c", f"stty rows {ROWS} columns {COLUMNS}; {command}"], env)  # noqa: S606
    shown = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # Linux reports so that the other end is closed
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown


def runs_of(screen: pyte.Screen, line: int) -> Iterator[Run]:
    """Yield a line of a terminal, cut where its weight changes and around each character that takes two columns."""
    cells = screen.buffer[line]
    filled = [n for n in range(COLUMNS) if cells[n].data.strip()]
    wide = {n for n in filled if n + 1 < COLUMNS and cells[n + 1].data == ""}
    kinds = groupby(
        range(filled[-1] + 1 if filled else 0), lambda n: (cells[n].bold, n if n in wide or n - 1 in wide else -1)
    )
    for (is_bold, _), group in kinds:
        columns = list(group)
        text = "".join(cells[n].data for n in columns)
        if text.strip():
            yield Run(line, columns[0], text, 2 if columns[0] in wide else len(columns), is_bold)


def summary(home: Path) -> str:
    """Run the Action's first step as a process, and its last; return the picture of the summary between them."""
    from clinder.local import EmbeddedHub

    with EmbeddedHub(str(home)) as hub:
        files = {name: home / name.lower() for name in ("OUTPUT", "ENV", "STATE", "STEP_SUMMARY")}
        env = plain_environment(home) | {f"GITHUB_{name}": str(path) for name, path in files.items()}
        env |= {
            "INPUT_HUB-URL": hub.url,
            "INPUT_REPO": "org/book",
            "INPUT_REF": "3f786850e387550fdab836ed7e6dc881de23001b",
        }
        for path in files.values():
            path.touch()
        subprocess.run([sys.executable, ROOT / "entrypoint.py"], cwd=home, env=env, check=True, capture_output=True)
        state = dict(re.findall(r"^(\w+)<<(?:.*)\n(.*)$", files["STATE"].read_text(), re.MULTILINE))
        env |= {f"STATE_{name}": value for name, value in state.items()}
        done = subprocess.run([sys.executable, ROOT / "post_entrypoint.py"], env=env, check=True, capture_output=True)
        assert b"Stopped" in done.stdout
    # The hub has another port and path each time. In its URL, Markdown's own characters have a backslash.
    address = "".join(r"\\?" + re.escape(character) for character in hub.url)
    return draw_markdown(re.sub(address, "https://hub.example.org/", files["STEP_SUMMARY"].read_text()))


def draw_markdown(text: str) -> str:
    """Draw a summary: a heading, a table, and paragraphs. Anything else is an error, not left out."""
    shown: dict[str, list[str]] = {"heading_open": [], "table_open": [], "paragraph_open": []}
    block = ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.level == 0 and token.nesting >= 0:
            block = token.type
        if token.type == "inline" or block not in shown:
            shown[block].append(words(token))
    (heading,), (_, _, *cells), rest = shown.values()  # the table's head is empty
    rows = list(zip(cells[::2], cells[1::2], strict=True))
    return page("build summary", heading, rows, rest)


def words(token: Token) -> str:
    """Return the words of a line of Markdown; a line that is a link and nothing else stays one."""
    children = token.children or []
    text = "".join(child.content for child in children)
    return Link(text) if children and children[0].type == "link_open" else text


# The participants, and their messages in order.
WHO = ("workflow", "clinder", "BinderHub", "session")
LIFE = (
    Message(0, 1, "clinder run, or the Action's first step"),
    Message(1, 2, "GET build/gh/org/repo/commit"),
    Message(2, 1, "waiting, building, pushing, launching"),
    Message(2, 3, "launches a Jupyter Server"),
    Message(2, 1, "ready: URL and token"),
    Message(1, 0, "JUPYTER_BASE_URL, JUPYTER_TOKEN"),
    Message(0, 3, "cells"),
    Message(3, 0, "outputs"),
    Message(0, 1, "the build ends, fails or is cancelled"),
    Message(1, 3, "POST api/shutdown"),
)


def main() -> None:
    """Write the three pictures beside this file, or into the directory that is given."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, make in (("terminal", terminal), ("summary", summary)):
        with tempfile.TemporaryDirectory() as directory:
            (target / f"{name}.svg").write_text(make(Path(directory).resolve()))
    (target / "life.svg").write_text(sequence("The life of a session", WHO, LIFE))


if __name__ == "__main__":
    main()
