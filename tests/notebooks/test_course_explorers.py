"""Every explorer of the course can be drawn at every position of its controls, and each control changes the picture.

A notebook runs in this process and only up to its last explorer, which saves kernels and later searches. The report
checks that all cells run in a kernel.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import pytest

from randprune_lab.viz import widgets

COURSE = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

plt.switch_backend("agg")


@pytest.fixture(params=COURSE, ids=lambda path: path.stem)
def explorers(request, tmp_path, monkeypatch) -> list[ipywidgets.VBox]:
    """The explorers of a notebook in the profile smoke, in order."""
    made = []

    def explore(*arguments, **controls) -> ipywidgets.VBox:
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
        question, *controls, image = explorer.children
        start = tuple(control.index for control in controls)
        pictures = {}
        for place in itertools.product(*(range(len(control.options)) for control in controls)):
            _move(question.value, controls, place)
            pictures[place] = bytes(image.value)
        for number, control in enumerate(controls):
            places = [(*start[:number], option, *start[number + 1 :]) for option in range(len(control.options))]
            seen = {pictures[place] for place in places}
            assert len(seen) > 1, f"{question.value}: the picture is the same at every {control.description}"


def _move(question: str, controls: list[ipywidgets.Widget], place: tuple[int, ...]) -> None:
    """Set all controls; an error of a callback is raised again with the question and the position."""
    try:
        for control, option in zip(controls, place, strict=True):
            control.index = option
    except Exception as error:
        position = ", ".join(f"{control.description} {control.label}" for control in controls)
        raise AssertionError(f"{question} cannot draw at {position}") from error
