"""Ways to compute the same, measured one after the other in every round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

from randprune_lab.bench.figure import Figure
from randprune_lab.machine import processor

SECONDS = 6.0
"""The time for one row; each contestant is measured at least `LEAST` times."""

LEAST = 3


def alternating(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median time of each way, in seconds; in every round each is measured once. The first round is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rounds, end = 0, time.perf_counter() + SECONDS
    while rounds <= LEAST or time.perf_counter() < end:
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
        rounds += 1
    return {name: median(times[1:]) for name, times in seconds.items()}


def speed_row(
    what: str, model: str, sparsity: float, unit: str, measured: Mapping[str, float], figures: list[Figure]
) -> dict[str, Any]:
    """A row of `bench_speed`: what was measured, where, the values with their unit, and the ratios of them."""
    return {
        "what": what,
        "model": model,
        "sparsity": sparsity,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "unit": unit,
        "measured": dict(measured),
        "figures": [figure.to_dict() for figure in figures],
    }
