"""MaskSampler: plan once, then draw candidate after candidate, each with exactly k weights.

A candidate compares one random number u of each band weight (see `plan.py`) with its q, which keeps about k weights,
and settles the difference by Pareto sampling (Rosén 1997): the k weights with the smallest
`[u / (1 - u)] / [q / (1 - q)]` are kept. Only weights with u close to q are ever sorted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks import literal
from randprune_lab.masks.counter_rng import StreamKey, random_bits, stream_key
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.plan import CHUNK, EVERYTHING, HALF, Band, Plan, make_plan, nonzero, scores
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import Grouping, keep_counts, prunable

LITERAL_BELOW = 4096
"""Groups of fewer weights are drawn by the literal procedure: there the inclusion curve is a poor limit."""

LITERAL_WORK = 2**24
"""Random numbers that the literal procedure may take for a group. With more votes the mask is all but settled."""


@dataclass(frozen=True)
class Expected:
    """A number of weights, expected over the draws: for the whole model and for each tensor."""

    overall: float
    per_tensor: dict[str, float]


@dataclass(frozen=True)
class Ballot:
    """A small group, drawn by the literal procedure."""

    votes: Votes
    scores: Float64[np.ndarray, " n"]  # of the group's tensors, one after the other


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
        self.include, self.exclude, self.literal_below = include, exclude, literal_below
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        keep = keep_counts(self.shapes, sparsity, group)
        members = {"global": list(weights)} if group == "global" else {name: [name] for name in weights}
        self._plans: dict[str, Plan] = {}
        self._ballots: dict[str, Ballot] = {}
        for name, tensors in members.items():
            part = {tensor: weights[tensor] for tensor in tensors}
            plan = self._plans[name] = make_plan(name, part, rule, keep[name])
            size, chance = plan.curve.histogram.size, 0 < plan.curve.k < plan.curve.histogram.nonzero
            votes = rule.votes(size, plan.curve.k) if chance and size < literal_below else None
            if votes is not None and votes.rounds * size <= LITERAL_WORK:
                self._ballots[name] = Ballot(votes, torch.cat([*map(scores, part.values())]).cpu().numpy())

    @property
    def curves(self) -> dict[str, InclusionCurve]:
        """The inclusion curve of each group: a tensor's name, or `"global"`."""
        return {name: plan.curve for name, plan in self._plans.items()}

    @cached_property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def kept(self) -> int:
        """Number of weights that every candidate keeps in all."""
        return sum(plan.curve.k for plan in self._plans.values())

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
        flat: dict[str, Tensor] = {}
        for name, plan in self._plans.items():
            if name in self._ballots:
                flat |= self._draw_by_vote(name, candidate)
            else:
                flat |= _draw_band(plan, self.seed, candidate)
        return MaskSet({name: flat[name].view(shape) for name, shape in self.shapes.items()})

    def recipe(self, candidate: int) -> Recipe:
        """What names a candidate: enough for `from_recipe` to rebuild its mask from the same weights."""
        _check_integer("candidate", candidate)
        return Recipe(
            rule=self.rule.to_dict(),
            sparsity=float(self.sparsity),
            group=self.group,
            seed=int(self.seed),
            candidate=int(candidate),
            include=None if self.include is None else list(self.include),
            exclude=list(self.exclude),
            literal_below=self.literal_below,
            fingerprint=self.fingerprint,
        )

    @classmethod
    def from_recipe(cls, target: nn.Module | Mapping[str, Tensor], recipe: Recipe) -> MaskSampler:
        """The sampler that a recipe was made by: `.draw(recipe.candidate)` is the mask.

        Raises `MaskError`, with both fingerprints, if `target` has other weights.
        """
        sampler = cls(
            target,
            recipe.make_rule(),
            recipe.sparsity,
            seed=recipe.seed,
            group=recipe.group,
            include=recipe.include,
            exclude=recipe.exclude,
            literal_below=recipe.literal_below,
        )
        if sampler.fingerprint != recipe.fingerprint:
            raise MaskError(
                f"the recipe was made for other weights: its fingerprint is {recipe.fingerprint}, that of these "
                f"weights {sampler.fingerprint}; load the weights that the mask was drawn from"
            )
        return sampler

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that the weights contribute to a draw: equal fingerprints, equal masks."""
        digest = hashlib.blake2b(digest_size=16)
        for name, shape in self.shapes.items():
            digest.update(f"{name} {shape}\n".encode())
        for name, plan in self._plans.items():
            parts = [*plan.base.values(), *(part for band in plan.bands for part in (band.index, band.q))]
            for part in parts:
                digest.update(part.cpu().numpy().tobytes())
            if name in self._ballots:
                digest.update(self._ballots[name].scores.tobytes())
        return digest.hexdigest()

    def _draw_by_vote(self, name: str, candidate: int) -> dict[str, Tensor]:
        plan, ballot = self._plans[name], self._ballots[name]
        kept = literal.vote(ballot.scores, plan.curve.k, ballot.votes, seed=self.seed, candidate=candidate, group=name)
        parts = torch.from_numpy(kept).split([len(base) for base in plan.base.values()])
        return {tensor: part.to(base.device) for (tensor, base), part in zip(plan.base.items(), parts, strict=True)}

    def _expected(self, distance: Callable[[InclusionCurve, Int64[np.ndarray, " b"]], float]) -> Expected:
        per_tensor = {
            tensor: distance(plan.curve, counts)
            for plan in self._plans.values()
            for tensor, counts in plan.counts.items()
        }
        return Expected(sum(per_tensor.values()), per_tensor)


@dataclass(frozen=True)
class Window:
    """Band weights with u so near to q that the exact count may hang on them."""

    tensor: str
    position: Int64[Tensor, " n"]
    key: Float64[Tensor, " n"]


def _draw_band(plan: Plan, seed: int, candidate: int) -> dict[str, Tensor]:
    """The masks of one group: the base mask, and those of the band that chance keeps."""
    flat = {tensor: base.clone() for tensor, base in plan.base.items()}
    if not plan.bands:
        return flat
    near = plan.margin
    while True:
        kept, windows = 0, []
        for band in plan.bands:
            some, found = _compare(band, stream_key(seed, candidate, band.tensor, band.block), near, flat[band.tensor])
            kept += some
            windows += found
        if _settle_window(windows, plan.open - kept, near, flat):
            return flat
        near = min(8 * near, EVERYTHING)


def _compare(band: Band, key: StreamKey, near: int, mask: Bool[Tensor, " n"]) -> tuple[int, list[Window]]:
    """Keep the band weights with u < q, and gather those with |u - q| <= near; these are not counted."""
    kept, windows = 0, []
    for index, q in zip(band.index.split(CHUNK), band.q.split(CHUNK), strict=True):
        difference = random_bits(index, key)
        difference >>= 1
        difference -= q
        keep = difference < 0
        position = band.position(index)
        mask.scatter_(0, position, keep)
        close = nonzero(difference.abs() <= near)
        kept += int(torch.count_nonzero(keep)) - int(torch.count_nonzero(keep[close]))
        q_close = q[close].double()
        u_close = q_close + (difference[close].double() + 0.5)
        odds = ((HALF + u_close) / (HALF - u_close)) / ((HALF + q_close) / (HALF - q_close))
        windows.append(Window(band.tensor, position[close], odds))
    return kept, windows


def _settle_window(windows: list[Window], room: int, near: int, flat: dict[str, Tensor]) -> bool:
    """Give the `room` places to the smallest keys; False if the window was too narrow to be sure.

    The slope of the logit is 4 or more, so outside of the window |logit u - logit q| > 4 near / 2 HALF. The weights
    there are settled by u < q as long as the cut between kept and not kept lies within that distance of 1.
    """
    key = torch.cat([window.key for window in windows])
    order = torch.sort(key, stable=True)
    limit = 4.0 * near / (2 * HALF) if near < EVERYTHING else np.inf
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
