"""The search: candidates, early evaluation, selection, level by level, recorded in a run folder."""

from randprune_lab.search.config import RunConfig
from randprune_lab.search.custom_result import LevelResult
from randprune_lab.search.executors import EXECUTORS, Executor, InProcess, OnDask, make_executor
from randprune_lab.search.journal import read_journal
from randprune_lab.search.mask_search import MaskSearch
from randprune_lab.search.presets import PRESETS
from randprune_lab.search.proposals import LearnedAllocation, LearnedInclusion, Proposal, redraw
from randprune_lab.search.recorded_config import read_config
from randprune_lab.search.run import Search
from randprune_lab.search.selection import Evaluation, Selection
from randprune_lab.search.strategies import (
    STRATEGIES,
    PairedRace,
    Screened,
    Strategy,
    SuccessiveHalving,
    TrainAll,
    make_strategy,
)
from randprune_lab.search.training_job import TrainingJob

__all__ = [
    "EXECUTORS",
    "PRESETS",
    "STRATEGIES",
    "Evaluation",
    "Executor",
    "InProcess",
    "LearnedAllocation",
    "LearnedInclusion",
    "LevelResult",
    "MaskSearch",
    "OnDask",
    "PairedRace",
    "Proposal",
    "RunConfig",
    "Screened",
    "Search",
    "Selection",
    "Strategy",
    "SuccessiveHalving",
    "TrainAll",
    "TrainingJob",
    "make_executor",
    "make_strategy",
    "read_config",
    "read_journal",
    "redraw",
]
