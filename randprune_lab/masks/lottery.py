"""Drawing one candidate: which band weights change sides, with the count made exact.

The tensors of one device lie one after the other, so that a draw is a few large operations, however many tensors there
are. Every band weight has a lot, an odd number below 2²⁵, and changes sides if its lot is below its chance. That
keeps about k weights; Pareto sampling (Rosén 1997) makes it exactly k: with u a lot and q an inclusion probability on
(0, 1), the k weights with the smallest `[u / (1 - u)] / [q / (1 - q)]` are kept. A key below 1 says no more than u < q,
so only the few weights with keys near 1, the *close* ones, are ever sorted.

Lots are cheap because most are never looked at whole. Eight weights share a 64-bit random number, a byte each, and
most bytes tell that the weight changes sides, or does not, and is not close. Only for the others 16 more bits are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Bool, Float64, Int, Int32, Int64, UInt8
from torch import Tensor

from randprune_lab.masks.counter_rng import random_bits, salts
from randprune_lab.masks.plan import CERTAIN, Plan, as_array, nonzero

CHUNK = 2**18
"""Band weights drawn at a time on the CPU; the working memory is a few times this. A GPU takes more at a time."""

LOW_BITS = 17
"""Bits of a lot after its first byte."""

WINDOW = 4.5
"""Half the width of the window of close weights, in standard deviations of the count; wider where that fails."""


Masks = dict[str, Bool[Tensor, " _"]]
Places = Int64[Tensor, " m"]
Limits = tuple[UInt8[Tensor, " b"], UInt8[Tensor, " b"]]


class Lottery:
    """The band weights of all groups on one device, ready to be drawn.

    Args:
        plans: the groups; at least one of them has weights in its bands.
        seed: the sampler's seed.
    """

    def __init__(self, plans: Sequence[Plan], seed: int):
        bands = [band for plan in plans for band in plan.bands]
        device = bands[0].chance.device
        ends = [*accumulate(_padded(len(band.chance)) for band in bands)]
        narrow = all(band.position.dtype == torch.int32 for band in bands)
        self.seed = seed
        self.tensors = [band.tensor for band in bands]
        # Positions that a draw can add to the base mask; of those that it can remove the bitwise complement, below 0.
        self.position = torch.zeros(ends[-1], dtype=torch.int32 if narrow else torch.int64, device=device)
        self.chance = torch.zeros(ends[-1], dtype=torch.int32, device=device)
        self.salt = torch.empty(ends[-1] // 8, dtype=torch.int64, device=device)
        for band, start, end in zip(bands, [0, *ends], ends, strict=False):
            used = slice(start, start + len(band.chance))
            self.position[used] = torch.where(band.chance > 0, band.position, ~band.position)
            self.chance[used] = band.chance.abs()
            words = torch.arange((end - start) // 8, device=device)
            self.salt[start // 8 : end // 8] = salts(words, seed, band.tensor)
        last = torch.tensor([len(plan.bands) for plan in plans]).cumsum(0) - 1
        self.ends = torch.tensor(ends, device=device)
        self.group_ends = self.ends[last.to(device)]
        self.missing = torch.tensor([plan.missing for plan in plans], device=device)
        # A window of log keys holds about as many weights as its width times the variance of the count.
        variance = torch.tensor([plan.curve.expected_hamming() / 2 for plan in plans], dtype=torch.float64)
        self.width = (WINDOW / variance.clamp(min=1.0).sqrt()).to(device)
        self.limits = self._limits(self.width)

    @torch.no_grad()
    def draw(self, candidate: int, masks: Masks) -> None:
        """Turn copies of the base masks into the masks of a candidate."""
        width, limits = self.width, self.limits
        while not self._draw(candidate, masks, width, limits):
            width = torch.where(width < 1, 8 * width, math.inf)
            limits = self._limits(width)

    def _draw(self, candidate: int, masks: Masks, width: Float64[Tensor, " groups"], limits: Limits) -> bool:
        """One draw with a window of this width; False if it was too narrow to be sure."""
        sure, open_ = map(as_array, limits)
        missing, unsure, byte = self.missing.clone(), [self.salt[:0]], [limits[0][:0]]
        step = CHUNK if self.salt.device.type == "cpu" else 128 * CHUNK
        for start in range(0, len(sure), step):
            part = slice(start, start + step)
            first = random_bits(self.salt[start // 8 : (start + step) // 8], self.seed, candidate).view(torch.uint8)
            below = as_array(first) < sure[part]
            missing -= self._move(nonzero(below) + start, masks)
            some = nonzero(below ^ (as_array(first) <= open_[part]))
            unsure.append(some + start)
            byte.append(first[some])
        place = torch.cat(unsure)
        lot = self._lots(candidate, place, torch.cat(byte))
        chance = self.chance[place]
        distance = lot - chance
        close = distance.abs() <= _margin(chance, width[self._group(place)])
        missing -= self._move(place[(distance < 0) & ~close], masks)
        return self._settle(place[close], lot[close], missing, width, masks)

    def _lots(self, candidate: int, place: Places, byte: UInt8[Tensor, " m"]) -> Int32[Tensor, " m"]:
        """Whole lots of the weights whose first byte is known."""
        rest = random_bits(self.salt[place >> 3] + (place & 7), self.seed, candidate, purpose="rest")
        return (byte.int() << LOW_BITS) | ((rest & (2**LOW_BITS - 1)) | 1).int()

    def _settle(
        self, place: Places, lot: Int32[Tensor, " m"], missing: Tensor, width: Float64[Tensor, " groups"], masks: Masks
    ) -> bool:
        """Give each group's places that are left to the smallest keys of its close weights.

        False if that is not sure: other weights have log keys above `width` or below `-width`, and are on their right
        side as long as the border between kept and not kept lies inside.
        """
        position = self.position[place]
        u, p = lot.double(), self.chance[place].double()
        odds = (u / (CERTAIN - u)) * ((CERTAIN - p) / p)
        key = torch.where(position >= 0, odds, 1 / odds)
        ends = torch.searchsorted(place, self.group_ends)
        starts = ends - ends.diff(prepend=ends.new_zeros(1))
        row = self._group(place)
        column = torch.arange(len(place), device=place.device) - starts[row]
        table = key.new_full((len(ends), int((ends - starts).max())), math.inf)  # a row for each group
        table[row, column] = key
        keys, order = torch.sort(table, dim=1, stable=True)
        room = missing + self._sums(position < 0, place)
        keep = torch.arange(keys.shape[1], device=place.device) < room[:, None]
        self._put(place, position, torch.empty_like(keep).scatter_(1, order, keep)[row, column], masks)
        sure = torch.where(keep, keys.log() <= width[:, None], keys.log() >= -width[:, None])
        return bool(sure.all() & ((room >= 0) & (room <= ends - starts)).all())

    def _move(self, place: Places, masks: Masks) -> Int64[Tensor, " groups"]:
        """Let weights change sides; by how many each group's mask grew."""
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
        """How many are true in each group; places ascend."""
        ends = torch.searchsorted(place, self.group_ends)
        running = torch.cat([ends.new_zeros(1), flags.cumsum(0)])
        return running[ends].diff(prepend=ends.new_zeros(1))

    def _group(self, place: Places) -> Places:
        return torch.searchsorted(self.group_ends, place, right=True)

    def _limits(self, width: Float64[Tensor, " groups"]) -> Limits:
        """First bytes for each weight: below the one it surely changes sides, above the other it surely does not."""
        sure, open_ = (torch.empty(len(self.chance), dtype=torch.uint8, device=width.device) for _ in range(2))
        ends = self.group_ends.tolist()
        for start, end, of_group in zip([0, *ends], ends, width, strict=False):
            for chunk in (slice(low, min(low + CHUNK, end)) for low in range(start, end, CHUNK)):
                chance = self.chance[chunk]
                margin = _margin(chance, of_group)
                sure[chunk] = (chance - margin).clamp_(min=0) >> LOW_BITS
                open_[chunk] = (chance + margin).clamp_(max=CERTAIN - 1) >> LOW_BITS
        return sure, open_


def _margin(chance: Int32[Tensor, " m"], width: Float64[Tensor, "*m"]) -> Int32[Tensor, " m"]:
    """How far from its chance a lot is close: beyond, the size of its log key is above `width`."""
    share = torch.where(width < 1, torch.expm1(width), CERTAIN).float()
    return (chance * share).clamp_(max=CERTAIN).int() + 2  # roundings take less than 2


def _padded(size: int) -> int:
    """Every tensor begins with a new random number, so that what else is pruned does not change its mask."""
    return -(-size // 8) * 8
