"""Linear layers of which a training computes and changes only the weights that its mask keeps."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.wrappers import plain_names
from randprune_lab.sparse.kept_layers import KeptLinear, Precision, computable, why_dense
from randprune_lab.training.compact import Compact
from randprune_lab.training.config import TrainingConfig

log = logging.getLogger("randprune_lab")


class KeptWeights(Compact):
    """The weights of a linear layer that a mask keeps, as the only ones that are computed and trained.

    Args:
        name: the name of the weight in the model.
        layer: an `nn.Linear`, or GPT-2's `Conv1D`.
        kept: the mask of the weight.
    """

    def __init__(self, name: str, layer: nn.Module, kept: Bool[Tensor, "m n"]):
        self._linear = KeptLinear.of(layer, kept)
        self.places, self.pattern = self._linear.places, self._linear.pattern
        weight = layer.weight
        assert isinstance(weight, Tensor), "linear layers have weights"
        super().__init__(name, layer, self._linear.values(weight.detach()))

    def spread(self, values: Float[Tensor, " kept"]) -> Float[Tensor, "m n"]:
        weight = values.new_zeros(self.pattern.shape)
        weight.view(-1)[self.places] = values.detach()
        return weight.T.contiguous() if self._linear.flipped else weight

    def now(self) -> Float[Tensor, "m n"]:
        return self.spread(self.small)

    @torch.no_grad()
    def read(self, factor: float) -> None:
        self.small.copy_(self._linear.values(self.whole))

    def forward(self, given: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        bias: Tensor | None = self.layer.bias  # type: ignore[assignment]
        return self._linear(given, self.small, bias)


def find_kept_weights(model: nn.Module, mask: MaskSet, config: TrainingConfig) -> dict[str, KeptWeights]:
    """The layers that a training computes sparse, by the names of their masks: a function of shapes and sparsities.

    Args:
        model: the model, with the mask already enforced.
        mask: the mask.
        config: `compute` is "auto" for the layers that are faster in this way, "sparse" for all that can be computed
            so, or "dense" for none.

    Raises:
        ConfigError: if it is "sparse", and no layer can be computed so.
    """
    precision: Precision = "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"
    reason = why_dense(torch.device("cpu"), precision)
    auto = config.compute == "auto" and config.mask_gradients and not reason
    if not mask or not (auto or config.compute == "sparse"):
        return {}
    if reason:
        raise ConfigError(f"compute='sparse' cannot be used here: {reason}; choose compute='auto'")
    full = {short: name for name, short in plain_names(model).items()}
    layers = computable(model, mask, faster=auto)
    return {name: KeptWeights(full[name], layer, mask[name]) for name, layer in layers.items()}


def no_kept_weights(config: TrainingConfig) -> dict[str, KeptWeights]:
    """What a training with gradual pruning computes sparse: nothing, because the weights that it keeps change.

    Raises:
        ConfigError: if `compute` is "sparse".
    """
    if config.compute == "sparse":
        raise ConfigError(
            "compute='sparse' is for a mask that stays, and gradual pruning redraws it; choose compute='dense'"
        )
    if config.compute == "auto":
        log.info("gradual pruning redraws masks, so masked layers are computed dense")
    return {}
