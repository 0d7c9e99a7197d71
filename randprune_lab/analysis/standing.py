"""Where the candidates of a pool stand after some steps of training, and where they end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.errors import ConfigError
from randprune_lab.stats.intervals import Interval, rank_correlation

LAST = 2
"""The number of evaluations that an early score is the mean of, as in the preset for lessons."""


@dataclass(frozen=True, eq=False)
class Standing:
    """The candidates of a pool after some training steps.

    Args:
        pool: the pool.
        steps: the number of training steps.
        examples: the log-likelihood of each validation example, a mean over the last evaluations up to these steps.
    """

    pool: PoolRecord
    steps: int
    examples: Float64[np.ndarray, "candidates n"]

    @property
    def early(self) -> Float64[np.ndarray, " candidates"]:
        """The early score of each candidate: its mean log-likelihood, in nats."""
        return self.examples.mean(axis=1)

    @property
    def leader(self) -> int:
        """The candidate with the highest early score: a search that ends here selects it."""
        return int(self.early.argmax())

    @property
    def place(self) -> int:
        """The leader's rank after the whole training; 1 is the best, and equal scores share a rank."""
        final = self.pool.final
        return 1 + int((final > final[self.leader]).sum())

    @property
    def rank(self) -> Interval:
        """The rank correlation of early with final scores."""
        return rank_correlation(self.early, self.pool.final)

    @property
    def rank_as_text(self) -> str:
        """The rank correlation with its interval, such as "+0.16 [-0.37, +0.61]"."""
        return f"{self.rank.estimate:+.2f} [{self.rank.low:+.2f}, {self.rank.high:+.2f}]"


def standing(pool: PoolRecord, steps: int, last: int = LAST) -> Standing:
    """The standing of a pool's candidates after some training steps.

    Args:
        steps: the training steps of one of the pool's evaluations.
        last: the number of evaluations that an early score is the mean of; near the start there are fewer.

    Raises:
        ConfigError: if the pool was not evaluated after these steps.
    """
    if steps not in pool.at:
        raise ConfigError(f"steps must be one of {', '.join(map(str, pool.at))}, got {steps}")
    upto = pool.at.index(steps) + 1
    return Standing(pool, steps, pool.examples[:, max(0, upto - last) : upto].mean(axis=1))
