"""What a class predicted: every file that can be read counts once for each student, and the others are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest

from randprune_lab.cli import main
from randprune_lab.errors import FileError
from randprune_lab.exercises import read_sources, tally_class, write_copies
from randprune_lab.exercises.submissions import read_submissions
from randprune_lab.predictions import FILE, RECORD, Prediction, keep_prediction
from randprune_lab.predictions.kept import KIND

ASKED = Prediction("01", "Where is it?", ("low", "high", "gone"), {"low": "Takes the square.", "gone": "Reads a log."})
LATE = ASKED.revealed("high").answered("high", 1.0)


def answered(answer: str, sure: float | None = 0.5) -> Prediction:
    return ASKED.answered(answer, sure).revealed("high")


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a class of three."""
    for name, one in {"ann": answered("high", 1.0), "bob": answered("low", 0.8), "cyd": LATE}.items():
        keep_prediction(tmp_path / "all" / name / FILE, one)
    return tmp_path / "all"


def notebook_with(*predictions: Prediction) -> nbformat.NotebookNode:
    outputs = [nbformat.v4.new_output("display_data", {RECORD: asdict(one)}) for one in predictions]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("guess", outputs=outputs)])


def test_a_question_has_a_histogram_beside_its_truth_and_the_misconceptions(folder):
    [tally] = tally_class(folder)
    assert tally.counts == {"low": 1, "high": 1, "gone": 0} and tally.truths == {"high": 3}
    assert tally.lines == [
        "01 Where is it?",
        "  2 answers, 1 of 2 right, mean Brier score 0.73 (a guess: 0.67), on average 90 % sure, 1 late (not counted)",
        "    low     1  #  Takes the square.",
        "  * high    1  #",
        "    gone    0     Reads a log.",
    ]


def test_saved_notebooks_and_files_of_predictions_are_counted_once_for_each_student(folder):
    nbformat.write(notebook_with(answered("gone")), folder / "ann" / "01 (1).ipynb")  # the file says otherwise
    nbformat.write(notebook_with(answered("gone")), folder / "dan.ipynb")
    (folder / "eve" / "deep" / "er").mkdir(parents=True)
    nbformat.write(notebook_with(answered("low"), answered("high")), folder / "eve" / "deep" / "er" / "01.ipynb")
    [tally] = tally_class(folder)
    assert tally.counts == {"low": 2, "high": 1, "gone": 1}


def test_files_that_a_download_names_after_one_student_are_of_one(tmp_path):
    for student in ("doeann_7_90_", "doeann_8_90_", "Ann Doe_5_assignsubmission_file_"):
        keep_prediction(tmp_path / f"{student}{FILE}", answered("high"))
        notebook = f"{student}01_pruning.ipynb".replace("_90_", "_91_")  # Canvas counts files
        nbformat.write(notebook_with(answered("gone")), tmp_path / notebook)
    assert tally_class(tmp_path)[0].counts == {"low": 0, "high": 3, "gone": 0}


def test_questions_are_in_the_order_of_lessons_and_other_options_are_another_question(folder):
    keep_prediction(folder / "ann" / FILE, Prediction("00", "Why?", ("a", "b")).answered("a"))
    keep_prediction(folder / "dan" / FILE, Prediction("01", "Where is it?", ("low", "high")).answered("low"))
    assert [(one.lesson, len(one.counts)) for one in tally_class(folder)] == [("00", 2), ("01", 3), ("01", 2)]
    open_ = tally_class(folder)[0]
    assert open_.lines[1] == "  1 answer" and open_.truths == {}


def test_where_a_truth_depends_on_settings_it_is_said_for_how_many(folder):
    keep_prediction(folder / "dan" / FILE, ASKED.answered("low").revealed("low"))
    lines = tally_class(folder)[0].lines
    assert lines[2].endswith("true for 1 of 4") and lines[3].endswith("true for 3 of 4")


def pipe(path: Path) -> None:
    path.mkdir()


