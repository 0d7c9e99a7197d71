"""Groups that are drawn by the reference procedure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from randprune_lab.errors import RuleError
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.plan import Group, scores
from randprune_lab.masks.reference import vote
from randprune_lab.masks.rules import Rule, Votes

REFERENCE_BELOW = 4096
"""Smaller groups are drawn by the reference procedure: for them the inclusion curve is inaccurate."""

REFERENCE_WORK = 2**24
"""Random numbers that the reference procedure may use for a group. With more votes the mask is almost certain."""


@dataclass(frozen=True)
class SmallGroup:
    """A group that is drawn by the reference procedure."""

    tensors: list[str]
    scores: Float64[np.ndarray, " n"]  # of the tensors, one after the other
    votes: Votes

    def draw(self, name: str, k: int, seed: int, candidate: int, flat: Mapping[str, Tensor]) -> None:
        """Fill the flat masks of the group called `name` with those of a candidate, which keeps k weights."""
        kept = vote(self.scores, k, self.votes, seed=seed, candidate=candidate, group=name)
        masks = [flat[tensor] for tensor in self.tensors]
        for mask, part in zip(masks, torch.from_numpy(kept).split([*map(len, masks)]), strict=True):
            mask.copy_(part, non_blocking=True)


def votes_for(rule: Rule, curve: InclusionCurve, below: int) -> Votes | None:
    """How the reference procedure draws a group; None for a group that is not small."""
    size = curve.histogram.size
    votes = rule.votes(size, curve.k)
    if not isinstance(votes, Votes | None):
        raise RuleError(f"votes of {rule} must give Votes or None, got {votes!r}")
    return votes if few(votes, size, below) else None


def few(votes: Votes | None, size: int, below: int) -> bool:
    """Whether the reference procedure can draw a group of this size."""
    return votes is not None and size < below and votes.rounds * size <= REFERENCE_WORK


def small_groups(groups: list[tuple[Group, Votes]]) -> dict[str, SmallGroup]:
    """Groups for the reference procedure; their scores leave the device together."""
    if not groups:
        return {}
    weights = [[weight.reshape(-1) for weight in group.weights.values()] for group, _ in groups]
    every = scores(torch.cat([part for parts in weights for part in parts])).cpu().numpy()
    ends = np.cumsum([sum(map(len, parts)) for parts in weights])
    return {
        group.name: SmallGroup([*group.weights], found, votes)
        for (group, votes), found in zip(groups, np.split(every, ends[:-1]), strict=True)
    }
