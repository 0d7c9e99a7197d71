"""The same comparison in one training after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import COLOURS, QUIET, errorbars, headline, new_figure, place_axes, subtitle


def ladder(rungs: Mapping[str, Sequence[Interval]], against: Sequence[str], shown: int) -> Figure:
    """A difference in one training after another, from top to bottom, a panel for each method that it is from.

    Args:
        rungs: for each training, the differences from the methods, with 95 % intervals.
        against: the names of these methods.
        shown: the number of trainings that are drawn. The axes fit all.
    """
    names = list(rungs)
    figure, axes = new_figure(height=0.42 * len(names) + 1.6, ncols=len(against), sharex=True, sharey=True)
    ends = [100 * end for found in rungs.values() for one in found for end in (one.low, one.high, 0.0)]
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    for number, (axis, other) in enumerate(zip(np.atleast_1d(axes), against, strict=True)):
        drawn = [rungs[name][number] for name in names[:shown]]
        look = {"color": COLOURS["search"], "ms": 7, "lw": 2.2, "capsize": 4, "label": f"minus {other}"}
        errorbars(axis, range(len(drawn)), drawn, scale=100, horizontal=True, **look)
        axis.axvline(0, color=QUIET, lw=1)
        axis.set(xlim=(min(ends) - room, max(ends) + room), ylim=(len(names) - 0.4, -0.6))
        axis.set(xlabel="difference (points)", ylabel="" if number else "training")
        subtitle(axis, f"minus {other}")
        if not number:
            axis.set_yticks(range(len(names)), names)
    last = names[shown - 1]
    said = " and ".join(f"{100 * one.estimate:+.1f}" for one in rungs[last])
    ahead = sum(all(one.low > 0 for one in rungs[name]) for name in names[:shown])
    every = " and ".join(against)
    headline(figure, f"{last}: {said} points. Clearly ahead of {every} in {ahead} of {shown} trainings")
    place_axes(figure, left=1.62, bottom=0.5, top=0.95, wspace=0.12)
    return figure
