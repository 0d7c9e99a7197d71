"""What a model answers, and how good that is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Int64
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
        answers = model(**batch).logits.float().cpu().numpy()
        if logits is None:
            logits = np.empty((len(split), answers.shape[1]), dtype=np.float32)
        logits[rows] = answers
    model.train(was_training)
    assert logits is not None, "a split has at least one row"
    return logits


def answers(task: Task, logits: Float32[np.ndarray, "n labels"]) -> Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]:
    """What logits say: the label ids, or the scores."""
    return logits[:, 0] if task.regression else logits.argmax(axis=1)


def score(task: Task, logits: Float32[np.ndarray, "n labels"], split: Encoded) -> dict[str, float]:
    """The task's metrics of these logits; the first is the primary one."""
    return compute_metrics(task, answers(task, logits), split.labels)


class SplitScore:
    """Scores a model on one split by the task's primary metric, and keeps what it answered last."""

    def __init__(self, task: Task, split: Encoded):
        self.task, self.split = task, split
        self.logits = np.zeros((0, 0), dtype=np.float32)

    def __call__(self, model: nn.Module) -> float:
        self.logits = predict(model, self.split)
        return score(self.task, self.logits, self.split)[self.task.primary_metric]
