"""What all candidates of a pruning group share: its histogram, its curve, and which of its weights are undecided.

A plan sorts the weights into three kinds by their inclusion probability q: never kept (q = 0), always kept (q = 1), and
*undecided* (between, a few per cent). All weights begin on the likelier side, which makes the *base* mask; an undecided
weight flips with probability min(q, 1 - q). That probability is an integer, the same on every device; a weight whose
flip probability rounds to 0 is not undecided.

On the CPU, groups are planned one after the other, in chunks of weights that fit into its caches. A GPU is slow at many
small operations, and idle while the CPU reads a number. So there, many groups are planned together: a chunk has the
weights of many tensors, and a number that each tensor has, such as a threshold, is repeated for all its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64, Shaped
from torch import Tensor

from randprune_lab.masks.curve import BUCKETINGS, Bucketing, Histogram, InclusionCurve
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.weight_checks import check_dtype, check_enough, check_finite, check_one

CHUNK = 2**20
"""Weights handled at a time; the working memory is a few times this."""

COUNT_CHUNK = 2**22
"""Weights counted at a time: large, since every count fills a whole histogram."""

GPU_CHUNK = 2**22
"""Weights counted or handled at a time on a GPU."""

GPU_TENSORS = 32
"""Tensors planned together on a GPU: each needs a histogram with all buckets, 1 MiB in float32."""

CERTAIN = 2**25
"""Probability 1 as an integer. Probabilities are even, the random numbers compared with them odd: none are equal."""


class Group(NamedTuple):
    """A pruning group: k of the weights of its tensors are kept."""

    name: str
    k: int
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class Undecided:
    """The undecided weights of one tensor, in the order of their flat position.

    A weight flips with probability `flip / CERTAIN`. If the base mask has it, so that a flip removes it, `position` is
    the bitwise complement of its position, which is below 0.
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


def make_plans(groups: Sequence[Group], rule: Rule, base: Mapping[str, Bool[Tensor, " _"]]) -> list[Plan]:
    """Plan one group, or several that are `together`, and fill the flat masks `base`.

    Raises `WeightError` if the weights do not allow it.
    """
    bucketing = [BUCKETINGS[_common_dtype(group)] for group in groups][-1]
    weights = {tensor: weight for group in groups for tensor, weight in group.weights.items()}
    found = _count(weights, bucketing)
    parts = [_divide(group, [found[tensor] for tensor in group.weights], rule, bucketing) for group in groups]
    undecided, score = _split(weights, parts, bucketing, base)
    if rule.deterministic:
        _decide_threshold(parts, undecided, score, base)
        undecided = []
    plans = []
    for part in parts:
        own = [some for some in undecided if some.tensor in part.counts]
        plans.append(Plan(part.curve, part.counts, own, part.missing if own else 0))
    return plans


def together(groups: Sequence[Group]) -> bool:
    """Whether groups can be planned together: they are on one GPU, of one dtype, and not too many."""
    weights = [weight for group in groups for weight in group.weights.values()]
    (device, _), *others = {(weight.device, weight.dtype) for weight in weights}
    return device.type != "cpu" and not others and len(weights) <= GPU_TENSORS


def spread(values: Sequence[int], sizes: Sequence[int], device: torch.device) -> int | Int64[Tensor, " n"]:
    """Each value as often as its size says, one after the other; a single value as it is."""
    if len(values) == 1:
        return values[0]
    both = torch.tensor([values, sizes]).to(device, non_blocking=True)
    return both[0].repeat_interleave(both[1], output_size=sum(sizes))


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


class _Chunk(NamedTuple):
    """Weights that one operation handles: on the CPU a part of one tensor, on a GPU parts of many."""

    tensors: list[str]
    starts: list[int]  # where each part begins in its tensor
    parts: list[Float[Tensor, " _"]]

    @property
    def sizes(self) -> list[int]:
        return [*map(len, self.parts)]

    @property
    def weights(self) -> Float[Tensor, " n"]:
        return self.parts[0] if len(self.parts) == 1 else torch.cat(self.parts)

    @property
    def shifts(self) -> list[int]:
        """For each part, what is added to a position in the chunk to get the position in the tensor."""
        return [start - begin for start, begin in zip(self.starts, accumulate(self.sizes, initial=0), strict=False)]

    def spread(self, values: Sequence[int], where: Int64[Tensor, " m"] | None = None) -> int | Int64[Tensor, " n"]:
        """The value of its part for each weight, or for those at `where`."""
        every = spread(values, self.sizes, self.parts[0].device)
        return every if where is None or isinstance(every, int) else every[where]


