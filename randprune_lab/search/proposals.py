"""Proposal distributions: what the masks of a level's candidates are drawn from.

Candidates come in generations of equal size and have consecutive numbers. The best candidates of a generation, its
*elite*, change the distribution of the next generation. The change depends only on the elites' numbers, so a few
integers still determine a candidate's mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from randprune_lab.errors import RunError
from randprune_lab.masks.allocations import Given, as_allocation
from randprune_lab.masks.allocations.totals import log_odds_moved, normals, room_in, sizes_of
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.layout import Layout
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe, checked, with_check
from randprune_lab.masks.rules import Magnitude, Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import prunable
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.masks.structures import find_structure
from randprune_lab.search.scorer import Scorer

Elites = tuple[tuple[int, ...], ...]
"""The elite of each generation so far: numbers of candidates, best first."""


@dataclass(eq=False)
class Proposal:
    """Draws masks that do not depend on earlier candidates: candidates use the rules cyclically.

    Args:
        rules: the mask rules; candidate c is drawn by `rules[c % len(rules)]`.
        sparsity, seed, allocation, include, exclude, types, structure: see `MaskSampler`.
        size: the number of candidates in a generation.
        elites: the best candidates of the generations so far.
        rate: the update rate of the learned distribution after a generation, from 0 (none) to 1 (all).
        scores: computes the importance scores of the weights. Without it, they are magnitudes.
        incumbent: candidate 0 keeps the largest scores, with the allocation as it is: the mask that a search has to
            beat. Other candidates do not change.
    """

    rules: tuple[Rule, ...]
    sparsity: float
    seed: int
    allocation: Given = "layerwise"
    size: int = 1
    elites: Elites = ()
    rate: float = 0.5
    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    types: Sequence[str] | None = None
    structure: str | None = None
    scores: Scorer | None = None
    incumbent: bool = False
    _scored: Mapping[str, Tensor] | None = field(default=None, init=False, repr=False)
    _samplers: dict[Rule, MaskSampler] = field(default_factory=dict, init=False, repr=False)

    def draw(self, model: nn.Module, candidate: int) -> MaskSet:
        """The mask of a candidate; `model` must have the level's starting weights."""
        return self._sampler(model, candidate).draw(candidate)

    def recipe(self, model: nn.Module, candidate: int) -> dict[str, Any]:
        """The recipe of a candidate's mask, from which `redraw` rebuilds it; `model` must have the starting weights."""
        recipe = self._sampler(model, candidate).recipe(candidate)
        if self.scores is not None:
            recipe = replace(recipe, criterion=self.scores.criterion.to_dict())
        return recipe.to_dict()

    def _sampler(self, model: nn.Module, candidate: int) -> MaskSampler:
        """The sampler of a candidate's rule, built when it is first used."""
        rule = self._rule(candidate)
        if rule not in self._samplers:
            self._samplers[rule] = self._plan(model, rule, self.allocation)
        return self._samplers[rule]

    def _plan(self, model: nn.Module, rule: Rule, allocation: Given) -> MaskSampler:
        scores, signed = self.importance(model)
        return MaskSampler(
            model,
            rule,
            self.sparsity,
            scores=scores,
            signed=signed,
            structure=self.structure,
            seed=self.seed,
            allocation=allocation,
            include=self.include,
            exclude=self.exclude,
            types=self.types,
        )

    def importance(self, model: nn.Module) -> tuple[Mapping[str, Tensor] | None, bool]:
        """The scores of the level's starting weights, which `model` must have, and whether they are signed."""
        if self.scores is not None and self._scored is None:
            self._scored = self.scores(model)
        return self._scored, self.scores is not None and self.scores.criterion.signed

    def _rule(self, candidate: int) -> Rule:
        return Magnitude() if self._is_incumbent(candidate) else self.rules[candidate % len(self.rules)]

    def _is_incumbent(self, candidate: int) -> bool:
        return self.incumbent and candidate == 0

    def _elites_before(self, candidate: int) -> Elites:
        """The elites that a candidate learns from."""
        generation = candidate // self.size
        if generation > len(self.elites):
            raise RunError(
                f"candidate {candidate} belongs to generation {generation}, which needs the elites of {generation} "
                f"generations, got {len(self.elites)}; select earlier generations first"
            )
        return self.elites[:generation]


