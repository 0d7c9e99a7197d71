"""The allocation that a level evolves before its masks are drawn; the journal keeps it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from randprune_lab.masks.allocations import Evolved
from randprune_lab.probe import divergence_from, evolve_allocation
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.level import Level
from randprune_lab.search.scorer import ordered_batches
from randprune_lab.search.units import allocation_unit

log = logging.getLogger("randprune_lab")


def with_allocation(level: Level, folder: RunFolder) -> Level:
    """The level with the counts of its evolved allocation; with another allocation, the level as it is."""
    settings = level.proposal.allocation
    if not isinstance(settings, Evolved):
        return level
    found = folder.unit(allocation_unit(level.name), lambda: _evolve(level, settings))
    return replace(level, proposal=replace(level.proposal, allocation=found["counts"]))


def _evolve(level: Level, settings: Evolved) -> dict[str, Any]:
    """Evolve counts from the level's starting weights, for predictions close to those of the dense model."""
    assert level.teacher is not None, "the levels of a run have the dense model"
    proposal, rows = level.proposal, level.train.first(min(settings.examples, len(level.train)))
    level.model.load_state_dict(level.start)
    log.info("%s: evolving its allocation with %d mutants", level.name, settings.generations * settings.offspring)
    scores, signed = proposal.importance(level.model)
    found = evolve_allocation(
        level.model,
        divergence_from(level.teacher.model, ordered_batches(rows)),
        proposal.sparsity,
        scores=scores,
        signed=signed,
        start=settings.start,
        generations=settings.generations,
        offspring=settings.offspring,
        step=settings.step,
        seed=proposal.seed,
        **level.config.scope,
        progress=False,
    )
    first, last = found.history[0], found.history[-1]
    log.info("%s: its divergence from the dense model fell from %.4g to %.4g", level.name, first, last)
    return {"counts": found.counts, "history": list(found.history), "evaluations": found.evaluations}
