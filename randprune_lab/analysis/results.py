"""The results of many runs in one tidy table: a score and a difference from IMP for each task, seed, method, level."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.contrasts import IMP, KEY
from randprune_lab.analysis.levels import difference_of_runs, steps_up_to
from randprune_lab.analysis.recorded import ENDS, RESULTS
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import RunError
from randprune_lab.search.config import DATA, EARLY, RunConfig, settings_of_group
from randprune_lab.search.strategies import TrainAll
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

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
    yield _row(method.record, DENSE, {"method": DENSE, "sparsity": 0.0, "steps": 0}, None)
    for sparsity, steps in steps_up_to(method.record, method.method).items():
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
