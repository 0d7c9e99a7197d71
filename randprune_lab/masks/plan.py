"""What all candidates of a pruning group share: its histogram, its curve, and which of its weights are undecided.

A plan sorts the weights into three kinds by their inclusion probability q: never kept (q = 0), always kept (q = 1), and
*undecided* (between, a few per cent). All weights begin on the likelier side, which makes the *base* mask; an undecided
weight flips with probability min(q, 1 - q). That probability is an integer, the same on every device; a weight whose
flip probability rounds to 0 is not undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64, Shaped
from torch import Tensor

from randprune_lab.errors import WeightError
from randprune_lab.masks.curve import BUCKETINGS, Bucketing, Histogram, InclusionCurve
from randprune_lab.masks.rules import Rule

CHUNK = 2**20
"""Weights handled at a time; the working memory is a few times this."""

COUNT_CHUNK = 2**22
"""Weights counted at a time: large, since every count fills a whole histogram."""

CERTAIN = 2**25
"""Probability 1 as an integer. Probabilities are even, the random numbers compared with them odd: none are equal."""


@dataclass(frozen=True)
class Undecided:
    """The undecided weights of one tensor, in the order of their flat `position`.

    A weight flips with probability `abs(flip) / CERTAIN`. A positive `flip` adds the weight to the base mask, a
    negative one removes it.
    """

    tensor: str
    position: Int[Tensor, " n"]  # int32 where that is enough
    flip: Int32[Tensor, " n"]


@dataclass(frozen=True)
class Plan:
    """One pruning group: its curve, the number of each tensor's weights in the curve's buckets, and what is undecided.

    The base mask keeps `missing` weights fewer than the curve's k (more, if negative).
    """

    curve: InclusionCurve
    counts: dict[str, Int64[np.ndarray, " b"]]
    undecided: list[Undecided]
    missing: int


def make_plan(
    name: str, weights: Mapping[str, Tensor], rule: Rule, k: int, base: Mapping[str, Bool[Tensor, " _"]]
) -> Plan:
    """Plan to keep k weights of a group, and fill the flat masks `base`.

    Raises `WeightError` if the weights do not allow it.
    """
    bucketing = BUCKETINGS[_common_dtype(name, weights)]
    found = {tensor: _count(tensor, weight, bucketing) for tensor, weight in weights.items()}
    longest = max(map(len, found.values()))
    found = {tensor: np.pad(counts, (0, longest - len(counts))) for tensor, counts in found.items()}
    histogram = Histogram.from_counts(reduce(np.add, found.values()), bucketing)
    if k > histogram.nonzero:
        raise WeightError(
            f"cannot keep {k:,} weights of {name!r}: only {histogram.nonzero:,} of {histogram.size:,} are not zero, "
            f"and pruned weights stay pruned; ask for a sparsity of at least "
            f"{math.ceil(1e6 * histogram.zeros / histogram.size) / 1e6}"
        )
    curve = rule.curve(histogram, k)
    q = _grid(curve)
    undecided = [
        _split(tensor, weight, bucketing, histogram.buckets, q, base[tensor]) for tensor, weight in weights.items()
    ]
    missing = k - int(histogram.counts[q > CERTAIN // 2].sum())
    if rule.deterministic:
        _decide_threshold(undecided, missing, weights, base)
        undecided, missing = [], 0
    counts = {tensor: dense[histogram.buckets] for tensor, dense in found.items()}
    return Plan(curve, counts, undecided, missing)


def nonzero(mask: Bool[Tensor, " n"] | Bool[np.ndarray, " n"]) -> Int64[Tensor, " m"]:
    """The indices of the true entries; on the CPU by NumPy, which is several times faster."""
    array = as_array(mask) if isinstance(mask, Tensor) else mask
    return torch.from_numpy(np.flatnonzero(array)) if isinstance(array, np.ndarray) else array.nonzero().flatten()


def as_array(tensor: Shaped[Tensor, "*s"]) -> Shaped[Tensor, "*s"] | Shaped[np.ndarray, "*s"]:
    """The tensor; on the CPU the same memory as a NumPy array, which compares several times faster."""
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


def scores(weight: Float[Tensor, "..."]) -> Float64[Tensor, " n"]:
    """Magnitudes in float64, which holds every supported dtype exactly."""
    return weight.reshape(-1).abs().double()


def _common_dtype(group: str, weights: Mapping[str, Tensor]) -> torch.dtype:
    for name, weight in weights.items():
        if weight.dtype not in BUCKETINGS:
            known = ", ".join(str(dtype) for dtype in BUCKETINGS)
            raise WeightError(f"weights of {name!r} are {weight.dtype}; can prune {known}: convert them first")
    for what in ("dtype", "device"):
        if len(found := {str(getattr(weight, what)) for weight in weights.values()}) > 1:
            raise WeightError(f"group {group!r} needs weights of one {what}, got {sorted(found)}; convert them first")
    return next(iter(weights.values())).dtype


def _count(name: str, weight: Float[Tensor, "..."], bucketing: Bucketing) -> Int64[np.ndarray, " b"]:
    """The number of weights in each bucket, up to the highest; only this leaves the device."""
    counts = torch.zeros(1, dtype=torch.int64, device=weight.device)
    for chunk in weight.reshape(-1).split(COUNT_CHUNK):
        more = torch.bincount(bucketing.bucket(chunk), minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    if broken := int(counts[bucketing.infinity :].sum()):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; fix the model first")
    return counts.cpu().numpy()


def _grid(curve: InclusionCurve) -> Int32[np.ndarray, " b"]:
    """q of every bucket as an even integer, in units of 1 / `CERTAIN`."""
    counts = curve.histogram.counts
    q = 2 * np.round(curve.inclusion * (CERTAIN // 2)).astype(np.int32)
    if not counts[q == CERTAIN].sum() <= curve.k <= counts[q > 0].sum():  # what is rounded away is needed to reach k
        open_ = (curve.inclusion > 0) & (curve.inclusion < 1)
        q[open_] = np.clip(q[open_], 2, CERTAIN - 2)
    return q


def _split(
    name: str,
    weight: Float[Tensor, "..."],
    bucketing: Bucketing,
    buckets: Int64[np.ndarray, " b"],
    q: Int32[np.ndarray, " b"],
    base: Bool[Tensor, " n"],
) -> Undecided:
    """Fill the base mask and gather the undecided weights. q ascends, so two buckets bound them."""
    flat, keep = weight.reshape(-1), as_array(base)
    low, even, high = np.searchsorted(q, [1, CERTAIN // 2 + 1, CERTAIN])
    edges = np.append(buckets, buckets[-1] + 1 if len(buckets) else 1)[[low, even, high]]
    least_undecided, least_likely, least_kept = (edges << bucketing.shift).tolist()
    table = np.zeros(edges[2] - edges[0], dtype=np.int32)
    table[buckets[low:even] - edges[0]] = q[low:even]
    table[buckets[even:high] - edges[0]] = q[even:high] - CERTAIN
    flips = torch.from_numpy(table).to(weight.device)

    narrow = torch.int32 if flat.numel() < 2**31 else torch.int64
    position, flip = [torch.zeros(0, dtype=narrow, device=weight.device)], [flips[:0]]
    for start in range(0, flat.numel(), CHUNK):
        chunk = flat[start : start + CHUNK]
        pattern = as_array(bucketing.pattern(chunk))
        keep[start : start + CHUNK] = pattern >= least_likely
        if len(table):
            where = nonzero((pattern >= least_undecided) ^ (pattern >= least_kept))
            position.append((where + start).to(narrow))
            flip.append(flips[(bucketing.bucket(chunk[where]) - int(edges[0])).long()])
    return Undecided(name, torch.cat(position), torch.cat(flip))


def _decide_threshold(
    undecided: list[Undecided], missing: int, weights: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> None:
    """Decide a deterministic rule's threshold bucket: the largest scores, equal ones by tensor and index."""
    places = [part.position.long() for part in undecided]
    near = [scores(weights[part.tensor].reshape(-1)[place]) for part, place in zip(undecided, places, strict=True)]
    room = missing + sum(int((part.flip < 0).sum()) for part in undecided)
    keep = torch.zeros(sum(map(len, near)), dtype=torch.bool, device=near[0].device)
    keep[torch.sort(torch.cat(near), descending=True, stable=True).indices[:room]] = True
    for part, place, kept in zip(undecided, places, keep.split([*map(len, places)]), strict=True):
        base[part.tensor][place] = kept
