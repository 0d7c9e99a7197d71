"""Many runs in one tidy table: tasks, seeds, methods and levels, each with its score and its difference from IMP."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.levels import training_steps
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
"""Named differences between two methods, as a study's `contrasts` have them: the first minus the second."""

ENDS = ("", "_low", "_high")
ALL = "all tasks"
"""The name of the mean over tasks, beside the names of the tasks."""
IMP = "imp"
"""Iterative magnitude pruning without rewinding: the baseline."""


def results_table(
    records: Sequence[RunRecord], *, names: Sequence[str] | None = None, baseline: str = IMP
) -> pd.DataFrame:
    """A row for each task, seed, method and level of finished runs.

    Columns: task, seed, method, sparsity, steps (training steps up to this level, without the dense model), metric,
    validation (the score on the validation set), score (on the test set) with its 95 % interval over test examples,
    and difference: the score minus that of the baseline on the same examples, paired, from whichever run of the task
    and seed has it; empty where none has. A method that several runs have is taken from the first of them.

    Args:
        names: the method of each record, by default `method_name`; its baselines keep their names.
        baseline: the method that the others are compared with.

    Raises:
        RunError: if a run is not finished, or two of a task and seed were not scored on the same test examples.
    """
    import pandas as pd

    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with --resume")
    given = names or [method_name(record.config) for record in records]
    methods = [
        MethodOfRun(record, method, name if method == record.config.method else method)
        for record, name in zip(records, given, strict=True)
        for method in record.methods
    ]
    baselines = {each.place: each for each in reversed(methods) if each.name == baseline}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in methods:
        for row in _rows(each, baselines.get(each.place)):
            rows.setdefault((row["task"], row["seed"], row["method"], row["sparsity"]), row)
    return pd.DataFrame(list(rows.values()))


@dataclass(frozen=True)
class MethodOfRun:
    """One method of a run."""

    record: RunRecord
    method: str  # its name in the run
    name: str  # its name in the table

    @property
    def place(self) -> tuple[str, int]:
        return self.record.task.name, self.record.config.seed

    def trained(self, sparsity: float) -> str:
        """The name of what is trained at a level."""
        return self.record.level(self.record.config.levels.index(sparsity) + 1, self.method).name


def method_name(config: RunConfig) -> str:
    """The name of a run's own method in tables: the one it was given, or its strategy and how its candidates differ."""
    if config.method != RunConfig.method:
        return config.method
    names = {"allocation": "random allocation", "inclusion": "learned inclusion"}
    if config.learn == "nothing":
        return "search" if config.early_strategy == TrainAll.name else f"search, {config.early_strategy}"
    return names[config.learn] if config.generations == 1 else f"learned {config.learn}"


def differences(table: pd.DataFrame, sparsity: float) -> dict[str, dict[str, Interval]]:
    """Differences from IMP at a level, for each method: those of the tasks, and their mean under the name "all tasks".

    The difference of a task is the mean over its seeds. Its interval is over seeds or, with one seed, over test
    examples. The interval of the mean is over tasks.
    """
    level = table[(table.sparsity == sparsity) & (table.method != IMP) & table.difference.notna()]
    found: dict[str, dict[str, Interval]] = {}
    for (method, task), rows in level.groupby(["method", "task"], sort=False):
        found.setdefault(str(method), {})[str(task)] = over_seeds(rows, "difference")
    for tasks in found.values():
        tasks[ALL] = mean_interval([interval.estimate for interval in tasks.values()])
    return found


def over_seeds(rows: pd.DataFrame, name: str) -> Interval:
    """The mean of a column over the seeds of a task, method and level; with one seed, its value and own interval."""
    one = rows.iloc[0]
    return mean_interval(rows[name].tolist()) if len(rows) > 1 else Interval(*(one[f"{name}{end}"] for end in ENDS))


