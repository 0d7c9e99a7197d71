"""A measured figure and what it is held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One ratio, with what it must not miss and what it aims at; `at_most` tells which side is good."""

    name: str
    value: float
    must: float
    aim: float
    at_most: bool = True

    @property
    def verdict(self) -> str:
        def reached(limit: float) -> bool:
            return self.value <= limit if self.at_most else self.value >= limit

        return "aim" if reached(self.aim) else "must" if reached(self.must) else "MISSED"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def figure_line(figure: dict[str, Any]) -> str:
    """A line of a terminal's table, of what `Figure.to_dict` gave."""
    sign = "<=" if figure["at_most"] else ">="
    limits = f"must {sign} {figure['must']:g}, aim {sign} {figure['aim']:g}"
    return f"  {figure['name']:<48} {figure['value']:>12,.4g}   {limits:<32} {figure['verdict']}"
