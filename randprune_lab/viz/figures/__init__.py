"""The figures of the course. Each is a pure function from curves or records to a matplotlib figure."""

from randprune_lab.viz.figures.early import early_scores
from randprune_lab.viz.figures.levels import levels_against_one_shot, masks_compared, schedule, surviving
from randprune_lab.viz.figures.model import product_times, scope, storage
from randprune_lab.viz.figures.results import accuracy_by_sparsity
from randprune_lab.viz.figures.sampling import inclusion_check, inclusion_curves, sampling, time_by_candidates

__all__ = [
    "accuracy_by_sparsity",
    "early_scores",
    "inclusion_check",
    "inclusion_curves",
    "levels_against_one_shot",
    "masks_compared",
    "product_times",
    "sampling",
    "schedule",
    "scope",
    "storage",
    "surviving",
    "time_by_candidates",
]
