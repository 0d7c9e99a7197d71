"""Every explorer of the course can be drawn at every position, and no two neighbouring positions look alike.

Their axes stay the same, so that what changes is what is drawn.

The report checks that all cells of the notebooks run in a kernel.
"""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from support.lessons import COURSE, explorers_of

from randprune_lab.viz.explorer import Explorer

plt.switch_backend("agg")

PAGE = 4_000_000
"""The most bytes of all explorers of a page, which then stays below 5 MB with its figures."""


@pytest.mark.parametrize("notebook", COURSE, ids=lambda path: path.stem)
def test_no_two_neighbouring_positions_of_an_explorer_look_alike(notebook, tmp_path):
    explorers = explorers_of(notebook, tmp_path)
    assert explorers
    for explorer in explorers:
        controls, axes = list(explorer.controls.values()), _watched(explorer)
        pictures = {
            place: _drawn(explorer, place)
            for place in itertools.product(*(range(len(control.options)) for control in controls))
        }
        for place, picture in pictures.items():
            for number, control in enumerate(controls):
                neighbour = (*place[:number], place[number] + 1, *place[number + 1 :])
                assert pictures.get(neighbour) != picture, (
                    f"{explorer.question}: {control.label} {' and '.join(control.names[place[number] :][:2])} look "
                    f"alike at {_said(explorer, place)}"
                )
        assert len(axes) == 1, f"{explorer.question}: the axes have other limits or places: {axes}"
    assert sum(len(explorer.page()) for explorer in explorers) < PAGE


def _watched(explorer: Explorer) -> set[tuple[Any, ...]]:
    """The different limits and places of all axes, of the pictures that the explorer draws from now on."""
    axes, draw = set(), explorer.picture

    def picture(**values: Any) -> Figure:
        figure = draw(**values)
        assert figure.get_layout_engine() is None, "the places depend on the texts"
        size = tuple(figure.get_size_inches())
        axes.add((size, *((*one.get_xlim(), *one.get_ylim(), *one.get_position().bounds) for one in figure.axes)))
        return figure

    explorer.picture = picture
    return axes


def _drawn(explorer: Explorer, place: tuple[int, ...]) -> str:
    """The picture; an error is raised again with the question and the position."""
    try:
        return explorer.frame(place).src
    except Exception as error:
        raise AssertionError(f"{explorer.question} cannot draw at {_said(explorer, place)}") from error


def _said(explorer: Explorer, place: tuple[int, ...]) -> str:
    return ", ".join(
        f"{control.label} {control.names[at]}" for control, at in zip(explorer.controls.values(), place, strict=True)
    )
