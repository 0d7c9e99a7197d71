"""A recorded run, read back: what `randprune show` prints and the figures draw."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from randprune_lab.analysis.intervals import Interval, accuracy_interval, paired_difference
from randprune_lab.errors import FileError
from randprune_lab.search.config import RunConfig
from randprune_lab.search.folder import Units, load_predictions, read_config, read_journal


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
        """The early evaluations of a level, in order; empty where there was nothing to select."""
        prefix = f"{method}-level-{level}/candidate-"
        found = {int(name.removeprefix(prefix)): unit for name, unit in self.units.items() if name.startswith(prefix)}
        return [found[number] for number in sorted(found)]

    def correct(self, name: str) -> Bool[np.ndarray, " n"]:
        """Which examples of the report split `name` answers rightly."""
        logits, labels = load_predictions(self.path, f"report-{name}")
        return logits.argmax(axis=1) == labels

    def accuracy(self, name: str) -> Interval:
        return accuracy_interval(self.correct(name))

    def difference(self, first: str, second: str) -> Interval:
        """Accuracy of one less that of the other on the report split, paired by example."""
        return paired_difference(self.correct(first), self.correct(second))

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
        keys = ("score", "mask", "mask_sha256", "total_steps")
        return {
            "method": method,
            "level": level,
            "sparsity": sparsity,
            "candidates": [{key: unit[key] for key in keys} for unit in self.candidates(level, method)],
            **self._trained(f"{method}-level-{level}"),
        }

    def _trained(self, name: str) -> dict[str, Any]:
        keys = ("winner", "mask_sha256", "weights_sha256", "score", "total_steps")
        unit, report = self.units.get(name, {}), self.units.get(f"report/{name}")
        interval = asdict(self.accuracy(name)) if report else None
        return {
            "report": report,
            "report_accuracy": interval,
            **{key: unit[key] for key in keys if key in unit},
        }

    def differences(self) -> list[dict[str, Any]]:
        """Accuracy of the search less that of each baseline on the report split, a row for each level reported."""
        return [
            {
                "level": level,
                "sparsity": sparsity,
                "baseline": other,
                **asdict(self.difference(f"randomized-level-{level}", f"{other}-level-{level}")),
            }
            for other in self.methods[1:]
            for level, sparsity in enumerate(self.config.levels, start=1)
            if {f"report/randomized-level-{level}", f"report/{other}-level-{level}"} <= self.units.keys()
        ]
