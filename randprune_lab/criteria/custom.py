"""Scores of your own: tensors, or a function that computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from randprune_lab.criteria.criterion import Criterion
from randprune_lab.criteria.passes import Batch, Loss, evaluating, model_loss
from randprune_lab.errors import ConfigError

Function = Callable[[nn.Module, Sequence[Batch]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Custom(Criterion):
    """Scores of your own, in Python: a dict of tensors, or a function of the model and the batches that returns one.

    The function runs without dropout. Scores of weights that are not pruned are left out. To use a score in a run or a
    study, define a `Criterion` with a name of its own in a plugin.

    Args:
        of: the scores, or the function.
        signed: whether scores may be negative.
    """

    of: Mapping[str, Tensor] | Function = field(default_factory=dict)
    signed: bool = field(default=False, kw_only=True)  # type: ignore[misc]  # of each object, not of the class
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        if not self.of or not (isinstance(self.of, Mapping) or callable(self.of)):
            raise ConfigError(
                "criterion 'custom' needs a dict of tensors, or a function of model and batches, as in "
                "Custom(scores); for a run, define a Criterion of your own and load it with --plugin FILE.py"
            )

    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        if isinstance(self.of, Mapping):
            found = self.of
        else:
            with evaluating(model):
                found = self.of(model, batches)
        if not isinstance(found, Mapping):
            raise ConfigError(
                f"the function of criterion 'custom' must return a dict of tensors, got a {type(found).__name__}"
            )
        return {name: found[name] for name in weights if name in found}

    def to_dict(self) -> dict[str, Any]:
        """The name; tensors and functions are not recorded."""
        return {"criterion": self.name, "signed": self.signed}
