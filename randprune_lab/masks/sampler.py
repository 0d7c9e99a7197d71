"""MaskSampler: plan once, then draw candidate after candidate, each with exactly k weights.

What candidates share is in `plan.py`, what is drawn for each of them in `lottery.py`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks import literal
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.lottery import Lottery
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.plan import Plan, make_plan, scores
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

    tensors: list[str]
    scores: Float64[np.ndarray, " n"]  # of the tensors, one after the other
    votes: Votes


class MaskSampler:
    """Draws masks for a model: `sampler.draw(candidate)` is a pure function of weights, settings and candidate.

    The weights are read at construction; training the model afterwards changes no mask.

    Args:
        target: a model, or a dict of weight tensors by name.
        rule: the distribution over masks, such as `Voting(sampling_ratio=1e-4)`.
        sparsity: share of the weights to remove, in [0, 1). Each group keeps exactly `N - round(sparsity * N)`.
        seed: together with the candidate number and the tensor's name it makes all random numbers.
        group: `"tensor"` prunes each tensor by itself, `"global"` all together; `"erk"` and a dict see `keep_counts`.
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
        group: Grouping | Mapping[str, int] = "tensor",
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        literal_below: int = LITERAL_BELOW,
    ):
        _check_integer("seed", seed)
        weights = {name: tensor.detach() for name, tensor in prunable(target, include, exclude).items()}
        self.rule, self.sparsity, self.seed, self.group = rule, sparsity, seed, group
        self.include, self.exclude, self.literal_below = include, exclude, literal_below
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        self._keep = keep_counts(self.shapes, sparsity, group)
        self._base = {
            name: torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
            for name, weight in weights.items()
        }
        self.curves: dict[str, InclusionCurve] = {}
        """The inclusion curve of each group: a tensor's name, or `"global"`."""
        self._counts: dict[str, dict[str, Int64[np.ndarray, " b"]]] = {}
        self._ballots: dict[str, Ballot] = {}
        open_: defaultdict[torch.device, list[Plan]] = defaultdict(list)
        for name, k in self._keep.items():
            part = weights if self.group == "global" else {name: weights[name]}
            plan = make_plan(name, part, self.rule, k, self._base)
            self.curves[name], self._counts[name] = plan.curve, plan.counts
            if not any(len(band.chance) for band in plan.bands):
                continue
            histogram = plan.curve.histogram
            votes = self.rule.votes(histogram.size, k)
            if votes and histogram.size < self.literal_below and votes.rounds * histogram.size <= LITERAL_WORK:
                every = torch.cat([*map(scores, part.values())]).cpu().numpy()
                self._ballots[name] = Ballot([*part], every, votes)
            else:
                open_[plan.bands[0].chance.device].append(plan)
        self._lotteries = [Lottery(plans, self.seed) for plans in open_.values()]

    @cached_property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def kept(self) -> int:
        """Number of weights that every candidate keeps in all."""
        return sum(self._keep.values())

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
        for lottery in self._lotteries:
            lottery.draw(candidate, flat)
        for name in self._ballots:
            self._draw_by_vote(name, candidate, flat)
        return MaskSet({name: flat[name].view(shape) for name, shape in self.shapes.items()})

    def recipe(self, candidate: int) -> Recipe:
        """What names a candidate: enough for `from_recipe` to rebuild its mask from the same weights."""
        _check_integer("candidate", candidate)
        return Recipe(
            rule=self.rule.to_dict(),
            sparsity=float(self.sparsity),
            group=dict(self.group) if isinstance(self.group, Mapping) else self.group,
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
        settings = {name: getattr(recipe, name) for name in ("seed", "group", "include", "exclude", "literal_below")}
        sampler = cls(target, recipe.make_rule(), recipe.sparsity, **settings)
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
        bands = [part for lottery in self._lotteries for part in (lottery.position, lottery.chance)]
        for part in (*self._base.values(), *bands):
            digest.update(part.cpu().numpy().data)
        for ballot in self._ballots.values():
            digest.update(ballot.scores.data)
        return digest.hexdigest()

    def _draw_by_vote(self, name: str, candidate: int, flat: dict[str, Tensor]) -> None:
        ballot, k = self._ballots[name], self._keep[name]
        kept = literal.vote(ballot.scores, k, ballot.votes, seed=self.seed, candidate=candidate, group=name)
        masks = [flat[tensor] for tensor in ballot.tensors]
        for mask, part in zip(masks, torch.from_numpy(kept).split([*map(len, masks)]), strict=True):
            mask.copy_(part)

    def _expected(self, distance: Callable[[InclusionCurve, Int64[np.ndarray, " b"]], float]) -> Expected:
        per_tensor = {
            tensor: distance(self.curves[name], counts)
            for name, parts in self._counts.items()
            for tensor, counts in parts.items()
        }
        return Expected(sum(per_tensor.values()), per_tensor)


def _check_integer(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise ConfigError(f"{name} must be an integer from 0 to 2**63 - 1, got {value!r}")
