"""Masks to and from PyTorch's own tools, `torch.nn.utils.prune` and `torch.nn.utils.parametrize`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from randprune_lab.errors import MaskError, ScopeError
from randprune_lab.interop.names import matched, named_weights, plain, unwrapped
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.scope import prunable


class MaskedWeight(nn.Module):
    """A parametrization: the weight where the mask keeps it, zero elsewhere. The mask is a buffer."""

    kept: Tensor

    def __init__(self, kept: Tensor):
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        return weight.masked_fill(~self.kept, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is assigned to the weight becomes the original; the mask stays in force."""
        return weight


def to_torch_prune(model: nn.Module, mask: Mapping[str, Tensor]) -> None:
    """Put masks on `model` as `torch.nn.utils.prune` does: `weight` becomes `weight_orig` and `weight_mask`.

    Raises `MaskError`, and changes nothing, if the masks don't fit, or a weight is shared by two modules.
    """
    for module, attribute, kept in _places(model, mask):
        prune.custom_from_mask(module, attribute, kept)


def from_torch_prune(model: nn.Module) -> MaskSet:
    """The masks that `torch.nn.utils.prune` put on `model`, by the names that the weights had before.

    Raises `ScopeError` if there are none.
    """
    masks = {}
    for name, module in unwrapped(model).named_modules():
        for attribute in _pruned(module):
            masks[_join(name, attribute)] = getattr(module, f"{attribute}_mask") != 0
    return _some(masks, model, "torch.nn.utils.prune")


def to_parametrize(model: nn.Module, mask: Mapping[str, Tensor]) -> None:
    """Put masks on `model` as parametrizations (`torch.nn.utils.parametrize`), each a `MaskedWeight`.

    Raises `MaskError`, and changes nothing, if the masks don't fit, or a weight is shared by two modules.
    """
    for module, attribute, kept in _places(model, mask):
        parametrize.register_parametrization(module, attribute, MaskedWeight(kept))


def from_parametrize(model: nn.Module) -> MaskSet:
    """The masks that `to_parametrize` put on `model`, by the names that the weights had before.

    Raises `ScopeError` if there are none.
    """
    masks = {}
    for name, module in unwrapped(model).named_modules():
        for attribute in _parametrized(module):
            found = [part.kept for part in _parametrizations(module)[attribute] if isinstance(part, MaskedWeight)]
            masks[_join(name, attribute)] = torch.stack(found).all(0)
    return _some(masks, model, "to_parametrize")


def make_permanent(model: nn.Module) -> MaskSet:
    """Take off what `to_torch_prune` and `to_parametrize` put on: plain weights under their own names, zeros inside.

    Gives the masks. Unlike `prune.remove`, it leaves no negative zeros, which are no zero bits in a file.
    Raises `ScopeError` if there is nothing to take off.
    """
    inner = unwrapped(model)
    masks: dict[str, Tensor] = {}
    for name, module in [*inner.named_modules()]:
        for attribute in _pruned(module):
            masks[_join(name, attribute)] = getattr(module, f"{attribute}_mask") != 0
            prune.remove(module, attribute)
        for attribute in _parametrized(module):
            masks[_join(name, attribute)] = getattr(module, attribute) != 0
            parametrize.remove_parametrizations(module, attribute)
    found = _some(masks, model, "torch.nn.utils.prune or to_parametrize")
    found.apply_(inner)
    return found


def mask_from_zeros(
    model: nn.Module | Mapping[str, Tensor], include: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> MaskSet:
    """The masks that a model's own zeros tell: kept is what is not zero, in every prunable weight.

    Args:
        model: a model, or its weights by name.
        include, exclude: shell patterns for the names of weights to look at, as for `MaskSampler`.

    Raises:
        ScopeError: if a pattern matches nothing, or no prunable weight is zero.
    """
    scope = prunable(unwrapped(model) if isinstance(model, nn.Module) else model, include, exclude)
    masks = MaskSet({name: weight.detach().ne(0) for name, weight in scope.items()})
    if masks.kept == masks.size:
        raise ScopeError(
            f"none of {masks.size:,} weights in {len(masks)} tensors is zero, such as in {next(iter(masks))!r}: "
            "nothing was pruned there; say where zeros are with include=[...]"
        )
    return masks


# --- parts ---


def _places(model: nn.Module, mask: Mapping[str, Tensor]) -> list[tuple[nn.Module, str, Tensor]]:
    """Module, attribute and mask of each weight. Raises `MaskError` before anything is changed."""
    inner, weights = unwrapped(model), named_weights(model)
    fitting = matched(mask, weights, type(inner).__name__)
    uses: dict[int, list[str]] = {}
    for name, weight in weights.items():
        uses.setdefault(id(weight), []).append(name)
    for name in fitting:
        if len(tied := uses[id(weights[name])]) > 1:
            raise MaskError(
                f"{' and '.join(map(repr, tied))} are one weight; PyTorch would untie them and prune {name!r} alone: "
                "leave it dense, or use MaskCallback, which keeps them tied"
            )
    owners = {
        id(weight): (module, attribute)
        for module in inner.modules()
        for attribute, weight in module.named_parameters(recurse=False)
    }
    return [(*owners[id(weights[name])], kept.to(weights[name].device)) for name, kept in fitting.items()]


def _pruned(module: nn.Module) -> list[str]:
    """Attributes of `module` that `torch.nn.utils.prune` pruned."""
    names = [name.removesuffix("_orig") for name, _ in module.named_parameters(recurse=False) if name.endswith("_orig")]
    return [name for name in names if f"{name}_mask" in module._buffers]


def _parametrized(module: nn.Module) -> list[str]:
    """Attributes of `module` that a `MaskedWeight` masks."""
    found = _parametrizations(module).items()
    return [name for name, parts in found if any(isinstance(part, MaskedWeight) for part in parts)]


def _parametrizations(module: nn.Module) -> dict[str, Iterable[nn.Module]]:
    if not isinstance(found := getattr(module, "parametrizations", None), nn.ModuleDict):
        return {}
    return {name: parts for name, parts in found.items() if isinstance(parts, parametrize.ParametrizationList)}


def _join(module: str, attribute: str) -> str:
    return plain(f"{module}.{attribute}" if module else attribute)


def _some(masks: dict[str, Tensor], model: nn.Module, source: str) -> MaskSet:
    if not masks:
        raise ScopeError(
            f"{type(unwrapped(model)).__name__} holds no masks of {source}; if its weights have zeros, "
            "mask_from_zeros reads these"
        )
    return MaskSet(masks)
