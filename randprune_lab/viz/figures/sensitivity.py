"""The figure of a sensitivity scan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from randprune_lab.errors import check_rows
from randprune_lab.viz.style import (
    COLOURS,
    DEPTH,
    headline,
    kind_of,
    new_figure,
    percent,
    short_name,
    sparsity_ticks,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 2
"""The largest number of panels side by side."""

SHOWN = 6
"""The largest number of layers that the legend names one by one."""


def sensitivity(table: pd.DataFrame, measure: str = "loss") -> Figure:
    """The rise of the loss against the sparsity of one tensor, in a panel for each kind of tensor.

    Tensors whose names differ only in numbers are of one kind, and the darker a line, the deeper its layer. The title
    names the tensor whose rise is the largest.

    Args:
        table: what `randprune_lab.sensitivity` returned.
        measure: the name of what was measured.
    """
    check_rows(table, "measured sensitivities")
    numbers = [re.findall(r"\b\d+\b", name) for name in table["weight"]]
    table = table.assign(
        kind=[re.sub(r"\b\d+\b", "*", name) for name in table["weight"]],
        depth=[int(found[0]) if found else 0 for found in numbers],
        place=table["sparsity"].rank(method="dense") - 1,
    )
    titles = {kind: kind_of(name) for kind, name in zip(table["kind"], table["weight"], strict=True)}
    columns = min(COLUMNS, len(titles))
    rows, depths = -(-len(titles) // columns), sorted(set(table["depth"]))
    shape = {"nrows": rows, "ncols": columns, "squeeze": False}
    figure, axes = new_figure(height=1.2 + 1.7 * rows, sharex=True, sharey=True, **shape)
    shades = dict(zip(depths, map(DEPTH, np.linspace(0, 1, len(depths))), strict=True))
    sparsities = sorted(set(table["sparsity"]))
    written = sorted({0, len(sparsities) // 2, len(sparsities) - 1})
    look = {"hue": "depth", "palette": shades, "marker": "o", "ms": 4, "lw": 1.3, "legend": False}
    for axis, (kind, title) in zip(axes.flat, titles.items(), strict=False):
        sns.lineplot(table[table["kind"] == kind], x="place", y="increase", ax=axis, **look)
        axis.axhline(0, color=COLOURS["dense"], lw=0.8, ls="--")
        subtitle(axis, title)
        sparsity_ticks(axis, sparsities, written)
        axis.set_ylabel(f"rise of the {measure}")
        axis.label_outer()
    for axis in axes.flat[len(titles) :]:
        axis.remove()
    headline(figure, _largest(table, measure))
    if len(depths) > 1:
        shown = depths if len(depths) <= SHOWN else [depths[0], depths[len(depths) // 2], depths[-1]]
        lines = [Line2D([], [], color=shades[depth], marker="o", ms=4) for depth in shown]
        figure.legend(lines, [f"layer {depth}" for depth in shown], loc="outside lower left", frameon=False, ncols=3)
    return figure


def _named(name: str) -> str:
    """A tensor's short name, with its layer called so."""
    short = short_name(name)
    return f"layer {short}" if short[:1].isdigit() else short


def _largest(table: pd.DataFrame, measure: str) -> str:
    worst = table.loc[table["increase"].idxmax()]
    if worst["increase"] <= 0:
        return f"The {measure} rises for no tensor"
    where = f"{_named(worst['weight'])} at {percent(worst['sparsity'])}"
    return f"Largest rise of the {measure}: {worst['increase']:.2g}, {where}"
