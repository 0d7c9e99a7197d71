"""How sure a figure is: 95 % intervals of an accuracy, and of a paired difference of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that covers the truth in 95 of 100 repetitions."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


def accuracy_interval(correct: Bool[np.ndarray, " n"]) -> Interval:
    """Accuracy over independent examples, with Wilson's score interval (Wilson 1927)."""
    from scipy.stats import binomtest

    ci = binomtest(int(correct.sum()), len(correct)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(correct.mean()), float(ci.low), float(ci.high))


def paired_difference(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], *, seed: int = 0, resamples: int = 2000
) -> Interval:
    """Accuracy of `first` less that of `second` on the same examples, with a paired bootstrap interval.

    Examples are resampled, both answers to an example together (percentile method, Efron and Tibshirani 1993).
    """
    difference = first.astype(np.int8) - second.astype(np.int8)
    n = len(difference)
    # A resample is fixed by how many of its examples have difference -1, 0 and 1.
    shares = np.bincount(difference + 1, minlength=3) / n
    counts = np.random.default_rng(seed).multinomial(n, shares, size=resamples)
    low, high = np.quantile((counts[:, 2] - counts[:, 0]) / n, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(difference.mean()), float(low), float(high))
