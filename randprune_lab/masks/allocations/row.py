"""Every output keeps the same number of weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from randprune_lab.errors import ConfigError
from randprune_lab.masks.allocations.base import Allocation, Compared, Scores, Shapes, as_allocation
from randprune_lab.masks.allocations.layerwise import Layerwise
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting


@dataclass(frozen=True)
class Row(Allocation):
    """Every output of a tensor keeps the same number of weights, or one more; only its weights compete.

    The outputs are the rows of a matrix, the columns of GPT-2's `Conv1D`, the channels of a convolution, and for a
    stack of matrices the rows of each.

    Source: Sun et al. 2023, arXiv 2306.11695, section 3 (comparison group of Wanda).
    """

    base: Any = setting("layerwise", "how many weights each tensor keeps: another allocation than row")
    name: ClassVar[str] = "row"
    compared: ClassVar[Compared] = "row"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", base_of(self.name, self.base))

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        return self.base.counts(shapes, sparsity, scores, kernels)

    def recorded(self, counts: Mapping[str, int]) -> Any:
        return self.name if self.base == Layerwise() else {self.name: self.base.recorded(counts)}


def base_of(name: str, given: Any) -> Allocation:
    """The allocation that another one begins with; raises `ConfigError` if it compares rows."""
    base = as_allocation(given)
    if base.compared == "row":
        raise ConfigError(f"base of allocation {name!r} must not be {base.name!r}; take one such as 'layerwise'")
    return base
