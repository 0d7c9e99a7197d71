"""Controls above numbers and pictures, all updated when a control changes: the building block of the classroom app.

A panel is similar to `widgets.explore`, and avoids Output widgets for the same reason. It also shows numbers as text
and several pictures, which are side by side where there is room and below each other where there is not.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from randprune_lab.errors import RandpruneError
from randprune_lab.viz.controls import Choice
from randprune_lab.viz.style import png

PICTURES = 3
"""The largest number of pictures; places that are not used are hidden."""
WIDTH = "38em"
"""The width of a picture where there is room for it."""
CELL = 'style="text-align: left; font-weight: normal; padding: 0.1em 1em 0.1em 0; white-space: nowrap"'


@dataclass(frozen=True)
class Shown:
    """What a panel shows for one setting of its controls.

    Args:
        pictures: at most `PICTURES` figures.
        numbers: text and tables as HTML.
    """

    pictures: Sequence[Figure]
    numbers: str


class Panel:
    """A question, controls, numbers and pictures.

    Args:
        question: the heading.
        controls: widgets with a value, by the name of the argument of `show` that they set.
        show: a function from the controls' values to what is shown. If it raises a `RandpruneError`, the message is
            shown instead.
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
        """Update numbers and pictures to the controls' values."""
        values = {name: one.value for name, one in self.controls.items()}
        if values == self._drawn:  # a control that sets another one triggers two calls
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
    """The widget, with label and width changed to those of the sliders."""
    widget.style.description_width = "8em"
    widget.layout.width = "28em"
    return widget


def slider(choice: Choice) -> ipywidgets.SelectionSlider:
    """A slider over the options of a choice."""
    return control(
        ipywidgets.SelectionSlider(
            description=choice.label, options=list(choice.options.items()), value=choice.value(choice.start)
        )
    )


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Rows as an HTML table; the first cell of a row is its heading.

    Args:
        head: the headings of the columns, if any.
    """
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
    """A message as HTML, in red and announced by screen readers."""
    return f'<p role="alert" style="color: #B00020; line-height: 1.4">{html.escape(text)}</p>'
