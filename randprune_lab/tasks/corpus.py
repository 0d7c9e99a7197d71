"""What every source returns: labelled rows of a task, in the splits of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from randprune_lab.errors import DataError
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import Record, as_number, shown


class Row(NamedTuple):
    """One example: a text for each of the task's text fields, and the label id or, in regression, the score."""

    texts: tuple[str, ...]
    label: int | float


@dataclass(frozen=True)
class Corpus:
    """The rows of a source, in its splits."""

    source: str
    train: list[Row]
    test: list[Row] | None  # None if the source has no test set
    further_tests: Mapping[str, list[Row]] = field(default_factory=dict)  # by their names in the task
    found: Mapping[str, int] = field(default_factory=dict)  # number of rows in each split of the source
    validation: list[Row] | None = None  # only from a source with a split for each of the three roles


def unused(split: str) -> str:
    """The name in `Corpus.found` of a split that is not read, such as a test set without labels."""
    return f"{split} (not used)"


def make_rows(task: Task, name: str, records: Iterable[Record]) -> list[Row]:
    """The rows of a source from its records.

    Args:
        name: what errors call the source.
        records: for each row its place, its texts, and its label: the id or the name of a class, or a score.

    Raises:
        DataError: if there are no rows, or a text or a label cannot be parsed; the message names its place.
    """
    label: Callable[[str, Any], float] = _score_reader(task) if task.regression else _class_reader(task)
    rows = []
    for place, (*texts, value) in records:
        check_texts(place, task.text_fields, texts)
        rows.append(Row(tuple(texts), label(place, value)))
    if not rows:
        raise DataError(f"{name} contains no rows of task {task.name!r}; download it again")
    return rows


def check_texts(place: str, columns: Sequence[str], texts: Sequence[Any], *, allow_empty: bool = True) -> None:
    """Raise `DataError` unless every column has a text, which may be empty if `allow_empty`."""
    for column, text in zip(columns, texts, strict=True):
        if not isinstance(text, str) or not (allow_empty or text.strip()):
            raise DataError(
                f"{place}: column {column!r} must have a text, got {shown(text)}; add it, or remove the row"
            )


def _class_reader(task: Task) -> Callable[[str, Any], int]:
    ids = {str(index): index for index in range(task.num_labels)}
    ids |= {label: index for index, label in enumerate(task.labels)}

    def read(place: str, value: Any) -> int:
        if str(value) not in ids:
            known = ", ".join(ids)
            raise DataError(f"{place}: unknown label {shown(str(value))} of task {task.name!r}; known: {known}")
        return ids[str(value)]

    return read


def _score_reader(task: Task) -> Callable[[str, Any], float]:
    assert task.score_range is not None
    low, high = task.score_range

    def read(place: str, value: Any) -> float:
        score = as_number(value)
        if not low <= score <= high:
            expected = f"a number from {low:g} to {high:g}"
            raise DataError(f"{place}: the label of task {task.name!r} must be {expected}, got {shown(value)}")
        return score

    return read
