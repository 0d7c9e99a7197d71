"""Importance scores that are given: checked, and made into what a plan ranks weights by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from randprune_lab.errors import WeightError, listed
from randprune_lab.masks.curve import BUCKETINGS
from randprune_lab.masks.weight_checks import check_dtype, check_finite, check_one

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
    here = {name: _fitting(name, weight, scores[name]) for name, weight in weights.items()}
    counts = [torch.stack([_wrong(score), _wrong(weights[name]), (score < 0).sum()]) for name, score in here.items()]
    found = torch.stack([count.to(counts[0].device) for count in counts]).tolist()  # at once: a GPU waits for it
    for name, (wrong, broken, negative) in zip(here, found, strict=True):
        if wrong:
            raise WeightError(f"{wrong:,} of the scores of {name!r} are NaN or infinite; fix what computes them")
        check_finite(name, broken)
        if negative and not signed:
            raise WeightError(
                f"{negative:,} of the scores of {name!r} are negative; to use their ranks, give signed=True, and for a "
                "criterion Custom(function, signed=True)"
            )
    return {name: _alive(weights[name], score, signed) for name, score in here.items()}


def ranks(group: str, scores: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "..."]]:
    """Signed scores of a group as ranks from 1: the number of scores that are not larger. Of -inf it is 0.

    Raises:
        WeightError: if they are on several devices.
    """
    check_one("device", group, scores)
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    alive = flat > -torch.inf
    _, place, counts = flat[alive].unique(return_inverse=True, return_counts=True)
    ranked = torch.zeros(len(flat), dtype=torch.float32 if len(flat) <= EXACT else torch.float64, device=flat.device)
    ranked[alive] = counts.cumsum(0)[place].to(ranked)
    parts = ranked.split([score.numel() for score in scores.values()])
    return {name: part.view(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


@dataclass(frozen=True)
class FromZero(Mapping[str, Tensor]):
    """Scores from 0, which are made when they are read: magnitudes, or the ranks of signed scores among all.

    Args:
        weights: weights, or what `importance` returned.
        signed: whether these are signed scores.
    """

    weights: Mapping[str, Tensor]
    signed: bool

    def __getitem__(self, name: str) -> Tensor:
        found = self._ranked[name] if self.signed else self.weights[name].abs()
        check_finite(name, found.numel() - int(found.isfinite().sum()))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    def alive(self) -> dict[str, int]:
        """The number of weights of each tensor that are not zero; all are read at once, so that a GPU waits once."""
        counts = [
            (weight != -torch.inf).sum() if self.signed else weight.count_nonzero() for weight in self.weights.values()
        ]
        devices = {count.device for count in counts}
        read = torch.stack(counts).tolist() if len(devices) == 1 else [int(count) for count in counts]
        return dict(zip(self.weights, read, strict=True))

    @cached_property
    def _ranked(self) -> dict[str, Tensor]:
        return ranks("all", self.weights)


def _fitting(name: str, weight: Tensor, score: Tensor) -> Tensor:
    """The scores of a weight on its device, if they are floating point and have its shape."""
    check_dtype(name, weight)
    if not isinstance(score, Tensor) or score.dtype not in BUCKETINGS:
        kind = score.dtype if isinstance(score, Tensor) else type(score).__name__
        raise WeightError(f"scores of {name!r} must be a floating-point tensor, got {kind}; convert them first")
    if score.shape != weight.shape:
        shape, expected = tuple(score.shape), tuple(weight.shape)
        raise WeightError(f"scores of {name!r} have shape {shape}, its weights {expected}; give one score a weight")
    return score.detach().to(weight.device)


def _wrong(values: Tensor) -> Tensor:
    """The number of values that are NaN or infinite."""
    return (~values.isfinite()).sum()


def _alive(weight: Tensor, score: Tensor, signed: bool) -> Tensor:
    """The scores without those of weights that are zero."""
    if signed:
        return score.masked_fill(weight == 0, -torch.inf)
    bucketing = BUCKETINGS[score.dtype]
    smallest = torch.tensor(1 << bucketing.shift, dtype=bucketing.integer).view(score.dtype)
    return score.clamp(min=smallest.item()).masked_fill(weight == 0, 0.0)