class _Division(NamedTuple):
    """How a group's curve divides its weights.

    `edges` are the buckets from which on weights are undecided, in the base mask, and always kept. `flips` has the flip
    probability of each bucket from the first edge to the last, negative where a flip removes the weight.
    """

    curve: InclusionCurve
    counts: dict[str, Int64[np.ndarray, " b"]]
    edges: list[int]
    flips: Int32[np.ndarray, " b"]
    sizes: list[int]  # the number of undecided weights of each tensor
    missing: int
    room: int  # the number of undecided weights that a mask keeps


def _common_dtype(group: Group) -> torch.dtype:
    weights = group.weights
    for name, weight in weights.items():
        check_dtype(name, weight)
    check_one("dtype", group.name, weights)
    check_one("device", group.name, weights)
    return next(iter(weights.values())).dtype


def _chunks(weights: Mapping[str, Tensor], size: int) -> Iterator[_Chunk]:
    """All weights in order: on the CPU up to `size` at a time, on a GPU up to `GPU_CHUNK`."""
    on_cpu = next(iter(weights.values())).device.type == "cpu"
    size, most = (size, 1) if on_cpu else (GPU_CHUNK, GPU_TENSORS)
    chunk = _Chunk([], [], [])
    for tensor, weight in weights.items():
        for number, part in enumerate(weight.reshape(-1).split(size)):
            if len(chunk.parts) == most or sum(chunk.sizes) + len(part) > size:
                yield chunk
                chunk = _Chunk([], [], [])
            chunk.tensors.append(tensor)
            chunk.starts.append(number * size)
            chunk.parts.append(part)
    yield chunk


def _count(weights: Mapping[str, Tensor], bucketing: Bucketing) -> dict[str, Int64[np.ndarray, " _"]]:
    """The number of each tensor's weights in each bucket, from bucket 0 on."""
    found: dict[str, Int64[np.ndarray, " _"]] = {}
    for chunk in _chunks(weights, COUNT_CHUNK):
        for tensor, counts in zip(chunk.tensors, _histograms(chunk, bucketing), strict=True):
            short, long = sorted((found.get(tensor, counts[:0]), counts), key=len)
            long[: len(short)] += short
            found[tensor] = long
    for tensor, counts in found.items():
        check_finite(tensor, int(counts[bucketing.infinity :].sum()))
    return found


def _histograms(chunk: _Chunk, bucketing: Bucketing) -> Iterable[Int64[np.ndarray, " _"]]:
    """The number of weights in each bucket, for each part of a chunk; only this leaves the device."""
    bucket = bucketing.bucket(chunk.weights)
    if bucket.device.type == "cpu":
        return [torch.bincount(bucket, minlength=1).numpy()]
    buckets = 2 ** (bucketing.exponent_bits + bucketing.mantissa_bits - bucketing.shift)
    row = chunk.spread([number * buckets for number in range(len(chunk.parts))])
    counts = torch.zeros(len(chunk.parts) * buckets, dtype=torch.int32, device=bucket.device)
    counts.scatter_add_(0, bucket.long() + row, torch.ones_like(counts[:1]).expand(len(bucket)))
    return counts.view(-1, buckets).cpu().numpy().astype(np.int64)


