"""The figures of the course. Each is a pure function from curves or records to a matplotlib figure."""

from randprune_lab.viz.figures.early import (
    correlation_by_steps,
    early_against_final,
    early_scores,
    early_trajectories,
    noise_floor,
)
from randprune_lab.viz.figures.results import accuracy_by_sparsity
from randprune_lab.viz.figures.sampling import inclusion_check, inclusion_curves, sampling, time_by_candidates
from randprune_lab.viz.figures.selection import chance_of_best, gain_by_budget, race, winners_curse

__all__ = [
    "accuracy_by_sparsity",
    "chance_of_best",
    "correlation_by_steps",
    "early_against_final",
    "early_scores",
    "early_trajectories",
    "gain_by_budget",
    "inclusion_check",
    "inclusion_curves",
    "noise_floor",
    "race",
    "sampling",
    "time_by_candidates",
    "winners_curse",
]
