"""The figure of a sensitivity scan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from randprune_lab.viz.style import COLOURS, new_figure, percent, short_name

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 3
"""The largest number of panels side by side."""


def sensitivity(table: pd.DataFrame) -> Figure:
    """The rise of the loss against the sparsity of one tensor, in a panel for each kind of tensor.

    Tensors whose names differ only in numbers are of one kind, and the darker a line, the deeper its layer. The title
    names the tensor whose rise is the largest.

    Args:
        table: what `randprune_lab.sensitivity` returned.
    """
    table = table.assign(
        kind=[re.sub(r"\b\d+\b", "*", name) for name in table["weight"]],
        depth=[int((re.findall(r"\b\d+\b", name) or ["0"])[0]) for name in table["weight"]],
        percent=100 * table["sparsity"],
    )
    kinds = [*dict.fromkeys(table["kind"])]
    columns = min(COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    figure, axes = new_figure(
        3.2 * columns, 0.8 + 2.3 * rows, nrows=rows, ncols=columns, sharex=True, sharey=True, squeeze=False
    )
    depths = sorted(set(table["depth"]))
    shades = dict(zip(depths, sns.color_palette("viridis_r", len(depths)), strict=True))
    for axis, kind in zip(axes.flat, kinds, strict=False):
        own = table[table["kind"] == kind]
        sns.lineplot(
            own, x="percent", y="increase", hue="depth", palette=shades, marker="o", ms=4, lw=1.3, legend=False, ax=axis
        )
        axis.axhline(0, color=COLOURS["dense"], lw=0.8, ls="--")
        axis.set_title(short_name(kind).replace("*", "").strip() or kind, fontsize="medium", fontweight="normal")
        axis.set(xlabel="sparsity of one tensor (%)", ylabel="rise of the loss")
    for axis in axes.flat[len(kinds) :]:
        axis.remove()
    worst = table.loc[table["increase"].idxmax()]
    figure.suptitle(
        f"{short_name(worst['weight'])} at {percent(worst['sparsity'])}: the loss rises by {worst['increase']:.2g}"
    )
    if len(depths) > 1:
        shown = depths if len(depths) <= 6 else [depths[0], depths[len(depths) // 2], depths[-1]]
        lines = [Line2D([], [], color=shades[depth], marker="o", ms=4) for depth in shown]
        figure.legend(lines, [f"layer {depth}" for depth in shown], loc="outside right center", frameon=False)
    return figure
