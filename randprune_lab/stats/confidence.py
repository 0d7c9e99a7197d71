"""Confidence in a winner: the probability that it is the best, its expected loss, and its winner's curse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.errors import StatisticError

SPREADS = 100
"""Number of values tried for the standard deviation of the candidates' true scores."""


@dataclass(frozen=True, eq=False)
class Confidence:
    """What the validation examples show about the candidates of a pool.

    Args:
        others: the same for other pools, with candidates and examples of their own.
        winner: position of the chosen candidate.
        scores: mean score of each candidate over the validation examples.
        expected: expected score of each candidate over the population of examples: its score, shrunk towards the mean
            of the pool.
        chance_of_best: for each candidate, the probability that it is the best of the pool.
        expected_loss: expected score of the true best candidate minus that of the winner.
    """

    winner: int
    scores: Float64[np.ndarray, " candidates"]
    expected: Float64[np.ndarray, " candidates"]
    chance_of_best: Float64[np.ndarray, " candidates"]
    expected_loss: float

    @property
    def winners_curse(self) -> float:
        """The expected difference between the winner's score and its score over the population."""
        return float(self.scores[self.winner] - self.expected[self.winner])


def assess_choice(
    examples: Float64[np.ndarray, "candidates n"],
    *,
    others: Sequence[Float64[np.ndarray, "candidates n"]] = (),
    winner: int | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> Confidence:
    """How certain the choice among candidates is, if all were scored on the same examples.

    The noise of the scores is a paired bootstrap: examples are resampled, the scores of all candidates together. The
    true scores of the candidates are modelled as normal around a mean, with an unknown standard deviation, the spread.
    So the resampled scores are shrunk towards the mean, by an amount that depends on noise and spread. The result is
    averaged over spreads, weighted by how likely the scores make them, with a flat prior.

    A single pool says little of its spread: where candidates hardly differ, the winner's curse of 8 candidates is
    1.4 standard errors, and 1.0 is reported. Other pools of the same kind, as of the other levels of a run, say more
    (1.2 with three of them), if the spread is the same multiple of the noise in all. See `docs/early-evaluation.md`.

    A plain bootstrap assumes that all differences between candidates are equally likely. Where noise and spread are
    about equal, it reports a probability of 0.48 for winners that are the best in 0.36 of the cases. A single estimate
    of the spread is too certain that the candidates do not differ.

    Training seeds are not covered, nor candidates whose order would change with more training.

    Args:
        examples: score of each candidate on each example, higher is better, all after the same number of steps.
        others: the same for other pools, with candidates and examples of their own.
        winner: position of the chosen candidate; by default the highest mean, the first if several are equal.

    Raises:
        StatisticError: if there are fewer than two candidates or examples, or a score is not finite.

    Source: Efron and Morris 1975 (shrinkage), Rubin 1981 (average over spreads), Gelman 2006 (flat prior).
    """
    pools = [_Pool.of(pool) for pool in (examples, *others)]
    n, random, scores = examples.shape[1], np.random.default_rng(seed), examples.mean(axis=1)
    relative, deviation, noise = pools[0].relative, pools[0].deviation, pools[0].noise
    ratios = np.linspace(0, max(pool.largest_ratio for pool in pools), SPREADS)
    log = np.sum([pool.log_likelihood(ratios) for pool in pools], axis=0)
    likely = np.exp(log - log.max())
    chances = likely / likely.sum()
    spreads, centres = ratios * pools[0].scale, pools[0].centres(ratios)

    counts = random.multinomial(n, np.full(n, 1 / n), size=resamples)
    resampled = counts @ relative.T / n - deviation
    which = random.choice(SPREADS, size=resamples, p=chances)
    signal = _signal(spreads, noise)
    shrunk = centres[:, None] + signal * (deviation - centres[:, None])
    true = shrunk[which] + np.sqrt(signal[which]) * resampled

    winner = int(np.argmax(scores)) if winner is None else winner
    best = true.max(axis=1, keepdims=True)
    ties = true == best
    return Confidence(
        winner=winner,
        scores=scores,
        expected=examples.mean() + chances @ shrunk,
        chance_of_best=(ties / ties.sum(axis=1, keepdims=True)).mean(axis=0),
        expected_loss=float((best[:, 0] - true[:, winner]).mean()),
    )


def _signal(spreads: Float64[np.ndarray, " s"], noise: Float64[np.ndarray, " c"]) -> Float64[np.ndarray, "s c"]:
    """The fraction of the variance of a candidate's score that is not noise, for each spread."""
    return spreads[:, None] ** 2 / (spreads[:, None] ** 2 + noise)


@dataclass(frozen=True, eq=False)
class _Pool:
    """A pool in standard errors: its candidates' scores relative to their mean, and the variance of the noise in each.

    The likelihood of a spread is that of Gelman et al., Bayesian Data Analysis, third edition, equations 5.20 and 5.21.
    """

    relative: Float64[np.ndarray, "c n"]  # without the difficulty of an example, which is the same for all
    deviation: Float64[np.ndarray, " c"]
    noise: Float64[np.ndarray, " c"]

    @classmethod
    def of(cls, examples: Float64[np.ndarray, "c n"]) -> _Pool:
        candidates, n = examples.shape
        if candidates < 2 or n < 2:
            raise StatisticError(f"confidence needs at least two candidates and two examples, got {candidates} and {n}")
        if not np.isfinite(examples).all():
            raise StatisticError("confidence needs finite scores, but those of a candidate that diverged are not")
        relative = examples - examples.mean(axis=0)
        noise = relative.var(axis=1, ddof=1) / n * candidates / (candidates - 1) + 1e-30  # above 0 for equal answers
        return cls(relative, relative.mean(axis=1), noise)

    @property
    def scale(self) -> float:
        """The standard error of a candidate's score, on average."""
        return float(np.sqrt(self.noise.mean()))

    @property
    def largest_ratio(self) -> float:
        """The largest spread that is tried, in standard errors."""
        return float(3 * np.std(self.deviation, ddof=1) / self.scale)

    def centres(self, ratios: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, " s"]:
        """The mean of the true scores under each spread."""
        weight = self._weight(ratios)
        return (weight @ self.deviation) / weight.sum(axis=1)

    def log_likelihood(self, ratios: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, " s"]:
        """The log of how likely each spread, given in standard errors, makes the scores; up to a constant."""
        weight = self._weight(ratios)
        distance = (weight * (self.deviation - self.centres(ratios)[:, None]) ** 2).sum(axis=1)
        return (np.log(weight).sum(axis=1) - np.log(weight.sum(axis=1)) - distance) / 2

    def _weight(self, ratios: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, "s c"]:
        return 1 / ((ratios[:, None] * self.scale) ** 2 + self.noise)
