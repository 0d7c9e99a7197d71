"""The weights of a model by plain name, and the masks that fit them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from randprune_lab.errors import MaskError, WeightError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.weight_checks import no_entries
from randprune_lab.masks.wrappers import check_not_computed, plain

PARALLEL = "module"  # prefix of names in a model that data parallelism wraps


def matched(mask: Mapping[str, Tensor], weights: Mapping[str, Tensor], owner: str) -> MaskSet:
    """The masks under the plain names of `weights`.

    Args:
        owner: what the weights belong to, for errors.

    Raises:
        MaskError: if `mask` is no dict of masks or removes nothing, a name or a shape does not fit, a weight has no
            values, or its layer computes it from another one.
    """
    fitting = {}
    for name, kept in MaskSet(mask).items():
        weight = plain(name)
        weight = weight if weight in weights else weight.removeprefix(f"{PARALLEL}.")
        check_not_computed(weight, weights, owner)
        if weight not in weights:
            raise MaskError(
                f"mask of {name!r} has no counterpart in {owner}; its names look like "
                f"{', '.join(map(repr, [*weights][:2])) or 'nothing'}; rename the masks, "
                "or draw them from the model that is trained"
            )
        if reason := no_entries(weights[weight]):
            raise MaskError(f"{weight!r} in {owner} {reason}")
        if kept.shape != weights[weight].shape:
            raise MaskError(
                f"mask of {name!r} has shape {tuple(kept.shape)}, but in {owner} it is {tuple(weights[weight].shape)}; "
                "draw the masks from the model that is trained"
            )
        fitting[weight] = kept
    masks = MaskSet(fitting)
    if masks.kept == masks.size:
        raise MaskError(
            f"the mask set removes none of {masks.size:,} weights in {len(masks)} tensors: {owner} would stay dense; "
            "draw masks with a sparsity above 0"
        )
    return masks


def leftovers(mask: MaskSet, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of weights that `mask` removes but that are not zero, by name; names with none are left out."""
    counts = {}
    with torch.no_grad():
        for name, kept in mask.items():
            whole = getattr(weights[name], "full_tensor", lambda name=name: weights[name])()
            counts[name] = int((not_zero(name, whole) & ~kept.to(whole.device)).sum())
    return {name: count for name, count in counts.items() if count}


def not_zero(name: str, weight: Shaped[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """Where a weight is not zero; raises `WeightError` if PyTorch cannot tell, as for types of 4 bits."""
    try:
        return weight.detach().ne(0)
    except RuntimeError as error:
        reason = no_entries(weight)
        if not isinstance(error, NotImplementedError) and reason is None:
            raise
        unordered = f"is {weight.dtype}, whose entries PyTorch cannot compare with zero; convert it first, such as to "
        raise WeightError(f"weight {name!r} {reason or unordered + 'torch.float16'}") from error
