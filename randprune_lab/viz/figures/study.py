"""Figures of a recorded study: the controls of its tasks, and its early evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.errors import check_rows
from randprune_lab.stats.tasks import over_tasks
from randprune_lab.viz.style import (
    COLOURS,
    FAINT,
    QUIET,
    errorbars,
    headline,
    legend_below,
    new_figure,
    sparsity_ticks,
    subtitle,
)

if TYPE_CHECKING:
    import pandas as pd

CONTROLS = {  # column: (label, marker, colour)
    "majority": ("majority class", "|", QUIET),
    "words": ("bag of words", "x", QUIET),
    "without-encoder": ("without encoder", "s", COLOURS["uniform"]),
    "magnitude": ("magnitude, 99 % in one step", "v", COLOURS["magnitude"]),
    "dense": ("dense", "o", COLOURS["dense"]),
}


def controls(table: pd.DataFrame) -> Figure:
    """The controls of each task: scores that need no encoder or no search, means over seeds.

    Tasks that are not included, because the mask cannot matter there, or of which this is unknown, have grey names.

    Args:
        table: controls as `analysis.recorded_controls` returns them.
    """
    check_rows(table, "controls")
    tasks = list(dict.fromkeys(table.task))
    figure, axis = new_figure(height=0.36 * max(4, len(tasks)) + 1.7)
    for column, (label, marker, colour) in CONTROLS.items():
        means = 100 * table.groupby("task", sort=False)[column].mean()
        axis.plot(means, range(len(tasks) - 1, -1, -1), marker, ms=8, color=colour, label=label)
    included = set(table.task[table.included])
    names = [f"{task} ({table.metric[table.task == task].iloc[0]})" for task in tasks]
    axis.set_yticks(range(len(tasks) - 1, -1, -1), names)
    for text, task in zip(axis.get_yticklabels(), tasks, strict=True):
        text.set_color("black" if task in included else QUIET)
    axis.grid(axis="y", lw=0.5, color=FAINT)
    axis.set(xlabel="score, test set (points)", ylabel="task (metric)")
    known = table.task[table.included.notna()].nunique()
    headline(axis, f"The mask matters on {len(included)} of {known} tasks: dense is better than no encoder")
    legend_below(figure)
    return figure


def early_by_ratio(early: pd.DataFrame) -> Figure:
    """Early scores minus the mean of their level, by sampling ratio, with 95 % intervals over tasks.

    The levels of a task and seed are one run, in which each begins where the one before ended, so their mean is one
    value.

    Args:
        early: early evaluations as `analysis.early_evaluations` returns them.
    """
    check_rows(early, "early evaluations")
    level = ["task", "seed", "sparsity"]
    apart = early.assign(apart=100 * (early.score - early.groupby(level).score.transform("mean")))
    levels = apart.groupby([*level, "sampling_ratio"]).apart.mean()
    runs = levels.groupby(["sampling_ratio", "task", "seed"]).mean()
    ratios = sorted(early.sampling_ratio.unique())
    figure, (axis, cloud) = new_figure(height=5.0, nrows=2, sharex=True, height_ratios=[1, 1.2])
    found = [over_tasks({task: own.tolist() for task, own in runs[ratio].groupby("task")}) for ratio in ratios]
    errorbars(axis, range(len(ratios)), found, ms=7, capsize=4, color=COLOURS["search"], label="mean over tasks")
    for place, ratio in enumerate(ratios):
        own = runs[ratio]
        shifts = np.linspace(-0.15, 0.15, len(own)) if len(own) > 1 else np.zeros(1)
        cloud.plot(place + shifts, own, ".", color=QUIET, ms=5)
    for one in (axis, cloud):
        one.axhline(0, color=QUIET, lw=1)
        one.set_ylabel("early score minus\nlevel's mean (points)")
    subtitle(cloud, "each task and seed, means over levels")
    cloud.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    cloud.set(xlabel="sampling ratio of the candidate (smaller is more random)")
    clear = [f"{ratio:g}" for ratio, one in zip(ratios, found, strict=True) if one.low > 0 or one.high < 0]
    verdict = f"{' and '.join(clear)} significantly different from the mean" if clear else "no significant difference"
    verdict = verdict if np.isfinite(found[0].high) else "the intervals are unknown"
    headline(axis, f"Sampling ratios on {early.task.nunique()} tasks: {verdict}")
    return figure


def spread_by_level(early: pd.DataFrame) -> Figure:
    """The standard deviation of the early scores of a level's candidates, for each task and as the mean over tasks.

    Args:
        early: early evaluations as `analysis.early_evaluations` returns them.
    """
    check_rows(early, "early evaluations")
    spread = 100 * early.groupby(["task", "seed", "sparsity"], sort=False).score.std()
    levels = sorted(early.sparsity.unique())
    figure, axis = new_figure(height=3.4)
    tasks = list(dict.fromkeys(early.task))
    for shift, task in zip(np.linspace(-0.2, 0.2, len(tasks)), tasks, strict=True):
        own = spread.xs(task, level="task").groupby(level="sparsity").mean()
        axis.plot([levels.index(level) + shift for level in own.index], own, ".", ms=7, color=QUIET)
    means = spread.groupby(level="sparsity").mean()
    axis.plot(range(len(levels)), means[levels], "D-", color=COLOURS["search"], label="mean over tasks")
    sparsity_ticks(axis, levels)
    axis.set(ylabel="standard deviation of\nearly scores (points)", ylim=(0, None))
    headline(axis, f"Candidates of a level: standard deviation of {means.min():.1f} to {means.max():.1f} points")
    axis.legend(frameon=False)
    return figure
