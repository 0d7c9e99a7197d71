"""The prunable weights of a model, and the number of weights to keep in each group."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, get_args

import numpy as np
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, ScopeError, check_range, listed, no_match

Allocation = Literal["layerwise", "global", "erk"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)


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
        ConfigError: if the patterns are a string.
        ScopeError: if a pattern matches nothing, or nothing is left to prune.
    """
    every = dict(model.named_parameters()) if isinstance(model, nn.Module) else dict(model)
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
    return {name: tensor for name, tensor in every.items() if name in chosen}


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
    shapes: Mapping[str, Sequence[int]], sparsity: float, allocation: Allocation | Mapping[str, int]
) -> dict[str, int]:
    """The number of weights to keep in each group: `N - round(sparsity * N)`, where N is the size of the group.

    Args:
        shapes: the shapes of the tensors, by name.
        sparsity: the fraction of the weights to remove.
        allocation: one of these:

            - `"layerwise"`: each tensor is a group.
            - `"global"`: all tensors are one group, named `"global"`, with one threshold.
            - `"erk"`: each tensor is a group with a density proportional to `sum(shape) / prod(shape)`, so that small
              tensors keep a larger fraction; the total is that of `"global"` (Erdős-Rényi kernel, Evci et al. 2020).
            - a dict: the number of weights that each tensor keeps; the total must be that of `"global"`.

    Returns:
        The numbers by the name of the group.

    Raises:
        ConfigError: if the sparsity is not in [0, 1), there is no such allocation, or the counts do not match.
    """
    check_range("sparsity", sparsity, low=0, high=1, high_open=True)
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    if allocation == "layerwise":
        return {name: keep_count(size, sparsity) for name, size in sizes.items()}
    total = keep_count(sum(sizes.values()), sparsity)
    if allocation == "global":
        return {"global": total}
    if allocation == "erk":
        return _erk(shapes, sizes, total)
    if not isinstance(allocation, Mapping):
        raise ConfigError(
            f"allocation must be one of {', '.join(ALLOCATIONS)}, or a dict of counts, got {allocation!r}"
        )
    fits = allocation.keys() == sizes.keys() and all(0 <= allocation[name] <= sizes[name] for name in sizes)
    if not fits or sum(allocation.values()) != total:
        raise ConfigError(
            f"allocation must have a count for each of {listed(sizes)}, from 0 to the tensor's size and {total:,} in "
            f"total, got {listed(allocation.items())}"
        )
    return dict(allocation)


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
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            raise no_match(pattern, names)
        found |= matches
    return found
