"""Evolution of an allocation: weights move between tensors as long as the pruned model gets closer to the dense one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from randprune_lab.errors import check_count, check_range
from randprune_lab.masks.allocations import Given
from randprune_lab.masks.counter_rng import check_number, uniform
from randprune_lab.probe.measures import Data, divergence_from
from randprune_lab.probe.one_shot import OneShot, pruned_in_place
from randprune_lab.progress import progress_bar

SWITCHES = 3
"""The largest number of switches in a mutation; the number is the smaller of two that are drawn."""

Counts = dict[str, int]


@dataclass(frozen=True)
class Evolution:
    """The best allocation that was found, and the way to it.

    Args:
        counts: the number of weights that each tensor keeps, which `MaskSampler` takes as `allocation`.
        history: the best fitness so far, from that of the start to that of the last generation; smaller is better.
        evaluations: the number of allocations whose fitness was computed.
    """

    counts: Counts
    history: tuple[float, ...]
    evaluations: int


def evolve_allocation(
    model: nn.Module,
    data: Data,
    sparsity: float,
    *,
    scores: Mapping[str, Tensor] | None = None,
    signed: bool = False,
    start: Given = "layerwise",
    generations: int = 50,
    offspring: int = 16,
    step: float = 0.1,
    seed: int = 0,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
    progress: bool = True,
) -> Evolution:
    """Evolve how many weights each tensor keeps, at a constant total. The model is left as it was.

    In each generation, the best allocation so far is mutated: one to three times, the same number of weights moves from
    one tensor to another (a level switch). The fitness of a mutant is that of the model pruned by it without training,
    and the best of mutants and parent goes on; so fitness never gets worse. Only forward passes are needed, and only
    tensors whose count changed are pruned again. The result is a pure function of the arguments.

    Args:
        model: the trained dense model.
        data: batches of text, without labels, on which the fitness is KL(dense || pruned), see `divergence_from`; or a
            function of the model that returns the fitness, such as `loss_on(validation batches)`; smaller is better.
        sparsity: the fraction of all weights that is removed.
        scores, signed: the importance scores, by the weights' names; without them, magnitudes. See `MaskSampler`.
        start: the allocation to begin with.
        generations: the number of generations.
        offspring: the number of mutants in each.
        step: the number of weights that a switch moves, as a fraction of what a tensor keeps on average.
        seed: the seed of the mutations.
        include, exclude, types: which weights are pruned, see `prunable`.
        progress: show a progress bar.

    Raises:
        ConfigError: if a setting is out of range, or there are no batches.
        WeightError: if fewer weights are non-zero than are to be kept.

    Source: Sieberling et al. 2025, arXiv 2410.14649 (EvoPress), section 3; there each mutant is compared on growing
    samples of the data, here on all of it.
    """
    for name, value in (("generations", generations), ("offspring", offspring)):
        check_count(name, value, low=0 if name == "generations" else 1)
    check_number("seed", seed)
    check_range("step", step, low=0, low_open=True)
    fitness = divergence_from(model, data)
    one_shot = OneShot(model, scores, signed=signed, include=include, exclude=exclude, types=types)
    best = one_shot.counts(sparsity, start)
    moved = max(1, round(step * sum(best.values()) / len(best)))
    known: dict[tuple[int, ...], float] = {}

    def measured(counts: Counts) -> float:
        key = tuple(counts[name] for name in one_shot.sizes)
        if key not in known:
            one_shot.prune(counts)
            found = float(fitness(model))
            known[key] = math.inf if math.isnan(found) else found
        return known[key]

    with progress_bar(1 + generations * offspring, shown=progress) as bar, pruned_in_place(one_shot):
        history = [measured(best)]
        bar.advance(1)
        for generation in range(generations):
            first = generation * offspring
            parent = best
            history.append(history[-1])
            for number in range(first, first + offspring):
                mutant = mutated(parent, one_shot.room, moved, seed, number)
                if (found := measured(mutant)) < history[-1]:
                    best, history[-1] = mutant, found
                bar.advance(1)
    return Evolution(best, tuple(history), len(known))


def mutated(counts: Counts, room: Mapping[str, int], moved: int, seed: int, number: int) -> Counts:
    """Counts after one to three level switches; a pure function of them, the seed and the number of the mutant.

    Args:
        counts: the number of weights that each tensor keeps.
        room: the largest such numbers.
        moved: the number of weights that a switch moves from one tensor to another.
    """
    drawn = uniform(seed, number, "", torch.arange(2 + 2 * SWITCHES), purpose="evolution").tolist()
    changed = dict(counts)
    for switch in range(1 + int(SWITCHES * min(drawn[:2]))):
        give, take = drawn[2 + 2 * switch : 4 + 2 * switch]
        donors = [name for name, k in changed.items() if k >= moved]
        if not donors:
            break
        donor = donors[int(give * len(donors))]
        takers = [name for name, k in changed.items() if name != donor and k + moved <= room[name]]
        if takers:
            changed[donor] -= moved
            changed[takers[int(take * len(takers))]] += moved
    return changed
