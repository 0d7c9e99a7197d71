"""N:M sparsity, such as 2:4: n of every m consecutive inputs of an output are kept, as sparse kernels need them.

Every m weights are a small group for the reference procedure. Each needs its own random numbers, so a draw is not
faster than sorting all weights. Groups are drawn some at a time, so a draw needs little memory beside the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from randprune_lab.errors import ConfigError, ScopeError, WeightError
from randprune_lab.masks.allocations import Allocation
from randprune_lab.masks.group_law import inclusion
from randprune_lab.masks.layout import Layout, Structure, Target
from randprune_lab.masks.plan import scores
from randprune_lab.masks.rows import Rows, chunks, row_ranks, row_votes
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import kernels, outputs_first
from randprune_lab.masks.sparsity import Sparsity, plain_sparsity
from randprune_lab.masks.weight_checks import check_dtype, check_finite


@dataclass(frozen=True)
class NofM(Structure):
    """n of every m consecutive inputs of an output: along a row, a column of GPT-2's `Conv1D`, or a kernel's channels.

    The sparsity is 1 - n/m. A rule needs `votes`, unless it ignores the weights.

    Raises:
        ConfigError: if n is not from 1 to m.
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m:
            raise ConfigError(f"structure must keep from 1 to m of every m weights, such as '2:4', got {str(self)!r}")

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    @property
    def removed(self) -> float:
        """The fraction of the weights that is removed: the only sparsity."""
        return 1 - self.n / self.m

    def sparsity(self, given: Sparsity | None, allocation: Allocation) -> Sparsity:
        if allocation.name != "layerwise":
            raise ConfigError(
                f"allocation must be 'layerwise' with structure {str(self)!r}, which keeps {self.n} of every {self.m} "
                f"weights everywhere, got {allocation.name!r}; leave allocation out"
            )
        if given is not None and (abs(_number(given) - self.removed) > 1e-6):
            raise ConfigError(
                f"sparsity must be {self.removed:.7g} with structure {str(self)!r}, which keeps {self.n} of every "
                f"{self.m} weights, got {given!r}; give that, or None in Python"
            )
        return self.removed

    def layout(self, target: Target, weights: Mapping[str, Tensor]) -> Layout:
        turned, convolved = outputs_first(target, weights), kernels(target)
        orders = {}
        for name, weight in weights.items():
            check_dtype(name, weight)
            order = turned.get(name, tuple(range(weight.ndim)))
            orders[name] = (order[0], *order[2:], order[1]) if name in convolved else order
            inputs = weight.ndim and weight.shape[orders[name][-1]]
            if not weight.ndim or inputs % self.m:
                raise ScopeError(
                    f"the {inputs} inputs of {name!r}, of shape {tuple(weight.shape)}, cannot be divided into groups "
                    f"of {self.m} weights; choose another m, or leave the weight dense with exclude=[...]"
                )
        return RowLayout({name: {name: 1} for name in weights}, self, orders)


class RowLayout(Layout):
    """Single weights, in groups of m consecutive inputs; `orders` has the axes of each weight, inputs last."""

    def __init__(self, sizes: Mapping[str, Mapping[str, int]], pattern: NofM, orders: Mapping[str, tuple[int, ...]]):
        super().__init__(sizes)
        self._pattern, self._orders = pattern, orders

    def rows(self, ranked: Mapping[str, Tensor], rule: Rule, signed: bool) -> dict[str, Rows]:
        n, m = self._pattern.n, self._pattern.m
        votes = _votes(rule, n, m)
        found: dict[str, Rows] = {}
        for name, part in ranked.items():
            own = part.permute(order := self._orders[name])
            groups = own.reshape(-1, m).cpu()
            groups = row_ranks(groups) if signed else groups.clone(memory_format=torch.contiguous_format)
            _check(name, groups, n)
            found[name] = Groups(groups, np.broadcast_to(n, len(groups)), rule, votes, tuple(own.shape), order)
        return found


@dataclass(frozen=True, eq=False)
class Groups(Rows):
    """The N:M groups of a tensor: rows for which the inclusion curve is too rough."""

    @cached_property
    def inclusion(self) -> Float64[np.ndarray, "groups m"]:
        """The probability that each weight is kept."""
        if self.votes is None:
            return self.largest.astype(np.float64)
        n, shape = int(self.k.max(initial=0)), (-1, self.weights.shape[1])
        every = [scores(self.weights[some]).numpy().reshape(shape) for some in chunks(self.weights)]
        return np.concatenate([inclusion(some, n, self.votes) for some in every])


def _number(sparsity: Sparsity) -> float:
    """One number for a sparsity; for one by patterns, what is no sparsity."""
    plain = plain_sparsity(sparsity)
    return math.inf if isinstance(plain, dict) else plain


def _votes(rule: Rule, n: int, m: int) -> Votes | None:
    """How the reference procedure draws n of m weights; None for the largest."""
    votes = None if rule.deterministic else row_votes(rule, m, n)
    if votes is None and not rule.deterministic and n < m:
        raise ConfigError(
            f"rule {rule.name!r} has an inclusion curve, which is for large groups, but no reference procedure that "
            f"draws {n} of {m} weights; define its `votes`, or take another rule"
        )
    return votes


def _check(name: str, groups: Float[Tensor, "groups m"], n: int) -> None:
    """Raise `WeightError` if groups cannot be drawn."""
    parts = [groups[some] for some in chunks(groups)]
    check_finite(name, groups.numel() - sum(int(part.isfinite().sum()) for part in parts))
    if short := sum(int((part.count_nonzero(dim=1) < n).sum()) for part in parts):
        raise WeightError(
            f"cannot keep {n} of every {groups.shape[1]} weights of {name!r}: {short:,} of {len(groups):,} groups have "
            "fewer non-zero weights, and zero weights are never kept; choose a smaller n, or start from dense weights"
        )
