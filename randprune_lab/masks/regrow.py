"""Regrowth: when masks are redrawn, some of the removed weights come back, and the same number of others is removed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from randprune_lab.errors import ConfigError, WeightError, check_range, unknown_name
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.mask_set import MaskSet

Kind = Literal["set", "rigl"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Keys = Callable[[str, Int64[Tensor, " free"]], Float[Tensor, " free"]]
"""The keys of some places of a tensor; the largest come back."""


@dataclass(frozen=True)
class Regrowth:
    """Which weights come back, and how many.

    Args:
        kind: "set" for random ones (Mocanu et al. 2018, arXiv 1707.04780), "rigl" for those with the largest gradients
            (Evci et al. 2020, arXiv 1911.11134).
        fraction: the fraction of the kept weights of each tensor that is replaced at the beginning. It falls to 0 along
            a cosine, as RigL's.

    Raises:
        ConfigError: if a setting is out of range.

    >>> Regrowth("set", 0.3).fraction_at(0.5)
    0.15
    """

    kind: Kind
    fraction: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("regrowth", str(self.kind), KINDS)
        check_range("fraction", self.fraction, low=0, high=1, low_open=True, high_open=True)

    def fraction_at(self, progress: float) -> float:
        """The fraction that is replaced at some progress of the schedule, from 0 to 1."""
        return self.fraction / 2 * (1 + math.cos(math.pi * progress)) if progress < 1 else 0.0

    def keys(self, gradients: Mapping[str, Tensor] | None, seed: int, candidate: int, step: int) -> Keys:
        """What the removed weights are ordered by.

        Args:
            gradients: with "rigl", the gradients of all weights, also of the removed ones, by name.
            seed, candidate, step: with "set", determine the random numbers.

        Raises:
            ConfigError: if "rigl" gets no gradients.
        """
        if self.kind == "set":
            return lambda name, places: uniform(seed, candidate, name, places, purpose=f"regrow {step}")
        return _by_gradient(gradients or {})


def _by_gradient(gradients: Mapping[str, Tensor]) -> Keys:
    def keys(name: str, places: Int64[Tensor, " free"]) -> Float[Tensor, " free"]:
        if name not in gradients:
            raise ConfigError(
                f"regrow='rigl' needs the gradient of {name!r}, which had none in the step before; thaw it, or leave "
                "it dense with exclude=[...]"
            )
        found = gradients[name].reshape(-1).to(places.device)[places].abs()
        if not bool(found.isfinite().all()):
            raise WeightError(
                f"the gradient of {name!r} is not finite, and regrow='rigl' orders weights by it; lower the learning "
                "rate, or train in bfloat16 instead of float16"
            )
        return found

    return keys


def grown(mask: MaskSet, counts: Mapping[str, int], keys: Keys) -> MaskSet:
    """The masks with more weights: those with the largest keys; equal keys in the order of their places.

    Args:
        counts: the number of weights that each tensor keeps then.
    """
    found = {}
    for name, kept in mask.items():
        flat = kept.clone().reshape(-1)
        free = (~flat).nonzero().squeeze(1)
        flat[free[_largest(keys(name, free), counts[name] - int(flat.sum()))]] = True
        found[name] = flat.reshape(kept.shape)
    return MaskSet(found)


def _largest(keys: Float[Tensor, " free"], number: int) -> Bool[Tensor, " free"]:
    """Where the largest keys are; without sorting all of them."""
    if number == 0:
        return torch.zeros_like(keys, dtype=torch.bool)
    border = keys.kthvalue(len(keys) - number + 1).values
    chosen = keys > border
    chosen[(keys == border).nonzero().squeeze(1)[: number - int(chosen.sum())]] = True
    return chosen


@torch.no_grad()
def forget(optimizer: Any, weights: Mapping[str, Tensor], changed: MaskSet) -> None:
    """Set what an optimizer remembers of some weights to zero, such as Adam's moments and SGD's momentum.

    Numbers that belong to a whole tensor, or to its rows and columns as in Adafactor, stay.

    Args:
        weights: the parameters by name.
        changed: True = forgotten.
    """
    for name, places in changed.items():
        for value in optimizer.state.get(weights[name], {}).values():
            if isinstance(value, Tensor) and value.shape == places.shape and value.is_floating_point():
                value.masked_fill_(places.to(value.device), 0.0)
