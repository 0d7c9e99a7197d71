"""The table of tasks is consistent, and a name that is not in it is an error with advice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from randprune_lab.errors import UnknownNameError
from randprune_lab.tasks import TASKS, Task, get_task
from randprune_lab.tasks.sources import OFFLINE


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_the_columns_of_a_row_fit_its_fields(task: Task) -> None:
    assert get_task(task.name) is task
    assert len(task.text_fields) in (1, 2)
    if task.regression:
        assert task.labels == () and task.num_labels == 1 and task.score_range[0] < task.score_range[1]
    else:
        assert task.num_labels == len(set(task.labels)) >= 2
    assert task.primary_metric == task.metrics[0]
    assert (task.glue is None) == (task.name in OFFLINE)
    if task.glue is not None:
        assert len(task.glue.columns) == len(task.text_fields) + 1
        assert len(task.glue.further_reports) == len(task.further_reports)


def test_an_unknown_task_is_named_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'sst-2'; did you mean 'sst2'"):
        get_task("sst-2")


def test_importing_tasks_and_models_leaves_the_heavy_libraries_alone() -> None:
    code = (
        "import sys, randprune_lab.tasks, randprune_lab.models;"
        "print([m for m in ('transformers', 'datasets', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
