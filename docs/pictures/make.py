"""Makes the pictures of the documentation from real runs: `python docs/pictures/make.py`.

terminal.svg is a start on the embedded hub, at the moment when the server is launched. summary.svg is what the Action
wrote of one. life.svg is drawn from the words below.
"""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pyte
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COLUMNS, ROWS = 100, 24


def plain_environment(home: str) -> dict[str, str]:
    """An environment in which a picture is the same everywhere."""
    return {"PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


def terminal(directory: Path) -> str:
    """Start a session on a terminal; return the picture of the last moment before it is there."""
    words = ["run", "local", "--", "true"]
    command = [sys.executable, "-m", "clinder", *words]
    child, screen = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execve(command[0], command, plain_environment(str(directory)))  # noqa: S606
    emulator = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(emulator)
    moment: list[str] = []
    while select.select([screen], [], [], 60)[0]:
        try:
            data = os.read(screen, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        for piece in data.splitlines(keepends=True):
            stream.feed(piece)
            if any(line.startswith("launching ") for line in emulator.display):
                moment = [line.rstrip() for line in emulator.display]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert moment, "no live line was seen"
    shown = "\n".join(["$ clinder " + " ".join(words), *moment]).rstrip()
    return picture(Text(re.sub(rf"{re.escape(str(directory))}|{re.escape(sys.prefix)}", "~", shown)), "clinder")


def summary(directory: Path) -> str:
    """Run the Action's first step as a process, and its last; return the picture of the summary between them."""
    from clinder.local import EmbeddedHub

    with EmbeddedHub(str(directory)) as hub:
        files = {name: directory / name.lower() for name in ("OUTPUT", "ENV", "STATE", "STEP_SUMMARY")}
        env = plain_environment(str(directory)) | {f"GITHUB_{name}": str(path) for name, path in files.items()}
        env |= {
            "INPUT_HUB-URL": hub.url,
            "INPUT_REPO": "org/book",
            "INPUT_REF": "3f786850e387550fdab836ed7e6dc881de23001b",
        }
        for path in files.values():
            path.touch()
        subprocess.run(
            [sys.executable, ROOT / "entrypoint.py"], cwd=directory, env=env, check=True, capture_output=True
        )
        state = dict(re.findall(r"^(\w+)<<(?:.*)\n(.*)$", files["STATE"].read_text(), re.MULTILINE))
        env |= {f"STATE_{name}": value for name, value in state.items()}
        done = subprocess.run([sys.executable, ROOT / "post_entrypoint.py"], env=env, check=True, capture_output=True)
        assert b"Stopped" in done.stdout
    # The hub has another port and path each time. What is Markdown's own in its URL has a backslash before it.
    address = "".join(r"\\?" + re.escape(character) for character in hub.url)
    text = re.sub(address, "https://hub.example.org/", files["STEP_SUMMARY"].read_text())
    return picture(Markdown(text), "Summary of the job")


def picture(content: Text | Markdown, title: str) -> str:
    """Render something as a window, with an id that does not change from run to run."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(content)
    return console.export_svg(title=title, unique_id="clinder")


# Who, and what passes between them: from, to, what.
WHO = ("your workflow", "clinder", "BinderHub", "session")
LIFE = (
    (0, 1, "start, or the Action's first step"),
    (1, 2, "GET build/gh/org/repo/commit"),
    (2, 1, "event stream: waiting, building, pushing, launching"),
    (2, 3, "launches a Jupyter Server"),
    (2, 1, "ready: url and token"),
    (1, 0, "JUPYTER_BASE_URL, JUPYTER_TOKEN"),
    (0, 3, "cells"),
    (3, 0, "outputs"),
    (0, 1, "stop, or the Action's last step, however the job ended"),
    (1, 3, "POST api/shutdown"),
)


def life() -> str:
    """Draw who says what to whom, from top to bottom."""
    step, left, top, row = 240, 110, 60, 44
    width, height = left * 2 + step * (len(WHO) - 1), top + row * (len(LIFE) + 1)
    x = [left + step * n for n in range(len(WHO))]
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}"})
    svg.attrib |= {"font-family": "sans-serif", "font-size": "13"}

    def add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: object) -> ElementTree.Element:
        names = {name.replace("_", "-"): str(value) for name, value in attributes.items()}
        child = ElementTree.SubElement(parent, tag, names)
        child.text = text or None
        return child

    add(svg, "title", "The life of a session")
    tip = add(add(svg, "defs"), "marker", id="tip", markerWidth=9, markerHeight=8, refX=8, refY=4, orient="auto")
    add(tip, "path", d="M0,0 L9,4 L0,8 z", fill=_INK)
    add(svg, "rect", width=width, height=height, fill="#ffffff")
    for at, name in zip(x, WHO, strict=True):
        add(svg, "line", x1=at, y1=top - 16, x2=at, y2=height - 12, stroke="#999999", stroke_dasharray="4 4")
        add(svg, "text", name, x=at, y=top - 26, text_anchor="middle", font_weight="bold")
    for n, (start, end, what) in enumerate(LIFE):
        y, gap = top + row * (n + 1) - 12, 4 if end > start else -4
        add(svg, "line", x1=x[start] + gap, y1=y, x2=x[end] - gap, y2=y, stroke=_INK, marker_end="url(#tip)")
        halo = {"stroke": "#ffffff", "stroke_width": 4, "paint_order": "stroke"}
        add(svg, "text", what, x=(x[start] + x[end]) / 2, y=y - 7, text_anchor="middle", **halo)
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


_INK = "#b35900"


def main() -> None:
    """Write the three pictures beside this file, or into the directory that is given."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, make in (("terminal", terminal), ("summary", summary)):
        with tempfile.TemporaryDirectory() as directory:
            (target / f"{name}.svg").write_text(make(Path(directory).resolve()))
    (target / "life.svg").write_text(life())


if __name__ == "__main__":
    main()
