"""A model pruned without training, again and again: only the tensors whose count changes are pruned again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.allocations import Given, moved, tensor_counts
from randprune_lab.masks.importance import FromZero, importance
from randprune_lab.masks.scope import kernels, with_values
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.masks.weight_checks import check_dtype, check_enough


class OneShot:
    """The weights of a model, ordered by their scores; `prune` keeps the largest ones of each tensor.

    The masks are those of `Magnitude` with the same counts. `dense` puts all weights back.

    Args:
        model: the model; its weights are changed in place.
        scores, signed: importance scores by the weights' names, see `MaskSampler`; without them, magnitudes.
        include, exclude, types: which weights are pruned, see `prunable`.

    Raises:
        ConfigError, ScopeError, WeightError, MaskError: as for `MaskSampler`.
    """

    def __init__(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor] | None = None,
        *,
        signed: bool = False,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        types: Sequence[type[nn.Module] | str] | None = None,
    ):
        self.model = model
        self.weights = with_values(model, include, exclude, types)
        for name, weight in self.weights.items():
            check_dtype(name, weight)
        self._dense = {name: weight.detach().clone() for name, weight in self.weights.items()}
        given = self._dense if scores is None else importance(self._dense, scores, signed)
        self.scores = FromZero(given, signed=scores is not None and signed)
        self.shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        self.sizes = {name: weight.numel() for name, weight in self.weights.items()}
        self.room = {name: int(self.scores[name].count_nonzero()) for name in self.weights}
        self._kernels: Collection[str] = kernels(model)
        self._order = {
            name: torch.sort(self.scores[name].reshape(-1), descending=True, stable=True).indices
            for name in self.weights
        }
        self._kept = dict(self.sizes)

    def counts(self, sparsity: float, allocation: Given) -> dict[str, int]:
        """The number of weights that each tensor keeps in an allocation, `keep_count` of all in total."""
        counts = tensor_counts(self.shapes, sparsity, allocation, self.scores, self._kernels)
        if sum(counts.values()) == keep_count(sum(self.sizes.values()), sparsity):
            return counts
        return moved(counts, [0.0] * len(counts), self.shapes, sparsity, self.scores)  # layerwise rounds each tensor

    @torch.no_grad()
    def prune(self, counts: Mapping[str, int]) -> None:
        """Keep the given numbers of weights; tensors that are not named keep what they have.

        Raises:
            ConfigError: if there is no such tensor.
            WeightError: if a tensor has fewer weights that are not zero.
        """
        for name, k in counts.items():
            if name not in self.sizes:
                raise ConfigError(f"counts have {name!r}, which is not pruned; leave it out, or include it")
            check_enough(name, k, self.room[name], self.sizes[name])
            if k != self._kept[name]:
                self._put(name, k)

    def dense(self, names: Collection[str] | None = None) -> None:
        """Put back the weights of these tensors, or of all."""
        for name in self.weights if names is None else names:
            if self._kept[name] != self.sizes[name]:
                self._put(name, self.sizes[name])

    @torch.no_grad()
    def _put(self, name: str, k: int) -> None:
        flat = self._dense[name].clone().reshape(-1)
        flat[self._order[name][k:]] = 0
        self.weights[name].detach().copy_(flat.view(self.shapes[name]))
        self._kept[name] = k


@contextmanager
def pruned_in_place(one_shot: OneShot) -> Iterator[OneShot]:
    """At the end, the model has its weights again."""
    try:
        yield one_shot
    finally:
        one_shot.dense()
