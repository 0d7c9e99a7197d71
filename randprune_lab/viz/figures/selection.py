"""Figures of selection: how certain it is, what it costs, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.errors import check_rows
from randprune_lab.search.selection import Selection
from randprune_lab.stats.confidence import Confidence
from randprune_lab.stats.winners_curse import best_of
from randprune_lab.viz.style import (
    COLOURS,
    QUIET,
    headline,
    legend_below,
    new_figure,
    percent,
    place_axes,
    subtitle,
    whole_ticks,
)

MARKERS = (
    ("o", COLOURS["dense"]),
    ("s", COLOURS["search"]),
    ("D", COLOURS["one-mask"]),
    ("v", COLOURS["one-mask-long"]),
    ("^", COLOURS["gumbel"]),
    ("P", COLOURS["uniform"]),
    ("X", COLOURS["imp"]),
)
"""Markers and colours of the strategies, in the order in which these are drawn."""


def winners_curse(candidates: int, spread: float, noise: float, *, axes_for: float = 0.0) -> Figure:
    """Expected score of the best of several candidates, and its expected true score.

    Args:
        candidates: the number of candidates that the title is about.
        spread: standard deviation of the true scores, in points.
        noise: standard deviation of the noise of one score, in points.
        axes_for: the largest noise that the axes fit too, so that pictures can be compared.
    """
    figure, axis = new_figure(height=3.6)
    numbers = np.unique([1, 2, 4, 8, 16, 32, 64, 128, candidates])
    seen, worth = np.array([best_of(int(number), spread, noise) for number in numbers]).T
    axis.plot(numbers, seen, "o-", color=COLOURS["imp"], label="observed score")
    axis.plot(numbers, worth, "o-", color=COLOURS["search"], label="true score")
    shown, true = best_of(candidates, spread, noise)
    axis.vlines(candidates, true, shown, color="black", lw=2)
    axis.annotate(f"  {shown - true:.2f}", (candidates, (shown + true) / 2), va="center")
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, [str(number) for number in numbers])
    top = best_of(int(numbers[-1]), spread, max(noise, axes_for))[0]
    axis.set(xlabel="number of candidates", ylabel="score minus mean score (points)", ylim=(-0.05, 1.1 * max(0.2, top)))
    axis.legend(frameon=False, loc="upper left", title="best candidate")
    headline(axis, f"Best of {candidates} candidates: observed {shown:+.2f} points, true {true:+.2f} points")
    place_axes(figure, left=0.6, bottom=0.5, top=0.45, right=0.3)
    return figure


def chance_of_best(found: Confidence, labels: Sequence[str], final: Sequence[float] | None = None) -> Figure:
    """The probability of the best early score, for each candidate, highest first; the selected one is highlighted.

    A candidate that was selected by another score need not come first. Then the title also names the first one.

    Args:
        found: the certainty of the choice, as `stats.assess_choice` returns it.
        labels: the names of the candidates.
        final: the scores after the whole training, if these are known: a star marks the best of them, and the title
            has the place of the selected one.
    """
    figure, axis = new_figure(height=3.2)
    order = np.argsort(-found.chance_of_best, kind="stable")
    colours = [COLOURS["search"] if each == found.winner else QUIET for each in order]
    axis.bar(range(len(order)), 100 * found.chance_of_best[order], color=colours)
    axis.axhline(100 / len(order), color="black", lw=0.8, ls=":", label="if all were equally good")
    axis.set_xticks(range(len(order)), [labels[each] for each in order])
    axis.set(xlabel="candidate", ylabel="probability (%)", ylim=(0, 108))
    ending = ""
    if final is not None:
        best = order.tolist().index(int(np.argmax(final)))
        height = 100 * found.chance_of_best[order[best]] + 4
        axis.plot(best, height, "*", ms=11, color=COLOURS["imp"], label="best in the end")
        ending = f"; it ended in place {_place(final, found.winner)} of {len(final)}"
    axis.legend(frameon=False)
    named = {each: f"{labels[each]}: {100 * found.chance_of_best[each]:.0f} %" for each in (found.winner, order[0])}
    headline(
        axis, f"Probability of the best early score: selected candidate {', candidate '.join(named.values())}{ending}"
    )
    place_axes(figure, left=0.6, bottom=0.5, top=0.5)
    return figure


def _place(final: Sequence[float], candidate: int) -> int:
    """The place of a candidate among the final scores; the best has place 1, and equal scores share one."""
    return 1 + sum(score > final[candidate] for score in final)


def race(
    selection: Selection,
    total_steps: int,
    names: Sequence[str] | None = None,
    final: Sequence[float] | None = None,
) -> Figure:
    """The training steps of each candidate before it was dropped, in order of the outcome.

    Args:
        selection: the outcome, as `Strategy.select` returns it.
        total_steps: the steps of a full early evaluation.
        names: the names of the candidates; without it, their numbers.
        final: the scores of all candidates after the whole training, if these are known: a star marks the best, and
            the title has the place of the winner.
    """
    figure, axis = new_figure(height=1.0 + 0.18 * len(selection.ranking))
    reached = {candidate: each.steps for each in selection.rounds for candidate in each.candidates}
    order = selection.ranking
    colours = [COLOURS["search"] if candidate == selection.winner else QUIET for candidate in order]
    axis.barh(range(len(order)), [reached[candidate] for candidate in order], color=colours)
    axis.axvline(total_steps, color="black", lw=0.8, ls=":")
    axis.set_yticks(range(len(order)), [names[c] if names else str(c) for c in order])
    axis.invert_yaxis()
    axis.set(ylabel="candidate", xlim=(0, 1.02 * total_steps))
    whole_ticks(axis, "training steps before it was dropped")
    fraction = f"{100 * selection.steps / (total_steps * len(order)):.0f} %"
    ending = ""
    if final is not None:
        best = order.index(int(np.argmax(final)))
        star = {"color": COLOURS["imp"], "ls": "", "label": "best in the end", "clip_on": False}
        axis.plot(reached[order[best]] + 0.02 * total_steps, best, "*", ms=11, **star)
        axis.legend(frameon=False)
        ending = f", and ended in place {_place(final, selection.winner)} of {len(final)}"
    headline(axis, f"Candidate {selection.winner} wins, with {fraction} of the steps of the strategy full{ending}")
    place_axes(figure, left=0.55, bottom=0.5, top=0.45)
    return figure


def gain_by_budget(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Gain of strategies over a random candidate against their training steps, with 95 % intervals over pools.

    The interval of a single pool is infinite and is not drawn.

    Args:
        rows: gains and steps as `analysis.judge` returns them.
    """
    check_rows(rows, "gains of strategies")
    kinds = list(dict.fromkeys((row["candidates from"], row["sparsity"]) for row in rows))
    columns = min(2, len(kinds))
    lines = -(-len(kinds) // columns)
    figure, axes = new_figure(
        height=2.3 * lines + 1.1, nrows=lines, ncols=columns, squeeze=False, sharex=True, sharey=True
    )
    names = list(dict.fromkeys(row["strategy"] for row in rows))
    for unused in axes.flat[len(kinds) :]:
        unused.remove()
    for axis, kind in zip(axes.flat, kinds, strict=False):
        for row in rows:
            if (row["candidates from"], row["sparsity"]) != kind:
                continue
            gained = row["gained"]
            x, y = 100 * row["share"]["estimate"], 100 * gained["estimate"]
            marker, colour = MARKERS[names.index(row["strategy"]) % len(MARKERS)]
            if np.isfinite(gained["low"]):
                axis.vlines(x, 100 * gained["low"], 100 * gained["high"], color=colour, lw=1.2, alpha=0.6)
            axis.plot(x, y, marker, ms=7, color=colour, label=row["strategy"])
        axis.axhline(0, color=QUIET, lw=0.8, ls=":")
        axis.set(xlabel="steps (full = 100 %)", ylabel="gain over a random\ncandidate (points)", xlim=(-6, 106))
        subtitle(axis, f"{kind[0]},\n{percent(kind[1])}")
        axis.label_outer()
    legend_below(figure)
    return figure
