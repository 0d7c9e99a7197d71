"""The explorers of the course's notebooks, made in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat

from randprune_lab.viz import widgets
from randprune_lab.viz.explorer import Explorer

COURSE = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def explorers_of(notebook: Path, folder: Path) -> list[Explorer]:
    """The explorers of a notebook in the profile smoke, in order.

    The notebook runs only up to its last explorer, which saves kernels and later searches.

    Args:
        folder: where its searches write.
    """
    made: list[Explorer] = []

    def explore(*arguments, **controls) -> Explorer:
        made.append(original(*arguments, **controls))
        return made[-1]

    original, widgets.explore = widgets.explore, explore
    names = {"__name__": "__main__"}
    try:
        with chdir(folder):
            for number, cell in enumerate(_cells_to_the_last_explorer(notebook), 1):
                exec(compile(cell.source, f"{notebook.name}, cell {number}", "exec"), names)
                if "parameters" in cell.metadata.get("tags", []):
                    names["profile"] = "smoke"
    finally:
        widgets.explore = original
        plt.close("all")
    return made


def _cells_to_the_last_explorer(path: Path) -> Iterator[nbformat.NotebookNode]:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    last = max((number for number, cell in enumerate(code) if "explore(" in cell.source), default=None)
    assert last is not None, f"{path.name} has no explorer"
    yield from code[: last + 1]
