"""A figure of what more training steps are worth, to methods that differ in their masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from randprune_lab.errors import check_rows
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import (
    COLOURS,
    draw_dense,
    errorbars,
    headline,
    legend_below,
    new_figure,
    percent,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd

LOOKS = ((COLOURS["imp"], "v", 0.96), (COLOURS["search"], "o", 1.04), (COLOURS["allocation"], "D", 1.0))
"""Colour, marker and shift to the side of each line."""


def scores_by_steps(
    table: pd.DataFrame, lines: Mapping[str, Sequence[str]], without_encoder: float | None = None
) -> Figure:
    """Test scores against the training steps of a level, with 95 % intervals over test examples.

    A panel for each sparsity. The title compares the fewest steps of the second line with the most of the first.

    Args:
        table: results of one task and seed, as `analysis.recorded_results` returns them, with two levels or more.
        lines: the name of each line, two or three, and its methods, which differ in their steps alone; those without
            results are left out.
        without_encoder: the score of the model without its encoder, which is drawn as well.
    """
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    check_rows(levels, "results of pruned models")
    steps = table[table.sparsity == levels[0]].set_index("method").steps  # later levels have those before as well
    drawn = {name: sorted({*methods} & {*steps.index}, key=steps.get) for name, methods in lines.items()}
    rows = -(-len(levels) // 2)
    figure, axes = new_figure(height=1.9 * rows + 1.5, nrows=rows, ncols=2, sharex=True, sharey=True, squeeze=False)
    for unused in axes.flat[len(levels) :]:
        unused.remove()
    for axis, level in zip(axes.flat, levels, strict=False):
        own = table[table.sparsity == level].set_index("method")
        draw_dense(axis, _interval(table[table.method == "dense"].iloc[0]))
        if without_encoder is not None:
            axis.axhline(100 * without_encoder, color=COLOURS["uniform"], lw=1.2, ls=":", label="without encoder")
        for (name, methods), (colour, marker, shift) in zip(drawn.items(), LOOKS, strict=False):
            look: dict[str, Any] = {"color": colour, "marker": marker, "label": name, "lw": 1.2, "ls": "-"}
            scores = [_interval(own.loc[method]) for method in methods]
            errorbars(axis, shift * steps[methods].to_numpy(), scores, scale=100, **look)
        axis.set_xscale("log")
        axis.set_xticks(sorted({steps[method] for methods in drawn.values() for method in methods}), minor=False)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.minorticks_off()
        subtitle(axis, percent(level))
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{table.metric.iloc[0]} (points)")
    for axis in axes[-1]:
        axis.set_xlabel("training steps a level")
    (first, longest), (second, shortest) = ((name, methods) for name, methods in list(drawn.items())[:2])
    score = table.set_index(["method", "sparsity"]).score
    apart = [
        f"{100 * (score[shortest[0], level] - score[longest[-1], level]):+.1f} at {percent(level)}" for level in levels
    ]
    named = f"{second}, {steps[shortest[0]]:,} steps, minus {first}, {steps[longest[-1]]:,} steps"
    headline(figure, f"{named} (points): {', '.join(apart)}")
    legend_below(figure)
    return figure


def _interval(row: pd.Series) -> Interval:
    return Interval(row.score, row.score_low, row.score_high)
