"""How different masks are from each other: pairwise tables, a map, and how much n candidates cover."""

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
    """The number of weights that both of every two of n masks keep: a table (n, n) for each tensor."""

    both: dict[str, Int64[np.ndarray, "n n"]]

    @cached_property
    def overall(self) -> Int64[np.ndarray, "n n"]:
        """The table of the whole model."""
        return np.sum(list(self.both.values()), axis=0)

    def hamming(self, tensor: str | None = None) -> Int64[np.ndarray, "n n"]:
        """Weights that one mask keeps and the other removes, in the whole model or in one tensor."""
        both = self.overall if tensor is None else self.both[tensor]
        kept = np.diag(both)
        return kept[:, None] + kept[None, :] - 2 * both

    def jaccard(self, tensor: str | None = None) -> Float64[np.ndarray, "n n"]:
        """Weights kept by both over weights kept by either; 1 where neither keeps any."""
        both = self.overall if tensor is None else self.both[tensor]
        kept = np.diag(both)
        either = kept[:, None] + kept[None, :] - both
        return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def count_overlap(masks: Sequence[MaskSet]) -> Overlap:
    """Count the weights that both of every two masks keep, tensor by tensor.

    Raises `MaskError` if masks do not match, `ConfigError` if there are fewer than two.
    """
    if len(masks) < 2:
        raise ConfigError(f"an overlap needs at least two masks, got {len(masks)}")
    for mask in masks[1:]:
        masks[0].hamming(mask)  # checks names and shapes
    return Overlap({name: _both(masks, name) for name in masks[0]})


def _both(masks: Sequence[MaskSet], name: str) -> Int64[np.ndarray, "n n"]:
    # Weights on which all masks agree need no product; most weights are such.
    rows = torch.stack([mask[name].flatten() for mask in masks]).cpu()
    count = rows.sum(dim=0)
    differing = rows[:, (count > 0) & (count < len(masks))].double()
    return (differing @ differing.T).long().numpy() + int((count == len(masks)).sum())


@dataclass(frozen=True)
class PlanarMap:
    """Points in a plane, and the fraction of their variance that it shows."""

    points: Float64[np.ndarray, "n 2"]
    fraction: float  # of the variance, from 0 to 1


def planar_map(hamming: Int64[np.ndarray, "n n"]) -> PlanarMap:
    """Classical scaling of masks to a plane (Torgerson 1952), the first mask in the origin.

    A Hamming distance is the square of the Euclidean distance of two masks, read as vectors of 0 and 1; so the plane is
    that of their first two principal components. Each direction's sign is such that its largest coordinate is positive.
    """
    n = len(hamming)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ hamming @ centre)
    values = np.maximum(values, 0.0)
    points = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]])
    points = points * np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    return PlanarMap(points - points[0], float(values[-2:].sum() / max(values.sum(), 1e-300)))


def expected_coverage(curves: Mapping[str, InclusionCurve], candidates: Sequence[int]) -> Float64[np.ndarray, " m"]:
    """The expected fraction of the undecided weights that are kept by some of n candidates and removed by others.

    It is the mean of `1 - q^n - (1 - q)^n` over the undecided weights, with q the inclusion probability.

    Raises:
        ConfigError: if no weight is undecided.
    """
    q, counts = _undecided(curves)
    if not counts.sum():
        raise ConfigError("no weight is undecided, so all candidates are equal; choose a smaller sampling ratio")
    n = np.asarray(candidates, dtype=np.float64)[:, None]
    return (counts * (1 - q**n - (1 - q) ** n)).sum(axis=1) / counts.sum()


def count_coverage(
    masks: Iterable[MaskSet], candidates: Sequence[int], curves: Mapping[str, InclusionCurve]
) -> Float64[np.ndarray, " m"]:
    """The fraction of the undecided weights that are kept by some of the first n masks and removed by others, counted.

    Args:
        masks: candidates of the rule whose curves these are; only the largest number of `candidates` are drawn.
        candidates: the numbers n of masks, increasing.
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
    """The inclusion probabilities of the undecided weights of all groups, and the number of weights that have each."""
    q = np.concatenate([curve.inclusion[curve.undecided] for curve in curves.values()])
    return q, np.concatenate([curve.histogram.counts[curve.undecided] for curve in curves.values()])
