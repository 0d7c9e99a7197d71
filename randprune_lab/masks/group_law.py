"""Inclusion probabilities of small groups, for which the inclusion curve is only a limit."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from randprune_lab.masks.reference import vote
from randprune_lab.masks.rules import Votes

SUBSETS = 4096
"""Subsets of a group for which its law is summed exactly, those of 12 weights; otherwise it is estimated."""

DRAWS = 256
"""The draws of an estimate."""

CHUNK = 2**18
"""Scores of an estimate that are drawn at a time."""

NEVER = -1e300
"""The logarithm of the rate of a score of zero, with which sums are still finite."""


@dataclass(frozen=True)
class Expected:
    """A number of weights, expected over the draws: for the whole model and for each tensor."""

    overall: float
    per_tensor: dict[str, float]

    @classmethod
    def of(cls, per_tensor: dict[str, float]) -> Expected:
        """The numbers of each tensor, and their sum."""
        return cls(sum(per_tensor.values()), per_tensor)


def inclusion(scores: Float64[np.ndarray, "*groups n"], k: int, votes: Votes) -> Float64[np.ndarray, "*groups n"]:
    """The probability that the reference procedure keeps each weight of groups that keep k.

    If one round votes, it is exact, and so are the expected distances that follow from it; otherwise, and for more than
    `SUBSETS` subsets, it is the frequency in `DRAWS` draws.
    """
    if votes.rounds == 1 and sum(comb(scores.shape[-1], drawn) for drawn in range(k)) <= SUBSETS:
        return one_round(scores, k, votes.power)
    at_once, kept = max(1, CHUNK // max(scores.size, 1)), np.zeros(scores.shape)
    for start in range(0, DRAWS, at_once):
        copies = np.repeat(scores[None], min(at_once, DRAWS - start), axis=0)
        kept += vote(copies, k, votes, seed=0, candidate=start, group="").sum(axis=0)
    return kept / DRAWS


def one_round(scores: Float64[np.ndarray, "*groups n"], k: int, power: float) -> Float64[np.ndarray, "*groups n"]:
    """The probability that each weight is among the first k drawn without replacement, by a sum over all orders.

    The weights are drawn one after the other, with probabilities proportional to `score ** power` among those left.
    """
    log_rates = np.full(scores.shape, NEVER)
    log_rates[scores > 0] = power * np.log(scores[scores > 0])
    q = np.zeros(scores.shape)
    reached: dict[int, NDArray[np.float64]] = {0: np.ones(scores.shape[:-1])}  # subsets as the bits of a number
    for _ in range(k):
        following: dict[int, NDArray[np.float64]] = {}
        for subset, probability in reached.items():
            left = [place for place in range(scores.shape[-1]) if not subset >> place & 1]
            rates = log_rates[..., left]
            rates = np.exp(rates - rates.max(axis=-1, keepdims=True))
            drawn = rates * (probability / rates.sum(axis=-1))[..., None]
            q[..., left] += drawn
            for number, place in enumerate(left):
                added = subset | 1 << place
                following[added] = following.get(added, 0.0) + drawn[..., number]
        reached = following
    return q
