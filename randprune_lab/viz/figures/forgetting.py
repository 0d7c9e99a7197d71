"""Figures of the test examples that pruning loses: whether different models lose the same, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.forgetting import OTHER_BOTH, OTHER_DENSE, OTHER_METHOD, OTHER_SEED
from randprune_lab.errors import check_rows
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import (
    COLOURS,
    DEPTH,
    FAINT,
    QUIET,
    errorbars,
    headline,
    legend_below,
    new_figure,
    percent,
    sparsity_ticks,
)

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {  # relation: (colour, marker)
    OTHER_METHOD: (COLOURS["imp"], "s"),
    OTHER_SEED: (COLOURS["uniform"], "^"),
    OTHER_BOTH: (COLOURS["search"], "o"),
    OTHER_DENSE: (COLOURS["dense"], "D"),
}


def shared_losses(table: pd.DataFrame) -> Figure:
    """How many of the examples that are wrong in one pruned model are wrong in another model, too, by sparsity.

    Means over tasks, and with open marks the same by chance.

    Args:
        table: the table of `analysis.shared_losses`.
    """
    check_rows(table, "shared losses")
    levels = sorted(table.sparsity.unique().tolist())
    figure, axis = new_figure(height=4.2)
    shown = [relation for relation in LOOKS if relation in set(table.relation)]
    for shift, relation in zip(np.linspace(-0.18, 0.18, len(shown)), shown, strict=True):
        means = 100 * table[table.relation == relation].groupby("sparsity")[["shared", "chance"]].mean()
        places, (colour, marker) = np.arange(len(levels)) + shift, LOOKS[relation]
        axis.plot(places, means.shared, marker + "-", color=colour, ms=6, lw=1.2, label=relation)
        axis.plot(places, means.chance, marker + ":", color=colour, ms=5, lw=1, mfc="white", label="by chance")
    sparsity_ticks(axis, levels)
    axis.set(ylabel="shared wrong answers (%)", ylim=(0, None))
    axis.grid(axis="y", lw=0.5, color=FAINT)
    handles, labels = axis.get_legend_handles_labels()
    headline(axis, _shared_verdict(table, levels[-1]))
    figure.legend(handles[::2], labels[::2], loc="outside lower left", frameon=False, title="open marks: by chance")
    return figure


def _shared_verdict(table: pd.DataFrame, sparsity: float) -> str:
    means = 100 * table[table.sparsity == sparsity].groupby("relation")[["shared", "chance"]].mean()
    if OTHER_BOTH not in means.index:
        return f"Examples that are wrong in two models, at up to {percent(sparsity)}"
    shared, chance = means.loc[OTHER_BOTH]
    return (
        f"Of what one model gets wrong at {percent(sparsity)}, another seed and method gets {shared:.0f} % wrong, too; "
        f"by chance it would be {chance:.0f} %"
    )


def phenomena_losses(table: pd.DataFrame) -> Figure:
    """How many more of the examples with a phenomenon become wrong than of the others, for each task.

    The sparsest level with 95 % intervals over seeds, and the other levels as small marks, the lighter the less sparse.

    Args:
        table: the table of `analysis.phenomena_losses`.
    """
    check_rows(table, "losses by phenomenon")
    levels = sorted(table.sparsity.unique().tolist())
    rows = list(dict.fromkeys(zip(table.task, table.phenomenon, strict=True)))
    places = {row: -float(place) for place, row in enumerate(rows)}
    figure, axis = new_figure(height=1.7 + 0.3 * len(rows))
    for depth, level in enumerate(levels):
        part = table[table.sparsity == level]
        at = [places[row.task, row.phenomenon] for row in part.itertuples()]
        if level == levels[-1]:
            found = [Interval(row.difference, row.low, row.high) for row in part.itertuples()]
            look: dict[str, Any] = {"color": COLOURS["imp"], "label": percent(level)}
            errorbars(axis, at, found, horizontal=True, **look)
        else:
            colour = DEPTH(depth / max(1, len(levels) - 1))
            axis.plot(part.difference, at, "d", color=colour, ms=4, label=percent(level))
    axis.axvline(0, color=QUIET, lw=1)
    axis.set_yticks([*places.values()], [f"{phenomenon} ({task.removeprefix('mini-')})" for task, phenomenon in rows])
    axis.set(xlabel="wrong with it minus without it (points)", ylabel="what occurs (task)")
    axis.grid(axis="y", lw=0.5, color=FAINT)
    headline(axis, _phenomena_verdict(table))
    legend_below(figure)
    return figure


def _phenomena_verdict(table: pd.DataFrame) -> str:
    clear = table[table.holm <= 0.05]
    if clear.empty:
        return "No difference is clear after correction for all of them"
    more = clear[clear.difference > 0].groupby(["task", "phenomenon"], sort=False).size()
    named = [f"{phenomenon} ({task})" for task, phenomenon in more.index]
    return f"Clearly wrong more often, at one level or more: {', '.join(named) or 'nothing'}"
