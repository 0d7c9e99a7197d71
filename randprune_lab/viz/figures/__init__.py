"""The figures of the course: each is a pure function from curves or records to a matplotlib figure.

Those that are drawn from a table, from rows or from pools raise `DataError` if there are none.
"""

from randprune_lab.viz.figures.app import (
    early_and_final,
    method_differences,
    run_level,
    scores_by_level,
)
from randprune_lab.viz.figures.clocks import clocks
from randprune_lab.viz.figures.diversity import (
    candidate_map,
    coverage_by_candidates,
    distance_by_tensor,
    distance_grid,
    overlap_map,
)
from randprune_lab.viz.figures.early import (
    correlation_by_steps,
    early_against_final,
    early_by_rate,
    early_scores,
    noise_floor,
    rank_changes,
    recorded_early_scores,
)
from randprune_lab.viz.figures.forgetting import phenomena_losses, shared_losses
from randprune_lab.viz.figures.ladder import ladder
from randprune_lab.viz.figures.levels import equal_steps, levels_against_one_shot, masks_compared, schedule, surviving
from randprune_lab.viz.figures.model import model_savings, product_times, scope, storage
from randprune_lab.viz.figures.parts import difference_parts
from randprune_lab.viz.figures.pruning import kept_numbers, magnitude_pruning, one_shot, sparsity_by_tensor
from randprune_lab.viz.figures.reporting import inflation_by_size
from randprune_lab.viz.figures.results import (
    accuracy_by_sparsity,
    contrast_means,
    differences_by_level,
    differences_by_method,
    references,
    results_by_task,
)
from randprune_lab.viz.figures.sampling import inclusion_check, inclusion_curves, sampling, time_by_candidates
from randprune_lab.viz.figures.seeds import seeds_forest
from randprune_lab.viz.figures.selection import chance_of_best, gain_by_budget, race, winners_curse
from randprune_lab.viz.figures.sensitivity import sensitivity
from randprune_lab.viz.figures.steps import scores_by_steps
from randprune_lab.viz.figures.study import controls, early_by_ratio, spread_by_level
from randprune_lab.viz.figures.tour import method_sketch, recorded_lead, search_step

__all__ = [
    "accuracy_by_sparsity",
    "candidate_map",
    "chance_of_best",
    "clocks",
    "contrast_means",
    "controls",
    "correlation_by_steps",
    "coverage_by_candidates",
    "difference_parts",
    "differences_by_level",
    "differences_by_method",
    "distance_by_tensor",
    "distance_grid",
    "early_against_final",
    "early_and_final",
    "early_by_rate",
    "early_by_ratio",
    "early_scores",
    "equal_steps",
    "gain_by_budget",
    "inclusion_check",
    "inclusion_curves",
    "inflation_by_size",
    "kept_numbers",
    "ladder",
    "levels_against_one_shot",
    "magnitude_pruning",
    "masks_compared",
    "method_differences",
    "method_sketch",
    "model_savings",
    "noise_floor",
    "one_shot",
    "overlap_map",
    "phenomena_losses",
    "product_times",
    "race",
    "rank_changes",
    "recorded_early_scores",
    "recorded_lead",
    "references",
    "results_by_task",
    "run_level",
    "sampling",
    "schedule",
    "scope",
    "scores_by_level",
    "scores_by_steps",
    "search_step",
    "seeds_forest",
    "sensitivity",
    "shared_losses",
    "sparsity_by_tensor",
    "spread_by_level",
    "storage",
    "surviving",
    "time_by_candidates",
    "winners_curse",
]
