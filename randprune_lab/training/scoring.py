"""Predictions of a model, and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from scipy.special import logsumexp
from torch import Tensor, nn

from randprune_lab.tasks import Task, compute_metrics
from randprune_lab.training.data import Encoded, scoring_batches


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
    was_training = model.training
    model.eval()
    batches = [*scoring_batches(split.lengths, batch_size)]
    outputs = [model(**on_device(inputs(split.batch(rows.tolist())), device)).logits.float() for rows in batches]
    model.train(was_training)
    found = torch.cat(outputs).cpu().numpy()  # read once: a GPU waits whenever a number is read
    logits = np.empty_like(found)
    logits[np.concatenate(batches)] = found
    return logits


def answers(task: Task, logits: Float32[np.ndarray, "n labels"]) -> Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]:
    """The predictions of logits: label ids, or scores in regression."""
    return logits[:, 0] if task.regression else logits.argmax(axis=1)


def score(task: Task, logits: Float32[np.ndarray, "n labels"], split: Encoded) -> dict[str, float]:
    """The task's metrics of these logits, the primary one first."""
    return compute_metrics(task, answers(task, logits), split.labels)


def log_likelihood(task: Task, logits: Float32[np.ndarray, "n labels"], split: Encoded) -> Float64[np.ndarray, " n"]:
    """Log-probability of each row's true label; in regression, minus the squared error. Higher is better."""
    if task.regression:
        return -np.square(logits[:, 0].astype(np.float64) - split.labels)
    wide = logits.astype(np.float64)
    return wide[np.arange(len(split)), split.labels] - logsumexp(wide, axis=1)


@dataclass(frozen=True)
class SplitScore:
    """A function that scores a model on one split by the task's primary metric."""

    task: Task
    split: Encoded

    def __call__(self, model: nn.Module) -> float:
        return score(self.task, predict(model, self.split), self.split)[self.task.primary_metric]
