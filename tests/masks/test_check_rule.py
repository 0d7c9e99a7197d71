"""The laws of rules: every built-in rule obeys them, each law has a rule that breaks it, and no mask is drawn then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import ConfigError, RuleError
from randprune_lab.masks.curve import Histogram, InclusionCurve
from randprune_lab.masks.rules import RULES, Votes

GOOD = [
    rp.Magnitude(),
    rp.Uniform(),
    rp.GumbelTopK(),
    rp.GumbelTopK(temperature=5.0),
    rp.Voting(),
    rp.Voting(sampling_ratio=1e-2, power=1.0),
]


@pytest.mark.parametrize("rule", GOOD, ids=str)
def test_every_built_in_rule_obeys_the_laws(rule: rp.Rule) -> None:
    rp.check_rule(rule)


def uniform(histogram: Histogram, k: int) -> np.ndarray:
    return np.full(len(histogram.counts), k / histogram.nonzero)


def magnitude(histogram: Histogram, k: int) -> np.ndarray:
    return InclusionCurve(histogram, np.zeros(0), k).magnitude


def smallest(histogram: Histogram, k: int) -> np.ndarray:
    counts = histogram.counts
    below = counts.cumsum() - counts
    return np.clip((k - below) / counts, 0.0, 1.0)


def absolute(histogram: Histogram, k: int) -> np.ndarray:
    """Magnitude for large scores, uniform for small ones: where the limit is depends on the unit."""
    return magnitude(histogram, k) if histogram.scores.max() > 4 else uniform(histogram, k)


def humped(histogram: Histogram, k: int) -> np.ndarray:
    """Likely for scores of middle size, all below 1 / 2."""
    q = np.exp(-(np.log(histogram.scores / np.median(histogram.scores)) ** 2))
    return 0.4 * q * min(1.0, k / (0.4 * histogram.counts @ q))


def too_certain(histogram: Histogram, k: int) -> np.ndarray:
    """Magnitude without its largest scores, scaled until the sum is right: some probabilities get above 1."""
    q = magnitude(histogram, k)
    q[-1] *= 0.5
    return q * (k / (histogram.counts @ q))


def soft(histogram: Histogram, k: int) -> np.ndarray:
    """Proportional to the score, at most 1: no step."""
    low, high = 0.0, 1 / histogram.scores[0]
    while (factor := (low + high) / 2) not in (low, high):
        full = histogram.counts @ np.minimum(factor * histogram.scores, 1) >= k
        low, high = (low, factor) if full else (factor, high)
    return np.minimum(factor * histogram.scores, 1)


def spoiling(histogram: Histogram, k: int) -> np.ndarray:
    """Writes into the histogram."""
    q = uniform(histogram, k)
    histogram.counts[:] = 1
    histogram.scores[:] = 0
    return q


Inclusion = Callable[[Histogram, int], np.ndarray]


def own_rule(function: Inclusion, base: type[rp.Rule] = rp.Rule, **attributes: object) -> rp.Rule:
    namespace = {"inclusion": lambda self, histogram, k: function(histogram, k), "name": "own", **attributes}
    return dataclass(frozen=True)(type("Own", (base,), namespace))()


@pytest.fixture(autouse=True)
def registered_rules() -> Iterator[None]:
    known = dict(RULES._classes)
    yield
    RULES._classes.clear()
    RULES._classes.update(known)


EACH = "must give a probability for each bucket"
RANGE = "must be from 0 to 1"
BROKEN: dict[str, tuple[Inclusion, str]] = {
    "sum": (lambda histogram, k: 0.9 * uniform(histogram, k), "must sum to"),
    "sum, a bit": (lambda histogram, k: (1 - 1e-5) * uniform(histogram, k), "must sum to"),
    "whole numbers": (lambda histogram, k: np.zeros(len(histogram.counts), dtype=np.int64), "must sum to"),
    "above 1": (lambda histogram, k: 2 * magnitude(histogram, k), RANGE),
    "just above 1": (too_certain, RANGE),
    "below 0": (lambda histogram, k: magnitude(histogram, k) - 1e-3, RANGE),
    "not a number": (lambda histogram, k: np.full(len(histogram.counts), np.nan), RANGE),
    "one not a number": (lambda histogram, k: np.append(uniform(histogram, k)[1:], np.nan), RANGE),
    "infinite": (lambda histogram, k: np.inf * uniform(histogram, k), RANGE),
    "falling": (smallest, "must not fall as the score rises"),
    "humped": (humped, "must not fall as the score rises"),
    "one number": (lambda histogram, k: np.array([k / histogram.nonzero]), EACH),
    "for each weight": (lambda histogram, k: np.full(histogram.size + 1, k / histogram.size), EACH),
    "column": (lambda histogram, k: uniform(histogram, k)[:, None], EACH),
    "nothing": (lambda histogram, k: None, EACH),
    "tensor": (lambda histogram, k: torch.from_numpy(uniform(histogram, k)), EACH),
    "list": (lambda histogram, k: uniform(histogram, k).tolist(), EACH),
    "complex": (lambda histogram, k: uniform(histogram, k) * 1j, EACH),
    "texts": (lambda histogram, k: uniform(histogram, k).astype(str), EACH),
}
WEIGHTS = {"w": torch.randn(100, 100, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_law_is_named_with_its_numbers_before_a_mask_is_drawn(broken: str) -> None:
    inclusion, message = BROKEN[broken]
    rule = own_rule(inclusion)
    for attempt in (lambda: rp.MaskSampler(WEIGHTS, rule, sparsity=0.9), lambda: rp.check_rule(rule)):
        with pytest.raises(RuleError, match=rf"rule 'own', keeping \d+ of .* {message}"):
            attempt()


def test_a_probability_that_depends_on_the_unit_is_named() -> None:
    with pytest.raises(
        RuleError, match=r"rule 'own', keeping .* multiplying all scores by 8 must change no probability"
    ):
        rp.check_rule(own_rule(absolute))


@pytest.mark.parametrize("inclusion", [uniform, magnitude, soft, spoiling])
@pytest.mark.parametrize("allocation", ["layerwise", "global"])
def test_a_lawful_rule_of_your_own_keeps_exactly_k_as_often_as_it_says(inclusion: Inclusion, allocation: str) -> None:
    sampler = rp.MaskSampler(WEIGHTS, own_rule(inclusion), sparsity=0.9, allocation=allocation)
    curve = next(iter(sampler.curves.values()))
    assert curve.histogram.size == 10_000 and curve.histogram.scores[0] > 0
    masks = [sampler.draw(candidate)["w"] for candidate in range(20)]
    assert {int(mask.sum()) for mask in masks} == {1000}
    large = WEIGHTS["w"].abs() > 1.5
    expected = curve.inclusion @ (curve.histogram.counts * (curve.histogram.scores > 1.5))
    kept = sum(int(mask[large].sum()) for mask in masks) / len(masks)
    assert kept == pytest.approx(expected, abs=0.02 * 1000)  # more than 5 standard errors


def test_the_checks_cannot_be_replaced() -> None:
    with pytest.raises(ConfigError, match=r"rule Own must not have a curve of its own.*define inclusion"):
        own_rule(smallest, curve=lambda self, histogram, k: InclusionCurve(histogram, smallest(histogram, k), k))


def test_rounding_errors_are_no_broken_law_and_are_taken_away() -> None:
    noise = np.random.default_rng(0).uniform(-1e-12, 1e-12, size=10_000)
    rule = own_rule(lambda histogram, k: magnitude(histogram, k) + noise[: len(histogram.counts)])
    sampler = rp.MaskSampler(WEIGHTS, rule, sparsity=0.9)
    q = sampler.curves["w"].inclusion
    assert np.all(np.diff(q) >= 0) and q[0] >= 0 and q[-1] <= 1 and sampler.draw(0).kept == 1000


def test_single_precision_is_precise_enough() -> None:
    rule = own_rule(lambda histogram, k: soft(histogram, k).astype(np.float32))
    assert rp.MaskSampler(WEIGHTS, rule, sparsity=0.9).draw(0).kept == 1000


def test_a_deterministic_rule_keeps_the_largest_scores() -> None:
    sampler = rp.MaskSampler(WEIGHTS, own_rule(magnitude, deterministic=True), sparsity=0.9)
    assert sampler.draw(0) == sampler.draw(1) == rp.MaskSampler(WEIGHTS, rp.Magnitude(), sparsity=0.9).draw(0)
    with pytest.raises(RuleError, match="a deterministic rule keeps the 1000 largest scores"):
        rp.MaskSampler(WEIGHTS, own_rule(uniform, deterministic=True), sparsity=0.9)


SMALL = {"w": torch.cat([torch.full((32, 32), 1.0), torch.full((32, 32), 2.0)])}


def test_a_curve_of_its_own_replaces_the_votes_of_its_base_class() -> None:
    """In small groups, which the reference procedure draws."""
    rule = own_rule(uniform, base=rp.GumbelTopK)
    kept = [rp.MaskSampler(SMALL, rule, sparsity=0.9).draw(candidate)["w"][32:].sum() for candidate in range(10)]
    assert sum(kept) / 10 == pytest.approx(102.5, abs=20)  # by the votes of the base class, 200


@pytest.mark.parametrize("votes", [(3, 1.0), 3, "three", True])
def test_votes_of_a_wrong_kind_are_named(votes: object) -> None:
    rule = own_rule(uniform, votes=lambda self, n, k: votes)
    with pytest.raises(RuleError, match=r"votes of Own\(\) must give Votes or None, got"):
        rp.MaskSampler(SMALL, rule, sparsity=0.9)


@pytest.mark.parametrize("values", [(0, 1.0), (1.5, 1.0), (1, -1.0), (1, float("nan")), ("3", 1.0), (1, None)])
def test_votes_out_of_range_are_refused(values: tuple) -> None:
    with pytest.raises(ConfigError, match=r"(rounds|power) must be"):
        Votes(*values)


def test_a_class_in_place_of_a_rule_is_named() -> None:
    with pytest.raises(
        rp.RandpruneError, match=r"check_rule needs a rule, got <class .*Voting'>; make one of the class"
    ):
        rp.check_rule(rp.Voting)  # type: ignore[arg-type]


def test_the_name_may_be_a_field() -> None:
    @dataclass(frozen=True)
    class Named(rp.Uniform):
        name: str = "named"

    rp.check_rule(Named())


def test_a_rule_without_a_name_draws_but_cannot_be_recorded() -> None:
    @dataclass(frozen=True)
    class Nameless(rp.Rule):
        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            return uniform(histogram, k)

    sampler = rp.MaskSampler(WEIGHTS, Nameless(), sparsity=0.9)
    assert sampler.draw(0).kept == 1000
    with pytest.raises(RuleError, match=r"rule Nameless cannot be recorded.* name: ClassVar"):
        sampler.recipe(0)


@pytest.mark.parametrize("k", [-1, 10_001, 2.5, "many", None, True])
def test_a_curve_wants_a_number_of_weights(k: object) -> None:
    histogram = Histogram.from_scores(np.arange(10_000.0) + 1)
    with pytest.raises(ConfigError, match="k must be a whole number"):
        rp.Uniform().curve(histogram, k)


def test_settings_that_are_no_json_are_refused() -> None:
    @dataclass(frozen=True)
    class Odd(rp.Uniform):
        made_by: object = uniform
        name: ClassVar[str] = "odd"

    with pytest.raises(RuleError, match="settings that cannot be recorded as JSON"):
        rp.check_rule(Odd())
