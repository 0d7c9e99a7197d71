"""Erdős-Rényi kernel: small tensors keep a larger fraction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import rounded, sizes_of, total_of
from randprune_lab.masks.sparsity import Sparsity


@dataclass(frozen=True)
class Erk(Allocation):
    """Small tensors keep a larger fraction: densities are proportional to `sum(shape) / prod(shape)`, up to 1.

    Three dimensions are a stack of matrices, such as experts, with the density of its matrices.

    Source: Evci et al. 2020, arXiv 1911.11134, section 3.
    """

    name: ClassVar[str] = "erk"
    by_shape: ClassVar[bool] = True

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        sizes = dict(zip(shapes, sizes_of(shapes).tolist(), strict=True))
        factors = {name: _factor(shape, name in kernels) if sizes[name] else 0.0 for name, shape in shapes.items()}
        return _proportional(factors, sizes, total_of(shapes, sparsity, self.name))


def _factor(shape: Sequence[int], kernel: bool) -> float:
    """Density × size of a tensor, up to a factor that all share; a scalar counts as a vector of length 1."""
    if len(shape) == 3 and not kernel:
        return float(shape[0] * sum(shape[1:]))
    return float(max(sum(shape), 1))


def _proportional(weight: Mapping[str, float], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    full: set[str] = set()
    while True:
        rest = [name for name in sizes if name not in full and sizes[name]]
        room = total - sum(sizes[name] for name in full)
        scale = room / sum(weight[name] for name in rest) if rest else 0.0
        if not (over := {name for name in rest if scale * weight[name] > sizes[name]}):
            break
        full |= over
    exact = np.array([scale * weight[name] if name in rest else float(sizes[name]) for name in sizes])
    counts = rounded(exact, np.array([*sizes.values()]), total)
    return dict(zip(sizes, map(int, counts), strict=True))
