"""The prunable weights of a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError, ScopeError, WeightError, listed
from randprune_lab.masks.choice import OUTSIDE, dense_reasons, matching
from randprune_lab.masks.layers import LAYERS, Parameter, is_conv1d, parameters, weight_normed
from randprune_lab.masks.weight_checks import check_apart, no_entries
from randprune_lab.masks.wrappers import unwrapped

WITHOUT_FLOAT64 = ("mps",)  # devices; the masks of weights there are drawn on the CPU, and stay there


def prunable(
    model: nn.Module | Mapping[str, Tensor],
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> dict[str, Tensor]:
    """The prunable weights by name; `randprune_lab.scope` shows them as a table, with the reason for each.

    By default, these are the weights of linear and recurrent layers and of stacked experts inside the repeated blocks
    (`nn.ModuleList`) of the model. If its blocks have none, they are those of the whole model except its last layer.
    Routers, embedding tables, biases and norms stay dense; adapters do so always. A warning tells if more than a tenth
    of the blocks, or most of the model's layers, stays dense. The names are those of the plain model, also in a wrapper
    such as `torch.compile`.

    Args:
        model: a model, or a dict of tensors, which are all prunable; of a tied weight, the first name.
        include: shell patterns of parameter names that replace the default, such as `["*.attention.*.weight"]`.
        exclude: shell patterns of names that stay dense.
        types: classes or kinds of layers that replace those above, such as `[nn.Linear, nn.Conv2d]`, or `["linear",
            "convolution"]`; the kinds are in the table of `randprune_lab.scope`. With `include`, a weight must fit
            both.

    Raises:
        ConfigError: if the patterns are not a list of strings, or the types not a list of classes or kinds.
        ScopeError: if a pattern matches nothing, or nothing is left to prune.
        WeightError: if `model` is neither a model nor a dict of tensors, or a parameter of it has no shape yet.
        MaskError: if PyTorch's pruning, spectral norm or parametrization wraps a prunable weight.
    """
    if isinstance(model, nn.Module):
        model = unwrapped(model)
        known = parameters(model)
        every = {name: parameter.tensor for name, parameter in known.items()}
        reasons = dense_reasons(known, include, exclude, types)
        chosen = {name for name, reason in reasons.items() if reason is None}
        if include is None and types is None:
            _warn_of_dense(type(model).__name__, known, reasons)
    else:
        known, every = {}, _tensors(model)
        if types is not None:
            raise ConfigError("types chooses layers of a model, got a dict of tensors; choose its names with include")
        chosen = (set(every) if include is None else matching(include, every)) - matching(exclude, every)
        chosen -= _twice(every, chosen)
    if not chosen:
        raise _nothing(type(model).__name__, known, every, include)
    _check_plain(model, chosen, known)
    weights = {name: tensor for name, tensor in every.items() if name in chosen}
    _warn_of_vectors(weights)
    return weights


def with_values(
    model: nn.Module | Mapping[str, Tensor],
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> dict[str, Tensor]:
    """The `prunable` weights, if their values can be read; raises `WeightError` otherwise."""
    weights = prunable(model, include, exclude, types)
    for name, weight in weights.items():
        if reason := no_entries(weight):
            raise WeightError(f"weight {name!r} {reason}")
        if hasattr(weight, "device_mesh"):
            raise WeightError(
                f"weight {name!r} is a DTensor, split over devices; draw masks from the model before it is split "
                "(fully_shard), and enforce them on the split model"
            )
    check_apart(weights)
    return weights


def planned(weight: Tensor) -> Tensor:
    """A weight where its masks can be planned."""
    plain = weight.detach().resolve_neg()
    return plain.cpu() if plain.device.type in WITHOUT_FLOAT64 else plain


def outputs_first(model: nn.Module | Mapping[str, Tensor], names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """The order of axes that brings outputs before inputs, for those of the named weights that have inputs first.

    These are the weights of GPT-2's `Conv1D`, of transposed convolutions, and of the stacks of experts of which
    transformers says so (`is_transposed`). In all others the outputs are the first axis, or the second of a stack.

    Raises:
        ScopeError: for a transposed convolution in groups, whose outputs are not along an axis.
    """
    known = _known(model)
    orders: dict[str, tuple[int, ...]] = {}
    for name in known.keys() & set(names):
        layer, dimensions, kind = known[name].layer, len(known[name].shape), known[name].kind
        if is_conv1d(layer):
            orders[name] = (1, 0)
        elif kind == "experts" and dimensions == 3 and getattr(layer, "is_transposed", False):
            orders[name] = (0, 2, 1)
        elif kind == "convolution" and getattr(layer, "transposed", False):
            if layer.groups != 1:
                raise ScopeError(
                    f"{name!r} belongs to a transposed convolution in {layer.groups} groups, whose outputs are not "
                    "along an axis; leave it dense with exclude=[...]"
                )
            orders[name] = (1, 0, *range(2, dimensions))
    return orders


def kernels(model: nn.Module | Mapping[str, Tensor]) -> set[str]:
    """The names of the weights of a model's convolutions."""
    return {name for name, parameter in _known(model).items() if parameter.kind == "convolution"}


def _known(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Parameter]:
    return parameters(unwrapped(model)) if isinstance(model, nn.Module) else {}


