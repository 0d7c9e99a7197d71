"""Grading: the answers of students are run with the checks of the source, not with the checks in their copies.

The code of students runs like any other program. Grade where that is acceptable, such as in a container, or in an
account that has nothing else.
"""

from __future__ import annotations

import copy
import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import ConfigError, FileError, check_range
from randprune_lab.exercises.source import CHECK, SOURCES, Exercise, Source, exercise_of, mark, read_notebook
from randprune_lab.exercises.source import read_sources as read_all
from randprune_lab.files import atomic_path

if TYPE_CHECKING:
    from nbformat import NotebookNode

MISSING = "not submitted"


@dataclass(frozen=True)
class Grade:
    """A row of the grades: the points of one student for one exercise.

    Args:
        student: the name of the student's folder.
        notebook: the name of the notebook.
        exercise, title: the name of the exercise, and its title.
        points: the points of this student.
        out_of: the maximum points.
        failed: the reason for missing points; empty if there is none.
    """

    student: str
    notebook: str
    exercise: str
    title: str
    points: float
    out_of: float
    failed: str


def grade(
    folder: str | Path, sources: str | Path = SOURCES, only: str | None = None, seconds: float = 120
) -> Iterator[list[Grade]]:
    """Grade the submissions in a folder, which has one subfolder for each student.

    A student submits notebooks with the names of the sources, at any depth of the subfolder. A notebook is graded for
    all students if at least one of them submitted it; the others get no points for it.

    Args:
        folder: the folder of the submissions.
        sources: the folder of the sources.
        only: the beginning of the names of the notebooks to grade; None for all.
        seconds: the maximum time of one cell. A cell that takes longer, or stops the kernel, fails only its own
            exercise.

    Yields:
        The rows of one notebook of one student.

    Raises:
        ConfigError: if `seconds` is not above 0, or a student submitted two notebooks with the same name.
        FileError: if no student submitted a notebook with the name of a source.
    """
    check_range("seconds", seconds, low=0, low_open=True)
    known = {source.name: source for source in read_all(sources, only)}
    students = sorted(path for path in Path(folder).glob("*") if path.is_dir() and not path.name.startswith("."))
    submitted = {student: _find(student, known) for student in students}
    names = sorted(set().union(*submitted.values()))
    if not names:
        raise FileError(
            f"{folder} has nothing to grade: expected one subfolder for each student, with notebooks such as "
            f"{Path(folder) / 'STUDENT' / next(iter(known))}.ipynb"
        )
    for student, paths in submitted.items():
        for name in names:
            yield _grade_one(student.name, known[name], paths.get(name), seconds)


def write_grades(path: str | Path, grades: Sequence[Grade]) -> None:
    """Write the rows to a CSV file, with a header."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Grade))
        writer.writerows(map(_row, grades))


def restore(source: Source, submission: NotebookNode) -> NotebookNode:
    """The source with a student's answers in place of its solutions.

    Cells that the student added stay after the answer that they follow. Everything else is from the source.
    """
    answers: dict[str, list[NotebookNode]] = {}
    name = ""
    for cell in submission.cells:
        name = exercise_of(cell) or name
        if cell.cell_type == "code" and (mark(cell).get("solution") or not mark(cell)):
            answers.setdefault(name, []).append(_of(name, cell))
    notebook = copy.deepcopy(source.notebook)
    notebook.cells = []
    for cell in source.notebook.cells:
        notebook.cells += (
            answers.get(exercise_of(cell), []) if mark(cell).get("solution") else [_of(exercise_of(cell), cell)]
        )
    return notebook


def run(notebook: NotebookNode, exercises: Sequence[Exercise], seconds: float) -> dict[str, str]:
    """Run a restored notebook.

    A cell that never ends, or that stops the kernel, fails its exercise; the others are run again without it.

    Returns:
        The reason of the failure, for each exercise that failed.
    """
    stopped: dict[str, str] = {}
    while True:
        attempt = copy.deepcopy(notebook)
        attempt.cells = [cell for cell in attempt.cells if cell.metadata["exercise"] not in stopped]
        error = _execute(attempt, seconds)
        if error is None:
            return stopped | _failures(attempt)
        name, reason = error
        if not name:  # in a cell for all exercises: none can be run
            return {exercise.name: reason for exercise in exercises}
        stopped[name] = reason


def _grade_one(student: str, source: Source, path: Path | None, seconds: float) -> list[Grade]:
    try:
        failed = {exercise.name: MISSING for exercise in source.exercises}
        if path is not None:
            failed = run(restore(source, read_notebook(path)), source.exercises, seconds)
    except FileError as error:
        failed = {exercise.name: str(error) for exercise in source.exercises}
    return [
        Grade(
            student,
            source.name,
            exercise.name,
            exercise.title,
            0 if exercise.name in failed else exercise.points,
            exercise.points,
            failed.get(exercise.name, ""),
        )
        for exercise in source.exercises
    ]


def _find(student: Path, known: Mapping[str, Source]) -> dict[str, Path]:
    """The notebooks of one student, by name.

    Raises:
        ConfigError: if two notebooks have the same name, because only one can be graded.
    """
    found: dict[str, Path] = {}
    for path in sorted(student.rglob("*.ipynb")):
        if path.stem not in known or any(part.startswith(".") for part in path.relative_to(student).parts):
            continue
        if path.stem in found:
            raise ConfigError(f"{student.name} submitted both {found[path.stem]} and {path}; remove one of them")
        found[path.stem] = path
    return found


def _of(exercise: str, cell: NotebookNode) -> NotebookNode:
    """The cell with the name of its exercise, and without earlier outputs."""
    own = copy.deepcopy(cell)
    own.metadata["exercise"] = exercise
    if own.cell_type == "code":
        own.outputs, own.execution_count = [], None
    return own


def _execute(notebook: NotebookNode, seconds: float) -> tuple[str, str] | None:
    """Run all cells in place, including those after a failed one.

    Returns:
        The exercise that stopped the run and the reason; None if all cells were run.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError

    begun = ""

    def note(cell: Any, **_: Any) -> None:
        nonlocal begun
        begun = cell.metadata["exercise"]

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=seconds,
            kernel_name="python3",  # this environment's kernel, not the one that the notebook was saved with
            allow_errors=True,
            resources={"metadata": {"path": folder}},
            on_cell_start=note,
            extra_arguments=["--log-level=CRITICAL"],
        )
        try:
            client.execute()
        except CellTimeoutError:
            return begun, f"took longer than {seconds:g} seconds"
        except Exception as error:  # a kernel that died, or did not start
            return begun, f"stopped the kernel ({type(error).__name__})"
    return None


def _failures(executed: NotebookNode) -> dict[str, str]:
    """The first error of each exercise whose check raised or was not run."""
    errors: dict[str, list[str]] = {}
    passed = set()
    for cell in executed.cells:
        name = cell.metadata["exercise"]
        found = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        errors.setdefault(name, []).extend(f"{error.ename}: {error.evalue}" for error in found)
        if mark(cell).get("grade_id") == f"{name}{CHECK}" and cell.execution_count is not None and not found:
            passed.add(name)
    return {name: (found or ["was not run"])[0] for name, found in errors.items() if name and name not in passed}


def _row(grade: Grade) -> tuple[Any, ...]:
    return tuple(" ".join(value.split()) if isinstance(value, str) else value for value in astuple(grade))
