"""What `randprune tasks` lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from randprune_lab.errors import RandpruneError
from randprune_lab.tasks.hub import HUB_ID
from randprune_lab.tasks.spec import TASKS, Task
from randprune_lab.tasks.splits import load_splits


def task_rows(glue_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """A row for each task: what it is, and how many rows each role has or why its data cannot be had.

    The hub is not asked: without `glue_dir`, GLUE's tasks have no counts.
    """
    return [_about(task) | _counts(task, glue_dir) for task in TASKS.values()]


def _about(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "description": task.description,
        "fields": task.text_fields,
        "labels": task.labels,
        "metrics": task.metrics,
    }


def _counts(task: Task, glue_dir: str | Path | None) -> dict[str, Any]:
    if task.glue and glue_dir is None:
        return _unavailable(f"needs --glue-dir; a run without it asks the hub ({HUB_ID})")
    try:
        splits = load_splits(task.name, glue_dir=glue_dir if task.glue else None)
    except RandpruneError as error:
        return _unavailable(str(error))
    rows = {role: len(part) for role, part in splits.roles.items()}
    return {"source": splits.source, "rows": rows, "unavailable": None}


def _unavailable(why: str) -> dict[str, Any]:
    return {"source": None, "rows": None, "unavailable": why}
