"""Figures of results: scores on the test set, and differences from IMP in points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.levels import total_steps
from randprune_lab.analysis.results import ALL, IMP, differences, single_rows
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import (
    COLOURS,
    FAINT,
    LABELS,
    QUIET,
    draw_dense,
    errorbars,
    headline,
    legend_below,
    method_look,
    new_figure,
    percent,
    place_axes,
    sparsity_ticks,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd


def accuracy_by_sparsity(record: RunRecord) -> Figure:
    """Test scores of a run's methods against sparsity, with 95 % intervals.

    Scores are in the task's first metric, which is accuracy for most tasks. The title compares the run's own method
    with IMP at the last level; if the two took different numbers of training steps, it says so.
    """
    figure, axis = new_figure(height=3.8)
    draw_dense(axis, record.score("dense"))
    places = np.arange(len(record.config.levels))
    for shift, method in zip(np.linspace(-0.08, 0.08, len(record.methods)), record.methods, strict=True):
        intervals = [record.score(record.level(level + 1, method).name) for level in places.tolist()]
        errorbars(axis, places + shift, intervals, scale=100, ls="-", **method_look(method))
    sparsity_ticks(axis, record.config.levels)
    axis.set(xlabel="sparsity of the encoder (%)", ylabel=f"{record.task.primary_metric}, test set (points)")
    axis.set_xlim(-0.5, len(places) - 0.5)
    headline(axis, _verdict(record))
    legend_below(figure)
    return figure


def _verdict(record: RunRecord) -> str:
    """The title: the run's own method compared with IMP at the last level, by difference and by cost."""
    last = len(record.config.levels)
    sparsity = percent(record.config.levels[-1])
    if IMP not in record.methods:
        return f"{record.task.primary_metric.capitalize()} up to a sparsity of {sparsity}"
    found = record.difference(record.last, record.level(last, IMP).name)
    points = 100 * found.estimate
    verdict = f"{'better' if points > 0 else 'worse'} than IMP by {abs(points):.1f} points"
    if found.low <= 0 <= found.high:
        verdict = f"no clear difference from IMP ({points:+.1f} points)"
    totals = total_steps(record)
    steps = f"{totals[record.config.method] / totals[IMP]:.3g}"
    return f"At {sparsity}: {verdict}" + (f", with {steps} times its steps" if steps != "1" else "")


