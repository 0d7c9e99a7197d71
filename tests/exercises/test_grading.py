"""Grading: only the answers are the student's; what hangs or dies costs one exercise."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.exercises import Grade, grade, read_sources, write_copies
from randprune_lab.exercises.grade import restore, run, write_grades


def hand_in(sources: Path, student: Path, **answers: str) -> Any:
    """A student's copy with some answers, written to the student's folder."""
    (path,) = write_copies("student", student, sources, overwrite=True)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if answer := answers.get(cell.metadata.nbgrader.grade_id):
            cell.source = answer
    nbformat.write(notebook, path)
    return notebook


RIGHT = {name: f"def {name}():\n    return {value}" for value, name in enumerate(("one", "two", "three"), 1)}


def test_a_perfect_and_a_stub_submission(sources, tmp_path, capsys):
    folder, out = tmp_path / "handed-in", tmp_path / "grades.csv"
    hand_in(sources, folder / "ada" / "deep" / "er", **RIGHT)
    hand_in(sources, folder / "bob")
    (folder / "eve").mkdir()
    assert main(["exercises", "grade", str(folder), "--out", str(out), "--sources", str(sources)]) == 0
    assert "ada  01_numbers  6 of 6" in capsys.readouterr().out
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [(row["student"], row["exercise"]) for row in rows] == [
        (student, name) for student in ("ada", "bob", "eve") for name in RIGHT
    ]
    points = {(row["student"], row["exercise"]): (row["points"], row["out_of"]) for row in rows}
    for value, name in enumerate(RIGHT, 1):
        assert points["ada", name] == (str(value), str(value))
        assert points["bob", name] == points["eve", name] == ("0", str(value))
    failed = {row["student"]: row["failed"] for row in rows}
    assert failed["ada"] == "" and failed["eve"] == "not handed in"
    assert failed["bob"].startswith("NotImplementedError: write your answer here")


def test_what_a_student_made_of_texts_imports_and_checks_does_not_count(sources, tmp_path, cell_of):
    handed_in = hand_in(sources, tmp_path / "ada", **RIGHT | {"two": "def two():\n    return 3"})
    cell_of(handed_in, "two-check").source = "pass"
    cell_of(handed_in, "setup").source = "zero = 1"
    handed_in.cells.remove(cell_of(handed_in, "three-check"))
    (source,) = read_sources(sources)
    restored = restore(source, handed_in)
    for cell in source.notebook.cells:
        if not cell.metadata.nbgrader.solution:
            assert cell_of(restored, cell.metadata.nbgrader.grade_id).source == cell.source
    assert run(restored, source.exercises, seconds=60) == {"two": "AssertionError: count again"}


def test_a_cell_without_end_or_one_that_stops_the_kernel_costs_its_exercise_alone(sources, tmp_path):
    answers = {"one": "while True:\n    pass", "two": "import os\nos._exit(1)", "three": RIGHT["three"]}
    handed_in = hand_in(sources, tmp_path / "ada", **answers)
    (source,) = read_sources(sources)
    failed = run(restore(source, handed_in), source.exercises, seconds=3)
    assert failed == {"one": "took longer than 3 seconds", "two": "stopped the kernel (DeadKernelError)"}


def test_cells_that_a_student_added_stay_behind_the_answer_they_follow(sources, tmp_path, cell_of):
    answers = RIGHT | {"two": "def two():\n    return helper()"}
    handed_in = hand_in(sources, tmp_path / "ada", **answers)
    place = handed_in.cells.index(cell_of(handed_in, "two")) + 1
    handed_in.cells.insert(place, new_code_cell("def helper():\n    return 2"))
    (source,) = read_sources(sources)
    restored = restore(source, handed_in)
    assert [cell.source for cell in restored.cells if "helper():" in cell.source] == ["def helper():\n    return 2"]
    order = [cell.source for cell in restored.cells]
    assert order.index("def helper():\n    return 2") == order.index(answers["two"]) + 1
    assert run(restored, source.exercises, seconds=60) == {}


def test_without_the_setup_nothing_passes(sources, tmp_path, numbers, cell_of):
    cell_of(numbers, "setup").source = "import os\nos._exit(1)"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    (source,) = read_sources(sources)
    failed = run(restore(source, hand_in(sources, tmp_path / "ada", **RIGHT)), source.exercises, seconds=60)
    assert failed == dict.fromkeys(RIGHT, "stopped the kernel (DeadKernelError)")


def test_an_answer_that_was_deleted_or_a_file_that_is_no_notebook_has_no_points(sources, tmp_path, cell_of):
    handed_in = hand_in(sources, tmp_path / "ada", **RIGHT)
    handed_in.cells.remove(cell_of(handed_in, "one"))
    (source,) = read_sources(sources)
    failed = run(restore(source, handed_in), source.exercises, seconds=60)
    assert list(failed) == ["one"] and "NameError" in failed["one"]
    (tmp_path / "all" / "bob").mkdir(parents=True)
    (tmp_path / "all" / "bob" / "01_numbers.ipynb").write_text("{}")
    (rows,) = grade(tmp_path / "all", sources)
    assert [row.points for row in rows] == [0, 0, 0] and "cannot read notebook" in rows[0].failed


def test_what_cannot_be_graded_is_named(sources, tmp_path):
    (tmp_path / "all" / "bob").mkdir(parents=True)
    with pytest.raises(FileError, match=r"nothing to grade: expected .*STUDENT.*01_numbers\.ipynb"):
        list(grade(tmp_path / "all", sources))
    hand_in(sources, tmp_path / "all" / "bob" / "a")
    hand_in(sources, tmp_path / "all" / "bob" / "b")
    with pytest.raises(ConfigError, match="bob handed in both"):
        list(grade(tmp_path / "all", sources))
    with pytest.raises(ConfigError, match="seconds must be in"):
        list(grade(tmp_path / "all", sources, seconds=0))


def test_a_row_is_a_line_whatever_an_error_says(tmp_path):
    write_grades(tmp_path / "grades.csv", [Grade("ada", "01", "one", "One", 0, 1, "Error: a,\n\x00b\n  c")])
    lines = (tmp_path / "grades.csv").read_text("utf-8").splitlines()
    assert len(lines) == 2 and lines[1].startswith('ada,01,one,One,0,1,"Error: a,')
