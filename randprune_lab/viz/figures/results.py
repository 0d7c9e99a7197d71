"""Figures of results: scores on the test set, and differences from IMP in points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.results import ALL, differences
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import COLOURS, LABELS, QUIET, errorbars, fix_layout, method_colour, new_figure

if TYPE_CHECKING:
    import pandas as pd


def accuracy_by_sparsity(record: RunRecord) -> Figure:
    """The task's first metric, as a rule accuracy, on the test set against sparsity, with 95 % intervals."""
    figure, axis = new_figure(7.5, 3.8)
    dense = record.score("dense")
    axis.axhspan(dense.low, dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])
    places = np.arange(len(record.config.levels))
    for shift, method in zip(np.linspace(-0.08, 0.08, len(record.methods)), record.methods, strict=True):
        intervals = [record.score(record.level(level + 1, method).name) for level in places.tolist()]
        label = LABELS.get(method, method)
        errorbars(axis, places + shift, intervals, fmt="o-", color=method_colour(method), label=label)
    axis.set_xticks(places, [f"{level:.4g} %" for level in 100 * np.array(record.config.levels)])
    axis.set(xlabel="sparsity of the encoder", ylabel=f"{record.task.primary_metric}, test set")
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_title(_verdict(record))
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _verdict(record: RunRecord) -> str:
    """The search compared with IMP at the last level, no more than its interval allows."""
    last = len(record.config.levels)
    sparsity = record.config.levels[-1]
    if "imp" not in record.methods:
        return f"{record.task.primary_metric.capitalize()} down to {sparsity:.4g} sparsity"
    found = record.difference(record.last, record.level(last, "imp").name)
    points = 100 * found.estimate
    if found.low <= 0 <= found.high:
        return f"At {sparsity:.2%}: no clear difference from IMP ({points:+.1f} points)"
    return f"At {sparsity:.2%}: {'better' if points > 0 else 'worse'} than IMP by {abs(points):.1f} points"


