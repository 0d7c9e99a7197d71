"""One threshold for all tensors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import torch

from randprune_lab.errors import ConfigError
from randprune_lab.masks.allocations.base import Allocation, Compared, Scores, Shapes
from randprune_lab.masks.allocations.totals import check_room, room_in, total_of
from randprune_lab.masks.sparsity import Sparsity


@dataclass(frozen=True)
class Global(Allocation):
    """All weights compete with each other: one threshold for all tensors."""

    name: ClassVar[str] = "global"
    compared: ClassVar[Compared] = "all"
    by_shape: ClassVar[bool] = True

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        """The number of each tensor's weights among the largest of all; equal scores go by tensor."""
        total = total_of(shapes, sparsity, self.name)
        if not scores:
            raise ConfigError("allocation 'global' divides weights by their scores; give them, got only shapes")
        room = room_in(shapes, scores)
        check_room(room, total)
        if total == 0:
            return dict.fromkeys(shapes, 0)
        flat = torch.cat([scores[name].detach().reshape(-1).cpu() for name in shapes])
        threshold = float((flat.float() if flat.itemsize < 4 else flat).kthvalue(len(flat) - total + 1).values)
        counts = {name: int((scores[name] > threshold).sum()) for name in shapes}
        left = total - sum(counts.values())
        for name in shapes:
            equal = min(left, int((scores[name] == threshold).sum()))
            counts[name] += equal
            left -= equal
        return counts
