"""What every source gives: labelled rows of a task, divided as the source divides them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from randprune_lab.errors import DataError
from randprune_lab.tasks.spec import Task

Record = tuple[str, tuple[Any, ...]]  # the place that an error names; the texts, then the label


class Row(NamedTuple):
    """One example: a text for each of the task's text fields, and the label's id or, in regression, the score."""

    texts: tuple[str, ...]
    label: int | float


@dataclass(frozen=True)
class Corpus:
    """The rows of a source as it divides them."""

    source: str
    train: list[Row]
    report: list[Row] | None  # None where the source has no report set of its own
    further_reports: Mapping[str, list[Row]] = field(default_factory=dict)  # by the task's names for them
    found: Mapping[str, int] = field(default_factory=dict)  # rows of each split by the source's name for it


def make_rows(task: Task, name: str, records: Iterable[Record]) -> list[Row]:
    """Rows of a source that stands under `name`; a class stands there by its id or its name.

    Raises `DataError` that names the place of a text or a label that cannot be understood.
    """
    label = _score_reader(task) if task.regression else _class_reader(task)
    rows = []
    for place, (*texts, value) in records:
        for column, text in zip(task.text_fields, texts, strict=True):
            if not isinstance(text, str):
                raise DataError(f"{place}: no text in column {column!r}, but {text!r}")
        rows.append(Row(tuple(texts), label(place, value)))
    if not rows:
        raise DataError(f"{name} holds no rows of task {task.name!r}; get it again")
    return rows


def _class_reader(task: Task) -> Any:
    ids = {str(index): index for index in range(task.num_labels)}
    ids |= {label: index for index, label in enumerate(task.labels)}

    def read(place: str, value: Any) -> int:
        if str(value) not in ids:
            known = ", ".join(ids)
            raise DataError(f"{place}: unknown label {str(value)!r} of task {task.name!r}; known: {known}")
        return ids[str(value)]

    return read


def _score_reader(task: Task) -> Any:
    assert task.score_range is not None
    low, high = task.score_range

    def read(place: str, value: Any) -> float:
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not low <= score <= high:
            raise DataError(
                f"{place}: the label of task {task.name!r} must be a number from {low:g} to {high:g}, got {value!r}"
            )
        return score

    return read
