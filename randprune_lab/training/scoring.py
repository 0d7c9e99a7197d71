"""Predictions of a model, and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from scipy.special import logsumexp
from torch import Tensor, nn

from randprune_lab.criteria.passes import evaluating
from randprune_lab.tasks import Task, compute_metrics
from randprune_lab.training.data import Encoded, scoring_batches

Labels = Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
"""Label ids or, in regression, scores."""


def inputs(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a batch that a model takes."""
    return {key: value for key, value in batch.items() if key not in ("labels", "rows")}


def on_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on a device, which is not waited for; the row numbers stay on the CPU."""
    return {key: value if key == "rows" else value.to(device, non_blocking=True) for key, value in batch.items()}


@torch.no_grad()
def predict(model: nn.Module, split: Encoded, batch_size: int = 64) -> Float32[np.ndarray, "n labels"]:
    """The model's logits for every row of a split, without dropout, in the split's order."""
    device = next(model.parameters()).device
    batches = [*scoring_batches(split.lengths, batch_size)]
    with evaluating(model):
        outputs = [model(**on_device(inputs(split.batch(rows.tolist())), device)).logits.float() for rows in batches]
    found = torch.cat(outputs).cpu().numpy()  # read once: a GPU waits whenever a number is read
    logits = np.empty_like(found)
    logits[np.concatenate(batches)] = found
    return logits


def answers(task: Task, logits: Float32[np.ndarray, "n labels"]) -> Labels:
    """The predictions of logits: label ids, or scores in regression."""
    return logits[:, 0] if task.regression else logits.argmax(axis=1)


def score(task: Task, logits: Float32[np.ndarray, "n labels"], split: Encoded) -> dict[str, float]:
    """The task's metrics of these logits, the primary one first."""
    return compute_metrics(task, answers(task, logits), split.labels)


def log_likelihood(logits: Float[np.ndarray, "n labels"], labels: Labels) -> Float64[np.ndarray, " n"]:
    """Log-probability of each row's true label; if labels are scores, minus the squared error. Higher is better."""
    wide = logits.astype(np.float64)
    if labels.dtype.kind == "f":
        return -np.square(wide[:, 0] - labels)
    return wide[np.arange(len(labels)), labels] - logsumexp(wide, axis=1)


@dataclass(frozen=True)
class SplitScore:
    """A function that scores a model on one split by the task's primary metric.

    With `log_loss`, it also returns the mean log-likelihood of the rows, which a training then chooses its best by.
    """

    task: Task
    split: Encoded
    log_loss: bool = False

    def __call__(self, model: nn.Module) -> float | tuple[float, float]:
        logits = predict(model, self.split)
        value = score(self.task, logits, self.split)[self.task.primary_metric]
        return (value, float(log_likelihood(logits, self.split.labels).mean())) if self.log_loss else value
