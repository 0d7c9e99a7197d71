"""Grading: who gets points, what a table says, and that neither a submission nor this machine decides for others."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, FileError, GradingError
from randprune_lab.exercises import Grade, grade, read_grades, read_sources, write_copies, write_grades
from randprune_lab.exercises.grade import parts_of, run
from randprune_lab.exercises.sandbox import start

RIGHT = {name: f"def {name}():\n    return {value}" for value, name in enumerate(("one", "two", "three"), 1)}


def submit(sources: Path, student: Path, **answers: str) -> Any:
    """A student's copy with some answers, which is written to the student's folder."""
    (path,) = write_copies("student", student, sources, overwrite=True)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if answer := answers.get(cell.metadata.nbgrader.grade_id):
            cell.source = answer
    nbformat.write(notebook, path)
    return notebook


def failures(sources: Path, seconds: float = 60, **answers: str) -> dict[str, str]:
    """The reason for each exercise of the source that these answers fail."""
    (source,) = read_sources(sources)
    wrong = run(source, {name: [answer] for name, answer in answers.items()}, start, seconds)
    return {name: found.reason for name, found in wrong.items()}


def points(sources: Path, folder: Path) -> dict[str, list[float]]:
    """The points of each student."""
    return {rows[0].student: [row.points for row in rows] for rows in grade(folder, sources)}


# --- points ---


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
    found = {(row["student"], row["exercise"]): (row["points"], row["out_of"]) for row in rows}
    for value, name in enumerate(RIGHT, 1):
        assert found["ada", name] == (str(value), str(value))
        assert found["bob", name] == found["eve", name] == ("0", str(value))
    failed = {row["student"]: row["failed"] for row in rows}
    assert failed["ada"] == "" and failed["eve"] == "not submitted"
    assert failed["bob"].startswith("NotImplementedError: write your answer here")


def test_grades_that_may_be_corrected_are_not_replaced(sources, tmp_path, capsys):
    submit(sources, tmp_path / "all" / "ada", **RIGHT)
    (tmp_path / "grades.csv").write_text("corrected")
    call = [
        "exercises",
        "grade",
        str(tmp_path / "all"),
        "--out",
        str(tmp_path / "grades.csv"),
        "--sources",
        str(sources),
    ]
    assert main(call) == 2 and "may contain corrections" in capsys.readouterr().err
    assert (tmp_path / "grades.csv").read_text() == "corrected"
    assert main([*call, "--overwrite"]) == 0 and read_grades([tmp_path / "grades.csv"])[2].points == 3


def test_changed_texts_imports_checks_and_points_are_ignored(sources, tmp_path, cell_of):
    submission = submit(sources, tmp_path / "all" / "ada", **RIGHT | {"two": "def two():\n    return 3"})
    check = cell_of(submission, "two-check")
    check.source, check.outputs = "pass", [nbformat.v4.new_output("stream", text="passed")]
    check.metadata.nbgrader |= {"points": 100, "solution": True}
    cell_of(submission, "setup").source = "zero = 1"
    submission.cells.remove(cell_of(submission, "three-check"))
    nbformat.write(submission, tmp_path / "all" / "ada" / "01_numbers.ipynb")
    (rows,) = grade(tmp_path / "all", sources)
    assert [(row.points, row.failed) for row in rows] == [(1, ""), (0, "AssertionError: count again"), (3, "")]


def test_points_stay_when_another_student_changes_the_submission_or_the_table(sources, tmp_path):
    folder, out = tmp_path / "all", tmp_path / "grades.csv"
    submit(sources, folder / "bob", **RIGHT)
    attack = f"import pathlib\nfor path in ({str(out)!r}, {str(folder / 'bob' / '01_numbers.ipynb')!r}):\n"
    submit(sources, folder / "ann", one=f"{attack}    pathlib.Path(path).write_text('null')\n{RIGHT['one']}")
    found = []
    for rows in grade(folder, sources, isolation=[None]):
        write_grades(out, found := found + rows)
    assert (folder / "bob" / "01_numbers.ipynb").read_text() == "null"
    points = [(row["student"], row["points"]) for row in csv.DictReader(out.open(encoding="utf-8"))]
    assert points == [(student, str(n)) for student, all in (("ann", [1, 0, 0]), ("bob", [1, 2, 3])) for n in all]


def test_an_endless_cell_or_one_that_stops_the_kernel_fails_only_its_exercise(sources):
    answers = {"one": "while True:\n    pass", "two": "import os\nos._exit(1)", "three": RIGHT["three"]}
    assert failures(sources, 0.5, **answers) == {"one": "took longer than 0.5 seconds", "two": "stopped the kernel"}


def test_so_does_an_answer_that_is_endless_when_a_check_calls_it(sources):
    answers = RIGHT | {"one": "def one():\n    while True:\n        pass", "two": "def two():\n    exit()"}
    failed = failures(sources, 0.5, **answers)
    assert failed["one"] == "took longer than 0.5 seconds" and list(failed) == ["one", "two"]


def test_cells_that_a_student_added_run_where_they_are(sources, tmp_path, cell_of):
    answers = RIGHT | {"one": "def one():\n    return math.floor(1.5)", "two": "def two():\n    return helper()"}
    submission = submit(sources, tmp_path / "all" / "ada", **answers)
    for after, source in {"two": "def helper():\n    return 2", "setup": "import math"}.items():
        submission.cells.insert(submission.cells.index(cell_of(submission, after)) + 1, new_code_cell(source))
    nbformat.write(submission, tmp_path / "all" / "ada" / "01_numbers.ipynb")
    assert points(sources, tmp_path / "all") == {"ada": [1, 2, 3]}


def test_magics_run_and_a_deleted_answer_gets_no_points(sources):
    failed = failures(sources, two=f"%time pass\n!true\n{RIGHT['two']}", three=RIGHT["three"])
    assert list(failed) == ["one"] and "NameError: name 'one' is not defined" in failed["one"]


# --- parts ---


def test_each_comparison_has_its_part_of_the_points_and_a_reason(sources, tmp_path, numbers, cell_of):
    check = "\n".join(f"expect('is {n}', three() % {n}, 1, 'Look {n}.')" for n in (2, 5, 7))
    cell_of(numbers, "setup").source = "from randprune_lab.exercises import expect, passed"
    cell_of(numbers, "three").source = "def three():\n    ### BEGIN SOLUTION\n    return 71\n    ### END SOLUTION"
    for name in ("one-check", "two-check"):
        cell_of(numbers, name).source = "assert True"
    cell_of(numbers, "three-check").source = f"{check}\npassed(3)"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    submit(sources, tmp_path / "all" / "ada", three="def three():\n    return 3")
    submit(sources, tmp_path / "all" / "bob", three="def three():\n    return 36")
    submit(sources, tmp_path / "all" / "eve", three="def three():\n    return 71")
    found = {rows[0].student: rows[2] for rows in grade(tmp_path / "all", sources)}
    assert {name: row.points for name, row in found.items()} == {"ada": 1, "bob": 2, "eve": 3}
    assert found["ada"].failed == "is 5: got 3, expected 1. Look 5. | is 7: got 3, expected 1. Look 7."
    assert found["eve"].failed == ""


def test_an_error_in_a_cell_is_told_beside_what_is_wrong_and_in_place_of_the_names_that_it_leaves_out(sources):
    (source,) = read_sources(sources)
    scratch = "1 / 0  # after the answer"
    answers = {
        "one": ["def one():\n    return 2", scratch],
        "two": ["1 / 0\ntwo = 2"],
        "three": [RIGHT["three"], scratch],
    }
    wrong = run(source, answers, start, 60)
    error = "ZeroDivisionError: division by zero"
    assert {name: found.reason for name, found in wrong.items()} == {
        "one": f"AssertionError: count again | {error}",
        "two": error,
    }


def test_a_part_ends_with_a_comparison_and_a_loop_is_one():
    check = "a = f()\nexpect('a', a, 1, '')\nfor b in g():\n    expect('b', b, 1, '')\n"
    check += "def h():\n    expect('h', 1, 1, '')\n"
    assert [len(part) for part in parts_of(check + "choice('x', 'y', x)\npassed(1)")] == [2, 1, 2]
    assert [len(part) for part in parts_of("f()\ng()")] == [2]


def test_a_line_that_fails_does_not_lend_its_old_value_to_the_next_part(sources, numbers, cell_of):
    cell_of(numbers, "setup").source = "from randprune_lab.exercises import expect"
    cell_of(numbers, "one").source = "def one(n=1):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    check = "a = one()\nexpect('a', a, 1, '')\na = one(2)\nb = 1\nexpect('b', b, 1, '')\nexpect('a again', a, 1, '')"
    cell_of(numbers, "one-check").source = check
    for name in ("two-check", "three-check"):
        cell_of(numbers, name).source = "assert True"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    (source,) = read_sources(sources)
    answer = "def one(n=1):\n    return 1 if n == 1 else {}[n]"
    wrong = run(source, {"one": [answer]}, start, 60)["one"]
    assert wrong.right == 1 / 3 and wrong.reason == "KeyError: '2'"


def test_an_answer_may_be_a_value(sources, tmp_path, numbers, cell_of):
    cell_of(numbers, "one").source = "# one = a number\n### BEGIN SOLUTION\none = 1\n### END SOLUTION"
    cell_of(numbers, "one-check").source = "assert one == 1, 'count again'"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    for student, answer in {"ada": "one = 1", "bob": "one = ...", "eve": "two = 1"}.items():
        submit(sources, tmp_path / "all" / student, **RIGHT | {"one": answer})
    found = {rows[0].student: rows[0] for rows in grade(tmp_path / "all", sources)}
    assert {student: row.points for student, row in found.items()} == {"ada": 1, "bob": 0, "eve": 0}
    assert "got ellipsis" in found["bob"].failed and found["eve"].failed == "NameError: name 'one' is not defined"


# --- failures of the grader ---


@pytest.mark.parametrize("failure", ["1 / 0", "import os\nos._exit(1)"])
def test_a_failure_before_the_first_answer_is_nobodys_zero(sources, tmp_path, numbers, cell_of, failure):
    cell_of(numbers, "setup").source = failure
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    submit(sources, tmp_path / "all" / "ada", **RIGHT)
    out = tmp_path / "grades.csv"
    assert main(["exercises", "grade", str(tmp_path / "all"), "--out", str(out), "--sources", str(sources)]) == 2
    assert not out.exists()


def test_a_kernel_that_does_not_start_ends_the_grading(sources, tmp_path, monkeypatch):
    submit(sources, tmp_path / "all" / "ada", **RIGHT)
    for program in ("/bin/false", "/no/python"):
        monkeypatch.setattr("sys.executable", program)
        with pytest.raises(GradingError, match=f"cannot grade 01_numbers here: .*{program}.* does not start"):
            list(grade(tmp_path / "all", sources))


def test_a_solution_without_points_ends_the_grading(sources, tmp_path, numbers, cell_of):
    submit(sources, tmp_path / "all" / "ada", **RIGHT)
    cell_of(numbers, "two-check").source = "assert two() == 3, 'three'"
    nbformat.write(numbers, sources / "01_numbers.ipynb")
    with pytest.raises(GradingError, match=r"cannot grade 01_numbers here: the solution of two fails: .*three"):
        list(grade(tmp_path / "all", sources))


def test_the_kernel_is_this_python_whatever_jupyter_would_start(monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "elsewhere")
    with start() as kernel:
        kernel.run("import sys, os\ndef where():\n    return [sys.executable, os.getenv('JUPYTER_PATH')]")
        assert kernel.call("where") == [sys.executable, None]


# --- the table ---


def test_a_row_is_one_line_even_if_an_error_has_several(tmp_path):
    write_grades(tmp_path / "grades.csv", [Grade("ada", "01", "one", "One", 0, 1, "Error: a,\n\x00b\n  c")])
    lines = (tmp_path / "grades.csv").read_text("utf-8").splitlines()
    assert len(lines) == 2 and lines[1].startswith('ada,01,one,One,0,1,"Error: a,')


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", "\r\n=1", "a;=1"])
def test_a_text_is_no_formula(tmp_path, text):
    write_grades(tmp_path / "grades.csv", [Grade(text, "01", "one", "One", 0, 1, text)])
    (row,) = csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8", newline=""))
    for cell in (row["student"], row["failed"]):
        assert all(part.lstrip()[0] in "'a" for part in cell.split(";"))


@pytest.mark.parametrize("text", ["\x1b[2J", "\x00", "\x7f", "\u202e", "\udcff", "\ud800", "\u2028x", "\x85x", "\x9b"])
def test_a_text_has_no_control_characters(tmp_path, text):
    write_grades(tmp_path / "grades.csv", [Grade("ada", "01", "one", "One", 0, 1, f"a{text}")])
    assert (tmp_path / "grades.csv").read_text("utf-8").splitlines()[1].isprintable()


def test_a_text_is_short(tmp_path):
    write_grades(tmp_path / "grades.csv", [Grade("a" * 10**6, "01", "one", "One", 0, 1, "\x00" * 10**6)])
    assert (tmp_path / "grades.csv").stat().st_size < 1000


def test_errors_name_what_cannot_be_graded(sources, tmp_path):
    (tmp_path / "all" / "bob").mkdir(parents=True)
    with pytest.raises(FileError, match=r"nothing to grade: expected .*STUDENT.*01_numbers\.ipynb"):
        list(grade(tmp_path / "all", sources))
    with pytest.raises(FileError, match=r"cannot read .*nowhere"):
        list(grade(tmp_path / "nowhere", sources))
    with pytest.raises(ConfigError, match="seconds must be in"):
        list(grade(tmp_path / "all", sources, seconds=0))
