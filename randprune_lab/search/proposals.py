"""Where the masks of a level's candidates come from: the rules alone, or also what earlier candidates taught.

Candidates come in generations of equal size, numbered through. The best of a generation, its *elite*, shape the
masks of the next. What is learned is a function of who they were, so a candidate is still named by a few integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from randprune_lab.errors import RunError
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import Allocation, keep_count, prunable

Elites = tuple[tuple[int, ...], ...]
"""The elite of every generation so far, by candidate number, best first."""


@dataclass(eq=False)
class Proposal:
    """Candidates that learn nothing from each other: the rules in turn.

    Args:
        rules: candidate c is drawn by the rule c mod their number.
        sparsity, seed, allocation, include, exclude: as of `MaskSampler`.
        size: candidates of a generation.
        elites: who was best in the generations before.
        rate: how much of what a generation taught replaces what was held before, from 0 (nothing) to 1 (all).
        scores: what the rules go by instead of magnitudes, for each tensor that is pruned; zero where a weight is.
    """

    rules: tuple[Rule, ...]
    sparsity: float
    seed: int
    allocation: Allocation = "layerwise"
    size: int = 1
    elites: Elites = ()
    rate: float = 0.5
    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    scores: Callable[[nn.Module], Mapping[str, Tensor]] | None = None
    _scored: Mapping[str, Tensor] | None = field(default=None, init=False, repr=False)
    _samplers: dict[Rule, MaskSampler] = field(default_factory=dict, init=False, repr=False)

    def draw(self, model: nn.Module, candidate: int) -> MaskSet:
        """The mask of a candidate. `model` has the level's starting weights whenever this is called."""
        return self._sampler(model, candidate).draw(candidate)

    def recipe(self, model: nn.Module, candidate: int) -> dict[str, Any]:
        """What names the mask, given these weights: what `redraw` takes."""
        return self._sampler(model, candidate).recipe(candidate).to_dict()

    def _sampler(self, model: nn.Module, candidate: int) -> MaskSampler:
        """The sampler of a candidate's rule, planned when it is first wanted."""
        rule = self._rule(candidate)
        if rule not in self._samplers:
            self._samplers[rule] = self._plan(model, rule, self.allocation)
        return self._samplers[rule]

    def _plan(self, model: nn.Module, rule: Rule, allocation: Allocation | Mapping[str, int]) -> MaskSampler:
        if self.scores is None:
            return MaskSampler(
                model,
                rule,
                self.sparsity,
                seed=self.seed,
                allocation=allocation,
                include=self.include,
                exclude=self.exclude,
            )
        if self._scored is None:
            self._scored = self.scores(model)
        return MaskSampler(self._scored, rule, self.sparsity, seed=self.seed, allocation=allocation)

    def _rule(self, candidate: int) -> Rule:
        return self.rules[candidate % len(self.rules)]

    def _elites_before(self, candidate: int) -> Elites:
        """The elites that a candidate learns from."""
        generation = candidate // self.size
        if generation > len(self.elites):
            raise RunError(f"candidate {candidate} is of generation {generation}, and {len(self.elites)} were selected")
        return self.elites[:generation]


@dataclass(eq=False)
class LearnedAllocation(Proposal):
    """The cross-entropy method on how much each tensor keeps, at the same total (Rubinstein 1999; De Boer et al. 2005).

    Where a tensor keeps a share p of its weights, the log-odds of p are normal around what the elites had. The first
    generation has a mean of what all would keep if each lost the same share of the weights that it still has.

    Args:
        spread: standard deviation of the log-odds in the first generation.
    """

    spread: float = 0.5

    def _sampler(self, model: nn.Module, candidate: int) -> MaskSampler:
        weights = prunable(model, self.include, self.exclude)
        offsets = self._offsets(candidate, len(weights))
        counts = allocate(weights, self.sparsity, offsets)
        return self._plan(model, self._rule(candidate), counts)

    def _offsets(self, candidate: int, tensors: int) -> Float64[np.ndarray, " tensors"]:
        """Log-odds of what each tensor keeps, against the mean of the first generation."""
        mean, spread = np.zeros(tensors), np.full(tensors, self.spread)
        for elite in self._elites_before(candidate):
            best = np.stack([mean + spread * self._normals(one, tensors) for one in elite])
            mean = mean + self.rate * (best.mean(axis=0) - mean)
            spread = spread + self.rate * (best.std(axis=0) - spread)
        return mean + spread * self._normals(candidate, tensors)

    def _normals(self, candidate: int, tensors: int) -> Float64[np.ndarray, " tensors"]:
        from scipy.special import ndtri

        return ndtri(uniform(self.seed, candidate, "", torch.arange(tensors), purpose="allocation").numpy())


