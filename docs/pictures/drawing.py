"""Draws the pictures of the documentation, as SVG that looks right on GitHub, on PyPI and on the site of MyST.

- One file has the light and the dark scheme, and its style asks which one the reader has. Two files in a <picture> do
  not work: PyPI takes the <source> out of it. A picture has its own background, so it can be read on a page of the
  other scheme.
- A picture is narrow, and its text is as large as the text of a page. With 480 pixels it can be read on a telephone.
- A picture loads nothing from elsewhere, because GitHub and PyPI forbid it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

SANS = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
# The colours of a class in the light and in the dark scheme. They are GitHub's.
PAINTS = {
    ".paper": ("fill", "#ffffff", "#0d1117"),
    ".stripe": ("fill", "#f6f8fa", "#151b23"),
    ".ink": ("fill", "#1f2328", "#f0f6fc"),
    ".faint": ("fill", "#59636e", "#9198a1"),
    ".link": ("fill", "#0969da", "#4493f8"),
    ".tip": ("fill", "#9a4b00", "#f0883e"),
    ".arrow": ("stroke", "#9a4b00", "#f0883e"),
    ".edge": ("stroke", "#d1d9e0", "#3d444d"),
    ".halo": ("stroke", "#ffffff", "#0d1117"),
}


class Drawing:
    """A picture that is drawn from top to bottom. All lengths are in pixels at its full width."""

    def __init__(self, title: str, width: int, font: str) -> None:
        self.width, self.height = width, 0.0
        self.root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": font, "role": "img"})
        self.add("title", title)
        self.add("style", _style())
        self._paper = self.add("rect", css="paper edge", x=0.5, y=0.5, width=width - 1, rx=6)

    def add(
        self, tag: str, text: str = "", *, css: str = "", into: Element | None = None, **attributes: object
    ) -> Element:
        """Add an element, at the end or inside another."""
        names = {name.replace("_", "-"): _number(value) for name, value in attributes.items()}
        child = SubElement(self.root if into is None else into, tag, {"class": css} | names if css else names)
        child.text = text or None
        return child

    def text(self, text: str, x: float, y: float, size: float, css: str = "ink", **attributes: object) -> None:
        """Write a line of text."""
        self.add("text", text, css=css, x=x, y=y, font_size=size, **attributes)

    def line(self, path: str, css: str = "edge", **attributes: object) -> None:
        """Draw along a path."""
        self.add("path", css=css, d=path, fill="none", **attributes)

    def done(self, height: float) -> str:
        """Return the picture with this height."""
        self._paper.set("height", _number(height - 1))
        self.root.attrib |= {"width": str(self.width), "height": _number(height)}
        self.root.set("viewBox", f"0 0 {self.width} {_number(height)}")
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"


def _style() -> str:
    light, dark = (
        " ".join(f"{name} {{ {each[0]}: {each[scheme]} }}" for name, each in PAINTS.items()) for scheme in (1, 2)
    )
    return f"{light} @media (prefers-color-scheme: dark) {{ {dark} }}"


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Run(NamedTuple):
    """Some characters of a terminal, from a column of a line on."""

    line: int
    column: int
    text: str
    width: int  # columns
    is_bold: bool


def terminal(title: str, columns: int, lines: int, runs: Iterable[Run]) -> str:
    """Draw a terminal."""
    size, row, edge, bar = 14, 19, 14, 34
    column = size * 0.6  # the width in nearly all monospaced fonts; textLength sets it in the others
    drawing = Drawing(title, round(columns * column) + 2 * edge, MONO)
    drawing.line(f"M0.5 {bar + 0.5} H{drawing.width - 0.5}")
    for n in range(3):
        drawing.add("circle", css="edge", cx=edge + 6 + 20 * n, cy=bar / 2, r=5.5, fill="none")
    drawing.text(title, drawing.width / 2, bar / 2 + 4.5, size, "faint", text_anchor="middle")
    for run in runs:
        bold = {"font_weight": "bold"} if run.is_bold else {}
        x, y = edge + run.column * column, bar + edge + row * run.line + size * 0.6
        length = {"textLength": run.width * column, "lengthAdjust": "spacingAndGlyphs"}
        drawing.text(run.text, x, y, size, "ink", style="white-space: pre", **length, **bold)
    return drawing.done(bar + edge + row * lines + edge / 2)


class Message(NamedTuple):
    """A message in a `sequence`: the numbers of its sender and its receiver, and its text."""

    sender: int
    receiver: int
    text: str


def sequence(title: str, who: Sequence[str], messages: Sequence[Message]) -> str:
    """Draw participants and their messages from top to bottom. A text stands above its arrow, and may be wider."""
    drawing, size, side, top, row = Drawing(title, 480, SANS), 15, 58, 56, 48
    step = (drawing.width - 2 * side) / (len(who) - 1)
    x = [side + step * n for n in range(len(who))]
    height = top + row * len(messages) + 24
    size_of_tip = {"markerUnits": "userSpaceOnUse", "markerWidth": 9, "markerHeight": 8, "refX": 8, "refY": 4}
    tip = drawing.add("marker", id="tip", orient="auto", **size_of_tip)
    drawing.add("path", css="tip", into=tip, d="M0,0 L9,4 L0,8 z")
    for at, name in zip(x, who, strict=True):
        drawing.line(f"M{_number(at)} {top - 16} V{height - 12}", stroke_dasharray="4 4")
        drawing.text(name, at, top - 26, size, text_anchor="middle", font_weight="bold")
    for n, (sender, receiver, text) in enumerate(messages):
        y, gap = top + row * (n + 1) - 6.5, 3 if receiver > sender else -3
        path = f"M{_number(x[sender] + gap)} {y} H{_number(x[receiver] - gap)}"
        drawing.line(path, "arrow", stroke_width=1.5, marker_end="url(#tip)")
        room = text_width(text, size) / 2 + 10  # pixels that the text needs on either side of its middle
        middle = min(max((x[sender] + x[receiver]) / 2, room), drawing.width - room)
        halo = {"stroke_width": 5, "stroke_linejoin": "round", "paint_order": "stroke"}
        drawing.text(text, middle, y - 9, size, "ink halo", text_anchor="middle", **halo)
    return drawing.done(height)


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is in the widest of the usual fonts."""
    narrow = sum(character in " fijlrt.,:;'|()[]/!I" for character in text)
    wide = sum(character in "mwMW@%" for character in text)
    return size * (0.37 * narrow + 0.95 * wide + 0.63 * (len(text) - narrow - wide))


