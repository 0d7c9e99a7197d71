"""Which of many examples go wrong again and again: more often than separate repetitions would by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from randprune_lab.errors import DataError


def repeated(counts: Sequence[Int64[np.ndarray, " n"]]) -> Float64[np.ndarray, " n"]:
    """The probability, for each example, of a sum over repetitions at least as large as its own.

    It holds if each repetition dealt its counts out to the examples at random and independently of the others. Counts
    of one repetition may depend on each other in any way, so several models that share a start are one repetition.

    Args:
        counts: for each repetition, the count of each example, at least 0.

    Raises:
        DataError: if there are fewer than two repetitions, or no examples.

    >>> repeated([np.array([1, 0, 0, 0]), np.array([1, 0, 0, 0])])
    array([0.0625, 1.    , 1.    , 1.    ])
    """
    if len(counts) < 2 or not len(counts[0]):
        raise DataError(
            f"repetitions: two or more are needed, each with one example or more, got {len(counts)}; run further seeds"
        )
    chances = np.ones(1)
    for repetition in counts:
        chances = np.convolve(chances, np.bincount(repetition) / len(repetition))
    at_least = np.flip(np.cumsum(np.flip(chances)))
    return np.minimum(at_least[np.sum(counts, axis=0)], 1.0)
