"""The results of many runs in one tidy table: a score and a difference from IMP for each task, seed, method, level."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from randprune_lab.analysis.levels import difference_of_runs, training_steps
from randprune_lab.analysis.recorded import ENDS, RESULTS
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import DataError, RunError, unknown_name
from randprune_lab.search.config import DATA, EARLY, RunConfig, settings_of_group
from randprune_lab.search.strategies import TrainAll
from randprune_lab.search.units import DENSE
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
OWN_SETTINGS = {
    *settings_of_group(EARLY),
    *("rule", "rule_settings", "sampling_ratios", "power", "temperature", "baselines", "method"),
}
"""The settings of a run that its baselines do not depend on."""


def results_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """The results of finished runs, in one table.

    Each run is compared with its own IMP. A run without it is compared with the IMP baseline of another run at the
    levels where both are the same: where the runs agree in all settings that a baseline depends on.

    Args:
        records: the runs, in any order.

    Returns:
        A row for each run, method and level.
        Columns: task, seed, method, sparsity; steps, the training steps up to this level, without those of the dense
        model; metric; validation, the score on the validation set; score, on the test set; difference, the score minus
        that of IMP on the same test examples, empty if there is no such IMP; run, the folder; and each setting in which
        the runs differ. The columns score and difference have 95 % intervals over test examples (score_low,
        score_high, ...). Methods have the names from `method_name`.

    Raises:
        RunError: if a run is given twice or is not finished, or runs with the same settings of the data were scored on
            different test examples.
    """
    import pandas as pd

    _check_finished(records)
    _check_distinct(records)
    methods = _methods(records, [method_name(record.config) for record in records])
    imps = [method for method in methods if method.name == IMP]

    def imp(method: MethodOfRun, sparsity: float) -> MethodOfRun | None:
        own_first = sorted(imps, key=lambda each: each.record is not method.record)
        return next((each for each in own_first if _is_imp_of(each, method, sparsity)), None)

    rows = [{**row, "run": str(method.record.path)} for method in methods for row in _rows(method, imp)]
    table = pd.DataFrame(rows, columns=[*RESULTS, "run"])
    table = table.drop_duplicates(["run", *KEY], ignore_index=True)  # each method has a row of the dense model
    configs = {str(record.path): record.config.to_dict() for record in records}
    for name in (setting.name for setting in dataclasses.fields(RunConfig) if setting.name not in table):
        values = [configs[run][name] for run in table.run]
        if any(value != values[0] for value in values[1:]):
            table[name] = pd.Series([_plain(value) for value in values], dtype=object)
    return table


def study_table(records: Sequence[RunRecord], names: Sequence[str], baseline: str) -> pd.DataFrame:
    """The results of finished runs of a study, in one table.

    Args:
        records: the runs, one for each task, seed and method.
        names: the name of each run's method.
        baseline: the method that the others are compared with, on the same task and with the same seed.

    Returns:
        A row for each task, seed, method and level.
        Columns: see `results_table`, without run and settings.

    Raises:
        RunError: if a run is not finished, or runs of a task and seed were not scored on the same test examples.
    """
    import pandas as pd

    _check_finished(records)
    methods = _methods(records, names)
    baselines = {method.place: method for method in methods if method.name == baseline}
    rows = [row for method in methods for row in _rows(method, lambda method, _: baselines.get(method.place))]
    return pd.DataFrame(rows, columns=[*RESULTS]).drop_duplicates(list(KEY), ignore_index=True)


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
        UnknownNameError: if the table has no such baseline.
    """
    import pandas as pd

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
        A row for each task, in their order; a column for each seed, and whether the task is included.
    """
    texts = [
        Interval(*(row[f"encoder{end}"] for end in ENDS)).in_points(signed=True) for row in controls.to_dict("records")
    ]
    named = controls.assign(text=texts, seed=[f"seed {seed}" for seed in controls.seed])
    table = named.pivot(index="task", columns="seed", values="text").loc[list(dict.fromkeys(controls.task))].fillna("")
    table["included"] = controls.groupby("task").included.first().map({True: "yes", False: "no"})
    return table.rename_axis(index=None, columns=None)


def _check_finished(records: Sequence[RunRecord]) -> None:
    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with --resume")


def _check_distinct(records: Sequence[RunRecord]) -> None:
    """Check that no run is given twice, and that data with the same settings are the same data."""
    folders: set[Path] = set()
    first: dict[str, RunRecord] = {}
    for record in records:
        if record.path.resolve() in folders:
            raise RunError(f"{record.path} is given twice; give each run once")
        folders.add(record.path.resolve())
        record.check_same_examples(
            first.setdefault(repr([getattr(record.config, name) for name in settings_of_group(DATA)]), record)
        )


def _is_imp_of(imp: MethodOfRun, method: MethodOfRun, sparsity: float) -> bool:
    """Whether `imp` is the IMP that a method is compared with at a level: that of its run, or the same of another."""
    if imp.record is method.record:
        return True
    other = imp.record.config
    shared = [_shared(each.record.config, sparsity) for each in (imp, method)]
    return imp.method in other.baselines and sparsity in other.levels and shared[0] == shared[1]


def _shared(config: RunConfig, sparsity: float) -> dict[str, Any]:
    """The settings that the baselines of a run depend on, up to a level."""
    levels = config.levels
    if config.protocol != "select-on-test":  # which treats the last level differently
        levels = tuple(level for level in levels if level <= sparsity)
    values = {**vars(config), "levels": levels}
    return {name: value for name, value in values.items() if name not in OWN_SETTINGS}


def _plain(value: Any) -> Any:
    """A setting as a cell of a table."""
    if isinstance(value, dict):
        return json.dumps(value)
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _methods(records: Sequence[RunRecord], names: Sequence[str]) -> list[MethodOfRun]:
    """All methods of some runs; the runs' own ones get these names."""
    return [
        MethodOfRun(record, method, name if method == record.config.method else method)
        for record, name in zip(records, names, strict=True)
        for method in record.methods
    ]


def _rows(
    method: MethodOfRun, baseline: Callable[[MethodOfRun, float], MethodOfRun | None]
) -> Iterator[dict[str, Any]]:
    """The rows of a method, and that of its dense model; `baseline` finds what it is compared with at a sparsity."""
    steps = 0
    yield _row(method.record, DENSE, {"method": DENSE, "sparsity": 0.0, "steps": 0}, None)
    for level in training_steps(method.record):
        if level["method"] != method.method:
            continue
        sparsity = level["sparsity"]
        steps += level["candidates"] + level["winner"]
        trained, other = method.trained(sparsity), baseline(method, sparsity)
        difference = (
            None if other is None else difference_of_runs(method.record, trained, other.record, other.trained(sparsity))
        )
        about = {"method": method.name, "sparsity": sparsity, "steps": steps}
        yield _row(method.record, trained, about, difference)


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
