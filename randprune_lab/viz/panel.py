"""Controls above numbers and pictures, all drawn anew when one moves: what the classroom's app is made of.

Like `widgets.explore`, and for the same reasons without Output widgets; but with several pictures, that stand beside
each other where there is room and else one below the other, and with numbers as text.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from randprune_lab.errors import RandpruneError
from randprune_lab.viz.style import png

PICTURES = 3
"""Places for pictures; those that are not wanted are hidden."""
WIDTH = "38em"
"""Of a picture where there is room for it."""
CELL = 'style="text-align: left; font-weight: normal; padding: 0.1em 1em 0.1em 0; white-space: nowrap"'


@dataclass(frozen=True)
class Shown:
    """What a page shows at some setting of its controls: pictures, and numbers as HTML."""

    pictures: Sequence[Figure]
    numbers: str


class Panel:
    """A question, controls, numbers and pictures.

    Args:
        show: a function of the controls' values, by name. An error of ours that it raises is shown in its place.
    """

    def __init__(self, question: str, controls: Mapping[str, ipywidgets.Widget], show: Callable[..., Shown]) -> None:
        self.controls, self.show = controls, show
        self.numbers = ipywidgets.HTML()
        self.images = [ipywidgets.Image(format="png") for _ in range(PICTURES)]
        for image in self.images:
            image.layout.max_width = "100%"
            image.layout.width = WIDTH
            image.layout.object_fit = "contain"
        for one in controls.values():
            if hasattr(one, "continuous_update"):
                one.continuous_update = False
            one.layout.max_width = "100%"
            one.observe(self.draw, names="value")
        wrap = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start"}
        self.widget = ipywidgets.VBox(
            [
                ipywidgets.HTML(f"<h3>{html.escape(question)}</h3>"),
                ipywidgets.Box([*controls.values()], layout=ipywidgets.Layout(**wrap)),
                self.numbers,
                ipywidgets.Box(self.images, layout=ipywidgets.Layout(**wrap)),
            ]
        )
        self._drawn: dict[str, Any] = {}
        self.draw()

    def draw(self, _: Any = None) -> None:
        """Show what belongs to the controls' values."""
        values = {name: one.value for name, one in self.controls.items()}
        if values == self._drawn:  # one control that sets another is heard twice
            return
        self._drawn = values
        try:
            shown = self.show(**values)
        except RandpruneError as error:
            shown = Shown([], warning(str(error)))
        self.numbers.value = shown.numbers
        for place, image in enumerate(self.images):
            there = place < len(shown.pictures)
            image.layout.display = "" if there else "none"
            if there:
                image.value = png(shown.pictures[place])


def control(widget: ipywidgets.Widget) -> ipywidgets.Widget:
    """The widget with the label and the width that the sliders have."""
    widget.style.description_width = "8em"
    widget.layout.width = "28em"
    return widget


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Rows as an HTML table; their first cells say what the others are."""
    top = "".join(f'<th scope="col" {CELL}>{html.escape(str(cell))}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row" {CELL}>{html.escape(str(row[0]))}</th>'
        + "".join(f"<td {CELL}>{html.escape(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    rows_of_heads = f"<tr>{top}</tr>" if top else ""
    return f'<div style="overflow-x: auto"><table aria-live="polite">{rows_of_heads}{body}</table></div>'


def warning(text: str) -> str:
    """A message that nobody overlooks, as HTML."""
    return f'<p role="alert" style="color: #B00020; line-height: 1.4">{html.escape(text)}</p>'
