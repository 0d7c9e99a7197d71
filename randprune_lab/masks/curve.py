"""From weights to scores, from scores to a histogram, from a histogram to an inclusion curve.

A score is the magnitude of a weight. Scores are counted in *buckets*: the leading bits of the IEEE bit pattern of
`|w|`, read as an integer. Buckets have the order of the scores and about equal widths on a log scale, and they are the
same on every device. Two scores in one bucket differ by less than 1 part in 1,024.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from randprune_lab.errors import RuleError, WeightError

MANTISSA_BITS = 10

DECIDED = 2**-25
"""An inclusion probability closer than this to 0 or 1 is rounded to it when a mask is drawn."""

ROUNDING = 1e-9
"""What arithmetic may add to an inclusion probability."""

TOLERANCE = 1e-6
"""Relative error that a sum of inclusion probabilities may have."""


@dataclass(frozen=True)
class Bucketing:
    """The buckets of the weights of one floating-point dtype."""

    dtype: torch.dtype
    integer: torch.dtype
    exponent_bits: int
    mantissa_bits: int

    @property
    def shift(self) -> int:
        """The number of trailing bits that are dropped."""
        return max(0, self.mantissa_bits - MANTISSA_BITS)

    @property
    def infinity(self) -> int:
        """The bucket of infinity; the bucket of NaN is this one or a higher one."""
        return (2**self.exponent_bits - 1) << (self.mantissa_bits - self.shift)

    def pattern(self, weights: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The bits of each weight's magnitude as an integer; these integers have the order of the magnitudes."""
        return weights.view(self.integer) & torch.iinfo(self.integer).max

    def bucket(self, weights: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The bucket of each weight's magnitude. Bucket 0 has zeros and, for float32, scores below 1.2e-41."""
        pattern = self.pattern(weights)
        pattern >>= self.shift
        return pattern

    def score(self, buckets: Int64[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
        """The score that represents each bucket: its middle, or its only value."""
        low, high = buckets << self.shift, ((buckets + 1) << self.shift) - 1
        return self._decode(low) / 2 + self._decode(high) / 2

    def _decode(self, pattern: Int64[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
        return torch.from_numpy(pattern).to(self.integer).view(self.dtype).double().numpy()


BUCKETINGS = {
    bucketing.dtype: bucketing
    for bucketing in (
        Bucketing(torch.float16, torch.int16, exponent_bits=5, mantissa_bits=10),
        Bucketing(torch.bfloat16, torch.int16, exponent_bits=8, mantissa_bits=7),
        Bucketing(torch.float32, torch.int32, exponent_bits=8, mantissa_bits=23),
        Bucketing(torch.float64, torch.int64, exponent_bits=11, mantissa_bits=52),
    )
}


@dataclass(frozen=True)
class Histogram:
    """The number of weights of a group in each bucket; zero weights are counted separately.

    `buckets`, `scores` and `counts` have one entry for each bucket with a non-zero weight, in ascending order of score.
    """

    buckets: Int64[np.ndarray, " b"]
    scores: Float64[np.ndarray, " b"]
    counts: Int64[np.ndarray, " b"]
    zeros: int

    @classmethod
    def from_counts(cls, counts: Int64[np.ndarray, " all"], bucketing: Bucketing) -> Histogram:
        """Make a histogram from the number of weights in each bucket, starting with bucket 0."""
        buckets = np.flatnonzero(counts > 0)
        buckets = buckets[int(counts[0] > 0) :]
        return cls(buckets, bucketing.score(buckets), counts[buckets], int(counts[0]))

    @classmethod
    def from_scores(cls, scores: ArrayLike) -> Histogram:
        """Make a histogram with one bucket for each distinct score, for teaching and small examples.

        Raises:
            WeightError: if a score is not a number, infinite or negative.
        """
        try:
            found = np.asarray(scores, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise WeightError(f"importance scores must be an array of numbers, got {scores!r}") from error
        if wrong := found[~((found >= 0) & (found < np.inf))].tolist():
            raise WeightError(
                f"importance scores must be finite and at least 0, got {wrong[0]:g}; the score of a weight w is |w|, "
                "and scores with a sign need a shift: scores - scores.min()"
            )
        values, counts = np.unique(found, return_counts=True)
        zeros = int(counts[values == 0].sum())
        nonzero = values > 0
        return cls(np.flatnonzero(nonzero), values[nonzero], counts[nonzero].astype(np.int64), zeros)

    @property
    def nonzero(self) -> int:
        """The number of weights that are not zero."""
        return int(self.counts.sum())

    @property
    def size(self) -> int:
        """The number of weights."""
        return self.nonzero + self.zeros


def lawful(q: Any, histogram: Histogram, k: int, rule: str, deterministic: bool) -> Float64[np.ndarray, " b"]:
    """The inclusion probabilities that a rule returned, without rounding errors, if they obey the laws of rules.

    Then exactly k weights can be drawn with them: at most k have probability 1, and at least k have one above 0.

    Raises:
        RuleError: if they break a law; the message has the law and the numbers.
    """
    about = f"rule {rule!r}, keeping {k} of {histogram.size} weights ({histogram.zeros} zero)"
    shape = histogram.counts.shape
    if not isinstance(q, np.ndarray) or q.dtype.kind not in "fiub" or q.shape != shape:
        got = f"shape {q.shape}, {q.dtype}" if isinstance(q, np.ndarray) else f"a {type(q).__name__}"
        raise RuleError(f"{about}: inclusion must give a probability for each bucket, an array {shape}, got {got}")
    q = np.array(q, dtype=np.float64)
    if not (q.min() >= -ROUNDING and q.max() <= 1 + ROUNDING):  # written so that NaN fails too
        raise RuleError(f"{about}: inclusion probabilities must be from 0 to 1, got {q.min():g} to {q.max():g}")
    if (fall := -float(np.diff(q).min(initial=0.0))) > ROUNDING:
        raise RuleError(
            f"{about}: inclusion probabilities must not fall as the score rises, got a fall of {fall:g}; to prefer "
            "small weights, keep a rising rule and give it other scores, such as {name: 1 / weight.abs()}"
        )
    q = np.clip(np.maximum.accumulate(q), 0.0, 1.0)
    if abs((total := float(histogram.counts @ q)) - k) > min(TOLERANCE * k, 0.5):
        raise RuleError(f"{about}: inclusion probabilities must sum to {k} over all weights, got {total:.12g}")
    if deterministic and np.abs(q - InclusionCurve(histogram, q, k).magnitude).max() > TOLERANCE:
        raise RuleError(f"{about}: a deterministic rule keeps the {k} largest scores; leave deterministic at False")
    return q


@dataclass(frozen=True)
class InclusionCurve:
    """The inclusion probability of each weight, as a function of its score.

    `inclusion[b]` is the probability that a weight in bucket b of `histogram` is kept; over all weights these
    probabilities sum to `k`. Zero weights are never kept. `deterministic` marks a rule without randomness: in the
    bucket that has the step of the curve, the k-th largest score itself is the threshold.
    """

    histogram: Histogram
    inclusion: Float64[np.ndarray, " b"]
    k: int
    deterministic: bool = False

    @cached_property
    def magnitude(self) -> Float64[np.ndarray, " b"]:
        """The fraction of each bucket that is among the k largest scores: 0, 1, or between at the threshold."""
        counts = self.histogram.counts
        above = counts[::-1].cumsum()[::-1] - counts
        return np.clip((self.k - above) / counts, 0.0, 1.0)

    @cached_property
    def undecided(self) -> Bool[np.ndarray, " b"]:
        """Whether the weights of each bucket are undecided: their inclusion probability, as rounded, is not 0 or 1."""
        inside = (self.inclusion > DECIDED) & (self.inclusion < 1 - DECIDED)
        return inside & (not self.deterministic)

    def expected_hamming(self, counts: Int64[np.ndarray, " b"] | None = None) -> float:
        """The expected number of weights in which two independent candidates differ, `Σ 2 q (1 - q)`.

        Args:
            counts: the number of weights in each bucket, to restrict the sum to one tensor of the group.
        """
        if self.deterministic:
            return 0.0
        counts = self.histogram.counts if counts is None else counts
        return float(np.sum(counts * 2 * self.inclusion * (1 - self.inclusion)))

    def expected_distance_to_magnitude(self, counts: Int64[np.ndarray, " b"] | None = None) -> float:
        """The expected number of weights in which a candidate differs from the magnitude mask, `Σ |q - 1[top k]|`.

        Args:
            counts: the number of weights in each bucket, to restrict the sum to one tensor of the group.
        """
        if self.deterministic:
            return 0.0
        counts = self.histogram.counts if counts is None else counts
        q, top = self.inclusion, self.magnitude
        return float(np.sum(counts * (top * (1 - q) + (1 - top) * q)))
