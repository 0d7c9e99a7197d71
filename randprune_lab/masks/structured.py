"""Masks with a structure: whole blocks of weights, and n of every m.

Both by what the core has: a block is treated like a weight, and m weights are a small group for the literal procedure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from randprune_lab.errors import ScopeError, WeightError, check_count, check_range
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.plan import scores
from randprune_lab.masks.reference import first, vote
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import prunable

Block = tuple[int, int]


@torch.no_grad()
def block_scores(
    target: nn.Module | Mapping[str, Tensor],
    block: Block,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> dict[str, Float[Tensor, "rows columns"]]:
    """The mean magnitude of every block of the prunable matrices, by name: what `MaskSampler` takes for weights.

    Args:
        block: rows and columns of a block; `(1, 32)` are 32 consecutive weights of a row.

    Raises:
        ScopeError: if a weight is no matrix, or does not fall into such blocks.

    >>> scores = block_scores({"w": torch.ones(8, 12)}, (4, 4))
    >>> scores["w"].shape
    torch.Size([2, 3])
    """
    rows, columns = block
    scores = {}
    for name, weight in prunable(target, include, exclude).items():
        if weight.ndim != 2 or rows < 1 or columns < 1 or weight.shape[0] % rows or weight.shape[1] % columns:
            raise ScopeError(
                f"{name!r}, of shape {tuple(weight.shape)}, does not fall into blocks of {rows} x {columns}; "
                "take another block, or leave it out with exclude=[...]"
            )
        blocks = weight.abs().reshape(weight.shape[0] // rows, rows, weight.shape[1] // columns, columns)
        scores[name] = blocks.mean(dim=(1, 3))
    return scores


def spread_blocks(mask: MaskSet, block: Block) -> MaskSet:
    """The mask of weights that keeps and removes the blocks that `mask` does."""
    rows, columns = block
    return MaskSet(
        {name: part.repeat_interleave(rows, dim=0).repeat_interleave(columns, dim=1) for name, part in mask.items()}
    )


@torch.no_grad()
def draw_n_of_m(
    target: nn.Module | Mapping[str, Tensor],
    rule: Rule,
    n: int,
    m: int,
    *,
    candidate: int,
    seed: int = 0,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> MaskSet:
    """One candidate that keeps n of every m consecutive weights of a row (N:M sparsity, such as 2:4).

    Like `MaskSampler.draw` a pure function of weights, rule, seed and candidate, and as exact; but every weight takes
    its random numbers, so it is no faster than sorting is. Arguments as there.

    Raises:
        ConfigError: if not 1 ≤ n ≤ m.
        ScopeError: if rows do not fall into groups of m.
        WeightError: if weights are not finite, or a group has fewer than n that are not zero.

    >>> draw_n_of_m({"w": torch.ones(6, 8)}, Voting(), 2, 4, candidate=0)
    MaskSet(1 tensors, 24 of 48 kept, sparsity 50.0000%)
    """
    check_count("m", m)
    check_count("n", n)
    check_range("n", n, low=1, high=m)
    votes = rule.votes(m, n) or Votes(rounds=1, power=0.0)  # a rule without a literal procedure ignores the weights
    masks = {}
    for name, weight in prunable(target, include, exclude).items():
        rows = _rows(name, weight, n, m)
        if rule.deterministic:
            kept = first(-rows, n)
        else:
            kept = vote(rows, n, votes, seed=seed, candidate=candidate, group=name)
        masks[name] = torch.from_numpy(kept).to(weight.device).reshape(weight.shape)
    return MaskSet(masks)


def _rows(name: str, weight: Float[Tensor, "..."], n: int, m: int) -> Float64[np.ndarray, "groups m"]:
    if weight.ndim == 0 or weight.shape[-1] % m:
        raise ScopeError(
            f"rows of {name!r}, of shape {tuple(weight.shape)}, do not fall into groups of {m} weights; "
            "take another m, or leave it out with exclude=[...]"
        )
    rows = scores(weight).cpu().numpy().reshape(-1, m)
    if broken := int((~np.isfinite(rows)).sum()):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; fix the model first")
    if short := int((np.count_nonzero(rows, axis=1) < n).sum()):
        raise WeightError(
            f"cannot keep {n} weights of every {m} of {name!r}: {short:,} of {len(rows):,} groups have fewer that are "
            "not zero, and pruned weights stay pruned; keep fewer, or start from dense weights"
        )
    return rows
