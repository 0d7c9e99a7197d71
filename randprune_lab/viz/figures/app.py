"""Figures of the app: as narrow as a phone, with the axes of all positions of a control alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from randprune_lab.analysis.contrasts import interval_kind, over_seeds
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.standing import Standing
from randprune_lab.errors import check_rows
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.figures.early import places
from randprune_lab.viz.style import (
    COLOURS,
    LABELS,
    QUIET,
    draw_dense,
    errorbars,
    headline,
    legend_below,
    method_colour,
    method_look,
    new_figure,
    percent,
    place_axes,
    sparsity_ticks,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd

BEST = "black"
"""The colour of the candidate that is the best in the end."""


def early_and_final(now: Standing) -> Figure:
    """Early scores of a pool up to some training steps, and below them each candidate's final score by its rank of now.

    The leader is blue; a star marks the candidate that is the best in the end.
    """
    pool = now.pool
    known = pool.at.index(now.steps) + 1
    scores = pool.examples.mean(axis=2)
    apart = 1000 * (scores - scores.mean(axis=0))
    best = pool.final == pool.final.max()
    ranks = places(now.early)
    reach = 1.08 * float(np.abs(apart).max())
    figure, (lines, ends) = new_figure(height=5.6, nrows=2)
    for candidate, line in enumerate(apart):
        leads = candidate == now.leader
        look = _look(leads, bool(best[candidate]))
        lines.plot(pool.at[:known], line[:known], lw=2.4 if leads else 1.2, **look)
        marker, size = ("*", 13) if best[candidate] else ("o", 7)
        ends.plot(ranks[candidate], 100 * pool.final[candidate], marker, ms=size, **look)
    lines.set(xlim=(0, pool.at[-1]), ylim=(-reach, reach), xlabel="training steps with the mask")
    lines.set_ylabel("early score − mean\n(0.001 nats)")
    ends.axhline(100 * pool.final.mean(), color=QUIET, lw=0.8, ls=":")
    ends.set(xlim=(0, len(ranks) + 1), xlabel="rank by early score now (1: leads)", ylabel="final accuracy\n(points)")
    ends.margins(y=0.12)
    place = "It ends as the best" if now.place == 1 else f"It ends at rank {now.place} of {len(pool.final)}"
    headline(lines, f"After {now.steps} steps, candidate {now.leader} leads.\n{place}.")
    subtitle(ends, f"rank correlation with the end: {now.agreement.as_correlation()}")
    place_axes(figure, left=0.85, bottom=0.5, top=0.5, hspace=0.6)
    return figure


def _look(leads: bool, best: bool) -> dict[str, Any]:
    colour = COLOURS["search"] if leads else BEST if best else QUIET
    return {"color": colour, "zorder": 4 if leads else 3 if best else 2}


def method_differences(found: Mapping[str, Interval], title: str, reach: float) -> Figure:
    """The difference of each method from IMP, with its 95 % interval and as a number.

    Args:
        found: the differences, by method.
        title: what the figure shows, as a sentence.
        reach: the axis ends at this many points on both sides; methods that are beyond are named by an arrow.
    """
    figure, axis = new_figure(height=0.62 * len(found) + 1.4)
    for row, (method, difference) in enumerate(found.items()):
        known = np.isfinite(difference.low)
        text = difference.in_points(signed=True) if known else f"{100 * difference.estimate:+.1f}"
        axis.text(-reach, row - 0.2, LABELS.get(method, method), va="center")
        axis.text(reach, row - 0.2, text, va="center", ha="right")
        look = {"color": method_colour(method), "ms": 7}
        if abs(100 * difference.estimate) > reach:
            end = np.sign(difference.estimate) * reach
            axis.plot(end, row + 0.2, "<" if end < 0 else ">", clip_on=False, **look)
        else:
            errorbars(axis, [row + 0.2], [difference], scale=100, horizontal=True, **look)
    axis.axvline(0, color="black", lw=0.8, ls=":")
    axis.set(xlim=(-reach, reach), ylim=(len(found) - 0.4, -0.6), yticks=[])
    axis.set(ylabel="method", xlabel="behind IMP   ←   difference (points)   →   ahead")
    axis.spines["left"].set_visible(False)
    headline(axis, title)
    place_axes(figure, left=0.35, bottom=0.55, top=0.7, right=0.15)
    return figure


def run_level(record: RunRecord, number: int) -> Figure:
    """A level of a run, finished or not: early scores of its candidates, and below them the test scores of all levels.

    Args:
        number: the level, from 1.
    """
    level = record.level(number)
    figure, (early, scores) = new_figure(height=5.6, nrows=2)
    _draw_candidates(early, record, number)
    _draw_scores(scores, record, number)
    headline(figure, f"Level {number} of {len(record.config.levels)}, {percent(level.sparsity)}")
    place_axes(figure, left=0.85, bottom=0.6 + legend_below(figure, scores), top=0.7, hspace=0.75)
    return figure


def _draw_candidates(axis: Axes, record: RunRecord, number: int) -> None:
    level = record.level(number)
    units, metric = level.candidates, record.task.primary_metric
    winner = level.selection.get("winner")
    for unit in units:
        chosen = unit["candidate"] == winner
        look: dict[str, Any] = {"color": COLOURS["search"], "zorder": 3} if chosen else {"color": QUIET}
        axis.plot(unit["at"], 100 * np.array(unit["metric"]), "o-", ms=4, lw=2.4 if chosen else 1.2, **look)
    axis.set(xlabel="training steps with the mask", ylabel=f"{metric}, validation\nset (points)")
    axis.locator_params(axis="x", integer=True)
    if not units:
        axis.set(xticks=[], yticks=[])
    subtitle(axis, _chosen(len(units), winner, level.done))


def _chosen(candidates: int, winner: int | None, done: bool) -> str:
    if not candidates:
        return "no early scores: there was one mask" if done else "no early scores yet"
    if winner is None:
        return f"early scores of {candidates} so far, none is selected yet"
    return f"candidate {winner} of {candidates} is selected"


def _draw_scores(axis: Axes, record: RunRecord, number: int) -> None:
    """Draw test scores; before there are any, validation scores."""
    levels, metric = record.config.levels, record.task.primary_metric
    if DENSE in record.scored:
        draw_dense(axis, record.score(DENSE))
    for shift, method in zip(np.linspace(-0.1, 0.1, len(record.methods)), record.methods, strict=True):
        found = {level: _score(record, level, method) for level in range(1, len(levels) + 1)}
        known = {level: score for level, score in found.items() if score}
        if known:
            errorbars(axis, np.array([*known]) + shift, [*known.values()], scale=100, ls="-", **method_look(method))
    axis.axvspan(number - 0.3, number + 0.3, color=COLOURS["search"], alpha=0.08, lw=0)
    axis.set_xticks(range(1, len(levels) + 1), [f"{100 * level:.4g}" for level in levels])
    scored_on = "test" if record.scored else "validation"
    axis.set(xlim=(0.5, len(levels) + 0.5), xlabel="sparsity (%)", ylabel=f"{metric}, {scored_on}\nset (points)")
    subtitle(axis, _verdict(record, number))
    if not axis.get_legend_handles_labels()[0]:
        axis.set_yticks([])


def _score(record: RunRecord, number: int, method: str) -> Interval | None:
    level = record.level(number, method)
    if level.name in record.scored:
        return record.score(level.name)
    if record.scored or not level.done:
        return None
    return Interval(level.validation_score, -np.inf, np.inf)


def _verdict(record: RunRecord, number: int) -> str:
    """The run's own method compared with its first baseline at a level."""
    own, label = record.level(number).name, LABELS.get(record.config.method, record.config.method)
    baselines = [method for method in record.methods[1:] if record.level(number, method).name in record.scored]
    if own not in record.scored:
        return f"{label}: no test score yet" if record.scored else "no test scores yet: these come last"
    if not baselines:
        return f"{label}: {record.score(own).in_points()} points"
    found = record.difference(own, record.level(number, baselines[0]).name)
    return f"{label} minus {LABELS.get(baselines[0], baselines[0])}: {found.in_points(signed=True)} points"


