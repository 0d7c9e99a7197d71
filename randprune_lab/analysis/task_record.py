"""The record of all methods on one task with one seed, in one small file: their answers, and how masks were chosen.

The file has no texts, weights or masks. It has the recipe of each winner, so its mask can be rebuilt by training again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from jaxtyping import Float16, Float32, Float64, Int64, UInt8
from pydantic import Field
from typing_extensions import TypedDict

from randprune_lab.analysis.answers import read_logits
from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import DataError, RunError, unknown_name
from randprune_lab.files import reading
from randprune_lab.sealed import Older, check_arrays, read_arrays, write_arrays
from randprune_lab.search.results import RecordedRecipe, RecordedRule
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval, score_difference, score_interval
from randprune_lab.tasks.metrics import check_metric
from randprune_lab.training.scoring import answers, log_likelihood
from randprune_lab.typed import known_names, record_of, typed

if TYPE_CHECKING:
    import pandas as pd

KIND, FORMAT = "randprune task record", 4
"""Format 3 had no logits and no courses of trainings; it is still read."""


@known_names
class Early(TypedDict):
    """The longest early evaluation of a candidate, and the rule that drew its mask."""

    candidate: int
    steps: int
    at: list[int]
    metric: list[float]
    score: float | None
    rule: RecordedRule


@known_names
class Course(TypedDict):
    """How a level's winner was trained, and what was spent on choosing it.

    `at` has the steps of its evaluations and `scores` their validation scores. `judged` is what the best was chosen by,
    if not by the score, and `losses` the mean loss since the evaluation before. `steps` is the number of steps of the
    winner and `early_steps` that of all early evaluations; `looks` is the number of passes over the validation set, of
    both. A number that is not finite, because the training diverged, is None.
    """

    at: list[int]
    scores: list[float]
    judged: list[float | None]
    losses: list[float | None]
    steps: int
    early_steps: int
    looks: int


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """The methods on one task with one seed, level by level.

    Args:
        task: the name of the task.
        seed: the seed of the runs.
        metric: the name of the first metric, which scores are in.
        levels: the sparsity of each level, in increasing order.
        labels: the true label of each test example: a label id or, in regression, a score.
        dense: the answers of the dense model.
        answers: the answers of each method at each level.
        candidates: for each method and level, the longest early evaluation of each candidate.
        recipes: for each method and level, the recipe of the winner's mask.
        courses: for each method and level, the course of the winner's training; records from before have none.
        logits: the logits of each method at each level in half precision; none in regression, where the answers are all
            that there is, and none in records from before.
    """

    task: str
    seed: int
    metric: str
    levels: tuple[float, ...]
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
    dense: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
    answers: Mapping[str, Int64[np.ndarray, "levels n"] | Float32[np.ndarray, "levels n"]]
    candidates: Mapping[str, list[list[Early]]]
    recipes: Mapping[str, list[RecordedRecipe]]
    courses: Mapping[str, list[Course]] = field(default_factory=dict)
    logits: Mapping[str, Float16[np.ndarray, "levels n labels"]] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """The names of the methods."""
        return list(self.answers)

    def score(self, method: str, sparsity: float = 0.0) -> Interval:
        """The metric of a method at a level, with its interval over test examples.

        Args:
            method: the name of the method, or "dense".
            sparsity: the sparsity of the level; ignored for "dense".

        Raises:
            UnknownNameError: if there is no such method or level.
        """
        return score_interval(self.metric, self._answers(method, sparsity), self.labels)

    def difference(self, first: str, second: str, sparsity: float) -> Interval:
        """The metric of `first` minus that of `second` at a level, with a paired interval.

        A method differs from itself by exactly 0.

        Raises:
            UnknownNameError: if there is no such method or level.
        """
        ours, theirs = (self._answers(method, sparsity) for method in (first, second))
        if first == second:
            return Interval(0.0, 0.0, 0.0)
        return score_difference(self.metric, ours, theirs, self.labels)

    def log_likelihood(self, method: str, sparsity: float) -> Float64[np.ndarray, " n"]:
        """The log-probability of each test example's true label; in regression, minus the squared error.

        It says more than whether the answer is right, so fewer examples show a difference of two methods.

        Raises:
            UnknownNameError: if there is no such method or level.
            DataError: if the record was made before logits were recorded.
        """
        found = self._answers(method, sparsity)
        if found.dtype.kind == "f":
            return log_likelihood(found[:, None], self.labels)
        if method not in self.logits:
            raise DataError(f"the record of {self.task}, seed {self.seed}, has no logits of {method}; record it again")
        return log_likelihood(self.logits[method][self.levels.index(sparsity)], self.labels)

    def early(self, method: str, sparsity: float) -> list[Early]:
        """The early evaluations of a method at a level, by candidate; empty if it had only one candidate.

        Raises:
            UnknownNameError: if there is no such method or level.
        """
        self._answers(method, sparsity)  # raises UnknownNameError
        return self.candidates[method][self.levels.index(sparsity)]

    def joined(self, other: TaskRecord) -> TaskRecord:
        """This record, with the methods that only `other` has. The dense model stays that of this record.

        Raises:
            RunError: if `other` has another task, seed or metric, other levels or other test examples.
        """
        for name in ("task", "seed", "metric", "levels"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise RunError(f"task records differ in {name}: {ours!r} and {theirs!r}; record them in two folders")
        if not np.array_equal(self.labels, other.labels):
            raise RunError(
                f"task records of {self.task} were not scored on the same test examples; record them in two folders"
            )
        return replace(
            self,
            answers={**other.answers, **self.answers},
            candidates={**other.candidates, **self.candidates},
            recipes={**other.recipes, **self.recipes},
            courses={**other.courses, **self.courses},
            logits={**other.logits, **self.logits},
        )

    def _answers(self, method: str, sparsity: float) -> np.ndarray:
        if method == DENSE:
            return self.dense
        if method not in self.answers:
            raise unknown_name("method", method, [DENSE, *self.answers])
        if sparsity not in self.levels:
            raise unknown_name("level", f"{sparsity:g}", [f"{level:g}" for level in self.levels])
        return self.answers[method][self.levels.index(sparsity)]

    @classmethod
    def of(cls, records: Mapping[str, RunRecord]) -> TaskRecord:
        """The task record of some runs.

        Args:
            records: the runs by the names of their methods.

        Raises:
            RunError: if a run is not finished, or runs differ in task, seed, levels or test examples.
        """
        first = next(iter(records.values()))
        dense, labels = first.answers(DENSE)
        for record in records.values():
            if not record.finished:
                raise RunError(f"{record.path} is not finished; go on with --resume")
            for name in ("seed", "levels"):
                ours, theirs = getattr(first.config, name), getattr(record.config, name)
                if ours != theirs:
                    raise RunError(
                        f"{first.path} and {record.path} differ in {name}: {ours!r} and {theirs!r}; "
                        "make a task record of each"
                    )
            if record.task != first.task or not np.array_equal(record.answers(DENSE)[1], labels):
                raise RunError(
                    f"{first.path} and {record.path} were not scored on the same test examples; "
                    "make a task record of each"
                )
        numbers = range(1, len(first.config.levels) + 1)
        trained = {name: [record.level(number) for number in numbers] for name, record in records.items()}
        logits = {
            name: np.stack([read_logits(records[name].path, first.task, level.name)[0] for level in levels])
            for name, levels in trained.items()
        }
        return cls(
            task=first.task.name,
            seed=first.config.seed,
            metric=first.task.primary_metric,
            levels=first.config.levels,
            labels=labels,
            dense=dense,
            answers={
                name: np.stack([answers(first.task, level) for level in levels]) for name, levels in logits.items()
            },
            candidates={
                name: [[_kept(candidate) for candidate in level.candidates] for level in levels]
                for name, levels in trained.items()
            },
            recipes={name: [level.recipe for level in levels] for name, levels in trained.items()},
            courses={name: [_course(level) for level in levels] for name, levels in trained.items()},
            logits={} if first.task.regression else {name: _half(levels) for name, levels in logits.items()},
        )

    def save(self, path: str | Path) -> None:
        """Write the record to a safetensors file, atomically.

        Raises:
            FileError: if the file cannot be written.
        """
        arrays = {"labels": _packed(self.labels), "dense": _packed(self.dense)}
        arrays |= {f"answers/{name}": _packed(values) for name, values in self.answers.items()}
        arrays |= {f"logits/{name}": values for name, values in self.logits.items()}
        names = ("task", "seed", "metric", "levels", "candidates", "recipes", "courses")
        about = {"n": len(self.labels), **{name: getattr(self, name) for name in names}}
        write_arrays(path, KIND, FORMAT, arrays, about)

    @classmethod
    def load(cls, path: str | Path) -> TaskRecord:
        """Read a file that `save` wrote.

        Raises:
            FileError: if the file is missing, damaged, or not a task record.
        """
        packed, about = read_arrays(path, KIND, FORMAT, "`randprune study --record` writes such files", _OLDER)
        with reading("task record", path):
            n = typed(_Rows, about.pop("n", None), "n", strict=True)
            values = typed(_ABOUT, about, strict=True)
            names = {name: f"answers/{name}" for name in values["recipes"]}
            logits = {name: packed.pop(f"logits/{name}") for name in names if f"logits/{name}" in packed}
            check_arrays(packed, dict.fromkeys(("labels", "dense"), _ROW) | dict.fromkeys(names.values(), _LEVELS))
            arrays = {name: _unpacked(values, n) for name, values in packed.items()}
            record = cls(
                **values,
                labels=arrays["labels"],
                dense=arrays["dense"],
                answers={name: arrays[array] for name, array in names.items()},
                logits=logits,
            )
            record._check()
            return record

    def _check(self) -> None:
        """Raise `ValueError` unless the parts fit to each other."""
        kinds = {values.dtype.kind for values in (self.labels, self.dense, *self.answers.values())}
        if len(kinds) > 1:
            raise ValueError("its answers must be all label ids, or all scores")
        check_metric(self.metric, self.task, regression=kinds == {"f"})
        shape = (len(self.levels), len(self.labels))
        if any(values.shape != shape for values in self.answers.values()):
            raise ValueError(f"its answers have other shapes than {shape}, levels and examples")
        by_level = {*map(len, self.recipes.values()), *map(len, self.candidates.values())}
        if self.candidates.keys() != self.recipes.keys() or by_level != {len(self.levels)}:
            raise ValueError("each method must have its candidates and its recipe for each level")
        if not self.courses.keys() <= self.recipes.keys() or {*map(len, self.courses.values())} - by_level:
            raise ValueError("a method must have the course of its training for each level, or none")
        for name, values in self.logits.items():
            check_arrays({name: values}, {name: Float16[np.ndarray, f"{len(self.levels)} {len(self.labels)} labels"]})


def early_evaluations(runs: Sequence[TaskRecord], method: str) -> pd.DataFrame:
    """The early evaluations of a method, in one table.

    Args:
        runs: the task records; those without the method are left out.
        method: the name of the method.

    Returns:
        A row for each task, seed, level and candidate.
        Columns: task, seed, sparsity, candidate, steps, score (the early score on the validation set), sampling_ratio
        (empty for rules without one), and chosen (whether the candidate is the winner).
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "task": run.task,
            "seed": run.seed,
            "sparsity": sparsity,
            "candidate": evaluation["candidate"],
            "steps": evaluation["steps"],
            "score": evaluation["score"],
            "sampling_ratio": evaluation["rule"].get("sampling_ratio"),
            "chosen": evaluation["candidate"] == run.recipes[method][level]["candidate"],
        }
        for run in runs
        if method in run.methods
        for level, sparsity in enumerate(run.levels)
        for evaluation in run.early(method, sparsity)
    )