def results_by_task(table: pd.DataFrame) -> Figure:
    """Score against sparsity for every task and method, the mean over seeds; from `results_table`.

    Levels are evenly spaced; the dashed line is the dense model.
    """
    tasks = list(dict.fromkeys(table.task))
    columns = min(4, len(tasks))
    lines = -(-len(tasks) // columns)
    figure, axes = new_figure(2.7 * columns + 1.4, 2.3 * lines + 0.5, nrows=lines, ncols=columns, squeeze=False)
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    for unused in axes.flat[len(tasks) :]:
        unused.remove()
    for axis, task in zip(axes.flat, tasks, strict=False):
        own = table[table.task == task]
        axis.axhline(own[own.method == "dense"].score.mean(), color=COLOURS["dense"], lw=1, ls="--", label="dense")
        for method, rows in own[own.sparsity > 0].groupby("method", sort=False):
            mean = rows.groupby("sparsity").score.mean()
            places = [levels.index(level) for level in mean.index]
            axis.plot(places, mean, "o-", ms=4, color=method_colour(str(method)), label=LABELS.get(str(method), method))
        axis.set_title(task, fontsize="medium", fontweight="normal")
        ticks = [0, *(levels.index(level) for level in (0.9375, 0.99) if level in levels[1:])]
        axis.set_xticks(ticks, [f"{100 * levels[tick]:.4g}" for tick in ticks], fontsize="small")
        axis.set(xlabel="sparsity (%)", ylabel=own.metric.iloc[0])
    axes[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def differences_by_task(by_method: Mapping[str, Mapping[str, Interval]], sparsity: float) -> Figure:
    """Differences from IMP with their intervals, task by task and over all; from `analysis.results.differences`."""
    tasks = [*dict.fromkeys(task for found in by_method.values() for task in found if task != ALL), ALL]
    height = 0.42 * len(tasks) + 1.4
    figure, axis = new_figure(8.0, height)
    shifts = np.linspace(0.22, -0.22, len(by_method)) if len(by_method) > 1 else [0.0]
    for shift, (method, found) in zip(shifts, by_method.items(), strict=True):
        places = np.array([len(tasks) - 1 - tasks.index(task) for task in found]) + shift
        look: dict[str, Any] = {
            "ms": 5,
            "capsize": 2,
            "color": method_colour(method),
            "label": LABELS.get(method, method),
        }
        errorbars(axis, places, [*found.values()], scale=100, horizontal=True, **look)
    axis.axvline(0, color=QUIET, lw=1)
    axis.axhline(0.5, color=QUIET, lw=0.8, ls=":")
    axis.set_yticks(range(len(tasks)), reversed(tasks))
    axis.set(xlabel="difference from IMP, same examples (points)", ylabel="task")
    better = [LABELS.get(method, method) for method, found in by_method.items() if found[ALL].low > 0]
    verdict = f"{' and '.join(better)} significantly better" if better else "no method significantly better"
    axis.set_title(f"At {sparsity:.2%}, over all tasks: {verdict} than IMP")
    axis.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    fix_layout(figure, left=0.12, right=0.68, bottom=0.6 / height, top=0.91)
    return figure


def differences_by_level(table: pd.DataFrame) -> Figure:
    """Differences from IMP at every level, the mean over tasks with its 95 % interval; from `results_table`."""
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    found = {level: differences(table, level) for level in levels}
    methods = [method for method in dict.fromkeys(table.method) if method in found[levels[-1]]]
    figure, axis = new_figure(8.6, 3.8)
    better: set[float] = set()
    shifts = np.linspace(-0.2, 0.2, len(methods)) if len(methods) > 1 else [0.0]
    for shift, method in zip(shifts, methods, strict=True):
        means = [found[level][method][ALL] for level in levels]
        look: dict[str, Any] = {"fmt": "o-", "ms": 5, "lw": 1, "capsize": 2, "color": method_colour(method)}
        errorbars(axis, np.arange(len(levels)) + shift, means, scale=100, label=LABELS.get(method, method), **look)
        better |= {level for level, each in zip(levels, means, strict=True) if each.low > 0}
    axis.axhline(0, color=QUIET, lw=1)
    axis.set_xticks(range(len(levels)), [f"{100 * level:.4g}" for level in levels])
    axis.set(xlabel="sparsity (%)", ylabel="difference from IMP (points),\nmean over tasks")
    where = ", ".join(f"{100 * level:.4g}" for level in sorted(better))
    verdict = f"some significantly better than IMP at {where} %" if better else "none significantly better than IMP"
    axis.set_title(f"Over {table.task.nunique()} tasks: {verdict}")
    axis.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def contrast_means(means: Mapping[float, Mapping[str, Interval]]) -> Figure:
    """The contrasts of a study by sparsity, means over tasks; from `analysis.results.contrast_means`."""
    names = list(next(iter(means.values())))
    figure, axis = new_figure(8.0, 0.55 * len(names) + 1.3)
    shifts = np.linspace(0.15, -0.15, len(means)) if len(means) > 1 else [0.0]
    for shift, (sparsity, found), marker in zip(shifts, means.items(), "osD^"[: len(means)], strict=True):
        places = np.array([len(names) - 1 - names.index(name) for name in found]) + shift
        look: dict[str, Any] = {"fmt": marker, "color": COLOURS["search"], "label": f"{100 * sparsity:.4g} % sparse"}
        errorbars(axis, places, [*found.values()], scale=100, horizontal=True, **look)
    axis.axvline(0, color=QUIET, lw=1)
    axis.set_yticks(range(len(names)), reversed(names))
    axis.set(xlabel="difference of scores (points), mean over tasks", ylabel="contrast")
    axis.locator_params(axis="x", nbins=6)
    clear = {name for found in means.values() for name, each in found.items() if each.low > 0 or each.high < 0}
    axis.set_title(f"{len(clear)} of {len(names)} contrasts differ significantly from zero")
    axis.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def references(published: pd.DataFrame, task: str, metric: str) -> Figure:
    """What others report for a task at their sparsities, BERT-base and their own settings each."""
    rows = published[(published.task == task) & (published.metric == metric)].sort_values("sparsity")
    figure, axis = new_figure(7.5, 3.6)
    for (method, own), marker in zip(rows.groupby("method", sort=False), "osDv^PX<>*", strict=False):
        colour = COLOURS.get(str(method).partition(" ")[0], "black")
        axis.plot(100 * own.sparsity, own.value, marker, ms=7, color=colour, label=method)
    axis.set(xlabel="sparsity (%)", ylabel=f"{metric} (%)")
    axis.set_title(f"{task}: {len(rows)} published results, each with settings of its own")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
