"""From the table of results to intervals: differences from a baseline, and contrasts between two methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Literal

from randprune_lab.analysis.recorded import ENDS, RESULTS
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import DataError, unknown_name
from randprune_lab.stats.intervals import Interval, mean_interval
from randprune_lab.stats.tasks import over_tasks

if TYPE_CHECKING:
    import pandas as pd

Contrasts = Mapping[str, tuple[str, str]]
"""Named differences between two methods, the first minus the second, as in a study's `contrasts`."""

ALL = "all tasks"
"""The name of the mean over tasks, among the names of tasks."""
IMP = "imp"
"""The name of the baseline: iterative magnitude pruning without rewinding."""
Kind = Literal["seeds", "examples"]
"""What the interval of a method on a task is over."""
KEY = ("task", "seed", "method", "sparsity")
"""The columns that identify a row of a table in which each method has the same settings everywhere."""


def differences(table: pd.DataFrame, sparsity: float, baseline: str = IMP) -> dict[str, dict[str, Interval]]:
    """Differences from the baseline at a level.

    Args:
        table: the table of `results_table`, or the results of a study.
        sparsity: the sparsity of the level.
        baseline: the method that the table's differences are from, which is left out.

    Returns:
        For each method, the difference on each task, and their mean under "all tasks". The difference on a task is a
        mean over seeds. Its interval is over seeds or over test examples, the same for all (`interval_kind`). The
        interval of the mean is over tasks.
    """
    level = single_rows(table[table.sparsity == sparsity])
    level = level[(level.method != baseline) & level.difference.notna()]
    kind = interval_kind(level)
    methods: dict[str, dict[str, Interval]] = {}
    for method, of_method in level.groupby("method", sort=False):
        tasks = {str(task): rows for task, rows in of_method.groupby("task", sort=False)}
        found = {task: over_seeds(rows, "difference", kind) for task, rows in tasks.items()}
        found[ALL] = over_tasks({task: rows.difference.tolist() for task, rows in tasks.items()})
        methods[str(method)] = found
    return methods


