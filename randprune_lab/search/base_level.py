"""What races, pools and executors need of a level: candidates that can be drawn, trained and judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from torch import Tensor, nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.progress import Advance, ignore
from randprune_lab.search.proposals import Proposal
from randprune_lab.search.selection import Evaluation, Score
from randprune_lab.search.strategies import Strategy
from randprune_lab.training.compute import Compute

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Choice:
    """How the candidates of a level are compared.

    Args:
        strategy: compares the candidates of a generation.
        every: candidates stop at multiples of this number of steps; see `Strategy.select`.
        score, last: the score of the final comparison among generations, as in `ScoredStrategy`.
        generations: the number of groups that the candidates come in.
        noise_seeds: the number of other seeds that the first masks are trained with, to measure the noise; for levels
            that have a field `training_seed`.
    """

    strategy: Strategy
    every: int
    score: Score
    last: int
    generations: int = 1
    noise_seeds: int = 0


class BaseLevel(ABC):
    """One method at one level, whoever trains its candidates. Its subclasses are dataclasses with these fields.

    Only the weights of `model` change, and every use begins by setting them. So a level can be sent to a worker once,
    and its candidates can be evaluated there in any order.
    """

    name: str
    number: int  # from 1
    compute: Compute
    model: nn.Module
    start: Weights
    proposal: Proposal

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """The number of training steps of a whole early evaluation."""

    @property
    @abstractmethod
    def choice(self) -> Choice:
        """How the candidates are compared."""

    @property
    @abstractmethod
    def evaluation_cost(self) -> int:
        """The number of training steps that take about as long as an evaluation."""

    @property
    @abstractmethod
    def labels(self) -> np.ndarray | None:
        """The labels of the examples that candidates are evaluated on; None if the search does not know them."""

    @abstractmethod
    def advance(self, candidate: int, state: Any, steps: int, advance: Advance = ignore) -> tuple[Evaluation, Any]:
        """Train a candidate until it has had `steps` training steps, and evaluate it on the way.

        The result does not depend on where it is computed. With `steps` 0 the mask is evaluated without training.

        Args:
            state: the state to continue from; without it, the candidate starts from the level's starting weights.
            advance: is told of the training steps, and of each evaluation as the steps that it counts as.

        Returns:
            The evaluation, and the state to continue from, which may be None at the start and at the end.
        """

    def changed(self, **values: Any) -> Self:
        """The same level with other values of its fields."""
        return replace(cast("Any", self), **values)

    def start_with(self, candidate: int) -> MaskSet:
        """Set the model to the level's starting weights, and draw the mask of a candidate from them."""
        self.model.load_state_dict(self.start)
        return self.proposal.draw(self.model, candidate)

    def recipe(self, candidate: int) -> dict[str, Any]:
        """The recipe of a candidate's mask: with the level's starting weights it determines the mask."""
        self.model.load_state_dict(self.start)
        return self.proposal.recipe(self.model, candidate)
