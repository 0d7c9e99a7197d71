"""The noise floor of early evaluation: how much of a score is the mask, how much the training seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.analysis.intervals import CONFIDENCE, Interval
from randprune_lab.errors import ConfigError


@dataclass(frozen=True)
class VarianceSplit:
    """Variances of the scores of masks, each trained with several seeds.

    Args:
        mask: variance between masks; negative if they differ less than seeds alone would make them.
        seed: variance between the seeds of one mask.
        share: mask / (mask + seed), with its interval. It is also the reliability of one early evaluation: the
            correlation between two evaluations of the same masks with other seeds.
    """

    mask: float
    seed: float
    share: Interval

    def reliability(self, seeds: int) -> float:
        """Reliability of the mean over so many seeds (Spearman 1910; Brown 1910); 0 if masks do not differ."""
        share = max(self.share.estimate, 0.0)
        return seeds * share / (1 + (seeds - 1) * share)


def variance_split(scores: Float64[np.ndarray, "masks seeds"]) -> VarianceSplit:
    """Split the variance of scores into mask and seed by a balanced one-way analysis with random effects.

    The interval of the share is exact for normal effects (Searle 1971, Linear Models, chapter 9; McGraw and Wong
    1996, case 1). Where all are scored on the same examples, what a mask owes to these examples counts as mask.

    Raises:
        ConfigError: if there are less than two masks or seeds, or the scores do not vary.
    """
    from scipy.stats import f

    masks, seeds = scores.shape
    if masks < 2 or seeds < 2:
        raise ConfigError(f"a variance split needs two masks and two seeds at least, got {masks} and {seeds}")
    means = scores.mean(axis=1)
    between = seeds * means.var(ddof=1)
    within = ((scores - means[:, None]) ** 2).sum() / (masks * (seeds - 1))
    if within == 0:
        raise ConfigError("a variance split needs scores that vary with the seed, got equal ones for every mask")

    def share(ratio: float) -> float:
        return float((ratio - 1) / (ratio + seeds - 1))

    low, high = f.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], masks - 1, masks * (seeds - 1))
    ratio = between / within
    return VarianceSplit(
        mask=float((between - within) / seeds),
        seed=float(within),
        share=Interval(share(ratio), share(ratio / high), share(ratio / low)),
    )
