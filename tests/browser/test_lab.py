"""In JupyterLab, the tour runs from start to end, and explorers react, also in a notebook without a kernel."""

from __future__ import annotations

import itertools
import json
import re
from html import unescape

import nbformat
import pytest
from conftest import watched
from notebook_page import NotebookPage

from randprune_lab.viz.explorer import Explorer

pytestmark = pytest.mark.browser


def test_the_tour_runs_and_its_explorer_reacts_to_the_keyboard(browser, lab):
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, lab.format(name="00_tour.ipynb"))
        notebook.run_all()
        cells = notebook.code_cells()
        assert all(cell["execution_count"] for cell in cells)
        errors = [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
        assert not errors

        value, picture = notebook.value(), notebook.picture()
        moved = notebook.press("ArrowRight")
        assert notebook.value() != value and moved != picture
        assert notebook.press("ArrowLeft") == picture  # it depends on the value alone
        assert notebook.value() == value

        assert not watch.errors
        assert not watch.left


def test_a_picture_follows_the_pointer_and_the_saved_notebook_needs_no_kernel(browser, lab, lab_folder, small_explorer):
    address, path = lab.format(name="explorer.ipynb"), lab_folder / "explorer.ipynb"
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, address)
        notebook.run_all()
        assert notebook.picture() == small_explorer.frame((4, 0)).src
        box = notebook.slider.bounding_box()
        middle = box["y"] + box["height"] / 2
        watch.page.mouse.move(box["x"] + box["width"] / 2, middle)
        watch.page.mouse.down()
        watch.page.mouse.move(box["x"] + box["width"] - 2, middle, steps=5)
        notebook.wait_for_picture(small_explorer.frame((8, 0)).src)  # the button is still down
        watch.page.mouse.up()
        watch.page.get_by_role("radio", name="right").check()
        notebook.wait_for_picture(small_explorer.frame((8, 1)).src)
        missing = -1
        for _ in range(60):  # the kernel draws the others, one after another
            notebook.save()
            (output,) = nbformat.read(path, as_version=4).cells[0].outputs
            frames = frames_of(output.data["text/html"])
            if missing not in frames["index"]:
                break
            watch.page.wait_for_timeout(500)
        assert "application/vnd.jupyter.widget-view+json" not in output.data
        positions = itertools.product(range(9), range(2))
        drawn = [frames["frames"][number]["src"] for number in frames["index"]]
        assert drawn == [small_explorer.frame(position).src for position in positions]
        assert not watch.errors
        assert not watch.left
    moves_without_a_kernel(browser, address, small_explorer)


def test_a_notebook_that_ran_headless_shows_its_picture_and_moves_when_it_is_trusted(browser, lab, small_explorer):
    address = lab.format(name="headless.ipynb")
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, address)
        assert notebook.picture() == small_explorer.frame((4, 0)).src
        assert notebook.slider.is_disabled() and "Trust Notebook" in watch.page.locator(".rp-note").inner_text()
        assert not watch.errors
    moves_without_a_kernel(browser, address, small_explorer)


def moves_without_a_kernel(browser, address: str, explorer: Explorer) -> None:
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, address)
        notebook.trust()
        assert not watch.errors
        notebook.end_kernel()  # JupyterLab notes in the console what it was about to ask it
        assert notebook.picture() == explorer.frame((4, 0)).src
        assert notebook.press("End") == explorer.frame((8, 0)).src
        assert notebook.value() == "8 %"
        assert watch.page.locator(".rp-note").inner_text() == ""
        assert "rror displaying widget" not in watch.page.inner_text("body")


def frames_of(html: str) -> dict:
    (data,) = re.findall(r'data-frames="([^"]*)"', html)
    return json.loads(unescape(data))
