"""What every source gives: labelled rows of a task, divided as the source divides them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from randprune_lab.errors import DataError
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import Record


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
    selection: list[Row] | None = None  # given only by a source that gives all roles itself: they are taken as they are


def unused(split: str) -> str:
    """What `Corpus.found` calls a split that is not looked at, such as a test set without labels."""
    return f"{split} (not used)"


def make_rows(task: Task, name: str, records: Iterable[Record]) -> list[Row]:
    """Rows of a source called `name`, from the texts and then the label of each; a class is an id there, or a name.

    Raises `DataError` that names the place of a text or a label that cannot be understood.
    """
    label: Callable[[str, Any], float] = _score_reader(task) if task.regression else _class_reader(task)
    rows = []
    for place, (*texts, value) in records:
        check_texts(place, task.text_fields, texts)
        rows.append(Row(tuple(texts), label(place, value)))
    if not rows:
        raise DataError(f"{name} holds no rows of task {task.name!r}; get it again")
    return rows


def check_texts(place: str, columns: Sequence[str], texts: Sequence[Any], *, allow_empty: bool = True) -> None:
    """Raise `DataError` unless there is a text in every column."""
    for column, text in zip(columns, texts, strict=True):
        if not isinstance(text, str) or not (allow_empty or text.strip()):
            raise DataError(f"{place}: no text in column {column!r}, but {text!r}")


def _class_reader(task: Task) -> Callable[[str, Any], int]:
    ids = {str(index): index for index in range(task.num_labels)}
    ids |= {label: index for index, label in enumerate(task.labels)}

    def read(place: str, value: Any) -> int:
        if str(value) not in ids:
            known = ", ".join(ids)
            raise DataError(f"{place}: unknown label {str(value)!r} of task {task.name!r}; known: {known}")
        return ids[str(value)]

    return read


def _score_reader(task: Task) -> Callable[[str, Any], float]:
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