def contrast(table: pd.DataFrame, first: str, second: str, sparsity: float) -> dict[str, Interval]:
    """The score of one method minus that of another at a level: for each task, and their mean under "all tasks".

    Differences are between scores of the same task and seed. The interval of a task is over its seeds, that of the mean
    over tasks; where there is only one, the interval is infinite. Empty if no task and seed has both methods.
    """
    level = table[table.sparsity == sparsity].set_index(["task", "seed"])
    scores = {name: level[level.method == name].score for name in (first, second)}
    paired = (scores[first] - scores[second]).dropna()
    tasks = paired.groupby(level="task", sort=False)
    found = {str(task): mean_interval(values.tolist()) for task, values in tasks}
    if found:
        found[ALL] = mean_interval([interval.estimate for interval in found.values()])
    return found


def contrast_means(table: pd.DataFrame, contrasts: Contrasts, sparsity: float) -> dict[str, Interval]:
    """The mean over tasks of each contrast at a level, by its name; without those that no task and seed has."""
    found = {name: contrast(table, *methods, sparsity) for name, methods in contrasts.items()}
    return {name: each[ALL] for name, each in found.items() if each}


def contrast_table(table: pd.DataFrame, contrasts: Contrasts) -> pd.DataFrame:
    """What `contrast` finds for each contrast and level: columns contrast, sparsity, task, estimate, low, high."""
    import pandas as pd

    return pd.DataFrame(
        {"contrast": name, "sparsity": sparsity, "task": task, **dataclasses.asdict(interval)}
        for name, methods in contrasts.items()
        for sparsity in sorted(table.sparsity[table.sparsity > 0].unique())
        for task, interval in contrast(table, *methods, sparsity).items()
    )


def seed_by_seed(runs: Sequence[TaskRecord], method: str, others: Sequence[str], sparsity: float) -> pd.DataFrame:
    """A method minus each of others, on every task and seed separately, as text.

    In points (hundredths of the metric), with 95 % intervals over test examples, which do not say how much another
    training would differ. Rows are the tasks and seeds that have all of these methods; a column for each other method.
    """
    import pandas as pd

    rows = [
        (run.task, run.seed, *(_points(run.difference(method, other, sparsity)) for other in others))
        for run in runs
        if {method, *others} <= set(run.methods)
    ]
    columns = ["task", "seed", *(f"minus {other} (points)" for other in others)]
    return pd.DataFrame(rows, columns=columns).set_index(["task", "seed"])


def ranks(table: pd.DataFrame, sparsity: float) -> dict[str, Interval]:
    """Average rank of each method over tasks and seeds at a level; 1 is best, and equal scores share their ranks.

    A method that does not have all tasks and seeds is not ranked.
    """
    level = table[table.sparsity == sparsity]
    wide = level.pivot(index=["task", "seed"], columns="method", values="score").dropna(axis=1)
    ranked = wide.rank(axis=1, ascending=False)
    return {str(method): mean_interval(ranked[method].tolist()) for method in ranked}


def summary_table(table: pd.DataFrame, sparsities: Sequence[float] = (0.9375, 0.99)) -> pd.DataFrame:
    """The result of each method, as text; give it the included tasks only.

    Columns: seeds that the method has of every task; training steps as a fraction of IMP's; and for each sparsity the
    difference from IMP in points (hundredths of the metric), a mean over tasks with its 95 % interval over tasks, and
    the average rank.
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
        at, found, ranked = f"at {100 * sparsity:.4g} %", differences(table, sparsity), ranks(table, sparsity)
        for method, row in rows.items():
            row[f"difference from IMP {at} (points)"] = _points(found[method][ALL]) if method in found else ""
            row[f"rank {at}"] = f"{ranked[method].estimate:.1f}" if method in ranked else ""
    return pd.DataFrame.from_dict(rows, orient="index")


def _points(difference: Interval) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in dataclasses.astuple(difference)))


def _rows(method: MethodOfRun, baseline: MethodOfRun | None) -> list[dict[str, Any]]:
    spent = 0
    rows = [_row(method.record, DENSE, {"method": DENSE, "sparsity": 0.0, "steps": 0}, None)]
    for step in training_steps(method.record):
        if step["method"] != method.method:
            continue
        sparsity = step["sparsity"]
        spent += step["candidates"] + step["winner"]
        difference = _difference(method, sparsity, baseline) if baseline is not None else None
        about = {"method": method.name, "sparsity": sparsity, "steps": spent}
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
