"""The time of a training step: dense as before, dense, and with layers that are computed sparse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from randprune_lab.bench.alternating import alternating, speed_row
from randprune_lab.bench.figure import Figure
from randprune_lab.machine import keep_freed_memory
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.models.load import load_model
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded
from randprune_lab.training.loop import Training

TEXTS, TOKENS, WORDS = 32, 32, 5000
"""The texts of a step, the tokens of a text, and the number of different ones, as in a train set of GLUE."""

STEPS = 4
"""The number of steps of one measurement."""


@dataclass(frozen=True)
class Step:
    """A training step to time: of how many layers of MiniLM, with limit and target of before / auto."""

    layers: int
    sparsity: float
    limit: float
    target: float


TRAINING = (Step(6, 0.54, 1.15, 1.2), Step(6, 0.83, 1.15, 1.2), Step(6, 0.9375, 1.8, 2.5), Step(6, 0.99, 3.0, 4.5))

WAYS: dict[str, dict[str, Any]] = {
    "before": {"compute": "dense", "vocabulary": "whole", "mask_gradients": False},
    "dense": {"compute": "dense"},
    "sparse": {"compute": "sparse"},
    "auto": {},
}
"""Settings of the trainings that are compared."""


def training_rows() -> list[dict[str, Any]]:
    """A row for each of `TRAINING`, with the seconds of a step: loss, gradients, clipping and AdamW."""
    keep_freed_memory()  # as in a run
    return [_training_row(case) for case in TRAINING]


def _training_row(case: Step) -> dict[str, Any]:
    ways = {name: _steps(case, settings) for name, settings in WAYS.items()}
    seconds = {name: time / STEPS for name, time in alternating(ways).items()}
    better = min(seconds["dense"], seconds["sparse"])
    figures = [
        Figure("before / auto", seconds["before"] / seconds["auto"], case.limit, case.target, at_most=False),
        Figure("better of dense and sparse / auto", better / seconds["auto"], 0.97, 1.0, at_most=False),
    ]
    what = f"training step of {TEXTS} x {TOKENS} tokens"
    return speed_row(what, f"MiniLM, {case.layers} layers", case.sparsity, "s", seconds, figures)


def _steps(case: Step, settings: dict[str, Any]) -> Callable[[], None]:
    """What does some steps of a training, each time the next ones."""
    model, _ = load_model("minilm", num_labels=2, layers=case.layers)
    mask = MaskSampler(model, Magnitude(), case.sparsity).draw(0)
    config = TrainingConfig(epochs=10**3, evaluate_every=10**9, **settings)
    training = Training(model, _data(), config, mask=mask)
    return partial(_continue, training)


def _continue(training: Training) -> None:
    training.run(lambda model: 0.0, until=training.step + STEPS)


def _data() -> Encoded:
    """Random tokens, without padding."""
    random, rows = np.random.default_rng(0), STEPS * TEXTS
    ids = random.integers(1000, 1000 + WORDS, rows * TOKENS)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return Encoded(inputs, np.full(rows, TOKENS), random.integers(0, 2, rows), dict.fromkeys(inputs, 0))
