"""Layers whose weight is a smaller parameter while a training runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class Compact(ABC):
    """A layer with a small parameter in the place of its weight, in a `with` statement.

    There, the layer computes what it computed before, and its `state_dict` has the whole weight. At the end the whole
    parameter is back, with its new values.

    Args:
        name: the name of the whole parameter in the model.
        layer: the layer.
        small: the values that are trained.
    """

    _hook: RemovableHandle

    def __init__(self, name: str, layer: nn.Module, small: Tensor):
        assert isinstance(layer.weight, nn.Parameter), "layers have parameters as weights"
        self.name, self.layer, self.whole = name, layer, layer.weight
        self.small = nn.Parameter(small)

    @abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """Values of the small parameter, such as gradients, at their places in the whole; the others are 0."""

    @abstractmethod
    def now(self) -> Tensor:
        """The whole weight."""

    @abstractmethod
    def forward(self, given: Tensor) -> Tensor:
        """What the layer returns."""

    @abstractmethod
    def read(self, factor: float) -> None:
        """Continue from a state: `at_first` is in the whole parameter, and `factor` is the product of the decays."""

    def at_first(self) -> Tensor:
        """The whole weight without the decay of what is not trained: what `read` takes."""
        return self.now()

    def __enter__(self) -> Compact:
        self.layer.weight = self.small
        self.layer.forward = self.forward
        self._hook = self.layer.register_state_dict_post_hook(partial(_show_whole, self))
        return self

    @torch.no_grad()
    def __exit__(self, *error: object) -> None:
        self.whole.copy_(self.now())
        self._hook.remove()
        del self.layer.forward
        self.layer.weight = self.whole


def _show_whole(compact: Compact, layer: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    state[f"{prefix}weight"] = compact.now()
