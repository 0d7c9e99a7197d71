"""What a race among candidates is made of: evaluations that come in, rounds that were run, and who won."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

Score = Literal["metric", "log-loss"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is known of a candidate after `steps` training steps; 0 steps: masked, not trained.

    Args:
        at: the training steps after which it was evaluated, rising; (0,) of a candidate that was not trained.
        metric: the task metric at each of them, higher is better.
        examples: log-likelihood of the right answer for each selection example at each of them (of a regression:
            minus the squared error). All candidates of a level share the examples, in one order.
    """

    candidate: int
    steps: int
    at: tuple[int, ...]
    metric: tuple[float, ...]
    examples: Float64[np.ndarray, "evaluations n"]

    def score(self, score: Score, last: int) -> float:
        """Mean of the last evaluations, or of all if there are fewer; higher is better."""
        return float(np.mean(self.metric[-last:]) if score == "metric" else self.by_example(last).mean())

    def by_example(self, last: int) -> Float64[np.ndarray, " n"]:
        """Mean log-likelihood of each selection example over the last evaluations."""
        return self.examples[-last:].mean(axis=0)


Evaluate = Callable[[Sequence[tuple[int, int]]], Sequence[Evaluation]]
"""Trains candidates until they have so many steps, given as (candidate, steps), and gives their evaluations.

A candidate that was trained before goes on from there: only the difference is spent. Requests of one call do not
depend on each other; the answers may come in any order."""


@dataclass(frozen=True)
class Drop:
    """A candidate that is trained no further, and why."""

    candidate: int
    why: str


@dataclass(frozen=True)
class Round:
    """All candidates still racing were trained until `steps`; some were dropped then."""

    steps: int
    candidates: tuple[int, ...]
    scores: tuple[float, ...]
    dropped: tuple[Drop, ...]

    @property
    def ranking(self) -> list[int]:
        """Best first, those dropped after all others; the lowest number first of equals."""
        dropped = {drop.candidate for drop in self.dropped}
        order = [
            (candidate in dropped, -score if math.isfinite(score) else math.inf, candidate)
            for candidate, score in zip(self.candidates, self.scores, strict=True)
        ]
        return [candidate for *_, candidate in sorted(order)]


@dataclass(frozen=True)
class Selection:
    """How a race went. `evaluations` counts the passes over the selection examples."""

    rounds: tuple[Round, ...]
    evaluations: int

    @property
    def winner(self) -> int:
        return self.ranking[0]

    @property
    def ranking(self) -> list[int]:
        """All candidates: who stayed longer comes first, and in the same round who scored higher."""
        return list(dict.fromkeys(candidate for round in reversed(self.rounds) for candidate in round.ranking))

    @property
    def steps(self) -> int:
        """Training steps spent on all candidates."""
        before = [0, *(round.steps for round in self.rounds)]
        return sum((round.steps - old) * len(round.candidates) for round, old in zip(self.rounds, before, strict=False))

    @property
    def scores(self) -> dict[int, float]:
        """The last score of every candidate; comparable only between those of the same round."""
        return {
            candidate: score
            for round in self.rounds
            for candidate, score in zip(round.candidates, round.scores, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it, as it comes back from a journal."""
        found = {"winner": self.winner, "steps": self.steps, "ranking": self.ranking, **asdict(self)}
        return json.loads(json.dumps(found))
