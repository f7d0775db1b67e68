"""Each page and each picture of the documentation in a browser: on a telephone and on a screen, light and dark."""

from __future__ import annotations

from collections import Counter

import pytest
from playwright.sync_api import Page

from tests.support.runner import ROOT

from .look import SITE, Site, look_at_page, look_at_picture

PAGES = sorted(
    file.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*/README.md")
    for file in ROOT.glob(pattern)
    if "_build" not in file.parts
)
PICTURES = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/pictures/*.svg"))


@pytest.fixture(scope="module")
def site(page: Page) -> Site:
    site = Site(ROOT)
    page.unroute_all()
    page.route("**/*", site.answer)
    return site


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_right(page: Page, site: Site, name: str) -> None:
    assert look_at_page(page, site, name) == []


def test_every_page_of_the_site_has_a_title_of_its_own(site: Site) -> None:
    titles = Counter(site.title(ROOT / name) for name in PAGES if name.startswith("docs/"))
    assert [title for title, times in titles.items() if times > 1 or not title] == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", PICTURES)
def test_the_text_of_a_picture_can_be_read(page: Page, name: str) -> None:
    assert look_at_picture(page, name) == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_follows_the_scheme_of_its_page(page: Page, name: str) -> None:
    page.goto(f"{SITE}/README.md")
    page.set_content(f'<img src="{SITE}/{name}" alt="" width="400">')
    shown = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        shown.append(page.locator("img").screenshot())
    assert shown[0] != shown[1]
