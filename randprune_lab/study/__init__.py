"""Does it work, and by how much? A grid of tasks, methods and seeds, each a resumable run, and what it says."""

from randprune_lab.study.config import StudyConfig
from randprune_lab.study.grid import Grid
from randprune_lab.study.recording import record_study, recorded_units
from randprune_lab.study.run import run_study
from randprune_lab.study.status import describe_status
from randprune_lab.study.table import write_results
from randprune_lab.study.verify import verify_winners

__all__ = [
    "Grid",
    "StudyConfig",
    "describe_status",
    "record_study",
    "recorded_units",
    "run_study",
    "verify_winners",
    "write_results",
]
