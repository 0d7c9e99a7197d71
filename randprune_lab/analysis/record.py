"""A recorded run, read back: what `randprune show` prints and the figures draw."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from randprune_lab.analysis.confidence import Confidence, confidence
from randprune_lab.analysis.intervals import Interval, accuracy_interval, score_difference, score_interval
from randprune_lab.analysis.variance import VarianceSplit, variance_split
from randprune_lab.errors import FileError, RunError
from randprune_lab.search.config import RunConfig
from randprune_lab.search.folder import Units, load_arrays, load_predictions, read_config, read_journal
from randprune_lab.tasks.spec import Task, get_task, suffixed
from randprune_lab.training.scoring import answers


@dataclass(frozen=True)
class RunRecord:
    """One run folder. Reading it needs neither the model nor the data."""

    path: Path
    config: RunConfig
    units: Units

    @classmethod
    def load(cls, path: str | Path) -> RunRecord:
        """Read a run folder, finished or not. Raises `RunError` if it holds no run."""
        path = Path(path)
        return cls(path, read_config(path), read_journal(path))

    @property
    def finished(self) -> bool:
        """Whether every unit of work is done; the final model is the last."""
        return "model" in self.units

    @property
    def methods(self) -> list[str]:
        return [method.name for method in self.config.methods()]

    @property
    def trained(self) -> list[str]:
        """Names of everything that is trained to the end and reported."""
        return [
            "dense",
            *(f"{m}-level-{i}" for m in self.methods for i in range(1, len(self.config.levels) + 1)),
        ]

    def candidates(self, level: int, method: str = "randomized") -> list[dict[str, Any]]:
        """The early evaluations of a level by candidate, each as far as it went; empty where nothing was selected.

        With a candidate's number come the training steps, the task metric at each evaluation (`at`, `metric`), the
        mask's recipe, and the `score` that the strategy went by, None while it has not chosen.
        """
        prefix = f"{method}-level-{level}"
        furthest: dict[int, dict[str, Any]] = {}
        for name, unit in self.units.items():
            if name.startswith(f"{prefix}/candidate-"):
                best = furthest.get(unit["candidate"], unit)
                furthest[unit["candidate"]] = max(best, unit, key=lambda one: one["steps"])
        rounds = self.units.get(f"{prefix}/selection", {}).get("rounds", [])
        scores = dict(pair for each in rounds for pair in zip(each["candidates"], each["scores"], strict=True))
        return [{**furthest[number], "score": scores.get(number)} for number in sorted(furthest)]

    def confidence(self, level: int, method: str = "randomized") -> Confidence | None:
        """How sure the choice at a level is, among those who raced to the last; None where only one did.

        By the mean log-likelihood of the selection examples over the evaluations that the score was made of, also if
        the strategy went by the task's metric, which is noisier.
        """
        prefix = f"{method}-level-{level}"
        selection = self.units.get(f"{prefix}/selection")
        rounds = [each for each in selection["rounds"] if len(each["candidates"]) > 1] if selection else []
        if not selection or not rounds:
            return None
        racing, steps = rounds[-1]["candidates"], rounds[-1]["steps"]
        names = [f"{prefix}-candidate-{candidate}-steps-{steps}" for candidate in racing]
        examples = [load_arrays(self.path, name)["examples"] for name in names]
        last = [each[-self.config.early_last :].mean(axis=0) for each in examples]
        return confidence(np.stack(last), winner=racing.index(selection["winner"]))

    def noise(self, level: int, method: str = "randomized") -> VarianceSplit | None:
        """How much of an early score (mean log-likelihood) is the mask; None if none was trained with other seeds."""
        prefix = f"{method}-level-{level}/noise-"
        scores: dict[int, list[float]] = {}
        for name, unit in self.units.items():
            if name.startswith(prefix):
                scores.setdefault(unit["mask"], []).append(unit["score"])
        whole = [each for each in scores.values() if len(each) == self.config.noise_seeds]
        return variance_split(np.array(whole)) if len(whole) > 1 else None

    @cached_property
    def task(self) -> Task:
        """The task that was learned. Runs of version 0.1.0 recorded its name alone."""
        recorded = self.units.get("data", {}).get("task")
        return Task.from_dict(recorded) if recorded else get_task(self.config.task)

    def answers(self, name: str, report_set: str = "") -> tuple[np.ndarray, np.ndarray]:
        """What `name` answers for each example of a report set, and what is right: label ids, or scores."""
        logits, labels = load_predictions(self.path, suffixed(f"report-{name}", report_set, "-"))
        return answers(self.task, logits), labels

    def correct(self, name: str, report_set: str = "") -> Bool[np.ndarray, " n"]:
        """Which examples of a report set `name` answers rightly. Raises `RunError` in regression."""
        if self.task.regression:
            raise RunError(f"task {self.task.name!r} has scores, of which none is plainly right; see RunRecord.score")
        given, labels = self.answers(name, report_set)
        return given == labels

    def accuracy(self, name: str, report_set: str = "") -> Interval:
        """The share of examples that `name` answers rightly. Raises `RunError` in regression."""
        return accuracy_interval(self.correct(name, report_set))

    def score(self, name: str, report_set: str = "") -> Interval:
        """The task's first metric of `name` on a report set: what the figures and tables show."""
        return score_interval(self.task.primary_metric, *self.answers(name, report_set))

    def difference(self, first: str, second: str, report_set: str = "") -> Interval:
        """The first metric of one less that of the other on a report set, paired by example."""
        ours, labels = self.answers(first, report_set)
        theirs, _ = self.answers(second, report_set)
        return score_difference(self.task.primary_metric, ours, theirs, labels)

    @cached_property
    def environment(self) -> dict[str, Any] | None:
        """Versions and machine; None if the run was stopped before they were written."""
        file = self.path / "environment.json"
        try:
            return json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise FileError(f"{file} is damaged: {error}") from error

    def summary(self) -> dict[str, Any]:
        """All of it as plain JSON: configuration, levels with candidates and winner, report scores, differences."""
        levels = [
            self._level(method, level, sparsity)
            for method in self.methods
            for level, sparsity in enumerate(self.config.levels, start=1)
        ]
        return {
            "run": str(self.path),
            "finished": self.finished,
            "config": self.config.to_dict(),
            "environment": self.environment,
            "data": self.units.get("data"),
            "dense": self._trained("dense"),
            "levels": levels,
            "differences": self.differences(),
        }

    def _level(self, method: str, level: int, sparsity: float) -> dict[str, Any]:
        keys = ("candidate", "score", "mask", "steps", "total_steps")
        return {
            "method": method,
            "level": level,
            "sparsity": sparsity,
            "candidates": [{key: unit[key] for key in keys} for unit in self.candidates(level, method)],
            "confidence": self._confidence(level, method),
            **self._trained(f"{method}-level-{level}"),
        }

    def _confidence(self, level: int, method: str) -> dict[str, Any] | None:
        if (sure := self.confidence(level, method)) is None:
            return None
        noise = self.noise(level, method)
        return {
            "chance_of_best": float(sure.chance_of_best[sure.winner]),
            "expected_loss": sure.expected_loss,
            "winners_curse": sure.winners_curse,
            "mask_share": None if noise is None else asdict(noise.share),
        }

    def _trained(self, name: str) -> dict[str, Any]:
        keys = ("winner", "mask_sha256", "weights_sha256", "score", "total_steps")
        unit, report = self.units.get(name, {}), self.units.get(f"report/{name}")
        return {
            "report": report,
            "report_intervals": self._intervals(name) if report else None,
            **{key: unit[key] for key in keys if key in unit},
        }

    def _intervals(self, name: str) -> dict[str, Any]:
        metric = self.task.primary_metric
        return {suffixed(metric, each): asdict(self.score(name, each)) for each in self.task.report_sets}

    def differences(self) -> list[dict[str, Any]]:
        """The first metric of the search less that of each baseline, a row for each level and set reported."""
        return [
            {
                "level": level,
                "sparsity": sparsity,
                "baseline": other,
                "metric": suffixed(self.task.primary_metric, each),
                **asdict(self.difference(f"randomized-level-{level}", f"{other}-level-{level}", each)),
            }
            for other in self.methods[1:]
            for level, sparsity in enumerate(self.config.levels, start=1)
            if {f"report/randomized-level-{level}", f"report/{other}-level-{level}"} <= self.units.keys()
            for each in self.task.report_sets
        ]
