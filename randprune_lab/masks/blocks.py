"""Pruning whole blocks of weights: a block is treated like a weight, and its mask is spread over the block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.errors import ScopeError
from randprune_lab.masks.mask_set import MaskSet
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
