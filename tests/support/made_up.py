"""Made-up pools of candidates that were trained to the end, and records of their answers."""

from __future__ import annotations

import numpy as np

from randprune_lab.analysis.answer_record import AnswerRecord
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


def answer_record(
    *,
    chance: float = 0.6,
    masks: int = 10,
    restarts: int = 8,
    looks: int = 2,
    checkpoints: int = 3,
    tests: int = 400,
    seed: int = 0,
    task: str = "qnli",
) -> AnswerRecord:
    """Candidates whose answers are all independent and correct with the same chance."""
    random = np.random.default_rng([7, seed])
    candidates = masks + restarts
    early, right = (random.random((candidates, count, tests)) < chance for count in (looks, checkpoints))
    found = (random.random((candidates, count, 2)).astype(np.float32) - [0, 1] for count in (looks, checkpoints))
    scores = [each.astype(np.float32) for each in found]
    early_at, at = (tuple(range(5, 5 * count + 1, 5)) for count in (looks, checkpoints))
    return AnswerRecord(task, 0.9375, seed, "tiny", 4e-3, masks, early_at, at, *scores, early, right)
