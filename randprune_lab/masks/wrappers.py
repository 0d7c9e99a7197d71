"""One name for each weight, whatever wraps the model: `torch.compile`, data parallelism, averaging, adapters."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from randprune_lab.errors import MaskError

COMPILED = "_orig_mod"  # the part of a name that torch.compile adds
BASE_LAYER = "base_layer"  # the part of a name that an adapter adds, such as PEFT's LoRA
ADAPTER = "lora_"  # how the names of an adapter's weights begin

AROUND = (nn.parallel.DistributedDataParallel, nn.DataParallel, AveragedModel)
"""Wrappers that have the model as `module`."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside wrappers for data parallelism, averaging of weights, `torch.compile` and PEFT's adapters.

    Raises:
        MaskError: if it is no model, or `torch.jit` compiled a layer of it that has weights.
    """
    if not isinstance(model, nn.Module):
        raise MaskError(f"a model must be a torch.nn.Module, got a {type(model).__name__}")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and [*module.parameters(recurse=False)]:
            raise MaskError(
                f"{name or 'the model'!r}, a {type(module).__name__}, was compiled by torch.jit, which hides "
                "what kind of layer it is; give the model as it was before torch.jit.script or torch.jit.trace"
            )
    while True:
        inner: Any = dict(model.named_children()).get(COMPILED)
        if isinstance(model, AROUND):
            inner = model.module
        elif inner is None and callable(base := getattr(model, "get_base_model", None)):  # a PeftModel
            inner = base()
        if not isinstance(inner, nn.Module) or inner is model:
            return model
        model = inner


def plain(name: str) -> str:
    """A weight's name without the prefixes of `torch.compile`."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def plain_names(model: nn.Module) -> dict[str, str]:
    """The names that the parameters of an unwrapped model have without adapters and `torch.compile`, by the real ones.

    A tied weight has all its names.
    """
    bases = [f"{name}." for name, module in model.named_modules(remove_duplicate=False) if is_adapted(module)]
    names = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        short = name
        for base in sorted((base for base in bases if name.startswith(f"{base}{BASE_LAYER}.")), key=len, reverse=True):
            short = base + short[len(f"{base}{BASE_LAYER}.") :]
        names[name] = plain(short)
    return names


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters of `model` by plain name; a tied one is listed under each of its names."""
    inner = unwrapped(model)
    names = plain_names(inner)
    return {names[name]: weight for name, weight in inner.named_parameters(remove_duplicate=False)}


def check_not_computed(name: str, names: Collection[str], owner: str) -> None:
    """Raise `MaskError` if a weight is not among the names because its layer computes it from a parameter there.

    Args:
        name: the weight.
        names: those of the parameters.
        owner: what has them.
    """
    layer, _, own = name.rpartition(".")
    inside = f"{layer}.parametrizations.{own}.".removeprefix(".")
    for other in names if name not in names else ():
        if other == f"{name}_orig" or other.startswith(inside):
            raise MaskError(
                f"{name!r} in {owner} is computed from {other!r}; if that is a mask, make it permanent first, with "
                "randprune_lab.make_permanent(model); otherwise remove what computes it"
            )


def is_adapted(module: nn.Module) -> bool:
    """Whether a module has a layer as `base_layer` and beside it the weights of an adapter."""
    own = {name for name, _ in (*module.named_children(), *module.named_parameters(recurse=False))}
    return BASE_LAYER in own and (hasattr(module, "get_base_layer") or any(name.startswith(ADAPTER) for name in own))
