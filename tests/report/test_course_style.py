"""The notebooks of the course follow the rules that the report and the readers rely on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from randprune_lab.report.notebook import parameter_names
from randprune_lab.report.plumbing import KINDS, TAG, count_lines
from randprune_lab.viz import widgets

FOLDER = Path(__file__).parents[2] / "notebooks"
LONGEST_CELL = 15  # lines
MOST_CODE_BEFORE_A_FIGURE = 25  # lines
FIGURE = re.compile(r"^(figures\.|widgets\.explore\()", re.MULTILINE)
# A text link, not a picture of a badge: opening a notebook needs no network.
BADGE = "**[Open in Binder](https://mybinder.org/v2/gh/randprune-lab/randprune_lab/HEAD?labpath=notebooks/{name})**"

# In headless runs, cells that draw into an Output widget stall at random (nbclient's issues 311 and 312).
OUTPUT_WIDGETS = re.compile(r"\b(interact|interact_manual|interactive|interactive_output|Output)\b\s*\(")

COURSE = {path.name: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}


@pytest.fixture(params=COURSE)
def name(request) -> str:
    return request.param


@pytest.fixture
def notebook(name) -> nbformat.NotebookNode:
    return COURSE[name]


@pytest.fixture
def code(notebook) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_in_valid_notebook_format(notebook):
    nbformat.validate(notebook)


def test_it_is_saved_without_outputs(code, notebook):
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count is not None]
    assert "widgets" not in notebook.metadata


def test_its_parameters_are_literals_in_one_cell_and_the_profile_is_one_of_them(code, notebook):
    (cell,) = (cell for cell in code if "parameters" in cell.metadata.get("tags", []))
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    assert "profile" in parameter_names(notebook)


def test_its_cells_are_short(code):
    """But for the key figures, each with its label: nobody reads them as code."""
    cells = [cell for cell in code if "key-figures" not in cell.metadata.get("tags", [])]
    assert not [cell.source for cell in cells if len(cell.source.splitlines()) > LONGEST_CELL]


def test_its_key_figures_have_labels(code):
    (cell,) = (cell for cell in code if "key-figures" in cell.metadata.get("tags", []))
    calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    (recorded,) = (call for call in calls if ast.unparse(call.func) == "key_figures")
    labelled = [call for call in calls if ast.unparse(call.func) in ("exact", "measured") and len(call.args) > 1]
    values = [keyword.value for keyword in recorded.keywords if keyword.arg]
    assert values and all(value in labelled for value in values)
    assert len(labelled) >= len(recorded.keywords)


def is_plumbing(cell: nbformat.NotebookNode) -> bool:
    """Parameters, imports, controls, predictions and key figures; what else is plumbing only its author knows."""
    body = ast.parse(cell.source).body
    imports = all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in body)
    named = any(f"{name}(" in cell.source for name in ("key_figures", "widgets.explore", "widgets.predict"))
    return imports or named or "parameters" in cell.metadata.get("tags", [])


def test_plumbing_is_tagged_and_folded_in_jupyterlab_too(code):
    tagged = [cell for cell in code if TAG in cell.metadata.get("tags", [])]
    assert not [cell.source for cell in code if is_plumbing(cell) and cell not in tagged]
    assert not [cell.source for cell in tagged if not set(KINDS).intersection(cell.metadata.tags)]
    hidden = [cell for cell in code if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert hidden == tagged


def test_little_code_is_seen_before_the_first_figure(code):
    seen = 0
    for cell in code:
        seen += 0 if TAG in cell.metadata.get("tags", []) else count_lines(cell)
        if FIGURE.search(cell.source):
            break
    assert seen <= MOST_CODE_BEFORE_A_FIGURE, "fold what is plumbing"


def test_it_opens_with_a_title_and_a_link_that_opens_itself(name, notebook):
    opening = notebook.cells[0]
    assert opening.cell_type == "markdown" and opening.source.startswith("# ")
    assert BADGE.format(name=name) in opening.source


def test_it_shows_no_remote_picture(notebook):
    assert not [cell.source for cell in notebook.cells if re.search(r"!\[[^]]*\]\(https?:", cell.source)]


def test_it_records_key_figures(code):
    assert any("key_figures(" in cell.source for cell in code)


def test_its_figures_are_those_of_the_package_whose_titles_and_labels_are_tested(code):
    """tests/viz/test_figures.py draws every figure of the package."""
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"^\s*(import|from)\s+(matplotlib|seaborn|plotly)\b", source, re.MULTILINE)


def calls(code: list[nbformat.NotebookNode], function: str) -> list[ast.Call]:
    """The calls of a function, in order."""
    nodes = [node for cell in code for node in ast.walk(ast.parse(cell.source))]
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == function]


def test_its_tables_have_sparsities_in_percent(code):
    tables = [cell.source for cell in code if ".style" in cell.source and "sparsity" in cell.source]
    assert not [source for source in tables if ":.2%}" not in source]


def test_its_predictions_are_answered_before_the_next_is_asked_and_scored_at_the_end(name, code):
    asked = calls(code, "widgets.predict")
    assert len(asked) >= (0 if name.startswith("00") else 3)
    said = "".join(cell.source for cell in code)
    order = re.findall(r"widgets\.predict\(|guess_\d+\.reveal\(|widgets\.score\(", said)
    numbers = range(1, len(asked) + 1)
    expected = [part for number in numbers for part in ("widgets.predict(", f"guess_{number}.reveal(")]
    assert order == ([*expected, "widgets.score("] if asked else [])
    if asked:
        assert code[-1].source == f'widgets.score("{name[:2]}")'


def test_a_cell_that_runs_again_later_has_the_prediction_of_its_own_question(code):
    said = "\n".join(cell.source for cell in code)
    used = re.findall(r"\bguess\w*", said)
    assert re.findall(r"(\w+) = widgets\.predict\(", said) == [*dict.fromkeys(used)]
    assert used == sorted(used), "a question's cells are together"


def test_its_predictions_have_questions_of_their_own_and_known_misconceptions(name, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [eval(ast.unparse(call), {"widgets": widgets}) for call in calls(code, "widgets.predict")]
    questions = [one.prediction.question for one in made]
    assert len(set(questions)) == len(questions)
    assert {one.prediction.lesson for one in made} <= {name[:2]}
    assert all(set(one.prediction.misconceptions) < set(one.prediction.options) for one in made)
    without = [len(one.prediction.options) - len(one.prediction.misconceptions) for one in made]
    assert set(without) <= {1}, "every answer but the right one has its feedback"


def test_its_widgets_cannot_stall(code):
    assert not [cell.source for cell in code if OUTPUT_WIDGETS.search(cell.source)]
