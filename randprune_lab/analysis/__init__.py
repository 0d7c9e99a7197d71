"""Recorded runs as tables: what a search found, how certain it is, how methods compare. Nothing is trained here."""

from randprune_lab.analysis.answer_record import AnswerRecord
from randprune_lab.analysis.contrasts import (
    contrast,
    contrast_means,
    contrast_table,
    differences,
    encoder_table,
    interval_kind,
    over_seeds,
    seed_by_seed,
    summary_table,
)
from randprune_lab.analysis.diversity import count_coverage, count_overlap, expected_coverage, planar_map
from randprune_lab.analysis.footprint import break_even, measure_models, measure_products, measure_storage
from randprune_lab.analysis.forgetting import (
    losing_level,
    losses,
    losses_by_label,
    lost_consistently,
    phenomena_losses,
    shared_losses,
)
from randprune_lab.analysis.gathered import Gathered, gather
from randprune_lab.analysis.judging import COMPARED, judge
from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.analysis.levels import (
    difference_at_the_end,
    level_masks,
    overlap_fraction,
    revived,
    total_steps,
    training_steps,
)
from randprune_lab.analysis.parts import alike_but_for, difference_parts, parts_by_level, parts_table
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.replay import Replay, regret
from randprune_lab.analysis.reporting import inflation_by_size, inflation_table, reported_gains
from randprune_lab.analysis.results import results_table, study_table
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.shared import Share, read_share, share_runs
from randprune_lab.analysis.shipped import (
    answer_records,
    data_folder,
    pool_records,
    recorded_contrasts,
    recorded_controls,
    recorded_results,
    reference_results,
    task_records,
)
from randprune_lab.analysis.task_record import TaskRecord, early_evaluations
from randprune_lab.analysis.text import describe_run

__all__ = [
    "COMPARED",
    "AnswerRecord",
    "Gathered",
    "LevelRecord",
    "PoolRecord",
    "Replay",
    "RunRecord",
    "Share",
    "TaskRecord",
    "alike_but_for",
    "answer_records",
    "break_even",
    "contrast",
    "contrast_means",
    "contrast_table",
    "count_coverage",
    "count_overlap",
    "data_folder",
    "describe_run",
    "difference_at_the_end",
    "difference_parts",
    "differences",
    "early_evaluations",
    "encoder_table",
    "expected_coverage",
    "gather",
    "inflation_by_size",
    "inflation_table",
    "interval_kind",
    "judge",
    "level_masks",
    "losing_level",
    "losses",
    "losses_by_label",
    "lost_consistently",
    "measure_models",
    "measure_products",
    "measure_storage",
    "over_seeds",
    "overlap_fraction",
    "parts_by_level",
    "parts_table",
    "phenomena_losses",
    "planar_map",
    "pool_records",
    "read_share",
    "recorded_contrasts",
    "recorded_controls",
    "recorded_results",
    "reference_results",
    "regret",
    "reported_gains",
    "results_table",
    "revived",
    "seed_by_seed",
    "share_runs",
    "shared_losses",
    "study_table",
    "summary_table",
    "task_records",
    "total_steps",
    "training_steps",
]