HOSTILE: dict[str, tuple[str, str | Callable[[Path], None]]] = {
    "half a file": ("predictions.json", json.dumps({"kind": KIND})[:-1] + ', "for'),
    "another JSON": ("predictions.json", '{"grades": [1, 2]}'),
    "another format": ("predictions.json", json.dumps({"kind": KIND, "format": 9, "predictions": []})),
    "no JSON": ("predictions.json", "PK\x03\x04"),
    "a folder": ("01.ipynb", pipe),
    "a link": ("predictions.json", lambda path: path.symlink_to("/etc/hostname")),
    "half a notebook": ("01.ipynb", '{"cells": [{"cell_type": "code", "sou'),
    "a wrong record": (
        "01.ipynb",
        json.dumps({"cells": [{"cell_type": "code", "source": "", "outputs": [{"data": {RECORD: {"answer": 1}}}]}]}),
    ),
    "a name that controls a terminal": ("a\x1b[2J\nb.json", "{}"),
}


@pytest.mark.parametrize(("name", "content"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_read_is_one_line_and_the_others_count(folder, caplog, name, content):
    path = folder / "bob" / name
    (folder / "bob" / FILE).unlink()
    path.write_text(content) if isinstance(content, str) else content(path)
    [tally] = tally_class(folder)
    assert sum(tally.counts.values()) == 1
    [line] = caplog.messages
    assert "not used" in line and "bob" in line and "\n" not in line and "\x1b" not in line and len(line) < 800


@pytest.mark.parametrize("name", ["report.docx", "screen.PNG", "notes.txt", "predictions"])
def test_a_file_of_another_kind_is_called_so_and_not_damaged(folder, caplog, name):
    (folder / "bob" / name).write_bytes(b"PK\x03\x04")
    assert sum(tally_class(folder)[0].counts.values()) == 2
    [line] = caplog.messages
    assert f"{name} is neither a notebook (.ipynb) nor a file of predictions (.json)" in line
    assert "damaged" not in line and "remove" not in line


STRANGE = {"null": None, "numbers": [1], "a text": "x", "data as text": [{"data": "x"}], "no record": [{"data": {}}]}


@pytest.mark.parametrize("outputs", STRANGE.values(), ids=STRANGE)
def test_outputs_of_other_kinds_have_no_predictions(folder, caplog, outputs):
    cell = {"cell_type": "code", "source": "", "outputs": outputs}
    (folder / "bob" / "01.ipynb").write_text(json.dumps({"cells": [cell]}))
    assert sum(tally_class(folder)[0].counts.values()) == 2 and not caplog.messages


def test_a_question_with_control_characters_is_escaped(folder):
    keep_prediction(folder / "bob" / FILE, Prediction("\x1b[2J", "Why\n?", ("\x1b]0;a", "b")).answered("b"))
    text = "\n".join(line for one in tally_class(folder) for line in one.lines)
    assert "\x1b" not in text and "\\x1b[2J Why ?" in text


def test_the_command_prints_every_question(folder, capsys):
    keep_prediction(folder / "ann" / FILE, Prediction("02", "Why?", ("a", "b")).answered("a"))
    assert main(["exercises", "predictions", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "01 Where is it?\n" in printed and "\n\n02 Why?\n" in printed


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch], ids=["missing", "empty", "file"])
def test_a_folder_without_predictions_is_refused(tmp_path, capsys, make):
    make(tmp_path / "none")
    with pytest.raises(FileError, match="none"):
        tally_class(tmp_path / "none")
    assert main(["exercises", "predictions", str(tmp_path / "none")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_prediction_in_an_exercise_goes_to_students_and_comes_back(numbers, sources, tmp_path, cell_of, caplog):
    """The copy for students keeps the cell; the answer in its output is in what is collected, and grading reads on."""
    setup = numbers.cells[1]
    setup.source = "zero = 0\nguess = None  # widgets.predict(...)"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    [path] = write_copies("student", tmp_path / "handout", sources)
    copy = nbformat.read(path, as_version=4)
    mine = cell_of(copy, "setup")
    assert mine.source == setup.source and not mine.metadata.editable
    mine.outputs = notebook_with(answered("high")).cells[0].outputs
    nbformat.validate(copy)
    (tmp_path / "submitted" / "ann").mkdir(parents=True)
    nbformat.write(copy, tmp_path / "submitted" / "ann" / "01_numbers.ipynb")
    keep_prediction(tmp_path / "submitted" / "ann" / FILE, answered("high"))
    known = {source.name: source for source in read_sources(sources)}
    assert set(read_submissions(tmp_path / "submitted", known)["ann"]["01_numbers"]) == {"one", "two", "three"}
    assert tally_class(tmp_path / "submitted")[0].counts["high"] == 1
    assert not caplog.messages, "a file of predictions is no stray file"
