"""Plumbing: cells that a lesson needs and its reader does not, such as imports. On a page their code is folded."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

TAG = "plumbing"
KINDS = {
    "parameters": "parameters",
    "imports": "imports",
    "settings": "settings",
    "explorer": "this explorer",
    "prediction": "this prediction",
    "key-figures": "key figures",
}
"""What a reader is told about folded code, by the other tag of its cell."""


def fold(notebook: NotebookNode) -> NotebookNode:
    """A copy of the notebook in which neighbouring plumbing cells are one cell; `metadata.folded` says what it has.

    A row of cells ends at the first that shows something, so that all code stays above what it shows.
    """
    folded = copy.copy(notebook)
    folded.cells = [_joined(row) for row in _rows(notebook.cells)]
    return folded


def is_plumbing(cell: NotebookNode) -> bool:
    """Whether a page folds the code of this cell: it has the tag, and it did not fail."""
    failed = any(output.get("output_type") == "error" for output in cell.get("outputs", []))
    return cell.cell_type == "code" and TAG in cell.metadata.get("tags", []) and not failed


def _rows(cells: Sequence[NotebookNode]) -> Iterator[list[NotebookNode]]:
    row: list[NotebookNode] = []
    for cell in cells:
        if row and (row[-1].outputs or not is_plumbing(cell)):
            yield row
            row = []
        if is_plumbing(cell):
            row.append(cell)
        else:
            yield [cell]
    if row:
        yield row


def _joined(row: Sequence[NotebookNode]) -> NotebookNode:
    """One cell with the code of all and the outputs of the last."""
    cell = copy.copy(row[-1])
    cell.metadata = copy.copy(cell.metadata)
    cell.metadata.pop("folded", None)
    if is_plumbing(cell):
        cell.source = "\n\n".join(one.source for one in row)
        kinds = dict.fromkeys(kind for one in row for kind in _kinds(one))
        lines = count_lines(cell)
        cell.metadata.folded = f"Code: {', '.join(kinds)} ({lines} line{'s' if lines != 1 else ''})"
    return cell


def count_lines(cell: NotebookNode) -> int:
    """The lines of a cell that are not empty."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def _kinds(cell: NotebookNode) -> list[str]:
    return [kind for tag, kind in KINDS.items() if tag in cell.metadata.tags] or ["set-up"]
