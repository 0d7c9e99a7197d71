"""Three intervals of a mean over tasks, each of which has several seeds. They answer different questions.

- `fixed_tasks`: how would these tasks come out with other seeds?
- `over_tasks`: how would other tasks come out, of which these are a sample?
- `hierarchical`: the same, with what is known beforehand of how much tasks differ.

A value is the difference of two methods on a task with a seed; values with the same seed are of one training each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.errors import check_range
from randprune_lab.stats.intervals import CONFIDENCE, SAME, Interval

Values = Mapping[str, Sequence[float]]
"""The values of each task, one for each seed."""

GRID = 80
"""Points of each grid on which a posterior is integrated."""


@dataclass(frozen=True)
class Tested:
    """The mean over tasks with its interval, and the p-value of a mean of 0 (two-sided)."""

    interval: Interval
    p: float


def fixed_tasks(values: Values) -> Interval:
    """The mean over these tasks, with an interval for other seeds: Student's t, the seeds' variance pooled over tasks.

    It is infinite if no task has two seeds, or if no seed differs from the others of its task.
    """
    return fixed_test(values).interval


def fixed_test(values: Values) -> Tested:
    """`fixed_tasks`, with the p-value; NaN where the interval is infinite."""
    from scipy.stats import t

    means, error, freedom = _within(values)
    mean = float(means.mean())
    if not error:
        return Tested(Interval(mean, -np.inf, np.inf), np.nan)
    margin = float(t.ppf((1 + CONFIDENCE) / 2, freedom) * error)
    return Tested(Interval(mean, mean - margin, mean + margin), float(2 * t.sf(abs(mean) / error, freedom)))


def over_tasks(values: Values) -> Interval:
    """The mean over tasks, with an interval for other tasks: Student's t over the tasks' means.

    A few tasks whose means happen to be close would make it very narrow. So its standard error is at least that of
    `fixed_tasks`; the interval of that can still be wider where it has fewer degrees of freedom, as with few seeds of
    few tasks. With a single task it is infinite, and also if nothing varies, neither tasks nor seeds.

    Source: Röver, Knapp and Friede 2015 (the modified interval of Hartung and Knapp).
    """
    from scipy.stats import t

    means, error, _ = _within(values)
    mean = float(means.mean())
    if len(means) < 2 or (not error and np.ptp(means) < SAME):
        return Interval(mean, -np.inf, np.inf)
    error = max(error, float(means.std(ddof=1) / np.sqrt(len(means))))
    margin = float(t.ppf((1 + CONFIDENCE) / 2, len(means) - 1) * error)
    return Interval(mean, mean - margin, mean + margin)


def hierarchical(values: Values, scale: float) -> Interval:
    """The mean of all tasks like these, with a Bayesian interval.

    Tasks' true means are normal around it, with a standard deviation that is half-normal beforehand; the seeds are
    normal around their task's mean, with one unknown variance. The estimate is the posterior median.

    Args:
        values: the values of each task.
        scale: the scale of the half-normal prior: how much tasks may well differ, in the unit of the values.

    Raises:
        ConfigError: if the scale is not above 0.

    Source: Gelman 2006 (half-normal priors); Röver 2020 (integration on grids).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr
    from scipy.stats import chi2

    check_range("scale", scale, low=0, low_open=True)
    means, error, freedom = _within(values)
    if not error:
        return Interval(float(means.mean()), -np.inf, np.inf)
    counts = np.array([len(sample) for sample in values.values()], dtype=float)
    pooled = error**2 * len(counts) ** 2 / np.sum(1 / counts)
    smallest, largest = min(scale, float(np.sqrt(pooled))) / 100, max(5 * scale, 2 * float(np.ptp(means)))
    between = np.geomspace(smallest, largest, GRID)[:, None, None]
    low, high = chi2.ppf([1e-4, 1 - 1e-4], freedom)
    variance = pooled * freedom / np.geomspace(low, high, GRID)[None, :, None]
    total = between**2 + variance / counts
    weight = 1 / total
    centre = np.sum(weight * means, axis=-1) / weight.sum(axis=-1)
    log_likelihood = (
        0.5 * np.sum(np.log(weight) - weight * (means - centre[..., None]) ** 2, axis=-1)
        - 0.5 * np.log(weight.sum(axis=-1))
        - 0.5 * (between[..., 0] / scale) ** 2
        + np.log(between[..., 0])  # the steps of its grid are proportional to it
        - 0.5 * freedom * (np.log(variance[..., 0]) + pooled / variance[..., 0])
    )
    posterior = np.exp(log_likelihood - log_likelihood.max())
    posterior /= posterior.sum()
    sd = 1 / np.sqrt(weight.sum(axis=-1))
    wide = float(np.ptp(means)) + 40 * float(np.max(sd[posterior > 1e-6]))

    def quantile(p: float) -> float:
        def off(x: float) -> float:
            return float(np.sum(posterior * ndtr((x - centre) / sd))) - p

        return float(brentq(off, means.mean() - wide, means.mean() + wide))

    return Interval(quantile(0.5), quantile((1 - CONFIDENCE) / 2), quantile((1 + CONFIDENCE) / 2))


def _within(values: Values) -> tuple[Float64[np.ndarray, " tasks"], float, int]:
    """The tasks' means, the standard error of their mean by the seeds alone (0 if unknown), its degrees of freedom."""
    samples = [np.asarray(sample, dtype=np.float64) for sample in values.values()]
    means = np.array([sample.mean() for sample in samples])
    freedom = sum(len(sample) - 1 for sample in samples)
    squares = sum(float(np.sum((sample - sample.mean()) ** 2)) for sample in samples)
    if not freedom or squares < SAME**2:
        return means, 0.0, freedom
    inverse = sum(1 / len(sample) for sample in samples)
    return means, float(np.sqrt(squares / freedom * inverse) / len(samples)), freedom
