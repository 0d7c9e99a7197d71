"""Linear layers of which a training computes and changes only the weights that its mask keeps."""

from __future__ import annotations

import logging
from collections import Counter

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.layers import is_conv1d, readers
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.masks.wrappers import named_weights, plain_names, unwrapped
from randprune_lab.sparse.fast import SIZE, replaceable
from randprune_lab.sparse.kept_values import KeptPattern, kept_linear
from randprune_lab.sparse.layer import WIDENS
from randprune_lab.training.compact import Compact
from randprune_lab.training.compute import SPARSE_FROM, Precision, why_dense
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
        self._flip = is_conv1d(layer)
        kept = kept.cpu().T if self._flip else kept.cpu()
        self.places = kept.reshape(-1).nonzero().squeeze(1)
        weight = layer.weight
        assert isinstance(weight, Tensor), "linear layers have weights"
        self.pattern = KeptPattern(kept, weight.dtype)
        super().__init__(name, layer, self._values(weight))

    def _values(self, weight: Tensor) -> Float[Tensor, " kept"]:
        return (weight.detach().T if self._flip else weight.detach()).reshape(-1)[self.places]

    def spread(self, values: Float[Tensor, " kept"]) -> Float[Tensor, "m n"]:
        weight = values.new_zeros(self.pattern.shape)
        weight.view(-1)[self.places] = values.detach()
        return weight.T.contiguous() if self._flip else weight

    def now(self) -> Float[Tensor, "m n"]:
        return self.spread(self.small)

    @torch.no_grad()
    def read(self, factor: float) -> None:
        self.small.copy_(self._values(self.whole))

    def forward(self, given: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        outputs, inputs = self.pattern.shape
        bias: Tensor | None = self.layer.bias  # type: ignore[assignment]
        return kept_linear(given, self.small, bias, self.pattern, transposed=outputs > WIDENS * inputs)


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
    weights, reading = named_weights(model), readers(model)
    full, names = {short: name for name, short in plain_names(model).items()}, Counter(map(id, weights.values()))
    found = {}
    for name, kept in mask.items():
        layer, *others = reading[id(weights[name])]
        pays = kept.numel() >= SIZE and int(kept.sum()) <= keep_count(kept.numel(), SPARSE_FROM)
        single = not others and names[id(weights[name])] == 1 and unwrapped(model) is model
        if (pays or not auto) and single and replaceable(layer) and _fits(weights[name]):
            found[name] = KeptWeights(full[name], layer, kept)
    if not found and not auto:
        raise ConfigError(
            "compute='sparse' needs masked linear layers in float32 on the CPU, without hooks, whose weights are "
            "trained and used by no other layer, in a model that nothing wraps; there are none; choose compute='auto'"
        )
    return found


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


def _fits(weight: Tensor) -> bool:
    return weight.requires_grad and weight.device.type == "cpu" and weight.dtype == torch.float32
