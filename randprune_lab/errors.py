"""Every error that this package raises on purpose, under one base class.

A message names the thing, its value, what was expected and what to do about it.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Sized


class RandpruneError(Exception):
    """Base class: catch this to catch everything that randprune_lab raises on purpose."""


class ConfigError(RandpruneError, ValueError):
    """A setting is out of range or contradicts another one."""


class UnknownNameError(ConfigError):
    """A rule, task, model or other named thing does not exist; the message lists the nearest names."""


class ScopeError(RandpruneError, ValueError):
    """Nothing can be pruned, or a pattern matches nothing."""


class WeightError(RandpruneError, ValueError):
    """The weights cannot be pruned as asked: not finite, not floating point, or too many zeros."""


class MaskError(RandpruneError, ValueError):
    """A mask does not fit the model or the other mask that it is used with."""


class RuleError(RandpruneError, ValueError):
    """A mask rule breaks a law that every rule must obey."""


class FileError(RandpruneError, OSError):
    """A file is missing, damaged, or cannot be written."""


class DataError(RandpruneError, ValueError):
    """A data set lacks a file, a column or a label."""


class ColumnError(DataError):
    """A table lacks a column, or has it twice."""


class StatisticError(RandpruneError, ValueError):
    """The numbers do not show a statistic: they are too few, all equal, or not finite."""


class RunError(RandpruneError):
    """A run folder cannot be used: it exists, is locked, or belongs to another configuration."""


class LockedError(RunError):
    """Another process is working in a run folder."""


class WorkerError(RunError):
    """A process that worked for this one ended before its work was done: perhaps the system killed it for memory."""


class GradingError(RandpruneError):
    """Exercises cannot be graded here, for a reason that is not the students'."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """An error for a name that is not in `known`: it suggests the nearest names, or lists all if none is near."""
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else f"known: {', '.join(known)}"
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")


def no_match(pattern: str, names: Iterable[str], kind: str = "parameter") -> ScopeError:
    """An error for a pattern that matches none of `names`: it lists the nearest names, or the first if none is near."""
    names = list(names)
    nearest = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3)
    return ScopeError(f"pattern {pattern!r} matches no {kind}; names look like {listed(nearest or names)}")


def listed(names: Iterable[object]) -> str:
    """The first six names, and the number of the others, as text."""
    names = list(names)
    return ", ".join(map(repr, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "") or "none"


def check_rows(rows: Sized, what: str) -> None:
    """Raise `DataError` if there is no row of `what`."""
    if not len(rows):
        raise DataError(f"there are no {what} to draw; choose runs or records that have some")


def check_count(name: str, value: int, *, low: int = 1, high: int | None = None) -> None:
    """Raise `ConfigError` unless `value` is a whole number from `low` to `high`; None: no upper limit."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ConfigError(f"{name} must be a whole number, got {value!r}")
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{name} must be a whole number {limits}, got {value}")


def check_range(
    name: str,
    value: float,
    *,
    low: float,
    high: float = float("inf"),
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Raise `ConfigError` unless `value` is in the interval from `low` to `high`.

    Args:
        name: what the error calls the value.
        low_open, high_open: whether the interval excludes this end.
    """
    high_open = high_open or math.isinf(high)
    try:
        if isinstance(value, str) or not hasattr(type(value), "__float__") or getattr(value, "ndim", False):
            raise TypeError
        float(value)
        above = value > low if low_open else value >= low
        below = value < high if high_open else value <= high
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # PyTorch and NumPy have each their own
        raise ConfigError(f"{name} must be a number, got {value!r}") from error
    if not (above and below):  # written so that NaN fails too
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ConfigError(f"{name} must be in {left}{low:g}, {high:g}{right}, got {value}")