def _tensors(target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not isinstance(target, Mapping):
        raise WeightError(f"weights must be a model or a dict of tensors by name, got a {type(target).__name__}")
    for name, weight in target.items():
        if not isinstance(weight, Tensor) or not isinstance(name, str):
            remedy = (
                "give that dict itself" if isinstance(weight, Mapping) else "leave it out, or convert it to a tensor"
            )
            raise WeightError(f"weights must be tensors by name, but {name!r} is a {type(weight).__name__}; {remedy}")
    return dict(target)


def _twice(weights: Mapping[str, Tensor], names: Collection[str]) -> set[str]:
    """Those of the names whose weight has one of them already: of a tied weight, all but the first."""
    first: dict[tuple[Any, ...], str] = {}
    for name, weight in weights.items():
        plain = weight.layout == torch.strided and not weight.is_nested and weight.device.type != "meta"
        if name in names and plain and weight.numel():
            first.setdefault((weight.data_ptr(), weight.dtype, weight.shape, weight.stride()), name)
        elif name in names:
            first[(name,)] = name
    return {*names} - {*first.values()}


def _check_plain(model: nn.Module | Mapping[str, Tensor], names: Iterable[str], known: Mapping[str, Parameter]) -> None:
    """Raise if PyTorch's pruning, norms or parametrizations compute a layer's weight from one of these."""
    others = {name for name, _ in model.named_buffers()} if isinstance(model, nn.Module) else {*model}
    for name in sorted(names):
        if found := _tool(name, others, known.get(name)):
            tool, remedy = found
            raise MaskError(f"{name!r} is not the weight that its layer uses: {tool} computes that from it; {remedy}")


def _tool(name: str, others: Collection[str], parameter: Parameter | None) -> tuple[str, str] | None:
    """What computes a layer's weight from a parameter, and how to undo it; None if nothing does.

    Args:
        others: the names of the buffers, which show the tool. A dict of parameters lacks them.
        parameter: the parameter, if it is that of a model.
    """
    permanent = "make it permanent first, with randprune_lab.make_permanent(model)"
    undo = "exclude it, or undo that first, with"
    normed = {} if parameter is None else weight_normed(parameter.layer)
    if weight := normed.get(name.rpartition(".")[2]):
        return "torch.nn.utils.weight_norm", f"{undo} remove_weight_norm(layer, {weight!r})"
    base = name.removesuffix("_orig")
    if base != name:
        own = base.rpartition(".")[2]
        if f"{base}_mask" in others:
            return "torch.nn.utils.prune", f"{permanent} or prune.remove"
        if f"{base}_u" in others:
            return "torch.nn.utils.spectral_norm", f"{undo} remove_spectral_norm(layer, {own!r})"
        if own.endswith("weight"):
            return "a tool of PyTorch", f"if it is a mask, {permanent}; undo a norm with remove_spectral_norm"
    layer, inside, part = f".{name}".rpartition(".parametrizations.")
    if not inside:
        return None
    own = part.partition(".")[0]
    kept = re.compile(re.escape(f"{layer}{inside}{own}.") + r"\d+\.kept")
    if any(kept.fullmatch(f".{other}") for other in others):
        return "to_parametrize", f"{permanent} or parametrize.remove_parametrizations"
    return "torch.nn.utils.parametrize", f"{undo} parametrize.remove_parametrizations(layer, {own!r})"


def _warn_of_dense(owner: str, known: Mapping[str, Parameter], reasons: Mapping[str, str | None]) -> None:
    """Warn if much of the blocks, or most of the model, stays dense by default: weights that look prunable."""
    blocks = {name: known[name].tensor.numel() for name in known if known[name].repeated}
    dense = [name for name in blocks if known[name].kind in ("convolution", "other") and reasons[name] != "excluded"]
    fraction = sum(blocks[name] for name in dense) / max(sum(blocks.values()), 1)
    if fraction > 0.1:
        warnings.warn(
            f"{100 * fraction:.0f} % of the weights in the blocks of {owner} stay dense, because they belong to no "
            f"linear or recurrent layer: {listed(dense)}, the first of shape {known[dense[0]].shape}; "
            "choose weights with include=[...] or types=[...], or confirm that these stay dense with exclude=[...]; "
            "randprune_lab.scope(model) lists all",
            stacklevel=1,  # shown once for each model, because it always has the same origin
        )
    outside = [name for name, reason in reasons.items() if reason == OUTSIDE and not known[name].last]
    pruned = sum(known[name].tensor.numel() for name, reason in reasons.items() if reason is None)
    if (weights := sum(known[name].tensor.numel() for name in outside)) > pruned:
        warnings.warn(
            f"only the layers in lists (nn.ModuleList) of {owner} are pruned, with {pruned:,} weights; {weights:,} "
            f"weights of layers outside of them stay dense: {listed(outside)}; choose weights with include=[...]; "
            "randprune_lab.scope(model) lists all",
            stacklevel=1,
        )


def _warn_of_vectors(weights: Mapping[str, Tensor]) -> None:
    """Warn if biases and norms are pruned together with matrices, as when a pattern is too wide."""
    parts = ("weight", "bias")
    vectors = [name for name, weight in weights.items() if weight.ndim < 2 and name.rpartition(".")[2] in parts]
    if 0 < len(vectors) < len(weights):
        warnings.warn(
            f"{len(vectors)} of the {len(weights)} chosen weights are biases or belong to norms: {listed(vectors)}; to "
            "leave them dense, use exclude=[...]",
            stacklevel=1,
        )


def _nothing(
    owner: str, known: Mapping[str, Parameter], every: Iterable[str], include: Sequence[str] | None
) -> ScopeError:
    layers = [name for name, parameter in known.items() if parameter.kind in LAYERS]
    what = "layer of the chosen kinds" if known and include is None else "weight"
    return ScopeError(
        f"nothing to prune in {owner}: no {what} is left; choose weights with include=[...], exclude=[...] and "
        f"types=[...], such as types=[torch.nn.Conv2d]; the layers have {listed(layers or every)}"
    )
