"""Counts by the measured loss of each tensor."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from randprune_lab.errors import ConfigError, FileError, check_range, listed
from randprune_lab.files import reading
from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.totals import check_room, room_in, sizes_of, total_of
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting

COLUMNS = ("weight", "size", "sparsity", "measured", "increase", "dense")
"""The columns of a scan's table."""

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Sensitive(Allocation):
    """Weights are removed where a scan shows the smallest rise of the loss for each weight.

    If the rises of all tensors add up, their sum is smallest for a given total when all tensors have the same slope:
    loss per removed weight (Lagrange; Shoham and Gersho 1988 for bits). So the lower convex hull of each tensor's
    points is taken, and its segments are used in order of their slopes. No tensor falls below `floor` times the density
    of the whole, since a tensor without weights blocks all others (layer collapse, Tanaka et al. 2020).
    """

    scan: Any = setting((), "table of `randprune scan`: a CSV file or, in Python, what rp.sensitivity returned")
    floor: float = setting(0.1, "the least density of a tensor, as a fraction of 1 - sparsity")
    name: ClassVar[str] = "sensitivity"

    def __post_init__(self) -> None:
        check_range("floor", self.floor, low=0, high=1)
        object.__setattr__(self, "scan", _points_of(self.scan))

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        size = dict(zip(shapes, sizes_of(shapes).tolist(), strict=True))
        room, total = room_in(shapes, scores), total_of(shapes, sparsity, self.name)
        check_room(room, total)
        points = {name: [(s, rise) for weight, s, rise in self.scan if weight == name] for name in shapes}
        if missing := [name for name in shapes if not points[name]]:
            raise ConfigError(f"the scan has no row for {listed(missing)}; scan the weights that are pruned")
        kept = dict(zip(shapes, room.tolist(), strict=True))
        least = {name: min(kept[name], int(self.floor * total * size[name] / sum(size.values()))) for name in shapes}
        left = sum(kept.values()) - total
        segments = [
            (slope, order, size[name] - end)
            for order, name in enumerate(shapes)
            for slope, end in _segments(points[name], size[name])
        ]
        names = [*shapes]
        for _, order, down_to in sorted(segments, key=lambda segment: segment[:2]):
            name = names[order]
            more = min(left, kept[name] - max(least[name], down_to))
            if more > 0:
                kept[name], left = kept[name] - more, left - more
        return kept


def _segments(points: Points, size: int) -> list[tuple[float, int]]:
    """The slopes of a tensor's lower convex hull, rising, and the number of removed weights where each ends."""
    hull: Points = []
    for point in sorted([(0.0, 0.0), *((round(s * size), rise) for s, rise in points)]):
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    found = [(_slope(*pair), int(pair[1][0])) for pair in pairwise(hull) if pair[1][0] > pair[0][0]]
    return found if found and found[-1][1] == size else [*found, (found[-1][0] if found else 0.0, size)]


def _slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    return (second[1] - first[1]) / max(second[0] - first[0], 1e-9)


def _points_of(given: Any) -> tuple[tuple[str, float, float], ...]:
    """The name, the sparsity and the rise of the loss of each row."""
    if hasattr(given, "to_dict"):
        rows = given.to_dict("records")
    elif isinstance(given, str | Path):
        with reading("scan", Path(given)), Path(given).open(encoding="utf-8", newline="") as file:
            rows = [*csv.DictReader(file)]
    else:
        rows = given if isinstance(given, Sequence) else [given]
    try:
        found = tuple(
            (str(row[0]), float(row[1]), float(row[2]))
            if isinstance(row, tuple)
            else (str(row["weight"]), float(row["sparsity"]), float(row["increase"]))
            for row in rows
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        error_of = FileError if isinstance(given, str | Path) else ConfigError
        shown = ", ".join(COLUMNS)
        raise error_of(f"scan needs the columns {shown} of randprune scan, got {str(given)[:80]!r}") from error
    for name, sparsity, rise in found:
        check_range(f"sparsity of {name!r} in the scan", sparsity, low=0, high=1)
        if not math.isfinite(rise):
            raise ConfigError(
                f"the loss of {name!r} at sparsity {sparsity:g} rises by {rise} in the scan; leave such rows out, or "
                "scan smaller sparsities"
            )
    if not found:
        raise ConfigError("allocation 'sensitivity' needs a scan; give the CSV file of randprune scan: scan=FILE.csv")
    return found
