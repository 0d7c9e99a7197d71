"""Key figures: the few numbers that a notebook stands for, shown to its reader and read by the report."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Literal, get_args

from randprune_lab.errors import ConfigError

MIMETYPE = "application/vnd.randprune.key-figures+json"


Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class KeyFigure:
    """A named number, and how far another run may be from it.

    Args:
        tolerance: a difference up to this is no change. 0 for what is computed, not measured: it must be equal.
        better: a difference in this direction is no fault; with "neither" any is.
    """

    name: str
    value: float
    tolerance: float = 0.0
    better: Better = "neither"


@dataclass(frozen=True)
class Measured:
    """A number that other machines find a little different: a score, a time."""

    value: float
    tolerance: float
    better: Better = "neither"


def measured(value: float, *, tolerance: float, better: Better = "neither") -> Measured:
    """A number for `key_figures` that need not be met exactly.

    Args:
        tolerance: differences up to this are no change.
        better: "higher" or "lower" if a change in this direction is no fault.

    Raises `ConfigError` for a tolerance that is not finite and above 0, or another direction.
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ConfigError(f"tolerance must be a finite number above 0, got {tolerance}; for exact figures leave it out")
    if better not in get_args(Better):
        raise ConfigError(f"better must be one of {', '.join(get_args(Better))}, got {better!r}")
    return Measured(value, float(tolerance), better)


def key_figures(**values: float | Measured) -> None:
    """Show named numbers as a table and record them in the notebook's output.

    The report lists them on its index and in `summary.json`, and compares them with those of former runs: integers
    exactly, others to six digits, or as `measured` says. A name that is recorded twice keeps its last value. Raises
    `ConfigError` for a value that is not a finite number.
    """
    from IPython.display import display

    figures = [_figure(name, value) for name, value in values.items()]
    if not figures:
        raise ConfigError("key_figures needs at least one name=value, e.g. key_figures(accuracy=0.81)")
    plain = "\n".join(f"{figure.name} = {format_figure(figure.value)}" for figure in figures)
    # A list, because notebooks are saved with the keys of their mappings sorted.
    recorded = [asdict(figure) for figure in figures]
    display({MIMETYPE: recorded, "text/html": _table(figures), "text/plain": plain}, raw=True)


def format_figure(value: float) -> str:
    """A number as it is shown: with four significant digits, but whole and large ones in full."""
    if isinstance(value, int) or 1e4 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def label(name: str) -> str:
    """A figure's name as it is shown: `winner_accuracy` reads "winner accuracy"."""
    return name.replace("_", " ")


def _figure(name: str, value: float | Measured) -> KeyFigure:
    if isinstance(value, Measured):
        return KeyFigure(name, _number(name, value.value), value.tolerance, value.better)
    return KeyFigure(name, _number(name, value))


def _number(name: str, value: float) -> float:
    # Scalars of numpy and torch come in too; JSON knows neither them nor NaN.
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"key figure {name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ConfigError(f"key figure {name} must be finite, got {number}; record only what was measured")
    return int(value) if isinstance(value, numbers.Integral) else number


def _table(figures: Sequence[KeyFigure]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(label(figure.name))}</th><td>{format_figure(figure.value)}</td></tr>"
        for figure in figures
    )
    return f"<table class='key-figures'><caption>Key figures</caption><tbody>{rows}</tbody></table>"
