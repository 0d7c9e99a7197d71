"""Linear layers that leave out removed weights while they are trained: which can, and what they compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.layers import is_conv1d, readers
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.masks.wrappers import named_weights, unwrapped
from randprune_lab.sparse.fast import SIZE, replaceable
from randprune_lab.sparse.kept_values import KeptPattern, kept_linear
from randprune_lab.sparse.layer import WIDENS

Precision = Literal["float32", "bfloat16"]
Layers = Literal["auto", "dense", "sparse"]
"""Which masked layers leave out removed weights while they are trained: those where it is faster, none, or all."""

SPARSE_FROM = 0.82
"""The least sparsity at which a training step with sparse layers is faster; masks and optimizer are saved too."""

NO_MKL = "PyTorch has no MKL, and its own sparse products are slow"


class KeptLinear:
    """What a linear layer computes from the weights that a mask keeps.

    Args:
        kept: the mask, on the CPU, as the layer has its weight.
        dtype: the type of the weight.
        flipped: whether the weight has the inputs first, as in GPT-2's `Conv1D`.
    """

    def __init__(self, kept: Bool[Tensor, "m n"], dtype: torch.dtype, flipped: bool):
        self._given = (kept, dtype, flipped)
        self.flipped = flipped
        kept = kept.T if flipped else kept
        self.places = kept.reshape(-1).nonzero().squeeze(1)
        self.pattern = KeptPattern(kept, dtype)

    @classmethod
    def of(cls, layer: nn.Module, kept: Bool[Tensor, "m n"]) -> KeptLinear:
        """That of an `nn.Linear` or a `Conv1D`."""
        assert isinstance(layer.weight, Tensor), "linear layers have weights"
        return cls(kept.cpu(), layer.weight.dtype, is_conv1d(layer))

    def __reduce__(self) -> Any:
        return KeptLinear, self._given  # PyTorch cannot copy the sparse tensors of a pattern

    def values(self, weight: Float[Tensor, "m n"]) -> Float[Tensor, " kept"]:
        """The kept values of a whole weight, through which gradients flow."""
        return (weight.T if self.flipped else weight).reshape(-1)[self.places]

    def __call__(
        self, given: Float[Tensor, "*rows in"], values: Float[Tensor, " kept"], bias: Float[Tensor, " out"] | None
    ) -> Float[Tensor, "*rows out"]:
        """The outputs of the layer with these kept values."""
        outputs, inputs = self.pattern.shape
        return kept_linear(given, values, bias, self.pattern, transposed=outputs > WIDENS * inputs)


class KeptForward:
    """Makes a layer in training mode compute its outputs and gradients from its kept weights alone, until `remove`.

    The weight stays whole, with a gradient of zero where it is removed. In evaluation mode the layer is as it was.

    Args:
        layer: an `nn.Linear` or a `Conv1D` that `computable` returned.
        kept: the mask of its weight.
    """

    def __init__(self, layer: nn.Module, kept: Bool[Tensor, "m n"]):
        self._layer, self._linear = layer, KeptLinear.of(layer, kept)
        layer.forward = self._forward

    def remove(self) -> None:
        """Give the layer its own forward pass again."""
        del self._layer.forward

    def _forward(self, given: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        layer: Any = self._layer
        if not layer.training:
            return type(layer).forward(layer, given)
        return self._linear(given, self._linear.values(layer.weight), layer.bias)


def computable(model: nn.Module, mask: Mapping[str, Tensor], *, faster: bool) -> dict[str, nn.Module]:
    """The layers whose training can leave out removed weights, by the names of their masks.

    They are linear layers in float32 on the CPU, without hooks, with weights that are trained and used by no other
    layer, in a model that nothing wraps.

    Args:
        model: the model.
        mask: its masks.
        faster: only those that are faster so: a function of shapes and sparsities.

    Raises:
        ConfigError: if there are none although slower ones are taken, too.
    """
    weights, reading = named_weights(model), readers(model)
    names = Counter(map(id, weights.values()))
    found = {}
    for name, kept in mask.items():
        layer, *others = reading[id(weights[name])]
        pays = kept.numel() >= SIZE and int(kept.sum()) <= keep_count(kept.numel(), SPARSE_FROM)
        single = not others and names[id(weights[name])] == 1 and unwrapped(model) is model
        if (pays or not faster) and single and replaceable(layer) and _fits(weights[name]):
            found[name] = layer
    if not found and not faster:
        raise ConfigError(
            "compute='sparse' needs masked linear layers in float32 on the CPU, without hooks, whose weights are "
            "trained and used by no other layer, in a model that nothing wraps; there are none; choose compute='auto'"
        )
    return found


def why_dense(device: torch.device, precision: Precision) -> str | None:
    """Why no layer can be computed sparse with this device and precision; None if some can."""
    if device.type != "cpu":
        return f"sparse products are for CPUs, and the device is {device}"
    if precision != "float32":
        return f"sparse products need float32, and the precision is {precision}"
    return None if torch.backends.mkl.is_available() else NO_MKL


def _fits(weight: Tensor) -> bool:
    return weight.requires_grad and weight.device.type == "cpu" and weight.dtype == torch.float32
