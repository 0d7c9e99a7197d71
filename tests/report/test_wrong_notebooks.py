"""One value of a notebook or of the expected key figures has another type: an error in one line, or a result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from nbformat import v4
from support.mutations import changed
from support.pages import ROOT

from randprune_lab.errors import FileError, RandpruneError
from randprune_lab.exercises.source import Source, read_sources
from randprune_lab.exercises.submissions import read_submissions
from randprune_lab.notebook_file import read_notebook
from randprune_lab.report import notebook as read
from randprune_lab.report.expected import read_expected, write_expected
from randprune_lab.report.key_figures import MIMETYPE

anything = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])

SOURCE = ROOT / "notebooks" / "exercises" / "01_pruning.ipynb"
FIGURE = {"name": "accuracy", "value": 0.5, "tolerance": 0.0, "better": "neither"}
EXPECTED = {"kept": 3, "score": {"value": 0.5, "tolerance": 0.1, "better": "higher"}}


def shown() -> dict:
    """A small notebook that has run: a title, parameters and key figures."""
    output = v4.new_output("display_data", {MIMETYPE: [FIGURE], "text/plain": "accuracy"})
    cells = [
        v4.new_markdown_cell("# Title"),
        v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}, outputs=[output], execution_count=1),
    ]
    return json.loads(json.dumps(v4.new_notebook(cells=cells)))


def exercises() -> dict:
    """The source of one exercise."""
    source = json.loads(SOURCE.read_text("utf-8"))
    return source | {"cells": source["cells"][:5]}


def answered() -> dict:
    """The smallest notebook that a student can submit."""
    mark = {"nbgrader": {"grade_id": "one", "solution": True}}
    return {"cells": [{"cell_type": "code", "source": ["def one():\n", "    1"], "metadata": mark}]}


@anything
@given(content=changed(shown()))
def test_a_notebook_with_another_value_is_refused_or_read(tmp_path, content):
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(content))
    try:
        notebook = read_notebook(path)
        read.title(notebook, "x"), read.parameter_names(notebook), read.key_figures(notebook)
    except RandpruneError as error:
        assert "\n" not in str(error)


@anything
@given(content=changed(exercises()))
def test_exercises_with_another_value_are_refused_or_read(tmp_path, content):
    (tmp_path / SOURCE.name).write_text(json.dumps(content))
    try:
        (found,) = read_sources(tmp_path)
        assert found.exercises
    except RandpruneError as error:
        assert "\n" not in str(error)


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return {source.name: source for source in read_sources(SOURCE.parent, only=SOURCE.stem)}


@anything
@given(content=changed(answered()))
def test_a_submission_with_another_value_has_a_reason_or_answers(tmp_path, sources, content):
    (tmp_path / "ann").mkdir(exist_ok=True)
    (tmp_path / "ann" / SOURCE.name).write_text(json.dumps(content))
    ((_, submitted),) = read_submissions(tmp_path, sources).items()
    (found,) = submitted.values()
    assert isinstance(found, dict) or "\n" not in found


@anything
@given(content=changed({"profile": "smoke", "notebooks": {"01_a": EXPECTED}}))
def test_expected_figures_with_another_value_are_refused_or_read(tmp_path, content):
    path = tmp_path / "smoke.json"
    path.write_text(json.dumps(content))
    try:
        found = read_expected(path)
    except FileError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        write_expected(tmp_path / "again.json", "smoke", found)
        assert read_expected(tmp_path / "again.json") == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": 7}, r"cells\.0\.source must be a text, got 7"),
        ({"source": ["a", 7]}, r"cells\.0\.source must be a text, got \['a', 7\]"),
        ({"cell_type": "poem"}, r"unknown cells\.0\.cell_type 'poem'"),
        ({"metadata": {"tags": "x"}}, r"cells\.0\.metadata\.tags must be a list, got 'x'"),
        ({"outputs": {}}, r"cells\.0\.outputs must be a list, got {}"),
    ],
)
def test_an_error_names_the_place_the_value_and_what_was_expected(tmp_path: Path, values, message):
    notebook = shown()
    notebook["cells"][0] |= values
    (tmp_path / "x.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(FileError, match=rf"x\.ipynb is no valid notebook \({message}.*\); save it again"):
        read_notebook(tmp_path / "x.ipynb")
