"""Tasks: where their examples come from, how they are split into train, validation and test, and offline metrics."""

from randprune_lab.tasks.custom_data import CustomData
from randprune_lab.tasks.listing import task_rows
from randprune_lab.tasks.metrics import compute_metrics
from randprune_lab.tasks.mini_glue import MiniGlue
from randprune_lab.tasks.spec import TASKS, Task, get_task
from randprune_lab.tasks.splits import Splits, load_splits, split_corpus

__all__ = [
    "TASKS",
    "CustomData",
    "MiniGlue",
    "Splits",
    "Task",
    "compute_metrics",
    "get_task",
    "load_splits",
    "split_corpus",
    "task_rows",
]
