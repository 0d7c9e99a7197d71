"""Forms that the gradebooks of Canvas and Moodle import: a row for each student, a column for each notebook.

A roster says which folder belongs to whom. It is what the gradebook itself exports, with the columns of `IDENTITY`. A
column `folder` may name each student's folder; without it, folders are recognized by a login, number, address or name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from randprune_lab.errors import FileError, listed
from randprune_lab.exercises.grades import Grade, book_points, by_student, cell_text, maxima, read_rows
from randprune_lab.files import folded

log = logging.getLogger("randprune_lab")

Lms = Literal["canvas", "moodle"]
FOLDER = "folder"
IDENTITY: dict[Lms, tuple[str, ...]] = {
    "canvas": ("Student", "ID", "SIS User ID", "SIS Login ID", "Section"),
    "moodle": ("First name", "Last name", "Surname", "Username", "ID number", "Email address"),
}
NEEDED: dict[Lms, tuple[str, ...]] = {"canvas": ("Student", "ID", "Section"), "moodle": ("Email address",)}
CALLED = ("Student", "ID", "SIS User ID", "SIS Login ID", "Username", "ID number", "Email address")
MOODLES = "assignsubmission"  # in a folder of Moodle, whose number is of no person
NO_STUDENT = ("points possible", "student, test", "test student")


def gradebook(grades: Sequence[Grade], lms: Lms, roster: str | Path) -> list[list[Any]]:
    """The rows of the form, with a header. Canvas has a row of maximum points below it.

    Students of the roster without a folder keep empty cells, which do not change a gradebook. Folders of nobody in the
    roster, and students without a folder, are logged.

    Args:
        roster: a CSV file.

    Raises:
        FileError: if the roster lacks a column, no folder is of anybody in it, or a folder may be of several.
    """
    people = [
        row
        for _, row in read_rows(roster, NEEDED[lms])
        if row[NEEDED[lms][0]].strip() and row[NEEDED[lms][0]].strip().casefold() not in NO_STUDENT
    ]
    students, books = by_student(grades), maxima(grades)
    owners = _owners([*students], people, NEEDED[lms][0], roster)
    columns = [name for name in IDENTITY[lms] if lms == "canvas" or any(name in row for row in people)]
    rows: list[list[Any]] = [[*columns, *books]]
    if lms == "canvas":
        rows.append(["Points Possible", *[""] * (len(columns) - 1), *books.values()])
    for number, person in enumerate(people):
        own = students.get(owners.get(number, ""), [])
        points = book_points(own)
        rows.append([*(person.get(name, "") for name in columns), *(points.get(book, "") for book in books)])
    return rows


def _owners(folders: Sequence[str], people: Sequence[dict[str, str]], shown: str, roster: str | Path) -> dict[int, str]:
    """The folder of each person who has one, by the person's place in the roster."""
    owners: dict[int, str] = {}
    nobody = []
    for folder in folders:
        found = [number for number, person in enumerate(people) if _named(person) & _names(folder)]
        given = [
            number for number, one in enumerate(people) if _alike(cell_text(one.get(FOLDER, ""))) == _alike(folder)
        ]
        found = given or [number for number in found if not people[number].get(FOLDER)]
        if len(found) > 1 or (found and found[0] in owners):
            several = f"{roster}: folder {folder!r} may be of several students, or is a second one of the same"
            raise FileError(f"{several}; name each folder once in a column {FOLDER!r}")
        owners |= dict.fromkeys(found, folder)
        nobody += [folder] * (not found)
    if not owners:
        raise FileError(
            f"{roster}: no folder of the grades ({listed(folders)}) is of anybody in it; "
            f"add a column {FOLDER!r} with the name of each student's folder"
        )
    if nobody:
        log.warning("%s: nobody has these folders, so they are left out: %s", roster, listed(nobody))
    if missing := [person[shown] for number, person in enumerate(people) if number not in owners]:
        log.warning("%s: without a folder, so their cells stay empty: %s", roster, listed(missing))
    return owners


def _names(folder: str) -> set[str]:
    """The names that a folder may stand for: its own, and the name and number at the beginning of a download's."""
    parts = folder.split("_")
    numbers = [] if MOODLES in parts else [part for part in parts if part.isdigit()][:1]
    return {_alike(name) for name in (folder, parts[0], *numbers)} - {""}


def _named(person: dict[str, str]) -> set[str]:
    """The names that a person may be called by."""
    first, last = person.get("First name", ""), person.get("Last name") or person.get("Surname", "")
    full = f"{first} {last}" if first and last else ""
    return {_alike(name) for name in (*(person.get(column, "") for column in CALLED), full)} - {""}


def _alike(name: str) -> str:
    """The name in the form in which names are compared; macOS writes an umlaut as two characters."""
    return folded(name).strip()