@dataclass(eq=False)
class LearnedAllocation(Proposal):
    """Learns how many weights each tensor keeps, at a fixed total, with the cross-entropy method.

    If a tensor keeps a fraction p of its weights, the log-odds of p are normally distributed around those of the
    elites. The mean of the first generation is the allocation; with "layerwise" it is an equal loss: each tensor loses
    the same fraction of its nonzero weights.

    Args:
        spread: the standard deviation of the log-odds in the first generation.

    Source: Rubinstein 1999; De Boer et al. 2005.
    """

    spread: float = 0.5
    _counts: dict[str, int] | None = field(default=None, init=False, repr=False)

    def _sampler(self, model: nn.Module, candidate: int) -> MaskSampler:
        if self._is_incumbent(candidate):
            return super()._sampler(model, candidate)
        weights = prunable(model, self.include, self.exclude, self.types)
        layout = find_structure(self.structure).layout(model, weights)
        units = layout.ranked(weights, None, signed=False)
        middle = self._middle(model, layout)
        counts = allocate(units, self.sparsity, self._offsets(candidate, len(units)), middle)
        by_row = as_allocation(self.allocation).compared == "row"
        return self._plan(model, self._rule(candidate), as_allocation({"row": counts} if by_row else counts))

    def _middle(self, model: nn.Module, layout: Layout) -> dict[str, int] | None:
        """The counts of the allocation; None for an equal loss."""
        if as_allocation(self.allocation) in (as_allocation("layerwise"), as_allocation("row")):
            return None
        if self._counts is None:
            largest = self._plan(model, Magnitude(), self.allocation).draw(0)
            self._counts = layout.units({name: int(part.sum()) for name, part in largest.items()})
        return self._counts

    def _offsets(self, candidate: int, tensors: int) -> Float64[np.ndarray, " tensors"]:
        """The log-odds of keeping a weight of each tensor, minus their mean in the first generation."""
        mean, spread = np.zeros(tensors), np.full(tensors, self.spread)
        for elite in self._elites_before(candidate):
            best = np.stack([mean + spread * self._normals(member, tensors) for member in elite])
            mean = mean + self.rate * (best.mean(axis=0) - mean)
            spread = spread + self.rate * (best.std(axis=0) - spread)
        return mean + spread * self._normals(candidate, tensors)

    def _normals(self, candidate: int, tensors: int) -> Float64[np.ndarray, " tensors"]:
        return np.zeros(tensors) if self._is_incumbent(candidate) else normals(self.seed, candidate, tensors)


@dataclass(eq=False)
class LearnedInclusion(Proposal):
    """Learns inclusion probabilities: weight by weight, they move towards the masks of the last elite.

    The probability of a weight is (1 - rate) q + rate m. Here q is its inclusion probability under the rule, and m is
    the fraction of the elite's masks that keep it.

    Source: Baluja 1994.
    """

    _masks: dict[int, MaskSet] = field(default_factory=dict, init=False, repr=False)

    def draw(self, model: nn.Module, candidate: int) -> MaskSet:
        fresh, elites = super().draw(model, candidate), self._elites_before(candidate)
        if not elites:
            return fresh
        return blend(fresh, [self._elite(model, member) for member in elites[-1]], self.rate, self.seed, candidate)

    def recipe(self, model: nn.Module, candidate: int) -> dict[str, Any]:
        recipe, elites = super().recipe(model, candidate), self._elites_before(candidate)
        if not elites:
            return recipe
        elite = [self.recipe(model, member) for member in elites[-1]]
        return with_check(recipe | {"rate": self.rate, "elite": elite})

    def _elite(self, model: nn.Module, candidate: int) -> MaskSet:
        if candidate not in self._masks:
            self._masks[candidate] = self.draw(model, candidate)
        return self._masks[candidate]


