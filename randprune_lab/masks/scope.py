"""The prunable weights of a model, and the number of weights to keep in each group."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import index
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError, ScopeError, WeightError, listed, no_match
from randprune_lab.masks.sparsity import Sparsity, plain_sparsity, sparsities

Allocation = Literal["layerwise", "global", "erk"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)

NO_VALUES = "is on the meta device, where it has no values: it was offloaded, or not loaded yet; load it first"
"""What errors say of a weight that cannot be read or changed."""


def prunable(
    model: nn.Module | Mapping[str, Tensor],
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> dict[str, Tensor]:
    """The prunable weights by name.

    By default, these are all matrices inside the repeated blocks (`nn.ModuleList`) of a transformer: the projections of
    its attention and feed-forward layers. Embeddings, norms, biases, poolers and heads are not prunable. If the blocks
    have weights with more than two dimensions, such as stacked experts, a warning names them.

    Args:
        model: a model, or a dict of tensors, which are all prunable.
        include: shell patterns of parameter names that replace the default, such as `["*.attention.*.weight"]`.
        exclude: shell patterns of names that stay dense.

    Raises:
        ConfigError: if the patterns are not a list of strings.
        ScopeError: if a pattern matches nothing, or nothing is left to prune.
        WeightError: if `model` is neither a model nor a dict of tensors.
        MaskError: if PyTorch's pruning or parametrization wraps a prunable weight.
    """
    every = dict(model.named_parameters()) if isinstance(model, nn.Module) else _tensors(model)
    spared = _matching(exclude, every)
    if include is not None:
        chosen = _matching(include, every)
    elif isinstance(model, nn.Module):
        chosen = block_matrices(model)
        _warn_of_stacks(model, spared)
    else:
        chosen = set(every)
    chosen -= spared
    if not chosen:
        matrices = [name for name, tensor in every.items() if tensor.ndim == 2]
        by_default = include is None and isinstance(model, nn.Module)
        what = "matrix inside repeated blocks" if by_default else "weight"
        raise ScopeError(
            f"nothing to prune in {type(model).__name__}: no {what} is left; choose weights with include=[...] and "
            f"exclude=[...]; the matrices are {listed(matrices)}"
        )
    _check_plain(model, chosen)
    return {name: tensor for name, tensor in every.items() if name in chosen}


def with_values(
    model: nn.Module | Mapping[str, Tensor], include: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> dict[str, Tensor]:
    """The `prunable` weights, if their values can be read; raises `WeightError` otherwise."""
    weights = prunable(model, include, exclude)
    for name, weight in weights.items():
        if weight.is_meta:
            raise WeightError(f"weight {name!r} {NO_VALUES}")
        if weight.layout != torch.strided:
            raise WeightError(f"weight {name!r} is stored as {weight.layout}; convert it first, with to_dense()")
    return weights


def inputs_first(model: nn.Module | Mapping[str, Tensor]) -> set[str]:
    """The names of the matrices of a model whose rows are inputs, not outputs: those of GPT-2's `Conv1D`."""
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    return {f"{name}.weight" if name else "weight" for name, module in modules.items() if _is_conv1d(module)}


