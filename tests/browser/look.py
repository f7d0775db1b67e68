"""The documentation in a browser: pages of Markdown as GitHub and PyPI show them, and what is wrong with them.

MyST downloads its themes, and no test depends on the network. tests/docs/test_site.py has MyST build the same pages.
"""

from __future__ import annotations

import html
import json
import mimetypes
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import comrak
from playwright.sync_api import Page, Route

HERE = Path(__file__).resolve().parent
NPM = HERE / "node_modules"
SITE = "http://clinder.test"
REPOSITORY = re.compile(r"https://github\.com/org/clinder(?:/(?:blob|tree)/main/|/?(?=#|$))")
CANVAS = {"light": "#ffffff", "dark": "#0d1117"}  # GitHub's
LEAST_TEXT = {360: 8.0, 1280: 12.0}  # pixels of a picture's text, by the width of the window
LEAST_CONTRAST = 4.5  # WCAG's level AA

_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/.style.css">
<style>
  :root {{ color-scheme: light dark }}
  body {{ margin: 0 }}
  main {{ box-sizing: border-box; max-width: 980px; margin: 0 auto; padding: 45px }}
  @media (max-width: 767px) {{ main {{ padding: 16px }} }}
  tr {{ background: none !important }} /* on GitHub's stripes, GitHub's own colour of a link in code is too faint */
</style>
<body class="markdown-body">
<main>
{body}
</main>
"""
_ELSEWHERE = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20"></svg>'  # a badge of another site


def render(text: str) -> str:
    """Return a page of Markdown as HTML, whose headings can be linked to."""
    extensions, options = comrak.ExtensionOptions(), comrak.RenderOptions()
    for name in ("alerts", "autolink", "footnotes", "strikethrough", "table", "tagfilter", "tasklist"):
        setattr(extensions, name, True)
    extensions.header_id_prefix = ""
    extensions.front_matter_delimiter = "---"
    options.unsafe_ = True  # HTML in a page is shown
    rendered = comrak.render_markdown(text, extension_options=extensions, render_options=options)
    return re.sub(r'<a href="#[^>]* class="anchor"></a>', "", rendered)  # beside a heading, for the mouse


class Picture(NamedTuple):
    """An ``<img>``: ``width`` is how wide it is shown, ``natural`` how wide it is by itself (0: it can't be shown)."""

    source: str
    alt: str
    width: float
    natural: float


class Site:
    """A folder whose pages of Markdown are shown as HTML, and all other files unchanged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ids = cache(self._ids)

    def answer(self, route: Route) -> None:
        """Answer the browser. Nothing is asked for elsewhere."""
        url = urlsplit(route.request.url)
        file = self.file(url.path)
        if f"{url.scheme}://{url.netloc}" != SITE:
            route.fulfill(content_type="image/svg+xml", body=_ELSEWHERE)
        elif url.path == "/.style.css":
            route.fulfill(path=NPM / "github-markdown-css" / "github-markdown.css")
        elif not file.is_file():
            route.fulfill(status=404)
        elif file.suffix == ".md":
            route.fulfill(content_type="text/html", body=self._framed(file))
        else:
            route.fulfill(path=file, content_type=mimetypes.guess_type(file.name)[0] or "text/plain")

    def file(self, path: str) -> Path:
        """Return the file, or the folder, that a path of a URL is about."""
        return self.root / unquote(path).lstrip("/")

    def title(self, file: Path) -> str:
        """Return a page's title: its first heading."""
        heading = re.search(r"<h1[^>]*>(.*?)</h1>", render(file.read_text()), re.DOTALL)
        return html.unescape(re.sub("<[^>]*>", "", heading[1])).strip() if heading else ""

    def fault_of_link(self, url: str) -> str | None:
        """Return what is wrong with a link: its file or its heading is not there. Other sites are not asked."""
        here = REPOSITORY.sub(f"{SITE}/", url, count=1)
        parts = urlsplit(here)
        if f"{parts.scheme}://{parts.netloc}" != SITE:
            return None
        file = self.file(parts.path)
        if file.is_dir() and (file / "README.md").is_file():
            file /= "README.md"
        if not file.exists():
            return f"{url}: there is no such file"
        if parts.fragment and (file.suffix != ".md" or unquote(parts.fragment) not in self.ids(file)):
            return f"{url}: there is no such heading"
        return None

    def _framed(self, file: Path) -> str:
        return _FRAME.format(title=html.escape(self.title(file)), body=render(file.read_text()))

    def _ids(self, file: Path) -> set[str]:
        return set(re.findall(r' id="([^"]*)"', render(file.read_text())))


def look_at_page(page: Page, site: Site, name: str) -> list[str]:
    """Return all that is wrong with a page."""
    faults: list[str] = []
    page.goto(f"{SITE}/{name}")
    for width, least in LEAST_TEXT.items():
        page.set_viewport_size({"width": width, "height": 800})
        pictures = [Picture(**each) for each in page.evaluate("look.pictures()")]
        faults += [f"{width} pixels: too wide: {each}" for each in page.evaluate("look.tooWide()")]
        faults += [fault for each in pictures for fault in _faults_of_picture(site, each, width, least)]
    for scheme in CANVAS:
        page.emulate_media(color_scheme=scheme)
        faults += [f"{scheme}: {each}" for each in page.evaluate("look.violations()")]
    faults += filter(None, map(site.fault_of_link, page.evaluate("look.links()")))
    return list(dict.fromkeys(faults))


def _faults_of_picture(site: Site, picture: Picture, window: int, least: float) -> list[str]:
    if not picture.natural:
        return [f"{picture.source}: it does not load"]
    faults = [] if picture.alt.strip() else [f"{picture.source}: no alt text"]
    parts = urlsplit(picture.source)
    if f"{parts.scheme}://{parts.netloc}" == SITE and parts.path.endswith(".svg"):
        size = smallest_text(site.file(parts.path)) * picture.width / picture.natural
        if size < least:
            faults.append(f"{picture.source}: {window} pixels: a text is {size:.1f} pixels high")
    return faults


def smallest_text(picture: Path) -> float:
    """Return the size of the smallest text in an SVG, in its own pixels."""
    texts = ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return min((float(each.attrib["font-size"]) for each in texts), default=float("inf"))


def look_at_picture(page: Page, name: str) -> list[str]:
    """Return all that is wrong with the texts of an SVG, in the light and in the dark scheme."""
    page.set_viewport_size({"width": 1280, "height": 2000})
    page.goto(f"{SITE}/{name}")
    faults: list[str] = []
    for scheme, canvas in CANVAS.items():
        page.emulate_media(color_scheme=scheme)
        texts: list[dict[str, Any]] = page.evaluate(f"look.texts({json.dumps(canvas)})")
        faults += [
            f"{scheme}: {each['text']!r} has a contrast of {each['contrast']:.1f}"
            for each in texts
            if each["contrast"] < LEAST_CONTRAST
        ]
        faults += [f"{each['text']!r} is outside" for each in texts if each["outside"]]
        faults += [f"{each['text']!r} is over {other!r}" for each in texts for other in each["over"]]
    return list(dict.fromkeys(faults))
