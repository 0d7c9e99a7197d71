"""Settings of one training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from randprune_lab.errors import ConfigError, check_count, check_range

Decay = Literal["linear", "constant"]


@dataclass(frozen=True)
class Distillation:
    """How the dense teacher's answers enter the loss. Each number weighs one term; 0 leaves it out.

    `labels`: cross-entropy with the true labels. `logits`: cross-entropy with the teacher's softened
    probabilities. `attention` and `hidden`: mean squared difference of all attention maps and of all hidden
    states (Jiao et al. 2020); they run the teacher at every step, `logits` only once for the whole data set.
    In regression, `labels` and `logits` are mean squared differences of scores, and no temperature softens them.
    """

    labels: float = 0.0
    logits: float = 1.0
    attention: float = 0.0
    hidden: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("labels", "logits", "attention", "hidden"):
            check_range(f"distillation {name}", getattr(self, name), low=0)
        check_range("distillation temperature", self.temperature, low=0, low_open=True)
        if self.labels + self.logits + self.attention + self.hidden == 0:
            raise ConfigError("distillation leaves no loss: give labels, logits, attention or hidden a weight")

    @property
    def needs_teacher_states(self) -> bool:
        return self.attention > 0 or self.hidden > 0


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training with AdamW."""

    epochs: int = 2
    learning_rate: float = 5e-5
    batch_size: int = 32
    decay: Decay = "linear"
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    evaluate_every: int = 50  # steps; the last step is always evaluated
    keep_best: bool = False  # end with the weights that scored best, not with the last
    seed: int = 0
    distillation: Distillation = field(default_factory=Distillation)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every"):
            check_count(name, getattr(self, name))
        check_range("learning_rate", self.learning_rate, low=0, low_open=True)
        check_range("warmup", self.warmup, low=0, high=1)
        if self.decay not in ("linear", "constant"):
            raise ConfigError(f"decay must be 'linear' or 'constant', got {self.decay!r}")
