"""In JupyterLab, the tour runs from start to end, and its explorer reacts to the keyboard."""

from __future__ import annotations

import pytest
from conftest import watched
from notebook_page import NotebookPage

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
