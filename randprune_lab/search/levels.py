"""The way of methods through their levels: a race among candidates, then a training with the winner."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, ClassVar, Generic

from torch import nn

from randprune_lab.errors import FileError, RunError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.progress import Progress
from randprune_lab.search.base_level import Weights
from randprune_lab.search.executors import Executor
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.generations import AnyLevel, Generations
from randprune_lab.search.method import Method
from randprune_lab.search.plan import BasePlan
from randprune_lab.search.run_files import weights_sha256
from randprune_lab.search.units import level_unit
from randprune_lab.training.loop import History

Trained = tuple[History, Weights | None]
"""The course of a training, and the scores that it summed up, if the next level is pruned by them."""

log = logging.getLogger("randprune_lab")


class LevelSearch(ABC, Generic[AnyLevel]):
    """Makes the weights of all levels, each once: what the folder has is read, not made again.

    A subclass says what is trained and how. There is one model, which gets other weights for each step.
    """

    first: ClassVar[str]
    """The unit whose weights all methods start from."""

    folder: RunFolder
    bar: Progress
    executor: Executor
    model: nn.Module
    plan: BasePlan

    @property
    @abstractmethod
    def methods(self) -> list[Method]:
        """The methods, each of which goes through all levels."""

    @property
    @abstractmethod
    def sparsities(self) -> tuple[float, ...]:
        """The sparsity of each level."""

    @abstractmethod
    def begin(self) -> dict[str, Any]:
        """Make the weights that all methods start from; returns the result of this unit."""

    @abstractmethod
    def level(self, name: str, method: Method, number: int, start: str) -> AnyLevel:
        """A method's level, which starts from the weights of the unit `start`."""

    @abstractmethod
    def train_winner(self, level: AnyLevel, winner: int, mask: MaskSet) -> Trained:
        """Train the model, which has the level's starting weights, with the mask of the winner."""

    @abstractmethod
    def remedy(self, name: str) -> str:
        """What to do if the training of a unit diverges."""

    def make_all(self) -> None:
        """Make the weights of all units that the folder does not have."""
        for name in [self.first, *self.levels]:
            self.make(name)

    def make(self, name: str) -> None:
        """Make the weights of a unit, unless the folder has them."""
        self.folder.unit(name, self.begin if name == self.first else partial(self._level, name))
        self.bar.left(self.plan.left(self.folder.units))

    def weights(self, name: str) -> Weights:
        """Trained weights from the folder. If the checkpoint is damaged, it is made again with the same bits."""
        return self._read(name, self.folder.load_weights)

    def scores(self, name: str) -> Weights:
        """The scores that the training of these weights summed up; they too are made again, as for a dense model that
        another run has trained.
        """
        return self._read(name, self.folder.load_scores)

    def _read(self, name: str, load: Callable[[str], Weights]) -> Weights:
        try:
            return load(name)
        except FileError as error:
            log.warning("%s; it is made again", error)
            self.folder.forget(name)
            self.make(name)
            return load(name)

    @cached_property
    def levels(self) -> dict[str, tuple[Method, int, str]]:
        """The units after the first, in order: the method, the level, and the unit that each starts from."""
        levels: dict[str, tuple[Method, int, str]] = {}
        for method in self.methods:
            start = self.first
            for number in range(1, len(self.sparsities) + 1):
                name = level_unit(method.name, number)
                levels[name] = method, number, start
                start = name
        return levels

    def save_weights(self, name: str) -> str:
        """Write the weights of the model to the folder.

        Returns:
            Their SHA-256.

        Raises:
            RunError: if they are not finite.
        """
        weights = self.model.state_dict()
        if not all(bool(weight.isfinite().all()) for weight in weights.values()):
            raise RunError(f"the training of {name} diverged: its weights are not finite; {self.remedy(name)}")
        self.folder.save_weights(name, weights)
        return weights_sha256(weights)

    def save_trained(self, name: str, history: History, scores: Weights | None) -> dict[str, Any]:
        """Write the trained weights of the model to the folder, and the scores that their training summed up.

        Returns:
            The result of the training.
        """
        sha256 = self.save_weights(name)
        if scores is not None:
            self.folder.save_scores(name, scores)
        return {
            "score": history.scores[history.best],
            "scores": history.scores,
            "steps": history.steps,
            "losses": history.losses,
            **({"judged": history.judged} if history.judged else {}),
            "total_steps": history.total_steps,
            "weights_sha256": sha256,
            **({} if scores is None else {"scores_sha256": weights_sha256(scores)}),
        }

    def _level(self, name: str) -> dict[str, Any]:
        """Find the mask of a level, and train with it."""
        method, number, start = self.levels[name]
        level, winner = self.level(name, method, number, start), 0
        if method.candidates > 1:
            race = Generations(level, self.folder, self.executor, self.bar.advance)
            level, winner = race.run(method.candidates)
            self.bar.left(self.plan.left(self.folder.units))
        recipe, mask = level.recipe(winner), level.start_with(winner)
        history, scores = self.train_winner(level, winner, mask)
        mask.save(self.folder.mask_path(name))
        log.info("%s: scores %.4f after training with mask %d", name, history.scores[history.best], winner)
        return {
            **self.save_trained(name, history, scores),
            "winner": winner,
            "sparsity": mask.sparsity,
            "mask": recipe,
            "mask_sha256": mask.sha256,
        }
