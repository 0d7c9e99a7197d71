"""The choice among a level's candidates: generation by generation, the next one drawn by what the last one taught."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from randprune_lab.search.candidates import Level
from randprune_lab.search.executors import Executor, Job
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.pool import Pool
from randprune_lab.search.strategies import Published, Strategy

NOISE_MASKS = 6
"""Masks at most that are trained again with other seeds."""

log = logging.getLogger("randprune_lab")


@dataclass
class Generations:
    """The race of a level, of which the finished evaluations and generations are not done again."""

    level: Level
    folder: RunFolder
    executor: Executor
    progress: bool

    def run(self, candidates: int) -> tuple[Level, int]:
        """Let the strategy choose; gives the level with all that was learned, and the winner's number."""
        generations = self.level.config.generations
        if generations == 1:
            selection = self.folder.unit(f"{self.level.name}/selection", lambda: self._race(range(candidates)))
        else:
            races = [self._generation(number, candidates // generations) for number in range(generations)]
            selection = self.folder.unit(f"{self.level.name}/selection", lambda: self._final(races))
        log.info(
            "%s: mask %d of %d is kept, after %d training steps",
            self.level.name,
            selection["winner"],
            candidates,
            selection["steps"],
        )
        if self.level.config.noise_seeds:
            self._noise(min(NOISE_MASKS, candidates))
        return self.level, int(selection["winner"])

    def _noise(self, masks: int) -> None:
        """Train the first masks with seeds of their own each: shared ones would count as no noise."""
        per_mask, last = self.level.config.noise_seeds, self.level.config.early_last
        for mask in range(masks):
            for number in range(per_mask):
                seed = 1 + mask * per_mask + number
                level = replace(self.level, training_seed=seed)
                self.folder.unit(f"{self.level.name}/noise-{mask}-{number}", partial(self._other, level, mask, last))

    def _other(self, level: Level, mask: int, last: int) -> dict[str, Any]:
        (found,) = self.executor.evaluate(level, [Job(mask, level.total_steps)], self.progress)
        score = found.score("log-loss", last)
        log.info("%s: mask %d with training seed %d: %.4f", level.name, mask, level.training_seed, score)
        return {"mask": mask, "seed": level.training_seed, "score": score, "steps": level.total_steps}

    def _generation(self, number: int, size: int) -> dict[str, Any]:
        """Race one generation, and let the next learn from the better half of those who raced."""
        members = range(number * size, (number + 1) * size)
        race = self.folder.unit(f"{self.level.name}/generation-{number}", lambda: self._race(members))
        racing = next(each["candidates"] for each in race["rounds"] if each["steps"] > 0)
        elite = tuple(race["ranking"][: max(1, len(racing) // 2)])
        log.info("%s: generation %d teaches by %s", self.level.name, number, ", ".join(map(str, elite)))
        drawing = replace(self.level.drawing, elites=(*self.level.drawing.elites, elite))
        self.level = replace(self.level, drawing=drawing)
        return race

    def _race(self, members: range) -> dict[str, Any]:
        return self._select(self.level.config.strategy(), list(members))

    def _final(self, races: list[dict[str, Any]]) -> dict[str, Any]:
        """Choose among all who were trained to the end, and each generation's winner, which is if it was not."""
        total = self.level.total_steps
        ended = {
            each for race in races for each in race["rounds"][-1]["candidates"] if race["rounds"][-1]["steps"] == total
        }
        winners = {race["winner"] for race in races}
        config = self.level.config
        final = self._select(Published(score=config.early_score, last=config.early_last), sorted(ended | winners))
        return final | {
            "steps": sum(race["steps"] for race in races) + total * len(winners - ended),
            "evaluations": sum(race["evaluations"] for race in races) + final["evaluations"],
            "rounds": [each for race in races for each in race["rounds"]] + final["rounds"],
        }

    def _select(self, strategy: Strategy, members: list[int]) -> dict[str, Any]:
        pool = Pool(self.level, self.folder, self.executor, self.progress)
        every = self.level.config.evaluate_every
        return strategy.select(members, self.level.total_steps, pool.evaluate, every=every).to_dict()
