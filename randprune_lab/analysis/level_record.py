"""One level of a recorded run: the mask that was chosen, what it was chosen from, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from randprune_lab.errors import RunError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.search.config import RunConfig
from randprune_lab.search.folder import load_arrays, load_predictions, mask_path
from randprune_lab.search.units import (
    Units,
    candidate_unit,
    candidate_units,
    file_name,
    level_unit,
    noise_units,
    score_unit,
    selection_unit,
)
from randprune_lab.stats.confidence import Confidence, assess_choice
from randprune_lab.stats.intervals import Interval, score_interval
from randprune_lab.stats.variance import VarianceSplit, variance_split
from randprune_lab.tasks.spec import Task
from randprune_lab.training.scoring import answers


@dataclass(frozen=True)
class LevelRecord:
    """What one method did at one level; made by `RunRecord.level`.

    Args:
        method: the method's name, such as `search` or `imp`.
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
        """The name of what was trained here, such as `search-level-2`: `RunRecord.score` and others take it."""
        return level_unit(self.method, self.number)

    @property
    def sparsity(self) -> float:
        """The sparsity that was asked for."""
        return self.config.levels[self.number - 1]

    @property
    def done(self) -> bool:
        """Whether the winner was chosen and trained."""
        return self.name in self.units

    @property
    def winner(self) -> int:
        """The number of the chosen candidate."""
        return int(self._unit["winner"])

    @cached_property
    def mask(self) -> MaskSet:
        """The mask of the winner. Raises `FileError` if its file is missing or damaged."""
        _ = self._unit
        return MaskSet.load(mask_path(self.path, self.name))

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of the mask: `search.proposals.redraw` rebuilds it from the level's starting weights."""
        return self._unit["mask"]

    @property
    def steps(self) -> int:
        """Training steps of the winner."""
        return int(self._unit["total_steps"])

    @property
    def candidate_steps(self) -> int:
        """Training steps of all candidates together; 0 where there was only one."""
        return int(self.selection.get("steps", 0))

    @property
    def validation_score(self) -> float:
        """The best score of the winner on the validation set during its training."""
        return float(self._unit["score"])

    @property
    def test_score(self) -> Interval:
        """The winner's first metric on the first test set. Raises `FileError` if it was not scored yet."""
        logits, labels = load_predictions(self.path, file_name(score_unit(self.name)))
        return score_interval(self.task.primary_metric, answers(self.task, logits), labels)

    @property
    def selection(self) -> dict[str, Any]:
        """How the winner was chosen, as `search.selection.Selection.to_dict` has it; empty if nothing was chosen."""
        return self.units.get(selection_unit(self.name), {})

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The early evaluations by candidate, each as far as it went; empty where nothing was selected.

        Each has the candidate's number, the training steps, the task metric at each evaluation (`at`, `metric`), the
        mask's recipe, and the `score` that candidates were compared by, None while none was chosen.
        """
        furthest: dict[int, dict[str, Any]] = {}
        for unit in candidate_units(self.units, self.name):
            best = furthest.get(unit["candidate"], unit)
            furthest[unit["candidate"]] = max(best, unit, key=lambda one: one["steps"])
        rounds = self.selection.get("rounds", [])
        scores = dict(pair for each in rounds for pair in zip(each["candidates"], each["scores"], strict=True))
        return [{**furthest[number], "score": scores.get(number)} for number in sorted(furthest)]

    @property
    def finalists(self) -> list[int]:
        """The candidates of the last round that had more than one; empty where nothing was selected."""
        return self._final_round.get("candidates", [])

    @property
    def _final_round(self) -> dict[str, Any]:
        rounds = [each for each in self.selection.get("rounds", []) if len(each["candidates"]) > 1]
        return rounds[-1] if rounds else {}

    @cached_property
    def confidence(self) -> Confidence | None:
        """How certain the choice among the finalists is; None where there was only one candidate.

        It is based on the mean log-likelihood of the validation examples over the evaluations that the score was made
        of, also if the strategy compared the task's metric, which is noisier.
        """
        if not (racing := self.finalists):
            return None
        steps = self._final_round["steps"]
        names = [file_name(candidate_unit(self.name, candidate, steps)) for candidate in racing]
        examples = [load_arrays(self.path, name)["examples"] for name in names]
        last = [each[-self.config.early_last :].mean(axis=0) for each in examples]
        return assess_choice(np.stack(last), winner=racing.index(self.selection["winner"]))

    @cached_property
    def noise(self) -> VarianceSplit | None:
        """How much of an early score (mean log-likelihood) is the mask; None if none was trained with other seeds."""
        scores: dict[int, list[float]] = {}
        for unit in noise_units(self.units, self.name):
            scores.setdefault(unit["mask"], []).append(unit["score"])
        whole = [each for each in scores.values() if len(each) == self.config.noise_seeds]
        return variance_split(np.array(whole)) if len(whole) > 1 else None

    def summary(self) -> dict[str, Any]:
        """Candidates and confidence as plain JSON."""
        keys = ("candidate", "score", "mask", "steps", "total_steps")
        return {
            "method": self.method,
            "level": self.number,
            "sparsity": self.sparsity,
            "candidates": [{key: unit[key] for key in keys} for unit in self.candidates],
            "confidence": self._confidence(),
        }

    def _confidence(self) -> dict[str, Any] | None:
        if (sure := self.confidence) is None:
            return None
        return {
            "chance_of_best": float(sure.chance_of_best[sure.winner]),
            "expected_loss": sure.expected_loss,
            "winners_curse": sure.winners_curse,
            "mask_share": None if self.noise is None else asdict(self.noise.share),
        }

    @property
    def _unit(self) -> dict[str, Any]:
        if not self.done:
            raise RunError(f"{self.path} has not trained {self.name} yet; go on with --resume")
        return self.units[self.name]
