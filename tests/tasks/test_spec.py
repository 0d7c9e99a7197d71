"""The table of tasks is consistent, and a name that is not in it is an error with advice."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

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
        assert len(task.glue.further_tests) == len(task.further_tests)


def test_the_eight_tasks_of_glue_have_their_official_metrics_and_the_published_lengths() -> None:
    """Wang et al. 2019, table 1; lengths from the published scripts."""
    glue = {name: (task.metrics, task.max_length) for name, task in TASKS.items() if task.glue}
    assert glue == {
        "cola": (("matthews",), 64),
        "sst2": (("accuracy",), 64),
        "mrpc": (("accuracy", "f1"), 128),
        "stsb": (("pearson", "spearman"), 128),
        "qqp": (("accuracy", "f1"), 128),
        "mnli": (("accuracy",), 128),
        "qnli": (("accuracy",), 128),
        "rte": (("accuracy",), 128),
    }
    assert TASKS["mnli"].test_sets == ("", "mismatched")
    assert TASKS["mnli"].labels == ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_recorded_task_is_read_back_unchanged(task: Task) -> None:
    recorded = json.loads(json.dumps(task.to_dict()))
    assert Task.from_dict(recorded) == dataclasses.replace(task, glue=None)


def test_the_table_in_the_docs_is_this_one() -> None:
    def line(task: Task) -> str:
        labels = " / ".join(task.labels)
        if task.score_range is not None:
            labels = "score from {:g} to {:g}".format(*task.score_range)
        cells = (f"`{task.name}`", ", ".join(task.text_fields), labels, ", ".join(task.metrics), str(task.max_length))
        return f"| {' | '.join(cells)} |"

    lines = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8").splitlines()
    table = lines[lines.index("|---|---|---|---|---|") + 1 :]
    assert table[: table.index("")] == [line(task) for task in TASKS.values()]


def test_an_unknown_task_is_named_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'sst-2'; did you mean 'sst2'"):
        get_task("sst-2")


def test_importing_tasks_and_models_does_not_import_heavy_libraries() -> None:
    code = (
        "import sys, randprune_lab.tasks, randprune_lab.models.load;"
        "print([m for m in ('transformers', 'datasets', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
