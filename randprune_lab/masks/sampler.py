"""MaskSampler: plan once, then draw candidate after candidate, each with exactly k weights.

The plan sorts the weights into three by their inclusion probability q: never kept (q = 0), always kept (q = 1),
and the *band* between, usually a few per cent. The first two are a mask that all candidates share; only the
band needs random numbers. A candidate compares one number u of each band weight with its q, which gives about
k weights, and settles the difference by Pareto sampling (Rosén 1997): the k weights with the smallest
`[u / (1 - u)] / [q / (1 - q)]` are kept. Only weights with u close to q are ever sorted.

Both u and q are 31-bit integers, compared as integers: the same bits on any device, in chunks of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, WeightError
from randprune_lab.masks import literal
from randprune_lab.masks.counter_rng import BLOCK, StreamKey, random_bits, stream_key
from randprune_lab.masks.curve import BUCKETINGS, Bucketing, Histogram, InclusionCurve
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import Grouping, keep_counts, prunable

CHUNK = 2**17
"""Weights handled at a time; the working memory is a few times this."""

COUNT_CHUNK = 2**22
"""Weights counted at a time: large, since every count fills a whole histogram."""

LITERAL_BELOW = 4096
"""Groups of fewer weights are drawn by the literal procedure: there the inclusion curve is a poor limit."""

ONE = 2**31  # probability 1 on the grid of q and u
NEGLIGIBLE = round(1e-7 * ONE)  # a q this near to 0 or 1 counts as 0 or 1


@dataclass(frozen=True)
class Expected:
    """A number of weights, expected over the draws: for the whole model and for each tensor."""

    overall: float
    per_tensor: dict[str, float]


@dataclass(frozen=True)
class Band:
    """The weights of one tensor block that chance decides; `q` is on the grid of `ONE`, less half of it."""

    tensor: str
    block: int
    index: Int32[Tensor, " n"]  # within the block of BLOCK weights
    q: Int32[Tensor, " n"]


@dataclass(frozen=True)
class Group:
    """One pruning group, planned: what all its candidates share, and what chance decides."""

    name: str
    curve: InclusionCurve
    counts: dict[str, Int64[np.ndarray, " b"]]  # per tensor, on the buckets of the curve
    bands: list[Band]
    open: int  # how many band weights to keep
    votes: Votes | None  # set where the literal procedure draws instead
    scores: Float64[np.ndarray, " n"] | None


class MaskSampler:
    """Draws masks for a model: `sampler.draw(candidate)` is a pure function of weights, settings and candidate.

    The weights are read at construction; training the model afterwards changes no mask.

    Args:
        target: a model, or a dict of weight tensors by name.
        rule: the distribution over masks, such as `Voting(sampling_ratio=1e-4)`.
        sparsity: share of the weights to remove, in [0, 1). Each group keeps exactly `N - round(sparsity * N)`.
        seed: together with the candidate number and the tensor's name it makes all random numbers.
        group: `"tensor"` prunes each tensor by itself, `"global"` all together, `"erk"` see `keep_counts`.
        include, exclude: patterns that choose the weights, see `prunable`.
        literal_below: groups of fewer weights are drawn by the literal procedure.

    Raises:
        ConfigError: if a setting is out of range.
        ScopeError: if there is nothing to prune or a pattern matches nothing.
        WeightError: if weights are not finite or not floating point, or fewer are non-zero than are to be kept.

    >>> sampler = MaskSampler({"w": torch.arange(1.0, 9.0)}, Magnitude(), sparsity=0.75)
    >>> sampler.draw(0)["w"].nonzero().flatten().tolist()
    [6, 7]
    """

    def __init__(
        self,
        target: nn.Module | Mapping[str, Tensor],
        rule: Rule,
        sparsity: float,
        *,
        seed: int = 0,
        group: Grouping = "tensor",
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        literal_below: int = LITERAL_BELOW,
    ):
        _check_integer("seed", seed)
        weights = {name: tensor.detach() for name, tensor in prunable(target, include, exclude).items()}
        self.rule, self.sparsity, self.seed, self.group = rule, sparsity, seed, group
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        self._literal_below = literal_below
        keep = keep_counts(self.shapes, sparsity, group)
        members = {"global": list(weights)} if group == "global" else {name: [name] for name in weights}
        self._base: dict[str, Bool[Tensor, " n"]] = {}
        self._groups = [
            self._plan(name, {tensor: weights[tensor] for tensor in tensors}, keep[name])
            for name, tensors in members.items()
        ]

    @property
    def curves(self) -> dict[str, InclusionCurve]:
        """The inclusion curve of each group: a tensor's name, or `"global"`."""
        return {group.name: group.curve for group in self._groups}

    @cached_property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def kept(self) -> int:
        """Number of weights that every candidate keeps in all."""
        return sum(group.curve.k for group in self._groups)

    def expected_hamming(self) -> Expected:
        """Expected Hamming distance of two candidates in closed form, in weights; a limit for large groups."""
        return self._expected(InclusionCurve.expected_hamming)

    def expected_distance_to_magnitude(self) -> Expected:
        """Expected Hamming distance of a candidate to the magnitude mask, likewise."""
        return self._expected(InclusionCurve.expected_distance_to_magnitude)

    @torch.no_grad()
    def draw(self, candidate: int) -> MaskSet:
        """Draw one candidate: masks for all tensors, on the device of the weights."""
        _check_integer("candidate", candidate)
        flat = {name: base.clone() for name, base in self._base.items()}
        for group in self._groups:
            if group.votes is not None:
                self._draw_literally(group, candidate, flat)
            else:
                self._draw_band(group, candidate, flat)
        return MaskSet({name: flat[name].view(shape) for name, shape in self.shapes.items()})

    # --- planning ---

    def _plan(self, name: str, weights: dict[str, Tensor], k: int) -> Group:
        dtype = _common_dtype(weights)
        bucketing = BUCKETINGS[dtype]
        dense = {tensor: _count(tensor, weight, bucketing) for tensor, weight in weights.items()}
        histogram = Histogram.from_counts(np.sum(list(dense.values()), axis=0), bucketing)
        if k > histogram.nonzero:
            raise WeightError(
                f"cannot keep {k:,} weights of {name!r}: only {histogram.nonzero:,} of {histogram.size:,} are not "
                f"zero, and pruned weights stay pruned; ask for a sparsity of at least "
                f"{1 - histogram.nonzero / histogram.size:.6f}"
            )
        curve = self.rule.curve(histogram, k)
        counts = {tensor: count[histogram.buckets] for tensor, count in dense.items()}
        votes = self.rule.votes(histogram.size, k) if histogram.size < self._literal_below else None
        if votes is not None and 0 < k < histogram.nonzero:
            scores = torch.cat([_scores(weight) for weight in weights.values()]).cpu().numpy()
            for tensor, weight in weights.items():
                self._base[tensor] = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
            return Group(name, curve, counts, [], k, votes, scores)
        table = torch.from_numpy(_grid(curve, bucketing))
        bands = []
        for tensor, weight in weights.items():
            self._base[tensor], found = _split(tensor, weight, bucketing, table)
            bands += found
        open_ = k - sum(int(self._base[tensor].sum()) for tensor in weights)
        if self.rule.deterministic:
            self._settle(bands, weights, open_)
            bands, open_ = [], 0
        return Group(name, curve, counts, bands, open_, None, None)

    def _settle(self, bands: list[Band], weights: dict[str, Tensor], open_: int) -> None:
        """Decide the border of a rule without randomness: the largest scores, equal ones by tensor and index."""
        where = [weights[band.tensor].reshape(-1)[_position(band)] for band in bands]
        scores = torch.cat([_scores(weight).cpu() for weight in where]) if bands else torch.zeros(0)
        keep = torch.zeros(len(scores), dtype=torch.bool)
        keep[torch.sort(scores, descending=True, stable=True).indices[:open_]] = True
        for band, part in zip(bands, keep.split([len(band.index) for band in bands]), strict=True):
            base = self._base[band.tensor]
            base[_position(band)] = part.to(base.device)

    # --- drawing ---

    def _draw_literally(self, group: Group, candidate: int, flat: dict[str, Tensor]) -> None:
        assert group.votes is not None and group.scores is not None
        mask = literal.vote(
            group.scores, group.open, group.votes, seed=self.seed, candidate=candidate, group=group.name
        )
        start = 0
        for tensor in group.counts:
            end = start + flat[tensor].numel()
            flat[tensor].copy_(torch.from_numpy(mask[start:end]))
            start = end

    def _draw_band(self, group: Group, candidate: int, flat: dict[str, Tensor]) -> None:
        if not group.bands:
            return
        spread = float(np.sum(group.curve.histogram.counts * group.curve.inclusion * (1 - group.curve.inclusion)))
        margin = 1.5 / np.sqrt(max(spread, 1.0))
        while True:
            near = round(min(margin, 1.0) * ONE)
            kept, windows = 0, []
            for band in group.bands:
                band_kept, found = _compare(band, stream_key(self.seed, candidate, band.tensor, band.block), near, flat)
                kept += band_kept
                windows += found
            if _settle_window(windows, group.open - kept, near, flat):
                return
            margin *= 8

    def _expected(self, distance: object) -> Expected:
        per_tensor = {
            tensor: distance(group.curve, counts)  # type: ignore[operator]
            for group in self._groups
            for tensor, counts in group.counts.items()
        }
        return Expected(sum(per_tensor.values()), per_tensor)


