"""The estimates and intervals of a figure as a table, for readers who do not see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.axes import Axes

from randprune_lab.stats.intervals import Interval


@dataclass(frozen=True)
class Estimates:
    """Estimates with intervals that are drawn in one look.

    Args:
        axis: where they are drawn.
        label: what they have in common.
        places: positions along the axis of names; the nearest tick has an estimate's name.
        intervals: the estimates, one for each place.
        scale: factor of all numbers.
        horizontal: whether the names are on the y axis.
    """

    axis: Axes
    label: str
    places: Sequence[float]
    intervals: Sequence[Interval]
    scale: float
    horizontal: bool

    def named(self) -> dict[str, str]:
        """The estimates as text, by name."""
        axis = self.axis.yaxis if self.horizontal else self.axis.xaxis
        ticks = [float(place) for place in axis.get_majorticklocs()]
        names = dict(zip(ticks, axis.get_major_formatter().format_ticks(ticks), strict=True))
        nearest = (min(ticks, key=lambda tick: abs(tick - at)) for at in self.places)
        return {names[tick]: self._text(one) for tick, one in zip(nearest, self.intervals, strict=True)}

    def _text(self, one: Interval) -> str:
        estimate, low, high = (f"{self.scale * number:.1f}" for number in (one.estimate, one.low, one.high))
        return f"{estimate} [{low}, {high}]" if math.isfinite(one.high - one.low) else estimate


def numbers(estimates: Sequence[Estimates]) -> str:
    """A folded HTML table for each axis with estimates; nothing where there are none."""
    axes = dict.fromkeys(one.axis for one in estimates)
    tables = "".join(_table(axis, [one for one in estimates if one.axis is axis]) for axis in axes)
    return f"<details><summary>The figure in numbers</summary>{tables}</details>" if tables else ""


def _table(axis: Axes, columns: Sequence[Estimates]) -> str:
    along, across = axis.get_xlabel(), axis.get_ylabel()
    if columns[0].horizontal:
        along, across = across, along
    cells = [one.named() for one in columns]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (along, *(one.label for one in columns)))
    rows = {name: "".join(f"<td>{one.get(name, '')}</td>" for one in cells) for one in cells for name in one}
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>{row}</tr>' for name, row in rows.items())
    return f"<table><caption>{escape(' '.join(across.split()))} [95 %]</caption><tr>{head}</tr>{body}</table>"
