"""Figures of what came out: scores on the report split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.intervals import Interval
from randprune_lab.analysis.record import RunRecord
from randprune_lab.analysis.results import ALL, gains
from randprune_lab.viz.style import COLOURS, LABELS, QUIET, fix_layout, new_figure

if TYPE_CHECKING:
    import pandas as pd


def accuracy_by_sparsity(record: RunRecord) -> Figure:
    """The task's first metric, as a rule accuracy, on the report split against sparsity, with 95 % intervals."""
    figure, axis = new_figure(7.5, 3.8)
    dense = record.score("dense")
    axis.axhspan(dense.low, dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])
    places = np.arange(len(record.config.levels))
    for shift, method in zip(np.linspace(-0.08, 0.08, len(record.methods)), record.methods, strict=True):
        intervals = [record.score(f"{method}-level-{level + 1}") for level in places]
        middle = np.array([interval.estimate for interval in intervals])
        arms = [middle - [i.low for i in intervals], [i.high for i in intervals] - middle]
        axis.errorbar(
            places + shift,
            middle,
            arms,
            fmt="o-",
            capsize=3,
            color=COLOURS[method],
            label=LABELS.get(method, method),
        )
    axis.set_xticks(places, [f"{level:.4g} %" for level in 100 * np.array(record.config.levels)])
    axis.set(xlabel="sparsity of the encoder", ylabel=f"{record.task.primary_metric}, report split")
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_title(_verdict(record))
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _verdict(record: RunRecord) -> str:
    """What the last level says about the search against IMP, no more than its interval allows."""
    last = len(record.config.levels)
    sparsity = record.config.levels[-1]
    if "imp" not in record.methods:
        return f"{record.task.primary_metric.capitalize()} down to {sparsity:.4g} sparsity"
    gain = record.difference(f"randomized-level-{last}", f"imp-level-{last}")
    if gain.low <= 0 <= gain.high:
        return f"At {sparsity:.2%}: no clear difference to IMP ({gain.estimate:+.3f})"
    return f"At {sparsity:.2%}: {'better' if gain.estimate > 0 else 'worse'} than IMP by {abs(gain.estimate):.3f}"


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
            axis.plot(places, mean, "o-", ms=4, color=_colour(str(method)), label=LABELS.get(str(method), method))
        axis.set_title(task, fontsize="medium", fontweight="normal")
        ticks = [0, *(levels.index(level) for level in (0.9375, 0.99) if level in levels[1:])]
        axis.set_xticks(ticks, [f"{100 * levels[tick]:.4g}" for tick in ticks], fontsize="small")
        axis.set(xlabel="sparsity (%)", ylabel=own.metric.iloc[0])
    axes[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def gains_by_task(by_method: Mapping[str, Mapping[str, Interval]], sparsity: float) -> Figure:
    """Differences to IMP with their intervals, task by task and over all; from `analysis.results.gains`."""
    tasks = [*dict.fromkeys(task for found in by_method.values() for task in found if task != ALL), ALL]
    figure, axis = new_figure(8.0, 0.42 * len(tasks) + 1.4)
    shifts = np.linspace(0.22, -0.22, len(by_method)) if len(by_method) > 1 else [0.0]
    for shift, (method, found) in zip(shifts, by_method.items(), strict=True):
        places = np.array([len(tasks) - 1 - tasks.index(task) for task in found]) + shift
        middle = np.array([found[task].estimate for task in found])
        low, high = (np.array([getattr(found[task], end) for task in found]) for end in ("low", "high"))
        arms = np.nan_to_num([middle - low, high - middle], posinf=0.0)
        axis.errorbar(middle, places, xerr=arms, fmt="o", ms=5, capsize=2, color=_colour(method), label=method)
    axis.axvline(0, color=QUIET, lw=1)
    axis.axhline(0.5, color=QUIET, lw=0.8, ls=":")
    axis.set_yticks(range(len(tasks)), reversed(tasks))
    axis.set(xlabel="score less that of IMP (same examples)", ylabel="task")
    better = [method for method, found in by_method.items() if found[ALL].low > 0]
    verdict = f"{' and '.join(better)} surely ahead" if better else "no method surely ahead"
    axis.set_title(f"At {sparsity:.2%}, over all tasks: {verdict} of IMP")
    axis.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    fix_layout(figure, left=0.15, right=0.74, bottom=0.6 / (0.42 * len(tasks) + 1.4), top=0.91)
    return figure


def gains_by_level(table: pd.DataFrame) -> Figure:
    """Differences to IMP at every level, the mean over tasks with its 95 % interval; from `results_table`."""
    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    found = {level: gains(table, level) for level in levels}
    methods = [method for method in dict.fromkeys(table.method) if method in found[levels[-1]]]
    figure, axis = new_figure(8.0, 3.8)
    ahead = []
    shifts = np.linspace(-0.2, 0.2, len(methods)) if len(methods) > 1 else [0.0]
    for shift, method in zip(shifts, methods, strict=True):
        means = [found[level][method][ALL] for level in levels]
        middle = np.array([each.estimate for each in means])
        arms = np.nan_to_num([middle - [each.low for each in means], [each.high for each in means] - middle], posinf=0)
        places = np.arange(len(levels)) + shift
        axis.errorbar(places, middle, arms, fmt="o-", ms=5, lw=1, capsize=2, color=_colour(method), label=method)
        ahead += [level for level, each in zip(levels, means, strict=True) if each.low > 0]
    axis.axhline(0, color=QUIET, lw=1)
    axis.set_xticks(range(len(levels)), [f"{100 * level:.4g}" for level in levels])
    axis.set(xlabel="sparsity (%)", ylabel="score less that of IMP, mean over tasks")
    where = ", ".join(f"{100 * level:.4g}" for level in dict.fromkeys(sorted(ahead)))
    verdict = f"some surely ahead of IMP at {where} %" if ahead else "none surely ahead of IMP"
    axis.set_title(f"Over {table.task.nunique()} tasks: {verdict}")
    axis.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def split_of_gain(splits: Mapping[float, Mapping[str, Interval]]) -> Figure:
    """What randomness, selection and steps do, by sparsity, over tasks; from `analysis.results.split_of_gain`."""
    parts = list(next(iter(splits.values())))
    figure, axis = new_figure(8.0, 0.55 * len(parts) + 1.3)
    shifts = np.linspace(0.15, -0.15, len(splits)) if len(splits) > 1 else [0.0]
    for shift, (sparsity, found), marker in zip(shifts, splits.items(), "osD^"[: len(splits)], strict=True):
        places = np.array([len(parts) - 1 - parts.index(part) for part in found]) + shift
        middle = np.array([interval.estimate for interval in found.values()])
        low, high = (np.array([getattr(interval, end) for interval in found.values()]) for end in ("low", "high"))
        arms = np.nan_to_num([middle - low, high - middle], posinf=0.0)
        label = f"{100 * sparsity:.4g} % sparse"
        axis.errorbar(middle, places, xerr=arms, fmt=marker, capsize=3, color=COLOURS["randomized"], label=label)
    axis.axvline(0, color=QUIET, lw=1)
    axis.set_yticks(range(len(parts)), reversed(parts))
    axis.set(xlabel="difference of scores, mean over tasks", ylabel="what is compared")
    axis.locator_params(axis="x", nbins=6)
    clear = {part for found in splits.values() for part, each in found.items() if each.low > 0 or each.high < 0}
    axis.set_title(f"{len(clear)} of {len(parts)} parts of the gain differ surely from zero")
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


def _colour(method: str) -> str:
    """Baselines have their own colours; searches that of randomized pruning, its variants a neighbouring one."""
    variants = dict.fromkeys(("random allocation", "learned allocation"), COLOURS["allocation"])
    return variants.get(method) or COLOURS.get(method, COLOURS["randomized"])
