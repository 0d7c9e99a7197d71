"""The figures of the course. Each is a pure function from curves or records to a matplotlib figure."""

from randprune_lab.viz.figures.early import early_scores
from randprune_lab.viz.figures.results import accuracy_by_sparsity
from randprune_lab.viz.figures.sampling import inclusion_check, inclusion_curves, sampling, time_by_candidates

__all__ = [
    "accuracy_by_sparsity",
    "early_scores",
    "inclusion_check",
    "inclusion_curves",
    "sampling",
    "time_by_candidates",
]