def scores_by_level(table: pd.DataFrame, task: str) -> Figure:
    """Scores of all methods on a task at each level, with 95 % intervals over test examples or over seeds.

    Args:
        table: results as `analysis.results_table` returns them.
    """
    rows = table[table.task == task]
    check_rows(rows, f"results of {task}")
    metric, pruned = rows.metric.iloc[0], rows[rows.sparsity > 0]
    kind = interval_kind(rows)
    dense = over_seeds(rows[rows.sparsity == 0], "score", kind)
    levels = sorted(set(table.sparsity) - {0.0})
    figure, axis = new_figure(height=5.0)
    draw_dense(axis, dense)
    methods = list(dict.fromkeys(pruned.method))
    for shift, method in zip(np.linspace(-0.24, 0.24, len(methods)), methods, strict=True):
        by_level = pruned[pruned.method == method].groupby("sparsity")
        own = {level: over_seeds(each, "score", kind) for level, each in by_level}
        places = np.array([levels.index(level) for level in own]) + shift
        errorbars(axis, places, [*own.values()], scale=100, ls="-", lw=1, ms=4, **method_look(str(method)))
    sparsity_ticks(axis, levels)
    axis.set(ylabel=f"{metric}, test set (points)", xlim=(-0.5, len(levels) - 0.5))
    axis.set_ylim(min(0, 100 * table.score.min() - 5), 103)  # the same for every task
    best = 100 * pruned[pruned.sparsity == levels[-1]].groupby("method").score.mean().max()
    headline(axis, f"{task}: {100 * dense.estimate:.1f} points dense, at best {best:.1f} at {percent(levels[-1])}")
    place_axes(figure, left=0.6, bottom=0.5 + legend_below(figure), top=0.45)
    return figure
