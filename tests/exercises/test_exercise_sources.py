"""The messages of checks, the errors of incomplete sources, and the copies for students and instructors."""

from __future__ import annotations

import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from randprune_lab.cli import main
from randprune_lab.errors import FileError, RandpruneError, RunError, UnknownNameError
from randprune_lab.exercises import Exercise, ExerciseError, expect, passed, read_sources, write_copies

# --- expect ---


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (2, 2.0),
        (np.float32(0.5), 0.5),
        (torch.tensor([True, False]), [True, False]),
        (np.arange(3), (0, 1, 2)),
        ({"a": torch.tensor(1.5)}, {"a": 1.5}),
        ("better", "better"),
        ([], []),
    ],
)
def test_an_answer_may_come_as_tensor_array_or_list(got, expected):
    expect("f()", got, expected, "Look.")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (2, 2.1),
        (1, True),
        (True, 1.0),
        (float("nan"), 0.0),
        (None, 0.0),
        ([1, 2], [1, 2, 3]),
        ([[1, 2]], [1, 2]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, [1]),
        ("a", "b"),
        (torch.tensor([1.0, 0.0]), [True, False]),
    ],
)
def test_another_answer_raises(got, expected):
    with pytest.raises(ExerciseError):
        expect("f()", got, expected, "Look.")


def test_numbers_may_differ_by_the_margin_and_no_more():
    expect("f()", [1.0, 2.09], [1.0, 2.0], "Look.", within=0.1)
    with pytest.raises(ExerciseError, match=r"\(± 0\.1\)"):
        expect("f()", [1.0, 2.11], [1.0, 2.0], "Look.", within=0.1)


