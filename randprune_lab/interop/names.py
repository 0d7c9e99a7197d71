"""One name for each weight, whatever a model was wrapped in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from randprune_lab.errors import MaskError
from randprune_lab.masks.mask_set import MaskSet

COMPILED = "_orig_mod"  # what torch.compile puts before the names of a module
PARALLEL = "module"  # what data parallelism puts before them


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside wrappers for data parallelism and `torch.compile`."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(inner := model._modules.get(COMPILED), nn.Module):
            model = inner
        else:
            return model


def plain(name: str) -> str:
    """A weight's name as it was before any part of the model was compiled."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters of `model` by plain name, tied ones under each of theirs."""
    return {plain(name): weight for name, weight in unwrapped(model).named_parameters(remove_duplicate=False)}


def matched(mask: Mapping[str, Tensor], weights: Mapping[str, Tensor], owner: str) -> MaskSet:
    """The same masks under the plain names of `weights`.

    Raises:
        MaskError: if the masks remove nothing, or a name or a shape does not fit.
    """
    found = {}
    for name, kept in mask.items():
        fit = plain(name)
        fit = fit if fit in weights else fit.removeprefix(f"{PARALLEL}.")
        if fit not in weights:
            raise MaskError(
                f"mask of {name!r} has no counterpart in {owner}; its names look like "
                f"{', '.join(map(repr, [*weights][:2])) or 'nothing'}; rename the masks, "
                "or draw them from the very model that is trained"
            )
        if kept.shape != weights[fit].shape:
            raise MaskError(
                f"mask of {name!r} has shape {tuple(kept.shape)}, but in {owner} it is {tuple(weights[fit].shape)}"
            )
        found[fit] = kept
    masks = MaskSet(found)
    if masks.kept == masks.size:
        raise MaskError(
            f"the mask set removes none of {masks.size:,} weights in {len(masks)} tensors: {owner} would stay dense; "
            "draw masks with a sparsity above 0"
        )
    return masks


def leftovers(mask: MaskSet, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """By name, how many weights that `mask` removes are not zero; names with none are left out."""
    with torch.no_grad():
        counts = {
            name: int((weights[name].ne(0) & ~kept.to(weights[name].device)).sum()) for name, kept in mask.items()
        }
    return {name: count for name, count in counts.items() if count}
