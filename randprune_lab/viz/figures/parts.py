"""A figure of why two methods differ: the parts of their difference at each level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.parts import WHOLE
from randprune_lab.errors import check_rows
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import COLOURS, QUIET, errorbars, headline, legend_below, new_figure, sparsity_ticks

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {  # part: (colour, marker)
    WHOLE: (COLOURS["dense"], "D"),
    "search": (COLOURS["search"], "o"),
    "selection": (COLOURS["search"], "o"),
    "mask": (COLOURS["uniform"], "s"),
    "rate": (COLOURS["imp"], "^"),
    "steps": (COLOURS["imp-short"], "v"),
}


def difference_parts(parts: pd.DataFrame, first: str, second: str) -> Figure:
    """The difference of two methods at each level, and its parts: means over tasks with 95 % intervals.

    Args:
        parts: the table of `analysis.parts_by_level`.
        first, second: the names of the two methods.
    """
    check_rows(parts, "parts of a difference")
    levels, names = sorted(parts.sparsity.unique()), list(dict.fromkeys(parts.part))
    figure, axis = new_figure(height=4.2)
    for shift, name in zip(np.linspace(-0.3, 0.3, len(names)), names, strict=True):
        rows = parts[parts.part == name].sort_values("sparsity")
        found = [Interval(row.estimate, row.low, row.high) for row in rows.itertuples()]
        colour, marker = LOOKS.get(name, (COLOURS["wanda"], "X"))
        look: dict[str, Any] = {"marker": marker, "ms": 6, "color": colour, "label": name}
        errorbars(axis, np.array([levels.index(level) for level in rows.sparsity]) + shift, found, scale=100, **look)
    axis.axhline(0, color=QUIET, lw=1)
    sparsity_ticks(axis, levels)
    axis.set_ylabel("difference, mean over tasks (points)")
    clear = parts[((parts.low > 0) | (parts.high < 0)) & (parts.part != WHOLE)]
    counts = [
        f"{name} at {number} of {len(levels)} levels"
        for name, number in clear.groupby("part", sort=False).size().items()
    ]
    headline(axis, f"Parts of {first} minus {second}. Clear: {', '.join(counts) or 'none'}")
    legend_below(figure)
    return figure