class Link(str):
    """The text of a link."""


def page(title: str, heading: str, rows: Sequence[Sequence[str]], rest: Sequence[str]) -> str:
    """Draw a heading, a table whose head is empty and some lines below it, as GitHub draws them in a job's summary."""
    size, edge, pad, top, head, row, space = 14, 20, 13, 104, 13, 33, 34
    names, values = (2 * pad + max(text_width(row[column], size) for row in rows) for column in (0, 1))
    drawing = Drawing(title, round(2 * edge + names + values), SANS)
    drawing.text(title, edge, 32, size, font_weight="bold")
    drawing.line(f"M0.5 50.5 H{drawing.width - 0.5}")
    drawing.text(heading, edge, 84, 17.5, font_weight="bold")
    drawing.add("rect", css="paper edge", x=edge + 0.5, y=top + 0.5, width=names + values, height=head)
    for n, (name, value) in enumerate(rows):
        y, css = top + head + row * n, f"{'stripe' if n % 2 else 'paper'} edge"
        drawing.add("rect", css=css, x=edge + 0.5, y=y + 0.5, width=names + values, height=row)
        drawing.text(name, edge + pad, y + 22, size)
        drawing.text(value, edge + names + pad, y + 22, size)
    end = top + head + row * len(rows)
    drawing.line(f"M{round(edge + names) + 0.5} {top} V{end}")
    for n, line in enumerate(rest, 1):
        look: dict[str, object] = {"css": "link", "text_decoration": "underline"} if isinstance(line, Link) else {}
        drawing.text(line, edge, end + space * n, size, **look)
    return drawing.done(end + space * len(rest) + 24)
