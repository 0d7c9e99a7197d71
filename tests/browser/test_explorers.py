"""Every explorer of the course, in pages that are opened as files without a network: by keyboard and by touch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from conftest import watched
from playwright.sync_api import Locator, Page
from support.lessons import COURSE, explorers_of

from randprune_lab.report.page import render_page
from randprune_lab.report.results import NotebookResult
from randprune_lab.viz.controls import Choice
from randprune_lab.viz.explorer import Explorer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=COURSE, ids=lambda path: path.stem)
def lesson(request, tmp_path_factory) -> tuple[list[Explorer], Path]:
    """The explorers of a lesson, and a report's page with them."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    explorers = explorers_of(request.param, folder)
    outputs = [nbformat.v4.new_output("display_data", {"text/html": one.page()}) for one in explorers]
    cells = [nbformat.v4.new_code_cell("1", execution_count=1, outputs=[output]) for output in outputs]
    page = render_page(nbformat.v4.new_notebook(cells=cells), NotebookResult("00", "One", "ok"))
    (folder / "page.html").write_text(page, "utf-8")
    return explorers, folder / "page.html"


def press(page: Page, kind: str, inputs: list[Locator], place: int, _: int) -> None:
    """Choose by keyboard."""
    if kind == "toggle":
        inputs[place].press("Space")
        return
    inputs[0].focus()
    page.keyboard.press("Home")
    for _ in range(place):
        page.keyboard.press("ArrowRight" if kind == "slider" else "ArrowDown")


def tap(page: Page, kind: str, inputs: list[Locator], place: int, last: int) -> None:
    """Choose by touch; the list of a menu is drawn by the system, outside the page."""
    if kind == "toggle":
        inputs[place].tap()
    elif kind == "menu":
        inputs[0].select_option(index=place)
    else:
        inputs[0].scroll_into_view_if_needed()
        box = inputs[0].bounding_box()
        handle = 24  # pixels; its centre moves between the ends
        x = box["x"] + handle / 2 + (box["width"] - handle) * place / last
        page.touchscreen.tap(x, box["y"] + box["height"] / 2)


def differences(
    page: Page, number: int, explorer: Explorer, choose: Callable[..., None], most: int | None
) -> list[str]:
    """The positions where the page shows something else than the explorer draws."""
    root = page.locator(".rp-explorer").nth(number)
    inputs = [control.locator("input, select").all() for control in root.locator(".rp-control").all()]
    controls = list(explorer.controls.values())
    at: list[int | None] = [None] * len(controls)
    wrong = []
    for position in itertools.product(*(control.places(most or len(control.options)) for control in controls)):
        for which, (control, place) in enumerate(zip(controls, position, strict=True)):
            if at[which] != place:
                choose(page, control.kind, inputs[which], place, len(control.options) - 1)
                at[which] = place
        frame = explorer.frame(position)
        picture = root.locator(".rp-picture")
        shown = (picture.get_attribute("src"), picture.get_attribute("alt"), said(root))
        if shown != (frame.src, frame.alt, values(controls, position)):
            wrong.append(f"{explorer.question} {values(controls, position)}, {shown[1:]}")
    return wrong


def said(root: Locator) -> list[str]:
    """What a screen reader says of the sliders; the text beside them is the same."""
    spoken = [one.get_attribute("aria-valuetext") for one in root.get_by_role("slider").all()]
    assert spoken == root.locator("output").all_inner_texts()
    return spoken


def values(controls: list[Choice], position: tuple[int, ...]) -> list[str]:
    return [one.names[at] for one, at in zip(controls, position, strict=True) if one.kind == "slider"]


@pytest.mark.parametrize(("width", "choose", "most"), [(1280, press, None), (390, tap, 3)], ids=["keyboard", "touch"])
def test_each_position_shows_the_picture_of_its_values(browser, lesson, width, choose, most):
    explorers, path = lesson
    assert explorers
    with watched(browser, width, has_touch=choose is tap) as watch:
        watch.page.context.set_offline(True)
        watch.page.goto(path.as_uri())
        for number, explorer in enumerate(explorers):
            assert not differences(watch.page, number, explorer, choose, most)
        sizes = watch.page.locator(".rp-control input, .rp-control select").evaluate_all(
            "all => all.map(one => Math.min(one.offsetWidth, one.offsetHeight))"
        )
        assert min(sizes) >= 24  # pixels
        assert watch.page.evaluate("document.documentElement.scrollWidth") <= width
        assert not watch.errors
        assert not watch.left
