"""The magnitude of a weight: what is nearest to zero goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from randprune_lab.criteria.criterion import Criterion
from randprune_lab.criteria.passes import Batch, Loss, model_loss


@dataclass(frozen=True)
class MagnitudeScore(Criterion):
    """The magnitude of a weight; needs no data."""

    name: ClassVar[str] = "magnitude"
    source: ClassVar[str] = "Han et al. 2015, arXiv 1506.02626"

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        return {name: weight.detach().abs() for name, weight in weights.items()}
