"""A prediction is kept: in a page without a kernel by the browser, in JupyterLab by the kernel, by keyboard alone."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from conftest import watched
from notebook_page import NotebookPage
from playwright.sync_api import Locator, Page
from reading import faults

from randprune_lab.predictions import FILE, RECORD, read_predictions
from randprune_lab.report.page import render_page
from randprune_lab.report.results import NotebookResult
from randprune_lab.viz.page_parts import HEADLESS
from randprune_lab.viz.widgets import predict, score

pytestmark = pytest.mark.browser

QUESTION = "Which is <larger>?"
MINUTE = 60_000  # milliseconds


@pytest.fixture
def address(tmp_path, monkeypatch) -> str:
    """A report's page with a prediction, its answer and the score, which ran without a reader."""
    monkeypatch.setenv(HEADLESS, "all")
    monkeypatch.chdir(tmp_path)
    guess = predict(QUESTION, ["a & b", "c"], lesson="01", misconceptions={"a & b": "Adds <both>."})
    shown = [guess._repr_mimebundle_(), *({"text/html": one._repr_html_()} for one in (guess.reveal("c"), score("01")))]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    cells = [nbformat.v4.new_code_cell("1", execution_count=1, outputs=[output]) for output in outputs]
    page = render_page(nbformat.v4.new_notebook(cells=cells), NotebookResult("00", "One", "ok"))
    (tmp_path / "page.html").write_text(page, "utf-8")
    return (tmp_path / "page.html").as_uri()


def choose(page: Page, *keys: str) -> None:
    """Press keys, with the focus on what is chosen in the form, or on its first answer."""
    inputs = page.locator(".rp-predict input")
    inputs.first.focus()
    for key in keys:
        page.keyboard.press(key)


def ticked(page: Page) -> list[str]:
    return page.locator(".rp-predict label:has(:checked)").all_inner_texts()


def test_a_page_keeps_the_choice_in_the_browser_and_scores_it(browser, address):
    with watched(browser, 390) as watch:
        page = watch.page
        page.context.set_offline(True)
        page.goto(address)
        assert ticked(page) == [] and "made no prediction" in page.locator(".rp-truth").inner_text()
        choose(page, "Space", "Tab", "Space", "ArrowRight", "ArrowRight", "ArrowRight")
        assert ticked(page) == ["a & b", "80 %"]
        assert page.locator(".rp-note").inner_text() == "Kept in this browser. Read on."
        assert "You predicted: a & b (80 % sure). Not so. Adds <both>." in page.locator(".rp-truth").inner_text()
        said = page.locator(".rp-score").inner_text()
        assert "right in 0 of 1. Mean Brier score 1.28 (0 is best; a guess each time gets 0.50)." in said
        assert "On average 80 % sure and right in 0 %." in said
        assert not faults(page)
        page.reload()
        assert ticked(page) == ["a & b", "80 %"]
        assert "80 % sure" in page.locator(".rp-truth").inner_text()
        choose(page, "ArrowDown")
        assert ticked(page) == ["c", "80 %"] and "Right." in page.locator(".rp-truth").inner_text()
        assert not watch.errors
        assert not watch.left


@pytest.mark.parametrize(
    "storage",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } });",
        "Storage.prototype.setItem = () => { throw new Error('full'); };",
        "localStorage.setItem('randprune-predictions', 'no JSON');",
        "localStorage.setItem('randprune-predictions', '{\"[\\\\\"01\\\\\"]\": 3}');",
    ],
    ids=["refused", "full", "damaged", "strange"],
)
def test_a_page_works_where_the_browser_keeps_nothing(browser, address, storage):
    with watched(browser) as watch:
        watch.page.add_init_script(storage)
        watch.page.goto(address)
        choose(watch.page, "Space", "Tab", "Space")
        assert ticked(watch.page) == ["a & b", "50 %, a guess"]
        assert "Read on." in watch.page.locator(".rp-note").inner_text()
        assert "Not so." in watch.page.locator(".rp-truth").inner_text()
        assert not watch.errors


CELLS = (
    f"from randprune_lab.viz import widgets\nguess = widgets.predict({QUESTION!r}, ['a & b', 'c'], lesson='01')\nguess",
    "print(guess.answer, guess.sure)",
    "guess.reveal('c')",
    "widgets.score('01')",
)


def test_in_jupyterlab_the_next_cell_reads_the_choice_and_it_is_saved(browser, lab, lab_folder):
    path = lab_folder / "predict.ipynb"
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, lab.format(name=path.name))
        notebook.run_cell(0)
        form(watch.page, ".rp-predict")
        choose(watch.page, "Space", "Tab", "Space", "ArrowRight")
        watch.page.wait_for_function("() => document.querySelector('.rp-note').textContent.startsWith('Kept')")
        for number in (1, 2, 3):
            notebook.run_cell(number)
        assert notebook.code_cells()[1]["outputs"][0]["text"] == "a & b 0.6\n"
        assert "You predicted: a & b (60 % sure). Not so." in form(watch.page, ".rp-truth").inner_text()
        notebook.save()
        record = saved(path, watch.page)
        assert (record["answer"], record["sure"], record["truth"]) == ("a & b", 0.6, "c")
        [kept] = read_predictions(lab_folder / FILE)
        assert not kept.changed
        choose(watch.page, "ArrowDown")  # when the truth is shown
        watch.page.wait_for_function("() => document.querySelector('.rp-note').textContent.startsWith('Changed')")
        assert ticked(watch.page) == ["a & b", "60 %"] and read_predictions(lab_folder / FILE)[0].changed
        assert not watch.errors
        assert not watch.left
    with watched(browser) as watch:
        notebook = NotebookPage(watch.page, lab.format(name=path.name))
        notebook.trust()
        notebook.end_kernel()
        assert ticked(watch.page) == ["a & b", "60 %"]
        assert form(watch.page, ".rp-note").inner_text() == "Kept in the notebook. Read on."
        choose(watch.page, "ArrowDown")  # it is no command of JupyterLab
        watch.page.wait_for_function("() => document.querySelector('.rp-note').textContent.includes('in this browser')")


def form(page: Page, part: str) -> Locator:
    page.locator(part).first.wait_for(timeout=MINUTE)
    return page.locator(part).first


def saved(path: Path, page: Page) -> dict:
    """The record of the prediction in the notebook, when it has been written."""
    for _ in range(60):
        outputs = nbformat.read(path, as_version=4).cells[0].outputs
        if outputs and "text/html" in outputs[0].data:
            assert "application/vnd.jupyter.widget-view+json" not in outputs[0].data
            return outputs[0].data[RECORD]
        page.wait_for_timeout(200)
    raise AssertionError("the notebook was not saved")
