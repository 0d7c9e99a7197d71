"""The results of many runs in one tidy table: a score and a difference from IMP for each task, seed, method, level."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.recorded import ENDS
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import RunError
from randprune_lab.search.config import RunConfig
from randprune_lab.search.strategies import TrainAll
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval, mean_interval, score_difference

if TYPE_CHECKING:
    import pandas as pd

Contrasts = Mapping[str, tuple[str, str]]
"""Named differences between two methods, the first minus the second, as in a study's `contrasts`."""

ALL = "all tasks"
"""The name of the mean over tasks, among the names of tasks."""
IMP = "imp"
"""The name of the baseline: iterative magnitude pruning without rewinding."""


def results_table(
    records: Sequence[RunRecord], *, names: Sequence[str] | None = None, baseline: str = IMP
) -> pd.DataFrame:
    """The results of finished runs, in one table.

    If several runs of a task and seed have the same method, the first one is used. The baseline may be in any of them.

    Args:
        records: the runs.
        names: the name of each run's own method in the table, by default from `method_name`; baselines keep theirs.
        baseline: the method that the others are compared with.

    Returns:
        A row for each task, seed, method and level.
        Columns: task, seed, method, sparsity; steps, the training steps up to this level, without those of the dense
        model; metric; validation, the score on the validation set; score, on the test set; difference, the score minus
        that of the baseline on the same test examples, empty if no run has the baseline. The columns score and
        difference have 95 % intervals over test examples (score_low, score_high, ...).

    Raises:
        RunError: if a run is not finished, or runs of a task and seed were not scored on the same test examples.
    """
    import pandas as pd

    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with --resume")
    own_names = names or [method_name(record.config) for record in records]
    methods = [
        MethodOfRun(record, method, name if method == record.config.method else method)
        for record, name in zip(records, own_names, strict=True)
        for method in record.methods
    ]
    baselines = {method.place: method for method in reversed(methods) if method.name == baseline}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for method in methods:
        for row in _rows(method, baselines.get(method.place)):
            rows.setdefault((row["task"], row["seed"], row["method"], row["sparsity"]), row)
    return pd.DataFrame(list(rows.values()))


@dataclass(frozen=True)
class MethodOfRun:
    """One method of a run.

    Args:
        record: the run.
        method: the name of the method in the run.
        name: the name of the method in the table.
    """

    record: RunRecord
    method: str
    name: str

    @property
    def place(self) -> tuple[str, int]:
        """The task and the seed of the run."""
        return self.record.task.name, self.record.config.seed

    def trained(self, sparsity: float) -> str:
        """The name of the training at the level of a sparsity."""
        return self.record.level(self.record.config.levels.index(sparsity) + 1, self.method).name


def method_name(config: RunConfig) -> str:
    """The name of a run's own method in tables.

    It is the `method` of the configuration. If that is the default, the name is that of the strategy and the learning.
    """
    if config.method != RunConfig.method:
        return config.method
    names = {"allocation": "random allocation", "inclusion": "learned inclusion"}
    if config.learn == "nothing":
        return "search" if config.early_strategy == TrainAll.name else f"search, {config.early_strategy}"
    return names[config.learn] if config.generations == 1 else f"learned {config.learn}"


def differences(table: pd.DataFrame, sparsity: float) -> dict[str, dict[str, Interval]]:
    """Differences from IMP at a level.

    Args:
        table: the table of `results_table`.
        sparsity: the sparsity of the level.

    Returns:
        For each method, the difference on each task, and their mean under "all tasks". The difference on a task is a
        mean over seeds; its interval is over seeds, or with one seed over test examples. The interval of the mean is
        over tasks.
    """
    level = table[(table.sparsity == sparsity) & (table.method != IMP) & table.difference.notna()]
    methods: dict[str, dict[str, Interval]] = {}
    for (method, task), rows in level.groupby(["method", "task"], sort=False):
        methods.setdefault(str(method), {})[str(task)] = over_seeds(rows, "difference")
    for tasks in methods.values():
        tasks[ALL] = mean_interval([interval.estimate for interval in tasks.values()])
    return methods


def over_seeds(rows: pd.DataFrame, name: str) -> Interval:
    """The mean of a column over seeds, with its interval; with one seed, the value and the interval of that seed.

    Args:
        rows: the rows of one task, method and level.
        name: the column, "score" or "difference".
    """
    first = rows.iloc[0]
    return mean_interval(rows[name].tolist()) if len(rows) > 1 else Interval(*(first[f"{name}{end}"] for end in ENDS))


def contrast(table: pd.DataFrame, first: str, second: str, sparsity: float) -> dict[str, Interval]:
    """The score of one method minus that of another at a level, paired by task and seed.

    Args:
        table: the table of `results_table`.
        first, second: the names of the methods.
        sparsity: the sparsity of the level.

    Returns:
        The difference on each task, with an interval over seeds, and the mean under "all tasks", with an interval over
        tasks. The interval of a single value is infinite. Empty if no task and seed has both methods.
    """
    level = table[table.sparsity == sparsity].set_index(["task", "seed"])
    scores = {name: level[level.method == name].score for name in (first, second)}
    paired = (scores[first] - scores[second]).dropna()
    tasks = paired.groupby(level="task", sort=False)
    intervals = {str(task): mean_interval(values.tolist()) for task, values in tasks}
    if intervals:
        intervals[ALL] = mean_interval([interval.estimate for interval in intervals.values()])
    return intervals


