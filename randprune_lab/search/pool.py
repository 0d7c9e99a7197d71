"""The pool of a level: evaluates its candidates, each once, and records the results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from randprune_lab.errors import FileError
from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel
from randprune_lab.search.executors import Executor, Job
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.run_files import load_evaluations, predictions_path
from randprune_lab.search.selection import Evaluation
from randprune_lab.search.units import candidate_unit, file_name

log = logging.getLogger("randprune_lab")


@dataclass(frozen=True)
class Pool:
    """Evaluates candidates for a strategy. Evaluations that are in the run folder are read, not computed again."""

    level: BaseLevel
    folder: RunFolder
    executor: Executor
    advance: Advance = ignore

    def evaluate(self, pairs: Sequence[tuple[int, int]]) -> list[Evaluation]:
        """Train candidates up to some number of steps.

        Args:
            pairs: the candidate and its number of steps, for each evaluation.

        Returns:
            The evaluations in the order of the pairs.
        """
        jobs = [Job(*pair) for pair in pairs]
        todo = [job for job in jobs if not self._recorded(job)]
        for evaluation in self.executor.evaluate(self.level, todo, self.advance) if todo else ():
            self._write(evaluation)
        return [self._read(job) for job in jobs]

    def _unit(self, job: Job) -> str:
        return candidate_unit(self.level.name, job.candidate, job.steps)

    def _recorded(self, job: Job) -> bool:
        """Whether the result of a job can be read; a damaged one is computed again."""
        if self._unit(job) not in self.folder.units:
            return False
        try:
            self._read(job)
        except FileError as error:
            log.warning("%s; it is computed again", error)
            return False
        return True

    def _write(self, evaluation: Evaluation) -> None:
        name = self._unit(Job(evaluation.candidate, evaluation.steps))
        arrays = {"examples": evaluation.examples}
        if (labels := self.level.labels) is not None:
            assert evaluation.logits is not None, "evaluations with labels have logits"
            arrays |= {"logits": evaluation.logits, "labels": labels}
        self.folder.save_arrays(file_name(name), arrays)
        level, metric = self.level.name, evaluation.metric[-1]
        log.info("%s: candidate %d scores %.4f after %d steps", level, evaluation.candidate, metric, evaluation.steps)
        self.folder.add(name, self._to_dict(evaluation))

    def _to_dict(self, evaluation: Evaluation) -> dict[str, Any]:
        return {
            "candidate": evaluation.candidate,
            "steps": evaluation.steps,
            "total_steps": self.level.total_steps,
            "at": list(evaluation.at),
            "metric": list(evaluation.metric),
            "mask": self.level.recipe(evaluation.candidate),
        }

    def _read(self, job: Job) -> Evaluation:
        name = self._unit(job)
        labels = self.level.labels
        unit = self.folder.units[name]
        arrays = load_evaluations(self.folder.path, file_name(name), labelled=labels is not None)
        same = labels is None or np.array_equal(arrays["labels"], labels)
        if not same or len(arrays["examples"]) != len(unit["at"]):
            file = predictions_path(self.folder.path, file_name(name))
            raise FileError(f"predictions file {file} is damaged: it is not of the evaluations in the journal")
        return Evaluation(
            candidate=job.candidate,
            steps=unit["steps"],
            at=tuple(unit["at"]),
            metric=tuple(unit["metric"]),
            examples=arrays["examples"],
            logits=arrays.get("logits"),
        )