def _divide(group: Group, found: list[Int64[np.ndarray, " _"]], rule: Rule, bucketing: Bucketing) -> _Division:
    """Solve the curve of a group from the counts of its tensors. q ascends: two buckets bound the undecided weights."""
    longest = max(map(len, found))
    dense = [np.pad(counts, (0, longest - len(counts))) for counts in found]
    histogram = Histogram.from_counts(reduce(np.add, dense), bucketing)
    check_enough(group.name, group.k, histogram.nonzero, histogram.size)
    curve, buckets = rule.curve(histogram, group.k), histogram.buckets
    q = _grid(curve)
    low, even, high = np.searchsorted(q, [1, CERTAIN // 2 + 1, CERTAIN])
    edges = np.append(buckets, buckets[-1] + 1 if len(buckets) else 1)[[low, even, high]].tolist()
    flips = np.zeros(edges[2] - edges[0], dtype=np.int32)
    flips[buckets[low:even] - edges[0]] = q[low:even]
    flips[buckets[even:high] - edges[0]] = q[even:high] - CERTAIN
    counts = {tensor: some[buckets] for tensor, some in zip(group.weights, dense, strict=True)}
    sizes = [int(some[low:high].sum()) for some in counts.values()]
    missing, room = (group.k - int(histogram.counts[index:].sum()) for index in (even, high))
    return _Division(curve, counts, edges, flips, sizes, missing, room)


def _grid(curve: InclusionCurve) -> Int32[np.ndarray, " b"]:
    """q of every bucket as an even integer, in units of 1 / `CERTAIN`."""
    counts = curve.histogram.counts
    q = 2 * np.round(curve.inclusion * (CERTAIN // 2)).astype(np.int32)
    if not counts[q == CERTAIN].sum() <= curve.k <= counts[q > 0].sum():  # what is rounded away is needed to reach k
        open_ = (curve.inclusion > 0) & (curve.inclusion < 1)
        q[open_] = np.clip(q[open_], 2, CERTAIN - 2)
    return q


def _split(
    weights: Mapping[str, Tensor], parts: Sequence[_Division], bucketing: Bucketing, base: Mapping[str, Tensor]
) -> tuple[list[Undecided], Float64[Tensor, " _"]]:
    """Fill the base masks, and find the undecided weights; for a deterministic rule also their scores."""
    device = next(iter(weights.values())).device
    flips = torch.from_numpy(np.concatenate([part.flips for part in parts])).to(device, non_blocking=True)
    starts = accumulate((len(part.flips) for part in parts), initial=0)
    divided = {tensor: (part, start) for part, start in zip(parts, starts, strict=False) for tensor in part.counts}
    narrow = torch.int32 if max(weight.numel() for weight in weights.values()) < 2**31 else torch.int64
    position, flip = [torch.zeros(0, dtype=narrow, device=device)], [flips[:0]]
    score = [torch.zeros(0, dtype=torch.float64, device=device)]
    for chunk in _chunks(weights, CHUNK):
        flat = chunk.weights
        pattern = as_array(bucketing.pattern(flat))
        own = [divided[tensor] for tensor in chunk.tensors]
        edges = zip(*([edge << bucketing.shift for edge in part.edges] for part, _ in own), strict=True)
        undecided, likely, kept = map(chunk.spread, edges)
        in_base = torch.as_tensor(pattern >= likely).split(chunk.sizes)
        for tensor, start, some in zip(chunk.tensors, chunk.starts, in_base, strict=True):
            base[tensor][start : start + len(some)] = some
        if len(flips):
            where = nonzero((pattern >= undecided) ^ (pattern >= kept))
            found = flat[where]
            first = chunk.spread([start - part.edges[0] for part, start in own], where)
            signed = flips[(bucketing.bucket(found) + first).long()]
            where += chunk.spread(chunk.shifts, where)
            position.append(where.to(narrow) ^ (signed >> 31))  # the complement where the sign is negative
            flip.append(signed.abs_())
            if parts[0].curve.deterministic:
                score.append(scores(found))
    sizes = [size for part in parts for size in part.sizes]
    every = map(Undecided, weights, torch.cat(position).split(sizes), torch.cat(flip).split(sizes))
    return [*every], torch.cat(score)


def _decide_threshold(
    parts: Sequence[_Division], undecided: Sequence[Undecided], score: Float64[Tensor, " n"], base: Mapping[str, Tensor]
) -> None:
    """Decide a deterministic rule's threshold buckets: the largest scores, equal ones by tensor and index."""
    sizes = [sum(part.sizes) for part in parts]
    order = torch.sort(score, descending=True, stable=True).indices
    group = spread(range(len(parts)), sizes, score.device)
    if isinstance(group, Tensor):
        order = order[torch.sort(group[order], stable=True).indices]
    ends = [start + part.room for start, part in zip(accumulate(sizes, initial=0), parts, strict=False)]
    keep = torch.zeros(len(score), dtype=torch.bool, device=score.device)
    keep[order] = torch.arange(len(score), device=score.device) < spread(ends, sizes, score.device)
    for some, kept in zip(undecided, keep.split([len(some.flip) for some in undecided]), strict=True):
        base[some.tensor][torch.maximum(some.position, ~some.position).long()] = kept
