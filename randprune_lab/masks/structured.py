"""Structured masks: whole blocks of weights, and N:M sparsity.

Both reuse unstructured masks: a block is treated like a weight, and M consecutive weights are a small group for the
reference procedure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, ScopeError, WeightError, check_count, check_range
from randprune_lab.masks.curve import check_dtype
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rows import draw_rows, row_votes
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.sampler import check_number, check_rule_and_seed
from randprune_lab.masks.scope import inputs_first, with_values

Block = tuple[int, int]

CHUNK = 2**16
"""Weights of N:M groups that are checked at a time; smaller than a processor's cache."""


@torch.no_grad()
def block_scores(
    target: nn.Module | Mapping[str, Tensor],
    block: Block,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> dict[str, Float[Tensor, "rows columns"]]:
    """The mean magnitude of every block of the prunable matrices, by name; `MaskSampler` takes these as weights.

    Args:
        target: a model, or a dict of tensors.
        block: the number of outputs and inputs of a block: rows and columns, except in GPT-2's `Conv1D`, whose rows are
            its inputs. `(1, 32)` are 32 consecutive weights of an output.
        include: name patterns of the weights to prune, as in `prunable`.
        exclude: name patterns of weights that stay dense.

    Raises:
        ScopeError: if a weight is not a matrix, or cannot be divided into such blocks.
        WeightError, MaskError: if weights cannot be read, as for `MaskSampler`.

    >>> scores = block_scores({"w": torch.ones(8, 12)}, (4, 4))
    >>> scores["w"].shape
    torch.Size([2, 3])
    """
    turned, scores = inputs_first(target), {}
    for name, weight in with_values(target, include, exclude).items():
        check_dtype(name, weight)
        rows, columns = _lengths(block, name in turned)
        if weight.ndim != 2 or rows < 1 or columns < 1 or weight.shape[0] % rows or weight.shape[1] % columns:
            raise ScopeError(
                f"{name!r}, of shape {tuple(weight.shape)}, cannot be divided into blocks of {rows} x {columns}; "
                "choose another block, or leave the weight dense with exclude=[...]"
            )
        blocks = weight.abs().reshape(weight.shape[0] // rows, rows, weight.shape[1] // columns, columns)
        scores[name] = blocks.mean(dim=(1, 3))
    return scores


def spread_blocks(mask: MaskSet, block: Block, target: nn.Module | Mapping[str, Tensor] | None = None) -> MaskSet:
    """The mask of the weights that belongs to a mask of blocks.

    Args:
        mask: a mask of blocks, drawn from their `block_scores`.
        block: the number of outputs and inputs of a block, as for `block_scores`.
        target: the model; needed if it has GPT-2's `Conv1D`, where a block lies the other way.
    """
    turned = inputs_first(target or {})
    spread = {}
    for name, part in mask.items():
        rows, columns = _lengths(block, name in turned)
        spread[name] = part.repeat_interleave(rows, dim=0).repeat_interleave(columns, dim=1)
    return MaskSet(spread)


def _lengths(block: Block, turned: bool) -> Block:
    """The rows and columns of a block of a weight; `turned` if its rows are inputs."""
    outputs, inputs = block
    return (inputs, outputs) if turned else (outputs, inputs)


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
    """One candidate that keeps n of every m consecutive weights of an output (N:M sparsity, such as 2:4).

    These are consecutive inputs, as sparse kernels need them: along a row, or along a column of GPT-2's `Conv1D`.

    Like `MaskSampler.draw`, it is a pure function of weights, rule, seed and candidate, and keeps exactly n weights.
    Every weight needs its own random numbers, so a draw is not faster than sorting all weights. Groups are drawn
    some at a time, so a draw needs little memory beside the mask.

    Args:
        target: a model, or a dict of tensors.
        rule: the rule that draws the n weights of each group.
        n: the number of weights to keep in each group.
        m: the number of weights in a group.
        candidate: the number of the mask.
        seed: masks with different seeds are independent.
        include: name patterns of the weights to prune, as in `prunable`.
        exclude: name patterns of weights that stay dense.

    Raises:
        ConfigError: if n is not from 1 to m, another setting is out of range, or the rule depends on the weights but
            has no `votes`.
        ScopeError: if rows cannot be divided into groups of m.
        WeightError: if weights are not finite, or a group has fewer than n weights that are not zero; if weights cannot
            be read, as for `MaskSampler`.
        MaskError: if PyTorch's pruning or parametrization wraps a weight.

    >>> draw_n_of_m({"w": torch.ones(6, 8)}, Voting(), 2, 4, candidate=0)
    MaskSet(1 tensors, 24 of 48 kept, sparsity 50.0000%)
    """
    check_rule_and_seed(rule, seed)
    check_number("candidate", candidate)
    check_count("m", m)
    check_count("n", n)
    check_range("n", n, low=1, high=m)
    votes = _votes(rule, n, m)

    turned, masks = inputs_first(target), {}
    for name, weight in with_values(target, include, exclude).items():
        check_dtype(name, weight)
        weight = weight.T if name in turned else weight
        kept = draw_rows(_groups(name, weight, n, m), n, votes, seed=seed, candidate=candidate, group=name)
        mask = torch.from_numpy(kept).to(weight.device).reshape(weight.shape)
        masks[name] = mask.T.contiguous() if name in turned else mask
    return MaskSet(masks)


def _votes(rule: Rule, n: int, m: int) -> Votes | None:
    """How the reference procedure draws n of m weights; None for the largest."""
    votes = None if rule.deterministic else row_votes(rule, m, n)
    if votes is None and not rule.deterministic and n < m:
        raise ConfigError(
            f"rule {rule.name!r} has an inclusion curve, which is for large groups, but no reference procedure that "
            f"draws {n} of {m} weights; define its `votes`, or take another rule"
        )
    return votes


def _groups(name: str, weight: Float[Tensor, "..."], n: int, m: int) -> Float[Tensor, "groups m"]:
    """The groups of a weight; they are checked, some at a time."""
    if weight.ndim == 0 or weight.shape[-1] % m:
        raise ScopeError(
            f"rows of {name!r}, of shape {tuple(weight.shape)}, cannot be divided into groups of {m} weights; "
            "choose another m, or leave the weight dense with exclude=[...]"
        )
    groups = weight.reshape(-1, m)
    parts = groups.split(max(1, CHUNK // m))
    if broken := weight.numel() - sum(int(part.isfinite().sum()) for part in parts):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; fix the model first")
    if short := sum(int((part.count_nonzero(dim=1) < n).sum()) for part in parts):
        raise WeightError(
            f"cannot keep {n} of every {m} weights of {name!r}: {short:,} of {weight.numel() // m:,} groups have fewer "
            "non-zero weights, and zero weights are never kept; choose a smaller n, or start from dense weights"
        )
    return groups
