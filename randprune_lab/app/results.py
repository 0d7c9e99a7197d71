"""The app's part about results: the differences of all methods from IMP on GLUE tasks, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from randprune_lab.analysis.contrasts import ALL, IMP, differences, single_rows
from randprune_lab.app.part import Case, Part, Table
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval
from randprune_lab.tasks.spec import task_title
from randprune_lab.viz import figures
from randprune_lab.viz.controls import choice, nearest
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.style import LABELS, percent

if TYPE_CHECKING:
    import pandas as pd

REACH = 12.0
"""The axis ends at this many points on both sides of IMP."""
SEARCH = "search"
ABOUT = (
    "A recorded study on {tasks} tasks of GLUE with a BERT of two layers: each method's score minus that of iterative "
    "magnitude pruning (IMP) with the same number of training steps as the search, on the same test examples. Bars are "
    "95 % intervals: over seeds for a task, over tasks for the mean. The mean is over the {included} included tasks, "
    "where the dense model is significantly better than one without its encoder. On the others no mask can matter."
)
HINTS = {
    "task": "Begin with the mean, then take single tasks. On how many does the interval of the search contain zero? "
    "Choose a task that is not included: why do all methods look alike there?",
    "sparsity": "Go from 54 % to 99 %. Where does a method leave the dotted line, and does it come back?",
}


def results_part(results: pd.DataFrame, controls: pd.DataFrame) -> Part:
    """The part about results.

    Args:
        results: the scores of a recorded study, as `analysis.recorded_results` returns them.
        controls: its scores without pruning, as `analysis.recorded_controls` returns them.
    """
    included = set(controls.task[controls.included])
    tasks = sorted(dict.fromkeys(results.task), key=lambda task: task not in included)
    mean = f"mean of the {len(included)} included tasks"
    names = {ALL: mean} | {task: f"{task_title(task)}{'' if task in included else ' (not included)'}" for task in tasks}
    levels = sorted(set(results.sparsity[results.sparsity > 0]))

    @cache
    def found(sparsity: float) -> Mapping[str, Mapping[str, Interval]]:
        """The differences by task and method; the mean is over the included tasks."""
        single = differences(results, sparsity)
        over = differences(results[results.task.isin(included)], sparsity)
        by_task = {task: {method: of[task] for method, of in single.items() if task in of} for task in tasks}
        return {ALL: {method: of[ALL] for method, of in over.items()}} | by_task

    def picture(task: str, sparsity: float) -> Figure:
        by_method = found(sparsity)[task]
        heading = f"{names[task]}, {percent(sparsity)}:\n{_verdict(by_method)}"
        return figures.method_differences(by_method, heading, REACH)

    explorer = Explorer(
        "Which method is ahead of IMP?",
        picture,
        {
            "task": choice("task", {name: task for task, name in names.items()}),
            "sparsity": choice("sparsity", {percent(level): level for level in levels}, nearest(levels, 0.9375)),
        },
    )
    methods = [method for method in dict.fromkeys(results.method) if method not in (DENSE, IMP)]
    head = ["task", "sparsity", "dense (points)", "IMP (points)"]
    head += [f"{LABELS.get(method, method)} − IMP (points) [95 %]" for method in methods]
    rows = [
        [
            names[task],
            percent(level),
            *(_score(results, task, method, level) for method in (DENSE, IMP)),
            *(_difference(found(level)[task].get(method)) for method in methods),
        ]
        for task in names
        for level in levels
    ]
    about = ABOUT.format(tasks=len(tasks), included=len(included))
    case = Case("results", explorer, HINTS, Table(head, rows))
    return Part("results", "Does the search win?", about, "", (case,))


def _verdict(by_method: Mapping[str, Interval]) -> str:
    search = by_method.get(SEARCH)
    if search is None:
        return "differences from IMP"
    if search.low <= 0 <= search.high:
        return "no clear difference between search and IMP"
    return f"the search is {abs(100 * search.estimate):.1f} points {'ahead of' if search.low > 0 else 'behind'} IMP"


def _score(results: pd.DataFrame, task: str, method: str, sparsity: float) -> str:
    at = 0.0 if method == DENSE else sparsity
    rows = results[(results.task == task) & (results.method == method) & (results.sparsity == at)]
    return f"{100 * single_rows(rows).score.mean():.1f}" if len(rows) else ""


def _difference(difference: Interval | None) -> str:
    return "" if difference is None else difference.in_points(signed=True)
