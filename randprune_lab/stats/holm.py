"""Many tests at once: p-values that hold for all of them together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def holm(p: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Adjusted p-values: rejecting those of at most 0.05 makes one false rejection or more with probability 0.05.

    That holds however the tests depend on each other. A test without a p-value (NaN) does not count.

    Source: Holm 1979.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
