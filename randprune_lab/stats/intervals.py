"""95 % confidence intervals: of a metric, of a paired difference, of a mean, and of a rank correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float64

CONFIDENCE = 0.95
RESAMPLES = 2000
SAME = 1e-12
"""Values that are closer than this are the same up to rounding."""
CHUNK = 4_000_000
"""Maximum number of counts in one batch of resamples; it bounds the memory."""

Counts = Float64[np.ndarray, "resamples n"]
Figures = Float64[np.ndarray, " resamples"]


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval that covers the true value in 95 of 100 repetitions."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def as_correlation(self) -> str:
        """The interval of a correlation.

        >>> Interval(0.16, -0.37, 0.61).as_correlation()
        '+0.16 [-0.37, +0.61]'
        """
        return f"{self.estimate:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    def in_points(self, *, signed: bool = False) -> str:
        """The interval of a score or difference in points, that is, in hundredths of the metric.

        Args:
            signed: write the sign of positive numbers too, as for a difference.

        >>> Interval(0.012, -0.03, 0.054).in_points(signed=True)
        '+1.2 [-3.0, +5.4]'
        """
        sign = "+" if signed else ""
        return "{0:{s}.1f} [{1:{s}.1f}, {2:{s}.1f}]".format(
            *(100 * value for value in (self.estimate, self.low, self.high)), s=sign
        )


def score_interval(metric: str, answers: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Interval:
    """A metric over independent examples, with Wilson's interval for accuracy and a bootstrap interval for others.

    The bootstrap resamples examples, an answer and its label together (percentile method).

    Args:
        metric: accuracy, or a key of `WEIGHTED`.
        answers: a label id, or a score, for each example.
        labels: the true label ids or scores.

    Source: Efron and Tibshirani 1993; Wilson 1927.
    """
    if metric == "accuracy":
        return accuracy_interval(answers == labels)
    weighted = WEIGHTED[metric]
    figures = [weighted(counts, answers, labels) for counts in _resamples(len(labels), seed)]
    return _interval(weighted(_each_once(labels), answers, labels), figures)


def score_difference(
    metric: str, first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, seed: int = 0
) -> Interval:
    """A metric of `first` minus the metric of `second` on the same examples, with a paired bootstrap interval.

    The bootstrap resamples examples, both answers and the label together (percentile method). Equal label ids have the
    interval of `no_difference`; equal scores are those of one model.

    Args:
        metric: accuracy, or a key of `WEIGHTED`.
        first, second: a label id, or a score, for each example.
        labels: the true label ids or scores.

    Source: Efron and Tibshirani 1993.
    """
    if metric == "accuracy":
        return paired_difference(first == labels, second == labels, seed=seed)
    if first.dtype.kind != "f" and np.array_equal(first, second):
        return no_difference(len(labels))
    weighted = WEIGHTED[metric]

    def difference(counts: Counts) -> Figures:
        return weighted(counts, first, labels) - weighted(counts, second, labels)

    return _interval(difference(_each_once(labels)), [difference(counts) for counts in _resamples(len(labels), seed)])


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of independent values, such as the scores of runs with different seeds, with Student's t interval.

    A single value does not show how much values vary, and equal values do not either, so their interval is infinite.
    """
    from scipy.stats import t

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2 or np.ptp(sample) < SAME:
        return Interval(float(sample.mean()), -np.inf, np.inf)
    margin = t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return Interval(float(sample.mean()), float(sample.mean() - margin), float(sample.mean() + margin))


