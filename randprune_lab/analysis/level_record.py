"""The record of one level of a run: its candidates, the chosen mask, and the scores after training with it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from randprune_lab.analysis.answers import read_answers
from randprune_lab.errors import RunError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.search.certainty import assess_finals, final_round, finals, last_scores
from randprune_lab.search.config import RunConfig
from randprune_lab.search.results import RecordedRecipe
from randprune_lab.search.run_files import mask_path
from randprune_lab.search.units import (
    Units,
    candidate_units,
    level_unit,
    noise_units,
    selection_unit,
)
from randprune_lab.stats.confidence import Confidence
from randprune_lab.stats.intervals import Interval, score_interval
from randprune_lab.stats.known import known
from randprune_lab.stats.variance import VarianceSplit, variance_split
from randprune_lab.tasks.spec import Task


@dataclass(frozen=True)
class LevelRecord:
    """The record of one method at one level. `RunRecord.level` returns it.

    Args:
        path, config, units, task: those of the run.
        method: the name of the method, such as `search` or `imp`.
        number: the level, from 1.
    """

    path: Path
    config: RunConfig
    units: Units
    task: Task
    method: str
    number: int

    @property
    def name(self) -> str:
        """The name of the training at this level, such as `search-level-2`, for `RunRecord.score` and others."""
        return level_unit(self.method, self.number)

    @property
    def sparsity(self) -> float:
        """The sparsity of this level in the settings."""
        return self.config.levels[self.number - 1]

    @property
    def done(self) -> bool:
        """Whether the winner is chosen and trained."""
        return self.name in self.units

    @property
    def winner(self) -> int:
        """The number of the chosen candidate."""
        return int(self._unit["winner"])

    @cached_property
    def mask(self) -> MaskSet:
        """The mask of the winner.

        Raises:
            RunError: if the level is not done.
            FileError: if the mask file is missing or damaged.
        """
        _ = self._unit  # raises RunError if the level is not done
        return MaskSet.load(mask_path(self.path, self.name))

    @property
    def recipe(self) -> RecordedRecipe:
        """The recipe of the winner's mask: `search.proposals.redraw` rebuilds it from the level's starting weights."""
        return self._unit["mask"]

    @property
    def steps(self) -> int:
        """The number of training steps of the winner."""
        return int(self._unit["total_steps"])

    @property
    def candidate_steps(self) -> int:
        """The number of training steps of all candidates together; 0 if there was only one."""
        return int(self.selection.get("steps", 0))

    @property
    def validation_score(self) -> float:
        """The score on the validation set of the weights that the winner's training ended with."""
        return float(self._unit["score"])

    @property
    def test_score(self) -> Interval:
        """The first metric of the winner on the first test set, with its interval.

        Raises:
            FileError: if the predictions are missing or damaged, or the winner is not scored yet.
        """
        return score_interval(self.task.primary_metric, *read_answers(self.path, self.task, self.name))

    @property
    def selection(self) -> dict[str, Any]:
        """How the winner was chosen, from `search.selection.Selection.to_dict`; empty if there was no choice."""
        return self.units.get(selection_unit(self.name), {})

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The longest early evaluation of each candidate; empty if there was no choice.

        Each entry has the number of the candidate, its training steps, its task metric at each evaluation (`at`,
        `metric`), the recipe of its mask, and the `score` that candidates are compared by; None before the choice,
        and if it is not finite, because the training diverged.
        """
        furthest: dict[int, dict[str, Any]] = {}
        for unit in candidate_units(self.units, self.name):
            before = furthest.get(unit["candidate"], unit)
            furthest[unit["candidate"]] = max(before, unit, key=lambda evaluation: evaluation["steps"])
        scores = {number: score for number, score in last_scores(self.selection).items() if math.isfinite(score)}
        return [{**furthest[number], "score": scores.get(number)} for number in sorted(furthest)]

    @property
    def finalists(self) -> list[int]:
        """The candidates of the last round that had more than one; empty if there was no choice."""
        return final_round(self.selection).get("candidates", [])

    @cached_property
    def confidence(self) -> Confidence | None:
        """How certain the choice among the finalists is; None if there was only one candidate.

        It is based on the log-likelihoods of the validation examples, averaged over the same evaluations as the score.
        This holds also if the strategy compared the task metric, which is noisier. The finalists of the method's other
        levels help to tell how much candidates differ.

        Raises:
            StatisticError: if the recorded evaluations do not show it, as those of a single example.
            FileError: if they are missing or damaged, or candidates were evaluated on different examples.
        """
        if not self.finalists:
            return None
        levels = (replace(self, number=number) for number in range(1, len(self.config.levels) + 1))
        others = [level._finals for level in levels if level.number != self.number and level.finalists]
        return assess_finals(self.selection, self._finals, others)

    @cached_property
    def _finals(self) -> Float64[np.ndarray, "finalists n"]:
        """The mean log-likelihood of each validation example under each finalist."""
        return finals(self.path, self.name, self.selection, self.config.early_last)

    @cached_property
    def noise(self) -> VarianceSplit | None:
        """The variance of early scores (mean log-likelihoods) between masks and between seeds; None if not measured.

        Raises:
            StatisticError: if the scores do not show it, as equal scores.
        """
        scores: dict[int, list[float]] = {}
        for unit in noise_units(self.units, self.name):
            scores.setdefault(unit["mask"], []).append(unit["score"])
        complete = [seeds for seeds in scores.values() if len(seeds) == self.config.noise_seeds]
        return variance_split(np.array(complete)) if len(complete) > 1 else None

    def summary(self) -> dict[str, Any]:
        """The level as plain JSON: its candidates, and the confidence in the choice.

        A statistic that cannot be computed is None, and `unknown` has the reasons.
        """
        keys = ("candidate", "score", "mask", "steps", "total_steps")
        return {
            "method": self.method,
            "level": self.number,
            "sparsity": self.sparsity,
            "candidates": [{key: unit[key] for key in keys} for unit in self.candidates],
            "confidence": self._confidence() if self.finalists else None,
        }

    def _confidence(self) -> dict[str, Any]:
        confidence, uncertain = known(lambda: self.confidence)
        noise, unmeasured = known(lambda: self.noise)
        return {
            "chance_of_best": confidence and float(confidence.chance_of_best[confidence.winner]),
            "expected_loss": confidence and confidence.expected_loss,
            "winners_curse": confidence and confidence.winners_curse,
            "mask_share": noise and asdict(noise.share),
            "unknown": [reason for reason in (uncertain, unmeasured) if reason],
        }

    @property
    def _unit(self) -> dict[str, Any]:
        if not self.done:
            raise RunError(f"{self.path} has not trained {self.name} yet; go on with --resume")
        return self.units[self.name]
