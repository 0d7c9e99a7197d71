"""How different masks are from each other: pairwise tables, a map, and the coverage of n candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from randprune_lab.errors import ConfigError
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.mask_set import MaskSet


@dataclass(frozen=True)
class Overlap:
    """The overlap of n masks, pair by pair.

    Args:
        both: for each tensor, a table (n, n) of the number of weights that both masks keep.
    """

    both: dict[str, Int64[np.ndarray, "n n"]]

    @cached_property
    def overall(self) -> Int64[np.ndarray, "n n"]:
        """The table for the whole model."""
        return np.sum(list(self.both.values()), axis=0)

    def hamming(self, tensor: str | None = None) -> Int64[np.ndarray, "n n"]:
        """The number of weights that only one of two masks keeps, in the whole model or in one tensor."""
        both = self.overall if tensor is None else self.both[tensor]
        kept = np.diag(both)
        return kept[:, None] + kept[None, :] - 2 * both

    def jaccard(self, tensor: str | None = None) -> Float64[np.ndarray, "n n"]:
        """Weights kept by both masks, divided by weights kept by either; 1 if neither keeps any."""
        both = self.overall if tensor is None else self.both[tensor]
        kept = np.diag(both)
        either = kept[:, None] + kept[None, :] - both
        return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def count_overlap(masks: Sequence[MaskSet]) -> Overlap:
    """For each pair of masks, count the weights that both keep, tensor by tensor.

    Raises:
        MaskError: if masks do not match.
        ConfigError: if there are fewer than two masks.
    """
    if len(masks) < 2:
        raise ConfigError(f"an overlap needs at least two masks, got {len(masks)}")
    for mask in masks[1:]:
        masks[0].hamming(mask)  # checks names and shapes
    return Overlap({name: _both(masks, name) for name in masks[0]})


def _both(masks: Sequence[MaskSet], name: str) -> Int64[np.ndarray, "n n"]:
    # Weights on which all masks agree need no product, and most weights are of this kind.
    rows = torch.stack([mask[name].flatten() for mask in masks]).cpu()
    count = rows.sum(dim=0)
    differing = rows[:, (count > 0) & (count < len(masks))].double()
    return (differing @ differing.T).long().numpy() + int((count == len(masks)).sum())


@dataclass(frozen=True)
class PlanarMap:
    """Masks as points in a plane.

    Args:
        points: the coordinates of each mask.
        fraction: the fraction of the variance that the plane shows, 0 to 1.
    """

    points: Float64[np.ndarray, "n 2"]
    fraction: float


def planar_map(hamming: Int64[np.ndarray, "n n"]) -> PlanarMap:
    """Map masks to a plane by classical scaling; the first mask is the origin.

    The Hamming distance of two masks is the square of their Euclidean distance as vectors of 0 and 1. So the axes of
    the plane are the first two principal components. The sign of an axis makes its largest coordinate positive.

    Args:
        hamming: the pairwise Hamming distances of the masks.

    Source: Torgerson 1952.
    """
    n = len(hamming)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ hamming @ centre)
    values = np.maximum(values, 0.0)
    points = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]])
    points = points * np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    return PlanarMap(points - points[0], float(values[-2:].sum() / max(values.sum(), 1e-300)))


def expected_coverage(curves: Mapping[str, InclusionCurve], candidates: Sequence[int]) -> Float64[np.ndarray, " m"]:
    """The expected coverage: the fraction of undecided weights that some of n candidates keep and others remove.

    It is the mean of `1 - q^n - (1 - q)^n` over the undecided weights; q is the inclusion probability.

    Args:
        curves: the inclusion curve of each group of weights.
        candidates: the numbers n of candidates.

    Returns:
        The coverage for each n.

    Raises:
        ConfigError: if no weight is undecided.
    """
    q, counts = _undecided(curves)
    if not counts.sum():
        raise ConfigError(
            "no weight is undecided, so all candidates are equal; choose a random rule, or a smaller sampling ratio"
        )
    n = np.asarray(candidates, dtype=np.float64)[:, None]
    return (counts * (1 - q**n - (1 - q) ** n)).sum(axis=1) / counts.sum()


def count_coverage(
    masks: Iterable[MaskSet], candidates: Sequence[int], curves: Mapping[str, InclusionCurve]
) -> Float64[np.ndarray, " m"]:
    """The counted coverage: the fraction of undecided weights that some of the first n masks keep and others remove.

    Args:
        masks: candidates of one rule; the first `max(candidates)` of them are used.
        candidates: the numbers n of masks, in increasing order.
        curves: the inclusion curves of the rule.

    Returns:
        The coverage for each n.
    """
    size = int(_undecided(curves)[1].sum())
    kept: dict[str, Tensor] = {}
    fractions = []
    for number, mask in enumerate(itertools.islice(masks, max(candidates)), start=1):
        kept = {name: kept.get(name, 0) + part.int() for name, part in mask.items()}
        if number in candidates:
            fractions.append(sum(int(((count > 0) & (count < number)).sum()) for count in kept.values()) / size)
    return np.array(fractions)


def _undecided(curves: Mapping[str, InclusionCurve]) -> tuple[Float64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
    """The inclusion probabilities of undecided weights in all groups, and the number of weights with each."""
    q = np.concatenate([curve.inclusion[curve.undecided] for curve in curves.values()])
    return q, np.concatenate([curve.histogram.counts[curve.undecided] for curve in curves.values()])