def redraw(
    target: nn.Module | Mapping[str, Tensor], recipe: Mapping[str, Any], scores: Mapping[str, Tensor] | None = None
) -> MaskSet:
    """Draw the mask of a recorded recipe again.

    Args:
        target: the model with the weights that the mask was drawn from.
        recipe: the recipe, as `LevelRecord.recipe` returns it.
        scores: the scores that it was drawn by, if these were not magnitudes.

    Raises:
        ConfigError: if the recipe needs scores.
        MaskError: if the weights are not those of the recipe.
        FileError: if the recipe is damaged, or of another format.
    """
    checked(recipe)
    own = {key: value for key, value in recipe.items() if key not in ("rate", "elite")}
    plain = Recipe.from_dict(with_check(own))
    mask = MaskSampler.from_recipe(target, plain, scores).draw(plain.candidate)
    if "elite" not in recipe:
        return mask
    elite = [redraw(target, member, scores) for member in recipe["elite"]]
    return blend(mask, elite, recipe["rate"], plain.seed, plain.candidate)


def allocate(
    weights: Mapping[str, Tensor],
    sparsity: float,
    offsets: Float64[np.ndarray, " tensors"],
    middle: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """How many weights each tensor keeps, if the log-odds of an equal loss are moved by `offsets`.

    Zero weights are never kept, so a tensor keeps at most its nonzero weights.

    Args:
        weights: the tensors by name.
        sparsity: the fraction of all weights that is removed.
        offsets: what is added to the log-odds of keeping a weight, for each tensor.
        middle: the counts whose log-odds are moved, instead of those of an equal loss.

    Returns:
        The number of kept weights by tensor. Their sum is that of the allocation "global".

    Raises:
        WeightError: if fewer weights are non-zero than are to be kept.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    size, left = sizes_of(shapes), room_in(shapes, weights)
    total = keep_count(int(size.sum()), sparsity)
    if middle is None:
        density = total * left / max(int(left.sum()), 1) / size
    else:
        density = np.array([middle[name] for name in weights]) / size
    return dict(zip(weights, map(int, log_odds_moved(density, offsets, size, left, total)), strict=True))


def blend(fresh: MaskSet, elite: Sequence[MaskSet], rate: float, seed: int, candidate: int) -> MaskSet:
    """Draw a mask that keeps a weight with probability (1 - rate) fresh + rate · mean(elite).

    Each tensor keeps exactly the number of weights that `fresh` keeps. The weights on which the masks disagree are
    drawn by Pareto sampling.

    Args:
        fresh: a mask drawn by the rule; over many candidates it brings in the inclusion probabilities of the rule.
        elite: the masks to learn from.
        rate: the weight of `elite`, from 0 to 1.
        seed, candidate: determine the random numbers.

    Source: Rosén 1997 for Pareto sampling.
    """
    return MaskSet({name: _blend(name, mask, elite, rate, seed, candidate) for name, mask in fresh.items()})


def _blend(
    name: str, fresh: Bool[Tensor, "*shape"], elite: Sequence[MaskSet], rate: float, seed: int, candidate: int
) -> Bool[Tensor, "*shape"]:
    fraction = torch.stack([member[name] for member in elite]).double().mean(dim=0)
    inclusion = ((1 - rate) * fresh + rate * fraction).flatten()
    undecided = ((inclusion > 0) & (inclusion < 1)).nonzero().flatten()
    mask = inclusion >= 1
    inclusion = inclusion[undecided]
    u = uniform(seed, candidate, name, undecided, purpose="blend")
    keys = u / (1 - u) * (1 - inclusion) / inclusion
    mask[undecided[keys.argsort(stable=True)[: int(fresh.sum() - mask.sum())]]] = True
    return mask.view(fresh.shape)
