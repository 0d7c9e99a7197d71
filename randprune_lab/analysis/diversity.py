"""How different masks are from each other: pairwise tables, a map of them, and what a number of candidates covers."""

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

SETTLED = 1e-7
"""A chance this close to 0 or 1 leaves nothing to chance (the sampler's own border of its band)."""


@dataclass(frozen=True)
class Overlap:
    """What every two of n masks keep both: a table (n, n) for each tensor. Its diagonal is what each keeps."""

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


def overlap(masks: Sequence[MaskSet]) -> Overlap:
    """Count what every two masks keep both, tensor by tensor.

    Raises `MaskError` if masks do not match, `ConfigError` if there are fewer than two.
    """
    if len(masks) < 2:
        raise ConfigError(f"an overlap needs at least two masks, got {len(masks)}")
    for mask in masks[1:]:
        masks[0].hamming(mask)  # checks names and shapes
    return Overlap({name: _both(masks, name) for name in masks[0]})


def _both(masks: Sequence[MaskSet], name: str) -> Int64[np.ndarray, "n n"]:
    # Weights on which all masks agree need no product: above the border or far below it, most do.
    rows = torch.stack([mask[name].flatten() for mask in masks]).cpu()
    count = rows.sum(dim=0)
    open_ = rows[:, (count > 0) & (count < len(masks))].double()
    return (open_ @ open_.T).long().numpy() + int((count == len(masks)).sum())


@dataclass(frozen=True)
class PlanarMap:
    """Points in a plane, and how much of what sets them apart it shows."""

    points: Float64[np.ndarray, "n 2"]
    share: float  # of the variance, from 0 to 1


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


def tried(curves: Mapping[str, InclusionCurve], candidates: Sequence[int]) -> Float64[np.ndarray, " m"]:
    """The share of the band that so many candidates are expected to try both ways: kept by one, removed by another.

    The band is every weight whose chance to be kept is neither 0 nor 1: `1 - q^n - (1 - q)^n` of those with chance q.
    Raises `ConfigError` if there is no band.
    """
    q, counts = band(curves)
    if not counts.sum():
        raise ConfigError("nothing is left to chance: this rule has no band to try; choose a smaller sampling ratio")
    n = np.asarray(candidates, dtype=np.float64)[:, None]
    return (counts * (1 - q**n - (1 - q) ** n)).sum(axis=1) / counts.sum()


def tried_by(
    masks: Iterable[MaskSet], candidates: Sequence[int], curves: Mapping[str, InclusionCurve]
) -> Float64[np.ndarray, " m"]:
    """What `tried` expects, counted: the share of the band that the first so many masks keep and remove.

    Args:
        masks: candidates of the rule whose curves these are; so many are drawn as the largest number needs.
        candidates: numbers of masks, ascending.
    """
    size = int(band(curves)[1].sum())
    kept: dict[str, Tensor] = {}
    shares = []
    for number, mask in enumerate(itertools.islice(masks, max(candidates)), start=1):
        kept = {name: kept.get(name, 0) + part.int() for name, part in mask.items()}
        if number in candidates:
            shares.append(sum(int(((count > 0) & (count < number)).sum()) for count in kept.values()) / size)
    return np.array(shares)


def band(curves: Mapping[str, InclusionCurve]) -> tuple[Float64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
    """The chances that are neither 0 nor 1, over all groups, and how many weights have them."""
    q = np.concatenate([curve.inclusion for curve in curves.values()])
    counts = np.concatenate([curve.histogram.counts for curve in curves.values()])
    deterministic = all(curve.deterministic for curve in curves.values())
    inside = (q > SETTLED) & (q < 1 - SETTLED) & (not deterministic)
    return q[inside], counts[inside]
