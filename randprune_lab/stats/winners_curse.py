"""The winner's curse in closed form: the score of the best of noisy candidates, and its true value."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from randprune_lab.errors import check_count, check_range


def best_of(candidates: int, spread: float, noise: float) -> tuple[float, float]:
    """Expected score and expected true value of the candidate with the best score, above the mean of all candidates.

    True values are normal with standard deviation `spread`; a score is the true value plus normal noise with standard
    deviation `noise`. The expected best score is the expected maximum of `candidates` standard normal numbers times
    `sqrt(spread² + noise²)`. The expected true value is this times `spread² / (spread² + noise²)`.

    Args:
        candidates: number of candidates.
        spread, noise: the two standard deviations.

    Returns:
        The expected score and the expected true value.

    Raises:
        ConfigError: if there is no candidate, or a standard deviation is negative or not finite.

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
    """The expected maximum of n standard normal numbers: the integral of x n φ(x) Φ(x)^(n-1)."""
    from scipy.integrate import quad
    from scipy.stats import norm

    if n == 1:
        return 0.0
    return float(quad(lambda x: x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), -10, 10)[0])
