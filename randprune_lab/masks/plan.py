"""What all candidates of a pruning group share: its histogram, its curve, and the weights that chance decides.

A plan sorts the weights into three by their inclusion probability q: never kept (q = 0), always kept (q = 1), and the
*band* between, usually a few per cent. The first two make a base mask; only the band will need random numbers. q is a
31-bit integer from here on, so that it is the same number on every device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int32, Int64
from torch import Tensor

from randprune_lab.errors import WeightError
from randprune_lab.masks.counter_rng import BLOCK
from randprune_lab.masks.curve import BUCKETINGS, Bucketing, Histogram, InclusionCurve
from randprune_lab.masks.rules import Rule

CHUNK = 2**17
"""Weights handled at a time; the working memory is a few times this."""

COUNT_CHUNK = 2**22
"""Weights counted at a time: large, since every count fills a whole histogram."""

HALF = 2**30  # probability 1/2 on the grid of q
EVERYTHING = 2 * HALF - 1  # no two points of the grid are further apart
NEGLIGIBLE = round(1e-7 * 2 * HALF)  # a q this near to 0 or 1 counts as 0 or 1


@dataclass(frozen=True)
class Band:
    """The weights of one block of a tensor that chance decides. `q` runs from -HALF (never) to HALF (always)."""

    tensor: str
    block: int
    index: Int32[Tensor, " n"]  # within the block
    q: Int32[Tensor, " n"]

    def position(self, index: Int32[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """Places in the flat tensor of places in the block."""
        return index.long() + self.block * BLOCK


@dataclass(frozen=True)
class Plan:
    """One pruning group: the curve, what is settled, and what is open.

    `counts` are each tensor's weights in the buckets of the curve. Of the weights in `bands`, `open` are to be kept.
    """

    curve: InclusionCurve
    counts: dict[str, Int64[np.ndarray, " b"]]
    base: dict[str, Bool[Tensor, " n"]]
    bands: list[Band]
    open: int

    @cached_property
    def margin(self) -> int:
        """How near u must be to q, on the grid, for a weight to matter when the count is made exact.

        The count of u < q is off by about `sqrt(sum q (1 - q))`; within this distance there are several times as many.
        """
        q = self.curve.inclusion
        spread = float(np.sum(self.curve.histogram.counts * q * (1 - q)))
        return min(round(1.5 / math.sqrt(max(spread, 1.0)) * 2 * HALF), EVERYTHING)


def make_plan(name: str, weights: Mapping[str, Tensor], rule: Rule, k: int) -> Plan:
    """Plan to keep k weights of a group. Raises `WeightError` if the weights do not allow it."""
    bucketing = BUCKETINGS[_common_dtype(weights)]
    found = {tensor: _count(tensor, weight, bucketing) for tensor, weight in weights.items()}
    every = np.unique(np.concatenate([buckets for buckets, _ in found.values()]))
    dense = {tensor: _spread(buckets, count, every) for tensor, (buckets, count) in found.items()}
    histogram = Histogram.from_counts(every, np.sum(list(dense.values()), axis=0), bucketing)
    if k > histogram.nonzero:
        raise WeightError(
            f"cannot keep {k:,} weights of {name!r}: only {histogram.nonzero:,} of {histogram.size:,} are not zero, "
            f"and pruned weights stay pruned; ask for a sparsity of at least "
            f"{math.ceil(1e6 * histogram.zeros / histogram.size) / 1e6}"
        )
    curve = rule.curve(histogram, k)
    counts = {tensor: count[len(every) - len(histogram.counts) :] for tensor, count in dense.items()}
    grid = _grid(curve)
    base, bands = {}, []
    for tensor, weight in weights.items():
        base[tensor], some = _split(tensor, weight, bucketing, histogram.buckets, grid)
        bands += some
    open_ = k - sum(int(torch.count_nonzero(part)) for part in base.values())
    assert 0 <= open_ <= sum(len(band.q) for band in bands), "the curve and the weights disagree"
    plan = Plan(curve, counts, base, bands, open_)
    return _settle(plan, weights) if rule.deterministic else plan


def nonzero(mask: Bool[Tensor, " n"]) -> Int64[Tensor, " m"]:
    """The indices of the true entries; on the CPU by NumPy, which is several times as fast at it."""
    return torch.from_numpy(np.flatnonzero(mask.numpy())) if mask.device.type == "cpu" else mask.nonzero().flatten()


def scores(weight: Float[Tensor, "..."]) -> Float64[Tensor, " n"]:
    """Magnitudes in float64, which holds every supported dtype exactly."""
    return weight.reshape(-1).abs().double()


def _common_dtype(weights: Mapping[str, Tensor]) -> torch.dtype:
    for name, weight in weights.items():
        if weight.dtype not in BUCKETINGS:
            known = ", ".join(str(dtype) for dtype in BUCKETINGS)
            raise WeightError(f"weights of {name!r} are {weight.dtype}; can prune {known}: convert them first")
    dtypes = {weight.dtype for weight in weights.values()}
    if len(dtypes) > 1:
        raise WeightError(f"a group needs weights of one dtype, got {sorted(map(str, dtypes))}: convert them first")
    return dtypes.pop()


def _count(
    name: str, weight: Float[Tensor, "..."], bucketing: Bucketing
) -> tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
    """The buckets that are not empty, and how many weights each holds; only this leaves the device."""
    counts = torch.zeros(0, dtype=torch.int64, device=weight.device)
    for chunk in weight.reshape(-1).split(COUNT_CHUNK):
        more = torch.bincount(bucketing.bucket(chunk), minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    if broken := int(counts[bucketing.infinity :].sum()):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; mend the model before pruning")
    buckets = nonzero(counts > 0)
    return buckets.cpu().numpy(), counts[buckets].cpu().numpy()


def _spread(
    buckets: Int64[np.ndarray, " b"], counts: Int64[np.ndarray, " b"], every: Int64[np.ndarray, " all"]
) -> Int64[np.ndarray, " all"]:
    out = np.zeros(len(every), dtype=np.int64)
    out[np.searchsorted(every, buckets)] = counts
    return out


def _grid(curve: InclusionCurve) -> Int32[np.ndarray, " b"]:
    """q of every bucket on the integer grid."""
    counts = curve.histogram.counts
    exact = np.round(curve.inclusion * (2 * HALF)).astype(np.int64) - HALF
    grid = np.where(exact <= NEGLIGIBLE - HALF, -HALF, np.where(exact >= HALF - NEGLIGIBLE, HALF, exact))
    if not counts[grid == HALF].sum() <= curve.k <= counts[grid > -HALF].sum():  # the shortcut would miss k
        chance = (curve.inclusion > 0) & (curve.inclusion < 1)
        grid = np.where(chance, np.clip(exact, 1 - HALF, HALF - 1), exact)
    return grid.astype(np.int32)


def _split(
    name: str,
    weight: Float[Tensor, "..."],
    bucketing: Bucketing,
    buckets: Int64[np.ndarray, " b"],
    grid: Int32[np.ndarray, " b"],
) -> tuple[Bool[Tensor, " n"], list[Band]]:
    """The base mask, False in the band, and the band. The grid ascends, so three stretches of buckets do."""
    flat = weight.reshape(-1)
    base = torch.zeros(flat.shape, dtype=torch.bool, device=weight.device)
    end = int(buckets[-1]) + 1 if len(buckets) else 1
    first_open, first_kept = (
        int(buckets[place]) if (place := int(np.searchsorted(grid, value))) < len(grid) else end
        for value in (1 - HALF, HALF)
    )
    table = np.zeros(max(first_kept - first_open, 0), dtype=np.int32)
    inside = (grid > -HALF) & (grid < HALF)
    table[buckets[inside] - first_open] = grid[inside]
    q_of = torch.from_numpy(table).to(weight.device)
    bands = []
    for block, start in enumerate(range(0, flat.numel(), BLOCK)):
        index, q = [], []
        for low in range(start, min(start + BLOCK, flat.numel()), CHUNK):
            bucket = bucketing.bucket(flat[low : min(low + CHUNK, start + BLOCK)])
            keep = bucket >= first_kept
            base[low : low + len(bucket)] = keep
            if len(table):
                where = nonzero((bucket >= first_open) ^ keep)
                index.append((where + (low - start)).int())
                q.append(q_of[bucket[where].long() - first_open])
        if sum(map(len, index)):
            bands.append(Band(name, block, torch.cat(index), torch.cat(q)))
    return base, bands


def _settle(plan: Plan, weights: Mapping[str, Tensor]) -> Plan:
    """Decide the border of a rule without randomness: the largest scores, equal ones by tensor and index."""
    places = [band.position(band.index) for band in plan.bands]
    border = [scores(weights[band.tensor].reshape(-1)[place]) for band, place in zip(plan.bands, places, strict=True)]
    if border:
        keep = torch.zeros(sum(map(len, border)), dtype=torch.bool, device=border[0].device)
        keep[torch.sort(torch.cat(border), descending=True, stable=True).indices[: plan.open]] = True
        for band, place, part in zip(plan.bands, places, keep.split([*map(len, border)]), strict=True):
            plan.base[band.tensor][place] = part
    return Plan(plan.curve, plan.counts, plan.base, [], 0)
