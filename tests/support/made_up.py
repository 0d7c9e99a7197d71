"""Made-up pools of candidates that were trained to the end."""

from __future__ import annotations

import numpy as np

from randprune_lab.analysis.pool_record import PoolRecord


def pool(candidates: int = 4, n: int = 13, *, looks: int = 2, settled: bool = False) -> PoolRecord:
    """A pool with numbers that come back from its file as they are; if settled, early scores have the final order."""
    random = np.random.default_rng(0)
    final = random.random(candidates)
    examples = -random.exponential(size=(candidates, 1 + looks, n))
    if settled:
        examples = np.broadcast_to(final[:, None, None] - 2, examples.shape).copy()
    examples = examples.astype(np.float16).astype(np.float64)
    noise = random.random((2, 3))
    return PoolRecord(
        "mini-sst2", 0.9, 3, "voting", tuple(range(0, 5 * looks + 1, 5)), examples, examples > -0.7, final, noise
    )
