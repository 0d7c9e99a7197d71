"""Reading a notebook for the report: its title, parameters, key figures, thumbnail and failed cell."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.report.key_figures import MIMETYPE, KeyFigure
from randprune_lab.report.results import CellFailure

if TYPE_CHECKING:
    from nbformat import NotebookNode

THUMBNAIL_SIZE = (720, 540)  # pixels: twice the size in the index, for high-resolution screens


def load(path: Path) -> NotebookNode:
    """A notebook from a file, as a valid one of format 4.

    Raises:
        FileError: if it cannot be read, or is not valid.
    """
    import nbformat

    try:
        if not path.is_file():
            raise FileError("it is no plain file")
        text = path.read_text("utf-8")
        content = json.loads(text)
        if not isinstance(content, dict) or "nbformat" not in content:
            raise ValueError("it has no field nbformat")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without an id get one
            notebook = nbformat.convert(nbformat.reader.reads(text), 4)
            nbformat.validate(notebook, relax_add_props=True)
        json.dumps(notebook, ensure_ascii=False).encode("utf-8")  # halves of characters cannot be written
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


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """The notebook, changed in place, without what an earlier run has shown."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    return notebook


def title(notebook: NotebookNode, default: str) -> str:
    """The first Markdown heading without its markup, or `default` if there is none."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^#{1,6}\s+(.+?)\s*#*$", text, flags=re.MULTILINE)
    return re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", heading[1]) if heading else default


def parameter_names(notebook: NotebookNode) -> set[str]:
    """The names that the cell tagged `parameters` assigns; none if there is no such cell.

    Raises:
        ConfigError: if that cell is not valid Python.
    """
    cells = [cell for cell in notebook.cells if "parameters" in _tags(cell)]
    try:
        statements = ast.parse(cells[0].source).body if cells else []
    except SyntaxError as error:
        raise ConfigError(
            f"the cell tagged `parameters` must have plain assignments such as seed = 0, got {error.text!r}"
        ) from error
    assigned = [target for statement in statements for target in _targets(statement)]
    return {target.id for target in assigned if isinstance(target, ast.Name)}


def key_figures(notebook: NotebookNode) -> dict[str, KeyFigure]:
    """The key figures that the executed notebook recorded, in their order.

    Raises:
        ConfigError: if one of them is none.
    """
    recorded = [figure for _, data in _outputs(notebook) for figure in data.get(MIMETYPE, [])]
    return {figure.name: figure for figure in map(_key_figure, recorded)}


def _key_figure(recorded: Any) -> KeyFigure:
    try:
        return KeyFigure(**recorded)
    except TypeError as error:
        raise ConfigError(f"a key figure must have a name, a value and known fields, got {recorded!r}") from error


def thumbnail(notebook: NotebookNode) -> bytes | None:
    """A small PNG of the first figure in a cell tagged `thumbnail`, or of the first figure; None without figures."""
    figures = [(cell, data["image/png"]) for cell, data in _outputs(notebook) if "image/png" in data]
    if not figures:
        return None
    # False sorts before True, and figures that compare equal keep their order.
    _, encoded = min(figures, key=lambda figure: "thumbnail" not in _tags(figure[0]))
    return _shrink(base64.b64decode(encoded))


def failure(notebook: NotebookNode, error: str, message: str) -> CellFailure:
    """The failure of a notebook that an error stopped, at the last cell that began to run."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    begun = sum(bool(cell.metadata.get("papermill", {}).get("start_time")) for cell in cells)
    return CellFailure(begun, error, message)


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _outputs(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, dict[str, Any]]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                yield cell, output.data


def _shrink(png: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        image.thumbnail(THUMBNAIL_SIZE)
        smaller = io.BytesIO()
        image.save(smaller, format="PNG", optimize=True)
    return smaller.getvalue()
