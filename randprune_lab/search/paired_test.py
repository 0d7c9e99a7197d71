"""Whether one candidate is worse than another on the same examples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def worse(examples: Float64[np.ndarray, "candidates n"]) -> Float64[np.ndarray, "candidates candidates"]:
    """One-sided p-values: small at [i, j] if candidate i has a lower mean than j over the population of examples."""
    return np.stack([above_zero(examples - own) for own in examples])


def above_zero(differences: Float64[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
    """One-sided p-values, small where the mean of a row's population is above zero.

    A t statistic, and the same with the skewness taken out by Hall's monotone transformation (Hall 1992, "On the
    removal of skewness by transformation"); both must reject. Small gains on most examples against large losses on
    few, as an overconfident candidate has them, make the plain t reject up to 7 times too often (500 examples, level
    0.0003); symmetric heavy tails make the transformed one reject 2.6 times too often, and not the plain one. Rank and
    sign-flip tests are exact for another question, whether the differences are symmetric about zero. Losses so rare
    that hardly an example shows them are found by no test of the examples alone.

    Rows that do not vary have 0 or 1.
    """
    from scipy.special import stdtr

    n = differences.shape[1]
    mean = differences.mean(axis=1)
    centred = differences - mean[:, None]
    deviation = np.sqrt((centred**2).sum(axis=1) / max(n - 1, 1))
    varies = deviation > 1e-12 * np.abs(mean)  # what is smaller is rounding
    scale = np.where(varies, deviation, 1.0)
    effect = mean / scale
    skewness = (centred**3).mean(axis=1) / scale**3
    bend = skewness * effect**2 / 3 + skewness**2 * effect**3 / 27 + skewness / (6 * n)
    t = np.sqrt(n) * np.minimum(effect, effect + bend)
    return np.where(varies, stdtr(max(n - 1, 1), -t), np.where(mean > 0, 0.0, 1.0))
