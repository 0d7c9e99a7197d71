"""Grading: answers of students run in a kernel, and the checks of the sources run in the grader.

A check calls a student's function through the kernel. It sends plain data, receives plain data, and compares them where
no code of a student runs. `notebooks/exercises/README.md` says what students' code can do.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError, GradingError, check_range
from randprune_lab.exercises.check import ExerciseError
from randprune_lab.exercises.grades import MISSING, SEVERAL, Grade
from randprune_lab.exercises.sandbox import AnswerError, Kernel, Stopped, start
from randprune_lab.exercises.source import CHECK, SOURCES, Source, exercise_of, grade_id, read_sources
from randprune_lab.exercises.submissions import Answers, one_line, read_submissions

log = logging.getLogger("randprune_lab")

ISOLATION = ("bwrap", "unshare", None)
COMPARISONS = ("expect", "choice")

Start = Callable[[], AbstractContextManager[Kernel]]


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an answer.

    Args:
        reason: a message for each part that is wrong, between `SEVERAL`.
        right: the fraction of the parts that are right.
    """

    reason: str
    right: float = 0.0


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
    are read before any of them runs. Points are given for each part of an exercise, rounded to hundredths.

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


def run(source: Source, answers: Answers, kernel: Start, seconds: float) -> dict[str, Wrong]:
    """Run the cells of a student and the check of each exercise.

    Each comparison of a check is a part, and all parts have equal points. `parts_of` says what a comparison is.

    A cell or a check that takes too long, or stops the kernel, fails its exercise. The others run again without it.

    Args:
        kernel: starts a kernel.
        seconds: the maximum time of a cell, and of the calls in a check.

    Returns:
        What is wrong, for each exercise that is not all right.

    Raises:
        GradingError: if the kernel does not start, or a cell for all exercises fails.
    """
    results: dict[str, Wrong | None] = {}
    stopped: set[str] = set()
    while True:
        with kernel() as started:
            names = _set_up(source, started)
            for name in ("", *(exercise.name for exercise in source.exercises)):
                try:
                    error = _run_cells(started, [] if name in stopped else answers.get(name, []), seconds)
                    if name and name not in results:
                        started.begin(seconds)
                        wrong = check_answer(source, name, started, names)
                        results[name] = wrong and Wrong(_with_error(wrong.reason, error), wrong.right)
                except Stopped as reason:
                    stopped.add(name)
                    results[name] = Wrong(str(reason))
                    break
            else:
                return {name: wrong for name, wrong in results.items() if name and wrong}


def parts_of(check: str) -> list[list[ast.stmt]]:
    """The parts of a check: the lines up to each comparison, and the comparison.

    A comparison is a call of `expect` or `choice`, or an `assert`; a loop of them is one. A check without any is one
    part. Lines after the last comparison belong to no part.
    """
    parts: list[list[ast.stmt]] = [[]]
    for line in ast.parse(check).body:
        parts[-1].append(line)
        if not isinstance(line, ast.FunctionDef) and any(map(_compares, ast.walk(line))):
            parts.append([])
    return parts[:-1] or parts


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
            reasons.append(
                "the solution of {} fails: {}".format(*next((name, wrong.reason) for name, wrong in failed.items()))
            )
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


def _with_error(reason: str, error: str) -> str:
    """The reasons of a check and the error of a cell, in place of the names that are missing because of it."""
    if not error:
        return reason
    reasons = [one for one in reason.split(SEVERAL) if not one.startswith(f"{NameError.__name__}: ")]
    return SEVERAL.join(dict.fromkeys([*reasons, error]))


def check_answer(source: Source, exercise: str, kernel: Kernel, names: dict[str, Any]) -> Wrong | None:
    """Run the check of an exercise here. Functions are called in the kernel, and other answers come from it."""
    functions = re.findall(r"^def (\w+)", _cell(source, exercise), re.MULTILINE)
    try:
        answers = {exercise: kernel.value(exercise)} if exercise not in functions else {}
    except Exception as error:
        return Wrong(_reason(error))
    own = names | answers | {name: partial(kernel.call, name) for name in functions} | {"passed": lambda points: None}
    parts, lost = parts_of(_cell(source, exercise + CHECK)), dict[str, str]()
    reasons = [_run_part(part, own, lost) for part in parts]
    if not any(reasons):
        return None
    return Wrong(SEVERAL.join(dict.fromkeys(filter(None, reasons))), reasons.count("") / len(parts))


def _run_part(part: Sequence[ast.stmt], names: dict[str, Any], lost: dict[str, str]) -> str:
    """Run all lines of a part. Returns the first reason of a failure; empty if there is none.

    Args:
        lost: the names that lines before did not define because they failed, with the reasons.
    """
    reasons = []
    for line in part:
        try:
            exec(compile(ast.Module([line], []), "check", "exec"), names)
        except Exception as error:
            reasons.append(lost.get(error.name or "", "") if isinstance(error, NameError) else "")
            reasons[-1] = reasons[-1] or _reason(error)
            for node in ast.walk(line):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.pop(node.id, None)
                    lost[node.id] = reasons[-1]
    return reasons[0] if reasons else ""


def _compares(node: ast.AST) -> bool:
    called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    return called in COMPARISONS or isinstance(node, ast.Assert)


def _cell(source: Source, name: str) -> str:
    return next(cell.source for cell in source.notebook.cells if grade_id(cell) == name)


def _reason(error: BaseException) -> str:
    told = isinstance(error, AnswerError | ExerciseError | Stopped)
    return str(error) if told else f"{type(error).__name__}: {error}"


def _rows(student: str, source: Source, failed: str | dict[str, Wrong]) -> list[Grade]:
    """The rows of a notebook, from what is wrong with each exercise, or one reason for all."""
    rows = []
    for exercise in source.exercises:
        wrong = Wrong(failed) if isinstance(failed, str) else failed.get(exercise.name, Wrong("", 1.0))
        reason = SEVERAL.join(map(one_line, wrong.reason.split(SEVERAL)))
        about = (one_line(student), source.name, exercise.name, exercise.title)
        rows.append(Grade(*about, round(wrong.right * exercise.points, 2), exercise.points, reason))
    return rows
