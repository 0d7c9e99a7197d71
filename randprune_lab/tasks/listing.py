"""The list of tasks that `randprune tasks` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from randprune_lab.errors import RandpruneError
from randprune_lab.tasks.custom_data import CustomData
from randprune_lab.tasks.hub import HUB_ID
from randprune_lab.tasks.spec import TASKS, Task
from randprune_lab.tasks.splits import Splits, load_splits


def task_rows(glue_dir: str | Path | None = None, *, custom: CustomData | None = None) -> list[dict[str, Any]]:
    """One row for each task: its settings, and the number of rows in each role or why its data are not available.

    The hub is not contacted: without `glue_dir`, GLUE's tasks have no counts.

    Args:
        glue_dir: a folder of GLUE's TSV files.
        custom: custom data to describe instead of the tasks.

    Raises:
        DataError: if `custom` cannot be read.
    """
    if custom is not None:
        splits = load_splits(custom)
        return [_about(splits.task) | _contents(splits)]
    return [_about(task) | _contents_or_reason(task, glue_dir) for task in TASKS.values()]


def _about(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "description": task.description,
        "fields": task.text_fields,
        "labels": task.labels or None,
        "scores": task.score_range,
        "metrics": task.metrics,
        "max_length": task.max_length,
    }


def _contents_or_reason(task: Task, glue_dir: str | Path | None) -> dict[str, Any]:
    if task.glue and glue_dir is None:
        return _unavailable(f"needs --glue-dir; without it, a run loads the data from the hub ({HUB_ID})")
    try:
        return _contents(load_splits(task.name, glue_dir=glue_dir if task.glue else None))
    except RandpruneError as error:
        return _unavailable(str(error))


def _contents(splits: Splits) -> dict[str, Any]:
    return {
        "source": splits.source,
        "found": dict(splits.found),
        "rows": {role: len(part) for role, part in splits.roles.items()},
        "counts": splits.label_counts(),
        "leaks": {"left out": splits.dropped_leaks, "identical": splits.identical_leaks},
        "warnings": "; ".join(splits.warnings) or None,
        "unavailable": None,
    }


def _unavailable(why: str) -> dict[str, Any]:
    return dict.fromkeys(("source", "found", "rows", "counts", "leaks", "warnings")) | {"unavailable": why}
