"""Many runs in one tidy table: tasks, seeds, methods and levels, each with its score and its difference to IMP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.intervals import Interval, mean_interval, score_difference
from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.record import RunRecord
from randprune_lab.errors import RunError
from randprune_lab.search.config import RunConfig

if TYPE_CHECKING:
    import pandas as pd

ENDS = ("", "_low", "_high")


def results_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row for each task, seed, method and level of finished runs.

    Columns: task, seed, method, sparsity, steps (trained up to this level, after the dense model), metric, score with
    its 95 % interval over the report examples, and gain: the score less that of IMP on the same examples, paired, from
    whichever run of the task and seed has IMP; empty where none has. What is no search of these runs keeps its name,
    a search is named by `search_name`. A method that several runs have is taken from the first of them.

    Raises `RunError` if a run is not finished, or two of a task and seed were reported on other examples.
    """
    import pandas as pd

    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with --resume")
    baselines = {_place(record): record for record in reversed(records) if "imp" in record.methods}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        for row in _rows(record, baselines.get(_place(record))):
            rows.setdefault((row["task"], row["seed"], row["method"], row["sparsity"]), row)
    return pd.DataFrame(list(rows.values()))


def search_name(config: RunConfig) -> str:
    """What a search is called in tables: its strategy, and how its candidates differ."""
    names = {"allocation": "random allocation", "weights": "learned weights"}
    if config.learn == "nothing":
        return config.early_strategy
    return names[config.learn] if config.generations == 1 else f"learned {config.learn}"


def gains(table: pd.DataFrame, sparsity: float) -> dict[str, dict[str, Interval]]:
    """Differences to IMP at a level: for each method those of the tasks, and their mean under the name "all tasks".

    A task's is the mean over its seeds; with one seed the interval is that over report examples, with several that over
    seeds. That of the mean is over tasks.
    """
    level = table[(table.sparsity == sparsity) & (table.method != "imp") & table.gain.notna()]
    found: dict[str, dict[str, Interval]] = {}
    for (method, task), rows in level.groupby(["method", "task"], sort=False):
        several = len(rows) > 1
        one = rows.iloc[0]
        own = mean_interval(rows.gain.tolist()) if several else Interval(one.gain, one.gain_low, one.gain_high)
        found.setdefault(str(method), {})[str(task)] = own
    for tasks in found.values():
        tasks["all tasks"] = mean_interval([interval.estimate for interval in tasks.values()])
    return found


def ranks(table: pd.DataFrame, sparsity: float) -> dict[str, Interval]:
    """Average rank of each method over tasks and seeds at a level, 1 is best; ties share their ranks."""
    level = table[table.sparsity == sparsity]
    wide = level.pivot(index=["task", "seed"], columns="method", values="score").dropna()
    ranked = wide.rank(axis=1, ascending=False)
    return {str(method): mean_interval(ranked[method].tolist()) for method in ranked}


def _place(record: RunRecord) -> tuple[str, int]:
    return record.task.name, record.config.seed


def _rows(record: RunRecord, baseline: RunRecord | None) -> list[dict[str, Any]]:
    spent: dict[str, int] = {}
    rows = [_row(record, baseline, "dense", 0.0, "dense", 0)]
    for step in training_steps(record):
        method = step["method"]
        spent[method] = spent.get(method, 0) + step["candidates"] + step["winner"]
        name = search_name(record.config) if method == "randomized" else method
        rows.append(_row(record, baseline, name, step["sparsity"], f"{method}-level-{step['level']}", spent[method]))
    return rows


def _row(
    record: RunRecord, baseline: RunRecord | None, method: str, sparsity: float, name: str, steps: int
) -> dict[str, Any]:
    task, seed = _place(record)
    own: Mapping[str, Any] = {"task": task, "seed": seed, "method": method, "sparsity": sparsity, "steps": steps}
    gain = _gain(record, name, sparsity, baseline) if baseline is not None and sparsity else None
    return {
        **own,
        "metric": record.task.primary_metric,
        **_columns("score", record.score(name)),
        **_columns("gain", gain),
    }


def _columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    values = (None,) * 3 if interval is None else (interval.estimate, interval.low, interval.high)
    return {f"{name}{end}": value for end, value in zip(ENDS, values, strict=True)}


def _gain(record: RunRecord, name: str, sparsity: float, baseline: RunRecord) -> Interval | None:
    if sparsity not in baseline.config.levels:
        return None
    level = baseline.config.levels.index(sparsity) + 1
    ours, labels = record.answers(name)
    theirs, other_labels = baseline.answers(f"imp-level-{level}")
    prints = {each.units["data"]["fingerprint"] for each in (record, baseline)}
    if len(prints) > 1 or not (labels.shape == other_labels.shape and (labels == other_labels).all()):
        raise RunError(f"{record.path} and {baseline.path} were not reported on the same examples")
    return score_difference(record.task.primary_metric, ours, theirs, labels)
