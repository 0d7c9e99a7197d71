"""Relative importance and activations (Zhang et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from randprune_lab.criteria.criterion import Criterion
from randprune_lab.criteria.passes import Batch, Loss, input_norms, model_loss
from randprune_lab.errors import check_range
from randprune_lab.registry import setting
from randprune_lab.typed import take_types


@dataclass(frozen=True)
class Ria(Criterion):
    """The magnitude relative to the sums of its row and its column, times a power of the norm of its input."""

    power: float = setting(0.5, "power of the norm of the input")
    name: ClassVar[str] = "ria"
    forward: ClassVar[int] = 1
    source: ClassVar[str] = "Zhang et al., ICLR 2024 (Plug-and-Play)"

    def __post_init__(self) -> None:
        take_types(self)
        check_range("power", self.power, low=0)

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        norms = input_norms(self.name, model, weights, batches, loss)
        return {name: self._scores(weight.detach(), norms[name]) for name, weight in weights.items()}

    def _scores(self, weight: Tensor, norms: Tensor) -> Tensor:
        size = weight.abs().to(torch.promote_types(weight.dtype, torch.float32))
        sums = (size.sum(dim=dim, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny) for dim in (0, 1))
        relative = sum((size / part for part in sums), torch.zeros_like(size))
        return relative * norms.pow(self.power).to(size.dtype)
