"""Exact distributions of small masks by enumeration, and a test of drawn masks against them."""

from __future__ import annotations

from itertools import combinations, permutations, product
from math import comb, prod

import numpy as np
import pytest
from scipy import stats

FALSE_ALARM = 1e-6
"""Chance that a right procedure would have failed one statistical test; seeds are fixed, so it never varies."""

Subset = tuple[int, ...]


def successive_law(p: np.ndarray, k: int) -> dict[Subset, float]:
    """The chance of every set of k in successive sampling, by adding up all orders of drawing."""
    law: dict[Subset, float] = {}
    for order in permutations(range(len(p)), k):
        left = [p.sum() - sum(p[j] for j in order[:drawn]) for drawn in range(k)]
        chance = prod(p[i] / rest for i, rest in zip(order, left, strict=True))
        subset = tuple(sorted(order))
        law[subset] = law.get(subset, 0.0) + chance
    return law


def voting_law(p: np.ndarray, k: int, rounds: int) -> dict[Subset, float]:
    """The chance of every mask: all combinations of samples, ties shared out evenly."""
    single = successive_law(p, k)
    law = dict.fromkeys(combinations(range(len(p)), k), 0.0)
    for draws in product(single, repeat=rounds):
        chance = prod(single[draw] for draw in draws)
        votes = [sum(i in draw for draw in draws) for i in range(len(p))]
        threshold = sorted(votes, reverse=True)[k - 1]
        sure = [i for i, count in enumerate(votes) if count > threshold]
        tied = [i for i, count in enumerate(votes) if count == threshold]
        room = k - len(sure)
        for chosen in combinations(tied, room):
            law[tuple(sorted([*sure, *chosen]))] += chance / comb(len(tied), room)
    return law


def check_law(masks: list[Subset], law: dict[Subset, float]) -> None:
    """Chi-square of the drawn masks against their exact chances."""
    assert sum(law.values()) == pytest.approx(1)
    observed = np.array([masks.count(subset) for subset in law])
    expected = len(masks) * np.array(list(law.values()))
    assert observed.sum() == len(masks) and expected.min() > 5
    statistic = np.sum((observed - expected) ** 2 / expected)
    chi2 = stats.chi2(len(law) - 1)
    assert chi2.ppf(FALSE_ALARM / 2) < statistic < chi2.isf(FALSE_ALARM / 2)
