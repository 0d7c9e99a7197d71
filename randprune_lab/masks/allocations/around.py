"""Random allocations around another one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from randprune_lab.errors import check_range
from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.row import base_of
from randprune_lab.masks.allocations.totals import moved, normals
from randprune_lab.masks.counter_rng import check_number
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting


@dataclass(frozen=True)
class Around(Allocation):
    """A random allocation around another: the log-odds of keeping a weight are moved by normal numbers."""

    base: Any = setting("layerwise", "the allocation in the middle")
    spread: float = setting(0.5, "standard deviation of the log-odds")
    seed: int = setting(0, "seed of the normal numbers")
    name: ClassVar[str] = "around"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", base_of(self.name, self.base))
        check_range("spread", self.spread, low=0)
        check_number("seed", self.seed)

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        middle = self.base.counts(shapes, sparsity, scores, kernels)
        offsets = self.spread * normals(self.seed, 0, len(shapes))
        return moved(middle, offsets.tolist(), shapes, sparsity, scores)
