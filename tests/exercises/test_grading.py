"""Grading takes only the answers from the student; a cell that hangs or kills the kernel fails one exercise."""

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


def submit(sources: Path, student: Path, **answers: str) -> Any:
    """A student's copy with some answers, which is written to the student's folder."""
    (path,) = write_copies("student", student, sources, overwrite=True)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if answer := answers.get(cell.metadata.nbgrader.grade_id):
            cell.source = answer
    nbformat.write(notebook, path)
    return notebook


RIGHT = {name: f"def {name}():\n    return {value}" for value, name in enumerate(("one", "two", "three"), 1)}


def test_a_perfect_and_a_stub_submission(sources, tmp_path, capsys):
    folder, out = tmp_path / "submitted", tmp_path / "grades.csv"
    submit(sources, folder / "ada" / "deep" / "er", **RIGHT)
    submit(sources, folder / "bob")
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
    assert failed["ada"] == "" and failed["eve"] == "not submitted"
    assert failed["bob"].startswith("NotImplementedError: write your answer here")


def test_changed_texts_imports_and_checks_are_ignored(sources, tmp_path, cell_of):
    submission = submit(sources, tmp_path / "ada", **RIGHT | {"two": "def two():\n    return 3"})
    cell_of(submission, "two-check").source = "pass"
    cell_of(submission, "setup").source = "zero = 1"
    submission.cells.remove(cell_of(submission, "three-check"))
    (source,) = read_sources(sources)
    restored = restore(source, submission)
    for cell in source.notebook.cells:
        if not cell.metadata.nbgrader.solution:
            assert cell_of(restored, cell.metadata.nbgrader.grade_id).source == cell.source
    assert run(restored, source.exercises, seconds=60) == {"two": "AssertionError: count again"}


def test_an_endless_cell_or_one_that_stops_the_kernel_fails_only_its_exercise(sources, tmp_path):
    answers = {"one": "while True:\n    pass", "two": "import os\nos._exit(1)", "three": RIGHT["three"]}
    submission = submit(sources, tmp_path / "ada", **answers)
    (source,) = read_sources(sources)
    failed = run(restore(source, submission), source.exercises, seconds=3)
    assert failed == {"one": "took longer than 3 seconds", "two": "stopped the kernel (DeadKernelError)"}


def test_cells_that_a_student_added_stay_after_the_answer_that_they_follow(sources, tmp_path, cell_of):
    answers = RIGHT | {"two": "def two():\n    return helper()"}
    submission = submit(sources, tmp_path / "ada", **answers)
    place = submission.cells.index(cell_of(submission, "two")) + 1
    submission.cells.insert(place, new_code_cell("def helper():\n    return 2"))
    (source,) = read_sources(sources)
    restored = restore(source, submission)
    assert [cell.source for cell in restored.cells if "helper():" in cell.source] == ["def helper():\n    return 2"]
    order = [cell.source for cell in restored.cells]
    assert order.index("def helper():\n    return 2") == order.index(answers["two"]) + 1
    assert run(restored, source.exercises, seconds=60) == {}


def test_without_the_setup_nothing_passes(sources, tmp_path, numbers, cell_of):
    cell_of(numbers, "setup").source = "import os\nos._exit(1)"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    (source,) = read_sources(sources)
    failed = run(restore(source, submit(sources, tmp_path / "ada", **RIGHT)), source.exercises, seconds=60)
    assert failed == dict.fromkeys(RIGHT, "stopped the kernel (DeadKernelError)")


def test_a_deleted_answer_or_a_file_that_is_not_a_notebook_gets_no_points(sources, tmp_path, cell_of):
    submission = submit(sources, tmp_path / "ada", **RIGHT)
    submission.cells.remove(cell_of(submission, "one"))
    (source,) = read_sources(sources)
    failed = run(restore(source, submission), source.exercises, seconds=60)
    assert list(failed) == ["one"] and "NameError" in failed["one"]
    (tmp_path / "all" / "bob").mkdir(parents=True)
    (tmp_path / "all" / "bob" / "01_numbers.ipynb").write_text("{}")
    (rows,) = grade(tmp_path / "all", sources)
    assert [row.points for row in rows] == [0, 0, 0] and "cannot read notebook" in rows[0].failed


def test_errors_name_the_submissions_that_cannot_be_graded(sources, tmp_path):
    (tmp_path / "all" / "bob").mkdir(parents=True)
    with pytest.raises(FileError, match=r"nothing to grade: expected .*STUDENT.*01_numbers\.ipynb"):
        list(grade(tmp_path / "all", sources))
    submit(sources, tmp_path / "all" / "bob" / "a")
    submit(sources, tmp_path / "all" / "bob" / "b")
    with pytest.raises(ConfigError, match="bob submitted both"):
        list(grade(tmp_path / "all", sources))
    with pytest.raises(ConfigError, match="seconds must be in"):
        list(grade(tmp_path / "all", sources, seconds=0))


def test_a_row_is_one_line_even_if_an_error_has_several(tmp_path):
    write_grades(tmp_path / "grades.csv", [Grade("ada", "01", "one", "One", 0, 1, "Error: a,\n\x00b\n  c")])
    lines = (tmp_path / "grades.csv").read_text("utf-8").splitlines()
    assert len(lines) == 2 and lines[1].startswith('ada,01,one,One,0,1,"Error: a,')
