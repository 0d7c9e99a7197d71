"""Movement: whether training moves a weight away from zero (Sanh et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from randprune_lab.criteria.gradient import GradientCriterion


@dataclass(frozen=True)
class Movement(GradientCriterion):
    """-w g summed over training steps: positive where steps along the gradient move the weight away from zero.

    A run sums it up over the training of the level before, with the loss of that training; for the first level that is
    the fine-tuning of the dense model. In your own training, use `Record`. `scores` sums it over batches at the weights
    as they are.
    """

    name: ClassVar[str] = "movement"
    signed: ClassVar[bool] = True
    accumulated: ClassVar[bool] = True
    source: ClassVar[str] = "Sanh et al. 2020, arXiv 2005.07683"

    def term(self, weight: Tensor, gradient: Tensor) -> Tensor:
        return (weight * gradient).neg_()
