"""The second-order change of the loss when a weight is removed, with the diagonal Fisher information as curvature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from randprune_lab.criteria.gradient import GradientCriterion
from randprune_lab.criteria.passes import Batch, Loss, model_loss, of_kind
from randprune_lab.errors import ConfigError
from randprune_lab.registry import setting
from randprune_lab.typed import take_types


@dataclass(frozen=True)
class Fisher(GradientCriterion):
    """w² times the mean of g²: how much the loss grows when the weight is removed, to second order, times 2.

    The mean of g² over examples is the diagonal of the empirical Fisher information, which stands for the second
    derivative. By default g is the gradient of a batch's mean loss, because that costs as little as a training step.
    Where the gradients of examples have a mean near 0, as after a training, the mean of g² is smaller by the factor
    1 / batch size for all weights alike, which changes no order. With `per="example"` each example is run alone.
    """

    per: Literal["batch", "example"] = setting(
        "batch",
        "gradients that are squared: of each batch, or of each example (a forward and a backward pass for each)",
    )
    name: ClassVar[str] = "fisher"
    source: ClassVar[str] = "LeCun et al. 1989 (Optimal Brain Damage); Kurtic et al. 2022, arXiv 2203.07259"

    def __post_init__(self) -> None:
        take_types(self)

    def term(self, weight: Tensor, gradient: Tensor) -> Tensor:
        return (weight * gradient).square_()

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        used = [row for batch in batches for row in _rows(batch)] if self.per == "example" else batches
        totals = super().scores(model, weights, used, loss)
        return {name: total / len(used) for name, total in totals.items()}


def _rows(batch: Any) -> list[Any]:
    """The examples of a batch as batches of one. What has one row, as positions may, or none, is of all examples.

    Raises:
        ConfigError: if the tensors have different numbers of rows, or there are none in dicts, lists and tuples.
    """
    rows = dict(_lengths(batch))
    sizes = {size for size in rows.values() if size != 1} or {1}
    if len(sizes) > 1 or not rows:
        found = ", ".join(f"{place}: {size}" for place, size in rows.items()) or f"none in a {type(batch).__name__}"
        raise ConfigError(
            f"per='example' needs batches whose tensors have a row for each example, got rows {found}; use per='batch'"
        )
    (size,) = sizes
    return [_row(batch, row, size) for row in range(size)]


def _lengths(part: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """The number of rows of each tensor in a batch that has rows, by its place."""
    if isinstance(part, Tensor) and part.ndim:
        yield place, len(part)
    elif isinstance(part, Mapping | list | tuple):
        for name, inner in part.items() if isinstance(part, Mapping) else enumerate(part):
            yield from _lengths(inner, f"{place}.{name}" if place else str(name))


def _row(part: Any, row: int, size: int) -> Any:
    if isinstance(part, Mapping):
        return {name: _row(inner, row, size) for name, inner in part.items()}
    if isinstance(part, list | tuple):
        return of_kind(part, [_row(inner, row, size) for inner in part])
    return part[row : row + 1] if isinstance(part, Tensor) and part.ndim and len(part) == size else part
