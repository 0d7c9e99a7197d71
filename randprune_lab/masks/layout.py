"""Structures: which weights are kept or removed together, or how many of neighbouring weights are kept.

A structure has a name, which recipes and settings record. For the weights of a model it makes a `Layout`: the units
that a sampler draws, which are single weights if there is no structure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, listed
from randprune_lab.masks.allocations import Allocation
from randprune_lab.masks.importance import importance
from randprune_lab.masks.rows import Rows
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.masks.weight_checks import check_dtype

Target = nn.Module | Mapping[str, Tensor]


class Layout:
    """What a sampler draws: here single weights.

    Args:
        sizes: for each group of units, the number of weights of one unit in each weight.
    """

    def __init__(self, sizes: Mapping[str, Mapping[str, int]]):
        self.sizes = {group: dict(parts) for group, parts in sizes.items()}

    @property
    def weights(self) -> list[str]:
        """The weights that belong to units, by name; others stay dense."""
        return [weight for parts in self.sizes.values() for weight in parts]

    def means(self, tensors: Mapping[str, Float[Tensor, "..."]]) -> dict[str, Float[Tensor, "..."]]:
        """The mean over each unit, by group; the tensors have the names and shapes of the weights."""
        return dict(tensors)

    def spread(self, masks: Mapping[str, Bool[Tensor, "..."]]) -> dict[str, Bool[Tensor, "..."]]:
        """The masks of the weights that belong to masks of the units, by group."""
        return dict(masks)

    def ranked(
        self, weights: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None, signed: bool
    ) -> dict[str, Float[Tensor, "..."]]:
        """What units are ranked by: the weights themselves, or the given scores, as `importance` makes them."""
        return dict(weights) if scores is None else importance(weights, scores, signed)

    def rows(self, ranked: Mapping[str, Tensor], rule: Rule, signed: bool) -> dict[str, Rows]:
        """The groups of each tensor, if these do not follow from the allocation."""
        return {}

    def check(self, allocation: Allocation) -> None:
        """Raise `ConfigError` if units that compete with each other have different numbers of weights."""
        sizes = {group: sum(parts.values()) for group, parts in self.sizes.items()}
        if allocation.compared == "all" and len({*sizes.values()}) > 1:
            raise ConfigError(
                f"allocation {allocation.name!r} needs units with one number of weights, got {listed(sizes.items())}; "
                "choose layerwise, or counts of units"
            )

    def units(self, weights: Mapping[str, int]) -> dict[str, int]:
        """Numbers of weights in whole units, by weight, as numbers of units of each group."""
        return {group: weights[weight] // size for group, sizes in self.sizes.items() for weight, size in sizes.items()}

    def in_weights(self, units: Mapping[str, float]) -> dict[str, float]:
        """Numbers of units of each group as numbers of weights, by weight."""
        return {weight: units[group] * size for group, sizes in self.sizes.items() for weight, size in sizes.items()}


class Means(Layout):
    """Units of several weights, ranked by the mean magnitude of their weights, or by the mean of given scores.

    The score of a weight that is zero counts as 0. A unit is never kept if all its weights are zero.
    """

    def ranked(
        self, weights: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None, signed: bool
    ) -> dict[str, Float[Tensor, "..."]]:
        own = {name: weights[name] for name in self.weights}
        for name, weight in own.items():
            check_dtype(name, weight)
        magnitudes = self.means({name: weight.abs() for name, weight in own.items()})
        if scores is None:
            return magnitudes
        importance(weights, scores, signed)  # raises an error if a score does not fit
        alive = {
            name: scores[name].detach().to(weight.device).masked_fill(weight == 0, 0.0) for name, weight in own.items()
        }
        return importance(magnitudes, self.means(alive), signed)


class Structure(ABC):
    """Weights that are kept or removed together; `str` of it is its name."""

    no_allocations: ClassVar[tuple[str, ...]] = ("sensitivity", "evolved")
    """The names of the allocations that it cannot have."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def layout(self, target: Target, weights: Mapping[str, Tensor]) -> Layout:
        """The units of the prunable `weights` of `target`.

        Raises:
            ScopeError: if the structure does not fit a weight, or there is no such unit.
            ConfigError: if it needs a model, and `target` is a dict.
        """

    def sparsity(self, given: Sparsity | None, allocation: Allocation) -> Sparsity:
        """The sparsity that a sampler has; raises `ConfigError` if the given one, or the allocation, is impossible."""
        if given is None:
            raise ConfigError("sparsity must be a number, got None; only an N:M structure such as '2:4' implies it")
        if allocation.name in self.no_allocations:
            raise ConfigError(
                f"allocation must not be {allocation.name!r} with structure {str(self)!r}, which it cannot have; "
                "choose layerwise, global, or counts of units"
            )
        return given


class Weights(Structure):
    """No structure: every weight is a unit."""

    no_allocations: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return "weights"

    def layout(self, target: Target, weights: Mapping[str, Tensor]) -> Layout:
        return Layout({name: {name: 1} for name in weights})
