"""Key figures: the few numbers that a notebook stands for, shown to its reader and read by the report."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from html import escape

from randprune_lab.errors import ConfigError

MIMETYPE = "application/vnd.randprune.key-figures+json"


def key_figures(**values: float) -> None:
    """Show named numbers as a table and record them in the notebook's output.

    The report lists them on its index and in `summary.json`. A name that is recorded twice keeps its
    last value. Raises `ConfigError` for a value that is not a finite number.
    """
    from IPython.display import display

    figures = {name: _number(name, value) for name, value in values.items()}
    if not figures:
        raise ConfigError("key_figures needs at least one name=value, e.g. key_figures(accuracy=0.81)")
    plain = "\n".join(f"{name} = {format_figure(value)}" for name, value in figures.items())
    # A list, because notebooks are saved with the keys of their mappings sorted.
    recorded = [{"name": name, "value": value} for name, value in figures.items()]
    display({MIMETYPE: recorded, "text/html": _table(figures), "text/plain": plain}, raw=True)


def format_figure(value: float) -> str:
    """A number as it is shown: with four significant digits, but whole and large ones in full."""
    if isinstance(value, int) or 1e4 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def label(name: str) -> str:
    """A figure's name as it is shown: `winner_accuracy` reads "winner accuracy"."""
    return name.replace("_", " ")


def _number(name: str, value: float) -> float:
    # Scalars of numpy and torch come in too; JSON knows neither them nor NaN.
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"key figure {name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ConfigError(f"key figure {name} must be finite, got {number}; record only what was measured")
    return int(value) if isinstance(value, numbers.Integral) else number


def _table(figures: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(label(name))}</th><td>{format_figure(value)}</td></tr>"
        for name, value in figures.items()
    )
    return f"<table class='key-figures'><caption>Key figures</caption><tbody>{rows}</tbody></table>"
