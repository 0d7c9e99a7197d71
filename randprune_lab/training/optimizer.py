"""What AdamW is told: which parameters decay, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from randprune_lab.training.config import TrainingConfig


def parameter_groups(learned: list[Tensor], decayed: set[Tensor], weight_decay: float) -> list[dict[str, object]]:
    """Two groups: matrices, with weight decay, and biases and norms, without."""
    matrices = [weight for weight in learned if weight in decayed]
    vectors = [weight for weight in learned if weight not in decayed]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def rate_factor(config: TrainingConfig, total: int) -> Callable[[int], float]:
    """The factor of the learning rate at each step, counted from 0: linear warm-up to 1, then linear decay to 0."""
    warmup = max(1, round(config.warmup * total))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (total - step) / max(1, total - warmup))

    return factor
