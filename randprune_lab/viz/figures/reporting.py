"""A figure of how much too good results are, by how they were reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from randprune_lab.analysis.reporting import HONEST, SIZES, WAYS
from randprune_lab.errors import check_rows
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import COLOURS, FAINT, QUIET, errorbars, headline, legend_below, new_figure, subtitle

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {  # way: (colour, marker)
    "honest": (COLOURS["dense"], "o"),
    "accuracy": (COLOURS["dense"], "x"),
    "mask": (COLOURS["search"], "s"),
    "checkpoint": (COLOURS["uniform"], "^"),
    "best of 8": (COLOURS["imp"], "v"),
    "everything": (COLOURS["allocation"], "D"),
}
CHOSEN = {"mask": "the mask", "checkpoint": "the checkpoint", "best of 8": "the best of 8", "everything": "everything"}
"""What the reported examples also choose, in each way but the honest ones."""
SHOWN = 0.0005
"""The least difference that a tenth of a point shows."""
KINDS = {"masks": "8 random masks", "restarts": "8 restarts of the magnitude mask"}
TITLED = SIZES["MRPC"]
"""The number of reported examples that the title is about, if the table has it."""


def inflation_by_size(summary: pd.DataFrame) -> Figure:
    """How much too good a result is, by the number of reported examples and the way of reporting.

    Means over tasks with 95 % intervals, for random masks and for restarts of the magnitude mask.

    Args:
        summary: the table of `analysis.inflation_by_size`.
    """
    check_rows(summary, "reported gains")
    sizes = sorted(summary["size"].unique().tolist())
    names = {size: name for name, size in SIZES.items()}
    kinds = [kind for kind in KINDS if kind in set(summary.kind)]
    figure, axes = new_figure(height=2.3 + 2.0 * len(kinds), nrows=len(kinds), sharex=True, sharey=True, squeeze=False)
    for axis, kind in zip(axes.flat, kinds, strict=True):
        for shift, (way, (colour, marker)) in zip(np.linspace(-0.3, 0.3, len(LOOKS)), LOOKS.items(), strict=True):
            rows = summary[(summary.kind == kind) & (summary.way == way)].sort_values("size")
            look: dict[str, Any] = {"color": colour, "marker": marker, "label": WAYS[way], "lw": 1.2}
            places = np.array([sizes.index(size) for size in rows["size"]]) + shift
            errorbars(axis, places, _intervals(rows), scale=100, **look)
        axis.axhline(0, color=QUIET, lw=1)
        axis.grid(axis="y", lw=0.5, color=FAINT)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axis.set_ylabel("accuracy, reported\nminus true (points)")
        subtitle(axis, KINDS[kind])
    axes.flat[-1].set_xticks(range(len(sizes)), [f"{names.get(size, '')}\n{size:,}" for size in sizes])
    axes.flat[-1].set_xlabel("number of reported examples\n(named: the GLUE dev set of that size)")
    headline(figure, _verdict(summary[summary.kind == kinds[0]]))
    legend_below(figure, title="what chooses the result (bars: 95 % intervals over tasks)", alignment="left")
    return figure


def _verdict(rows: pd.DataFrame) -> str:
    """The title: how much too high each way is with the number of examples of MRPC, and whether that is clear."""
    size = TITLED if TITLED in set(rows["size"]) else int(rows["size"].min())
    own = rows[(rows["size"] == size) & ~rows.way.isin(HONEST)]
    said = [
        f"{CHOSEN[row.way]} ({100 * row.estimate:+.1f}{'' if row.low >= SHOWN else ', not clear'})"
        for row in own.itertuples()
    ]
    number = own.records.max()
    pools = f"{number} pool{'s' if number > 1 else ''}"
    return (
        f"Accuracy on {size:,} examples is too high, in points, if they also choose {', '.join(said)}: means of {pools}"
    )


def _intervals(rows: pd.DataFrame) -> list[Interval]:
    return [Interval(row.estimate, row.low, row.high) for row in rows.itertuples()]
