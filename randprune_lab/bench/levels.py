"""A dense model and the levels after it, which are pruned by magnitude: where pools of candidates start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.search.base_level import Weights
from randprune_lab.search.config import RunConfig
from randprune_lab.search.drawing import proposal_of
from randprune_lab.search.level import Level, derived_seed
from randprune_lab.search.loaded import Loaded
from randprune_lab.search.units import level_unit
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Evaluate, Training, train

PATH = (0.54, 0.83, 0.92, 0.9375, 0.97, 0.99)
"""The levels of the schedule; each starts from the weights of the level before, trained with its magnitude mask."""

Look = Callable[[nn.Module], object]
"""What is done at each evaluation of a training that is not judged by it."""


class MagnitudeLevels:
    """A dense model, and the levels after it, pruned by magnitude up to the level that is needed.

    Trainings end with the weights that the `checkpoint` of the settings says.
    """

    def __init__(self, config: RunConfig):
        self.config = config
        self.loaded = loaded = Loaded(config)
        train(loaded.model, loaded.train, config.dense_training(), evaluate=self._judged)
        self.start = self._weights()
        self.done = 0
        teacher = loaded.fresh_model()  # a separate model, because a teacher is not trained
        teacher.load_state_dict(self.start)
        self.teacher = Teacher(teacher, loaded.train)

    def level(self, sparsity: float, **changes: Any) -> Level:
        """The level with this sparsity; it starts from weights that were pruned by magnitude up to the level before.

        Args:
            sparsity: one of the levels of the settings, none before those that were asked for already.
            changes: settings of the early evaluations that differ.
        """
        number = self.config.levels.index(sparsity) + 1
        while self.done < number - 1:
            self.loaded.model.load_state_dict(self.start)
            mask = MaskSampler(self.loaded.model, Magnitude(), self.config.levels[self.done]).draw(0)
            self.train_to_the_end(self.done + 1, mask)
            self.start, self.done = self._weights(), self.done + 1
        loaded, config = self.loaded, replace(self.config, **changes)
        return Level(
            name=level_unit(config.method, number),
            number=number,
            config=config,
            compute=loaded.compute,
            task=loaded.task,
            model=loaded.model,
            start=self.start,
            train=loaded.train,
            scoring=loaded.validation,
            teacher=self.teacher,
            proposal=proposal_of(config, config.methods()[0], number, derived_seed(config.seed, "mask", number)),
        )

    def train_to_the_end(self, number: int, mask: MaskSet, look: Look | None = None, seed: int | None = None) -> None:
        """The full training of a level, from the weights that the model has.

        Args:
            number: the number of the level, from 1.
            mask: the mask.
            look: is called at each evaluation, instead of judging it; then the model ends with the last weights.
            seed: another seed than that of the level.
        """
        config = self.config.level_training(derived_seed(self.config.seed, "level", number) if seed is None else seed)
        config = replace(config, compute=self.loaded.compute.layers)
        evaluate: Evaluate = self._judged
        if look is not None:
            config, evaluate = replace(config, keep_best=False), unjudged(look)
        train(self.loaded.model, self.loaded.train, config, evaluate=evaluate, mask=mask, teacher=self.teacher)

    def _judged(self, model: nn.Module) -> float | tuple[float, float]:
        return self.loaded.scores_on(self.loaded.validation)(model) if self.config.keep_best else 0.0

    def _weights(self) -> Weights:
        return {name: tensor.clone() for name, tensor in self.loaded.model.state_dict().items()}


def drawn(level: Level, **how: Any) -> Level:
    """The same level, with candidates that are drawn in another way."""
    config = replace(level.config, **how)
    proposal = proposal_of(config, config.methods()[0], level.number, level.proposal.seed)
    return replace(level, config=config, proposal=proposal)


def train_early(level: Level, candidate: int, seed: int, look: Look) -> None:
    """A full early evaluation of a candidate with this seed; `look` is called at each evaluation."""
    mask = level.start_with(candidate)
    training = Training(level.model, level.train, replace(level.training, seed=seed), mask=mask, teacher=level.teacher)
    training.run(unjudged(look))


def unjudged(look: Look) -> Evaluate:
    """An evaluation that looks at the model and does not judge it."""

    def evaluate(model: nn.Module) -> float:
        look(model)
        return 0.0

    return evaluate
