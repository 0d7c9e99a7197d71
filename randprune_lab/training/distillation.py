"""The loss of a student that learns from labels and from its dense teacher."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.training.config import Distillation
from randprune_lab.training.data import Encoded
from randprune_lab.training.scoring import inputs, on_device, predict


class Teacher:
    """The dense model that a student learns from. Its logits are computed once, for the whole train set."""

    def __init__(self, model: nn.Module, train: Encoded):
        self.model = model.requires_grad_(False).eval()
        self.logits: Float32[np.ndarray, "n labels"] = predict(model, train)


def loss(
    student: nn.Module, batch: dict[str, Tensor], teacher: Teacher | None, settings: Distillation
) -> Float[Tensor, ""]:
    """The training loss of one batch; without a teacher, the loss with the labels."""
    given = inputs(batch)
    states = {}
    if teacher is not None and settings.needs_teacher_states:
        states = {"output_attentions": settings.attention > 0, "output_hidden_states": settings.hidden > 0}
    output = student(**given, **states)
    if teacher is None:
        return label_loss(output.logits, batch["labels"])
    total = output.logits.new_zeros(())
    if settings.labels:
        total = total + settings.labels * label_loss(output.logits, batch["labels"])
    if settings.logits:
        target = torch.from_numpy(teacher.logits[batch["rows"].numpy()]).to(output.logits, non_blocking=True)
        if batch["labels"].is_floating_point():
            total = total + settings.logits * F.mse_loss(output.logits, target)
        else:
            total = total + settings.logits * soft_cross_entropy(output.logits, target, settings.temperature)
    if states:
        with torch.no_grad():
            target_output = teacher.model(**given, **states)
        if settings.attention:
            total = total + settings.attention * _mean_squares(output.attentions, target_output.attentions)
        if settings.hidden:
            total = total + settings.hidden * _mean_squares(output.hidden_states, target_output.hidden_states)
    return total


def label_loss(
    logits: Float[Tensor, "b labels"], labels: Int64[Tensor, " b"] | Float32[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Cross-entropy with label ids, or mean squared error of scores, whose logits have width 1."""
    if labels.is_floating_point():
        return F.mse_loss(logits.squeeze(1), labels)
    return F.cross_entropy(logits, labels)


def soft_cross_entropy(
    student: Float[Tensor, "b labels"], teacher: Float[Tensor, "b labels"], temperature: float
) -> Float[Tensor, ""]:
    """Cross-entropy of softened probabilities, scaled by temperature².

    Source: Hinton et al. 2015.
    """
    target = F.softmax(teacher / temperature, dim=-1)
    return F.cross_entropy(student / temperature, target) * temperature**2


def check_states(model: nn.Module, batch: dict[str, Tensor], settings: Distillation, name: str) -> None:
    """Raise `ConfigError` unless a model returns the attention maps and hidden states that its distillation compares.

    A model without attention returns no maps, and an encoder-decoder has two stacks of both, under other names.

    Args:
        model: the model, which stays as it is.
        batch: any rows.
        settings: the settings of the distillation.
        name: what the error calls the model.
    """
    kinds = (("attention", "attentions", settings.attention), ("hidden", "hidden_states", settings.hidden))
    compared = {setting: states for setting, states, weight in kinds if weight}
    if not compared:
        return
    model = copy.deepcopy(model).eval()
    use_eager_attention(model)
    with torch.no_grad():
        given = on_device(inputs(batch), next(model.parameters()).device)
        output = model(**given, **{f"output_{states}": True for states in compared.values()})
    for setting, states in compared.items():
        if any(state is None for state in getattr(output, states, None) or [None]):
            raise ConfigError(
                f"model {name!r} ({type(model).__name__}) returns no {states}, which distill_{setting} "
                f"(--distill-{setting}) compares; leave it out, or choose a model with one stack of attention layers"
            )


def use_eager_attention(*models: nn.Module) -> None:
    """Switch to the attention implementation that returns attention maps; fused kernels do not."""
    for model in models:
        model.set_attn_implementation("eager")  # type: ignore[operator]


def _mean_squares(ours: Any, theirs: Any) -> Float[Tensor, ""]:
    return torch.stack([F.mse_loss(a, b) for a, b in zip(ours, theirs, strict=True)]).mean()
