"""A report has the glossary, the answers and the exercises, so that the links of its lessons lead somewhere offline."""

from __future__ import annotations

import re

import nbformat
import pytest
from support.pages import ROOT

from randprune_lab.errors import FileError
from randprune_lab.report.around import Around
from randprune_lab.report.documents import read_documents, write_documents
from randprune_lab.report.page import render_page
from randprune_lab.report.results import NotebookResult

NOTEBOOKS = ROOT / "notebooks"
NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
LINK = re.compile(r'href="([^"#:]*)(?:#([^"]*))?"')


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """The pages of the course without its code, by name."""
    out = tmp_path_factory.mktemp("documents")
    around = Around(files=write_documents(read_documents(NOTEBOOKS, NAMES), NAMES, out))
    lessons = {name: nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4) for name in NAMES}
    for lesson in lessons.values():
        lesson.cells = [cell for cell in lesson.cells if cell.cell_type == "markdown"]
    made = {f"{name}.html": render_page(each, NotebookResult(name, name), around) for name, each in lessons.items()}
    return made | {path.name: path.read_text("utf-8") for path in out.glob("*.html")}


def test_every_link_between_pages_leads_to_a_page_and_its_heading(pages):
    dead = []
    for name, page in pages.items():
        for address, anchor in LINK.findall(page):
            target = pages.get(address or name, "") if address != "index.html" else page
            if not target or (anchor and f'id="{anchor}"' not in target):
                dead.append((name, address, anchor))
    assert not dead


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_leads_to_its_exercises_its_answers_and_the_glossary(pages, name):
    links = set(LINK.findall(pages[f"{name}.html"]))
    number, _, words = name.partition("_")
    answers = f"{number}-{words.replace('_', '-')}"
    assert {(f"{name}-exercises.html", ""), ("teaching.html", answers), ("glossary.html", "")} <= links


def test_exercises_have_no_solutions(pages):
    exercises = [page for name, page in pages.items() if name.endswith("-exercises.html")]
    assert len(exercises) == len(NAMES)
    assert all("YOUR CODE HERE" in page and "SOLUTION" not in page for page in exercises)


def test_a_folder_without_documents_has_none(tmp_path):
    assert read_documents(tmp_path, ["00_a"]) == []
    assert set(write_documents([], ["00_a"], tmp_path).values()) == {"00_a.html"}


def test_an_exercise_that_cannot_be_read_is_named_before_anything_runs(tmp_path):
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "00_a.ipynb").write_text("{}")
    with pytest.raises(FileError, match=r"00_a\.ipynb"):
        read_documents(tmp_path, ["00_a"])
