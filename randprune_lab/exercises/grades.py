"""The grades of a class: the rows of all exercises, a table with a row for each student, and forms for gradebooks.

The table of rows is the record. A teacher may correct its points; the other forms are made from it.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError, listed
from randprune_lab.exercises.submissions import one_line
from randprune_lab.files import atomic_path

log = logging.getLogger("randprune_lab")

MISSING = "not submitted"
SEVERAL = " | "  # between the reasons of several parts
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")  # some spreadsheets begin a cell after a semicolon


@dataclass(frozen=True)
class Grade:
    """A row of the grades: the points of one student for one exercise.

    Args:
        student: the name of the student's folder.
        notebook: the name of the notebook.
        exercise, title: the name of the exercise, and its title.
        points: the points of this student.
        out_of: the maximum points.
        failed: the reasons for missing points, between `SEVERAL`; empty if there is none.
    """

    student: str
    notebook: str
    exercise: str
    title: str
    points: float
    out_of: float
    failed: str


def write_grades(path: str | Path, grades: Sequence[Grade]) -> None:
    """Write the rows to a CSV file, with a header. Texts are one line each, and not a formula in a spreadsheet."""
    write_rows(path, [[field.name for field in fields(Grade)], *map(astuple, grades)])


def write_rows(path: str | Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a CSV file. Texts are one line each, and not a formula in a spreadsheet."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([_cell(value) for value in row] for row in rows)


def cell_text(text: str) -> str:
    """A text as a cell has it: one line, and not a formula in a spreadsheet."""
    return FORMULA.sub(r"\1'", SEVERAL.join(map(one_line, text.split(SEVERAL))))


def _cell(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else cell_text(value) if isinstance(value, str) else value


def read_grades(paths: Sequence[str | Path]) -> list[Grade]:
    """The rows of one or more files of grades, which a teacher may have corrected.

    Rows with more points than the maximum are logged: a spreadsheet that takes 2.5 for a date makes 46143 of it.

    Raises:
        FileError: if a file is none of `write_grades`, points are no number, an exercise of a student has two rows, or
            an exercise has two maxima.
    """
    grades: dict[tuple[str, str, str], Grade] = {}
    maximum: dict[tuple[str, str], float] = {}
    for path in paths:
        for line, row in read_rows(path, [field.name for field in fields(Grade)]):
            where = f"{path}, line {line}"
            points, out_of = (_points(where, name, row[name]) for name in ("points", "out_of"))
            if not out_of:
                raise FileError(f"{where}: out_of must be above 0")
            grade = Grade(row["student"], row["notebook"], row["exercise"], row["title"], points, out_of, row["failed"])
            key = grade.student, grade.notebook, grade.exercise
            if key in grades:
                raise FileError(f"{where}: a second row of {' '.join(key)}; keep one")
            if out_of != (first := maximum.setdefault(key[1:], out_of)):
                raise FileError(
                    f"{where}: out_of of {' '.join(key[1:])} is {out_of:g}, and {first:g} in a row before; correct one"
                )
            grades[key] = grade
    if above := [" ".join((*key, f"{one.points:g}")) for key, one in grades.items() if one.points > one.out_of]:
        log.warning("more points than the maximum: %s", listed(above))
    return [*grades.values()]


def read_rows(path: str | Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their lines, without empty ones.

    Columns may be separated by semicolons, as some spreadsheets save them.

    Raises:
        FileError: if the file cannot be read, is no table, lacks one of the needed columns, or has a row with more
            cells than columns.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'save it as CSV in UTF-8'}"
        ) from error
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",", restval="")
    lacking = [name for name in needed if name not in (rows.fieldnames or [])]
    if lacking:
        raise FileError(f"{path} has no column {listed(lacking)}; its columns are {listed(rows.fieldnames or [])}")
    named = []
    for row in rows:
        if any(row.pop(None, [])):  # the cells of no column
            raise FileError(f"{path}, line {rows.line_num}: more cells than columns; write 1.5, or quotes around 1,5")
        if any(row.values()):
            named.append((rows.line_num, row))
    return named


def table(grades: Sequence[Grade]) -> list[list[Any]]:
    """A header, and a row for each student: the points of each exercise, of each notebook, and in all.

    The header has the maximum of each column. A cell is empty where a student has no row.
    """
    students = by_student(grades)
    exercises = list(dict.fromkeys((grade.notebook, grade.exercise, grade.out_of) for grade in grades))
    books = maxima(grades)
    header = [f"{book} {name} (of {out_of:g})" for book, name, out_of in exercises]
    totals = [f"{book} (of {out_of:g})" for book, out_of in books.items()]
    rows: list[list[Any]] = [["student", *header, *totals, f"total (of {sum(books.values()):g})"]]
    for student, own in students.items():
        points = {(grade.notebook, grade.exercise): grade.points for grade in own}
        sums = book_points(own)
        cells = [points.get(key[:2], "") for key in exercises] + [sums.get(book, "") for book in books]
        rows.append([student, *cells, round(sum(points.values()), 2)])
    return rows


def hardest(grades: Sequence[Grade], number: int = 3) -> dict[str, float]:
    """The exercises with the smallest fractions of the points among those who submitted them, and these fractions."""
    points: dict[str, list[float]] = {}
    for grade in grades:
        if grade.failed != MISSING:
            points.setdefault(f"{grade.notebook} {grade.exercise}", []).append(grade.points / grade.out_of)
    fractions = {name: sum(own) / len(own) for name, own in points.items()}
    return dict(sorted(fractions.items(), key=lambda item: item[1])[:number])


def maxima(grades: Sequence[Grade]) -> dict[str, float]:
    """The maximum points of each notebook."""
    exercises = {(grade.notebook, grade.exercise): grade.out_of for grade in grades}
    books = dict.fromkeys((book for book, _ in exercises), 0.0)
    for (book, _), out_of in exercises.items():
        books[book] += out_of
    return books


def book_points(own: Sequence[Grade]) -> dict[str, float]:
    """The points of one student for each notebook."""
    return {
        book: round(sum(grade.points for grade in own if grade.notebook == book), 2)
        for book in dict.fromkeys(grade.notebook for grade in own)
    }


def by_student(grades: Sequence[Grade]) -> dict[str, list[Grade]]:
    """The rows of each student."""
    students: dict[str, list[Grade]] = {}
    for grade in grades:
        students.setdefault(grade.student, []).append(grade)
    return students


def _points(where: str, name: str, text: str) -> float:
    try:
        points = float(text.replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points < math.inf:
        raise FileError(f"{where}: {name} must be a number of at least 0, got {text!r}")
    return points
