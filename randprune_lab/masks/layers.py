"""What each parameter of a model is: the weight of a linear layer, of a router, an embedding table, a bias ..."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.weight_norm import WeightNorm

from randprune_lab.errors import WeightError
from randprune_lab.masks.weight_checks import NO_SHAPE
from randprune_lab.masks.wrappers import ADAPTER, BASE_LAYER, is_adapted, plain_names

Kind = Literal["linear", "recurrent", "experts", "convolution", "router", "table", "adapter", "vector", "other"]

LayerKind = Literal["linear", "recurrent", "experts", "convolution"]
LAYERS: tuple[LayerKind, ...] = get_args(LayerKind)
"""The kinds that multiply inputs by weights, so that pruning makes sense."""

BY_DEFAULT: tuple[Kind, ...] = ("linear", "recurrent", "experts")

ROUTER = re.compile(r"Router|Gating$|M[Oo][Ee]Gate")
"""How classes are named that choose the experts of each token."""

EXPERTS = re.compile(r"expert|moe(?![a-z])|mixture", re.IGNORECASE)
"""How classes and parameters are named that hold the matrices of all experts."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model, and the layer that it belongs to."""

    tensor: Tensor
    kind: Kind
    layer: nn.Module
    repeated: bool  # inside blocks that are repeated
    last: bool = False  # of the last layer, which is the head of a plain network
    other_names: tuple[str, ...] = ()  # of a tied weight

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor; empty for a nested one, which has none."""
        return () if self.tensor.is_nested else tuple(self.tensor.shape)

    def is_of(self, types: Sequence[type | str] | None) -> bool:
        """Whether it is the weight of a layer of one of these classes or kinds, or of the default kinds."""
        if types is None:
            return self.kind in BY_DEFAULT
        classes = tuple(each for each in types if isinstance(each, type))
        return self.kind in types or (self.kind in (*LAYERS, "other") and isinstance(self.layer, classes))


def parameters(model: nn.Module) -> dict[str, Parameter]:
    """All parameters of an unwrapped model by plain name; a tied one has its first name, and is a table if one is.

    Raises:
        WeightError: if one has no shape yet.
    """
    for name, tensor in model.named_parameters():
        if is_lazy(tensor):
            raise WeightError(f"{name!r} of {type(model).__name__} {NO_SHAPE}")
    found: dict[int, Parameter] = {}
    last: nn.Module | None = None
    for parameter in _held(model):
        first = found.setdefault(id(parameter.tensor), parameter)
        if parameter.kind == "table":
            found[id(parameter.tensor)] = replace(first, kind="table")
        if parameter.kind in LAYERS:
            last = parameter.layer
    names: dict[int, list[str]] = {}
    plain = plain_names(model)
    for name, tensor in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(plain[name])
    return {
        names[tensor][0]: replace(
            parameter,
            last=parameter.layer is last and parameter.kind != "recurrent",
            other_names=tuple(names[tensor][1:]),
        )
        for tensor, parameter in found.items()
    }


def readers(model: nn.Module) -> dict[int, list[nn.Module]]:
    """The modules that read each parameter, by its id: those that have it, and those that compute with it themselves.

    PyTorch's encoder layers do so with the weights of the layers in them, and Mamba's mixers with those of `dt_proj`.
    """
    found: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        inside: list[nn.Module] = []
        if isinstance(module, nn.TransformerEncoderLayer):
            inside += [module.linear1, module.linear2]
        if "Mamba" in type(module).__name__ and isinstance(projection := getattr(module, "dt_proj", None), nn.Module):
            inside.append(projection)
        for part in (module, *inside):
            for parameter in part.parameters(recurse=False):
                found.setdefault(id(parameter), []).append(module)
    return found


def _held(model: nn.Module) -> Iterator[Parameter]:
    """The parameters that each module has itself; tied ones several times."""
    modules = dict(model.named_modules())
    blocks = tuple(_inside(name) for name, module in modules.items() if _is_stack(module))
    adapted = tuple(_inside(name) for name, module in modules.items() if is_adapted(module))
    routers = tuple(map(_inside, _routers(modules)))
    for prefix, module in modules.items():
        path, layer, computed = _inside(prefix), module, None
        if isinstance(module, ParametrizationList):  # it has what the weight of a layer is computed from
            owner, _, computed = f".{prefix}".rpartition(".parametrizations.")
            layer = modules[owner[1:]]
        normed = weight_normed(module)
        for own, tensor in module.named_parameters(recurse=False):
            short = computed or normed.get(own) or own.removesuffix("_orig")
            kind = _kind(layer, path, short, tensor)
            if kind != "vector" and (f".{ADAPTER}" in f".{path}{own}" or _is_adapter(path + own, adapted)):
                kind = "adapter"
            elif kind != "vector" and path.startswith(routers):
                kind = "router"
            yield Parameter(tensor, kind, layer, path.startswith(blocks))


def weight_normed(layer: nn.Module) -> dict[str, str]:
    """The weight that `torch.nn.utils.weight_norm` computes from each of two parameters of a layer, by their names."""
    norms = [hook for hook in layer._forward_pre_hooks.values() if isinstance(hook, WeightNorm)]
    return {f"{norm.name}_{part}": norm.name for norm in norms for part in "gv"}


def _is_stack(module: nn.Module) -> bool:
    """Whether it is a list of blocks; what parametrizes a weight is a list, too."""
    return isinstance(module, nn.ModuleList) and not isinstance(module, ParametrizationList)


def _kind(layer: nn.Module, path: str, own: str, tensor: Tensor) -> Kind:
    if tensor.is_nested:
        return "other"
    if tensor.ndim < 2 or "bias" in own:
        return "vector"
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        return "table"
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase):
        return "recurrent"
    if isinstance(layer, _ConvNd):
        return "convolution" if own == "weight" else "other"
    if isinstance(layer, nn.MultiheadAttention):
        return "linear" if own.endswith("proj_weight") else "other"
    if own == "weight" and tensor.ndim == 2 and _is_linear(layer):
        return "linear"
    stacked = tensor.ndim == 3 and min(tensor.shape) > 1 and EXPERTS.search(f"{type(layer).__name__} {path}{own}")
    return "experts" if stacked or (tensor.ndim == 2 and "Expert" in type(layer).__name__) else "other"


def _is_linear(layer: nn.Module) -> bool:
    """Whether a layer is linear by its class: PyTorch's, GPT-2's, or another that says so."""
    named = any(kind.__name__.endswith("Linear") for kind in type(layer).__mro__)
    return named or is_conv1d(layer) or hasattr(layer, "in_features")


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is the class of transformers, which takes seconds to import."""
    return any(
        (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D") for kind in type(module).__mro__
    )


def _routers(modules: dict[str, nn.Module]) -> Iterator[str]:
    """The modules that choose experts: by class or name, or as layers beside N experts with 1 or N outputs."""
    for name, module in modules.items():
        if name and (ROUTER.search(type(module).__name__) or name.endswith("router")):
            yield name
        if experts := _numbers_of_experts(module):
            for child, layer in module.named_children():
                if getattr(layer, "out_features", None) in (1, *experts):
                    yield _inside(name) + child


def _numbers_of_experts(module: nn.Module) -> set[int]:
    lists = {
        len(child) for name, child in module.named_children() if isinstance(child, nn.ModuleList) and "expert" in name
    }
    stacks = {
        tensor.shape[0]
        for name, owner in [("", module), *module.named_children()]
        for own, tensor in owner.named_parameters(recurse=False)
        if _kind(owner, _inside(name), own, tensor) == "experts" and tensor.ndim == 3
    }
    return lists | stacks


def _is_adapter(name: str, adapted: tuple[str, ...]) -> bool:
    """Whether a parameter is beside the `base_layer` of the innermost adapted layer that it is in."""
    around = max((path for path in adapted if name.startswith(path)), key=len, default=None)
    return around is not None and not name.startswith(f"{around}{BASE_LAYER}.")


def _inside(name: str) -> str:
    return f"{name}." if name else ""
