"""The grades of a class: the rows of all exercises, a table with a row for each student, and forms for gradebooks.

The table of rows is the record. A teacher may correct its points; the other forms are made from it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from randprune_lab.exercises.submissions import one_line
from randprune_lab.files import atomic_path

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


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, str):
        return value
    return FORMULA.sub(r"\1'", SEVERAL.join(map(one_line, value.split(SEVERAL))))
