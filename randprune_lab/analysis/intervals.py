"""How sure a figure is: 95 % intervals of a metric, and of a paired difference of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

CONFIDENCE = 0.95
RESAMPLES = 2000
CHUNK = 4_000_000
"""Counts of one batch of resamples, which bounds the memory."""

Counts = Int64[np.ndarray, "resamples n"]
Figures = Float64[np.ndarray, " resamples"]


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that covers the truth in 95 of 100 repetitions."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


def score_interval(metric: str, answers: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Interval:
    """A metric over independent examples: Wilson's interval of an accuracy, else a bootstrap interval.

    Examples are resampled, an answer and its label together (percentile method, Efron and Tibshirani 1993).

    Args:
        metric: accuracy, matthews or pearson: what a task may be selected by.
        answers: a label id, or a score, for each example.
        labels: the true ones.
    """
    if metric == "accuracy":
        return accuracy_interval(answers == labels)
    weighted = WEIGHTED[metric]
    figures = [weighted(counts, answers, labels) for counts in _resamples(len(labels), seed)]
    return _interval(weighted(_each_once(labels), answers, labels), figures)


def score_difference(
    metric: str, first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, seed: int = 0
) -> Interval:
    """A metric of `first` less that of `second` on the same examples, with a paired bootstrap interval.

    Both answers to an example are resampled together.
    """
    if metric == "accuracy":
        return paired_difference(first == labels, second == labels, seed=seed)
    weighted = WEIGHTED[metric]

    def gain(counts: Counts) -> Figures:
        return weighted(counts, first, labels) - weighted(counts, second, labels)

    return _interval(gain(_each_once(labels)), [gain(counts) for counts in _resamples(len(labels), seed)])


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of independent figures, such as those of runs with other seeds, with Student's t interval.

    Of a single figure nothing is known of how far it may be off: its interval is not finite.
    """
    from scipy.stats import t

    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return Interval(float(found.mean()), -np.inf, np.inf)
    arm = t.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return Interval(float(found.mean()), float(found.mean() - arm), float(found.mean() + arm))


def rank_correlation(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> Interval:
    """Spearman's rank correlation, with the interval of Fisher's transformation and Bonett and Wright's error (2000).

    0 where one of the two does not vary. Needs four pairs at least for an interval that is not all of [-1, 1].
    """
    from scipy.stats import norm, spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Interval(0.0, -1.0, 1.0)
    estimate = float(spearmanr(first, second).statistic)
    if len(first) < 4:
        return Interval(estimate, -1.0, 1.0)
    centre = np.arctanh(np.clip(estimate, -1 + 1e-12, 1 - 1e-12))
    arm = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((1 + estimate**2 / 2) / (len(first) - 3))
    return Interval(estimate, float(np.tanh(centre - arm)), float(np.tanh(centre + arm)))


def accuracy_interval(correct: Bool[np.ndarray, " n"]) -> Interval:
    """Accuracy over independent examples, with Wilson's score interval (Wilson 1927)."""
    from scipy.stats import binomtest

    ci = binomtest(int(correct.sum()), len(correct)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(correct.mean()), float(ci.low), float(ci.high))


def paired_difference(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Accuracy of `first` less that of `second` on the same examples, with a paired bootstrap interval.

    Examples are resampled, both answers to an example together (percentile method, Efron and Tibshirani 1993).
    """
    difference = first.astype(np.int8) - second.astype(np.int8)
    n = len(difference)
    # A resample is fixed by how many of its examples have difference -1, 0 and 1.
    shares = np.bincount(difference + 1, minlength=3) / n
    counts = np.random.default_rng(seed).multinomial(n, shares, size=resamples)
    return _interval(difference.mean(keepdims=True), [(counts[:, 2] - counts[:, 0]) / n])


def _interval(estimate: np.ndarray, resampled: list[np.ndarray]) -> Interval:
    low, high = np.quantile(np.concatenate(resampled), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(estimate[0]), float(low), float(high))


# --- metrics of many resamples at once, each given by how often it holds every example ---


def _each_once(labels: np.ndarray) -> Counts:
    return np.ones((1, len(labels)), dtype=np.int64)


def _resamples(n: int, seed: int) -> Iterator[Counts]:
    random = np.random.default_rng(seed)
    size = max(1, CHUNK // n)
    for start in range(0, RESAMPLES, size):
        yield random.multinomial(n, np.full(n, 1 / n), size=min(size, RESAMPLES - start))


def _matthews(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """Of any number of labels (Gorodkin 2004); 0 where all answers or all labels are the same."""
    n = counts.sum(1)
    ids = np.union1d(answers, labels)
    given, true = (counts @ (values[:, None] == ids).astype(np.float64) for values in (answers, labels))
    right = counts @ (answers == labels).astype(np.float64)
    return _ratio(right * n - (given * true).sum(1), (n**2 - (given**2).sum(1)) * (n**2 - (true**2).sum(1)))


def _pearson(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """0 where all answers or all labels are the same."""
    n = counts.sum(1)
    x, y = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (answers, labels))
    sum_x, sum_y, sum_xy = (counts @ values for values in (x, y, x * y))
    return _ratio(n * sum_xy - sum_x * sum_y, _spread(counts, x) * _spread(counts, y))


def _spread(counts: Counts, values: Float64[np.ndarray, " n"]) -> Figures:
    """n² times the variance in each resample; what is left by rounding where all values are the same is 0."""
    squares = counts.sum(1) * (counts @ values**2)
    spread = squares - (counts @ values) ** 2
    return np.where(spread > 1e-12 * squares, spread, 0.0)


def _ratio(covariance: np.ndarray, variances: np.ndarray) -> Figures:
    defined = variances > 0
    return np.where(defined, covariance / np.sqrt(np.where(defined, variances, 1.0)), 0.0)


WEIGHTED: dict[str, Callable[[Counts, np.ndarray, np.ndarray], Figures]] = {"matthews": _matthews, "pearson": _pearson}
