"""The pages of a report, opened as files without kernel and network, are complete and fit every screen."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest
from conftest import NOTEBOOKS, watched
from matplotlib.figure import Figure
from PIL import Image
from reading import faults
from support.hostile_html import HOSTILE, SVG

from randprune_lab.report import report
from randprune_lab.report.page import render_page
from randprune_lab.report.results import NotebookResult
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.style import new_figure
from randprune_lab.viz.widgets import choice, explore

pytestmark = pytest.mark.browser

IMAGES = """images => images.map(image => [
  image.complete && image.naturalWidth, image.getBoundingClientRect().width, image.parentElement.clientWidth
])"""
PAGES = ("index.html", "02_mask_sampling.html")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The report of a lesson that takes seconds."""
    return report("smoke", tmp_path_factory.mktemp("made"), only="02", notebooks=NOTEBOOKS).out


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "light"), (1280, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_complete_without_a_network(browser, made, name, width, scheme):
    with watched(browser, width) as watch:
        watch.page.emulate_media(color_scheme=scheme)
        watch.page.context.set_offline(True)
        watch.page.goto((made / name).as_uri())
        images = watch.page.locator("img:visible").evaluate_all(IMAGES)
        assert images
        assert all(natural > 100 and 250 < shown <= column for natural, shown, column in images)
        assert not faults(watch.page)
        assert watch.page.evaluate("getComputedStyle(document.body).fontSize") == "16px"
        assert not watch.errors
        assert not watch.left


def page_with(tmp_path: Path, *cells: nbformat.NotebookNode) -> str:
    path = tmp_path / "page.html"
    path.write_text(
        render_page(nbformat.v4.new_notebook(cells=list(cells)), NotebookResult("00", "One", "ok")), "utf-8"
    )
    return path.as_uri()


WIDE = "|" + " a long heading |" * 30 + "\n|" + "---|" * 30 + "\n|" + " 1 |" * 30


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wide_table_shows_where_there_is_more_of_it(browser, tmp_path, scheme):
    with watched(browser, 390) as watch:
        watch.page.emulate_media(color_scheme=scheme)
        watch.page.goto(page_with(tmp_path, nbformat.v4.new_markdown_cell(WIDE)))
        assert not faults(watch.page)
        box = watch.page.locator(".scroll")

        def edges() -> list[float]:
            """How bright the outermost pixels are, left and right, where there is no text."""
            with Image.open(io.BytesIO(box.screenshot())) as image:
                return [image.convert("L").getpixel((x, 2)) for x in (1, image.width - 2)]

        left, right = edges()
        assert left > right
        box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        left, right = edges()
        assert left < right
        box.focus()
        before = box.evaluate("box => box.scrollLeft")
        watch.page.keyboard.press("ArrowLeft")
        watch.page.wait_for_function(f"() => document.querySelector('.scroll').scrollLeft < {before}")


@pytest.mark.parametrize(
    "html",
    ["<img src=x style='width: 900px'>", "<div style='overflow: auto'><table><tr><td>" + "x" * 99 + "</table></div>"],
)
def test_what_is_lost_on_a_phone_is_found(browser, html):
    with watched(browser, 390) as watch:
        watch.page.set_content(html)
        assert any("lost" in fault for fault in faults(watch.page))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_explorer_of_a_lesson_moves_without_a_kernel(browser, made, width):
    with watched(browser, width) as watch:
        watch.page.context.set_offline(True)
        watch.page.goto((made / PAGES[1]).as_uri())
        slider, picture = watch.page.get_by_role("slider").first, watch.page.locator(".rp-explorer .rp-picture").first
        slider.focus()
        seen = set()
        for key in ("Home", "ArrowRight", "End"):
            watch.page.keyboard.press(key)
            seen.add(picture.get_attribute("src"))
            assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
        assert len(seen) > 1
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


@pytest.fixture(scope="session")
def explorer() -> Explorer:
    """One with a slider, a toggle and a menu; each position has its own picture."""

    def picture(n: int, side: str, shape: str) -> Figure:
        figure, axis = new_figure(4, 3)
        axis.plot([0, 1], [n, 2 if side == "left" else 3], marker=shape)
        axis.set(title=f"{n} {side} {shape}", xlabel="x", ylabel="y", ylim=(0, 9))
        return figure

    controls = {
        "n": choice("number <n>", {f"{n} %": n for n in range(4)}, 2),
        "side": choice("side", ["left", "right"], "right"),
        "shape": choice("shape", list("osv^D")),
    }
    return explore("Which one & why?", picture, **controls)


@pytest.fixture(scope="session")
def page_with_explorer(explorer, tmp_path_factory) -> Path:
    output = nbformat.v4.new_output("display_data", {"text/html": explorer.page()})
    cell = nbformat.v4.new_code_cell("1", execution_count=1, outputs=[output])
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    path.write_text(render_page(nbformat.v4.new_notebook(cells=[cell]), NotebookResult("00", "One", "ok")), "utf-8")
    return path


def test_each_position_by_keyboard_shows_its_own_picture(browser, explorer, page_with_explorer):
    with watched(browser) as watch:
        watch.page.context.set_offline(True)
        watch.page.goto(page_with_explorer.as_uri())
        slider, menu = watch.page.get_by_role("slider", name="number <n>"), watch.page.get_by_label("shape")
        for shape in range(5):
            menu.focus()
            watch.page.keyboard.press("ArrowDown" if shape else "Home")
            for side, name in enumerate(("left", "right")):
                watch.page.get_by_role("radio", name=name).press("Space")
                slider.focus()
                watch.page.keyboard.press("Home")
                for n in range(4):
                    if n:
                        watch.page.keyboard.press("ArrowRight")
                    shown = watch.page.locator(".rp-picture")
                    frame = explorer.frame((n, side, shape))
                    assert shown.get_attribute("src") == frame.src and shown.get_attribute("alt") == frame.alt
                    assert (
                        slider.get_attribute("aria-valuetext") == watch.page.locator("output").inner_text() == f"{n} %"
                    )
        assert not watch.errors
        assert not watch.left


def test_a_finger_on_a_phone_reaches_every_control(browser, explorer, page_with_explorer):
    with watched(browser, 390, has_touch=True) as watch:
        page = watch.page
        page.goto(page_with_explorer.as_uri())
        page.get_by_role("radio", name="left").tap()
        box = page.get_by_role("slider").bounding_box()
        page.touchscreen.tap(box["x"] + 4, box["y"] + box["height"] / 2)
        assert page.locator(".rp-picture").get_attribute("src") == explorer.frame((0, 0, 0)).src
        assert box["height"] >= 24
        assert all(option.bounding_box()["height"] >= 24 for option in page.locator(".rp-option, select").all())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not watch.errors


def test_what_was_chosen_before_a_page_is_opened_again_is_what_it_shows(browser, explorer, page_with_explorer):
    with watched(browser) as watch:
        watch.page.goto(page_with_explorer.as_uri())
        watch.page.get_by_role("slider").focus()
        watch.page.keyboard.press("Home")
        watch.page.reload()
        chosen = int(watch.page.get_by_role("slider").input_value())
        assert watch.page.locator("output").inner_text() == f"{chosen} %"
        assert watch.page.locator(".rp-picture").get_attribute("src") == explorer.frame((chosen, 1, 0)).src


def test_on_paper_there_are_two_pictures_and_no_controls(browser, explorer, page_with_explorer):
    with watched(browser) as watch:
        watch.page.goto(page_with_explorer.as_uri())
        watch.page.emulate_media(media="print")
        assert [one.is_visible() for one in watch.page.locator("img").all()] == [False, True, True]
        captions = watch.page.locator("figcaption").all_inner_texts()
        assert captions == [f"number <n>: {n} %, side: right, shape: o" for n in (0, 3)]
        printed = watch.page.locator("figure img")
        assert [one.get_attribute("src") for one in printed.all()] == [explorer.frame((n, 1, 0)).src for n in (0, 3)]
        assert not watch.page.get_by_role("slider").is_visible()


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
