"""Copies of the exercises: for students without the solutions, for instructors with them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from randprune_lab.errors import RunError
from randprune_lab.exercises.source import SOLUTION, SOURCES, Source, mark, read_sources
from randprune_lab.files import atomic_path

if TYPE_CHECKING:
    from nbformat import NotebookNode

Reader = Literal["student", "instructor"]
STUB = r"\1# YOUR CODE HERE" + "\n" + r'\1raise NotImplementedError("write your answer here, then run the check below")'


def write_copies(
    reader: Reader, out: str | Path, sources: str | Path = SOURCES, only: str | None = None, overwrite: bool = False
) -> list[Path]:
    """Write a copy of each source to the folder `out`.

    Args:
        reader: "student" or "instructor".
        sources: the folder of the sources.
        only: the beginning of the names of the sources; None for all.
        overwrite: replace copies that exist.

    Returns:
        The paths of the copies.

    Raises:
        RunError: if a copy exists and `overwrite` is not set, because it may contain answers; or if `out` is the folder
            of the sources. Nothing is written then.
    """
    import nbformat

    if Path(out).resolve() == Path(sources).resolve():
        raise RunError(f"{out} is the folder of the sources; choose another folder for the copies")
    made = {Path(out) / f"{source.name}.ipynb": COPIES[reader](source) for source in read_sources(sources, only)}
    _check_free([] if overwrite else [*made])
    for path, notebook in made.items():
        with atomic_path(path) as temporary:
            nbformat.write(notebook, temporary)
    return [*made]


def student_copy(source: Source) -> NotebookNode:
    """The notebook without solutions: a line that raises replaces each of them, and all other cells are locked."""
    notebook = copy.deepcopy(source.notebook)
    for cell in notebook.cells:
        if mark(cell).get("solution"):
            cell.source = SOLUTION.sub(STUB, cell.source)
        else:
            cell.metadata |= {"deletable": False, "editable": False}
    return notebook


def instructor_copy(source: Source) -> NotebookNode:
    """The notebook with its solutions, which are collapsed until a click opens them."""
    notebook = copy.deepcopy(source.notebook)
    for cell in notebook.cells:
        if mark(cell).get("solution"):
            cell.source = SOLUTION.sub(lambda found: found[2].rstrip("\n"), cell.source)
            cell.metadata["jupyter"] = {"source_hidden": True}
    return notebook


COPIES = {"student": student_copy, "instructor": instructor_copy}


def _check_free(paths: Sequence[Path]) -> None:
    if taken := [path for path in paths if path.exists()]:
        raise RunError(
            f"{taken[0]} exists and may contain answers ({len(taken)} of {len(paths)} copies exist); "
            "choose another folder, or use --overwrite"
        )
