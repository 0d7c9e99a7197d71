"""Where the candidates of a pool stand after some steps of training, and where they end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.errors import ConfigError
from randprune_lab.stats.intervals import Interval

LAST = 2
"""The number of evaluations that an early score is the mean of, as in the preset for lessons."""


@dataclass(frozen=True, eq=False)
class Standing:
    """The candidates of a pool after some training steps.

    Args:
        pool: the pool.
        steps: the training steps of one of the pool's evaluations.
        last: the number of evaluations that an early score is the mean of; near the start there are fewer.

    Raises:
        ConfigError: if the pool was not evaluated after these steps.
    """

    pool: PoolRecord
    steps: int
    last: int = LAST

    def __post_init__(self) -> None:
        if self.steps not in self.pool.at:
            raise ConfigError(f"steps must be one of {', '.join(map(str, self.pool.at))}, got {self.steps}")

    @cached_property
    def early(self) -> Float64[np.ndarray, " candidates"]:
        """The early score of each candidate: its mean log-likelihood, in nats."""
        return self.pool.early(self.last, self.steps)

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
    def agreement(self) -> Interval:
        """The rank correlation of early with final scores."""
        return self.pool.agreement(self.last, self.steps)
