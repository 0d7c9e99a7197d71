"""The app, opened as a file, moves by keyboard and by touch, fits every screen, and asks no machine for anything."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from conftest import Watched, watched
from playwright.sync_api import Locator
from support.made_up import pool

from randprune_lab.app.masks import masks_part
from randprune_lab.app.page import TITLE, AppPage
from randprune_lab.app.part import Case, Part
from randprune_lab.app.pools import pools_part
from randprune_lab.app.runs import run_records, runs_part

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def parts(finished, tmp_path_factory) -> tuple[Part, ...]:
    """Two runs, made-up pools, and the rules that have no settings."""
    another = shutil.copytree(finished, tmp_path_factory.mktemp("runs") / "another")
    made = pool(6, looks=3)
    pools = [made, dataclasses.replace(made, candidates_from="random allocation")]
    masks = masks_part()
    runs = runs_part(run_records([finished, another]))
    return runs, pools_part(pools), dataclasses.replace(masks, cases=masks.cases[2:])


@pytest.fixture(scope="session")
def page(parts, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("app") / "app.html"
    path.write_text(AppPage(parts).html(lambda _: None), "utf-8")
    return path


def opened(watch: Watched, page: Path, part: Part) -> Locator:
    """The part of a page that is opened without a network."""
    watch.page.context.set_offline(True)
    watch.page.goto(page.as_uri())
    assert watch.page.title() == TITLE
    return watch.page.locator(f"#{part.key}")


def shows(part: Locator, case: Case, *position: int) -> bool:
    """Whether the explorer that is seen is this one, at this position."""
    frame = case.explorer.frame(position)
    (picture,) = (one for one in part.locator(".rp-picture").all() if one.is_visible())
    loaded = picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }")
    return loaded > 100 and picture.get_attribute("src") == frame.src and picture.get_attribute("alt") == frame.alt


def test_every_position_of_a_run_can_be_reached_by_keyboard(browser, page, parts):
    with watched(browser) as watch:
        runs = parts[0]
        part = opened(watch, page, runs)
        assert shows(part, runs.cases[0], 1)  # the last level
        for case in runs.cases:
            part.get_by_role("radio", name=case.name, exact=True).press("Space")
            for place, level in enumerate(("50 %", "90 %")):
                inside = part.get_by_role("group", name=case.explorer.question)
                inside.get_by_role("radio", name=level).press("Space")
                assert shows(part, case, place)
        assert not watch.errors
        assert not watch.left


def test_a_slider_and_a_choice_of_the_pools_move_by_keyboard(browser, page, parts):
    with watched(browser) as watch:
        part, (case,) = opened(watch, page, parts[1]), parts[1].cases
        part.get_by_role("radio", name="random allocation").press("Space")
        part.get_by_role("slider", name="training steps").press("Home")
        assert shows(part, case, 1, 0, 0)
        watch.page.keyboard.press("ArrowRight")
        assert shows(part, case, 1, 0, 1)
        assert not watch.errors
        assert not watch.left


def test_a_finger_on_a_phone_reaches_every_control(browser, page, parts):
    with watched(browser, 390, has_touch=True) as watch:
        masks = parts[2]
        part = opened(watch, page, masks)
        part.get_by_role("radio", name="magnitude").tap()
        slider = part.get_by_role("slider").locator("visible=true")
        box = slider.bounding_box()
        watch.page.touchscreen.tap(box["x"] + 4, box["y"] + box["height"] / 2)
        assert shows(part, masks.cases[1], 0)
        controls = part.locator(".rp-option, input[type=range]").locator("visible=true").all()
        assert controls and all(one.bounding_box()["height"] >= 24 for one in controls)
        assert not watch.errors


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_it_fits_every_screen_and_its_letters_are_legible(browser, page, parts, width):
    with watched(browser, width) as watch:
        opened(watch, page, parts[0])
        boxes = [one.bounding_box() for one in watch.page.locator(".rp-picture").locator("visible=true").all()]
        assert len(boxes) == len(parts)
        # A figure is 5.2 inches wide and its smallest letters have 9 points: on a screen they need 7 pixels at least.
        assert all(box["x"] + box["width"] <= width and 9 / 72 / 5.2 * box["width"] > 7 for box in boxes)
        assert watch.page.evaluate("document.documentElement.scrollWidth") <= width
        for details in watch.page.locator("summary").locator("visible=true").all():
            details.click()
        assert watch.page.locator("td").locator("visible=true").count() > 20
        assert watch.page.evaluate("document.documentElement.scrollWidth") <= width
        assert not watch.errors
        assert not watch.left


def test_on_paper_each_part_has_the_picture_that_was_chosen_and_its_settings(browser, page, parts):
    with watched(browser) as watch:
        part = opened(watch, page, parts[1])
        part.get_by_role("slider", name="training steps").press("Home")
        watch.page.emulate_media(media="print")
        assert shows(part, parts[1].cases[0], 0, 0, 0)
        assert part.locator("output").locator("visible=true").all_inner_texts()[-1] == "5"
        assert watch.page.locator("img").locator("visible=true").count() == len(parts)


def test_in_the_dark_no_picture_is_a_white_block(browser, page, parts):
    with watched(browser) as watch:
        watch.page.emulate_media(color_scheme="dark")
        opened(watch, page, parts[0])
        assert watch.page.evaluate("getComputedStyle(document.querySelector('.rp-picture')).filter") != "none"
        bright = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
        assert max(watch.page.evaluate(bright)) < 64
