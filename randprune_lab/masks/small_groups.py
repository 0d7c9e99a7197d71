"""Groups that are drawn by the reference procedure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from randprune_lab.errors import RuleError
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.group_law import inclusion
from randprune_lab.masks.plan import Group, scores
from randprune_lab.masks.reference import first, vote
from randprune_lab.masks.rules import Rule, Votes

REFERENCE_BELOW = 4096
"""Smaller groups are drawn by the reference procedure: for them the inclusion curve is inaccurate."""

REFERENCE_WORK = 2**24
"""Random numbers that the reference procedure may use for a group. With more votes the mask is almost certain."""


@dataclass(frozen=True)
class SmallGroup:
    """A group that is drawn by the reference procedure."""

    sizes: dict[str, int]  # of the tensors
    k: int
    scores: Float64[np.ndarray, " n"]  # of the tensors, one after the other
    votes: Votes

    def draw(self, name: str, seed: int, candidate: int, flat: Mapping[str, Tensor]) -> None:
        """Fill the flat masks of the group called `name` with those of a candidate."""
        kept = vote(self.scores, self.k, self.votes, seed=seed, candidate=candidate, group=name)
        masks = [flat[tensor] for tensor in self.sizes]
        for mask, part in zip(masks, torch.from_numpy(kept).split([*map(len, masks)]), strict=True):
            mask.copy_(part, non_blocking=True)

    def expected_hamming(self) -> dict[str, float]:
        """The expected number of weights in which two candidates differ, by tensor."""
        return self._by_tensor(2 * self.inclusion * (1 - self.inclusion))

    def expected_distance_to_magnitude(self) -> dict[str, float]:
        """The expected number of weights in which a candidate differs from the largest, by tensor."""
        return self._by_tensor(np.abs(self.inclusion - first(-self.scores, self.k)))

    @cached_property
    def inclusion(self) -> Float64[np.ndarray, " n"]:
        """The probability that each weight is kept."""
        return inclusion(self.scores, self.k, self.votes)

    def _by_tensor(self, each: Float64[np.ndarray, " n"]) -> dict[str, float]:
        parts = np.split(each, np.cumsum([*self.sizes.values()])[:-1])
        return {tensor: float(part.sum()) for tensor, part in zip(self.sizes, parts, strict=True)}


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
    sizes = [{tensor: weight.numel() for tensor, weight in group.weights.items()} for group, _ in groups]
    return {
        group.name: SmallGroup(own, group.k, found, votes)
        for (group, votes), own, found in zip(groups, sizes, np.split(every, ends[:-1]), strict=True)
    }
