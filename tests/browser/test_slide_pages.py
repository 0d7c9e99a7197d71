"""The slides of a lesson in a browser: keys, fingers, notes, print, and explorers that keep their keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import watched
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from reading import faults

from randprune_lab.report.slides import render_slides, slides_of
from randprune_lab.viz.explorer import Explorer

pytestmark = pytest.mark.browser

NUMBER = 5


@pytest.fixture(scope="session")
def made(small_explorer: Explorer, tmp_path_factory) -> Path:
    """Slides with a figure, an explorer, notes, and more text than fits on a phone."""
    frame = small_explorer.frame(small_explorer.start)
    figure = new_output("display_data", {"text/html": f'<img class="rp-picture" src="{frame.src}" alt="A curve">'})
    explorer = new_output("display_data", {"text/html": small_explorer.page()})
    text = "# A lesson\n\nIt begins.\n\n## 1. One\n\n" + "Many words. " * 50 + "\n\nAn aside.\n\n**Predict:** what?"
    cells = [
        new_markdown_cell(text),
        new_code_cell("draw()", execution_count=1, outputs=[figure]),
        new_markdown_cell("So it is.\n\n**Try it:** move it."),
        new_code_cell("explore()", execution_count=2, outputs=[explorer]),
        new_markdown_cell("## 2. Two\n\nIt ends."),
    ]
    slides = slides_of(new_notebook(cells=cells))
    assert len(slides) == NUMBER
    path = tmp_path_factory.mktemp("slides") / "slides.html"
    path.write_text(render_slides(slides, "A lesson"), "utf-8")
    return path


def at(page) -> int:
    """The number of the slide that is seen; it is the only one."""
    seen = page.locator(".slide:visible")
    assert seen.count() == 1
    number = int(re.match(r"(\d+) / 5$", page.locator(".at").inner_text())[1])
    assert seen.get_attribute("aria-label") == f"{number} of {NUMBER}"
    return number


def test_keys_and_buttons_turn_the_slides(browser, made):
    with watched(browser) as watch:
        page = watch.page
        page.context.set_offline(True)
        page.goto(made.as_uri())
        seen = [at(page)]
        for key in ("ArrowRight", "Space", "PageDown", "ArrowLeft", "PageUp", "End", "ArrowRight", "Home", "ArrowLeft"):
            page.keyboard.press(key)
            seen.append(at(page))
        assert seen == [1, 2, 3, 4, 3, 2, 5, 5, 1, 1]
        page.get_by_role("button", name="Next slide").click()
        assert at(page) == 2 and page.url.endswith("#2")
        page.reload()
        assert at(page) == 2
        page.get_by_role("button", name="Previous slide").click()
        assert at(page) == 1
        assert not watch.errors
        assert not watch.left


def test_notes_are_folded_until_n_is_pressed(browser, made):
    with watched(browser) as watch:
        watch.page.goto(f"{made.as_uri()}#2")
        notes = watch.page.locator(".notes:visible")
        assert notes.count() == 0
        watch.page.keyboard.press("n")
        assert "An aside." in notes.inner_text()
        watch.page.keyboard.press("ArrowRight")
        assert "So it is." in notes.inner_text() and "draw()" in notes.inner_text()
        watch.page.keyboard.press("n")
        assert notes.count() == 0


def test_an_explorer_keeps_the_arrow_keys_while_it_has_the_focus(browser, made):
    with watched(browser) as watch:
        page = watch.page
        page.goto(f"{made.as_uri()}#4")
        slider, picture = page.get_by_role("slider").first, page.locator(".here .rp-picture").first
        slider.focus()
        page.keyboard.press("Home")
        before = picture.get_attribute("src")
        page.keyboard.press("ArrowRight")
        assert at(page) == 4 and picture.get_attribute("src") != before
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
        assert at(page) == 5
        assert not watch.errors


@pytest.mark.parametrize("width", [390, 1280])
def test_every_slide_fits_the_screen(browser, made, width):
    with watched(browser, width) as watch:
        page = watch.page
        for number in range(1, NUMBER + 1):
            page.goto(f"{made.as_uri()}#{number}")
            assert at(page) == number
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for picture in page.locator(".here img:visible").all():
                box = picture.bounding_box()
                assert box["width"] > 200 and box["x"] >= 0 and box["x"] + box["width"] <= width
            assert not faults(page)


SWIPE = """([from, to]) => {
  const touch = (x, y) => new Touch({ identifier: 1, target: document.body, clientX: x, clientY: y });
  const send = (type, at, touches) =>
    document.body.dispatchEvent(new TouchEvent(type, { bubbles: true, touches, changedTouches: [at] }));
  send("touchstart", touch(...from), [touch(...from)]);
  send("touchend", touch(...to), []);
}"""


def test_a_finger_turns_the_slides_sideways_and_not_by_scrolling(browser, made):
    with watched(browser, 390, has_touch=True) as watch:
        watch.page.goto(made.as_uri())
        seen = []
        for path in ([[300, 400], [100, 410]], [[200, 600], [190, 200]], [[100, 400], [300, 400]]):
            watch.page.evaluate(SWIPE, path)
            seen.append(at(watch.page))
        assert seen == [2, 2, 1]
        assert not watch.errors


def test_on_paper_each_slide_is_a_page(browser, made):
    with watched(browser) as watch:
        watch.page.goto(made.as_uri())
        pages = re.findall(rb"/Type\s*/Page\b", watch.page.pdf(prefer_css_page_size=True))
        assert len(pages) == NUMBER


def test_without_a_script_all_slides_stand_below_each_other(browser, made):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(made.as_uri())
        assert page.locator(".slide:visible").count() == NUMBER
    finally:
        context.close()
