"""Grading: what students handed in is run with the checks of the source, whatever they made of theirs.

The code of students runs here as any program does. Grade where that is acceptable: in a container, on an account
that holds nothing else.
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

MISSING = "not handed in"


@dataclass(frozen=True)
class Grade:
    """A row of the grades: what one student has for one exercise, and why not more."""

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
    """Grade what lies in `folder`, one subfolder for each student; yields the rows of one notebook at a time.

    A student hands in notebooks with the names of the sources, at any depth of the subfolder. Graded are the notebooks
    that anybody handed in; those who did not have no points for them.

    Args:
        only: grade only notebooks whose name begins so.
        seconds: that one cell may take. What takes longer, or stops the kernel, costs this exercise alone.

    Raises `FileError` if `folder` has no subfolder, or no subfolder a notebook of that name.
    """
    check_range("seconds", seconds, low=0, low_open=True)
    known = {source.name: source for source in read_all(sources, only)}
    students = sorted(path for path in Path(folder).glob("*") if path.is_dir() and not path.name.startswith("."))
    handed_in = {student: _find(student, known) for student in students}
    names = sorted(set().union(*handed_in.values()))
    if not names:
        raise FileError(
            f"{folder} holds nothing to grade: expected {Path(folder) / 'STUDENT' / next(iter(known))}.ipynb "
            "or the like, with one subfolder for each student"
        )
    for student, paths in handed_in.items():
        for name in names:
            yield _grade_one(student.name, known[name], paths.get(name), seconds)


def write_grades(path: str | Path, grades: Sequence[Grade]) -> None:
    """Write the rows as CSV, with a header."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Grade))
        writer.writerows(map(_row, grades))


def restore(source: Source, submission: NotebookNode) -> NotebookNode:
    """The source with a student's answers in the place of its solutions.

    Cells that the student added stay behind the answer that they follow. All else is the source's, word for word.
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
    """Execute a restored notebook; gives what failed, by exercise.

    A cell without an end, or one that stops the kernel, fails its exercise. The others are run anew without it.
    """
    stopped: dict[str, str] = {}
    while True:
        attempt = copy.deepcopy(notebook)
        attempt.cells = [cell for cell in attempt.cells if cell.metadata["exercise"] not in stopped]
        error = _execute(attempt, seconds)
        if error is None:
            return stopped | _failures(attempt)
        name, reason = error
        if not name:  # before the first exercise: none can be run
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
    """The notebooks of one student. Raises `ConfigError` if there are two of a name: which one counts?"""
    found: dict[str, Path] = {}
    for path in sorted(student.rglob("*.ipynb")):
        if path.stem not in known or any(part.startswith(".") for part in path.relative_to(student).parts):
            continue
        if path.stem in found:
            raise ConfigError(f"{student.name} handed in both {found[path.stem]} and {path}; remove one")
        found[path.stem] = path
    return found


def _of(exercise: str, cell: NotebookNode) -> NotebookNode:
    """The cell, with a note of the exercise it belongs to and without a former run."""
    own = copy.deepcopy(cell)
    own.metadata["exercise"] = exercise
    if own.cell_type == "code":
        own.outputs, own.execution_count = [], None
    return own


def _execute(notebook: NotebookNode, seconds: float) -> tuple[str, str] | None:
    """Run all cells in place, failing ones too; gives the exercise that stopped it and why, or None."""
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
            kernel_name="python3",  # the environment's own, whatever the notebook was saved with
            allow_errors=True,
            resources={"metadata": {"path": folder}},
            on_cell_start=note,
            extra_arguments=["--log-level=CRITICAL"],
        )
        try:
            client.execute()
        except CellTimeoutError:
            return begun, f"took longer than {seconds:g} seconds"
        except Exception as error:  # a kernel that died, or that never began
            return begun, f"stopped the kernel ({type(error).__name__})"
    return None


def _failures(executed: NotebookNode) -> dict[str, str]:
    """The first error of each exercise whose check raised, or did not run at all."""
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
