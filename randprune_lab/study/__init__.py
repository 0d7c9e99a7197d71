"""Studies: a grid of tasks, methods and seeds, of which each cell is a resumable run, and the tables of its results."""

from randprune_lab.study.config import StudyConfig
from randprune_lab.study.grid import Grid, check_same_study
from randprune_lab.study.recording import check_recorded, record_study, recorded_units
from randprune_lab.study.run import run_study
from randprune_lab.study.status import describe_status
from randprune_lab.study.table import recorded_primary, write_results
from randprune_lab.study.verify import verify_winners

__all__ = [
    "Grid",
    "StudyConfig",
    "check_recorded",
    "check_same_study",
    "describe_status",
    "record_study",
    "recorded_primary",
    "recorded_units",
    "run_study",
    "verify_winners",
    "write_results",
]
