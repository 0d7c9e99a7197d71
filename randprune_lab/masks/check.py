"""The laws that every mask rule must obey, for rules of your own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float64

from randprune_lab.errors import RuleError
from randprune_lab.masks.curve import TOLERANCE, Histogram, lawful
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rules import RULES, Rule
from randprune_lab.masks.sampler import MaskSampler


def check_rule(rule: Rule) -> None:
    """Check that a rule obeys the laws that searches, recipes and closed forms rely on.

    It is registered, and its recorded settings make it again. On weights of several shapes, for small and large k: its
    inclusion probabilities are between 0 and 1, never fall as the score rises, sum to k, and do not change when all
    scores are multiplied by a number. A mask drawn by it keeps exactly k weights, none of them zero, and its recipe
    rebuilds it.

    Raises:
        RuleError: if it breaks a law; the message has the law and the numbers.

    >>> check_rule(Voting(sampling_ratio=1e-2))
    """
    if not isinstance(rule, Rule):
        raise RuleError(f"check_rule needs a rule, got {rule!r}; make one of the class, such as check_rule(Voting())")
    _check_registered(rule)
    for scores in _weights():
        histogram = Histogram.from_scores(scores)
        for k in sorted({0, 1, histogram.nonzero // 16, histogram.nonzero // 2, histogram.nonzero}):
            _check_curve(rule, histogram, k)
    _check_draws(rule)


def _check_registered(rule: Rule) -> None:
    if RULES.get(getattr(rule, "name", "")) is not type(rule):
        raise RuleError(f"{type(rule).__name__} is not registered; give the class a name: name: ClassVar[str] = 'mine'")
    try:
        recorded = json.loads(json.dumps(rule.to_dict()))
    except TypeError as error:
        raise RuleError(f"rule {rule.name!r} has settings that cannot be recorded as JSON: {error}") from error
    again = RULES.make(recorded.pop("rule"), recorded)
    if again != rule:
        raise RuleError(f"rule {rule.name!r} is not equal to what its recorded settings make: {rule} and {again}")


def _weights() -> Iterator[Float64[np.ndarray, " n"]]:
    """Scores to try: heavy-tailed, few values with many ties, over many orders of magnitude, with zeros."""
    random = np.random.default_rng(0)
    yield np.abs(random.standard_t(4, 5000))
    yield np.repeat([0.1, 0.2, 0.5, 3.0], [400, 300, 200, 100])
    yield np.exp(random.uniform(-20, 20, 1000))
    yield np.concatenate([np.zeros(500), np.abs(random.standard_normal(500))])


def _check_curve(rule: Rule, histogram: Histogram, k: int) -> None:
    q = lawful(rule.curve(histogram, k).inclusion, histogram, k, rule.name, rule.deterministic)
    scaled = Histogram(histogram.buckets, 8 * histogram.scores, histogram.counts, histogram.zeros)
    if (change := float(np.abs(rule.curve(scaled, k).inclusion - q).max(initial=0.0))) > TOLERANCE:
        raise RuleError(
            f"rule {rule.name!r}, keeping {k} of {histogram.size} weights ({histogram.zeros} zero): multiplying all "
            f"scores by 8 must change no probability, got a change of {change:g}"
        )


def _check_draws(rule: Rule) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, 64, generator=generator) for name, size in (("small", 16), ("large", 128))}
    weights["large"][:40] = 0
    sampler = MaskSampler(weights, rule, sparsity=0.9)
    for candidate in (0, 1):
        mask = sampler.draw(candidate)
        for name, part in mask.items():
            kept, wanted = int(part.sum()), part.numel() - round(0.9 * part.numel())
            if kept != wanted or bool((part & (weights[name] == 0)).any()):
                raise RuleError(f"rule {rule.name!r}: a mask must keep exactly {wanted} weights, none zero, got {kept}")
        recipe = Recipe.from_dict(json.loads(json.dumps(sampler.recipe(candidate).to_dict())))
        if MaskSampler.from_recipe(weights, recipe).draw(candidate) != mask:
            raise RuleError(f"rule {rule.name!r}: the recipe of candidate {candidate} does not rebuild its mask")
