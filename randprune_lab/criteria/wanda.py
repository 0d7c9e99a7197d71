"""Wanda's importance score (Sun et al. 2023): a weight's magnitude times the norm of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from randprune_lab.criteria.criterion import Criterion
from randprune_lab.criteria.passes import Batch, Loss, input_norms, model_loss


@dataclass(frozen=True)
class Wanda(Criterion):
    """The magnitude times the norm of the weight's input over all tokens but padding.

    Sun et al. compare the weights of a row with each other; here the allocation of the mask decides what is compared.
    """

    name: ClassVar[str] = "wanda"
    forward: ClassVar[int] = 1
    source: ClassVar[str] = "Sun et al. 2023, arXiv 2306.11695"

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        norms = input_norms(self.name, model, weights, batches, loss)
        found = {}
        for name, weight in weights.items():
            size = weight.detach().abs().to(torch.promote_types(weight.dtype, torch.float32))
            found[name] = size * norms[name].to(size.dtype)
        return found