def contrast_means(table: pd.DataFrame, contrasts: Contrasts, sparsity: float) -> dict[str, Interval]:
    """The mean over tasks of each contrast at a level, by name; without those that no task and seed has."""
    intervals = {name: contrast(table, *methods, sparsity) for name, methods in contrasts.items()}
    return {name: tasks[ALL] for name, tasks in intervals.items() if tasks}


def contrast_table(table: pd.DataFrame, contrasts: Contrasts) -> pd.DataFrame:
    """All contrasts at all levels, from `contrast`; columns: contrast, sparsity, task, estimate, low, high."""
    import pandas as pd

    return pd.DataFrame(
        {"contrast": name, "sparsity": sparsity, "task": task, **dataclasses.asdict(interval)}
        for name, methods in contrasts.items()
        for sparsity in sorted(table.sparsity[table.sparsity > 0].unique())
        for task, interval in contrast(table, *methods, sparsity).items()
    )


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


def ranks(table: pd.DataFrame, sparsity: float) -> dict[str, Interval]:
    """The mean rank of each method over tasks and seeds at a level; 1 is the best, and equal scores share a rank.

    A method without some task or seed is left out.
    """
    level = table[table.sparsity == sparsity]
    wide = level.pivot(index=["task", "seed"], columns="method", values="score").dropna(axis=1)
    ranked = wide.rank(axis=1, ascending=False)
    return {str(method): mean_interval(ranked[method].tolist()) for method in ranked}


def summary_table(table: pd.DataFrame, sparsities: Sequence[float] = (0.9375, 0.99)) -> pd.DataFrame:
    """The results of each method, as text.

    Args:
        table: the table of `results_table`, with the included tasks only.
        sparsities: the sparsities of the levels to show.

    Returns:
        A row for each method.
        Columns: the number of seeds of each task; the training steps as a fraction of IMP's; for each sparsity, the
        difference from IMP in points (hundredths of the metric), a mean over tasks with its 95 % interval over tasks,
        and the mean rank.
    """
    import pandas as pd

    last = table[table.sparsity == max(sparsities)]
    steps = last.pivot(index=["task", "seed"], columns="method", values="steps")
    fraction = steps.div(steps[IMP], axis=0).mean()
    seeds = steps.notna().groupby(level="task").sum().min()
    rows: dict[str, dict[str, Any]] = {
        method: {"seeds": seeds[method], "steps (IMP = 1)": f"{fraction[method]:.2f}"}
        for method in last.method.unique()
    }
    for sparsity in sparsities:
        at, over_imp, ranked = f"at {100 * sparsity:.4g} %", differences(table, sparsity), ranks(table, sparsity)
        for method, row in rows.items():
            difference = over_imp[method][ALL].in_points(signed=True) if method in over_imp else ""
            row[f"difference from IMP {at} (points)"] = difference
            row[f"rank {at}"] = f"{ranked[method].estimate:.1f}" if method in ranked else ""
    return pd.DataFrame.from_dict(rows, orient="index")


def _rows(method: MethodOfRun, baseline: MethodOfRun | None) -> list[dict[str, Any]]:
    steps = 0
    rows = [_row(method.record, DENSE, {"method": DENSE, "sparsity": 0.0, "steps": 0}, None)]
    for level in training_steps(method.record):
        if level["method"] != method.method:
            continue
        sparsity = level["sparsity"]
        steps += level["candidates"] + level["winner"]
        difference = _difference(method, sparsity, baseline) if baseline is not None else None
        about = {"method": method.name, "sparsity": sparsity, "steps": steps}
        rows.append(_row(method.record, method.trained(sparsity), about, difference))
    return rows


def _row(record: RunRecord, name: str, about: Mapping[str, Any], difference: Interval | None) -> dict[str, Any]:
    return {
        "task": record.task.name,
        "seed": record.config.seed,
        **about,
        "metric": record.task.primary_metric,
        "validation": record.units[name]["score"],
        **_columns("score", record.score(name)),
        **_columns("difference", difference),
    }


def _columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    values = (None,) * 3 if interval is None else (interval.estimate, interval.low, interval.high)
    return {f"{name}{end}": value for end, value in zip(ENDS, values, strict=True)}


def _difference(method: MethodOfRun, sparsity: float, baseline: MethodOfRun) -> Interval | None:
    record, other = method.record, baseline.record
    if sparsity not in other.config.levels:
        return None
    record.check_same_examples(other)
    ours, labels = record.answers(method.trained(sparsity))
    theirs, _ = other.answers(baseline.trained(sparsity))
    return score_difference(record.task.primary_metric, ours, theirs, labels)
