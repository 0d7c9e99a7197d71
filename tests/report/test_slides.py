"""Slides: every heading once, all text on a slide or in its notes, each output once, and one page without requests."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from support.pages import LESSONS, name

from randprune_lab.errors import ConfigError, FileError, RunError, UnknownNameError
from randprune_lab.report.passive import policy_with
from randprune_lab.report.slides import (
    HEADING,
    SCRIPT_OF_SLIDES,
    Slide,
    blocks,
    find_notebook,
    render_slides,
    slides_of,
    write_slides,
)
from randprune_lab.viz.page_parts import SCRIPT

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def picture(source: str = "draw()", *tags: str) -> nbformat.NotebookNode:
    output = new_output("display_data", {"image/png": PNG})
    return new_code_cell(source, execution_count=1, outputs=[output], metadata={"tags": [*tags]})


def slides(*cells: nbformat.NotebookNode) -> list[Slide]:
    return slides_of(new_notebook(cells=list(cells)))


def sources(cells: list[nbformat.NotebookNode]) -> list[str]:
    return [cell.source for cell in cells]


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_part_of_a_lesson_is_on_one_slide_or_in_its_notes(path):
    notebook = nbformat.read(path, as_version=4)
    parts = [block for cell in notebook.cells if cell.cell_type == "markdown" for block in blocks(cell.source)]
    made = slides_of(notebook)
    found = [cell.source for slide in made for cell in (*slide.shown, *slide.notes) if cell.cell_type == "markdown"]
    assert Counter(found) == Counter(parts)
    headings = [heading[2] for part in parts if (heading := HEADING.match(part))]
    assert [slide.where for slide in made if slide.heading] == headings
    assert all(slide.length < 1400 for slide in made)


def test_a_section_begins_with_its_first_paragraph_and_what_is_to_be_predicted_and_each_figure_has_a_slide():
    text = "# Title\n\nFirst.\n\n## 1. One\n\nOpening.\n\nAside.\n\n**Predict before you run:** what?"
    after = "It is so.\n\n**Try it:** move it."
    title, opening, figure, explorer = slides(
        new_markdown_cell(text), picture(), new_markdown_cell(after), picture("explore()")
    )
    assert sources(title.shown) == ["# Title", "First."]
    assert sources(opening.shown) == ["## 1. One", "Opening.", "**Predict before you run:** what?"]
    assert sources(opening.notes) == ["Aside."]
    assert sources(figure.shown) == ["draw()"] and sources(figure.notes) == ["draw()", "It is so."]
    assert sources(explorer.shown) == ["**Try it:** move it.", "explore()"]
    assert [slide.heading for slide in (title, opening, figure, explorer)] == [True, True, False, False]


def test_tags_overrule_the_headings():
    (text,) = slides(new_markdown_cell("## One\n\nOpening.\n\nAside.", metadata={"tags": ["slide"]}))
    assert len(text.shown) == 3 and not text.notes
    heading = new_markdown_cell("## One")
    (kept,) = slides(heading, picture("hidden", "notes"), picture("gone", "skip"))
    assert sources(kept.notes) == ["hidden"] and not kept.notes[0].outputs
    _, coded = slides(heading, picture("coded", "slide"))
    html = render_slides([coded], "T")
    assert coded.coded and "coded" in html and 'class="notes"' not in html


def test_the_form_of_a_prediction_is_on_the_slide_of_its_question_and_the_truth_beside_the_figure():
    question, figure, after = slides(
        new_markdown_cell("## One\n\n**Predict before you run:** what?"),
        picture("guess", "plumbing", "prediction"),
        picture(),
        picture("guess.reveal()", "plumbing", "prediction"),
        new_markdown_cell("**Predict before you run:** and now?"),
    )
    assert sources(question.shown) == ["## One", "**Predict before you run:** what?", "guess"]
    assert sources(figure.shown) == ["draw()", "guess.reveal()"]
    assert sources(after.shown) == ["**Predict before you run:** and now?"]


def test_plumbing_key_figures_messages_and_widgets_are_not_for_an_audience():
    warning = new_code_cell("warn()", outputs=[new_output("stream", name="stderr", text="careful")])
    figures = picture("key_figures()", "plumbing", "key-figures")
    (only,) = slides(
        new_markdown_cell("## One"), warning, figures, new_code_cell("import x", metadata={"tags": ["plumbing"]})
    )
    assert not only.drawn and sources(only.notes) == ["warn()"]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("# A\nb\n\nc", ["# A", "b", "c"]),
        ("a\nb\n\n- c\n- d", ["a\nb", "- c\n- d"]),
        ("```\n# no heading\n\nx\n```\n\ny", ["```\n# no heading\n\nx\n```", "y"]),
        ("$$\nx\n\ny\n$$\nz", ["$$\nx\n\ny\n$$\nz"]),
        ("$$x$$\n\nb", ["$$x$$", "b"]),
        ("", []),
    ],
    ids=["heading", "list", "code", "formula", "short formula", "nothing"],
)
def test_markdown_is_split_where_it_has_empty_lines(source, parts):
    assert [*blocks(source)] == parts


def test_a_page_has_each_heading_once_two_scripts_as_one_and_no_way_out(tmp_path):
    text = "# T & t\n\n[lesson](07_results.ipynb), [site](https://example.org)\n\n## 1. One\n\n$$x^2$$\n\n## 2. Two"
    html = render_slides(slides(new_markdown_cell(text), picture()), "T & t")
    assert [re.sub("<.*?>", "", each) for each in re.findall("<h[12].*?</h[12]>", html)] == [
        "T &amp; t",
        "1. One",
        "2. Two",
    ]
    assert html.count("<section ") == 4 and html.count('class="where"') == 1
    assert policy_with(SCRIPT + SCRIPT_OF_SLIDES) in html and html.count("<script>") == 1
    assert re.findall(r'(?:src|href)="(?!data:image/)([^"]*)"', html) == ["https://example.org"]
    assert "lesson" in html and "<math" in html and "¶" not in html


def test_a_lesson_is_found_by_the_beginning_of_its_name_first_in_the_report(tmp_path):
    report, notebooks = tmp_path / "report", tmp_path / "notebooks"
    for folder, names in ((report, ["02_b"]), (notebooks, ["01_a", "02_b", "02_c"])):
        folder.mkdir()
        for each in names:
            nbformat.write(new_notebook(), folder / f"{each}.ipynb")
    assert find_notebook("02", [report, notebooks]) == report / "02_b.ipynb"
    assert find_notebook("01", [report, notebooks]) == notebooks / "01_a.ipynb"
    assert find_notebook("own.ipynb", [report, notebooks]) == Path("own.ipynb")
    with pytest.raises(ConfigError, match="'02' begins the names of '02_b', '02_c'; write more of it"):
        find_notebook("02", [notebooks])
    with pytest.raises(UnknownNameError, match="unknown lesson '03'"):
        find_notebook("03", [report, notebooks])
    with pytest.raises(FileError, match=r"no notebooks in .*nothing; give their folder with --notebooks"):
        find_notebook("03", [tmp_path / "nothing"])


def written(tmp_path: Path, code: str, out: str = "slides.html") -> tuple[Path, int]:
    path = tmp_path / "own.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Own"), new_code_cell(code)]), path)
    where = {"report": tmp_path, "notebooks": tmp_path, "profile": "smoke"}
    return write_slides(str(path), tmp_path / out, **where)


def test_a_notebook_that_has_not_run_is_run_first(tmp_path):
    out, number = written(tmp_path, "print(6 * 7)")
    assert number == 2 and "<pre>42" in out.read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.ipynb", "slides.html"]


def test_a_lesson_that_is_half_run_in_the_report_is_taken_from_the_notebooks(tmp_path, monkeypatch):
    taken = []
    for folder, cells in (("report", [picture(), new_code_cell("later()")]), ("notebooks", [new_code_cell("draw()")])):
        (tmp_path / folder).mkdir()
        nbformat.write(new_notebook(cells=cells), tmp_path / folder / "01_a.ipynb")
    monkeypatch.setattr(
        "randprune_lab.report.slides._executed",
        lambda path, profile: taken.append(path) or new_notebook(cells=[picture()]),
    )
    where = {"report": tmp_path / "report", "notebooks": tmp_path / "notebooks", "profile": "smoke"}
    assert write_slides("01", tmp_path / "slides.html", **where)[1] == 1
    assert taken == [tmp_path / "notebooks" / "01_a.ipynb"]


def test_a_notebook_that_fails_gives_no_slides(tmp_path):
    with pytest.raises(RunError, match="failed in cell 2: ValueError: no; its slides need a notebook that runs"):
        written(tmp_path, "raise ValueError('no')")
    assert not (tmp_path / "slides.html").exists()


def test_slides_are_a_page(tmp_path):
    with pytest.raises(ConfigError, match=r"--out must be a file that ends in .html, got 'slides.pdf'"):
        written(tmp_path, "1", "slides.pdf")
