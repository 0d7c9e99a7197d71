"""Strategies judged over recorded trainings: what each loses against the truth, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.search.selection import Evaluation
from randprune_lab.search.strategies import Strategy
from randprune_lab.stats.intervals import CONFIDENCE, Interval

Rows = Int64[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class Replay:
    """An `Evaluate` over whole early evaluations that were recorded.

    Args:
        at: the training steps at which all were evaluated; 0 first if they were also evaluated untrained.
        examples: log-likelihoods, as in `Evaluation`.
        metric: gives the task metric of all candidates at all evaluations on some of the examples, by their
            positions; for accuracy `lambda rows: correct[:, :, rows].mean(axis=2)`.
        chosen: who takes part: candidate c is the recorded `chosen[c]`. Without it all.
        rows: the examples that are used. Without it all.
    """

    at: tuple[int, ...]
    examples: Float64[np.ndarray, "candidates evaluations n"]
    metric: Callable[[Rows], Float64[np.ndarray, "candidates evaluations"]]
    chosen: Int64[np.ndarray, " chosen"] | None = None
    rows: Rows | None = None

    def __call__(self, requests: Sequence[tuple[int, int]]) -> list[Evaluation]:
        return [self._evaluation(candidate, steps) for candidate, steps in requests]

    @cached_property
    def _metric(self) -> Float64[np.ndarray, "candidates evaluations"]:
        return self.metric(np.arange(self.examples.shape[2]) if self.rows is None else self.rows)

    def _evaluation(self, candidate: int, steps: int) -> Evaluation:
        if steps not in self.at:
            raise ConfigError(f"nothing was recorded at step {steps}; recorded: {', '.join(map(str, self.at))}")
        recorded = candidate if self.chosen is None else int(self.chosen[candidate])
        # The evaluation before training is no part of the training.
        kept = slice(int(steps > 0 and self.at[0] == 0), self.at.index(steps) + 1)
        examples = self.examples[recorded, kept]
        return Evaluation(
            candidate,
            steps,
            self.at[kept],
            tuple(self._metric[recorded, kept].tolist()),
            examples if self.rows is None else examples[:, self.rows],
        )


@dataclass(frozen=True, eq=False)
class Regret:
    """What a strategy lost and spent, one value for each repetition.

    Args:
        lost: final score of the pool's best less that of the winner; 0 is perfect.
        gained: final score of the winner less the pool's mean, which is what any candidate is expected to have.
        steps: training steps spent.
        share: these as a share of training all candidates to the end.
        evaluations: passes over the validation examples.
    """

    lost: Float64[np.ndarray, " r"]
    gained: Float64[np.ndarray, " r"]
    steps: Float64[np.ndarray, " r"]
    share: Float64[np.ndarray, " r"]
    evaluations: Float64[np.ndarray, " r"]

    def summary(self) -> dict[str, Interval]:
        """The mean of each, and the range in which 95 of 100 repetitions lie.

        The range is that of single searches, not of the mean: repetitions over one recorded pool share its
        candidates, so that the mean is only as certain as the number of pools makes it.
        """
        ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
        return {
            name: Interval(float(values.mean()), *map(float, np.quantile(values, ends)))
            for name, values in vars(self).items()
        }


def regret(
    strategy: Strategy,
    pool: Replay,
    truth: Float64[np.ndarray, " candidates"],
    *,
    candidates: int | None = None,
    examples: int | None = None,
    repetitions: int = 1000,
    seed: int = 0,
) -> Regret:
    """Let a strategy choose again and again, from other candidates on other validation examples.

    Both are drawn without replacement: a search that draws `examples` of the recorded ones sees just the noise of so
    many, while a bootstrap would add its own to that of the sample. Candidates come in random order, so that a tie
    favours none. Strategies that are given the same seed see the same draws: compare them in pairs.

    Args:
        truth: score of each recorded candidate after its whole training, on other examples.
        candidates: size of the pools that are drawn; without it all candidates.
        examples: validation examples that are drawn; without it all.

    Raises:
        ConfigError: if more is to be drawn than there is, or the strategy stops where nothing was recorded.
    """
    recorded, _, n = pool.examples.shape
    size, rows = recorded if candidates is None else candidates, n if examples is None else examples
    check_range("candidates", size, low=1, high=recorded)
    check_range("examples", rows, low=1, high=n)
    if len(truth) != recorded:
        raise ConfigError(f"truth must have a score for each of {recorded} candidates, got {len(truth)}")
    total, every = pool.at[-1], next(steps for steps in pool.at if steps > 0)
    random = np.random.default_rng(seed)
    found = np.empty((5, repetitions))
    for repetition in range(repetitions):
        chosen = random.choice(recorded, size, replace=False)
        some = random.choice(n, rows, replace=False) if rows < n else None
        selection = strategy.select(range(size), total, replace(pool, chosen=chosen, rows=some), every=every)
        scores = truth[chosen]
        won = scores[selection.winner]
        share = selection.steps / (size * total)
        found[:, repetition] = scores.max() - won, won - scores.mean(), selection.steps, share, selection.evaluations
    return Regret(*found)
