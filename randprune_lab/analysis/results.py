"""Many runs in one tidy table: tasks, seeds, methods and levels, each with its score and its difference to IMP."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.intervals import Interval, mean_interval, score_difference
from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.record import RunRecord
from randprune_lab.analysis.recorded_runs import RecordedRuns
from randprune_lab.errors import RunError
from randprune_lab.search.config import RunConfig

if TYPE_CHECKING:
    import pandas as pd

PARTS = {
    "a random mask instead of magnitude": ("one-candidate", "imp-short"),
    "of this, at the same learning rate": ("one-candidate", "imp-short-4e-3"),
    "selection among eight": ("published", "one-candidate"),
    "the same steps for IMP instead": ("imp", "imp-short"),
    "all in all: published less IMP": ("published", "imp"),
}
"""What differences of two methods of the studies that ship tell. Randomness and selection less steps are all in all."""

GAIN = {
    "one random mask, 3 epochs": ("random-short", "magnitude-short"),
    "one random mask, 1 epoch": ("random-brief", "magnitude-brief"),
    "the published search": ("published", "imp"),
    "with 4 times the sampling ratios": ("ratios-times-4", "imp"),
    "with a quarter of them": ("ratios-quarter", "imp"),
    "with 32 candidates, 3.2 times the steps": ("candidates-32", "imp"),
}
"""What the study laptop-gain tried, each less magnitude pruning with the same steps, unless it says otherwise."""

ENDS = ("", "_low", "_high")
ALL = "all tasks"
"""Under this name stands the mean over tasks, beside those of the tasks."""


def results_table(
    records: Sequence[RunRecord], *, names: Sequence[str] | None = None, baseline: str = "imp"
) -> pd.DataFrame:
    """A row for each task, seed, method and level of finished runs.

    Columns: task, seed, method, sparsity, steps (trained up to this level, after the dense model), metric, selection
    (the score on the selection split of what is reported), score with its 95 % interval over the report examples, and
    gain: the score less that of the baseline on the same examples, paired, from whichever run of the task and seed has
    it; empty where none has. A method that several runs have is taken from the first of them.

    Args:
        names: what the search of each record is called, by default `search_name`; its baselines keep their names.
        baseline: the method that the others are compared with.

    Raises `RunError` if a run is not finished, or two of a task and seed were reported on other examples.
    """
    import pandas as pd

    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with --resume")
    given = names or [search_name(record.config) for record in records]
    lines = [
        Line(record, method, name if method == "randomized" else method)
        for record, name in zip(records, given, strict=True)
        for method in record.methods
    ]
    baselines = {line.place: line for line in reversed(lines) if line.name == baseline}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        for row in _rows(line, baselines.get(line.place)):
            rows.setdefault((row["task"], row["seed"], row["method"], row["sparsity"]), row)
    return pd.DataFrame(list(rows.values()))


@dataclass(frozen=True)
class Line:
    """One method of a run."""

    record: RunRecord
    method: str  # as the run calls it
    name: str  # as the table calls it

    @property
    def place(self) -> tuple[str, int]:
        return self.record.task.name, self.record.config.seed

    def unit(self, sparsity: float) -> str:
        """What is trained at a level."""
        return f"{self.method}-level-{self.record.config.levels.index(sparsity) + 1}"


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
        found.setdefault(str(method), {})[str(task)] = over_seeds(rows, "gain")
    for tasks in found.values():
        tasks[ALL] = mean_interval([interval.estimate for interval in tasks.values()])
    return found


def over_seeds(rows: pd.DataFrame, name: str) -> Interval:
    """A column of `results_table` over the seeds of a task, method and level; with one seed its own interval."""
    one = rows.iloc[0]
    return mean_interval(rows[name].tolist()) if len(rows) > 1 else Interval(*(one[f"{name}{end}"] for end in ENDS))


def contrast(table: pd.DataFrame, first: str, second: str, sparsity: float) -> dict[str, Interval]:
    """The score of one method less that of another at a level: for each task, and their mean under "all tasks".

    Differences are of the same task and seed. A task's interval is that over its seeds, the mean's that over tasks;
    either is not finite where there is one alone. Empty if no task and seed has both.
    """
    level = table[table.sparsity == sparsity].set_index(["task", "seed"])
    scores = {name: level[level.method == name].score for name in (first, second)}
    differences = (scores[first] - scores[second]).dropna()
    tasks = differences.groupby(level="task", sort=False)
    found = {str(task): mean_interval(values.tolist()) for task, values in tasks}
    if found:
        found[ALL] = mean_interval([interval.estimate for interval in found.values()])
    return found


def split_of_gain(table: pd.DataFrame, sparsity: float) -> dict[str, Interval]:
    """Where the difference of the published procedure to IMP comes from, over the tasks of a study, see `PARTS`.

    Without a part whose methods no task and seed has.
    """
    found = {part: contrast(table, *methods, sparsity) for part, methods in PARTS.items()}
    return {part: each[ALL] for part, each in found.items() if each}


def contrasts(table: pd.DataFrame, parts: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """All that `contrast` finds of named pairs of methods: columns part, sparsity, task, estimate, low, high."""
    import pandas as pd

    return pd.DataFrame(
        {"part": part, "sparsity": sparsity, "task": task, **dataclasses.asdict(interval)}
        for part, methods in parts.items()
        for sparsity in sorted(table.sparsity[table.sparsity > 0].unique())
        for task, interval in contrast(table, *methods, sparsity).items()
    )


def seed_by_seed(runs: Sequence[RecordedRuns], method: str, others: Sequence[str], sparsity: float) -> pd.DataFrame:
    """A method less each of others, on every task and seed apart, in words for readers.

    In points (hundredths of the metric), with 95 % intervals over report examples, which do not say how much another
    training would differ. Rows are the tasks and seeds that have all of these methods; a column for each other.
    """
    import pandas as pd

    rows = [
        (run.task, run.seed, *(_points(run.difference(method, other, sparsity)) for other in others))
        for run in runs
        if {method, *others} <= set(run.methods)
    ]
    return pd.DataFrame(rows, columns=["task", "seed", *(f"less {other}" for other in others)]).set_index(
        ["task", "seed"]
    )


def ranks(table: pd.DataFrame, sparsity: float) -> dict[str, Interval]:
    """Average rank of each method over tasks and seeds at a level, 1 is best; ties share their ranks.

    A method that lacks one of the tasks and seeds is not ranked.
    """
    level = table[table.sparsity == sparsity]
    wide = level.pivot(index=["task", "seed"], columns="method", values="score").dropna(axis=1)
    ranked = wide.rank(axis=1, ascending=False)
    return {str(method): mean_interval(ranked[method].tolist()) for method in ranked}


def answer(table: pd.DataFrame, sparsities: Sequence[float] = (0.9375, 0.99)) -> pd.DataFrame:
    """What to say of each method, in words for readers; of tasks that can tell masks apart, leave out the others.

    Columns: seeds that the method has of every task, steps for one of IMP's, and of each sparsity the difference to IMP
    in points (hundredths of the metric), a mean over tasks with its 95 % interval, and the average rank.
    """
    import pandas as pd

    last = table[table.sparsity == max(sparsities)]
    steps = last.pivot(index=["task", "seed"], columns="method", values="steps")
    share = steps.div(steps["imp"], axis=0).mean()
    seeds = steps.notna().groupby(level="task").sum().min()
    rows: dict[str, dict[str, Any]] = {
        method: {"seeds": seeds[method], "steps": f"{share[method]:.2f}"} for method in last.method.unique()
    }
    for sparsity in sparsities:
        at, less, ranked = f"at {100 * sparsity:.4g} %", gains(table, sparsity), ranks(table, sparsity)
        for method, row in rows.items():
            row[f"less IMP {at}"] = _points(less[method][ALL]) if method in less else ""
            row[f"rank {at}"] = f"{ranked[method].estimate:.1f}" if method in ranked else ""
    return pd.DataFrame.from_dict(rows, orient="index")


def _points(difference: Interval) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in dataclasses.astuple(difference)))


def _rows(line: Line, baseline: Line | None) -> list[dict[str, Any]]:
    spent = 0
    rows = [_row(line.record, "dense", {"method": "dense", "sparsity": 0.0, "steps": 0}, None)]
    for step in training_steps(line.record):
        if step["method"] != line.method:
            continue
        sparsity = step["sparsity"]
        spent += step["candidates"] + step["winner"]
        gain = _gain(line, sparsity, baseline) if baseline is not None else None
        own = {"method": line.name, "sparsity": sparsity, "steps": spent}
        rows.append(_row(line.record, line.unit(sparsity), own, gain))
    return rows


def _row(record: RunRecord, unit: str, own: Mapping[str, Any], gain: Interval | None) -> dict[str, Any]:
    return {
        "task": record.task.name,
        "seed": record.config.seed,
        **own,
        "metric": record.task.primary_metric,
        "selection": record.units[unit]["score"],
        **_columns("score", record.score(unit)),
        **_columns("gain", gain),
    }


def _columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    values = (None,) * 3 if interval is None else (interval.estimate, interval.low, interval.high)
    return {f"{name}{end}": value for end, value in zip(ENDS, values, strict=True)}


def _gain(line: Line, sparsity: float, baseline: Line) -> Interval | None:
    record, other = line.record, baseline.record
    if sparsity not in other.config.levels:
        return None
    ours, labels = record.answers(line.unit(sparsity))
    theirs, other_labels = other.answers(baseline.unit(sparsity))
    prints = {each.units["data"]["fingerprint"] for each in (record, other)}
    if len(prints) > 1 or not (labels.shape == other_labels.shape and (labels == other_labels).all()):
        raise RunError(f"{record.path} and {other.path} were not reported on the same examples")
    return score_difference(record.task.primary_metric, ours, theirs, labels)
