"""A measured ratio, with its limit and its target."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured ratio, with its limit and its target.

    Args:
        name: what is measured; "a / b" is the ratio of a and b.
        limit: a value that is acceptable.
        target: a value that is good.
        at_most: whether limit and target are upper limits; if not, they are lower limits.
    """

    name: str
    value: float
    limit: float
    target: float
    at_most: bool = True

    @property
    def verdict(self) -> str:
        """Which of the two is met: "target", "limit" or "none"."""

        def met(bound: float) -> bool:
            return self.value <= bound if self.at_most else self.value >= bound

        return "target" if met(self.target) else "limit" if met(self.limit) else "none"

    def to_dict(self) -> dict[str, Any]:
        """The ratio and its verdict as plain JSON."""
        return {**asdict(self), "verdict": self.verdict}


def figure_line(figure: dict[str, Any]) -> str:
    """A line of a table for a terminal.

    Args:
        figure: a ratio as `Figure.to_dict` returns it.
    """
    sign = "<=" if figure["at_most"] else ">="
    bounds = f"limit {sign} {figure['limit']:g}, target {sign} {figure['target']:g}"
    return f"  {figure['name']:<54} {figure['value']:>12,.4g}   {bounds:<34} met: {figure['verdict']}"
