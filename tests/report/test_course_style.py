"""The notebooks that ship keep the rules on which the report relies."""

from __future__ import annotations

from pathlib import Path

import nbformat

from randprune_lab.report.notebook import parameter_names

FOLDER = Path(__file__).parents[2] / "notebooks"
LONGEST_CELL = 15  # lines

COURSE = {path.name: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_notebooks_are_saved_without_outputs():
    filled = [
        name
        for name, notebook in COURSE.items()
        if any(cell.outputs or cell.execution_count for cell in code_cells(notebook))
    ]
    assert not filled


def test_notebooks_take_the_profile_as_a_parameter():
    assert not [name for name, notebook in COURSE.items() if "profile" not in parameter_names(notebook)]


def test_cells_are_short():
    long = [
        f"{name}: {cell.source.splitlines()[0]}"
        for name, notebook in COURSE.items()
        for cell in code_cells(notebook)
        if len(cell.source.splitlines()) > LONGEST_CELL
    ]
    assert not long


def test_course_is_in_valid_notebook_format():
    for notebook in COURSE.values():
        nbformat.validate(notebook)
