"""From a source the copies that are handed out: for students without solutions, for instructors with them."""

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
    """Write a copy of each source for this reader to the folder `out`; gives their paths.

    Raises `RunError`, and writes nothing, if one of them exists and `overwrite` is not set: it may hold somebody's
    answers; or if `out` is the folder of the sources.
    """
    import nbformat

    if Path(out).resolve() == Path(sources).resolve():
        raise RunError(f"{out} holds the sources themselves; choose another folder for the copies")
    made = {Path(out) / f"{source.name}.ipynb": COPIES[reader](source) for source in read_sources(sources, only)}
    _check_free([] if overwrite else [*made])
    for path, notebook in made.items():
        with atomic_path(path) as temporary:
            nbformat.write(notebook, temporary)
    return [*made]


def student_copy(source: Source) -> NotebookNode:
    """The notebook without solutions: each is replaced by a line that raises. What is not to be changed is locked."""
    notebook = copy.deepcopy(source.notebook)
    for cell in notebook.cells:
        if mark(cell).get("solution"):
            cell.source = SOLUTION.sub(STUB, cell.source)
        else:
            cell.metadata |= {"deletable": False, "editable": False}
    return notebook


def instructor_copy(source: Source) -> NotebookNode:
    """The notebook with its solutions, folded away until a click opens them."""
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
            f"{taken[0]} exists, and may hold answers ({len(taken)} of {len(paths)} copies exist); "
            "choose another folder, or --overwrite"
        )
