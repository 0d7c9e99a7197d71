"""The pages of a report, opened as files without kernel and network, are complete and fit every screen."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from conftest import NOTEBOOKS, watched
from support.hostile_html import HOSTILE, SVG

from randprune_lab.report import report
from randprune_lab.report.page import render_page
from randprune_lab.report.results import NotebookResult

pytestmark = pytest.mark.browser

IMAGES = """images => images.map(image => [
  image.complete && image.naturalWidth, image.getBoundingClientRect().width, image.parentElement.clientWidth
])"""
PAGES = ("index.html", "02_mask_sampling.html")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The report of a lesson that takes seconds."""
    return report("smoke", tmp_path_factory.mktemp("made"), only="02", notebooks=NOTEBOOKS).out


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_complete_without_a_network(browser, made, name, width):
    with watched(browser, width) as watch:
        watch.page.context.set_offline(True)
        watch.page.goto((made / name).as_uri())
        images = watch.page.locator("img").evaluate_all(IMAGES)
        assert images
        assert all(natural > 100 and shown > 250 for natural, shown, _ in images)
        if width > 1000:  # on a phone a figure may be wider than its column, which then scrolls
            assert all(shown <= column for _, shown, column in images)
        # The page scrolls down, and never sideways.
        assert watch.page.evaluate("document.documentElement.scrollWidth") <= width
        assert watch.page.evaluate("getComputedStyle(document.body).fontSize") == "16px"
        assert not watch.errors
        assert not watch.left


def test_the_index_leads_to_a_notebook_and_back(browser, made):
    with watched(browser) as watch:
        watch.page.goto((made / "index.html").as_uri())
        watch.page.keyboard.press("Tab")
        watch.page.keyboard.press("Enter")
        watch.page.wait_for_url("**/02_mask_sampling.html")
        watch.page.get_by_role("link", name="All notebooks").click()
        watch.page.wait_for_url("**/index.html")
        assert not watch.errors


@pytest.mark.parametrize("html", [SVG, *HOSTILE])
def test_a_browser_runs_and_loads_nothing_that_a_page_does_not_promise(browser, tmp_path, html):
    """Even where hostile HTML gets past the filter."""
    page = render_page(nbformat.v4.new_notebook(), NotebookResult("00_hostile", "Hostile", "ok"))
    page = page.replace("</main>", f"{html if 'refresh' not in html else ''}</main>")
    (tmp_path / "page.html").write_text(page, "utf-8")
    asked: list[str] = []  # requests that the policy lets pass
    with watched(browser) as watch:
        watch.page.route("https://**", lambda route: (asked.append(route.request.url), route.abort()))
        watch.page.goto((tmp_path / "page.html").as_uri())
        for link in watch.page.locator("main a, main button").all()[2:]:  # after those of the page itself
            link.dispatch_event("click")  # unlike a click, it does not wait for the blocked navigation
        watch.page.wait_for_timeout(100)
        assert watch.page.evaluate("window.hit") is None
        assert watch.page.url.startswith("file:")
        assert not asked
