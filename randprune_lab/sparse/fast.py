"""A copy of a pruned model whose linear layers compute with the kept weights alone, where that is faster."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from randprune_lab.errors import MaskError, ScopeError, WeightError, listed
from randprune_lab.interop.names import leftovers, matched
from randprune_lab.interop.torch_prune import mask_from_zeros
from randprune_lab.masks.layers import is_conv1d, readers
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.masks.wrappers import named_weights, unwrapped
from randprune_lab.sparse.layer import SparseLinear
from randprune_lab.sparse.product import FeatureMajor

SPARSITY = 0.9
"""The least sparsity at which the sparse product is faster for all shapes and numbers of tokens that were measured."""

SIZE = 2**17
"""The least number of weights: the dense product of a smaller matrix takes less time than the calls around it."""

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def fast(model: nn.Module, mask: Mapping[str, Tensor] | None = None) -> nn.Module:
    """A copy of a pruned model that computes with its kept weights alone where that is faster on a CPU.

    Linear layers (`nn.Linear` and GPT-2's `Conv1D`) with at least `SIZE` weights and a sparsity of at least `SPARSITY`
    become a `SparseLinear`; all others are copied. The outputs are those of the model up to rounding. The copy is for
    inference: it is in `eval()` mode, and none of its parameters requires a gradient. `state_dict()` has the names,
    shapes and values of the model.

    Args:
        model: a model on the CPU, which is left as it is; of a wrapped one (`torch.compile`), what is inside.
        mask: True = kept. Weights that it removes must be zero. None: the zeros of the prunable weights.

    Raises:
        ScopeError: if the model has no zeros, or nothing that can be pruned, or is a fast copy already.
        MaskError: if the mask does not fit, removes nothing, or removes weights that are not zero.
        WeightError: if the model is not on the CPU.

    Warns:
        UserWarning: if no layer becomes sparse, with the reason of the first.
    """
    inner = unwrapped(model)
    owner, weights = type(inner).__name__, named_weights(inner)
    if any(isinstance(layer, SparseLinear) for layer in inner.modules()):
        raise ScopeError(f"{owner} is a fast copy already; use it as it is, or call fast on the model it was made of")
    _check_place(owner, weights)
    masks = _zeros(inner, owner) if mask is None else matched(mask, weights, owner)
    if wrong := leftovers(masks, weights):
        raise MaskError(
            f"{sum(wrong.values()):,} weights of {owner} that the mask removes are not zero, in {listed(wrong)}; zero "
            "them first: mask.apply_(model)"
        )
    kept = {name: (int(part.sum()), weights[name].dtype) for name, part in masks.items()}
    layers = chosen(inner, kept)
    forms = shared_forms(inner, layers.values())
    replaced = {
        id(layer): _sparse(layer, weights[name], masks[name], forms[id(layer)]) for name, layer in layers.items()
    }
    return copy.deepcopy(inner, dict(replaced)).eval().requires_grad_(False)


def chosen(model: nn.Module, kept: Mapping[str, tuple[int, torch.dtype]]) -> dict[str, nn.Module]:
    """The layers that are computed sparse, by the names of their weights; a warning tells if there are none.

    Args:
        model: an unwrapped model; its weights may be on the meta device.
        kept: the number of kept weights, and their type, by name.
    """
    reading, weights, reasons = readers(model), named_weights(model), {}
    for name, (count, dtype) in kept.items():
        reasons[name] = why_dense(reading[id(weights[name])], weights[name].shape, count, dtype)
    if all(reasons.values()):
        name, reason = next(iter(reasons.items()))
        owner = type(model).__name__
        warnings.warn(f"no layer of {owner} is computed sparse: {name!r} {reason}", stacklevel=3)
    return {name: reading[id(weights[name])][0] for name, reason in reasons.items() if reason is None}


def shared_forms(model: nn.Module, layers: Iterable[nn.Module]) -> dict[int, FeatureMajor]:
    """What makes the feature-major inputs of each layer, by its id.

    Layers of one module share it: query, key and value, or the two halves of a gate. Those in a container, such as
    experts in a list, may be called one at a time, so each has its own.
    """
    forms = {id(layer): FeatureMajor() for layer in layers}
    for module in model.modules():
        if type(module) not in CONTAINERS:
            shared = FeatureMajor()
            forms |= {id(child): shared for child in module.children() if id(child) in forms}
    return forms


def why_dense(layers: list[nn.Module], shape: tuple[int, ...], kept: int, dtype: torch.dtype) -> str | None:
    """Why a weight is computed dense, or None if it is computed sparse.

    Args:
        layers: the modules that have the weight.
        shape: its shape.
        kept: the number of its kept weights.
        dtype: its type.
    """
    size = math.prod(shape)
    if not torch.backends.mkl.is_available():
        return "stays dense: PyTorch has no MKL here, and its own sparse products are slow"
    if len(layers) != 1:
        return "is used by other modules, too"
    if not replaceable(layers[0]):
        return "is not the weight of a plain nn.Linear or Conv1D without hooks or a forward of its own"
    if dtype != torch.float32:
        return f"is {dtype}; sparse products need float32: model.float()"
    if size < SIZE:
        return f"has {size:,} weights; sparse products pay from {SIZE:,} on"
    if kept > (most := keep_count(size, SPARSITY)):
        return f"keeps {kept:,} of {size:,} weights; sparse products pay up to {most:,}, a sparsity of {SPARSITY:.0%}"
    return None


def replaceable(layer: nn.Module) -> bool:
    """Whether a layer computes what its class does: subclasses, hooks and a `forward` of its own may change it."""
    plain = type(layer) is nn.Linear or (is_conv1d(layer) and type(layer).__name__ == "Conv1D")
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    return plain and not hooks and "forward" not in vars(layer)


def _check_place(owner: str, weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if weight.device.type != "cpu":
            raise WeightError(
                f"{name!r} of {owner} is on the device {str(weight.device)!r}; fast computes on the CPU: move the "
                "model there first, with model.cpu(), or load it if it is on the meta device"
            )


def _zeros(model: nn.Module, owner: str) -> MaskSet:
    try:
        return mask_from_zeros(model)
    except ScopeError as error:
        raise ScopeError(
            f"{owner} has no zeros to leave out: {error}; prune it first, with mask.apply_(model), or give mask="
        ) from error


def _sparse(layer: nn.Module, weight: Tensor, kept: Tensor, form: FeatureMajor) -> SparseLinear:
    flat, places = weight.detach().reshape(-1), kept.cpu().reshape(-1).nonzero().squeeze(1)
    bias = None if layer.bias is None else cast(Tensor, layer.bias).detach().clone()
    shape = (weight.shape[0], weight.shape[1])
    return SparseLinear(shape, places, flat[places], bias, inputs_first=is_conv1d(layer), form=form)
