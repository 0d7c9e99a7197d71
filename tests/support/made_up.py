"""Made-up pools of candidates that were trained to the end, records of their answers, and shared results."""

from __future__ import annotations

from typing import Any

import numpy as np

from randprune_lab.analysis.answer_record import AnswerRecord
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.shared import Difference, Score, Share


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


def share(seed: int = 0, estimate: float = -0.2, *, guess: str | None = None, **changes: Any) -> Share:
    """What a student shares of a search and of IMP with the same training steps, at two levels."""
    levels, methods = (0.9, 0.99), ("search", "imp", "imp-long")
    scores = [
        Score(
            method, level, (1 + number) * (100 if method == "imp" else 300), 0.7 - (estimate if "imp" in method else 0)
        )
        for method in methods
        for number, level in enumerate(levels)
    ]
    differences = [
        Difference(method, level, estimate, estimate - 0.05, estimate + 0.05)
        for method in methods[1:]
        for level in levels
    ]
    settings = {"search": {"candidates": 4, "epochs": 2}, "imp-long": {"candidates": 1, "epochs": 6}}
    about: dict[str, Any] = {"version": "0.1.0", "task": "mini-sst2", "metric": "accuracy", "examples": 1000}
    about |= {"data": "d3d17c", "method": "search", "settings": settings}
    return Share(seed=seed, scores=tuple(scores), differences=tuple(differences), guess=guess, **about | changes)
