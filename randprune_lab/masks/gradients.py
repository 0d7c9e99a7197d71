"""Gradients of zero for removed weights, so that clipping and optimizers see the kept weights alone.

Regrowth also needs the gradients that removed weights would have.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.wrappers import named_weights


class GradientMasks:
    """Hooks on the weights of a model: until `remove`, backward passes give removed weights a gradient of zero.

    In a `with` statement, they are removed at its end. They are copied and pickled together with the model.

    Args:
        masks: masks by the plain names of the model's weights.
        model: the model, on its device.
        masking: whether gradients are masked.
        collect: whether the gradients before masking are summed, for `dense`.
    """

    def __init__(self, masks: MaskSet, model: nn.Module, *, masking: bool = True, collect: bool = False):
        weights = named_weights(model)
        self._masks = {name: kept.to(weights[name].device) for name, kept in masks.items()}
        self._model, self._masking, self._collect = model, masking, collect
        self._sums: dict[str, Tensor] = {}
        self._hooks: list[RemovableHandle] = []
        self.renew()

    @property
    def dense(self) -> dict[str, Tensor]:
        """The sums of the gradients in all backward passes so far, also of removed weights, over all processes."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return {**self._sums}
        every = {name: gradient.clone() for name, gradient in self._sums.items()}
        for gradient in every.values():  # a hook sees the gradient of its own process
            torch.distributed.all_reduce(gradient)
        return every

    def renew(self) -> None:
        """Put the hooks on the weights that the model has now."""
        self.remove()
        weights = named_weights(self._model)
        for name, kept in self._masks.items():
            if weights[name].requires_grad:
                self._hooks.append(weights[name].register_hook(partial(self._seen, name, kept)))

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def __enter__(self) -> GradientMasks:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_hooks": []}  # PyTorch copies and pickles weights without them

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.renew()

    def _seen(
        self, name: str, kept: Bool[Tensor, "*shape"], gradient: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        if self._collect:
            self._sums[name] = self._sums.get(name, 0) + gradient.detach()
        return torch.where(kept.to(gradient.device), gradient, 0.0) if self._masking else gradient
