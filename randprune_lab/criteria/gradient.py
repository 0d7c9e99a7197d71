"""Criteria that sum a term over batches, computed from each weight and its gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from randprune_lab.criteria.criterion import Criterion
from randprune_lab.criteria.passes import Batch, Loss, check_trained, model_loss, sum_over_gradients, wide_term


@dataclass(frozen=True)
class GradientCriterion(Criterion):
    """A criterion that sums a term over batches."""

    accumulated: ClassVar[bool] = False
    """Whether a run sums the terms up over the training of the level before, instead of some batches."""
    forward: ClassVar[int] = 1
    backward: ClassVar[int] = 1

    @abstractmethod
    def term(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """What a batch adds to the scores, from a weight and its gradient, which have at least float32."""

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        return sum_over_gradients(self.name, model, weights, batches, loss, self.term)


class Record(AbstractContextManager["Record"]):
    """Sums up a criterion's terms during a training, in a `with` statement around its backward passes.

    Gradients are those of the loss, before they are clipped; those of removed weights do not matter, as w is 0.

    Args:
        criterion: the criterion.
        weights: the weights that are trained, by name.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([2.0]))
    >>> from randprune_lab.criteria import make_criterion
    >>> with Record(make_criterion("movement"), {"w": weight}) as record:
    ...     (3 * weight).sum().backward()
    >>> record.scores["w"]
    tensor([-6.])
    """

    def __init__(self, criterion: GradientCriterion, weights: Mapping[str, Tensor]):
        self.criterion, self.weights = criterion, dict(weights)
        self._spread: dict[str, Callable[[Tensor], Tensor]] = {}
        self._sums: dict[str, Tensor] = {}
        self._hooks: list[RemovableHandle] = []

    @property
    def scores(self) -> dict[str, Tensor]:
        """The sums so far, of the weights that had a gradient."""
        return {name: self._spread.get(name, Tensor.clone)(sums) for name, sums in self._sums.items()}

    def watch(self, name: str, small: Tensor, spread: Callable[[Tensor], Tensor]) -> None:
        """Take the gradients of another tensor, which is trained in the place of a weight.

        Args:
            name: the weight's name.
            small: the tensor.
            spread: puts values of that tensor at their places in the weight, among zeros.
        """
        self.weights[name], self._spread[name] = small, spread

    def __enter__(self) -> Record:
        check_trained(self.criterion.name, self.weights)
        self._hooks = [weight.register_hook(partial(self._add, name)) for name, weight in self.weights.items()]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _add(self, name: str, gradient: Tensor) -> None:
        part = wide_term(self.criterion.term, self.weights[name], gradient)
        self._sums[name] = self._sums[name].add_(part) if name in self._sums else part
