"""Importance scores that are given: checked, and made into what a plan ranks weights by."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from randprune_lab.errors import WeightError, listed
from randprune_lab.masks.curve import BUCKETINGS, check_dtype

EXACT = 2**24
"""The largest number of weights that float32 can count."""


def importance(weights: Mapping[str, Tensor], scores: Mapping[str, Tensor], signed: bool) -> dict[str, Tensor]:
    """The scores by which a sampler ranks the weights, on their devices.

    A weight that is zero has score 0, or -inf if scores are signed, and is never kept. Another weight whose score is 0
    gets the smallest score that is counted.

    Args:
        weights: the prunable weights by name.
        scores: a tensor of the same name and shape for each of them.
        signed: whether scores may be negative; see `ranks`.

    Raises:
        WeightError: if a name or a shape is wrong; if scores are not floating point, not finite, or negative though
            they are not signed; if weights are not floating point or not finite.
    """
    if not isinstance(scores, Mapping):
        raise WeightError(f"scores must be a dict of tensors by the weights' names, got a {type(scores).__name__}")
    if missing := [name for name in weights if name not in scores]:
        raise WeightError(f"scores lack {listed(missing)}; give a tensor for each pruned weight, or exclude the weight")
    if extra := [name for name in scores if name not in weights]:
        raise WeightError(f"scores have {listed(extra)}, which the sampler does not prune; leave it out, or include it")
    return {name: _scored(name, weight, scores[name], signed) for name, weight in weights.items()}


def ranks(scores: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "..."]]:
    """Signed scores of a group as ranks from 1: the number of scores that are not larger. Of -inf it is 0."""
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    alive = flat > -torch.inf
    _, place, counts = flat[alive].unique(return_inverse=True, return_counts=True)
    ranked = torch.zeros(len(flat), dtype=torch.float32 if len(flat) <= EXACT else torch.float64, device=flat.device)
    ranked[alive] = counts.cumsum(0)[place].to(ranked)
    parts = ranked.split([score.numel() for score in scores.values()])
    return {name: part.view(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _scored(name: str, weight: Tensor, score: Tensor, signed: bool) -> Tensor:
    check_dtype(name, weight)
    if not isinstance(score, Tensor) or score.dtype not in BUCKETINGS:
        kind = score.dtype if isinstance(score, Tensor) else type(score).__name__
        raise WeightError(f"scores of {name!r} must be a floating-point tensor, got {kind}; convert them first")
    if score.shape != weight.shape:
        shape, expected = tuple(score.shape), tuple(weight.shape)
        raise WeightError(f"scores of {name!r} have shape {shape}, its weights {expected}; give one score a weight")
    score = score.detach().to(weight.device)
    if broken := score.numel() - int(score.isfinite().sum()):
        raise WeightError(f"{broken:,} of the scores of {name!r} are NaN or infinite; fix what computes them")
    if broken := weight.numel() - int(weight.isfinite().sum()):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; fix the model first")
    if signed:
        return score.masked_fill(weight == 0, -torch.inf)
    if negative := int((score < 0).sum()):
        raise WeightError(f"{negative:,} of the scores of {name!r} are negative; give signed=True to use their ranks")
    bucketing = BUCKETINGS[score.dtype]
    smallest = torch.tensor(1 << bucketing.shift, dtype=bucketing.integer).view(score.dtype)
    return score.clamp(min=smallest.item()).masked_fill(weight == 0, 0.0)
