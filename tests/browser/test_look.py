"""What is looked for in a browser is found: each kind of fault, on a page or in a picture that has it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .look import Site, look_at_page, look_at_picture

GOOD = "# A page\n\n[itself](#a-page) [another](other.md#there) [a folder](folder) ![a picture](good.svg)\n"
FAULTY_PAGES = {
    "[x](none.md)": "none.md: there is no such file",
    "[x](other.md#here)": "other.md#here: there is no such heading",
    "[x](#here)": "page.md#here: there is no such heading",
    "[x](good.svg#here)": "there is no such heading",
    "<https://github.com/org/clinder/blob/main/none.py>": "none.py: there is no such file",
    "<https://github.com/org/clinder#here>": "#here: there is no such heading",
    "![](good.svg)": "good.svg: no alt text",
    "![x](none.svg)": "none.svg: it does not load",
    "![x](broken.svg)": "broken.svg: it does not load",
    "![x](small.svg)": "small.svg: 360 pixels: a text is 3.3 pixels high",
    '<div style="width: 400px">wide</div>': "360 pixels: too wide: <div> wide",
    '<div style="width: 1400px">wide</div>': "1280 pixels: too wide: <div> wide",
    '<span style="color: #bbbbbb">faint</span>': "light: color-contrast",
    '<span style="color: #333333">faint</span>': "dark: color-contrast",
    "#### Deep": "heading-order",
    "##": "empty-heading",
    "[](other.md)": "link-name",
}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="100" viewBox="0 0 {width} 100">{inside}</svg>'
PAPER = '<rect width="400" height="100" fill="#ffffff" />'
FAULTY_PICTURES = {
    PAPER + '<text x="20" y="50" fill="#bbbbbb">faint</text>': "light: 'faint' has a contrast of 1.9",
    '<text x="20" y="50" fill="#000000">black</text>': "dark: 'black' has a contrast of 1.1",
    "<style>text { fill: #000000 } @media (prefers-color-scheme: dark) { text { fill: #eeeeee } }</style>"
    + PAPER
    + '<text x="20" y="50">both</text>': "dark: 'both' has a contrast of 1.2",
    PAPER + '<text x="380" y="50">outside</text>': "'outside' is outside",
    PAPER + '<text x="20" y="50">one</text><text x="25" y="50">two</text>': "'two' is over 'one'",
}


@pytest.fixture(scope="module")
def site(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    (site.root / "folder").mkdir()
    (site.root / "README.md").write_text("# Read me\n")
    (site.root / "other.md").write_text("# Another\n\n## There\n")
    good = PAPER + '<text x="20" y="50" font-size="14">good</text>'
    (site.root / "good.svg").write_text(SVG.format(width=400, inside=good))
    (site.root / "small.svg").write_text(SVG.format(width=2000, inside=good.replace("14", "20")))
    (site.root / "broken.svg").write_text("<svg")
    page.unroute_all()
    page.route("**/*", site.answer)
    return site


@pytest.fixture(scope="module")
def faults(page: Page, site: Site) -> list[str]:
    """What is wrong with a page that has all the faults, which takes less time than a page for each."""
    (site.root / "page.md").write_text("\n\n".join([GOOD, *FAULTY_PAGES]))
    return look_at_page(page, site, "page.md")


def test_nothing_is_wrong_with_a_good_page_and_its_picture(page: Page, site: Site) -> None:
    (site.root / "good.md").write_text(GOOD + "\n[elsewhere](https://example.org/none)\n\n    " + "wide " * 400)
    assert look_at_page(page, site, "good.md") == []
    assert look_at_picture(page, "good.svg") == []


@pytest.mark.parametrize("text", FAULTY_PAGES)
def test_a_fault_of_a_page_is_found(faults: list[str], text: str) -> None:
    assert any(FAULTY_PAGES[text] in each for each in faults), faults


def test_a_text_that_leaves_its_element_is_found(page: Page, site: Site) -> None:
    (site.root / "far.md").write_text('# A page\n\n<p style="text-indent: 500px; white-space: nowrap">far away</p>\n')
    (fault,) = look_at_page(page, site, "far.md")
    assert fault.startswith("360 pixels: too wide: the text of an element")


def test_a_page_without_a_title_is_found(page: Page, site: Site) -> None:
    (site.root / "untitled.md").write_text("## Not a title\n")
    assert any("page-has-heading-one" in each for each in look_at_page(page, site, "untitled.md"))
    assert site.title(site.root / "untitled.md") == ""


@pytest.mark.parametrize(("inside", "fault"), FAULTY_PICTURES.items())
def test_a_fault_of_a_picture_is_found(page: Page, site: Site, inside: str, fault: str) -> None:
    (site.root / "picture.svg").write_text(SVG.format(width=400, inside=inside))
    assert fault in look_at_picture(page, "picture.svg")
