"""A training that is asked for and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.wrappers import plain
from randprune_lab.search.base_level import Weights
from randprune_lab.search.custom_search import Todo


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A training that `MaskSearch.ask` asks for.

    Args:
        level: the level, from 1.
        sparsity: its sparsity.
        candidate: the number of the candidate.
        mask: its mask.
        weights: what the training starts from, for `model.load_state_dict`; removed weights are zero.
        start, stop: the training steps so far, and those after which it is evaluated. If both are 0, the mask is
            evaluated without training.
        total: the steps of the whole training.
        winner: whether it is the training with the winner of the level, not an early evaluation.
        seed: the seed of the training, the same for all candidates of a level.
        state: what was told when the training stopped; None at its start.
    """

    level: int
    sparsity: float
    candidate: int
    mask: MaskSet
    weights: Weights
    start: int
    stop: int
    total: int
    winner: bool
    seed: int
    state: Any

    @classmethod
    def of(cls, todo: Todo) -> TrainingJob:
        """The next part of a training, up to its next evaluation."""
        course, training, level = todo.course, todo.training, todo.level
        training.note(course)
        start, weights = course.start, course.weights if course.state is not None else level.start
        return cls(
            level=level.number,
            sparsity=level.proposal.sparsity,
            candidate=todo.candidate,
            mask=todo.mask,
            weights=_masked(weights, todo.mask),
            start=start,
            stop=course.next_stop(todo.steps, training.every),
            total=training.total,
            winner=todo.winner,
            seed=training.seed,
            state=course.next_state(),
        )


def _masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Weights:
    """A copy of weights in which those that the mask removes are zero."""
    return {
        name: weight.masked_fill(~mask[plain(name)].to(weight.device), 0) if plain(name) in mask else weight.clone()
        for name, weight in weights.items()
    }
