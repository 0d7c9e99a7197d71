"""The pool of a level: candidates' evaluations, done once, written down, and read back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from randprune_lab.errors import FileError
from randprune_lab.search.candidates import Level
from randprune_lab.search.executors import Executor, Job
from randprune_lab.search.folder import RunFolder, load_arrays
from randprune_lab.search.selection import Evaluation

log = logging.getLogger("randprune_lab")


@dataclass(frozen=True)
class Pool:
    """What a strategy asks for candidates' evaluations. Those that the run folder has are not computed again."""

    level: Level
    folder: RunFolder
    executor: Executor
    progress: bool = False

    def evaluate(self, pairs: Sequence[tuple[int, int]]) -> list[Evaluation]:
        """Train candidates until they have so many steps, of (candidate, steps); results in this order."""
        jobs = [Job(*pair) for pair in pairs]
        todo = [job for job in jobs if not self._recorded(job)]
        for evaluation in self.executor.evaluate(self.level, todo, self.progress) if todo else ():
            self._write(evaluation)
        return [self._read(job) for job in jobs]

    def _unit(self, job: Job) -> str:
        return f"{self.level.name}/candidate-{job.candidate}/steps-{job.steps}"

    def _recorded(self, job: Job) -> bool:
        """Whether a job's result can be read; one that was damaged is computed again."""
        if self._unit(job) not in self.folder.units:
            return False
        try:
            self._read(job)
        except FileError as error:
            log.warning("%s; they are computed again", error)
            return False
        return True

    def _write(self, evaluation: Evaluation) -> None:
        name = self._unit(Job(evaluation.candidate, evaluation.steps))
        assert evaluation.logits is not None, "a level's evaluations have their logits"
        arrays = {"examples": evaluation.examples, "logits": evaluation.logits, "labels": self.level.scoring.labels}
        self.folder.save_arrays(name.replace("/", "-"), arrays)
        where, metric = self.level.name, evaluation.metric[-1]
        log.info("%s: candidate %d scores %.4f after %d steps", where, evaluation.candidate, metric, evaluation.steps)
        self.folder.add(name, self._plain(evaluation))

    def _plain(self, evaluation: Evaluation) -> dict[str, Any]:
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
        unit, arrays = self.folder.units[name], load_arrays(self.folder.path, name.replace("/", "-"))
        return Evaluation(
            candidate=job.candidate,
            steps=unit["steps"],
            at=tuple(unit["at"]),
            metric=tuple(unit["metric"]),
            examples=arrays["examples"],
            logits=arrays["logits"],
        )
