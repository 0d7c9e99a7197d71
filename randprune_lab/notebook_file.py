"""Files of Jupyter notebooks: their types are checked before anything looks into them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from randprune_lab.errors import FileError
from randprune_lab.files import check_plain
from randprune_lab.typed import typed

if TYPE_CHECKING:
    from nbformat import NotebookNode


def _joined(source: Any) -> Any:
    """A text that may be written as a list of its lines."""
    lines = isinstance(source, list) and all(isinstance(line, str) for line in source)
    return "".join(source) if lines else source


Kind = Literal["code", "markdown", "raw"]
Text = Annotated[str, BeforeValidator(_joined)]


class Cell(TypedDict):
    """A cell, as far as the answers of a student need it: a strange mark of one cell leaves the others readable."""

    cell_type: Kind
    source: Text
    metadata: NotRequired[Any]
    outputs: NotRequired[Any]


class _Cells(TypedDict):
    cells: list[Cell]


class _Metadata(TypedDict):
    tags: NotRequired[list[str]]


class _FullCell(TypedDict):
    cell_type: Kind
    source: Text
    metadata: _Metadata
    outputs: NotRequired[list[dict[str, Any]]]


class _Version(TypedDict):
    nbformat: int


class _Notebook(_Version):
    nbformat_minor: int
    metadata: dict[str, Any]
    cells: list[_FullCell]


def cells_of(content: bytes) -> list[Cell]:
    """The cells of a notebook of format 4 that may be incomplete otherwise.

    Raises:
        ValueError: if the content is not JSON, or a cell has no kind or no text; the message has its place.
        RecursionError: if it is nested too deeply.
    """
    notebook: _Cells = typed(_Cells, json.loads(content.decode("utf-8-sig")), strict=True)
    return notebook["cells"]


def read_notebook(path: Path) -> NotebookNode:
    """A notebook from a file, as a valid one of format 4.

    Raises:
        FileError: if it cannot be read, or is not valid; the message has the place.
    """
    import nbformat

    try:
        check_plain("notebook", path)
        content = json.loads(path.read_text("utf-8-sig"))
        typed(_Notebook if typed(_Version, content, strict=True)["nbformat"] == 4 else _Version, content, strict=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without an id get one
            notebook = nbformat.convert(nbformat.reader.reads(json.dumps(content)), 4)
            nbformat.validate(notebook, relax_add_props=True)
        json.dumps(notebook, ensure_ascii=False).encode("utf-8")  # halves of characters cannot be written
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read notebook {path}: {error.strerror or error}") from error
    except Exception as error:  # nbformat raises many types
        where = ".".join(map(str, getattr(error, "absolute_path", ())))
        reason = " ".join((getattr(error, "message", "") or str(error) or type(error).__name__).split())[:200]
        raise FileError(
            f"{path} is no valid notebook ({f'{where}: ' if where else ''}{reason}); save it again in JupyterLab, or "
            "remove it"
        ) from error
    return notebook