def test_the_message_names_the_call_both_answers_and_the_next_step():
    with pytest.raises(ExerciseError) as raised:
        expect("fraction([1, 2])", {"w": 1 / 3}, {"w": 0.5}, "Count both.")
    assert str(raised.value) == "fraction([1, 2]): got {'w': 0.333333}, expected {'w': 0.5}. Count both."
    assert isinstance(raised.value, RandpruneError) and isinstance(raised.value, AssertionError)
    with pytest.raises(ExerciseError, match="Does the function return"):
        expect("f()", None, 1, "Look.")
    with pytest.raises(ExerciseError, match=r"11, \.\.\.\] \(50 items\), expected"):
        expect("f()", list(range(50)), [], "Look.")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (0.1 + 0.2, 0.3),
        (np.float32(5 / 6), 5 / 6),
        (float("nan"), float("nan")),
        ([0.0] * 500 + [1.0], [0.0] * 500 + [1.0 + 1e-12]),
        ([True] * 20, [True] * 13 + [False] * 7),
        ({"a": [0.1 + 0.2]}, {"a": [0.3]}),
        ({"a": [0] * 13 + [1]}, {"a": [0] * 13 + [2]}),
        ([[0] * 13 + [1]] * 2, [[0] * 13 + [1], [0] * 13 + [2]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_never_has_two_answers_that_read_alike(got, expected):
    with pytest.raises(ExerciseError) as raised:
        expect("f()", got, expected, "Look.")
    ours, theirs = str(raised.value).removeprefix("f(): got ").removesuffix(". Look.").split(", expected ")
    assert ours != theirs or "nan (float)" in ours


@pytest.mark.parametrize(
    ("got", "expected", "advice"),
    [
        (
            [0.0, 1.0],
            [False, True],
            "Return a list of 2 items, each True or False, not a list of 2 items, each a number.",
        ),
        (torch.zeros(2, 1), [0.0, 0.0], "Return a list of 2 items, each a number, not"),
        ((1, 2), {"a": 1}, "Return a dict with the keys 'a', not a list"),
        ({"b": 1}, {"a": 1}, "Return a dict with the keys 'a', not a dict with the keys 'b'."),
        ({"a": "1"}, {"a": 1}, "At 'a': Return a number, not a text."),
        ([1, 2, 3], [1, 2], "Return a list of 2 items"),
        ("Better ", "better", "The word is right; spell it exactly as expected."),
        (83.33, 0.8333, "This is a percentage; return a fraction"),
        (0.693, -0.693, "Only the sign is wrong."),
        (float("nan"), 0.5, "where is 0 divided by 0?"),
        (0.2, 0.8, "Look."),
        ([0.2], [0.8], "Look."),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_wrong_with_a_type_a_shape_or_a_unit_comes_first(got, expected, advice):
    with pytest.raises(ExerciseError) as raised:
        expect("f()", got, expected, "Look.")
    assert advice in str(raised.value).partition(", expected ")[2]
    assert ("Look." in str(raised.value)) == (advice == "Look.")


def test_a_right_answer_is_said_in_green_where_html_is_shown_and_in_text_elsewhere(capsys, monkeypatch):
    import IPython

    passed(1)
    assert capsys.readouterr().out == "✓ 1 point\n"
    shown = []
    monkeypatch.setattr(IPython, "get_ipython", object)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    passed(2.5)
    assert shown[0]["text/plain"] == "✓ 2.5 points" and "✓ 2.5 points</div>" in shown[0]["text/html"]
    assert capsys.readouterr().out == ""


def test_a_wrong_answer_has_one_line_in_jupyter_and_is_an_error():
    shell = InteractiveShell.instance()
    with capture_output() as output:
        right = shell.run_cell("from randprune_lab.exercises import expect, passed\npassed(2)")
        done = shell.run_cell("expect('f()', 1, 2, 'Look.')")
    InteractiveShell.clear_instance()
    assert right.success and right.result is None and not output.stderr, "nbgrader would read a result as the points"
    assert isinstance(done.error_in_exec, AssertionError)
    assert output.stdout.strip().splitlines()[-1:] == ["\x1b[1;31m✗\x1b[0m f(): got 1, expected 2. Look."]


# --- sources ---


def test_a_source_is_read_with_its_exercises(sources):
    (source,) = read_sources(sources)
    assert source.name == "01_numbers"
    assert source.exercises == (
        Exercise("one", "Number one", stars=1, minutes=5, points=1),
        Exercise("two", "Number two", stars=2, minutes=10, points=2),
        Exercise("three", "Number three", stars=3, minutes=15, points=3),
    )


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "two-text",
            lambda cell: cell.update(source=cell.source.replace("## ", "")),
            "exercise two: expected a heading",
        ),
        (
            "two-text",
            lambda cell: cell.update(source=cell.source.replace("★", "")),
            "exercise two: expected .* difficulty",
        ),
        ("two-text", lambda cell: cell.update(source=cell.source.replace("minutes", "")), "expected .* time"),
        (
            "two-text",
            lambda cell: cell.update(source=cell.source.replace("Hint", "")),
            "exercise two: expected a collapsed hint",
        ),
        ("two", lambda cell: cell.update(source="def two():\n    return 2"), "exercise two: expected a solution"),
        ("two", lambda cell: cell.metadata.nbgrader.update(solution=False), "no cell has the solution of two"),
        ("two-check", lambda cell: cell.metadata.nbgrader.update(points=0), "exercise two: expected points"),
        ("two-check", lambda cell: cell.metadata.nbgrader.update(locked=False), "'two-check' must be locked"),
        (
            "two-check",
            lambda cell: cell.metadata.nbgrader.update(grade_id="x"),
            "a cell with the grade_id 'two-check' is missing",
        ),
        ("two-check", lambda cell: cell.metadata.pop("nbgrader"), "every cell needs its own grade_id"),
        ("two-check", lambda cell: cell.metadata.nbgrader.update(grade_id="one-check"), "its own grade_id"),
    ],
)
def test_an_incomplete_source_is_refused_by_name(numbers, cell_of, tmp_path, part, change, message):
    change(cell_of(numbers, part))
    nbformat.write(numbers, tmp_path / "01_numbers.ipynb")
    with pytest.raises(FileError, match=f"01_numbers.ipynb.*{message}"):
        read_sources(tmp_path)


def test_no_sources_and_unknown_ones_are_named(sources, tmp_path):
    with pytest.raises(FileError, match="give their folder with --sources"):
        read_sources(tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="unknown exercise notebook '02'; known: 01_numbers"):
        read_sources(sources, only="02")


# --- copies ---


def test_the_students_copy_has_stubs_and_its_other_cells_are_locked(sources, tmp_path, cell_of):
    (path,) = write_copies("student", tmp_path / "out", sources)
    copy = nbformat.read(path, as_version=4)
    nbformat.validate(copy)
    stub = cell_of(copy, "two").source.splitlines()
    assert stub[:2] == ["def two():", "    # YOUR CODE HERE"] and stub[2].startswith("    raise NotImplementedError(")
    editable = [cell.metadata.nbgrader.grade_id for cell in copy.cells if cell.metadata.get("editable", True)]
    assert editable == ["one", "two", "three"]


def test_the_instructors_copy_has_the_solutions_collapsed(sources, tmp_path, cell_of):
    (path,) = write_copies("instructor", tmp_path / "out", sources)
    cell = cell_of(nbformat.read(path, as_version=4), "two")
    assert cell.source == "def two():\n    answer = 2\n    return answer"
    assert cell.metadata.jupyter.source_hidden is True


def test_the_command_names_the_files_it_wrote_and_the_reason_of_a_refusal(sources, tmp_path, capsys):
    command = ["exercises", "student", "--out", str(tmp_path / "out"), "--sources", str(sources)]
    assert main([*command, "--only", "01"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / '01_numbers.ipynb'}\n"
    assert main(command) == 2 and "--overwrite" in capsys.readouterr().err
    assert main([*command, "--only", "02"]) == 2


def test_a_copy_that_may_hold_answers_is_not_replaced_by_accident(sources, tmp_path):
    (path,) = write_copies("student", tmp_path / "out", sources)
    path.write_text("answers")
    with pytest.raises(RunError, match="may contain answers"):
        write_copies("student", tmp_path / "out", sources)
    assert path.read_text() == "answers"
    write_copies("student", tmp_path / "out", sources, overwrite=True)
    assert path.read_text() != "answers"
    with pytest.raises(RunError, match="is the folder of the sources"):
        write_copies("student", sources, sources, overwrite=True)
