"""The runs of one task and seed in one small file: what every method answered, and how its masks were found.

The file has no texts, weights or masks; with each winner's recipe its mask can be rebuilt by training the run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import RunError, unknown_name
from randprune_lab.files import atomic_path, check_format, reading
from randprune_lab.search.units import DENSE
from randprune_lab.stats.intervals import Interval, score_difference, score_interval

if TYPE_CHECKING:
    import pandas as pd

KIND, FORMAT = "randprune task record", 2
KEPT = ("candidate", "steps", "at", "metric", "score")
"""What is kept of an early evaluation, besides the rule that drew its mask."""


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """Methods on one task with one seed, level by level.

    Args:
        task, seed, metric: what was learned, with which seed, and what the scores are.
        labels: what is right, for each report example: a label id or, in regression, a score.
        dense: what the dense model answers.
        answers: what each method answers at each level.
        levels: the sparsities, rising.
        candidates: by method, for each level, the early evaluations as far as each candidate went.
        recipes: by method, for each level, what names the mask that was trained with.
    """

    task: str
    seed: int
    metric: str
    levels: tuple[float, ...]
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
    dense: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
    answers: Mapping[str, Int64[np.ndarray, "levels n"] | Float32[np.ndarray, "levels n"]]
    candidates: Mapping[str, list[list[dict[str, Any]]]]
    recipes: Mapping[str, list[dict[str, Any]]]

    @property
    def methods(self) -> list[str]:
        return list(self.answers)

    def score(self, method: str, sparsity: float = 0.0) -> Interval:
        """The metric of a method at a level, over the test examples; of the dense model at sparsity 0."""
        return score_interval(self.metric, self._answers(method, sparsity), self.labels)

    def difference(self, first: str, second: str, sparsity: float) -> Interval:
        """The metric of one method less that of another at a level, paired by example."""
        ours, theirs = (self._answers(method, sparsity) for method in (first, second))
        return score_difference(self.metric, ours, theirs, self.labels)

    def early(self, method: str, sparsity: float) -> list[dict[str, Any]]:
        """The early evaluations of a method at a level, by candidate; empty where it had but one."""
        self._answers(method, sparsity)  # that there are such
        return self.candidates[method][self.levels.index(sparsity)]

    def joined(self, other: TaskRecord) -> TaskRecord:
        """These runs, and those of `other` in which these have no such method; the dense model stays this one.

        Raises `RunError` if they are of another task or seed, other levels or other test examples.
        """
        for what in ("task", "seed", "metric", "levels"):
            if getattr(self, what) != getattr(other, what):
                raise RunError(
                    f"task records differ in {what}: {getattr(self, what)!r} and {getattr(other, what)!r}; "
                    "record them apart"
                )
        if not np.array_equal(self.labels, other.labels):
            raise RunError(f"task records of {self.task} were not scored on the same test examples; record them apart")
        return replace(
            self,
            answers={**other.answers, **self.answers},
            candidates={**other.candidates, **self.candidates},
            recipes={**other.recipes, **self.recipes},
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
        """What is recorded of some runs, by the names of their methods.

        Raises `RunError` if one is not finished, or they differ in task, seed, levels or test examples.
        """
        first = next(iter(records.values()))
        dense, labels = first.answers(DENSE)
        for record in records.values():
            if not record.finished:
                raise RunError(f"{record.path} is not finished; go on with --resume")
            for what in ("seed", "levels"):
                if getattr(record.config, what) != getattr(first.config, what):
                    raise RunError(f"{record.path} and {first.path} differ in {what}; record them apart")
            if record.task != first.task or not np.array_equal(record.answers(DENSE)[1], labels):
                raise RunError(f"{record.path} and {first.path} were not scored on the same test examples")
        numbers = range(1, len(first.config.levels) + 1)
        found = {name: [record.level(number) for number in numbers] for name, record in records.items()}
        return cls(
            task=first.task.name,
            seed=first.config.seed,
            metric=first.task.primary_metric,
            levels=first.config.levels,
            labels=labels,
            dense=dense,
            answers={
                name: np.stack([records[name].answers(level.name)[0] for level in levels])
                for name, levels in found.items()
            },
            candidates={
                name: [[_kept(each) for each in level.candidates] for level in levels] for name, levels in found.items()
            },
            recipes={name: [level.recipe for level in levels] for name, levels in found.items()},
        )

    def save(self, path: str | Path) -> None:
        """Write the runs to a safetensors file, whole or not at all."""
        from safetensors.numpy import save_file

        arrays = {"labels": _packed(self.labels), "dense": _packed(self.dense)}
        arrays |= {f"answers/{name}": _packed(values) for name, values in self.answers.items()}
        about = {
            "kind": KIND,
            "format": FORMAT,
            "n": len(self.labels),
            **{name: getattr(self, name) for name in ("task", "seed", "metric", "levels", "candidates", "recipes")},
        }
        with atomic_path(Path(path)) as temporary:
            save_file(arrays, temporary, metadata={"about": json.dumps(about, separators=(",", ":"))})

    @classmethod
    def load(cls, path: str | Path) -> TaskRecord:
        """Read what `save` wrote. Raises `FileError` if the file is missing, damaged, or something else."""
        from safetensors import safe_open

        with reading("task record", path), safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            check_format(path, about, KIND, FORMAT, "`randprune study --record` writes them")
            n = about.pop("n")
            arrays = {name: _unpacked(file.get_tensor(name), n) for name in file.keys()}  # noqa: SIM118
            return cls(
                **about | {"levels": tuple(about["levels"])},
                labels=arrays["labels"],
                dense=arrays["dense"],
                answers={name: arrays[f"answers/{name}"] for name in about["recipes"]},
            )


def early_evaluations(runs: Sequence[TaskRecord], method: str) -> pd.DataFrame:
    """A row for each candidate of a method on every task, seed and level of some runs.

    Columns: task, seed, sparsity, candidate, steps, score (the early one, on the validation set), sampling_ratio
    (empty for rules that have none), and chosen: whether its mask is the one that was trained with.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "task": run.task,
            "seed": run.seed,
            "sparsity": sparsity,
            "candidate": each["candidate"],
            "steps": each["steps"],
            "score": each["score"],
            "sampling_ratio": each["rule"].get("sampling_ratio"),
            "chosen": each["candidate"] == run.recipes[method][level]["candidate"],
        }
        for run in runs
        if method in run.methods
        for level, sparsity in enumerate(run.levels)
        for each in run.early(method, sparsity)
    )


def _kept(candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: candidate[name] for name in KEPT} | {"rule": candidate["mask"]["rule"]}


def _packed(values: np.ndarray) -> np.ndarray:
    """Label ids as bits: the lowest of all, then the next; scores as they are."""
    if values.dtype.kind == "f":
        return values
    bits = max(1, int(values.max()).bit_length())
    return np.packbits([(values >> bit) & 1 for bit in range(bits)], axis=-1)


def _unpacked(packed: np.ndarray, n: int) -> np.ndarray:
    if packed.dtype.kind == "f":
        return packed
    bits = np.unpackbits(packed, axis=-1, count=n).astype(np.int64)
    return sum((plane << bit for bit, plane in enumerate(bits)), np.zeros(bits.shape[1:], dtype=np.int64))
