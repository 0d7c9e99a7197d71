"""One label of custom data: the name of a class, or a score; an error names its place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from randprune_lab.errors import DataError
from randprune_lab.tasks.tables import as_number, shown

FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")
EXACT = 2**53  # 64-bit floats have every whole number up to it
LARGEST = 1e18  # of a score: 32-bit floats, in which a model computes, have room for the sum of the squares of a batch
LONGEST = 1000  # characters of a class's name
KEPT = 0.9  # the least fraction of different scores that 32-bit floats must keep apart


def is_unlabelled(value: Any) -> bool:
    """Whether a value marks a missing label: empty, NaN, or the hub's -1."""
    return _is_missing(value) or str(value) in ("-1", "-1.0")


def class_name(column: str, place: str, value: Any) -> str:
    """The class of a row, in data that store a class by its name; of 1.0, as pandas writes it beside NaN, it is 1.

    Raises:
        DataError: if the label is missing, a fraction, too long, or neither a text nor a number.
    """
    if _is_missing(value):
        raise no_label(column, place)
    if not isinstance(value, str | int | float | Decimal):
        raise DataError(
            f"{place}: label {shown(value)} in column {column!r} must be a text or a whole number, not "
            f"{type(value).__name__}; choose another column with --label-column"
        )
    if isinstance(value, float) or FRACTION.fullmatch(str(value).strip()):
        number = as_number(value)
        if not (number.is_integer() and abs(number) <= EXACT):
            raise DataError(
                f"{place}: label {shown(value)} in column {column!r} is a fraction, but classes are names or whole "
                "numbers; use --label-kind score for scores, or write the labels without a decimal point"
            )
        value = int(number)
    if len(name := str(value)) > LONGEST:
        raise DataError(
            f"{place}: label {shown(name)} in column {column!r} has {len(name):,} characters, too many for the name of "
            f"a class (at most {LONGEST:,}); choose another column with --label-column"
        )
    return name


def stored_class(column: str, place: str, value: int | None, classes: list[str]) -> str:
    """The class of a row, in data that store a class by its number and have a list of names.

    Raises:
        DataError: if the label is missing or not the number of a class.
    """
    if value is None or value == -1:
        raise no_label(column, place)
    if not 0 <= value < len(classes):
        raise DataError(
            f"{place}: label {value!r} in column {column!r} must be the number of a class, "
            f"from 0 to {len(classes) - 1}; correct it, or remove the row"
        )
    return classes[value]


def score(column: str, place: str, value: Any) -> float:
    """The score of a row.

    Raises:
        DataError: if the label is missing, not a finite number, or too large for a squared error in 32-bit floats.
    """
    if _is_missing(value):
        raise no_label(column, place)
    number = as_number(value)
    if not math.isfinite(number):
        raise DataError(
            f"{place}: label {shown(value)} in column {column!r} is not a finite number, as a score must be; "
            "use --label-kind class for classes"
        )
    if abs(number) > LARGEST:
        raise DataError(
            f"{place}: label {shown(value)} in column {column!r} is beyond {LARGEST:g}, and the squared error of such "
            "a score beyond the 32-bit floats that a model computes in; divide all scores by a constant"
        )
    return number


def differ_in_float32(scores: Sequence[float]) -> bool:
    """Whether 32-bit floats keep different scores apart, as far as they differ in 12 digits: at least 9 in 10."""
    different = {float(f"{number:.12g}") for number in scores}
    return len(np.unique(np.asarray(scores, dtype=np.float32))) >= KEPT * len(different)


def sorted_classes(names: set[str]) -> list[str]:
    """The names in order: as numbers if all are whole numbers, else as text."""
    if all(map(WHOLE.fullmatch, names)):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names)


def without_number(names: Sequence[str]) -> str | None:
    """The `nan` among classes that are whole numbers otherwise: it marks a missing label, as it does among scores."""
    others = [name for name in names if not WHOLE.fullmatch(name)]
    return others[0] if len(others) == 1 < len(names) and others[0].strip().casefold() == "nan" else None


def no_label(column: str, place: str) -> DataError:
    """The error for a missing label."""
    return DataError(f"{place}: no label in column {column!r}; add it, or remove the row")


def _is_missing(value: Any) -> bool:
    """Whether a value is none, NaN or blank; the text `nan` is the name of a class."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))
