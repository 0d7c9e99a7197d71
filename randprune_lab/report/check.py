"""The regression check: the key figures of a notebook, compared with the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from randprune_lab.report.key_figures import KeyFigure
from randprune_lab.terminal import printable

Verdict = Literal["as expected", "better", "changed", "missing", "new"]
ROUNDING = 1e-9  # relative: 0.83 - 0.81 is a little more than 0.02 in floating point
PROCESSOR = 1e-6
"""Relative: processors differ in the last bits of a float, and in sums of millions of terms in the eighth digit."""


@dataclass(frozen=True)
class Comparison:
    """One key figure, expected and measured; one of the two may be absent."""

    name: str
    expected: KeyFigure | None
    got: KeyFigure | None

    @property
    def verdict(self) -> Verdict:
        """The outcome of the comparison; tolerance and direction are those of the expected figure."""
        if self.expected is None:
            return "new"
        if self.got is None:
            return "missing"
        change = self.got.value - self.expected.value
        if abs(change) <= _allowed(self.expected):
            return "as expected"
        is_better = {"higher": change > 0, "lower": change < 0, "neither": False}[self.expected.better]
        return "better" if is_better else "changed"

    @property
    def failed(self) -> bool:
        """Whether this comparison fails the check."""
        return self.verdict in ("changed", "missing")


@dataclass(frozen=True)
class Check:
    """All key figures of a notebook, compared.

    Args:
        known: whether expected figures are recorded for this notebook.
    """

    comparisons: tuple[Comparison, ...]
    known: bool = True

    @property
    def passed(self) -> bool:
        """Whether expected figures are recorded and no comparison failed."""
        return self.known and not any(comparison.failed for comparison in self.comparisons)


def compare(expected: Mapping[str, KeyFigure] | None, got: Mapping[str, KeyFigure]) -> Check:
    """Compare a notebook's key figures by name.

    Args:
        expected: the expected figures; None if none are recorded.
        got: the figures of this run.
    """
    names = dict.fromkeys([*got, *(expected or ())])
    pairs = (Comparison(name, (expected or {}).get(name), got.get(name)) for name in names)
    return Check(tuple(pairs), known=expected is not None)


def describe_checks(checks: Mapping[str, Check]) -> str:
    """The check as text: the number of key figures by verdict, a table of those that differ, and unknown notebooks.

    Args:
        checks: the checks by notebook.
    """
    count = Counter(comparison.verdict for check in checks.values() for comparison in check.comparisons)
    counts = ", ".join(f"{count[verdict]} {verdict}" for verdict in get_args(Verdict) if count[verdict])
    unknown = [
        f"{notebook}: no expected key figures are recorded; record them with --update"
        for notebook, check in checks.items()
        if not check.known
    ]
    return "\n".join([f"key figures: {counts or 'none'}", *_table(list(_rows(checks))), *unknown])


def describe_tolerance(figure: KeyFigure) -> str:
    """The tolerance as text: "exact", "6 digits" for computed floats, or, for example, "0.02, higher is better"."""
    if figure.tolerance == 0:
        return "exact" if isinstance(figure.value, int) else "6 digits"
    return f"{figure.tolerance:g}" + (f", {figure.better} is better" if figure.better != "neither" else "")


def _allowed(expected: KeyFigure) -> float:
    if expected.tolerance == 0 and not isinstance(expected.value, int):
        return PROCESSOR * abs(expected.value)
    return expected.tolerance * (1 + ROUNDING)


def _rows(checks: Mapping[str, Check]) -> Iterator[tuple[str, ...]]:
    for notebook, check in checks.items():
        for one in check.comparisons:
            if check.known and one.verdict != "as expected":
                tolerance = describe_tolerance(one.expected) if one.expected else "-"
                yield notebook, one.name, _exactly(one.expected), _exactly(one.got), tolerance, one.verdict


def _exactly(figure: KeyFigure | None) -> str:
    """The figure with all its digits, because two figures that differ must not look the same."""
    return "-" if figure is None else repr(figure.value)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as lines in columns, below a heading; no lines if there are no rows."""
    if not rows:
        return []
    table = [("notebook", "key figure", "expected", "got", "tolerance", "verdict"), *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return [*map(printable, lines)]
