"""The data of a race among candidates: its evaluations, its rounds, and the selection."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64

from randprune_lab.errors import ConfigError

Score = Literal["metric", "log-loss"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluations of a candidate during its first `steps` training steps.

    Args:
        candidate: the number of the candidate.
        steps: the number of training steps so far; 0 if the candidate is masked but not trained.
        at: the training steps after which it was evaluated, in increasing order; (0,) if it is not trained.
        metric: the task metric at each evaluation; higher is better.
        examples: the log-likelihood of the right answer to each validation example at each evaluation; in regression,
            minus the squared error. All candidates of a level have the same examples in the same order.
        logits: the logits at the last evaluation; None if they were not kept.
    """

    candidate: int
    steps: int
    at: tuple[int, ...]
    metric: tuple[float, ...]
    examples: Float64[np.ndarray, "evaluations n"]
    logits: Float32[np.ndarray, "n labels"] | None = None

    def score(self, score: Score, last: int) -> float:
        """The mean over the last evaluations, or over all if there are fewer; higher is better.

        Args:
            score: "metric" for the task metric, "log-loss" for the mean log-likelihood of the right answers.
            last: the number of evaluations in the mean.
        """
        return float(np.mean(self.metric[-last:]) if score == "metric" else self.by_example(last).mean())

    def by_example(self, last: int) -> Float64[np.ndarray, " n"]:
        """The mean log-likelihood of each validation example over the last evaluations.

        Raises:
            ConfigError: if the examples have no scores of their own.
        """
        check_examples(self.examples.shape[1])
        return self.examples[-last:].mean(axis=0)


def check_examples(number: int) -> None:
    """Raise `ConfigError` unless there are scores of examples, for a strategy that compares these."""
    if not number:
        raise ConfigError(
            "this strategy compares scores of examples, but an evaluation returned one score; return an array with "
            'the score of each example, or choose a strategy with score="metric", such as "halving"'
        )


Evaluate = Callable[[Sequence[tuple[int, int]]], Sequence[Evaluation]]
"""Trains candidates up to a number of steps, given as (candidate, steps), and returns their evaluations.

A candidate that was trained before continues from there: only the difference is spent. The requests of one call do not
depend on each other. The evaluations may come in any order."""


@dataclass(frozen=True)
class Drop:
    """A dropped candidate, and the reason."""

    candidate: int
    why: str


@dataclass(frozen=True)
class Round:
    """One round of a race: all remaining candidates were trained up to `steps`, then some were dropped."""

    steps: int
    candidates: tuple[int, ...]
    scores: tuple[float, ...]
    dropped: tuple[Drop, ...]

    @property
    def ranking(self) -> list[int]:
        """The candidates, best first: the dropped ones come last, and equal ones by their number."""
        dropped = {drop.candidate for drop in self.dropped}
        order = [
            (candidate in dropped, -score if math.isfinite(score) else math.inf, candidate)
            for candidate, score in zip(self.candidates, self.scores, strict=True)
        ]
        return [candidate for *_, candidate in sorted(order)]


@dataclass(frozen=True)
class Selection:
    """The course and the result of a race.

    Args:
        rounds: the rounds in their order.
        evaluations: the number of passes over the validation examples.
    """

    rounds: tuple[Round, ...]
    evaluations: int

    @property
    def winner(self) -> int:
        return self.ranking[0]

    @property
    def ranking(self) -> list[int]:
        """All candidates: those that stayed longer come first; in the same round, those with the higher score."""
        return list(dict.fromkeys(candidate for round in reversed(self.rounds) for candidate in round.ranking))

    @property
    def steps(self) -> int:
        """The number of training steps of all candidates together."""
        before = [0, *(round.steps for round in self.rounds)]
        return sum((round.steps - old) * len(round.candidates) for round, old in zip(self.rounds, before, strict=False))

    @property
    def scores(self) -> dict[int, float]:
        """The last score of each candidate. Only scores of the same round can be compared."""
        return {
            candidate: score
            for round in self.rounds
            for candidate, score in zip(round.candidates, round.scores, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """The selection as plain JSON, as the journal of a run has it."""
        values = {"winner": self.winner, "steps": self.steps, "ranking": self.ranking, **asdict(self)}
        return json.loads(json.dumps(values))
