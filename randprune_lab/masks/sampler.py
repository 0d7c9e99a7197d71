"""MaskSampler: plan once, then draw candidate after candidate, each with exactly k weights.

What all candidates share is in `plan.py`; what is drawn for each of them is in `pareto.py`.
"""

from __future__ import annotations

import glob
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError, check_count
from randprune_lab.masks.allocations import Given, as_allocation, keep_counts
from randprune_lab.masks.counter_rng import check_number
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.group_law import Expected
from randprune_lab.masks.importance import FromZero, ranks
from randprune_lab.masks.layout import Weights
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.mask_table import removed_fraction
from randprune_lab.masks.pareto import ParetoSampler
from randprune_lab.masks.plan import Group, Plan, make_plans, together
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rows import all_rows
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import kernels, planned, with_values
from randprune_lab.masks.small_groups import REFERENCE_BELOW, SmallGroup, small_groups, votes_for
from randprune_lab.masks.sparsity import Sparsity, plain_sparsity
from randprune_lab.masks.structures import Named, find_structure


class MaskSampler:
    """Draws masks for a model: `sampler.draw(candidate)` is a pure function of weights, settings and candidate.

    The weights are read once, at construction; training the model afterwards changes no mask.

    Args:
        target: a model, or a dict of weight tensors by name.
        rule: the distribution over masks, such as `Voting(sampling_ratio=1e-4)`.
        sparsity: fraction of the weights to remove, in [0, 1). Each group keeps exactly `N - round(sparsity * N)`. Or a
            dict of fractions by shell pattern of names; the first pattern that matches a tensor counts.
        scores: the importance scores by which weights are ranked, such as `randprune_lab.scores` gives: tensors by the
            weights' names, of the same shapes, finite and from 0. Without it, they are the magnitudes. A weight that is
            zero is never kept, whatever its score; a non-zero weight whose score is zero comes last.
        signed: whether scores may be negative. Then a score is replaced by its rank in the group: the number of scores
            that are not larger.
        structure: weights that are kept or removed together: `"2:4"` (2 of every 4 inputs; also other numbers), a block
            of (outputs, inputs) such as `(32, 1)`, `"heads"` or `"neurons"` of a model. Then sparsity, and counts of an
            allocation, are of such units; N:M implies its sparsity, which can be None.
        seed: all random numbers are a function of it, the candidate number and the tensor's name.
        allocation: how many weights each tensor keeps: `"layerwise"` (each tensor has the sparsity), `"row"` (each
            output of it), `"global"` (one threshold for all), `"erk"` or `"owl"`; an `Allocation`, or counts by tensor.
        include, exclude, types: patterns of names and classes of layers that choose the weights, see `prunable`.
        reference_below: groups with fewer weights are drawn by the reference procedure.

    Raises:
        ConfigError: if a setting is out of range.
        ScopeError: if there is nothing to prune, a pattern matches nothing, or no pattern of sparsity matches a tensor.
        WeightError: if weights are not finite or not floating point, or fewer are non-zero than are to be kept; if they
            have no values, as on the meta device, or are not tensors; if scores do not fit the weights.
        MaskError: if PyTorch's pruning or parametrization wraps a weight.
        RuleError: if what a rule of your own returns breaks a law of `Rule.inclusion`.

    >>> sampler = MaskSampler({"w": torch.arange(1.0, 9.0)}, Magnitude(), sparsity=0.75)
    >>> sampler.draw(0)["w"].nonzero().flatten().tolist()
    [6, 7]
    """

    def __init__(
        self,
        target: nn.Module | Mapping[str, Tensor],
        rule: Rule,
        sparsity: Sparsity | None,
        *,
        scores: Mapping[str, Tensor] | None = None,
        signed: bool = False,
        structure: Named = None,
        seed: int = 0,
        allocation: Given = "layerwise",
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        types: Sequence[type[nn.Module] | str] | None = None,
        reference_below: int = REFERENCE_BELOW,
    ):
        if not isinstance(rule, Rule):
            raise ConfigError(f"rule must be a rule such as Voting(), got {rule!r}; make_rule makes one from its name")
        check_number("seed", seed)
        check_count("reference_below", reference_below, low=0)
        weights = {name: planned(part) for name, part in with_values(target, include, exclude, types).items()}
        self.structure, self.allocation = find_structure(structure), as_allocation(allocation)
        self.sparsity = plain_sparsity(self.structure.sparsity(sparsity, self.allocation))
        self._layout = self.structure.layout(target, weights)
        self._layout.check(self.allocation)
        self.shapes = {name: tuple(weights[name].shape) for name in self._layout.weights}
        self.include = include if types is None else [*map(glob.escape, weights)]  # a recipe has names, not classes
        self.scores, self.signed = scores, scores is not None and bool(signed)
        self._scored = None if scores is None else {"criterion": "custom", "signed": self.signed}
        weights = self._layout.ranked(weights, scores, signed)  # from here on, units take the place of weights
        self._units = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        convolved, ranked = kernels(target), FromZero(weights, self.signed)
        self._keep = keep_counts(self._units, self.sparsity, self.allocation, convolved, ranked)
        self.rule, self.seed, self.exclude, self.reference_below = rule, int(seed), exclude, int(reference_below)
        self.curves: dict[str, InclusionCurve] = {}
        """The inclusion curve of each group: a tensor's name, or `"global"`. Rows that are groups have none here."""
        self._counts: dict[str, dict[str, Int64[np.ndarray, " b"]]] = {}
        self._small_groups: dict[str, SmallGroup] = {}
        self._rows = self._layout.rows(weights, rule, self.signed)
        if self.allocation.compared == "row":
            self._rows = all_rows(target, weights, self._keep, rule, self.reference_below, self.signed)
        made = partial(torch.zeros if self._rows else torch.empty, dtype=torch.bool)
        self._base = {name: made(weight.numel(), device=weight.device) for name, weight in weights.items()}
        large: defaultdict[torch.device, list[Plan]] = defaultdict(list)
        for batch in self._batches(weights) if not self._rows else ():
            small: list[tuple[Group, Votes]] = []
            for group, plan in zip(batch, make_plans(batch, self.rule, self._base), strict=True):
                self.curves[group.name], self._counts[group.name] = plan.curve, plan.counts
                if not any(len(part.flip) for part in plan.undecided):
                    continue
                if votes := votes_for(self.rule, plan.curve, self.reference_below):
                    small.append((group, votes))
                else:
                    large[plan.undecided[0].flip.device].append(plan)
            self._small_groups |= small_groups(small)
        self._pareto_samplers = [ParetoSampler(plans, self.seed) for plans in large.values()]

    @cached_property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def kept(self) -> int:
        """Number of weights that every candidate keeps."""
        units = {group: sum(sizes.values()) for group, sizes in self._layout.sizes.items()}
        return sum(k * units.get(group, max(units.values())) for group, k in self._keep.items())

    @property
    def undecided(self) -> int:
        """Number of weights that some candidates keep and others remove."""
        units = self._by_tensor(lambda curve, counts: counts[curve.undecided].sum())
        units |= {name: rows.undecided for name, rows in self._rows.items()}
        return int(Expected.of(self._layout.in_weights(units)).overall)

    def expected_hamming(self) -> Expected:
        """Expected Hamming distance between two candidates, in weights: a closed form, accurate for large groups."""
        return self._expected("expected_hamming")

    def expected_distance_to_magnitude(self) -> Expected:
        """Expected Hamming distance between a candidate and the magnitude mask, in weights: a closed form as well."""
        return self._expected("expected_distance_to_magnitude")

    def __repr__(self) -> str:
        about = "" if isinstance(self.structure, Weights) else f"structure {self.structure}, "
        return (
            f"MaskSampler({self.rule}, {len(self.shapes)} tensors, {self.kept:,} of {self.size:,} kept, sparsity "
            f"{removed_fraction(self.size, self.kept):.4%}, {about}allocation {self.allocation.name}, seed {self.seed})"
        )

    @torch.no_grad()
    def draw(self, candidate: int) -> MaskSet:
        """Draw one candidate: masks for all tensors, on the device of the weights."""
        check_number("candidate", candidate)
        flat = {name: base.clone() for name, base in self._base.items()}
        for large in self._pareto_samplers:
            large.draw(candidate, flat)
        for name, small in self._small_groups.items():
            small.draw(name, self.seed, candidate, flat)
        for name, rows in self._rows.items():
            rows.draw(name, self.seed, candidate, flat)
        return MaskSet(self._layout.spread({name: flat[name].view(shape) for name, shape in self._units.items()}))

    def draw_many(self, n: int, *, start: int = 0) -> Iterator[MaskSet]:
        """Draw the n candidates from `start` on, each when the iterator comes to it.

        Raises:
            ConfigError: if `n` or `start` is not a whole number from 0.
        """
        check_count("n", n, low=0)
        check_number("start", start)
        return map(self.draw, range(int(start), int(start) + int(n)))

    def recipe(self, candidate: int) -> Recipe:
        """The recipe of a candidate: with the same weights, `from_recipe` rebuilds its mask."""
        check_number("candidate", candidate)
        return Recipe(
            rule=self.rule.to_dict(),
            sparsity=self.sparsity,
            allocation=self.allocation.recorded(self._keep),
            seed=self.seed,
            candidate=int(candidate),
            include=None if self.include is None else list(self.include),
            exclude=list(self.exclude),
            reference_below=self.reference_below,
            fingerprint=self.fingerprint,
            criterion=self._scored,
            structure=None if isinstance(self.structure, Weights) else str(self.structure),
        )

    @classmethod
    def from_recipe(
        cls, target: nn.Module | Mapping[str, Tensor], recipe: Recipe, scores: Mapping[str, Tensor] | None = None
    ) -> MaskSampler:
        """The sampler that made a recipe: its `.draw(recipe.candidate)` is the mask.

        Args:
            target: the weights that the mask was drawn from.
            recipe: the recipe.
            scores: the scores that it was drawn by, if these were not magnitudes.

        Raises:
            ConfigError: if `recipe` is no `Recipe`, or needs scores.
            MaskError: if the weights or scores are others (the message has both fingerprints), or the mask was regrown.
        """
        if not isinstance(recipe, Recipe):
            raise ConfigError(f"recipe must be a Recipe, got {recipe!r}; Recipe.from_dict makes one from a dict")
        recipe.check_rebuilds()
        if recipe.criterion and scores is None:
            raise ConfigError(
                f"the recipe was made with scores of criterion {recipe.criterion['criterion']!r}; give them too: "
                "from_recipe(target, recipe, scores)"
            )
        names = ("structure", "seed", "allocation", "include", "exclude", "reference_below")
        settings = {name: getattr(recipe, name) for name in names}
        sampler = cls(target, recipe.make_rule(), recipe.sparsity, scores=scores, signed=recipe.signed, **settings)
        if sampler.fingerprint != recipe.fingerprint:
            raise MaskError(
                f"the recipe was made for other weights: its fingerprint is {recipe.fingerprint}, that of these "
                f"weights {sampler.fingerprint}; load the weights that the mask was drawn from"
            )
        return sampler

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the weights contribute to a draw: equal fingerprints mean equal masks."""
        digest = hashlib.blake2b(digest_size=16)
        for name, shape in self._units.items():
            digest.update(f"{name} {shape}\n".encode())
        base = [*self._base.values()]
        if (device := base[0].device).type != "cpu":
            base = [torch.cat([part.to(device) for part in base])]  # so that a GPU is read once
        undecided = [part for large in self._pareto_samplers for part in (large.position, large.flip)]
        found = [part.cpu().numpy() for part in (*base, *undecided)]
        found += [small.scores for small in self._small_groups.values()] + [r.content for r in self._rows.values()]
        for array in found:
            digest.update(array.data)
        return digest.hexdigest()

    def _batches(self, weights: dict[str, Tensor]) -> Iterator[list[Group]]:
        """The groups in lists to plan together: on the CPU of one group each."""
        batch: list[Group] = []
        for name, k in self._keep.items():
            scored = weights if self.allocation.compared == "all" else {name: weights[name]}
            group = Group(name, k, ranks(name, scored) if self.signed else scored)
            if batch and not together([*batch, group]):
                yield batch
                batch = []
            batch.append(group)
        yield batch

    def _by_tensor(self, of: Callable[[InclusionCurve, Int64[np.ndarray, " b"]], float]) -> dict[str, float]:
        return {
            tensor: float(of(self.curves[group], counts))
            for group, parts in self._counts.items()
            for tensor, counts in parts.items()
        }

    def _expected(self, distance: str) -> Expected:
        units = self._by_tensor(getattr(InclusionCurve, distance))
        units |= {name: getattr(rows, distance)() for name, rows in self._rows.items()}
        for group in () if isinstance(self.structure, Weights) else self._small_groups.values():
            units |= getattr(group, distance)()
        return Expected.of(self._layout.in_weights(units))
