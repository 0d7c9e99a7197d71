"""Erdős-Rényi kernel: small tensors keep a larger fraction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import check_room, room_in, rounded, total_of
from randprune_lab.masks.sparsity import Sparsity


@dataclass(frozen=True)
class Erk(Allocation):
    """Small tensors keep a larger fraction: densities are proportional to `sum(shape) / prod(shape)`, up to 1.

    A tensor that has fewer weights that are not zero keeps all of these, and the others keep more.

    Three dimensions are a stack of matrices, such as experts, with the density of its matrices.

    Source: Evci et al. 2020, arXiv 1911.11134, section 3.
    """

    name: ClassVar[str] = "erk"
    by_shape: ClassVar[bool] = True

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        total, room = total_of(shapes, sparsity, self.name), room_in(shapes, scores)
        check_room(room, total)
        free = dict(zip(shapes, room.tolist(), strict=True))
        factors = {name: _factor(shape, name in kernels) if free[name] else 0.0 for name, shape in shapes.items()}
        return _proportional(factors, free, total)


def _factor(shape: Sequence[int], kernel: bool) -> float:
    """Density × size of a tensor, up to a factor that all share; a scalar counts as a vector of length 1."""
    if len(shape) == 3 and not kernel:
        return float(shape[0] * sum(shape[1:]))
    return float(max(sum(shape), 1))


def _proportional(weight: Mapping[str, float], free: Mapping[str, int], total: int) -> dict[str, int]:
    full: set[str] = set()
    while True:
        rest = [name for name in free if name not in full and free[name]]
        room = total - sum(free[name] for name in full)
        scale = room / sum(weight[name] for name in rest) if rest else 0.0
        if not (over := {name for name in rest if scale * weight[name] > free[name]}):
            break
        full |= over
    exact = np.array([scale * weight[name] if name in rest else float(free[name]) for name in free])
    counts = rounded(exact, np.array([*free.values()]), total)
    return dict(zip(free, map(int, counts), strict=True))
