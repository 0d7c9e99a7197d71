"""Magnitude masks by the tools that most people use, as baselines of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils import prune

from randprune_lab.masks.sparsity import keep_count


def by_topk(weight: Float[Tensor, "*shape"], sparsity: float, *, ordered: bool = True) -> Bool[Tensor, "*shape"]:
    """The indices of the k largest weights, set in a boolean mask; `torch.topk` sorts them by default."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    count = keep_count(weight.numel(), sparsity)
    mask[torch.topk(weight.abs().flatten(), count, sorted=ordered).indices] = True
    return mask.view(weight.shape)


def by_unsorted_topk(weight: Float[Tensor, "*shape"], sparsity: float) -> Bool[Tensor, "*shape"]:
    """As `by_topk`, with `sorted=False`: a mask needs no order."""
    return by_topk(weight, sparsity, ordered=False)


def by_kthvalue(weight: Float[Tensor, "*shape"], sparsity: float) -> Bool[Tensor, "*shape"]:
    """The weights above the largest removed one; fewer than k if there are ties."""
    scores = weight.abs()
    return scores > scores.flatten().kthvalue(weight.numel() - keep_count(weight.numel(), sparsity)).values


def by_partition(weight: Float[Tensor, "*shape"], sparsity: float) -> Bool[Tensor, "*shape"]:
    """As `by_kthvalue`, with `np.partition`, on the CPU."""
    scores = weight.abs().numpy()
    last = weight.numel() - keep_count(weight.numel(), sparsity) - 1
    return torch.from_numpy(scores > np.partition(scores, last, axis=None)[last])


def by_l1_unstructured(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """The masks of `torch.nn.utils.prune.l1_unstructured`, one weight after the other."""
    modules = {name: _module(weight) for name, weight in weights.items()}
    for module in modules.values():
        prune.l1_unstructured(module, "weight", sparsity)
    return {name: module.weight_mask for name, module in modules.items()}


def by_global_unstructured(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """The masks of `torch.nn.utils.prune.global_unstructured`, with one threshold for all weights."""
    modules = {name: _module(weight) for name, weight in weights.items()}
    places = [(module, "weight") for module in modules.values()]
    prune.global_unstructured(places, pruning_method=prune.L1Unstructured, amount=sparsity)
    return {name: module.weight_mask for name, module in modules.items()}


def _module(weight: Tensor) -> Any:
    module = nn.Module()
    module.weight = nn.Parameter(weight, requires_grad=False)
    return module


ONE_BY_ONE: dict[str, Callable[[Tensor, float], Tensor]] = {
    "topk": by_topk,
    "unsorted topk": by_unsorted_topk,
    "kthvalue": by_kthvalue,
    "partition": by_partition,
}
"""Ways to make the magnitude mask of one weight."""

ALL_AT_ONCE: dict[str, Callable[[Mapping[str, Tensor], float], dict[str, Tensor]]] = {
    "l1_unstructured": by_l1_unstructured,
    "global_unstructured": by_global_unstructured,
}
"""Ways of `torch.nn.utils.prune` to make the magnitude masks of a model."""
