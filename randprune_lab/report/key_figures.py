"""Key figures: the few numbers that summarize a notebook, shown to its reader and collected by the report."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal, get_args

from randprune_lab.errors import ConfigError

MIMETYPE = "application/vnd.randprune.key-figures+json"


Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class KeyFigure:
    """A named number, and how much another run may differ from it.

    Args:
        tolerance: differences up to this are accepted. 0 is for computed numbers, which must be equal.
        better: larger differences are accepted in this direction only.

    Raises:
        ConfigError: if a field is of another kind, or a number is not finite.
    """

    name: str
    value: float
    tolerance: float = 0.0
    better: Better = "neither"

    def __post_init__(self) -> None:
        numbers_are_finite = _is_finite(self.value) and _is_finite(self.tolerance) and self.tolerance >= 0
        if not (isinstance(self.name, str) and numbers_are_finite and self.better in get_args(Better)):
            raise ConfigError(
                f"key figure {self.name!r} must have a finite number as value, a tolerance of 0 or more, and "
                f"{', '.join(get_args(Better))} as better, got {self.value!r}, {self.tolerance!r} and {self.better!r}"
            )


@dataclass(frozen=True)
class Measured:
    """A number that differs slightly between machines, such as a score or a time."""

    value: float
    tolerance: float
    better: Better = "neither"


def measured(value: float, *, tolerance: float, better: Better = "neither") -> Measured:
    """A number for `key_figures` that another run need not reproduce exactly.

    Args:
        tolerance: differences up to this are accepted.
        better: "higher" or "lower" to accept any change in this direction.

    Raises:
        ConfigError: if `tolerance` is not finite and above 0, or `better` is none of these.
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ConfigError(
            f"tolerance must be a finite number above 0, got {tolerance}; for an exact figure, pass the number itself"
        )
    if better not in get_args(Better):
        raise ConfigError(f"better must be one of {', '.join(get_args(Better))}, got {better!r}")
    return Measured(value, float(tolerance), better)


def key_figures(**values: float | Measured) -> None:
    """Show named numbers as a table, and record them in the notebook's output.

    The report lists them in its index and in `summary.json`, and compares them with those of earlier runs: integers
    exactly, other numbers to six digits, and measured numbers within their tolerance. A name that is recorded twice
    keeps its last value.

    Raises:
        ConfigError: if there is no value, or a value is not a finite number.
    """
    from IPython.display import display

    figures = [_figure(name, value) for name, value in values.items()]
    if not figures:
        raise ConfigError(
            "key_figures got no values; expected at least one name=value, such as key_figures(accuracy=0.81)"
        )
    plain = "\n".join(f"{figure.name} = {format_figure(figure.value)}" for figure in figures)
    # This is a list because notebooks are saved with the keys of their mappings sorted.
    recorded = [asdict(figure) for figure in figures]
    display({MIMETYPE: recorded, "text/html": _table(figures), "text/plain": plain}, raw=True)


def format_figure(value: float) -> str:
    """A number as text: integers and large numbers in full, others with four significant digits."""
    if isinstance(value, int) or 1e4 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def label(name: str) -> str:
    """The name of a key figure as text: `winner_accuracy` becomes "winner accuracy"."""
    return name.replace("_", " ")


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold, and no truth value."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _figure(name: str, value: float | Measured) -> KeyFigure:
    if isinstance(value, Measured):
        return KeyFigure(name, _number(name, value.value), value.tolerance, value.better)
    return KeyFigure(name, _number(name, value))


def _number(name: str, value: float) -> float:
    # Scalars of numpy and torch are accepted too; JSON has neither these nor NaN.
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"key figure {name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ConfigError(f"key figure {name} must be finite, got {number}; leave it out where it has no value")
    return int(value) if isinstance(value, numbers.Integral) else number


def _table(figures: Sequence[KeyFigure]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(label(figure.name))}</th><td>{format_figure(figure.value)}</td></tr>"
        for figure in figures
    )
    return f"<table class='key-figures'><caption>Key figures</caption><tbody>{rows}</tbody></table>"
