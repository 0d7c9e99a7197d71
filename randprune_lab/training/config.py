"""Settings of one training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from randprune_lab.errors import ConfigError, check_count, check_range
from randprune_lab.sparse.kept_layers import Layers
from randprune_lab.typed import take_types

Vocabulary = Literal["used", "whole"]

LARGEST = 1e6
"""The largest weight of a loss term, and the largest temperature."""


@dataclass(frozen=True)
class Distillation:
    """Weights of the loss terms, most of which compare the student with the dense teacher; 0 removes a term.

    In regression, `labels` and `logits` are mean squared differences of scores, and the temperature has no effect.

    Args:
        labels: weight of the cross-entropy with the true labels.
        logits: weight of the cross-entropy with the teacher's softened probabilities; the teacher runs once for the
            whole data set.
        attention: weight of the mean squared difference of all attention maps; the teacher runs at every step.
        hidden: weight of the mean squared difference of all hidden states; the teacher runs at every step.
        temperature: divides the logits of both models before the softmax.

    Raises:
        ConfigError: if a weight is negative, all are 0, the temperature is not positive, or a number is so large or so
            small that losses leave the range of 32-bit floats.

    Source: Jiao et al. 2020 for `attention` and `hidden`.
    """

    labels: float = 0.0
    logits: float = 1.0
    attention: float = 0.0
    hidden: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("labels", "logits", "attention", "hidden"):
            check_range(f"distillation {name}", getattr(self, name), low=0, high=LARGEST)
        check_range("distillation temperature", self.temperature, low=1 / LARGEST, high=LARGEST)
        if self.labels + self.logits + self.attention + self.hidden == 0:
            raise ConfigError(
                "distillation has no loss: labels, logits, attention and hidden are all 0; set one of them above 0"
            )

    @property
    def needs_teacher_states(self) -> bool:
        return self.attention > 0 or self.hidden > 0


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training with AdamW.

    Raises:
        ConfigError: if a setting is of another type, or out of range.
    """

    epochs: int = 2
    learning_rate: float = 5e-5
    batch_size: int = 32
    warmup: float = 0.1  # fraction of the steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    mask_gradients: bool = True  # removed weights have gradients of zero; otherwise these are in the clipped norm
    vocabulary: Vocabulary = "used"  # the word embeddings that are trained; those of unused tokens only decay
    compute: Layers = "auto"  # masked layers from their kept weights alone: where that is faster, never, or all
    evaluate_every: int = 50  # steps; the last step is always evaluated
    keep_best: bool = False  # end with the weights of the best score instead of the last
    seed: int = 0
    distillation: Distillation = field(default_factory=Distillation)

    def __post_init__(self) -> None:
        take_types(self)
        for name in ("epochs", "batch_size", "evaluate_every"):
            check_count(name, getattr(self, name))
        check_range("learning_rate", self.learning_rate, low=0, low_open=True)
        check_range("warmup", self.warmup, low=0, high=1)
        check_range("weight_decay", self.weight_decay, low=0)
        check_range("max_grad_norm", self.max_grad_norm, low=0, low_open=True)
        if self.compute == "sparse" and not self.mask_gradients:
            raise ConfigError(
                "compute='sparse' has no gradients of removed weights, which mask_gradients=False clips by; "
                "leave one of them out"
            )
