"""One label of custom data: the name of a class, or a score; an error names its place."""

from __future__ import annotations

import math
import re
from typing import Any

from randprune_lab.errors import DataError

FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")


def is_unlabelled(value: Any) -> bool:
    """Whether a value marks a missing label: empty, NaN, or the hub's -1."""
    return _is_missing(value) or str(value) in ("-1", "-1.0")


def class_name(column: str, place: str, value: Any) -> str:
    """The class of a row, in data that store a class by its name.

    Raises:
        DataError: if the label is missing or a fraction.
    """
    if _is_missing(value):
        raise _missing(column, place)
    if isinstance(value, float) or FRACTION.fullmatch(str(value).strip()):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} is a fraction, but classes are names or whole "
            "numbers; use --label-kind score for scores, or write the labels without a decimal point"
        )
    return str(value)


def stored_class(column: str, place: str, value: int | None, classes: list[str]) -> str:
    """The class of a row, in data that store a class by its number and have a list of names.

    Raises:
        DataError: if the label is missing or not the number of a class.
    """
    if value is None or value == -1:
        raise _missing(column, place)
    if not 0 <= value < len(classes):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} must be the number of a class, "
            f"from 0 to {len(classes) - 1}; correct it, or remove the row"
        )
    return classes[value]


def score(column: str, place: str, value: Any) -> float:
    """The score of a row.

    Raises:
        DataError: if the label is missing or not a finite number.
    """
    if _is_missing(value):
        raise _missing(column, place)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} is not a finite number, as a score must be; "
            "use --label-kind class for classes"
        )
    return number


def sorted_classes(names: set[str]) -> list[str]:
    """The names in order: as numbers if all are whole numbers, else as text."""
    if all(WHOLE.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _is_missing(value: Any) -> bool:
    return value is None or str(value).strip().casefold() in ("", "nan")


def _missing(column: str, place: str) -> DataError:
    return DataError(f"{place}: no label in column {column!r}; add it, or remove the row")