def _is_conv1d(module: nn.Module) -> bool:
    """Whether it is the class of transformers, which takes seconds to import."""
    return any(
        (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D") for kind in type(module).__mro__
    )


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


def _check_plain(model: nn.Module | Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Raise if PyTorch's pruning or parametrization computes a layer's weight from one of these."""
    others = {name for name, _ in model.named_buffers()} if isinstance(model, nn.Module) else {*model}
    for name in sorted(names):
        base = name.removesuffix("_orig")
        pruned = name != base and (f"{base}_mask" in others or base.endswith("weight"))
        if pruned or ".parametrizations." in f".{name}":
            tool, other = ("prune", "remove") if pruned else ("parametrize", "remove_parametrizations")
            raise MaskError(
                f"{name!r} is not the weight that its layer uses: torch.nn.utils.{tool} computes that from it; make it "
                f"permanent first, with randprune_lab.make_permanent(model) or {tool}.{other}"
            )


def block_matrices(model: nn.Module) -> set[str]:
    """The names of the matrices inside `nn.ModuleList` blocks, without embedding tables."""
    return {name for name, weight in _block_weights(model).items() if weight.ndim == 2}


def _block_weights(model: nn.Module) -> dict[str, Tensor]:
    blocks = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    inside = tuple(f"{name}." if name else "" for name in blocks)
    return {
        f"{prefix}.{name}" if prefix else name: parameter
        for prefix, module in model.named_modules()
        if not isinstance(module, nn.Embedding)
        for name, parameter in module.named_parameters(recurse=False)
        if f"{prefix}.".startswith(inside)
    }


def _warn_of_stacks(model: nn.Module, spared: set[str]) -> None:
    """Warn about weights in the blocks that look prunable but stay dense by default."""
    weights = {name: weight for name, weight in _block_weights(model).items() if weight.ndim > 1 and name not in spared}
    stacks = [name for name, weight in weights.items() if weight.ndim > 2]
    if not stacks:
        return
    fraction = sum(weights[name].numel() for name in stacks) / sum(weight.numel() for weight in weights.values())
    patterns = list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in weights))
    warnings.warn(
        f"{100 * fraction:.0f} % of the weights in the blocks of {type(model).__name__} stay dense, because they are "
        f"not matrices: {listed(stacks)}, the first of shape {tuple(weights[stacks[0]].shape)}; prune them too with "
        f"include={patterns}, or confirm that they stay dense with exclude=[...]",
        stacklevel=1,  # shown once for each model, because it always has the same origin
    )


def keep_counts(
    shapes: Mapping[str, Sequence[int]], sparsity: Sparsity, allocation: Allocation | Mapping[str, int]
) -> dict[str, int]:
    """The number of weights to keep in each group: `N - round(sparsity * N)`, where N is the size of the group.

    Args:
        shapes: the shapes of the tensors, by name.
        sparsity: the fraction of the weights to remove. With `"layerwise"` also a dict of fractions by shell pattern of
            names, such as `{"*.attention.*": 0.8, "*": 0.95}`; the first pattern that matches a name counts.
        allocation: one of these:

            - `"layerwise"`: each tensor is a group.
            - `"global"`: all tensors are one group, named `"global"`, with one threshold.
            - `"erk"`: each tensor is a group with a density proportional to `sum(shape) / prod(shape)`, so that small
              tensors keep a larger fraction; the total is that of `"global"` (Erdős-Rényi kernel, Evci et al. 2020).
            - a dict: the number of weights that each tensor keeps; the total must be that of `"global"`.

    Returns:
        The numbers by the name of the group.

    Raises:
        ConfigError: if a sparsity is not in [0, 1), there is no such allocation, the counts do not match, or a dict of
            sparsities comes with another allocation than `"layerwise"`.
        ScopeError: if a pattern matches no tensor, or a tensor no pattern.
    """
    sparsity = plain_sparsity(sparsity)
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    if allocation == "layerwise":
        each = sparsities(sparsity, sizes)
        return {name: keep_count(size, each[name]) for name, size in sizes.items()}
    if isinstance(sparsity, dict):
        raise ConfigError(
            f"sparsity by pattern is for the allocation 'layerwise', got allocation {allocation!r:.60}; "
            "give one number as sparsity, or leave out allocation"
        )
    total = keep_count(sum(sizes.values()), sparsity)
    if allocation == "global":
        return {"global": total}
    if allocation == "erk":
        return _erk(shapes, sizes, total)
    if not isinstance(allocation, Mapping):
        raise ConfigError(
            f"allocation must be one of {', '.join(ALLOCATIONS)}, or a dict of counts, got {allocation!r}"
        )
    try:
        counts = {name: index(count) for name, count in allocation.items()}
    except TypeError:
        counts = {}
    fits = counts.keys() == sizes.keys() and all(0 <= counts[name] <= sizes[name] for name in sizes)
    if not fits or sum(counts.values()) != total:
        raise ConfigError(
            f"allocation must have a count for each of {listed(sizes)}, from 0 to the tensor's size and {total:,} in "
            f"total, got {listed(allocation.items())}"
        )
    return counts


def keep_count(size: int, sparsity: float) -> int:
    """The number of weights to keep of `size` weights; `torch.nn.utils.prune` removes the same number."""
    return size - round(sparsity * size)


def _erk(shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    # density × size, up to a factor; a scalar counts as a vector of length 1
    weight = {name: float(max(sum(shape), 1)) if sizes[name] else 0.0 for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        rest = [name for name in sizes if name not in full and sizes[name]]
        room = total - sum(sizes[name] for name in full)
        scale = room / sum(weight[name] for name in rest) if rest else 0.0
        if not (over := {name for name in rest if scale * weight[name] > sizes[name]}):
            break
        full |= over
    exact = {name: scale * weight[name] if name in rest else float(sizes[name]) for name in sizes}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(rest, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _matching(patterns: Sequence[str], names: Iterable[str]) -> set[str]:
    if isinstance(patterns, str):
        raise ConfigError(f"patterns must be a list of strings, got the string {patterns!r}; write [{patterns!r}]")
    if not isinstance(patterns, Iterable):
        raise ConfigError(f"patterns must be a list of strings, got {patterns!r}")
    if other := [pattern for pattern in patterns if not isinstance(pattern, str)]:
        raise ConfigError(f"patterns must be a list of strings, got {other[0]!r} in it")
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            raise no_match(pattern, names)
        found |= matches
    return found
