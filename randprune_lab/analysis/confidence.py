"""How sure a winner is: its chance of being the best, what stopping here may lose, how much its score flatters it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.errors import ConfigError

SPREADS = 100
"""Values tried for the standard deviation of the candidates' true scores."""


@dataclass(frozen=True, eq=False)
class Confidence:
    """What the selection examples say of the candidates of a pool.

    Args:
        winner: position of the candidate that was chosen.
        scores: mean of each candidate over the selection examples.
        expected: what each would score over the population of examples: its score drawn towards the pool's mean.
        chance_of_best: for each candidate, the chance that it is the best of these.
        expected_loss: expected score of the true best less that of the winner.
    """

    winner: int
    scores: Float64[np.ndarray, " candidates"]
    expected: Float64[np.ndarray, " candidates"]
    chance_of_best: Float64[np.ndarray, " candidates"]
    expected_loss: float

    @property
    def winners_curse(self) -> float:
        """By how much the winner's score is expected to be too good."""
        return float(self.scores[self.winner] - self.expected[self.winner])


def confidence(
    examples: Float64[np.ndarray, "candidates n"], *, winner: int | None = None, seed: int = 0, resamples: int = 2000
) -> Confidence:
    """How sure the choice among candidates is that were scored on the same examples.

    The noise is a paired bootstrap: examples are resampled, the answers of all candidates together. The candidates'
    true scores are normal around a mean, with a spread that is not known: the resampled scores are drawn towards
    the mean as far as noise and spread say (Efron and Morris 1975), for spreads as likely as the scores make them
    (Rubin 1981; flat prior, Gelman 2006). The plain bootstrap would ask which candidate is best *given that any
    difference is as likely as any other*: where noise and spread are alike it says 0.48 for winners that are
    the best in 0.36 of the cases, and a single best guess of the spread is too sure that there is none.

    Not in it: training seeds, and candidates that would change places when trained on.

    Args:
        examples: score of each candidate on each example, higher is better, all after equally many steps.
        winner: who was chosen; without it the highest mean, the first of equals.

    Raises:
        ConfigError: if there are less than two candidates or examples.
    """
    candidates, n = examples.shape
    if candidates < 2 or n < 2:
        raise ConfigError(f"confidence needs two candidates and two examples at least, got {candidates} and {n}")
    random = np.random.default_rng(seed)
    scores = examples.mean(axis=1)
    apart = examples - examples.mean(axis=0)  # what all find hard decides nothing between them
    deviation = apart.mean(axis=1)
    noise = apart.var(axis=1, ddof=1) / n * candidates / (candidates - 1) + 1e-30  # so that equal answers have some
    spreads, chances, centres = _spread(deviation, noise)

    counts = random.multinomial(n, np.full(n, 1 / n), size=resamples)
    resampled = counts @ apart.T / n - deviation
    which = random.choice(SPREADS, size=resamples, p=chances)
    kept = _kept(spreads, noise)
    towards = centres[:, None] + kept * (deviation - centres[:, None])
    true = towards[which] + np.sqrt(kept[which]) * resampled

    winner = int(np.argmax(scores)) if winner is None else winner
    best = true.max(axis=1, keepdims=True)
    ties = true == best
    return Confidence(
        winner=winner,
        scores=scores,
        expected=examples.mean() + chances @ towards,
        chance_of_best=(ties / ties.sum(axis=1, keepdims=True)).mean(axis=0),
        expected_loss=float((best[:, 0] - true[:, winner]).mean()),
    )


def _kept(spreads: Float64[np.ndarray, " s"], noise: Float64[np.ndarray, " c"]) -> Float64[np.ndarray, "s c"]:
    """The share of a candidate's distance from the mean that is not noise."""
    return spreads[:, None] ** 2 / (spreads[:, None] ** 2 + noise)


def _spread(
    deviation: Float64[np.ndarray, " c"], noise: Float64[np.ndarray, " c"]
) -> tuple[Float64[np.ndarray, " s"], Float64[np.ndarray, " s"], Float64[np.ndarray, " s"]]:
    """Standard deviations of the true scores, how likely each is, and the mean of the true scores under each.

    Gelman et al., Bayesian Data Analysis, third edition, equations 5.20 and 5.21.
    """
    spreads = np.linspace(0, 3 * np.std(deviation, ddof=1), SPREADS)
    weight = 1 / (spreads[:, None] ** 2 + noise)
    centres = (weight @ deviation) / weight.sum(axis=1)
    distance = (weight * (deviation - centres[:, None]) ** 2).sum(axis=1)
    log = (np.log(weight).sum(axis=1) - np.log(weight.sum(axis=1)) - distance) / 2
    chances = np.exp(log - log.max())
    return spreads, chances / chances.sum(), centres
