"""The choice among a level's candidates, in generations: each generation's masks are learned from the ones before."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel
from randprune_lab.search.executors import Executor, Job
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.pool import Pool
from randprune_lab.search.strategies import Strategy, TrainAll
from randprune_lab.search.units import generation_unit, noise_unit, selection_unit

NOISE_MASKS = 6
"""The largest number of masks that are trained again with other seeds."""

log = logging.getLogger("randprune_lab")

AnyLevel = TypeVar("AnyLevel", bound=BaseLevel)


@dataclass
class Generations(Generic[AnyLevel]):
    """The race of a level. Finished evaluations and generations are read from the run folder, not done again."""

    level: AnyLevel
    folder: RunFolder
    executor: Executor
    advance: Advance = ignore

    def run(self, candidates: int) -> tuple[AnyLevel, int]:
        """Let the strategy choose among the candidates.

        Args:
            candidates: the number of candidates.

        Returns:
            The level, with the elites of all generations, and the number of the winner.
        """
        generations, unit = self.level.choice.generations, selection_unit(self.level.name)
        if generations == 1:
            selection = self.folder.unit(unit, lambda: self._race(range(candidates)))
        else:
            races = [self._generation(number, candidates // generations) for number in range(generations)]
            selection = self.folder.unit(unit, lambda: self._final(races))
        log.info(
            "%s: candidate %d of %d wins, after %d training steps",
            self.level.name,
            selection["winner"],
            candidates,
            selection["steps"],
        )
        if self.level.choice.noise_seeds:
            self._noise(min(NOISE_MASKS, candidates))
        return self.level, int(selection["winner"])

    def _noise(self, masks: int) -> None:
        """Train the first masks again, each with separate seeds: shared seeds would not show as noise."""
        per_mask = self.level.choice.noise_seeds
        for mask in range(masks):
            for number in range(per_mask):
                seed = 1 + mask * per_mask + number
                level = self.level.changed(training_seed=seed)
                self.folder.unit(noise_unit(self.level.name, mask, number), partial(self._again, level, mask, seed))

    def _again(self, level: AnyLevel, mask: int, seed: int) -> dict[str, Any]:
        (evaluation,) = self.executor.evaluate(level, [Job(mask, level.total_steps)], self.advance)
        score = evaluation.score("log-loss", level.choice.last)
        log.info("%s: mask %d scores %.4f with training seed %d", level.name, mask, score, seed)
        return {"mask": mask, "seed": seed, "score": score, "steps": level.total_steps}

    def _generation(self, number: int, size: int) -> dict[str, Any]:
        """Race one generation. The better half of the candidates that were trained become its elite, or the winner."""
        members = range(number * size, (number + 1) * size)
        race = self.folder.unit(generation_unit(self.level.name, number), lambda: self._race(members))
        trained: list[int] = next((round["candidates"] for round in race["rounds"] if round["steps"] > 0), [])
        elite = tuple(race["ranking"][: max(1, len(trained) // 2)])
        log.info("%s: the elite of generation %d: candidates %s", self.level.name, number, ", ".join(map(str, elite)))
        proposal = replace(self.level.proposal, elites=(*self.level.proposal.elites, elite))
        self.level = self.level.changed(proposal=proposal)
        return race

    def _race(self, members: range) -> dict[str, Any]:
        return self._select(self.level.choice.strategy, list(members))

    def _final(self, races: list[dict[str, Any]]) -> dict[str, Any]:
        """Choose among the candidates that were trained to the end and the winners of the generations."""
        total = self.level.total_steps
        ended = {
            candidate
            for race in races
            for candidate in race["rounds"][-1]["candidates"]
            if race["rounds"][-1]["steps"] == total
        }
        winners = {race["winner"] for race in races}
        choice = self.level.choice
        final = self._select(TrainAll(score=choice.score, last=choice.last), sorted(ended | winners))
        return final | {
            "steps": sum(race["steps"] for race in races) + total * len(winners - ended),
            "evaluations": sum(race["evaluations"] for race in races) + final["evaluations"],
            "rounds": [round for race in races for round in race["rounds"]] + final["rounds"],
        }

    def _select(self, strategy: Strategy, members: list[int]) -> dict[str, Any]:
        pool = Pool(self.level, self.folder, self.executor, self.advance)
        every = self.level.choice.every
        return strategy.select(members, self.level.total_steps, pool.evaluate, every=every).to_dict()
