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
        label: what a reader is told that it is; empty for the name with spaces.
        unit: "%" or "points" for a fraction that is shown in percent or in points; or another unit.
        tolerance: differences up to this are accepted. 0 is for computed numbers, which must be equal.
        better: larger differences are accepted in this direction only.

    Raises:
        ConfigError: if a field is of another kind, or a number is not finite.
    """

    name: str
    value: Finite
    tolerance: Finite = 0.0
    better: Better = "neither"
    label: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        take_types(self)
        check_range("tolerance", self.tolerance, low=0)

    @property
    def title(self) -> str:
        """The label, or else the name as text."""
        return self.label or label(self.name)

    @property
    def shown(self) -> str:
        """The value with its unit, as text."""
        return format_figure(self.value, self.unit)


@dataclass(frozen=True)
class Labelled:
    """A number for `key_figures` with what a reader is told about it, and its tolerance."""

    value: float
    label: str = ""
    unit: str = ""
    tolerance: float = 0.0
    better: Better = "neither"


def exact(value: float, label: str, unit: str = "") -> Labelled:
    """A number for `key_figures` that another run must reproduce, with its label.

    Args:
        label: what the number is, in a few words.
        unit: "%" or "points" if the value is a fraction that is shown in percent or in points; or another unit.
    """
    return Labelled(value, label, unit)


def measured(
    value: float, label: str = "", unit: str = "", *, tolerance: float, better: Better = "neither"
) -> Labelled:
    """A number for `key_figures` that another run need not reproduce exactly, such as a score or a time.

    Args:
        label, unit: as of `exact`; an empty label stands for the name.
        tolerance: differences up to this are accepted.
        better: "higher" or "lower" to accept any change in this direction.

    Raises:
        ConfigError: if `tolerance` is not finite and above 0, or `better` is none of these.
    """
    check_range("tolerance", tolerance, low=0, low_open=True)
    return Labelled(value, label, unit, float(tolerance), typed(Better, better, "better"))


def key_figures(**values: float | Labelled) -> None:
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
    plain = "\n".join(f"{figure.title}: {figure.shown}" for figure in figures)
    # This is a list because notebooks are saved with the keys of their mappings sorted.
    recorded = [asdict(figure) for figure in figures]
    display({MIMETYPE: recorded, "text/html": _table(figures), "text/plain": plain}, raw=True)


def format_figure(value: float, unit: str = "") -> str:
    """A number with its unit as text: integers and large numbers in full, others with three or four digits.

    >>> format_figure(0.68366, "%"), format_figure(-0.0238, "points"), format_figure(16384, "weights")
    ('68.4 %', '-2.4 points', '16,384 weights')
    """
    if unit == "points":
        text = f"{100 * value:.1f}"
    elif unit == "%":
        text = f"{100 * value:.3g}"
    elif isinstance(value, int) or 1e4 <= abs(value) < 1e12:
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.4g}"
    return " ".join(filter(None, (text, unit)))


def label(name: str) -> str:
    """The name of a key figure as text: `winner_accuracy` becomes "winner accuracy"."""
    return name.replace("_", " ")


def _figure(name: str, value: float | Labelled) -> KeyFigure:
    given = value if isinstance(value, Labelled) else Labelled(value)
    number = +given.value if isinstance(given.value, bool) else given.value
    finite = typed(Finite, number, f"key figure {name}")
    return KeyFigure(name, finite, given.tolerance, given.better, given.label, given.unit)


def _table(figures: Sequence[KeyFigure]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(figure.title)}</th><td>{escape(figure.shown)}</td></tr>"
        for figure in figures
    )
    return f"<table class='key-figures'><caption>Key figures</caption><tbody>{rows}</tbody></table>"
