"""A page shows formulas, tables and figures without scripts and without the network."""

from __future__ import annotations

import nbformat
import pytest

from randprune_lab.report.page import WIDGET_STATE, WIDGET_VIEW, render_page
from randprune_lab.report.results import NotebookResult, format_duration

RESULT = NotebookResult("00_tour", "The <tour>", "ok", seconds=125)


def page_of(*cells: nbformat.NotebookNode, **metadata: object) -> str:
    return render_page(nbformat.v4.new_notebook(cells=list(cells), metadata=metadata), RESULT)


def markdown(text: str) -> str:
    return page_of(nbformat.v4.new_markdown_cell(text))


def code_with(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell("1", execution_count=1, outputs=list(outputs))


@pytest.mark.parametrize(
    "formula",
    [r"$\pi_i$", r"$$\sum_i \pi_i = k$$", "\\begin{align*}\na &= b \\\\ c &= d\n\\end{align*}"],
)
def test_formulas_become_mathml(formula):
    page = markdown(f"So {formula} holds")
    assert "<math" in page
    assert formula not in page


def test_aligned_equations_become_rows():
    assert markdown(r"$$\begin{aligned} a &= b \\ c &= d \end{aligned}$$").count("<mtr>") == 2


def test_remote_pictures_become_their_text():
    page = markdown("[![Open in Binder](https://example.org/badge.svg)](https://example.org/open)")
    assert '<a href="https://example.org/open">Open in Binder</a>' in page
    assert "<img" not in page


def test_links_to_notebooks_lead_to_their_pages():
    page = markdown("[next](01_pruning.ipynb#why) [elsewhere](https://example.org/a.ipynb)")
    assert 'href="01_pruning.html#why"' in page
    assert 'href="https://example.org/a.ipynb"' in page


@pytest.mark.parametrize(
    "url", ["../docs/glossary.md", "../docs/glossary.md#imp", "exercises/01_pruning.ipynb", "/README.md", "data.csv"]
)
def test_links_to_files_that_are_not_in_the_report_become_their_text(url):
    page = markdown(f"see the [**glossary**]({url})")
    assert "see the <strong>glossary</strong>" in page and url not in page


@pytest.mark.parametrize("url", ["#why", "https://example.org/docs/a.md", "mailto:a@example.org", "index.html"])
def test_other_links_stay(url):
    assert f'href="{url}"' in markdown(f"[here]({url})")


def test_progress_bars_are_removed_and_other_widgets_leave_a_note():
    def view(model: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": model}, "text/plain": model})

    models = {
        "bar": {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_inner"]}},
        "inner": {"model_name": "FloatProgressModel", "state": {}},
        "slider": {"model_name": "IntSliderModel", "state": {}},
    }
    page = page_of(code_with(view("bar"), view("slider")), widgets={WIDGET_STATE: {"state": models}})
    assert page.count('class="widget-note"') == 1
    assert "<pre>bar" not in page
    assert "FloatProgressModel" not in page


def test_a_text_progress_bar_is_reduced_to_its_last_state():
    bar = nbformat.v4.new_output("stream", name="stderr", text="\r 10%\r 50%")
    rest = nbformat.v4.new_output("stream", name="stderr", text="\r100%\n")
    page = page_of(code_with(bar, rest))
    assert "100%" in page
    assert " 50%" not in page


def test_figures_have_an_alternative_text():
    figure = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    assert 'alt="Figure of cell 1"' in page_of(code_with(figure))


def test_title_is_escaped_and_the_index_one_click_away():
    page = markdown("# Hello")
    assert "<title>The &lt;tour&gt;</title>" in page
    assert 'href="index.html"' in page


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (11520, "3 h 12 min")]
)
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text