def rank_correlation(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> Interval:
    """Spearman's rank correlation, with an interval by Fisher's transformation.

    It is 0 if `first` or `second` does not vary. The interval is [-1, 1] then, and also with fewer than four pairs.

    Source: Bonett and Wright 2000 (standard error).
    """
    from scipy.stats import norm, spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Interval(0.0, -1.0, 1.0)
    estimate = float(spearmanr(first, second).statistic)
    if len(first) < 4:
        return Interval(estimate, -1.0, 1.0)
    centre = np.arctanh(np.clip(estimate, -1 + 1e-12, 1 - 1e-12))
    margin = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((1 + estimate**2 / 2) / (len(first) - 3))
    return Interval(estimate, float(np.tanh(centre - margin)), float(np.tanh(centre + margin)))


def accuracy_interval(correct: Bool[np.ndarray, " n"]) -> Interval:
    """Accuracy over independent examples, with Wilson's score interval.

    Source: Wilson 1927.
    """
    from scipy.stats import binomtest

    ci = binomtest(int(correct.sum()), len(correct)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(correct.mean()), float(ci.low), float(ci.high))


def paired_difference(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Accuracy of `first` minus the accuracy of `second` on the same examples, with a paired bootstrap interval.

    The bootstrap resamples examples, both answers together (percentile method). If the difference is the same on all
    examples, resamples do not vary. Then it may be another one, from -1 to 1, on the fraction of all examples that
    `no_difference` says; with equal answers that is the interval of `no_difference`.

    Args:
        first, second: whether each answer is right.

    Source: Efron and Tibshirani 1993.
    """
    difference = first.astype(np.int8) - second.astype(np.int8)
    n = len(difference)
    if np.ptp(difference) == 0:
        same, others = float(difference[0]), no_difference(n).high
        return Interval(same, same - others * (1 + same), same + others * (1 - same))
    # Only the numbers of examples with difference -1, 0 and 1 matter in a resample.
    fractions = np.bincount(difference + 1, minlength=3) / n
    counts = np.random.default_rng(seed).multinomial(n, fractions, size=resamples)
    return _interval(difference.mean(keepdims=True), [(counts[:, 2] - counts[:, 0]) / n])


def no_difference(n: int) -> Interval:
    """The interval of the difference of two models that agree on all of n examples.

    Agreement on the sample does not mean agreement on others: at most a fraction p of all examples differs, where even
    1 - p would still give n equal ones with probability 0.05. That is about 3 / n.

    Source: Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all right?".

    >>> no_difference(300).in_points()
    '0.0 [-1.0, 1.0]'
    """
    most = 1 - (1 - CONFIDENCE) ** (1 / n)
    return Interval(0.0, -most, most)


def _interval(estimate: np.ndarray, resampled: list[np.ndarray]) -> Interval:
    low, high = np.quantile(np.concatenate(resampled), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(estimate[0]), float(low), float(high))


# --- metrics of many resamples at once; a resample is the number of times that it contains each example ---


def _each_once(labels: np.ndarray) -> Counts:
    return np.ones((1, len(labels)))


def _resamples(n: int, seed: int) -> Iterator[Counts]:
    """The resamples in batches, the same for every model and metric. Those of one batch are kept: tables ask often."""
    if RESAMPLES * n <= CHUNK:
        yield _one_batch(n, seed, RESAMPLES)
        return
    random = np.random.default_rng(seed)
    size = max(1, CHUNK // n)
    for start in range(0, RESAMPLES, size):
        yield _drawn(random, n, min(size, RESAMPLES - start))


@lru_cache(maxsize=2)
def _one_batch(n: int, seed: int, size: int) -> Counts:
    counts = _drawn(np.random.default_rng(seed), n, size)
    counts.setflags(write=False)
    return counts


def _drawn(random: np.random.Generator, n: int, size: int) -> Counts:
    return random.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)


def _matthews(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """Matthews correlation for any number of labels; 0 if all answers or all labels are the same.

    Source: Gorodkin 2004.
    """
    n = counts.sum(1)
    ids = np.union1d(answers, labels)
    predicted, true = (counts @ (values[:, None] == ids).astype(np.float64) for values in (answers, labels))
    right = counts @ (answers == labels).astype(np.float64)
    return _ratio(right * n - (predicted * true).sum(1), (n**2 - (predicted**2).sum(1)) * (n**2 - (true**2).sum(1)))


def _pearson(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """Pearson correlation; 0 if all answers or all labels are the same."""
    n = counts.sum(1)
    x, y = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (answers, labels))
    sums = counts @ np.column_stack([x, y, x * y, x**2, y**2])  # the counts are read once, which is what takes the time
    sum_x, sum_y, sum_xy, sum_xx, sum_yy = sums.T
    return _ratio(n * sum_xy - sum_x * sum_y, _spread(n, sum_x, sum_xx) * _spread(n, sum_y, sum_yy))


def _f1(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """F1 of the label with id 1; 0 if neither answers nor labels have it."""
    return np.nan_to_num(_label_f1(counts, answers, labels, 1))


def _macro_f1(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """The mean F1 over the labels that occur in the answers or the labels of a resample."""
    ids = np.union1d(answers, labels)
    return np.nanmean([_label_f1(counts, answers, labels, each) for each in ids], axis=0)


def _label_f1(counts: Counts, answers: np.ndarray, labels: np.ndarray, label: int) -> Figures:
    """F1 of one label; NaN if neither answers nor labels have it."""
    predicted, true = (values == label for values in (answers, labels))
    with np.errstate(invalid="ignore"):
        return counts @ (2.0 * (predicted & true)) / (counts @ (predicted.astype(np.float64) + true))


def _spearman(counts: Counts, answers: np.ndarray, labels: np.ndarray) -> Figures:
    """Rank correlation; 0 if all answers or all labels are the same."""
    x, y = (_centred_ranks(counts, values) for values in (answers, labels))
    return _ratio((counts * x * y).sum(1), (counts * x**2).sum(1) * (counts * y**2).sum(1))


def _centred_ranks(counts: Counts, values: np.ndarray) -> Float64[np.ndarray, "resamples n"]:
    """The rank of each example in each resample, minus the mean rank; equal values have the mean of their ranks."""
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    same = np.add.reduceat(counts[:, np.argsort(place, kind="stable")], np.cumsum(sizes) - sizes, axis=1)
    middle = np.cumsum(same, axis=1) - (same - 1) / 2 - (counts.sum(1, keepdims=True) + 1) / 2
    return middle[:, place]


def _spread(n: Figures, sums: Figures, sums_of_squares: Figures) -> Figures:
    """n² times the variance in each resample; exactly 0 if all values are the same, in spite of rounding."""
    squares = n * sums_of_squares
    spread = squares - sums**2
    return np.where(spread > 1e-12 * squares, spread, 0.0)


def _ratio(covariance: np.ndarray, variances: np.ndarray) -> Figures:
    defined = variances > 0
    return np.where(defined, covariance / np.sqrt(np.where(defined, variances, 1.0)), 0.0)


WEIGHTED: dict[str, Callable[[Counts, np.ndarray, np.ndarray], Figures]] = {
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
