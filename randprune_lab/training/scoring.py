"""Predictions of a model, and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from scipy.special import logsumexp
from torch import nn

from randprune_lab.tasks import Task, compute_metrics
from randprune_lab.training.data import Encoded, scoring_batches


@torch.no_grad()
def predict(model: nn.Module, split: Encoded, batch_size: int = 64) -> Float32[np.ndarray, "n labels"]:
    """The model's logits for every row of a split, without dropout, in the split's order."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits: np.ndarray | None = None
    for rows in scoring_batches(split.lengths, batch_size):
        batch = {key: value.to(device) for key, value in split.batch(rows.tolist()).items()}
        del batch["rows"], batch["labels"]
        outputs = model(**batch).logits.float().cpu().numpy()
        if logits is None:
            logits = np.empty((len(split), outputs.shape[1]), dtype=np.float32)
        logits[rows] = outputs
    model.train(was_training)
    assert logits is not None, "a split has at least one row"
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