@dataclass(frozen=True)
class Window:
    """Band weights with u so near to q that the exact count may hang on them."""

    tensor: str
    position: Int64[Tensor, " n"]
    key: Float64[Tensor, " n"]


def _compare(band: Band, key: StreamKey, near: int, flat: dict[str, Tensor]) -> tuple[int, list[Window]]:
    """Keep the band weights with u < q, and gather those with |u - q| <= near, which are not counted."""
    kept, windows = 0, []
    for index, q in zip(band.index.split(CHUNK), band.q.split(CHUNK), strict=True):
        u = random_bits(index, key) >> 1
        difference = u - q
        keep = difference < 0
        position = index.long() + band.block * BLOCK
        flat[band.tensor][position] = keep
        close = difference.abs() <= near
        inside = close.nonzero().flatten()
        kept += int((keep & ~close).sum())
        u_close, q_close = u[inside].double() + (ONE / 2 + 0.5), q[inside].double() + ONE / 2
        odds = (u_close / (ONE - u_close)) / (q_close / (ONE - q_close))
        windows.append(Window(band.tensor, position[inside], odds))
    return kept, windows


def _settle_window(windows: list[Window], room: int, near: int, flat: dict[str, Tensor]) -> bool:
    """Give the `room` places to the smallest keys; False if the window was too narrow to be sure.

    Outside the window |logit u - logit q| > 4 near / ONE, since the logit's slope is 4 or more. So the weights
    outside are settled by u < q as long as the cut between kept and not kept lies within that distance of 1.
    """
    key = torch.cat([window.key for window in windows])
    order = torch.sort(key, stable=True)
    limit = 4.0 * near / ONE if near < ONE else np.inf
    if not 0 <= room <= len(key):
        return False
    if room > 0 and order.values[room - 1].log() > limit:
        return False
    if room < len(key) and order.values[room].log() < -limit:
        return False
    keep = torch.zeros(len(key), dtype=torch.bool, device=key.device)
    keep[order.indices[:room]] = True
    for window, part in zip(windows, keep.split([len(window.key) for window in windows]), strict=True):
        flat[window.tensor][window.position] = part
    return True


