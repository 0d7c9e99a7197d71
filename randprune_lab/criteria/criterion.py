"""What a criterion is: an importance score of each weight, found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from randprune_lab.criteria.passes import Batch, Loss, model_loss
from randprune_lab.errors import ConfigError
from randprune_lab.registry import Registry, settings_of

CRITERIA: Registry[Criterion] = Registry("criterion")
"""All criteria by name; a criterion that is defined joins them."""


@dataclass(frozen=True)
class Criterion(ABC):
    """An importance score of each weight. Criteria are frozen dataclasses: equal settings are equal criteria.

    A subclass with a `name` is registered under this name, where runs, studies and recipes find it.

    >>> @dataclass(frozen=True)
    ... class Cubed(Criterion):
    ...     name: ClassVar[str] = "cubed"
    ...     def scores(self, model, weights, batches=(), loss=model_loss):
    ...         return {name: weight.detach().abs() ** 3 for name, weight in weights.items()}
    >>> make_criterion("cubed")
    Cubed()
    """

    name: ClassVar[str]
    signed: ClassVar[bool] = False
    """Whether scores may be negative. A sampler then uses their ranks."""
    forward: ClassVar[int] = 0
    """The number of forward passes for each batch."""
    backward: ClassVar[int] = 0
    """The number of backward passes for each batch."""
    source: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        CRITERIA.add(cls)

    @abstractmethod
    def scores(
        self, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch] = (), loss: Loss = model_loss
    ) -> dict[str, Tensor]:
        """The score of each weight, which `MaskSampler` takes as `scores`. The model is left as it was.

        Args:
            model: the model; dropout is off while it runs.
            weights: its prunable weights by name, as `prunable` returns them.
            batches: what the model runs on: dicts of tensors with the labels inside, on any device.
            loss: the loss of a batch as a scalar, by default what the model itself returns as `.loss`.

        Returns:
            A tensor of the same shape for each weight.
        """

    def to_dict(self) -> dict[str, Any]:
        """The name and the settings, from which `recorded_criterion` makes the criterion again."""
        return {"criterion": self.name, "signed": self.signed, **asdict(self)}


def scores_by(
    criterion: Criterion, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch], loss: Loss
) -> Mapping[str, Tensor]:
    """What `Criterion.scores` returns; a sampler checks names, shapes and values.

    Raises:
        ConfigError: if the loss is no function, or a criterion of your own returns no dict.
    """
    if not callable(loss):
        raise ConfigError(f"loss must be a function (model, batch) -> scalar, got {loss!r}")
    found = criterion.scores(model, weights, batches, loss)
    if not isinstance(found, Mapping):
        raise ConfigError(f"scores of criterion {criterion.name!r} must return a dict of tensors, got {found!r:.60}")
    return found


def make_criterion(name: str, **settings: Any) -> Criterion:
    """The criterion of that name, as a command line or a run gives it.

    >>> make_criterion("taylor")
    Taylor()
    """
    return CRITERIA.make(name, settings)


def describe_criterion(recorded: Mapping[str, Any]) -> str:
    """What `Criterion.to_dict` recorded, in words.

    >>> describe_criterion({"criterion": "fisher", "signed": False, "per": "example"})
    'fisher, per example'
    """
    hidden = ("criterion", "signed")
    settings = [f"{name.replace('_', ' ')} {value}" for name, value in recorded.items() if name not in hidden]
    return ", ".join([str(recorded["criterion"]), *settings])


def recorded_criterion(recorded: Mapping[str, Any]) -> Criterion:
    """The criterion whose `to_dict` a recipe recorded.

    >>> recorded_criterion({"criterion": "fisher", "signed": False, "per": "example"})
    Fisher(per='example')
    """
    known = settings_of(CRITERIA[recorded["criterion"]])
    return make_criterion(recorded["criterion"], **{name: recorded[name] for name in recorded if name in known})
