"""What the page of results says of the study `best-shot`, made from its record."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from randprune_lab.analysis import TaskRecord
from randprune_lab.analysis.pairs import primary_differences
from randprune_lab.stats.tasks import fixed_tasks, over_tasks
from randprune_lab.study import StudyConfig
from randprune_lab.tasks.spec import task_title

MASK = "Fisher, one threshold, minus IMP"
"""The contrast that the first primary difference is about."""


def best_shot_shows(table: pd.DataFrame, runs: Sequence[TaskRecord] = ()) -> str:
    """The text below the heading, from the recorded results and, of what was chosen, the record of each unit."""
    config = StudyConfig.load("best-shot")
    units = len(config.tasks) * len(config.seeds)
    done = len(_complete(table, config))
    if done < units:
        return f"Not finished: {done} of {units} units are recorded. The differences are judged once, when all are."
    primary = primary_differences(table, config.primary, config.combinations, config.chosen, units)
    level = primary.sparsity.iloc[0]
    lines = [
        f"All {units} units are done. The differences are in points, means over the {len(config.tasks)} tasks; "
        "brackets are 95 % intervals for these tasks with other seeds. Here `imp` and `fisher-short` have 3 epochs a "
        "level each, `search` is the search around the Fisher mask, and `fisher` the best of its three other uses.",
        "",
        f"| written down before, at {100 * level:g} % | expected (points) | found (points) | p, corrected | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.primary}: `{row.first}` minus `{row.second}` | {row.expected:+.1f} | "
        f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}] | {_p(row.holm)} | {row.verdict} |"
        for row in primary.itertuples()
    ]
    levels = config.levels
    lines += ["", f"| explored | {' | '.join(f'at {100 * each:g} % (points)' for each in levels)} |"]
    lines += [f"| {' | '.join(['---'] * (1 + len(levels)))} |"]
    for name, (first, second) in config.contrasts.items():
        cells = [fixed_tasks(_by_task(table, first, second, each)).in_points(signed=True) for each in levels]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    first, second = config.contrasts[MASK]
    tasks = _by_task(table, first, second, level)
    each = ", ".join(f"{100 * sum(values) / len(values):+.1f} on {task_title(task)}" for task, values in tasks.items())
    ahead = sum(value > 0 for values in tasks.values() for value in values)
    steps = table[table.sparsity > 0].groupby(["task", "method"]).steps.max()["stsb"]
    lines += [
        "",
        f"By task the first difference is {each} points, and positive in {ahead} of the {units} units. As a sample of "
        f"tasks the four are few: its interval over tasks is {over_tasks(tasks).in_points(signed=True)}. On STS-B the "
        f"Fisher mask takes {steps['fisher-short']:,} training steps at the two levels, and the search "
        f"{steps['search']:,}.",
    ]
    if runs:
        chosen = [recipe["candidate"] for run in runs for recipe in run.recipes["search"]]
        lines[-1] += (
            f" The search left the mask for another candidate in {sum(map(bool, chosen))} of {len(chosen)} choices."
        )
    return "\n".join(lines)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _complete(table: pd.DataFrame, config: StudyConfig) -> list[tuple[str, int]]:
    """The tasks and seeds that have all methods."""
    groups = table[table.sparsity > 0].groupby(["task", "seed"]).method
    return [place for place, methods in groups if {*config.methods} <= {*methods}]


def _by_task(table: pd.DataFrame, first: str, second: str, sparsity: float) -> dict[str, list[float]]:
    """The first method minus the second for each seed of a task."""
    wide = table[table.sparsity == sparsity].pivot(index=["task", "seed"], columns="method", values="score")
    values = (wide[first] - wide[second]).groupby(level="task")
    return {str(task): each.tolist() for task, each in values}
