"""One label of one's own data: the name of a class, or a score; an error names its place."""

from __future__ import annotations

import math
import re
from typing import Any

from randprune_lab.errors import DataError

FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")


def is_unlabelled(value: Any) -> bool:
    """Whether this stands where a label is missing: nothing, or the hub's -1."""
    return _is_missing(value) or str(value) in ("-1", "-1.0")


def class_name(column: str, place: str, value: Any) -> str:
    """The name of a class that the data hold by its name. Raises `DataError` for a missing one and a fraction."""
    if _is_missing(value):
        raise _missing(column, place)
    if isinstance(value, float) or FRACTION.fullmatch(str(value).strip()):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} is a fraction, but classes are names or whole "
            "numbers; learn scores with --label-kind score, or write the labels without a point"
        )
    return str(value)


def stored_class(column: str, place: str, value: int | None, classes: list[str]) -> str:
    """The name of a class that the data hold by its number, with a list of names. Raises `DataError` as above."""
    if value is None or value == -1:
        raise _missing(column, place)
    if not 0 <= value < len(classes):
        raise DataError(f"{place}: label {value!r} in column {column!r} is none of the {len(classes)} classes")
    return classes[value]


def score(column: str, place: str, value: Any) -> float:
    """A finite number. Raises `DataError` for anything else."""
    if _is_missing(value):
        raise _missing(column, place)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} is not a finite number, as a score must be; "
            "learn classes with --label-kind class"
        )
    return number


def sorted_classes(names: set[str]) -> list[str]:
    """By number, if all are numbers."""
    if all(WHOLE.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _is_missing(value: Any) -> bool:
    return value is None or str(value).strip().casefold() in ("", "nan")


def _missing(column: str, place: str) -> DataError:
    return DataError(f"{place}: no label in column {column!r}; fill it in, or leave the row out")
