"""Key figures: the few numbers that summarize a notebook, shown to its reader and collected by the report."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from html import escape
from typing import Annotated, Any, Literal

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.typed import take_types, typed

MIMETYPE = "application/vnd.randprune.key-figures+json"


def _finite(value: Any) -> int | float:
    """A number that JSON and floats can have. Scalars of NumPy and PyTorch become plain ones; a text is none."""
    if not isinstance(value, str | bool):
        with suppress(TypeError, ValueError, OverflowError):
            if math.isfinite(number := float(value)):
                return int(value) if isinstance(value, numbers.Integral) else number
    raise PydanticCustomError("finite_number", "not a finite number")


Better = Literal["higher", "lower", "neither"]
Finite = Annotated[float, PlainValidator(_finite)]


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
    value: Finite
    tolerance: Finite = 0.0
    better: Better = "neither"

    def __post_init__(self) -> None:
        take_types(self)
        check_range("tolerance", self.tolerance, low=0)


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
    check_range("tolerance", tolerance, low=0, low_open=True)
    return Measured(value, float(tolerance), typed(Better, better, "better"))


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


def _figure(name: str, value: float | Measured) -> KeyFigure:
    measured = value if isinstance(value, Measured) else Measured(value, 0.0)
    number = +measured.value if isinstance(measured.value, bool) else measured.value
    return KeyFigure(name, typed(Finite, number, f"key figure {name}"), measured.tolerance, measured.better)


def _table(figures: Sequence[KeyFigure]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(label(figure.name))}</th><td>{format_figure(figure.value)}</td></tr>"
        for figure in figures
    )
    return f"<table class='key-figures'><caption>Key figures</caption><tbody>{rows}</tbody></table>"
