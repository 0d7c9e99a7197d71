"""The winner's curse in numbers: what the best of noisy scores shows, and what it is worth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from randprune_lab.errors import check_count, check_range


def best_of(candidates: int, spread: float, noise: float) -> tuple[float, float]:
    """What the best of normal scores is expected to show and to be worth, above the mean of all candidates.

    A candidate is worth a normal number with standard deviation `spread` and shows this plus noise; the one that shows
    most is taken. It shows the expected maximum of as many normal numbers times the standard deviation of both
    together, and of that it is worth the share of `spread`'s variance.

    >>> best_of(1, 1.0, 1.0)
    (0.0, 0.0)
    """
    check_count("candidates", candidates)
    check_range("spread", spread, low=0)
    check_range("noise", noise, low=0)
    if spread == noise == 0:
        return 0.0, 0.0
    shown = _expected_maximum(candidates) * np.hypot(spread, noise)
    return float(shown), float(shown * spread**2 / (spread**2 + noise**2))


@lru_cache
def _expected_maximum(n: int) -> float:
    """Of n standard normal numbers: the integral of x n φ(x) Φ(x)^(n-1)."""
    from scipy.integrate import quad
    from scipy.stats import norm

    if n == 1:
        return 0.0
    return float(quad(lambda x: x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), -10, 10)[0])
