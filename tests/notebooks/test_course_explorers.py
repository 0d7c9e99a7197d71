"""Every explorer of the course can be drawn at every position of its controls, and each control changes the picture.

A notebook runs in this process and only up to its last explorer, which saves kernels and later searches. The report
checks that all cells run in a kernel.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

from randprune_lab.viz import widgets
from randprune_lab.viz.explorer import Explorer

COURSE = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

plt.switch_backend("agg")


@pytest.fixture(params=COURSE, ids=lambda path: path.stem)
def explorers(request, tmp_path, monkeypatch) -> list[Explorer]:
    """The explorers of a notebook in the profile smoke, in order."""
    made = []

    def explore(*arguments, **controls) -> Explorer:
        made.append(original(*arguments, **controls))
        return made[-1]

    original = widgets.explore
    monkeypatch.setattr(widgets, "explore", explore)
    monkeypatch.chdir(tmp_path)  # the searches write here
    names = {"__name__": "__main__"}
    for cell in _cells_to_the_last_explorer(request.param):
        exec(compile(cell.source, f"{request.param.name}, cell {cell.execution_count}", "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names["profile"] = "smoke"
    plt.close("all")
    return made


def _cells_to_the_last_explorer(path: Path) -> list[nbformat.NotebookNode]:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
    last = max((number for number, cell in enumerate(code) if "explore(" in cell.source), default=None)
    assert last is not None, f"{path.name} has no explorer"
    return code[: last + 1]


def test_every_explorer_can_be_drawn_everywhere_and_each_control_changes_the_picture(explorers):
    assert explorers
    for explorer in explorers:
        controls = list(explorer.controls.values())
        pictures = {
            place: _drawn(explorer, place)
            for place in itertools.product(*(range(len(control.options)) for control in controls))
        }
        start = tuple(explorer.start)
        for number, control in enumerate(controls):
            places = [(*start[:number], option, *start[number + 1 :]) for option in range(len(control.options))]
            seen = {pictures[place] for place in places}
            assert len(seen) > 1, f"{explorer.question}: the picture is the same at every {control.label}"


def _drawn(explorer: Explorer, place: tuple[int, ...]) -> str:
    """The picture; an error is raised again with the question and the position."""
    try:
        return explorer.frame(place).src
    except Exception as error:
        position = ", ".join(
            f"{control.label} {control.names[at]}"
            for control, at in zip(explorer.controls.values(), place, strict=True)
        )
        raise AssertionError(f"{explorer.question} cannot draw at {position}") from error
