"""Counts of your own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar

from randprune_lab.errors import ConfigError, listed
from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import sizes_of, total_of
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting


@dataclass(frozen=True)
class Counts(Allocation):
    """Each tensor keeps the number of weights that is given for it."""

    of: Any = setting((), "the number of weights that each tensor keeps, by name")
    name: ClassVar[str] = "counts"

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        return checked_counts(self.of, shapes, total_of(shapes, sparsity, "counts"))


def checked_counts(given: Any, shapes: Shapes, total: int) -> dict[str, int]:
    """Counts as plain numbers, in the order of the tensors.

    Raises:
        ConfigError: if a tensor has none or one out of range, or their sum is not `total`.
    """
    sizes = dict(zip(shapes, sizes_of(shapes).tolist(), strict=True))
    try:
        counts = {name: index(count) for name, count in given.items()}
    except (AttributeError, TypeError):
        counts = {}
    fits = counts.keys() == sizes.keys() and all(0 <= counts[name] <= sizes[name] for name in sizes)
    if not fits or sum(counts.values()) != total:
        got = listed(given.items()) if isinstance(given, Mapping) else repr(given)
        raise ConfigError(
            f"allocation must have a count for each of {listed(sizes)}, from 0 to the tensor's size and {total:,} in "
            f"total, got {got}"
        )
    return counts