def single_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a single row for each task, seed, method and level. Of equal rows, one is kept.

    Raises:
        DataError: if there are several that differ, such as those of two runs with different numbers of candidates.
    """
    table = table.drop_duplicates([name for name in RESULTS if name in table])
    for key, rows in table[table.duplicated(list(KEY), keep=False)].groupby(list(KEY), sort=False):
        task, seed, method, sparsity = key
        runs = f", of the runs {' and '.join(rows.run)}" if "run" in rows else ""
        raise DataError(
            f"the table has {len(rows)} different rows of {method} on {task}, seed {seed}, sparsity {sparsity:g}"
            f"{runs}; choose the rows of one of them"
        )
    return table


def interval_kind(rows: pd.DataFrame) -> Kind:
    """What the intervals of one figure or table are over: seeds if a method has several on a task, or test examples.

    The two differ: an interval over test examples does not say how another training would come out.

    Args:
        rows: all rows that are shown together.
    """
    seeds = rows.groupby(["task", "method"]).seed.nunique()
    return "seeds" if (seeds > 1).any() else "examples"


def over_seeds(rows: pd.DataFrame, name: str, kind: Kind) -> Interval:
    """The mean of a column over seeds, with its interval.

    Args:
        rows: the rows of one task, method and level.
        name: the column, "score" or "difference".
        kind: "seeds" for an interval over seeds, which is infinite with one seed; "examples" for that of a single seed
            over its test examples. `interval_kind` finds the one for all rows of a figure.

    Raises:
        DataError: if an interval over examples is asked for several seeds.
    """
    rows = single_rows(rows)
    if kind == "seeds":
        return mean_interval(rows[name].tolist())
    if len(rows) > 1:
        raise DataError(f"an interval over test examples is that of one seed, got {len(rows)}; use the kind 'seeds'")
    return Interval(*(rows.iloc[0][f"{name}{end}"] for end in ENDS))


def contrast(table: pd.DataFrame, first: str, second: str, sparsity: float) -> dict[str, Interval]:
    """The score of one method minus that of another at a level, paired by task and seed.

    Args:
        table: the table of `results_table`.
        first, second: the names of the methods.
        sparsity: the sparsity of the level.

    Returns:
        The difference on each task, with an interval over seeds, and the mean under "all tasks", with an interval over
        tasks whose standard error is at least that of the seeds (`stats.tasks.over_tasks`). The interval of a single
        value is infinite. Empty if no task and seed has both methods.
    """
    level = single_rows(table[table.sparsity == sparsity]).set_index(["task", "seed"])
    scores = {name: level[level.method == name].score for name in (first, second)}
    paired = (scores[first] - scores[second]).dropna()
    tasks = {str(task): values.tolist() for task, values in paired.groupby(level="task", sort=False)}
    intervals = {task: mean_interval(values) for task, values in tasks.items()}
    return intervals | ({ALL: over_tasks(tasks)} if tasks else {})


def contrast_means(table: pd.DataFrame, contrasts: Contrasts, sparsity: float) -> dict[str, Interval]:
    """The mean over tasks of each contrast at a level, by name; without those that no task and seed has."""
    intervals = {name: contrast(table, *methods, sparsity) for name, methods in contrasts.items()}
    return {name: tasks[ALL] for name, tasks in intervals.items() if tasks}


def contrast_table(table: pd.DataFrame, contrasts: Contrasts) -> pd.DataFrame:
    """All contrasts at all levels, from `contrast`; columns: contrast, sparsity, task, estimate, low, high."""
    import pandas as pd

    rows = [
        {"contrast": name, "sparsity": sparsity, "task": task, **asdict(interval)}
        for name, methods in contrasts.items()
        for sparsity in sorted(table.sparsity[table.sparsity > 0].unique())
        for task, interval in contrast(table, *methods, sparsity).items()
    ]
    return pd.DataFrame(rows, columns=["contrast", "sparsity", "task", *(part.name for part in fields(Interval))])


def seed_by_seed(runs: Sequence[TaskRecord], method: str, others: Sequence[str], sparsity: float) -> pd.DataFrame:
    """The score of a method minus that of each other method, for each task and seed, as text.

    Differences are in points (hundredths of the metric). Their 95 % intervals are over test examples, so they do not
    show how much another training would differ.

    Args:
        runs: the task records; those without all of the methods are left out.
        method: the name of the method.
        others: the names of the other methods.
        sparsity: the sparsity of the level.

    Returns:
        A row for each task and seed, a column for each other method.
    """
    import pandas as pd

    rows = [
        (run.task, run.seed, *(run.difference(method, other, sparsity).in_points(signed=True) for other in others))
        for run in runs
        if {method, *others} <= set(run.methods)
    ]
    columns = ["task", "seed", *(f"minus {other} (points)" for other in others)]
    return pd.DataFrame(rows, columns=columns).set_index(["task", "seed"])


def summary_table(
    table: pd.DataFrame, sparsities: Sequence[float] = (0.9375, 0.99), baseline: str = IMP
) -> pd.DataFrame:
    """The results of each method, as text.

    Args:
        table: the table of `results_table`, or the results of a study, with the included tasks only.
        sparsities: the sparsities of the levels to show.
        baseline: the method that the table's differences are from.

    Returns:
        A row for each method.
        Columns: the number of seeds of each task; the training steps as a fraction of the baseline's; for each
        sparsity, the difference from the baseline in points (hundredths of the metric), a mean over tasks with its 95 %
        interval over tasks.

    Raises:
        UnknownNameError: if the table has no such level or baseline.
    """
    import pandas as pd

    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    for sparsity in sparsities:
        if sparsity not in levels:
            raise unknown_name("level", f"{sparsity:g}", [f"{level:g}" for level in levels])
    last = single_rows(table[table.sparsity == max(sparsities)])
    if baseline not in set(last.method):
        raise unknown_name("method as baseline", baseline, last.method.unique())
    steps = last.pivot(index=["task", "seed"], columns="method", values="steps")
    fraction = steps.div(steps[baseline], axis=0).mean()
    seeds = steps.notna().groupby(level="task").sum().min()
    called = "IMP" if baseline == IMP else baseline
    rows: dict[str, dict[str, Any]] = {
        method: {"seeds": seeds[method], f"steps ({called} = 1)": f"{fraction[method]:.2f}"}
        for method in last.method.unique()
    }
    for sparsity in sparsities:
        found = differences(table, sparsity, baseline)
        for method, row in rows.items():
            difference = found[method][ALL].in_points(signed=True) if method in found else ""
            row[f"difference from {called} at {100 * sparsity:.4g} % (points)"] = difference
    return pd.DataFrame.from_dict(rows, orient="index")


def encoder_table(controls: pd.DataFrame) -> pd.DataFrame:
    """The score of the dense model minus that of the model without encoder, in points with 95 % intervals, as text.

    Args:
        controls: controls as `analysis.recorded_controls` returns them.

    Returns:
        A row for each task, in their order; a column for each seed, and whether the task is included: yes, no, or
        unknown, while the controls of the study's first seed are missing.
    """
    texts = [
        Interval(*(row[f"encoder{end}"] for end in ENDS)).in_points(signed=True) for row in controls.to_dict("records")
    ]
    table = controls.assign(text=texts).pivot(index="task", columns="seed", values="text")
    table = table.loc[list(dict.fromkeys(controls.task))].fillna("").rename(columns="seed {}".format)
    table["included"] = controls.groupby("task").included.first().map({True: "yes", False: "no"}).fillna("unknown")
    return table.rename_axis(index=None, columns=None)
