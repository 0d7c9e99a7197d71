"""Pages that a report has beside those of its notebooks: the glossary, the answers, and each lesson's exercises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.exercises import read_sources
from randprune_lab.exercises.copies import student_copy
from randprune_lab.files import atomic_path
from randprune_lab.report import notebook as read
from randprune_lab.report.around import Around
from randprune_lab.report.results import NotebookResult

if TYPE_CHECKING:
    from nbformat import NotebookNode

TEXTS = ("glossary", "teaching")
"""The documents in `docs`, beside the folder of the notebooks, that lessons lead to."""
EXERCISES = "exercises"


@dataclass(frozen=True)
class Document:
    """A page that is not the result of a run.

    Args:
        name: the name of the page, without the extension.
        addresses: what lessons and other documents call it.
        notebook: what it shows.
    """

    name: str
    addresses: tuple[str, ...]
    notebook: NotebookNode


def read_documents(notebooks: Path, names: Sequence[str]) -> list[Document]:
    """The documents of a folder of notebooks, for those with these names.

    Raises:
        FileError: if an exercise cannot be read, or lacks a part.
    """
    return [*_texts(notebooks.resolve().parent / "docs", set(names)), *_exercises(notebooks / EXERCISES, names)]


def write_documents(documents: Sequence[Document], names: Sequence[str], out: Path) -> dict[str, str]:
    """Write a page for each document.

    Returns:
        The pages by their addresses, also those of the notebooks with these names.
    """
    from randprune_lab.report.page import render_page

    files = {f"{folder}/{name}.ipynb": f"{name}.html" for folder in ("..", "../notebooks") for name in names}
    files |= {address: f"{document.name}.html" for document in documents for address in document.addresses}
    for document in documents:
        result = NotebookResult(document.name, read.title(document.notebook, document.name))
        with atomic_path(out / result.page) as temporary:
            temporary.write_text(render_page(document.notebook, result, Around(files=files)), encoding="utf-8")
    return files


def _texts(folder: Path, taken: set[str]) -> list[Document]:
    paths = [folder / f"{name}.md" for name in TEXTS if name not in taken]
    return [
        Document(path.stem, (f"../docs/{path.name}", path.name), _notebook_of(path.read_text("utf-8")))
        for path in paths
        if path.is_file()
    ]


def _notebook_of(text: str) -> NotebookNode:
    """A notebook with a cell for the opening, and one for the rest: the contents stand between the two."""
    import nbformat

    opening, heading, rest = text.partition("\n## ")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(part) for part in (opening, heading + rest)])


def _exercises(folder: Path, names: Sequence[str]) -> list[Document]:
    if not any((folder / f"{name}.ipynb").is_file() for name in names):
        return []
    return [
        Document(f"{source.name}-{EXERCISES}", (f"{EXERCISES}/{source.name}.ipynb",), student_copy(source))
        for source in read_sources(folder)
        if source.name in names
    ]
