"""Counts with an exact total: allocations say how counts move with a shift, and the shift that fits is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from randprune_lab.errors import ConfigError, WeightError
from randprune_lab.masks.allocations.base import Scores, Shapes
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.importance import FromZero
from randprune_lab.masks.sparsity import Sparsity, keep_count
from randprune_lab.masks.weight_checks import ALL_ZERO

Kept = Callable[[float], Float64[np.ndarray, " tensors"]]


def sizes_of(shapes: Shapes) -> Int64[np.ndarray, " tensors"]:
    """The number of weights of each tensor."""
    return np.array([math.prod(shape) for shape in shapes.values()], dtype=np.int64)


def room_in(shapes: Shapes, scores: Scores) -> Int64[np.ndarray, " tensors"]:
    """The largest number of weights that each tensor can keep: those that are not zero, or all without scores."""
    if not scores:
        return sizes_of(shapes)
    lazy = scores if isinstance(scores, FromZero) else FromZero(scores, signed=False)
    alive = lazy.alive()
    return np.array([alive[name] for name in shapes], dtype=np.int64)


def total_of(shapes: Shapes, sparsity: Sparsity, name: str) -> int:
    """The number of weights that all tensors keep, for an allocation that takes one number as sparsity."""
    if isinstance(sparsity, Mapping):
        raise ConfigError(
            f"sparsity by pattern is for the allocations 'layerwise' and 'row', got allocation {name!r:.60}; "
            "give one number as sparsity, or leave out allocation"
        )
    return keep_count(int(sizes_of(shapes).sum()), sparsity)


def with_total(
    kept: Kept, between: tuple[float, float], room: Int64[np.ndarray, " tensors"], total: int
) -> Int64[np.ndarray, " tensors"]:
    """Whole numbers at most `room` that sum to `total`: those of `kept` at the shift that fits, rounded.

    Args:
        kept: the numbers at a shift, from 0 to `room`; they rise with it.
        between: shifts at which they sum to less, and to more.
        room: the largest numbers.
        total: the sum.

    Raises:
        WeightError: if the total is larger than the sum of `room`.
    """
    from scipy.optimize import brentq

    check_room(room, total)
    if total in (0, room.sum()):
        return room if total else np.zeros_like(room)
    exact = kept(brentq(lambda shift: kept(shift).sum() - total, *between, xtol=1e-12))
    return rounded(exact, room, total)


def check_room(room: Int64[np.ndarray, " tensors"], total: int) -> None:
    """Raise `WeightError` unless there are enough weights to keep."""
    if total > room.sum():
        raise WeightError(
            f"cannot keep {total:,} weights: only {int(room.sum()):,} are not zero, and pruned weights stay pruned; "
            f"{'ask for a larger sparsity' if room.any() else ALL_ZERO}"
        )


def rounded(
    exact: Float64[np.ndarray, " tensors"], room: Int64[np.ndarray, " tensors"], total: int
) -> Int64[np.ndarray, " tensors"]:
    """Numbers rounded to whole ones with a given sum: down, and then the largest remainders up."""
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    free = order[counts[order] < room[order]]
    counts[free[: total - counts.sum()]] += 1
    return counts


def log_odds_moved(
    density: Float64[np.ndarray, " tensors"],
    offsets: Float64[np.ndarray, " tensors"],
    size: Int64[np.ndarray, " tensors"],
    room: Int64[np.ndarray, " tensors"],
    total: int,
) -> Int64[np.ndarray, " tensors"]:
    """Counts whose log-odds of keeping a weight are those of `density`, moved by `offsets` and by what the total needs.

    Raises:
        WeightError: if the total is larger than the sum of `room`.
    """
    from scipy.special import expit, logit

    odds = logit(np.clip(density, 1e-9, 1 - 1e-9)) + np.clip(offsets, -50, 50)
    return with_total(lambda shift: np.minimum(size * expit(odds + shift), room), (-100, 100), room, total)


def moved(
    counts: Mapping[str, int], offsets: Sequence[float], shapes: Shapes, sparsity: Sparsity, scores: Scores
) -> dict[str, int]:
    """Counts with the log-odds of keeping a weight moved by `offsets`, one for each tensor, and an exact total."""
    size = sizes_of(shapes)
    density = np.array([counts[name] for name in shapes]) / np.maximum(size, 1)
    total = total_of(shapes, sparsity, "moved")
    found = log_odds_moved(density, np.asarray(offsets, dtype=np.float64), size, room_in(shapes, scores), total)
    return dict(zip(shapes, map(int, found), strict=True))


def normals(seed: int, number: int, tensors: int) -> Float64[np.ndarray, " tensors"]:
    """Independent standard normal numbers, one for each tensor; a pure function of seed and number."""
    import torch
    from scipy.special import ndtri

    return ndtri(uniform(seed, number, "", torch.arange(tensors), purpose="allocation").numpy())
