"""Grading: answers of students run in a kernel, and the checks of the sources run in the grader.

A check calls a student's function through the kernel. It sends plain data, receives plain data, and compares them where
no code of a student runs. `notebooks/exercises/README.md` says what students' code can do.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError, GradingError, check_range
from randprune_lab.exercises.sandbox import AnswerError, Kernel, Stopped, start
from randprune_lab.exercises.source import CHECK, SOURCES, Source, exercise_of, grade_id, read_sources
from randprune_lab.exercises.submissions import Answers, one_line, read_submissions
from randprune_lab.files import atomic_path

log = logging.getLogger("randprune_lab")

MISSING = "not submitted"
ISOLATION = ("bwrap", "unshare", None)
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")  # some spreadsheets begin a cell after a semicolon

Start = Callable[[], AbstractContextManager[Kernel]]


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
    folder: str | Path,
    sources: str | Path = SOURCES,
    only: str | None = None,
    seconds: float = 120,
    isolation: Sequence[str | None] = ISOLATION,
) -> Iterator[list[Grade]]:
    """Grade the submissions in a folder, which has one subfolder for each student.

    A student submits notebooks at any depth of the subfolder; `read_submissions` describes which are graded. A notebook
    is graded for all students if at least one of them submitted it; the others get no points for it. All submissions
    are read before any of them runs.

    Args:
        folder: the folder of the submissions.
        sources: the folder of the sources.
        only: the beginning of the names of the notebooks to grade; None for all.
        seconds: the maximum time of one cell. A cell that takes longer, or stops the kernel, fails only its own
            exercise.
        isolation: what may isolate students' code: "bwrap", "unshare", or None for nothing. The first in which the
            solutions get all points is used.

    Yields:
        The rows of one notebook of one student.

    Raises:
        ConfigError: if `seconds` is not above 0.
        FileError: if no student submitted a notebook of the sources.
        GradingError: if the solutions do not get all points, or a kernel fails before a student's code runs.
    """
    check_range("seconds", seconds, low=0, low_open=True)
    folder, sources = Path(folder), Path(sources)
    known = {source.name: source for source in read_sources(sources, only)}
    others = {path.stem for path in sources.glob("*.ipynb")} - known.keys()
    submitted = read_submissions(folder, known, others)
    names = [name for name in known if any(name in found for found in submitted.values())]
    if not names:
        raise FileError(
            f"{folder} has nothing to grade: expected one subfolder for each student, with notebooks such as "
            f"{folder / 'STUDENT' / next(iter(known))}.ipynb"
        )
    ways = [partial(start, tool=tool, hidden=(folder, sources)) for tool in isolation]
    kernels = {name: _first_that_works(known[name], ways, seconds) for name in names}
    if any(kernel.keywords["tool"] is None for kernel in kernels.values()):
        log.warning("students' code is not isolated here; the README.md of the exercises says what it can do")
    for student, found in submitted.items():
        for name in names:
            answers = found.get(name, MISSING)
            failed = answers if isinstance(answers, str) else run(known[name], answers, kernels[name], seconds)
            yield _rows(student, known[name], failed)


def write_grades(path: str | Path, grades: Sequence[Grade]) -> None:
    """Write the rows to a CSV file, with a header. Texts are one line each, and not a formula in a spreadsheet."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Grade))
        for row in map(astuple, grades):
            writer.writerow(FORMULA.sub(r"\1'", one_line(value)) if isinstance(value, str) else value for value in row)


def run(source: Source, answers: Answers, kernel: Start, seconds: float) -> dict[str, str]:
    """Run the cells of a student and the check of each exercise.

    A cell or a check that takes too long, or stops the kernel, fails its exercise. The others run again without it.

    Args:
        kernel: starts a kernel.
        seconds: the maximum time of a cell, and of the calls in a check.

    Returns:
        The reason of the failure, for each exercise that failed.

    Raises:
        GradingError: if the kernel does not start, or a cell for all exercises fails.
    """
    results: dict[str, str] = {}
    stopped: set[str] = set()
    while True:
        with kernel() as started:
            names = _set_up(source, started)
            for name in ("", *(exercise.name for exercise in source.exercises)):
                try:
                    error = _run_cells(started, [] if name in stopped else answers.get(name, []), seconds)
                    if name and name not in results:
                        started.begin(seconds)
                        wrong = _check(source, name, started, names)
                        results[name] = wrong and (error or wrong)
                except Stopped as reason:
                    stopped.add(name)
                    results[name] = str(reason)
                    break
            else:
                return {name: reason for name, reason in results.items() if name and reason}


def _first_that_works(source: Source, ways: Sequence[partial[Any]], seconds: float) -> partial[Any]:
    """The first way to start a kernel in which the solutions of a source get all points."""
    solutions = {exercise.name: [_cell(source, exercise.name)] for exercise in source.exercises}
    reasons = []
    for kernel in ways:
        try:
            failed = run(source, solutions, kernel, seconds)
        except GradingError as error:
            reasons.append(str(error))
        else:
            if not failed:
                return kernel
            reasons.append("the solution of {} fails: {}".format(*next(iter(failed.items()))))
    raise GradingError(f"cannot grade {source.name} here: {reasons[-1]}")


def _set_up(source: Source, kernel: Kernel) -> dict[str, Any]:
    """Run the cells for all exercises in the kernel, and here. Returns the names that checks use."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in source.notebook.cells:
        if cell.cell_type == "code" and not exercise_of(cell):
            try:
                kernel.run(cell.source)
                exec(cell.source, names)
            except (Exception, Stopped) as error:
                raise GradingError(f"{source.name}, cell {grade_id(cell)}: {_reason(error)}") from error
    return names


def _run_cells(kernel: Kernel, cells: Sequence[str], seconds: float) -> str:
    """Run all cells. Returns the first error, if there is one."""
    errors = []
    for cell in cells:
        kernel.begin(seconds)
        try:
            kernel.run(cell)
        except Exception as error:
            errors.append(_reason(error))
    return errors[0] if errors else ""


def _check(source: Source, exercise: str, kernel: Kernel, names: dict[str, Any]) -> str:
    """Run the check of an exercise here, with functions that are called in the kernel. Returns what is wrong."""
    functions = re.findall(r"^def (\w+)", _cell(source, exercise), re.MULTILINE)
    try:
        exec(_cell(source, exercise + CHECK), names | {name: partial(kernel.call, name) for name in functions})
    except Exception as error:
        return _reason(error)
    return ""


def _cell(source: Source, name: str) -> str:
    return next(cell.source for cell in source.notebook.cells if grade_id(cell) == name)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, AnswerError | Stopped) else f"{type(error).__name__}: {error}"


def _rows(student: str, source: Source, failed: str | dict[str, str]) -> list[Grade]:
    """The rows of a notebook, from the reason of each failure, or one reason for all."""
    rows = []
    for exercise in source.exercises:
        reason = one_line(failed if isinstance(failed, str) else failed.get(exercise.name, ""))
        about = (one_line(student), source.name, exercise.name, exercise.title)
        rows.append(Grade(*about, 0 if reason else exercise.points, exercise.points, reason))
    return rows
