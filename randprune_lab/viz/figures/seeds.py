"""A figure of one experiment with many seeds: a row for each, and the interval over all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import COLOURS, QUIET, errorbars, headline, legend_below, new_figure, place_axes

ROW = 0.19  # inches: as high as a text


def seeds_forest(
    differences: Mapping[int, Interval], over_seeds: Interval, *, title: str, names: tuple[str, str]
) -> Figure:
    """The difference of two methods for each seed, with its interval, and their mean below with that over seeds.

    Args:
        differences: the paired difference of each seed, with its interval over test examples.
        over_seeds: their mean, with its interval over seeds; where that is infinite, the mean alone is drawn.
        title: what the figure shows, as a sentence.
        names: the names of the two methods, the first minus the second.
    """
    rows = len(differences)
    figure, axis = new_figure(height=ROW * (rows + 2) + 1.75)
    each = {"color": QUIET, "ms": 4, "label": "one seed, interval over test examples"}
    errorbars(axis, range(rows), [*differences.values()], scale=100, horizontal=True, **each)
    known = np.isfinite(over_seeds.low)
    mean = "mean, interval over seeds" if known else "mean"
    look = {"color": COLOURS["search"], "marker": "D", "ms": 7, "lw": 2.4, "label": mean}
    errorbars(axis, [rows + 0.5], [over_seeds], scale=100, horizontal=True, **look)
    if known:
        axis.axvspan(100 * over_seeds.low, 100 * over_seeds.high, color=COLOURS["search"], alpha=0.12, lw=0)
    axis.axvline(0, color="black", lw=0.8, ls=":")
    axis.axhline(rows - 0.25, color=QUIET, lw=0.6)
    axis.set_yticks([*range(rows), rows + 0.5], [*map(str, differences), "mean"])
    axis.set(ylim=(rows + 1.2, -0.8), ylabel="seed", xlabel=f"{names[0]} minus {names[1]} (points)")
    axis.set_xlim(*_limits([*differences.values(), over_seeds]))
    headline(axis, title)
    place_axes(figure, left=0.75, bottom=0.55 + legend_below(figure), top=0.7, right=0.15)
    return figure


def _limits(intervals: list[Interval]) -> tuple[float, float]:
    """The ends of the axis in points: all intervals that are finite, and zero."""
    ends = [100 * end for one in intervals for end in (one.estimate, one.low, one.high) if np.isfinite(end)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