def results_by_task(table: pd.DataFrame) -> Figure:
    """Test scores against sparsity for every task and method, means over seeds; the dashed line is the dense model.

    Args:
        table: results as `analysis.results_table` returns them.
    """
    table = single_rows(table)
    tasks = list(dict.fromkeys(table.task))
    columns = min(2, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = new_figure(height=1.75 * rows + 1.3, nrows=rows, ncols=columns, squeeze=False)
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    for unused in axes.flat[len(tasks) :]:
        unused.remove()
    for axis, task in zip(axes.flat, tasks, strict=False):
        own = table[table.task == task]
        dense = 100 * own[own.method == "dense"].score.mean()
        axis.axhline(dense, color=COLOURS["dense"], lw=1, ls="--", label=LABELS["dense"])
        for method, rows_of_method in own[own.sparsity > 0].groupby("method", sort=False):
            mean = 100 * rows_of_method.groupby("sparsity").score.mean()
            places = [levels.index(level) for level in mean.index]
            axis.plot(places, mean, ms=4, lw=1.2, **method_look(str(method)))
        subtitle(axis, task)
        sparsity_ticks(axis, levels, [0, *(levels.index(level) for level in (0.9375, 0.99) if level in levels[1:])])
        axis.set_ylabel(f"{own.metric.iloc[0]} (points)")
    legend_below(figure)
    return figure


def differences_by_task(
    by_method: Mapping[str, Mapping[str, Interval]],
    sparsity: float,
    *,
    axes_for: Iterable[Mapping[str, Mapping[str, Interval]]] = (),
) -> Figure:
    """Differences from IMP with 95 % intervals, for each task and as the mean over all tasks.

    Args:
        by_method: differences as `analysis.differences` returns them.
        sparsity: the level that they are from.
        axes_for: differences at other levels that the axes fit too, so that pictures of all of them can be compared.
    """
    tasks = [*dict.fromkeys(task for found in by_method.values() for task in found if task != ALL), ALL]
    height = (0.25 + 0.11 * len(by_method)) * len(tasks) + 1.1 + 0.19 * len(by_method)
    figure, axis = new_figure(height=height)
    shifts = np.linspace(0.36, -0.36, len(by_method)) if len(by_method) > 1 else [0.0]
    for shift, (method, found) in zip(shifts, by_method.items(), strict=True):
        places = np.array([len(tasks) - 1 - tasks.index(task) for task in found]) + shift
        errorbars(axis, places, [*found.values()], scale=100, horizontal=True, **method_look(method))
    axis.axvline(0, color=QUIET, lw=1)
    axis.axhline(0.5, color=QUIET, lw=0.8, ls=":")
    axis.set_yticks(range(len(tasks)), reversed(tasks))
    axis.set(xlabel="difference from IMP, same test examples (points)", ylabel="task")
    axis.set(xlim=_ends([by_method, *axes_for]), ylim=(-0.5, len(tasks) - 0.5))
    better = [LABELS.get(method, method) for method, found in by_method.items() if found[ALL].low > 0]
    verdict = f"{' and '.join(better)} significantly better" if better else "no method significantly better"
    headline(axis, f"At {percent(sparsity)}, over all tasks: {verdict} than IMP")
    place_axes(figure, left=0.95, bottom=0.5 + legend_below(figure), top=0.5)
    return figure


def _ends(levels: Sequence[Mapping[str, Mapping[str, Interval]]]) -> tuple[float, float]:
    """Limits in points that fit all intervals that are finite."""
    found = [one for by_method in levels for by_task in by_method.values() for one in by_task.values()]
    ends = [100 * end for one in found for end in (one.estimate, one.low, one.high) if np.isfinite(end)]
    room = 0.04 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


def differences_by_level(table: pd.DataFrame) -> Figure:
    """Differences from IMP at every level: means over tasks with 95 % intervals.

    Args:
        table: results as `analysis.results_table` returns them.
    """
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    found = {level: differences(table, level) for level in levels}
    methods = [method for method in dict.fromkeys(table.method) if method in found[levels[-1]]]
    figure, axis = new_figure(height=4.4)
    better: set[float] = set()
    shifts = np.linspace(-0.28, 0.28, len(methods)) if len(methods) > 1 else [0.0]
    for shift, method in zip(shifts, methods, strict=True):
        means = [found[level][method][ALL] for level in levels]
        errorbars(axis, np.arange(len(levels)) + shift, means, scale=100, ls="-", lw=1, **method_look(method))
        better |= {level for level, each in zip(levels, means, strict=True) if each.low > 0}
    axis.axhline(0, color=QUIET, lw=1)
    sparsity_ticks(axis, levels)
    axis.set_ylabel("difference from IMP,\nmean over tasks (points)")
    where = ", ".join(f"{100 * level:.4g}" for level in sorted(better))
    verdict = f"some significantly better than IMP at {where} %" if better else "none significantly better than IMP"
    headline(axis, f"Over {table.task.nunique()} tasks: {verdict}")
    legend_below(figure)
    return figure


def contrast_means(means: Mapping[float, Mapping[str, Interval]]) -> Figure:
    """The contrasts of a study at one or more sparsities: means over tasks with 95 % intervals.

    Args:
        means: for each sparsity, the contrasts as `analysis.contrast_means` returns them.
    """
    names = list(next(iter(means.values())))
    figure, axis = new_figure(height=0.62 * len(names) + 1.4)
    shifts = np.linspace(0.15, -0.15, len(means)) if len(means) > 1 else [0.0]
    for shift, (sparsity, found), marker in zip(shifts, means.items(), "osD^"[: len(means)], strict=True):
        places = np.array([len(names) - 1 - names.index(name) for name in found]) + shift
        look: dict[str, Any] = {"marker": marker, "color": COLOURS["search"], "label": f"sparsity {percent(sparsity)}"}
        errorbars(axis, places, [*found.values()], scale=100, horizontal=True, **look)
    axis.axvline(0, color=QUIET, lw=1)
    axis.set_yticks(range(len(names)), [fill(name, 20) for name in reversed(names)])
    axis.set(xlabel="difference of scores,\nmean over tasks (points)", ylabel="contrast")
    axis.locator_params(axis="x", nbins=6)
    clear = {name for found in means.values() for name, each in found.items() if each.low > 0 or each.high < 0}
    headline(axis, f"{len(clear)} of {len(names)} contrasts differ significantly from zero")
    legend_below(figure)
    return figure


def references(published: pd.DataFrame, task: str, metric: str) -> Figure:
    """Results that others have published for BERT-base on a task, each with its own settings.

    Args:
        published: results as `analysis.reference_results` returns them.
        task, metric: the rows to draw.
    """
    rows = published[(published.task == task) & (published.metric == metric)].sort_values("sparsity")
    methods = list(dict.fromkeys(rows.method))
    figure, axis = new_figure(height=1.2 + 0.3 * len(methods))
    for place, method in enumerate(methods):
        own = rows[rows.method == method]
        colour = COLOURS.get(method.partition(" ")[0], "black")
        axis.plot(own.value, [place] * len(own), "o", ms=7, color=colour)
        for value, sparsity in zip(own.value, own.sparsity, strict=True):
            axis.annotate(percent(sparsity), (value, place), xytext=(7, 0), textcoords="offset points", va="center")
    axis.set_yticks(range(len(methods)), methods)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.grid(axis="y", lw=0.5, color=FAINT)
    axis.set(xlabel=f"{metric}, in points\n(beside it: sparsity)", ylabel="method")
    headline(axis, f"{task}: {len(rows)} published results, each with its own settings")
    return figure
