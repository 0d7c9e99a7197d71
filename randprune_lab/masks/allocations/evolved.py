"""Counts that a run evolves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from randprune_lab.errors import ConfigError, check_count, check_range
from randprune_lab.masks.allocations.base import Allocation, Scores, Shapes
from randprune_lab.masks.allocations.row import base_of
from randprune_lab.masks.sparsity import Sparsity
from randprune_lab.registry import setting


@dataclass(frozen=True)
class Evolved(Allocation):
    """Counts evolved at each level of a run, so that the pruned model is close to the dense one before training.

    In Python, `randprune_lab.evolve_allocation` returns them.

    Source: Sieberling et al. 2025, arXiv 2410.14649 (EvoPress).
    """

    start: Any = setting("global", "the allocation to begin with")
    generations: int = setting(30, "number of generations")
    offspring: int = setting(8, "number of mutants in each")
    step: float = setting(0.1, "weights that a switch moves, as a fraction of what a tensor keeps on average")
    examples: int = setting(128, "number of train examples that the divergence is measured on")
    name: ClassVar[str] = "evolved"

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", base_of(self.name, self.start))
        check_count("generations", self.generations, low=0)
        for name in ("offspring", "examples"):
            check_count(name, getattr(self, name))
        check_range("step", self.step, low=0, low_open=True)

    def counts(
        self, shapes: Shapes, sparsity: Sparsity, scores: Scores, kernels: Collection[str] = ()
    ) -> dict[str, int]:
        raise ConfigError(
            "allocation 'evolved' runs the model on data, which a sampler does not have; give it the counts of "
            "randprune_lab.evolve_allocation"
        )
