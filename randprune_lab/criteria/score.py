"""The scores of a model's prunable weights, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from randprune_lab.criteria.criterion import Criterion, make_criterion, scores_by
from randprune_lab.criteria.passes import Batch, Loss, batch_list, model_loss
from randprune_lab.errors import ConfigError
from randprune_lab.masks.scope import with_values


def scores(
    model: nn.Module,
    criterion: str | Criterion,
    batches: Iterable[Batch] = (),
    loss: Loss = model_loss,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> dict[str, Tensor]:
    """The importance scores of a model's prunable weights: `MaskSampler` takes them as `scores`.

    A signed criterion, such as movement, also needs `signed=True` there.

    Args:
        model: the model, which is left as it was; dropout is off while it runs.
        criterion: a name, such as "fisher", or a criterion with settings.
        batches: what the model runs on: dicts of tensors with the labels inside, as a DataLoader gives them. Some tens
            are enough; all are used.
        loss: the loss of a batch as a scalar, by default what the model itself returns as `.loss`.
        include, exclude, types: which weights, as for `MaskSampler`.

    Raises:
        UnknownNameError: if there is no such criterion.
        ConfigError: if the criterion cannot score a weight: it is frozen, the loss does not depend on it, or the
            criterion needs linear layers; if there are no batches, though it needs some, or the model does not take
            them; if the loss is no function, or a criterion of your own returns no dict.
        ScopeError, WeightError, MaskError: as for `MaskSampler`.
    """
    if isinstance(criterion, str):
        criterion = make_criterion(criterion)
    if not isinstance(criterion, Criterion):
        raise ConfigError(f"criterion must be a name or a Criterion, got {criterion!r}; Custom takes your own scores")
    weights = with_values(model, include, exclude, types)
    return dict(scores_by(criterion, model, weights, batch_list(batches), loss))
