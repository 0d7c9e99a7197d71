"""Figures of results: scores on the test set, and differences from IMP in points."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from randprune_lab.analysis.contrasts import ALL, IMP, differences, single_rows
from randprune_lab.analysis.levels import total_steps
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import check_rows
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


def accuracy_by_sparsity(record: RunRecord) -> Figure:
    """Test scores of a run's methods against sparsity, with 95 % intervals.

    Scores are in the task's first metric, which is accuracy for most tasks. The title compares the run's own method
    with IMP at the last level; if the two took different numbers of training steps, it says so.
    """
    figure, axis = new_figure(height=3.8)
    draw_dense(axis, record.score("dense"))
    draw_chance(axis, record)
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


def draw_chance(axis: Axes, record: RunRecord) -> None:
    """Draw the accuracy of always answering the most frequent label; nothing for other metrics."""
    if record.task.primary_metric == "accuracy":
        _, labels = record.answers("dense")
        chance = 100 * float(np.bincount(labels).max()) / len(labels)
        axis.axhline(chance, color=QUIET, lw=1.2, ls=":", label="most frequent label")


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


def results_by_task(table: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Test scores of some methods against sparsity, a panel for each task: means over seeds, and the range of seeds.

    Args:
        table: results as `analysis.results_table` returns them.
        methods: the names of the methods to draw; those without results on a task are left out there.
    """
    table = single_rows(table)
    asked = table[table.method.isin([*methods]) & (table.sparsity > 0)]
    check_rows(asked, f"results of {' or '.join(methods)}")
    tasks = list(dict.fromkeys(asked.task))
    columns = min(2, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = new_figure(height=1.9 * rows + 1.3, nrows=rows, ncols=columns, squeeze=False)
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    for unused in axes.flat[len(tasks) :]:
        unused.remove()
    apart: dict[str, float] = {}
    for axis, task in zip(axes.flat, tasks, strict=False):
        own = table[table.task == task]
        dense = 100 * own[own.method == "dense"].score.mean()
        axis.axhline(dense, color=COLOURS["dense"], lw=1, ls="--", label=LABELS["dense"])
        means = {}
        for method in methods:
            pruned = own[(own.method == method) & (own.sparsity > 0)].set_index("sparsity")
            scores = (100 * pruned.score).groupby(level=0)
            mean, look = scores.mean(), method_look(method)
            places = [levels.index(level) for level in mean.index]
            axis.fill_between(places, scores.min(), scores.max(), color=look["color"], alpha=0.15, lw=0)
            axis.plot(places, mean, ms=4, lw=1.2, **look)  # also of no results, so that the first panel has all labels
            if len(mean):
                means[method] = mean
        spread = _range(means)
        check_rows(spread, f"levels of {task} that all of {' and '.join(means)} have")
        apart[f"{task}, {percent(spread.idxmax())}"] = spread.max()
        subtitle(axis, f"{task}: most apart\nat {percent(spread.idxmax())}")
        sparsity_ticks(axis, levels, [0, *(levels.index(level) for level in (0.9375, 0.99) if level in levels[1:])])
        axis.set_ylabel(f"{own.metric.iloc[0]} (points)")
    most = max(apart, key=lambda name: apart[name])
    headline(figure, f"{len(methods)} methods are apart by at most {apart[most]:.1f} points ({most})")
    legend_below(figure)
    return figure


def _range(means: Mapping[str, pd.Series]) -> pd.Series:
    """The largest minus the smallest of several means, at each level that all of them have."""
    import pandas as pd

    together = pd.DataFrame(dict(means)).dropna()
    return together.max(axis=1) - together.min(axis=1)


def differences_by_method(
    by_method: Mapping[str, Mapping[str, Interval]],
    sparsity: float,
    method: str,
    *,
    axes_for: Iterable[Mapping[str, Mapping[str, Interval]]] = (),
) -> Figure:
    """Differences from IMP, a row for each method: the mean over tasks with its 95 % interval, and the tasks as dots.

    Args:
        by_method: differences as `analysis.differences` returns them.
        sparsity: the level that they are from.
        method: the method that the title is about.
        axes_for: differences at other levels that the axes fit too, so that pictures of all of them can be compared.
    """
    tasks = [*dict.fromkeys(task for found in by_method.values() for task in found if task != ALL)]
    rows = dict(zip(by_method, range(len(by_method) - 1, -1, -1), strict=True))
    figure, axis = new_figure(height=0.5 * len(rows) + 1.5)
    for task, marker in zip(tasks, itertools.cycle("osD^v<>P"), strict=False):
        own = {row: by_method[name][task] for name, row in rows.items() if task in by_method[name]}
        places = np.array([*own]) + 0.22
        axis.plot([100 * one.estimate for one in own.values()], places, marker, ms=5, color=QUIET, label=task)
    means = [found[ALL] for found in by_method.values()]
    look: dict[str, Any] = {"color": COLOURS["dense"], "lw": 2.6, "ms": 0, "capsize": 4, "label": "mean over tasks"}
    errorbars(axis, [*rows.values()], means, scale=100, horizontal=True, **look)
    for name, row in rows.items():
        axis.plot(100 * by_method[name][ALL].estimate, row, "o", ms=9, color=method_colour(name), zorder=4)
    axis.axvline(0, color=QUIET, lw=1)
    axis.set_yticks([*rows.values()], [fill(LABELS.get(name, name), 21) for name in rows])
    axis.set(xlabel="difference from IMP (points)", ylabel="method")
    axis.set(xlim=_ends([by_method, *axes_for]), ylim=(-0.6, len(rows) - 0.4))
    headline(axis, f"At {percent(sparsity)}, over all tasks: {lead(by_method[method][ALL], method, IMP)}")
    place_axes(figure, left=1.75, bottom=0.5 + legend_below(figure), top=0.5)
    return figure


def lead(found: Interval, method: str, other: str) -> str:
    """What a difference of two methods allows to say, with its interval in points."""
    first, second = (LABELS.get(name, name) for name in (method, other))
    if not np.isfinite(found.high - found.low):
        return f"{first} minus {second} {100 * found.estimate:+.1f} points, its interval is unknown"
    if not found.low > 0 and not found.high < 0:
        return f"no clear difference between {first} and {second}, {found.in_points(signed=True)} points"
    ends = [100 * end for end in (found.estimate, found.low, found.high)]
    estimate, low, high = ends if found.low > 0 else (-ends[0], -ends[2], -ends[1])
    where = "ahead of" if found.low > 0 else "behind"
    return f"{first} is {where} {second} by {estimate:.1f} points [{low:.1f}, {high:.1f}]"


def _ends(levels: Sequence[Mapping[str, Mapping[str, Interval]]]) -> tuple[float, float]:
    """Limits in points that fit all estimates, and the intervals of the means that are finite."""
    found = [by_task for by_method in levels for by_task in by_method.values()]
    ends = [100 * one.estimate for by_task in found for one in by_task.values()]
    ends += [100 * end for by_task in found for end in (by_task[ALL].low, by_task[ALL].high) if np.isfinite(end)]
    room = 0.04 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


def differences_by_level(table: pd.DataFrame) -> Figure:
    """Differences from IMP at every level: means over tasks with 95 % intervals.

    Args:
        table: results as `analysis.results_table` returns them.
    """
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    check_rows(levels, "results of pruned models")
    found = {level: differences(table, level) for level in levels}
    methods = [method for method in dict.fromkeys(table.method) if method in found[levels[-1]]]
    check_rows(methods, "differences from IMP at the last level")
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
    names = list(next(iter(means.values()), ()))
    check_rows(names, "contrasts")
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
    clear = "; ".join(f"at {percent(sparsity)} {_clear(found)}" for sparsity, found in means.items())
    headline(axis, f"Clearly different from zero: {clear}")
    legend_below(figure)
    return figure


def _clear(found: Mapping[str, Interval]) -> str:
    """The contrasts whose intervals leave out zero, by the beginnings of their names."""
    clear = [name.partition(":")[0] for name, each in found.items() if each.low > 0 or each.high < 0]
    return " and ".join(clear) or "none"


def references(published: pd.DataFrame, task: str, metric: str) -> Figure:
    """Results that others have published for BERT-base on a task, each with its own settings.

    Args:
        published: results as `analysis.reference_results` returns them.
        task, metric: the rows to draw.
    """
    rows = published[(published.task == task) & (published.metric == metric)].sort_values("sparsity")
    check_rows(rows, f"published results of {task} in {metric}")
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