_Rows = Annotated[int, Field(gt=0, lt=2**31)]
_ROW = UInt8[np.ndarray, "_ bytes"] | Float32[np.ndarray, " n"]
_LEVELS = UInt8[np.ndarray, "_ levels bytes"] | Float32[np.ndarray, "levels n"]


_ABOUT = record_of(TaskRecord, ("labels", "dense", "answers", "logits"))
_OLDER: Older = {3: lambda about: about.update(courses={})}


def _kept(candidate: Mapping[str, Any]) -> Early:
    kept: Any = {name: candidate.get(name) for name in Early.__annotations__}
    return kept | {"rule": candidate["mask"]["rule"]}


def _course(level: LevelRecord) -> Course:
    unit = level.units[level.name]
    return {
        "at": unit["steps"],
        "scores": unit["scores"],
        "judged": _finite(unit.get("judged", [])),
        "losses": _finite(unit["losses"]),
        "steps": level.steps,
        "early_steps": level.candidate_steps,
        "looks": len(unit["steps"]) + int(level.selection.get("evaluations", 0)),
    }


def _finite(values: list[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _half(logits: Float32[np.ndarray, "levels n labels"]) -> Float16[np.ndarray, "levels n labels"]:
    """The logits in half precision, those of an example minus the largest: what no probability depends on is left out,
    and the rest is exact to a thousandth of itself.
    """
    wide = logits.astype(np.float64)
    return (wide - wide.max(axis=-1, keepdims=True)).clip(-(2.0**15)).astype(np.float16)


def _packed(values: np.ndarray) -> np.ndarray:
    """Label ids as bits: first the lowest bit of all ids, then the next bit. Scores stay as they are."""
    if values.dtype.kind == "f":
        return values
    bits = max(1, int(values.max()).bit_length())
    return np.packbits([(values >> bit) & 1 for bit in range(bits)], axis=-1)


def _unpacked(packed: np.ndarray, n: int) -> np.ndarray:
    if packed.dtype.kind == "f":
        if packed.shape[-1] != n:
            raise ValueError(f"its scores are not of {n} examples")
        return packed
    if packed.shape[-1] != -(-n // 8):
        raise ValueError(f"its label ids are not of {n} examples")
    bits = np.unpackbits(packed, axis=-1, count=n).astype(np.int64)
    return sum((plane << bit for bit, plane in enumerate(bits)), np.zeros(bits.shape[1:], dtype=np.int64))
