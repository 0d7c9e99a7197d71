"""What is learned: tasks, their sources and splits, and offline metrics."""

from randprune_lab.tasks.listing import task_rows
from randprune_lab.tasks.metrics import compute_metrics
from randprune_lab.tasks.own_data import OwnData
from randprune_lab.tasks.spec import TASKS, Task, get_task
from randprune_lab.tasks.splits import Splits, load_splits, split_corpus

__all__ = [
    "TASKS",
    "OwnData",
    "Splits",
    "Task",
    "compute_metrics",
    "get_task",
    "load_splits",
    "split_corpus",
    "task_rows",
]
