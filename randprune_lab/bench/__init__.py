"""Benchmarks of the package, and experiments whose data ship with it."""

from randprune_lab.bench.masks import heavy_tailed, time_by_candidates

__all__ = ["heavy_tailed", "time_by_candidates"]
