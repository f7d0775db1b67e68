"""A browser for all tests: Debian's chromium, or the one that $CHROMIUM names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .look import HERE, NPM


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            # root can have no sandbox; all pages are our own, and the browser loads nothing from elsewhere
            args=["--no-sandbox"],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page(browser: Browser) -> Iterator[Page]:
    """A window, in which what a test needs can be measured. One is enough: the tests come one after the other."""
    context = browser.new_context()
    context.add_init_script(path=NPM / "axe-core" / "axe.min.js")
    context.add_init_script(path=HERE / "look.js")
    yield context.new_page()
    context.close()