@dataclass(eq=False)
class LearnedInclusion(Proposal):
    """Inclusion probabilities that are drawn towards the elites' masks, weight by weight (Baluja 1994).

    A weight that the elites keep more often than not is kept more often: its probability is (1 - rate) q + rate m,
    where q is the rule's and m the share of the last elite that keeps it.
    """

    _masks: dict[int, MaskSet] = field(default_factory=dict, init=False, repr=False)

    def draw(self, model: nn.Module, candidate: int) -> MaskSet:
        fresh, taught = super().draw(model, candidate), self._elites_before(candidate)
        if not taught:
            return fresh
        return blend(fresh, [self._elite(model, one) for one in taught[-1]], self.rate, self.seed, candidate)

    def recipe(self, model: nn.Module, candidate: int) -> dict[str, Any]:
        found, taught = super().recipe(model, candidate), self._elites_before(candidate)
        if not taught:
            return found
        return found | {"rate": self.rate, "elite": [self.recipe(model, one) for one in taught[-1]]}

    def _elite(self, model: nn.Module, candidate: int) -> MaskSet:
        if candidate not in self._masks:
            self._masks[candidate] = self.draw(model, candidate)
        return self._masks[candidate]


def redraw(target: nn.Module | Mapping[str, Tensor], recipe: Mapping[str, Any]) -> MaskSet:
    """The mask that a recorded recipe names, from the weights that it was drawn from.

    If the run went by another criterion than magnitude, `target` are its scores (`wanda_scores`).
    Raises `MaskError` for other weights.
    """
    own = {key: value for key, value in recipe.items() if key not in ("rate", "elite")}
    fresh = Recipe.from_dict(own)
    mask = MaskSampler.from_recipe(target, fresh).draw(fresh.candidate)
    if "elite" not in recipe:
        return mask
    elite = [redraw(target, one) for one in recipe["elite"]]
    return blend(mask, elite, recipe["rate"], fresh.seed, fresh.candidate)


def allocate(
    weights: Mapping[str, Tensor], sparsity: float, offsets: Float64[np.ndarray, " tensors"]
) -> dict[str, int]:
    """How many weights each tensor keeps: log-odds of an equal loss, moved by `offsets`; the total is that of "global".

    Weights that are zero are not kept, so a tensor keeps at most what it has left.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    size = np.array([weight.numel() for weight in weights.values()])
    left = np.array([int(torch.count_nonzero(weight)) for weight in weights.values()])
    total = keep_count(int(size.sum()), sparsity)
    equal = np.clip(total * left / left.sum() / size, 1e-9, 1 - 1e-9)

    def kept(shift: float) -> Float64[np.ndarray, " tensors"]:
        return np.minimum(size * expit(logit(equal) + offsets + shift), left)

    if total >= left.sum():
        return dict(zip(weights, map(int, left), strict=True))
    exact = kept(brentq(lambda shift: kept(shift).sum() - total, -100, 100, xtol=1e-12))
    counts = np.floor(exact).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    room = order[counts[order] < left[order]]
    counts[room[: total - counts.sum()]] += 1
    return dict(zip(weights, map(int, counts), strict=True))


def blend(fresh: MaskSet, elite: Sequence[MaskSet], rate: float, seed: int, candidate: int) -> MaskSet:
    """A mask as sparse as all of these, which keeps weights with the probability (1 - rate) fresh + rate · mean(elite).

    Exactly as many of each tensor are kept as `fresh` keeps, by Pareto sampling (Rosén 1997) of those of which the
    masks disagree. `fresh` is one draw of the rule, so that over candidates its own probabilities come in.
    """
    return MaskSet({name: _blend(name, mask, elite, rate, seed, candidate) for name, mask in fresh.items()})


def _blend(
    name: str, fresh: Bool[Tensor, "*shape"], elite: Sequence[MaskSet], rate: float, seed: int, candidate: int
) -> Bool[Tensor, "*shape"]:
    share = torch.stack([one[name] for one in elite]).double().mean(dim=0)
    chance = ((1 - rate) * fresh + rate * share).flatten()
    open_ = ((chance > 0) & (chance < 1)).nonzero().flatten()
    mask = chance >= 1
    chance = chance[open_]
    u = uniform(seed, candidate, name, open_, purpose="blend")
    keys = u / (1 - u) * (1 - chance) / chance
    mask[open_[keys.argsort(stable=True)[: int(fresh.sum() - mask.sum())]]] = True
    return mask.view(fresh.shape)
