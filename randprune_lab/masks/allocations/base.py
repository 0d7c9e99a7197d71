"""What every allocation has: a name, settings, and the number of weights that each tensor keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from randprune_lab.errors import ConfigError
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import Registry, settings_of

ALLOCATIONS: Registry[Allocation] = Registry("allocation")
"""All allocations by name; one that is defined joins them."""

Compared = Literal["tensor", "row", "all"]

Shapes = Mapping[str, Sequence[int]]
Scores = Mapping[str, Tensor]


@dataclass(frozen=True)
class Allocation(ABC):
    """How many weights each tensor keeps. Allocations are frozen dataclasses: equal settings are equal allocations.

    >>> from randprune_lab.masks.allocations import moved, tensor_counts
    >>> @dataclass(frozen=True)
    ... class Falling(Allocation):
    ...     name: ClassVar[str] = "falling"
    ...     def counts(self, shapes, sparsity, scores, kernels=()):
    ...         equal = tensor_counts(shapes, sparsity, "layerwise")
    ...         return moved(equal, [-0.5 * depth for depth in range(len(shapes))], shapes, sparsity, scores)
    >>> tensor_counts({"a": (10, 10), "b": (10, 10)}, 0.8, "falling")
    {'a': 24, 'b': 16}
    """

    name: ClassVar[str]
    compared: ClassVar[Compared] = "tensor"
    """The weights that compete with each other: those of a tensor, of an output of it, or of all tensors."""
    by_shape: ClassVar[bool] = False
    """Whether the counts follow from shapes, sparsity and numbers of zeros, so that the name is enough to find them."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.compared not in get_args(Compared):
            raise ConfigError(
                f"compared of allocation {cls.__name__} must be one of {', '.join(get_args(Compared))}, "
                f"got {cls.compared!r}"
            )
        ALLOCATIONS.add(cls)

    @abstractmethod
    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        """The number of weights that each tensor keeps, `keep_count(N, sparsity)` of all N weights in total.

        Args:
            shapes: the shapes of the tensors by name.
            sparsity: the fraction of the weights to remove.
            scores: the importance scores of the tensors, from 0. They are 0 where a weight is zero, and such weights
                are never kept. Empty if there are only shapes.
            kernels: the names of weights of convolutions, which are no stacks of matrices.
        """

    def recorded(self, counts: Mapping[str, int]) -> Any:
        """What a recipe has of it: its name, or the counts, from which masks are drawn again without a plugin."""
        if self.compared == "all" or (self.by_shape and not settings_of(type(self))):
            return self.name
        return {"row": dict(counts)} if self.compared == "row" else dict(counts)


def as_allocation(given: Any) -> Allocation:
    """The allocation that is given as such, by its name, as counts, or as a recipe recorded it.

    Raises:
        ConfigError: if there is none of that name, or it is something else.

    >>> as_allocation("layerwise")
    Layerwise()
    """
    if isinstance(given, Allocation):
        return given
    if isinstance(given, str):
        return ALLOCATIONS.make(given, {})
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"allocation must be one of {', '.join(ALLOCATIONS)}, a dict of counts, or an Allocation, got {given!r}"
        )
    if [*given] == ["row"] and isinstance(given["row"], str | Mapping):
        return ALLOCATIONS.make("row", {"base": given["row"]})
    return ALLOCATIONS.make("counts", {"of": given})
