"""How many weights each tensor keeps: allocations, one in each file. They are found by name, as rules are.

Read `base` first, and then `totals`, which makes totals exact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from randprune_lab.masks.allocations.around import Around
from randprune_lab.masks.allocations.base import ALLOCATIONS, Allocation, Scores, Shapes, as_allocation
from randprune_lab.masks.allocations.erk import Erk
from randprune_lab.masks.allocations.evolved import Evolved
from randprune_lab.masks.allocations.given import Counts, checked_counts
from randprune_lab.masks.allocations.layerwise import Layerwise
from randprune_lab.masks.allocations.one_threshold import Global
from randprune_lab.masks.allocations.owl import Owl
from randprune_lab.masks.allocations.row import Row, base_of
from randprune_lab.masks.allocations.sensitive import Sensitive
from randprune_lab.masks.allocations.totals import moved, total_of
from randprune_lab.masks.sparsity import Sparsity, plain_sparsity
from randprune_lab.registry import is_builtin

Given = str | Mapping[str, int] | Allocation
"""An allocation as a user gives it: its name, counts by tensor, or the allocation itself."""


def tensor_counts(
    shapes: Shapes,
    sparsity: Sparsity,
    allocation: Given,
    scores: Scores | None = None,
    kernels: Collection[str] = (),
) -> dict[str, int]:
    """The number of weights that each tensor keeps, for any allocation.

    Args:
        shapes: the shapes of the tensors by name.
        sparsity: the fraction of the weights to remove. With `"layerwise"` and `"row"` also a dict of fractions by
            shell pattern of names; the first pattern that matches a name counts.
        allocation: the name of one, one itself, or counts.
        scores: the importance scores, 0 where weights are zero; `"global"`, `"owl"` and perhaps your own need them.
        kernels: the names of weights of convolutions, which are no stacks of matrices.

    Raises:
        ConfigError: if a sparsity is not in [0, 1), there is no such allocation, or its counts do not match.
        ScopeError: if a pattern matches no tensor, or a tensor no pattern.
        WeightError: if fewer weights are non-zero than are to be kept.
    """
    made, sparsity = as_allocation(allocation), plain_sparsity(sparsity)
    found = made.counts(shapes, sparsity, scores or {}, kernels)
    if is_builtin(type(made)):  # tests show that these have the total
        return found
    return checked_counts(found, shapes, total_of(shapes, sparsity, made.name))


def keep_counts(
    shapes: Shapes,
    sparsity: Sparsity,
    allocation: Given,
    kernels: Collection[str] = (),
    scores: Scores | None = None,
) -> dict[str, int]:
    """The number of weights to keep in each group: those of `tensor_counts`, or of one group named `"global"`.

    Raises:
        ConfigError, ScopeError, WeightError: as for `tensor_counts`.
    """
    made = as_allocation(allocation)
    if made.compared == "all":
        return {made.name: total_of(shapes, plain_sparsity(sparsity), made.name)}
    return tensor_counts(shapes, sparsity, made, scores, kernels)


__all__ = [
    "ALLOCATIONS",
    "Allocation",
    "Around",
    "Counts",
    "Erk",
    "Evolved",
    "Given",
    "Global",
    "Layerwise",
    "Owl",
    "Row",
    "Sensitive",
    "as_allocation",
    "base_of",
    "checked_counts",
    "keep_counts",
    "moved",
    "tensor_counts",
]
