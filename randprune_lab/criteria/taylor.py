"""The first-order change of the loss when a weight is removed (Molchanov et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from randprune_lab.criteria.gradient import GradientCriterion


@dataclass(frozen=True)
class Taylor(GradientCriterion):
    """Weight times gradient, without sign, summed over batches: the change of the loss when the weight is removed.

    It is the change to first order: g is the gradient of a batch's loss, and the loss at w = 0 is about L - w g.
    """

    name: ClassVar[str] = "taylor"
    source: ClassVar[str] = "Molchanov et al. 2019, arXiv 1906.10771"

    def term(self, weight: Tensor, gradient: Tensor) -> Tensor:
        return (weight * gradient).abs_()
