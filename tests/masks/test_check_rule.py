"""The laws of `check_rule`: every built-in rule obeys them, and each law has a rule that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import randprune_lab as rp
from randprune_lab.errors import RuleError
from randprune_lab.masks.curve import Histogram, InclusionCurve
from randprune_lab.masks.rules import RULES

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


BROKEN: list[tuple[Callable[[Histogram, int], np.ndarray], str]] = [
    (lambda histogram, k: 0.9 * uniform(histogram, k), "must sum to"),
    (lambda histogram, k: 2 * magnitude(histogram, k), "must be from 0 to 1"),
    (lambda histogram, k: np.full(len(histogram.counts), np.nan), "must be from 0 to 1"),
    (smallest, "must not fall as the score rises"),
    (absolute, "multiplying all scores by 8 must change no probability"),
    (lambda histogram, k: np.array([k / histogram.nonzero]), "must give a probability for each bucket"),
]


@pytest.mark.parametrize(("inclusion", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_law_is_named_with_its_numbers(inclusion, message) -> None:
    @dataclass(frozen=True)
    class Broken(rp.Rule):
        name: ClassVar[str] = "broken"

        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            return inclusion(histogram, k)

    try:
        with pytest.raises(RuleError, match=message) as caught:
            rp.check_rule(Broken())
        assert "rule 'broken', keeping" in str(caught.value)
    finally:
        RULES._classes.pop("broken")


def test_settings_that_are_no_json_are_refused() -> None:
    @dataclass(frozen=True)
    class Odd(rp.Uniform):
        made_by: object = uniform
        name: ClassVar[str] = "odd"

    try:
        with pytest.raises(RuleError, match="settings that cannot be recorded as JSON"):
            rp.check_rule(Odd())
    finally:
        RULES._classes.pop("odd")
