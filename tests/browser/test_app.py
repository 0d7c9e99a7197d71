"""The classroom app shows both explorers, reacts to the keyboard, and sends no requests to other machines."""

from __future__ import annotations

import pytest
from conftest import watched
from notebook_page import BYTES, MINUTES
from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

SLIDER = ".widget-slider .noUi-handle"
PICTURE = "img.widget-image"

SHOWN = f"""() => document.querySelectorAll("table").length === 2
  && [...document.querySelectorAll("{PICTURE}")].filter(one => one.complete && one.clientWidth > 100).length >= 4"""


def opened(page: Page, address: str) -> None:
    page.goto(address, timeout=3 * MINUTES)
    page.wait_for_function(SHOWN, timeout=3 * MINUTES)


def seen(page: Page, explorer: int) -> tuple[str, str]:
    """The first picture of an explorer, and its numbers."""
    picture = page.locator(PICTURE).nth(3 * explorer)
    return picture.evaluate(BYTES), page.locator("table").nth(explorer).inner_text()


def press(page: Page, handle: Locator, key: str, explorer: int) -> tuple[str, str]:
    """Press a key on a control, wait until picture and numbers have changed, and return both."""
    src, (_, numbers) = page.locator(PICTURE).nth(3 * explorer).get_attribute("src"), seen(page, explorer)
    handle.focus()
    page.keyboard.press(key)
    changed = f"""([place, src, numbers]) => document.querySelectorAll("{PICTURE}")[3 * place].src !== src
      && document.querySelectorAll("table")[place].innerText !== numbers"""
    page.wait_for_function(changed, arg=[explorer, src, numbers], timeout=MINUTES)
    return seen(page, explorer)


def test_both_explorers_react_to_the_keyboard(browser, app):
    with watched(browser) as watch:
        page = watch.page
        opened(page, app)

        before = seen(page, 0)
        moved = press(page, page.locator(SLIDER).first, "ArrowRight", 0)
        assert moved[0] != before[0] and moved[1] != before[1]
        assert press(page, page.locator(SLIDER).first, "ArrowLeft", 0) == before  # they depend on the value alone

        before = seen(page, 1)
        assert "candidate" in before[1]
        moved = press(page, page.get_by_label("training steps"), "ArrowDown", 1)
        assert moved[0] != before[0] and moved[1] != before[1]

        assert not watch.errors
        assert not watch.left


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_every_screen(browser, app, width):
    with watched(browser, width) as watch:
        opened(watch.page, app)
        boxes = watch.page.locator(PICTURE).evaluate_all(
            "images => images.map(one => one.getBoundingClientRect().right)"
        )
        assert max(boxes) <= width
        assert watch.page.evaluate("document.documentElement.scrollWidth") <= width
        assert not watch.errors
        assert not watch.left
