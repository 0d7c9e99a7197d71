"""Statistics independent of pruning: intervals, confidence in a choice, variance components, paired tests."""

from randprune_lab.stats.confidence import Confidence, assess_choice
from randprune_lab.stats.intervals import (
    Interval,
    accuracy_interval,
    mean_interval,
    paired_difference,
    rank_correlation,
    score_difference,
    score_interval,
)
from randprune_lab.stats.known import known
from randprune_lab.stats.paired_test import above_zero, worse
from randprune_lab.stats.variance import VarianceSplit, variance_split
from randprune_lab.stats.winners_curse import best_of

__all__ = [
    "Confidence",
    "Interval",
    "VarianceSplit",
    "above_zero",
    "accuracy_interval",
    "assess_choice",
    "best_of",
    "known",
    "mean_interval",
    "paired_difference",
    "rank_correlation",
    "score_difference",
    "score_interval",
    "variance_split",
    "worse",
]
