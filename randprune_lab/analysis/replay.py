"""Replays: strategies choose among recorded candidates, and the loss of their choice is measured without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.search.selection import Evaluation
from randprune_lab.search.strategies import Strategy
from randprune_lab.stats.intervals import CONFIDENCE, Interval

Rows = Int64[np.ndarray, " rows"]
Truth = Float64[np.ndarray, " candidates"] | Bool[np.ndarray, "candidates tests"]
"""The final score of each candidate, or whether its final answer to each test example is correct."""


@dataclass(frozen=True, eq=False)
class Replay:
    """An `Evaluate` function that reads recorded early evaluations.

    Args:
        at: the training steps of the evaluations; 0 first, if the candidates were also evaluated without training.
        examples: the log-likelihoods, see `Evaluation`.
        metric: returns the task metric of all candidates at all evaluations, from the positions of the examples to use.
            For accuracy: `lambda rows: correct[:, :, rows].mean(axis=2)`.
        chosen: the candidates that take part: candidate c is the recorded candidate `chosen[c]`; without it, all.
        rows: the positions of the examples to use; without it, all.
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
            raise ConfigError(f"steps must be one of the recorded {', '.join(map(str, self.at))}, got {steps}")
        recorded = candidate if self.chosen is None else int(self.chosen[candidate])
        # The evaluation without training does not belong to the training.
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
    """The losses and costs of a strategy, with one value for each repetition.

    Args:
        lost: the best final score in the pool minus that of the winner; 0 is perfect. If the answers to single test
            examples are known, the best is found on one half of them and compared on the other, both ways round. So it
            is not better by chance, and `lost` can be negative.
        gained: the final score of the winner minus the mean of the pool, which a random candidate has on average.
        steps: the number of training steps.
        share: the steps as a fraction of training all candidates to the end.
        evaluations: the number of passes over the validation examples.
    """

    lost: Float64[np.ndarray, " r"]
    gained: Float64[np.ndarray, " r"]
    steps: Float64[np.ndarray, " r"]
    share: Float64[np.ndarray, " r"]
    evaluations: Float64[np.ndarray, " r"]

    def summary(self) -> dict[str, Interval]:
        """The mean of each value, and the range of 95 % of the repetitions.

        The range shows how much single searches differ. It is not a confidence interval of the mean: repetitions over
        one recorded pool share its candidates, so only more pools make the mean more certain.
        """
        ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
        return {
            name: Interval(float(values.mean()), *map(float, np.quantile(values, ends)))
            for name, values in vars(self).items()
        }


def regret(
    strategy: Strategy,
    pool: Replay,
    truth: Truth,
    *,
    candidates: int | None = None,
    examples: int | None = None,
    repetitions: int = 1000,
    seed: int = 0,
) -> Regret:
    """Let a strategy choose repeatedly, each time among other candidates and on other validation examples.

    Candidates and examples are drawn without replacement. So the noise is that of `examples` examples; a bootstrap
    would add noise to that of the sample. The candidates come in random order, so that a tie favours none of them.
    Strategies with the same seed see the same draws, so they can be compared in pairs.

    Args:
        strategy: the strategy.
        pool: the recorded early evaluations.
        truth: the score of each recorded candidate after its whole training, on other examples, or its answers to them.
            The highest of several scores is too high by chance, so with scores alone `lost` is too large.
        candidates: the number of candidates in a draw; without it, all.
        examples: the number of validation examples in a draw; without it, all.
        repetitions: the number of draws.
        seed: the seed of the draws.

    Raises:
        ConfigError: if a number is above that in the pool, or the strategy stops where no evaluation is recorded.
    """
    recorded, _, n = pool.examples.shape
    size, rows = recorded if candidates is None else candidates, n if examples is None else examples
    check_range("candidates", size, low=1, high=recorded)
    check_range("examples", rows, low=1, high=n)
    if len(truth) != recorded:
        raise ConfigError(f"truth must have a score for each of {recorded} candidates, got {len(truth)}")
    total, every = pool.at[-1], next(steps for steps in pool.at if steps > 0)
    random = np.random.default_rng(seed)
    values = np.empty((5, repetitions))
    final, halves = truth if truth.ndim == 1 else truth.mean(axis=1), _halves(truth, seed, repetitions)
    for repetition in range(repetitions):
        chosen = random.choice(recorded, size, replace=False)
        seen = random.choice(n, rows, replace=False) if rows < n else None
        selection = strategy.select(range(size), total, replace(pool, chosen=chosen, rows=seen), every=every)
        scores, parts = final[chosen], halves[repetition][:, chosen]
        won = scores[selection.winner]
        best = parts[::-1].argmax(axis=1)  # on the other half
        lost = (parts[[0, 1], best] - parts[:, selection.winner]).mean()
        fraction = selection.steps / (size * total)
        values[:, repetition] = lost, won - scores.mean(), selection.steps, fraction, selection.evaluations
    return Regret(*values)


def _halves(truth: Truth, seed: int, repetitions: int) -> Float64[np.ndarray, "repetitions 2 candidates"]:
    """The final scores on two halves of the test examples, another split for each repetition; or twice the scores."""
    if truth.ndim == 1:
        return np.broadcast_to(truth, (repetitions, 2, len(truth)))
    random, n = np.random.default_rng([seed, 1]), truth.shape[1]
    orders = (random.permutation(n) for _ in range(repetitions))
    return np.array([[truth[:, half].mean(axis=1) for half in (order[: n // 2], order[n // 2 :])] for order in orders])
