"""The importance scores that the masks of a level are drawn by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from randprune_lab.criteria import Batch, Criterion, Loss, scores_by
from randprune_lab.masks.scope import with_values
from randprune_lab.training.config import Distillation
from randprune_lab.training.data import Encoded, scoring_batches, training_batches
from randprune_lab.training.distillation import loss

WANDA_ROWS = 128
"""Number of examples, the first, that Wanda's norms are computed over without `score_batches`, as in Sun et al."""

WANDA_BATCH = 32
"""Number of examples in a batch of these."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Computes the scores of a model's prunable weights by a criterion.

    Args:
        criterion: the criterion.
        batches: batches of the train set.
        scope: `include`, `exclude` and `types`, as `prunable` takes them.
        recorded: the scores that the training of the level before summed up, for a criterion that is accumulated.
        loss: the loss of a batch; without it, that of the labels for a model of transformers.
    """

    criterion: Criterion
    batches: Sequence[Batch] = ()
    scope: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Tensor] | None = None
    loss: Loss | None = None

    def __call__(self, model: nn.Module) -> Mapping[str, Tensor]:
        if self.recorded is not None:
            return self.recorded
        weights = with_values(model, **self.scope)
        return scores_by(self.criterion, model, weights, self.batches, self.loss or label_loss)


def label_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss with the labels alone: compared with itself, the dense model has no gradient."""
    return loss(model, dict(batch), None, Distillation())


def first_batches(train: Encoded) -> list[Batch]:
    """The first rows of the train set, longest first."""
    return ordered_batches(train.first(WANDA_ROWS))


def ordered_batches(rows: Encoded) -> list[Batch]:
    """All rows, longest first."""
    return [_batch(rows, batch) for batch in scoring_batches(rows.lengths, WANDA_BATCH)]


def random_batches(train: Encoded, batch_size: int, count: int, seed: int) -> list[Batch]:
    """`count` batches of one epoch of the train set, or all of them if there are fewer."""
    return [_batch(train, rows) for rows in training_batches(train.lengths, batch_size, seed, 0)[:count]]


def _batch(rows: Encoded, numbers: Any) -> Batch:
    return {name: values for name, values in rows.batch(numbers.tolist()).items() if name != "rows"}
