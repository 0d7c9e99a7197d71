"""The source of exercises: a notebook in nbgrader's format, with the solutions between two marks.

An exercise called `name` has three cells with these `grade_id`s: `name-text` (title, difficulty, minutes, task, and a
collapsed hint), `name` (the solution), and `name-check` (code that raises if the answer is wrong; it has the points).
All other cells are for all exercises; usually these are the imports. `notebooks/exercises/README.md` is the guide for
authors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import FileError, unknown_name
from randprune_lab.notebook_file import read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

SOURCES = Path("notebooks/exercises")
TEXT, CHECK = "-text", "-check"
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name, title, difficulty, time and points."""

    name: str
    title: str
    stars: int  # 1 is easy, 3 is hard
    minutes: int
    points: float


@dataclass(frozen=True)
class Source:
    """The exercises that belong to one notebook of the course, with their solutions."""

    name: str  # the name of the notebook, such as `01_pruning`
    notebook: NotebookNode
    exercises: tuple[Exercise, ...]


def read_sources(folder: str | Path = SOURCES, only: str | None = None) -> list[Source]:
    """The sources in a folder.

    Args:
        only: the beginning of the names of the sources; None for all.

    Raises:
        FileError: if there are no sources, or an exercise lacks a part.
        UnknownNameError: if no source has such a name.
    """
    paths = sorted(Path(folder).glob("*.ipynb"))
    if not paths:
        raise FileError(f"no exercises (*.ipynb) in {Path(folder).absolute()}; give their folder with --sources")
    chosen = [path for path in paths if path.stem.startswith(only or "")]
    if not chosen:
        raise unknown_name("exercise notebook", str(only), [path.stem for path in paths])
    return [Source(path.stem, notebook := read_notebook(path), _exercises(path, notebook)) for path in chosen]


def mark(cell: Mapping[str, Any]) -> dict[str, Any]:
    """nbgrader's metadata of a cell; empty for a cell that a student added."""
    metadata = cell.get("metadata")
    marked = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return dict(marked) if isinstance(marked, dict) else {}


def grade_id(cell: Mapping[str, Any]) -> str:
    """The name of a marked cell; empty for other cells."""
    name = mark(cell).get("grade_id")
    return name if isinstance(name, str) else ""


def exercise_of(cell: Mapping[str, Any]) -> str:
    """The name of the exercise that a marked cell belongs to; empty if it belongs to none."""
    name = grade_id(cell)
    of_all = not (name.endswith((TEXT, CHECK)) or mark(cell).get("solution"))
    return "" if of_all else name.removesuffix(TEXT).removesuffix(CHECK)


def _exercises(path: Path, notebook: NotebookNode) -> tuple[Exercise, ...]:
    cells = {grade_id(cell): cell for cell in notebook.cells}
    if len(cells) < len(notebook.cells) or "" in cells:
        raise FileError(f"{path}: every cell needs its own grade_id; see the README.md in its folder")
    names = [name for name, cell in cells.items() if mark(cell).get("solution")]
    stray = {exercise_of(cell) for cell in notebook.cells} - {"", *names}
    if stray or not names:
        raise FileError(
            f"{path}: no cell has the solution of {', '.join(sorted(stray)) or 'an exercise'}; "
            "mark its cell with solution: true in nbgrader's metadata"
        )
    return tuple(_exercise(f"{path}, exercise {name}", name, cells) for name in names)


def _exercise(where: str, name: str, cells: dict[str, NotebookNode]) -> Exercise:
    for part in (f"{name}{TEXT}", f"{name}{CHECK}"):
        if part not in cells:
            raise FileError(f"{where}: a cell with the grade_id {part!r} is missing")
        if not mark(cells[part]).get("locked"):
            raise FileError(f"{where}: cell {part!r} must be locked; set locked: true in nbgrader's metadata")
    text = cells[f"{name}{TEXT}"].source
    title = re.search(r"^## (?:\d+\. )?(.+)$", text, re.MULTILINE)
    effort = re.search(r"^(★{1,3})☆* · (\d+) minutes$", text, re.MULTILINE)
    points: Any = mark(cells[f"{name}{CHECK}"]).get("points")
    required = {
        "a heading, ## Title": title,
        "a line with difficulty and time, ★★☆ · 10 minutes": effort,
        "a collapsed hint, <details><summary>Hint</summary>": "<details><summary>Hint</summary>" in text,
        "a solution between ### BEGIN SOLUTION and ### END SOLUTION": SOLUTION.search(cells[name].source),
        "points above 0 in its check": isinstance(points, int | float) and 0 < points < math.inf,
    }
    for what, found in required.items():
        if not found:
            raise FileError(f"{where}: expected {what}; none found")
    assert title and effort, "checked above"
    return Exercise(name, title[1], len(effort[1]), int(effort[2]), points)
