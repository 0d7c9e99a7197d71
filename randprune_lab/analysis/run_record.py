"""The record of a run, which `randprune show` prints and the figures draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from randprune_lab.analysis.answers import read_answers
from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.errors import RunError, check_count
from randprune_lab.files import given_path
from randprune_lab.search.config import RunConfig
from randprune_lab.search.environment import Environment, read_environment
from randprune_lab.search.journal import read_journal
from randprune_lab.search.recorded_config import read_config
from randprune_lab.search.units import COMPUTE, DATA, DENSE, MODEL, Units, level_unit, level_units, score_unit
from randprune_lab.stats.intervals import Interval, accuracy_interval, score_difference, score_interval
from randprune_lab.tasks.custom_data import custom_task
from randprune_lab.tasks.metrics import constant_answer
from randprune_lab.tasks.spec import Task, get_task, suffixed


@dataclass(frozen=True)
class RunRecord:
    """A run folder, finished or not. Reading it needs neither the model nor the data.

    Each training has a name: `dense`, or a method and a level, such as `search-level-2`.

    Args:
        path: the folder.
        config: the settings of the run.
        units: the results of its finished units by name.
    """

    path: Path
    config: RunConfig
    units: Units

    @classmethod
    def load(cls, path: str | Path) -> RunRecord:
        """Read a run folder.

        Raises:
            RunError: if the folder holds no run, or one of another format.
            FileError: if a file is damaged.
        """
        path = given_path(path)
        return cls(path, read_config(path), read_journal(path))

    @property
    def finished(self) -> bool:
        """Whether all units of work are done; the last one is the final model."""
        return {DATA, COMPUTE, *self.trained, *map(score_unit, self.trained), MODEL} <= self.units.keys()

    @property
    def methods(self) -> list[str]:
        """The names of the run's own method and then of its baselines."""
        return [method.name for method in self.config.methods()]

    @property
    def trained(self) -> list[str]:
        """The names of all trainings that are scored on the test set."""
        return [DENSE, *level_units(self.methods, len(self.config.levels))]

    @property
    def last(self) -> str:
        """The name of the training of the run's own method at the last level."""
        return level_unit(self.config.method, len(self.config.levels))

    def level(self, number: int, method: str | None = None) -> LevelRecord:
        """The record of a method at a level.

        Args:
            number: the level, from 1.
            method: the name of the method; by default, the run's own.

        Raises:
            ConfigError: if the run has no such level.
        """
        check_count("level", number, low=1, high=len(self.config.levels))
        return LevelRecord(self.path, self.config, self.units, self.task, method or self.config.method, number)

    @cached_property
    def task(self) -> Task:
        """The task of the run."""
        recorded = self.units.get(DATA, {}).get("task")
        if recorded:
            return Task.from_dict(recorded)
        custom = self.config.custom_data
        return custom_task(custom) if custom else get_task(self.config.task)

    @property
    def warnings(self) -> list[str]:
        """What the scores may hide about the labels, and a dense model that answers the same for all test examples."""
        constant = constant_answer(self.task, *self.answers(DENSE), "test") if DENSE in self.scored else None
        return [*self.units.get(DATA, {}).get("warnings", []), *([constant] if constant else [])]

    @property
    def scored(self) -> set[str]:
        """The names of the trainings that have test scores."""
        return {name for name in self.trained if score_unit(name) in self.units}

    def test_metrics(self, name: str) -> dict[str, float]:
        """All metrics of the training `name` on the test sets.

        Raises:
            RunError: if it has no test scores yet.
        """
        if name not in self.scored:
            raise RunError(f"{self.path} has no test scores of {name!r} yet; go on with --resume")
        return self.units[score_unit(name)]

    def answers(self, name: str, test_set: str = "") -> tuple[np.ndarray, np.ndarray]:
        """The answers of the training `name` to the examples of a test set, and the true labels.

        Both are label ids; in regression, scores.

        Raises:
            FileError: if the predictions are missing or damaged, or have other labels than those of the dense model.
        """
        return read_answers(self.path, self.task, name, test_set)

    def accuracy(self, name: str, test_set: str = "") -> Interval:
        """The fraction of examples that the training `name` answers correctly, with its interval.

        Raises:
            RunError: if the task is regression.
        """
        if self.task.regression:
            raise RunError(
                f"task {self.task.name!r} is a regression, so no answer is correct or wrong; use RunRecord.score"
            )
        predicted, labels = self.answers(name, test_set)
        return accuracy_interval(predicted == labels)

    def score(self, name: str, test_set: str = "") -> Interval:
        """The first metric of the training `name` on a test set, with its interval. Figures and tables show it."""
        return score_interval(self.task.primary_metric, *self.answers(name, test_set))

    def difference(self, first: str, second: str, test_set: str = "") -> Interval:
        """The first metric of `first` minus that of `second` on a test set, with a paired interval.

        A training differs from itself by exactly 0.
        """
        if first == second:
            return Interval(0.0, 0.0, 0.0)
        ours, labels = self.answers(first, test_set)
        theirs, _ = self.answers(second, test_set)
        return score_difference(self.task.primary_metric, ours, theirs, labels)

    def check_same_examples(self, other: RunRecord) -> None:
        """Raise `RunError` unless another run was scored on the same test examples."""
        data = [record.units.get(DATA, {}).get("fingerprint") for record in (self, other)]
        ours, theirs = self.answers(DENSE)[1], other.answers(DENSE)[1]
        if data[0] != data[1] or not np.array_equal(ours, theirs):
            raise RunError(
                f"{self.path} and {other.path} were not scored on the same test examples; give both runs the same data"
            )

    @cached_property
    def environment(self) -> Environment | None:
        """Versions and machine; None if the run was stopped before they were written.

        Raises:
            FileError: if the file is damaged.
        """
        return read_environment(self.path)

    def summary(self) -> dict[str, Any]:
        """The record as plain JSON: configuration, device, levels with candidates and winner, scores, differences."""
        numbers = range(1, len(self.config.levels) + 1)
        return {
            "run": str(self.path),
            "finished": self.finished,
            "config": self.config.to_dict(),
            "compute": self.units.get(COMPUTE),
            "environment": self.environment,
            "data": self.units.get(DATA),
            "warnings": self.warnings,
            "dense": self._scores(DENSE),
            "levels": [self._level(self.level(number, method)) for method in self.methods for number in numbers],
            "differences": self.differences(),
        }

    def _level(self, level: LevelRecord) -> dict[str, Any]:
        return level.summary() | self._scores(level.name)

    def _scores(self, name: str) -> dict[str, Any]:
        keys = ("winner", "mask_sha256", "weights_sha256", "score", "total_steps")
        unit, test = self.units.get(name, {}), self.units.get(score_unit(name))
        return {
            "test": test,
            "test_intervals": self._intervals(name) if test else None,
            **{key: unit[key] for key in keys if key in unit},
        }

    def _intervals(self, name: str) -> dict[str, Any]:
        metric = self.task.primary_metric
        scores = {test_set: self.score(name, test_set) for test_set in self.task.test_sets}
        return {suffixed(metric, test_set): asdict(score) for test_set, score in scores.items()}

    def differences(self) -> list[dict[str, Any]]:
        """The first metric of the run's own method minus that of each baseline.

        Returns:
            A row for each baseline, level and test set that is scored already.
        """
        rows = []
        for other in self.methods[1:]:
            for number, sparsity in enumerate(self.config.levels, start=1):
                ours, theirs = level_unit(self.config.method, number), level_unit(other, number)
                if not {ours, theirs} <= self.scored:
                    continue
                for test_set in self.task.test_sets:
                    about = {"level": number, "sparsity": sparsity, "baseline": other}
                    metric = suffixed(self.task.primary_metric, test_set)
                    rows.append({**about, "metric": metric, **asdict(self.difference(ours, theirs, test_set))})
        return rows
