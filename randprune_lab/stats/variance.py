"""The noise floor of early evaluation: how much scores vary with the mask, and how much with the training seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.errors import StatisticError
from randprune_lab.stats.intervals import CONFIDENCE, SAME, Interval


@dataclass(frozen=True)
class VarianceSplit:
    """Variances of the scores of masks, each trained with several seeds.

    Args:
        mask: variance between masks; negative if they differ less than the seeds alone would make them differ.
        seed: variance between the seeds of one mask.
        share: fraction of the variance that is due to the mask, mask / (mask + seed), with its interval. It is also
            the reliability of one early evaluation: the correlation between two evaluations of the same masks with
            other seeds.
    """

    mask: float
    seed: float
    share: Interval

    def reliability(self, seeds: int) -> float:
        """Reliability of the mean over this number of seeds; 0 if masks do not differ.

        Source: Spearman 1910; Brown 1910.
        """
        share = max(self.share.estimate, 0.0)
        return seeds * share / (1 + (seeds - 1) * share)


def variance_split(scores: Float64[np.ndarray, "masks seeds"]) -> VarianceSplit:
    """Split the variance of scores into mask and seed by a balanced one-way analysis with random effects.

    The interval of the fraction is exact for normal effects. If all scores are on the same examples, the variance that
    comes from a mask doing well on these examples is counted as mask.

    Raises:
        StatisticError: if there are fewer than two masks or seeds, or the scores do not vary or are not finite.

    Source: Searle 1971, Linear Models, chapter 9; McGraw and Wong 1996, case 1.
    """
    from scipy.stats import f

    masks, seeds = scores.shape
    if masks < 2 or seeds < 2:
        raise StatisticError(f"a variance split needs at least two masks and two seeds, got {masks} and {seeds}")
    if not np.isfinite(scores).all():
        raise StatisticError("a variance split needs finite scores, but those of a mask that diverged are not")
    if (np.ptp(scores, axis=1) < SAME).all():
        raise StatisticError(
            "a variance split needs scores that vary with the seed, but every mask has equal scores; use more examples"
        )
    means = scores.mean(axis=1)
    between = seeds * means.var(ddof=1)
    within = ((scores - means[:, None]) ** 2).sum() / (masks * (seeds - 1))

    def fraction(ratio: float) -> float:
        return float((ratio - 1) / (ratio + seeds - 1))

    low, high = f.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], masks - 1, masks * (seeds - 1))
    ratio = between / within
    return VarianceSplit(
        mask=float((between - within) / seeds),
        seed=float(within),
        share=Interval(fraction(ratio), fraction(ratio / high), fraction(ratio / low)),
    )