def _check_integer(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise ConfigError(f"{name} must be an integer from 0 to 2**63 - 1, got {value!r}")


def _common_dtype(weights: Mapping[str, Tensor]) -> torch.dtype:
    for name, weight in weights.items():
        if weight.dtype not in BUCKETINGS:
            known = ", ".join(str(dtype) for dtype in BUCKETINGS)
            raise WeightError(f"weights of {name!r} are {weight.dtype}; can prune {known}: convert them first")
    dtypes = {weight.dtype for weight in weights.values()}
    if len(dtypes) > 1:
        raise WeightError(f"a group needs weights of one dtype, got {sorted(map(str, dtypes))}: convert them first")
    return dtypes.pop()


def _count(name: str, weight: Float[Tensor, "..."], bucketing: Bucketing) -> Int64[np.ndarray, " all"]:
    """Weights in each bucket; only this histogram leaves the device."""
    counts = torch.zeros(bucketing.n_buckets, dtype=torch.int64, device=weight.device)
    for chunk in weight.reshape(-1).split(COUNT_CHUNK):
        counts += torch.bincount(bucketing.bucket(chunk), minlength=bucketing.n_buckets)
    if broken := int(counts[bucketing.infinity :].sum()):
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; mend the model before pruning")
    return counts.cpu().numpy()


def _grid(curve: InclusionCurve, bucketing: Bucketing) -> Int32[np.ndarray, " all"]:
    """For every bucket q on the grid of ONE, less ONE / 2 (so that 0 and 1 both fit 32 bits)."""
    counts = curve.histogram.counts
    exact = np.round(curve.inclusion * ONE).astype(np.int64)
    grid = np.where(exact <= NEGLIGIBLE, 0, np.where(exact >= ONE - NEGLIGIBLE, ONE, exact))
    if not counts[grid == ONE].sum() <= curve.k <= counts[grid > 0].sum():  # the shortcut would miss k
        chance = (curve.inclusion > 0) & (curve.inclusion < 1)
        grid = np.where(chance, np.clip(exact, 1, ONE - 1), exact)
    table = np.zeros(bucketing.n_buckets, dtype=np.int64)
    table[curve.histogram.buckets] = grid
    return (table - ONE // 2).astype(np.int32)


def _split(
    name: str, weight: Float[Tensor, "..."], bucketing: Bucketing, table: Int32[Tensor, " all"]
) -> tuple[Bool[Tensor, " n"], list[Band]]:
    """The mask that all candidates share, False in the band, and the band."""
    flat = weight.reshape(-1)
    table = table.to(weight.device)
    base = torch.empty(flat.shape, dtype=torch.bool, device=weight.device)
    bands = []
    for block, start in enumerate(range(0, flat.numel(), BLOCK)):
        index, q = [], []
        for low in range(start, min(start + BLOCK, flat.numel()), CHUNK):
            chunk = flat[low : min(low + CHUNK, start + BLOCK)]
            probability = table[bucketing.bucket(chunk).long()]
            base[low : low + len(chunk)] = probability == ONE // 2
            inside = (probability.abs() < ONE // 2).nonzero().flatten()
            index.append((inside + (low - start)).int())
            q.append(probability[inside])
        band = Band(name, block, torch.cat(index), torch.cat(q))
        if len(band.index):
            bands.append(band)
    return base, bands


def _position(band: Band) -> Int[Tensor, " n"]:
    return band.index.long() + band.block * BLOCK


def _scores(weight: Float[Tensor, "..."]) -> Float64[Tensor, " n"]:
    """Magnitudes in float64, which holds every supported dtype exactly."""
    return weight.reshape(-1).abs().double()
