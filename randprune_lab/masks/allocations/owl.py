"""Outlier-weighed layerwise sparsity (OWL)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import room_in, sizes_of, total_of, with_total
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting


@dataclass(frozen=True)
class Owl(Allocation):
    """Tensors with more outliers keep more.

    The outlier ratio of a tensor is the fraction of its non-zero weights whose score is above `m` times their mean.
    The ratios, scaled to the range from `-lam` to `lam`, are added to the density `1 - sparsity`, and one shift for all
    tensors makes the total exact. Since no tensor should lose all its weights, `lam` is at most half of the density.

    Source: Yin et al. 2023, arXiv 2310.05175, section 3.2 (there with Wanda's score, and for whole layers).
    """

    m: float = setting(5.0, "an outlier's score is above m times the mean of its tensor")
    lam: float = setting(0.08, "how far densities are from 1 - sparsity, at most about")
    name: ClassVar[str] = "owl"

    def __post_init__(self) -> None:
        check_range("m", self.m, low=0, low_open=True)
        check_range("lam", self.lam, low=0, high=1)

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        total = total_of(shapes, sparsity, self.name)
        if not scores:
            raise ConfigError("allocation 'owl' needs the scores of the weights, got only their shapes")
        size, room = sizes_of(shapes), room_in(shapes, scores)
        density = total / max(int(size.sum()), 1)
        ratio = np.array([self._outliers(scores[name]) for name in shapes])
        scaled = (ratio - ratio.min()) / (np.ptp(ratio) or 1.0)
        wanted = density + min(self.lam, density / 2) * (2 * scaled - 1)

        def kept(shift: float) -> np.ndarray:
            return np.clip(size * (wanted + shift), 0, room)

        return dict(zip(shapes, map(int, with_total(kept, (-3, 3), room, total)), strict=True))

    def _outliers(self, score: Tensor) -> float:
        alive = score[score > 0].double()
        return float((alive > self.m * alive.mean()).double().mean()) if len(alive) else 0.0
