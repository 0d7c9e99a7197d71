"""Drawing one candidate by Pareto sampling (Rosén 1997): a random choice among the undecided weights, exactly k kept.

Each undecided weight gets a uniform random number u in (0, 1). Comparing u with its inclusion probability q keeps about
k weights. To keep exactly k, the weights are ordered by `key = [u / (1 - u)] / [q / (1 - q)]`, and the k smallest keys
are kept. A key is below 1 exactly if u < q, so only the few weights with keys near 1, the *close* ones, are sorted.

An example: eight undecided weights, of which k = 4 are to be kept.

    q     0.9   0.8   0.7   0.6   0.4   0.3   0.2   0.1
    u     0.30  0.55  0.72  0.10  0.35  0.80  0.95  0.40
    key   0.05  0.31  1.10  0.07  0.81  9.33  76.0  6.00

Comparing u with q keeps the first, second, fourth and fifth: four weights, and they have the four smallest keys. Had
the fifth u been 0.45, comparing would keep only three. The fifth key would be 1.23, the third is 1.10: so the third
weight is kept as well.

Two things make this fast. A weight begins on the likelier side (see `plan`), and changes sides if u is below its flip
probability min(q, 1 - q); that is rare. And most u are never computed in full: eight weights share a 64-bit random
number, one byte each, and one byte usually decides whether the weight flips, and that it is not close. Only for the
other weights 16 more bits are drawn. In the code, u and the flip probabilities are integers in units of 2⁻²⁵; u is odd
and the probabilities are even, so the two are never equal. The tensors of one device are stored one after the other, so
that a draw is a few large operations, however many tensors there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64, UInt8
from torch import Tensor

from randprune_lab.masks.counter_rng import random_bits, salts, stream_key
from randprune_lab.masks.plan import CERTAIN, Plan, as_array, nonzero, spread

CHUNK = 2**18
"""Undecided weights drawn at a time on the CPU; the working memory is a few times this."""

GPU_CHUNK = 2**25
"""The same on a GPU."""

LOW_BITS = 17
"""Bits of u after its first byte."""

WINDOW = 4.5
"""Half the width of the window of close weights, in standard deviations of the count; wider where that fails."""


Masks = dict[str, Bool[Tensor, " _"]]
Places = Int64[Tensor, " m"]
Limits = tuple[UInt8[Tensor, " b"], UInt8[Tensor, " b"]]


class ParetoSampler:
    """The undecided weights of all groups on one device, ready to be drawn.

    Args:
        plans: the groups; at least one of them has undecided weights.
        seed: the sampler's seed.
    """

    def __init__(self, plans: Sequence[Plan], seed: int):
        parts = [part for plan in plans for part in plan.undecided]
        device = parts[0].flip.device
        sizes = [_padded(len(part.flip)) for part in parts]
        ends = [*accumulate(sizes)]
        group_ends = [ends[number - 1] for number in accumulate(len(plan.undecided) for plan in plans)]
        self.seed = seed
        self.tensors = [part.tensor for part in parts]
        self.step = CHUNK if device.type == "cpu" else GPU_CHUNK
        self.position = _joined([part.position for part in parts])
        self.flip = _joined([part.flip for part in parts])
        self.salt = self._salts([size // 8 for size in sizes], device)
        # The number of weights in a window of log keys is about its width times the variance of the count.
        variance = torch.tensor([plan.curve.expected_hamming() / 2 for plan in plans], dtype=torch.float64)
        self.width = (WINDOW / variance.clamp(min=1.0).sqrt()).to(device, non_blocking=True)
        self.missing = torch.tensor([plan.missing for plan in plans]).to(device, non_blocking=True)
        self.ends = torch.tensor(ends).to(device, non_blocking=True)
        self.group_ends = torch.tensor(group_ends).to(device, non_blocking=True)
        self.groups = [*pairwise([0, *group_ends])]
        self.limits = self._limits(self.width)

    @torch.no_grad()
    def draw(self, candidate: int, masks: Masks) -> None:
        """Turn copies of the base masks into the masks of a candidate."""
        width, limits = self.width, self.limits
        while not self._draw(candidate, masks, width, limits):
            width = torch.where(width < 1, 8 * width, math.inf)
            limits = self._limits(width)

    def _draw(self, candidate: int, masks: Masks, width: Float64[Tensor, " groups"], limits: Limits) -> bool:
        """One draw with a window of this width; False if it was too narrow to be certain."""
        flips, stays = map(as_array, limits)
        missing, unclear, byte = self.missing.clone(), [self.salt[:0]], [limits[0][:0]]
        for start in range(0, len(flips), self.step):
            part = slice(start, start + self.step)
            first = random_bits(self.salt[start // 8 : part.stop // 8], self.seed, candidate).view(torch.uint8)
            below = as_array(first) < flips[part]
            missing -= self._move(nonzero(below) + start, masks)
            some = nonzero(below ^ (as_array(first) <= stays[part]))
            unclear.append(some + start)
            byte.append(first[some])
        place = torch.cat(unclear)
        u, flip = self._uniforms(candidate, place, torch.cat(byte)), self.flip[place]
        # The others keep their side: their u is far above the flip probability, or they are padding.
        close = nonzero((u - flip <= _margin(flip, _factor(width)[self._group(place)])) & (flip > 0))
        return self._decide(place[close], u[close], missing, width, masks)

    def _uniforms(self, candidate: int, place: Places, byte: UInt8[Tensor, " m"]) -> Int32[Tensor, " m"]:
        """u in full, for weights whose first byte is known."""
        rest = random_bits(self.salt[place >> 3] + (place & 7), self.seed, candidate, purpose="rest")
        return (byte.int() << LOW_BITS) | ((rest & (2**LOW_BITS - 1)) | 1).int()

    def _decide(
        self, place: Places, u: Int32[Tensor, " m"], missing: Tensor, width: Float64[Tensor, " groups"], masks: Masks
    ) -> bool:
        """Keep the weights with the smallest keys, until each group has its number.

        False if that may be wrong: all other weights have log keys above `width` or below `-width`, and are decided
        correctly as long as the threshold between kept and removed keys is inside.
        """
        position = self.position[place]
        number, p = u.double(), self.flip[place].double()
        odds = (number / (CERTAIN - number)) * ((CERTAIN - p) / p)
        key = torch.where(position >= 0, odds, 1 / odds)
        ends = torch.searchsorted(place, self.group_ends)
        sizes = ends.diff(prepend=ends.new_zeros(1))
        row = torch.arange(len(ends), device=place.device).repeat_interleave(sizes, output_size=len(place))
        column = torch.arange(len(place), device=place.device) - (ends - sizes)[row]
        table = key.new_full((len(ends), int(sizes.max())), math.inf)  # a row for each group
        table[row, column] = key
        keys, order = torch.sort(table, dim=1, stable=True)
        room = missing + self._sums(position < 0, place)
        keep = torch.arange(keys.shape[1], device=place.device) < room[:, None]
        self._put(place, position, torch.empty_like(keep).scatter_(1, order, keep)[row, column], masks)
        widest = width.exp()[:, None]
        sure = torch.where(keep, keys <= widest, keys >= 1 / widest)
        return bool(sure.all() & ((room >= 0) & (room <= sizes)).all())

    def _move(self, place: Places, masks: Masks) -> Int64[Tensor, " groups"]:
        """Flip weights; returns by how many each group's mask grew."""
        position = self.position[place]
        added = position >= 0
        self._put(place, position, added, masks)
        ends = torch.searchsorted(place, self.group_ends)
        return 2 * self._sums(added, place) - ends.diff(prepend=ends.new_zeros(1))

    def _put(self, place: Places, position: Int[Tensor, " m"], kept: Bool[Tensor, " m"], masks: Masks) -> None:
        position = torch.maximum(position, ~position).long()
        ends = torch.searchsorted(place, self.ends).tolist()
        for tensor, start, end in zip(self.tensors, [0, *ends], ends, strict=False):
            if start < end:
                masks[tensor].scatter_(0, position[start:end], kept[start:end])

    def _sums(self, flags: Bool[Tensor, " m"], place: Places) -> Int64[Tensor, " groups"]:
        """The number of true flags in each group; places ascend."""
        ends = torch.searchsorted(place, self.group_ends)
        running = torch.cat([ends.new_zeros(1), flags.cumsum(0)])
        return running[ends].diff(prepend=ends.new_zeros(1))

    def _group(self, place: Places) -> Places:
        return torch.searchsorted(self.group_ends, place, right=True)

    def _limits(self, width: Float64[Tensor, " groups"]) -> Limits:
        """Two bytes for each weight: with a first byte below the one it flips, above the other it does not."""
        flips, stays = (torch.empty(len(self.flip), dtype=torch.uint8, device=width.device) for _ in range(2))
        factor = _factor(width)
        for part, group in self._parts():
            flip = self.flip[part]
            margin = _margin(flip, factor[group])
            flips[part] = (flip - margin).clamp_(min=0) >> LOW_BITS
            stays[part] = (flip + margin).clamp_(max=CERTAIN - 1) >> LOW_BITS
        return flips, stays

    def _parts(self) -> Iterator[tuple[slice, int | Places]]:
        """All weights in parts, and their group: on the CPU one for the whole part, on a GPU one for each weight."""
        if self.flip.device.type == "cpu":
            for group, (first, end) in enumerate(self.groups):
                for start in range(first, end, self.step):
                    yield slice(start, min(start + self.step, end)), group
        else:
            for start in range(0, len(self.flip), self.step):
                part = slice(start, min(start + self.step, len(self.flip)))
                yield part, self._group(torch.arange(part.start, part.stop, device=self.flip.device))

    def _salts(self, words: Sequence[int], device: torch.device) -> Int64[Tensor, " words"]:
        """The salts of all tensors, given the number of words of each.

        `salts` adds the tensor's key to the index. So another tensor has the salts of the first, at an index that is
        larger by the difference of the keys; 64-bit integers wrap around.
        """
        keys = [stream_key(self.seed, tensor, "tensor") for tensor in self.tensors]
        shifts = [key - keys[0] - start for key, start in zip(keys, accumulate(words, initial=0), strict=False)]
        index = torch.arange(sum(words), device=device)
        index += spread([(shift + 2**63) % 2**64 - 2**63 for shift in shifts], words, device)
        for part in index.split(self.step):
            part.copy_(salts(part, self.seed, self.tensors[0]))
        return index


def _factor(width: Float64[Tensor, " groups"]) -> Float32[Tensor, " groups"]:
    """How far from its flip probability u is close, as a fraction of it."""
    return torch.where(width < 1, torch.expm1(width), CERTAIN).float()


def _margin(flip: Int32[Tensor, " m"], factor: Float32[Tensor, "*m"]) -> Int32[Tensor, " m"]:
    """How far from its flip probability u is close: beyond, the size of the log key is above the width."""
    return (flip * factor).clamp_(max=CERTAIN).int() + 2  # roundings take less than 2


def _joined(parts: Sequence[Int[Tensor, " _"]]) -> Int[Tensor, " n"]:
    """The tensors one after the other, padded by zeros."""
    zeros = torch.zeros(8, dtype=torch.int32, device=parts[0].device)
    return torch.cat([piece for part in parts for piece in (part, zeros[: _padded(len(part)) - len(part)])])


def _padded(size: int) -> int:
    """Every tensor begins with a new random number, so that its mask does not depend on the other tensors."""
    return -(-size // 8) * 8
