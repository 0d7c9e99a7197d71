"""What weights must be so that masks can be drawn from them, and enforced on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.parameter import is_lazy

from randprune_lab.errors import MaskError, WeightError
from randprune_lab.masks.curve import BUCKETINGS

NO_VALUES = "is on the meta device, where it has no values: it was offloaded, or not loaded yet; load it first"
"""What errors say of a weight that cannot be read or changed."""

NO_SHAPE = "belongs to a lazy layer and has no shape yet; run the model on a batch first"
"""What errors say of a weight whose shape depends on the first batch."""

ALL_ZERO = "leave them dense with exclude=[...], or start from weights that are not zero"
"""What errors advise for weights of which none can be kept."""


def no_entries(weight: Tensor) -> str | None:
    """Why the entries of a weight can be neither read nor set, with the remedy; None if they can."""
    if is_lazy(weight):
        return NO_SHAPE
    if weight.is_meta:
        return NO_VALUES
    if type(weight).__name__ == "FakeTensor":  # takes long to import
        return "is a FakeTensor, which has no values; load the model outside of FakeTensorMode"
    if weight.is_nested:
        return "is a nested tensor, which has no shape; give a dense tensor, such as weight.to_padded_tensor(0.0)"
    if weight.layout != torch.strided:
        return f"is stored as {weight.layout}; give a dense tensor, such as weight.to_dense()"
    return None


def check_dtype(name: str, weight: Tensor) -> None:
    """Raise `WeightError` unless the weights are floating point."""
    if weight.dtype not in BUCKETINGS:
        known = ", ".join(map(str, BUCKETINGS))
        raise WeightError(f"weights of {name!r} are {weight.dtype}; can prune {known}: convert them first")


def check_finite(name: str, broken: int) -> None:
    """Raise `WeightError` if some weights are NaN or infinite; `broken` is their number."""
    if broken:
        raise WeightError(f"{broken:,} of the weights of {name!r} are NaN or infinite; fix the model first")


def check_one(what: Literal["dtype", "device"], group: str, weights: Mapping[str, Tensor]) -> None:
    """Raise `WeightError` unless all weights of a group have one dtype, or are on one device."""
    if len(found := {str(getattr(weight, what)) for weight in weights.values()}) > 1:
        raise WeightError(f"group {group!r} needs weights of one {what}, got {sorted(found)}; convert them first")


def check_apart(weights: Mapping[str, Tensor]) -> None:
    """Raise `WeightError` if entries of two weights are in the same memory, of which a mask could keep one alone."""
    placed = sorted((_extent(weight), name) for name, weight in weights.items() if weight.numel() and weight.data_ptr())
    for number, ((device, _, end), name) in enumerate(placed):
        for (where, start, _), other in placed[number + 1 :]:
            if where != device or start >= end:
                break
            if np.intersect1d(_addresses(weights[name]), _addresses(weights[other])).size:
                raise WeightError(
                    f"{name!r} and {other!r} share memory, so that pruning one changes the other; leave one of them "
                    "dense with exclude=[...], or give it memory of its own"
                )


def _extent(weight: Tensor) -> tuple[str, int, int]:
    """The device of a weight, and where its memory begins and ends."""
    last = sum((size - 1) * step for size, step in zip(weight.shape, weight.stride(), strict=True))
    return str(weight.device), weight.data_ptr(), weight.data_ptr() + (last + 1) * weight.element_size()


def _addresses(weight: Tensor) -> Int64[np.ndarray, " n"]:
    """Where each entry of a weight is in memory."""
    _, start, end = _extent(weight)
    places = torch.arange(start, end, weight.element_size())
    return places.as_strided(weight.shape, weight.stride()).reshape(-1).numpy()


def check_enough(name: str, k: int, nonzero: int, size: int) -> None:
    """Raise `WeightError` if k weights cannot be kept, because more of them are zero."""
    if k > nonzero:
        least = math.ceil(1e6 * (size - nonzero) / size) / 1e6
        raise WeightError(
            f"cannot keep {k:,} weights of {name!r}: only {nonzero:,} of {size:,} are not zero, and pruned weights "
            f"stay pruned; {f'ask for a sparsity of at least {least}' if least < 1 else ALL_ZERO}"
        )


def check_maskable(name: str, weight: Tensor, owner: str) -> None:
    """Raise `MaskError` unless the entries of a weight can be set to zero."""
    if any(step == 0 and size > 1 for step, size in zip(weight.stride(), weight.shape, strict=True)):
        raise MaskError(
            f"{name!r} of {owner} was expanded, so that entries share memory and cannot be removed one by one; give it "
            "memory of its own first, such as with layer.weight = nn.Parameter(layer.weight.detach().clone())"
        )
    if not _settable(weight.dtype, weight.device):
        raise MaskError(
            f"{name!r} of {owner} is {weight.dtype}, whose entries PyTorch cannot set to zero; convert it first, such "
            "as to torch.float16"
        )


@cache
def _settable(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether PyTorch can set entries of a type to zero; it says so only by trying."""
    try:
        torch.empty(1, dtype=dtype, device=device).masked_fill_(torch.ones(1, dtype=torch.bool, device=device), 0)
    except RuntimeError:
        return False
    return True
