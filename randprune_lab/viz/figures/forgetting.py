"""Figures of the test examples that pruning loses: whether different models lose the same, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from randprune_lab.analysis.forgetting import OTHER_BOTH, OTHER_DENSE, OTHER_METHOD, OTHER_SEED
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import (
    COLOURS,
    FAINT,
    QUIET,
    errorbars,
    headline,
    legend_below,
    new_figure,
    percent,
    sparsity_ticks,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {  # relation: (colour, marker)
    OTHER_METHOD: (COLOURS["imp"], "s"),
    OTHER_SEED: (COLOURS["uniform"], "^"),
    OTHER_BOTH: (COLOURS["search"], "o"),
    OTHER_DENSE: (COLOURS["dense"], "D"),
}
PHENOMENA = ((COLOURS["imp"], "s"), (COLOURS["search"], "o"), (COLOURS["uniform"], "^"), (COLOURS["allocation"], "D"))


def shared_losses(table: pd.DataFrame) -> Figure:
    """How many times more often than by chance two models lose the same test examples, by sparsity.

    The geometric mean over tasks, and a small mark for each task.

    Args:
        table: the table of `analysis.shared_losses`.
    """
    levels = sorted(table.sparsity.unique().tolist())
    figure, axis = new_figure(height=4.0)
    axis.set_yscale("log")
    axis.axhline(1, color=QUIET, lw=1)
    shown = [relation for relation in LOOKS if relation in set(table.relation)]
    for shift, relation in zip(np.linspace(-0.24, 0.24, len(shown)), shown, strict=True):
        rows = table[(table.relation == relation) & (table.ratio > 0)]
        places = np.array([levels.index(sparsity) for sparsity in rows.sparsity]) + shift
        colour, marker = LOOKS[relation]
        axis.plot(places, rows.ratio, marker, color=colour, ms=3, alpha=0.45, lw=0)
        means = np.exp(np.log(rows.ratio).groupby(rows.sparsity).mean())
        at = [levels.index(sparsity) + shift for sparsity in means.index]
        axis.plot(at, means, marker + "-", color=colour, ms=6, lw=1.2, label=relation)
    sparsity_ticks(axis, levels)
    low, high = axis.get_ylim()
    axis.set_yticks([tick for tick in (0.5, 1, 2, 4, 8, 16, 32, 64) if low <= tick <= high])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_ylabel("lost by both / by chance")
    axis.grid(axis="y", lw=0.5, color=FAINT)
    headline(axis, _shared_verdict(table, levels[-1]))
    legend_below(figure)
    return figure


def _shared_verdict(table: pd.DataFrame, sparsity: float) -> str:
    rows = table[(table.relation == OTHER_BOTH) & (table.sparsity == sparsity)]
    if rows.empty:
        return f"Examples that two models lose, at up to {percent(sparsity)}"
    low, high = rows.ratio.min(), rows.ratio.max()
    tasks = "on each task" if len(rows) > 1 else f"on {rows.task.iloc[0]}"
    span = f"{low:.1f}" if len(rows) == 1 else f"{low:.1f} to {high:.1f}"
    return (
        f"Another seed with another method loses the same examples {span} times as often as by chance {tasks}, "
        f"at {percent(sparsity)}"
    )


def phenomena_losses(table: pd.DataFrame) -> Figure:
    """How many more of the examples with a phenomenon are lost than of the others, by task and sparsity.

    Points with 95 % intervals over seeds, for these tasks; the examples are compared within their label.

    Args:
        table: the table of `analysis.phenomena_losses`.
    """
    tasks, levels = list(dict.fromkeys(table.task)), sorted(table.sparsity.unique().tolist())
    figure, axes = new_figure(height=1.1 + 1.9 * len(tasks), nrows=len(tasks), sharex=True, squeeze=False)
    for axis, task in zip(axes.flat, tasks, strict=True):
        names = list(dict.fromkeys(table.phenomenon[table.task == task]))
        for number, (name, shift) in enumerate(zip(names, np.linspace(-0.3, 0.3, len(names)), strict=True)):
            rows = table[(table.task == task) & (table.phenomenon == name)]
            colour, marker = PHENOMENA[number % len(PHENOMENA)]
            look: dict[str, Any] = {"color": colour, "marker": marker, "label": name, "lw": 1.2}
            if number >= len(PHENOMENA):
                look["mfc"] = "white"
            places = np.array([levels.index(level) for level in rows.sparsity]) + shift
            errorbars(axis, places, [Interval(row.difference, row.low, row.high) for row in rows.itertuples()], **look)
        axis.axhline(0, color=QUIET, lw=1)
        subtitle(axis, task)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=1.2)
    figure.supylabel("lost with it minus without it (points)", fontsize=axes.flat[0].yaxis.label.get_size())
    sparsity_ticks(axes.flat[-1], levels)
    headline(figure, _phenomena_verdict(table))
    return figure


def _phenomena_verdict(table: pd.DataFrame) -> str:
    clear = table[table.holm <= 0.05]
    if clear.empty:
        return "Nothing that occurs in a sentence clearly makes it more or less likely to be lost"
    more = clear[clear.difference > 0].groupby(["task", "phenomenon"], sort=False).size()
    named = [f"{phenomenon} ({task})" for task, phenomenon in more.index]
    return f"Clearly lost more often, at one level or more: {', '.join(named) or 'nothing'}"
