"""The work of a run, as far as it is known before the run begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from randprune_lab.search.config import RunConfig
from randprune_lab.search.generations import NOISE_MASKS
from randprune_lab.search.level import evaluation_steps
from randprune_lab.search.method import Method
from randprune_lab.search.units import (
    DENSE,
    candidate_units,
    level_unit,
    level_units,
    noise_unit,
    score_unit,
    selection_unit,
)


class BasePlan(ABC):
    """The work of a search, in training steps."""

    @property
    @abstractmethod
    def units(self) -> dict[str, int]:
        """The steps of each unit, by its name. Those of a selection are the most that it may need."""

    @abstractmethod
    def training(self, steps: int) -> int:
        """The steps of a training of a candidate, with its evaluations."""

    def left(self, done: Mapping[str, dict[str, Any]]) -> int:
        """The number of steps that are left.

        Args:
            done: the results of the finished units, by name. The evaluated candidates of a selection count too.
        """
        left = {name: steps for name, steps in self.units.items() if name not in done}
        selections = {selection_unit(name): name for name in self.units}
        for selection in left.keys() & selections.keys():
            reached: dict[int, int] = {}
            for unit in candidate_units(done, selections[selection]):
                reached[unit["candidate"]] = max(unit["steps"], reached.get(unit["candidate"], 0))
            left[selection] = max(0, left[selection] - sum(map(self.training, reached.values())))
        return sum(left.values())


@dataclass(frozen=True)
class Plan(BasePlan):
    """The work of a run, in training steps. An evaluation counts as the training steps that take about as long.

    Args:
        config: the settings of the run.
        train, validation: the number of rows of these sets.
        test: the number of rows of all test sets.
    """

    config: RunConfig
    train: int
    validation: int
    test: int

    @cached_property
    def units(self) -> dict[str, int]:
        config, methods = self.config, self.config.methods()
        units = {DENSE: self._training(config.dense_epochs)}
        for method in methods:
            for number in range(1, len(config.levels) + 1):
                level = level_unit(method.name, number)
                if method.candidates > 1:
                    units[selection_unit(level)] = self._selection(method)
                    for mask in range(min(NOISE_MASKS, method.candidates)):
                        for again in range(config.noise_seeds):
                            units[noise_unit(level, mask, again)] = self._training(config.early_epochs)
                again = config.early_epochs if config.keep_early and method.candidates > 1 else 0
                units[level] = self._training(method.epochs) + self._training(again) * bool(again)
        trained = [DENSE, *level_units([method.name for method in methods], len(config.levels))]
        return units | {score_unit(name): evaluation_steps(self.test, config.batch_size) for name in trained}

    def training(self, steps: int) -> int:
        """The steps of a training, with its evaluations; without training there is one."""
        evaluations = max(1, -(-steps // self.config.evaluate_every))
        return steps + evaluations * evaluation_steps(self.validation, self.config.batch_size)

    def _training(self, epochs: int) -> int:
        return self.training(epochs * -(-self.train // self.config.batch_size))

    def _selection(self, method: Method) -> int:
        fraction, screened = self.config.strategy().steps_fraction, self.config.screen or 0
        race = int(self.config.candidates * fraction * self._training(self.config.early_epochs))
        return race + screened * self.training(0)
