"""Reading a notebook for the report: its title, parameters, key figures, thumbnail and failed cell."""

from __future__ import annotations

import ast
import base64
import io
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from randprune_lab.errors import ConfigError
from randprune_lab.report.key_figures import MIMETYPE, KeyFigure
from randprune_lab.report.plumbing import count_lines, is_plumbing
from randprune_lab.report.results import CellFailure, Thumbnail
from randprune_lab.typed import record_of, typed

if TYPE_CHECKING:
    from nbformat import NotebookNode

THUMBNAIL_SIZE = (720, 960)  # pixels: twice the size in the index, for high-resolution screens
COLOURS = 64  # of a thumbnail: a third of the size, and looks the same


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
    figures = {}
    for _, output in _outputs(notebook):
        for recorded in typed(list[record_of(KeyFigure)], output.data.get(MIMETYPE, []), "key figures", strict=True):  # type: ignore[misc]
            figures[recorded["name"]] = KeyFigure(**recorded)
    return figures


def thumbnail(notebook: NotebookNode) -> Thumbnail | None:
    """A small PNG of the first figure in a cell tagged `thumbnail`, or of the first figure; None without figures."""
    figures = [(cell, output) for cell, output in _outputs(notebook) if "image/png" in output.data]
    if not figures:
        return None
    # False sorts before True, and figures that compare equal keep their order.
    _, output = min(figures, key=lambda figure: "thumbnail" not in _tags(figure[0]))
    return Thumbnail(_shrink(base64.b64decode(output.data["image/png"])), described(output))


def figure_times(notebook: NotebookNode) -> tuple[float, float] | None:
    """The seconds from the first cell's start until the first figure is there, and until the last; None without any.

    A figure is there when its cell has ended. papermill notes when a cell began and ended.
    """
    started = [cell.metadata.get("papermill", {}).get("start_time") for cell in notebook.cells]
    ends = [
        cell.metadata.get("papermill", {}).get("end_time") for cell, output in _outputs(notebook) if _is_figure(output)
    ]
    if not any(started) or not any(ends):
        return None
    first = min(datetime.fromisoformat(time) for time in started if time)
    seconds = [(datetime.fromisoformat(time) - first).total_seconds() for time in ends if time]
    return seconds[0], seconds[-1]


def code_before_the_first_figure(notebook: NotebookNode) -> int:
    """The number of lines of code that a reader sees up to the first figure, that of its cell included."""
    lines = 0
    for cell in notebook.cells:
        lines += 0 if cell.cell_type != "code" or is_plumbing(cell) else count_lines(cell)
        if any(map(_is_figure, (output for output in cell.get("outputs", []) if "data" in output))):
            break
    return lines


def _is_figure(output: NotebookNode) -> bool:
    return "image/png" in output.data


def described(output: NotebookNode) -> str:
    """What the picture of an output shows, in words; empty if it does not say so."""
    picture = output.get("metadata", {}).get("image/png")
    said = picture.get("alt") if isinstance(picture, dict) else None
    return said if isinstance(said, str) else ""


def failure(notebook: NotebookNode, error: str, message: str) -> CellFailure:
    """The failure of a notebook that an error stopped, at the last cell that began to run."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    begun = sum(bool(cell.metadata.get("papermill", {}).get("start_time")) for cell in cells)
    return CellFailure(begun, error, message)


def early_end(notebook: NotebookNode) -> str:
    """The name of the error that ended a notebook before its last cell; empty if there is none.

    papermill takes `sys.exit()` for the end of a notebook that succeeded.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pending = any(cell.metadata.get("papermill", {}).get("status") == "pending" for cell in code)
    errors = [output.ename for cell in code for output in cell.outputs if output.output_type == "error"]
    return errors[-1] if pending and errors else ""


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _outputs(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                yield cell, output


def _shrink(png: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as given:
        image = given.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.thumbnail(THUMBNAIL_SIZE)
    smaller = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(smaller, format="PNG", optimize=True)
    return smaller.getvalue()
