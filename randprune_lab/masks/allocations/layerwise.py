"""The same sparsity for every tensor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import sizes_of
from randprune_lab.masks.sparsity import Sparsity, keep_count, sparsities


@dataclass(frozen=True)
class Layerwise(Allocation):
    """Each tensor keeps the same fraction of its weights. Sparsity can be a dict of fractions by name pattern."""

    name: ClassVar[str] = "layerwise"
    by_shape: ClassVar[bool] = True

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        each = sparsities(sparsity, shapes)
        return {
            name: keep_count(size, each[name]) for name, size in zip(shapes, sizes_of(shapes).tolist(), strict=True)
        }
