"""Masks to and from PyTorch's own tools, `torch.nn.utils.prune` and `torch.nn.utils.parametrize`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize, prune

from randprune_lab.errors import MaskError, ScopeError
from randprune_lab.interop.names import matched, not_zero
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.scope import with_values
from randprune_lab.masks.weight_checks import check_maskable
from randprune_lab.masks.wrappers import named_weights, plain, unwrapped


class MaskedWeight(nn.Module):
    """A parametrization: the weight where the mask keeps it, and zero elsewhere. The mask is a buffer."""

    kept: Tensor

    def __init__(self, kept: Tensor):
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        return weight.masked_fill(~self.kept, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """An assigned weight becomes the original weight; the mask remains."""
        return weight


def to_torch_prune(model: nn.Module, mask: Mapping[str, Tensor]) -> None:
    """Put masks on `model` as `torch.nn.utils.prune` does: `weight` becomes `weight_orig` and `weight_mask`.

    Raises:
        MaskError: if the masks do not fit, a weight cannot be set to zero, or two modules share it, or it is one that
            PyTorch's attention reads without calling its layer; the model is not changed.
    """
    places = _places(model, mask)
    for name, (module, _, _) in zip(mask, places, strict=True):
        if isinstance(module, NonDynamicallyQuantizableLinear):
            raise MaskError(
                f"{name!r} is read by its attention without a call of its layer, so that torch.nn.utils.prune has no "
                "effect on it; leave it out, or use to_parametrize"
            )
    for module, attribute, kept in places:
        prune.custom_from_mask(module, attribute, kept)


def from_torch_prune(model: nn.Module) -> MaskSet:
    """The masks that `torch.nn.utils.prune` put on `model`, by the original names of the weights.

    Raises:
        ScopeError: if there are none.
    """
    masks = {}
    for name, module in unwrapped(model).named_modules():
        for attribute in _pruned(module):
            masks[_join(name, attribute)] = getattr(module, f"{attribute}_mask") != 0
    return _some(masks, model, "torch.nn.utils.prune")


def to_parametrize(model: nn.Module, mask: Mapping[str, Tensor]) -> None:
    """Put masks on `model` as parametrizations (`torch.nn.utils.parametrize`), each a `MaskedWeight`.

    Raises:
        MaskError: if the masks do not fit, a weight cannot be set to zero, or two modules share it; the model is not
            changed.
    """
    for module, attribute, kept in _places(model, mask):
        parametrize.register_parametrization(module, attribute, MaskedWeight(kept))


def from_parametrize(model: nn.Module) -> MaskSet:
    """The masks that `to_parametrize` put on `model`, by the original names of the weights.

    Raises:
        ScopeError: if there are none.
    """
    masks = {}
    for name, module in unwrapped(model).named_modules():
        for attribute in _parametrized(module):
            masks[_join(name, attribute)] = _kept(module, attribute)
    return _some(masks, model, "to_parametrize")


def make_permanent(model: nn.Module) -> MaskSet:
    """Remove what `to_torch_prune` and `to_parametrize` added: pruned weights become plain ones with zeros.

    Unlike `prune.remove`, it leaves no negative zeros, whose bits are not all zero in a file.

    Returns:
        The masks.

    Raises:
        ScopeError: if there is nothing to remove.
    """
    inner = unwrapped(model)
    masks: dict[str, Tensor] = {}
    for name, module in [*inner.named_modules()]:
        for attribute in _pruned(module):
            masks[_join(name, attribute)] = getattr(module, f"{attribute}_mask") != 0
            prune.remove(module, attribute)
        for attribute in _parametrized(module):
            masks[_join(name, attribute)] = _kept(module, attribute)
            parametrize.remove_parametrizations(module, attribute)
    removed = _some(masks, model, "torch.nn.utils.prune or to_parametrize")
    removed.apply_(inner)
    return removed


def mask_from_zeros(
    model: nn.Module | Mapping[str, Tensor],
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> MaskSet:
    """The masks that a model's zeros define: in every prunable weight, entries that are not zero are kept.

    Args:
        model: a model, or its weights by name.
        include, exclude, types: which weights to read, as for `MaskSampler`.

    Raises:
        ConfigError: if the patterns are not a list of strings, or the types not a list of classes or kinds.
        ScopeError: if a pattern matches nothing, or no prunable weight is zero.
        WeightError: if weights have no values, as on the meta device, have another type than PyTorch can compare with
            zero, or are not tensors.
        MaskError: if a weight is wrapped: then `from_torch_prune` or `from_parametrize` reads its mask.
    """
    scope = with_values(model, include, exclude, types)
    masks = MaskSet({name: not_zero(name, weight) for name, weight in scope.items()})
    if masks.kept == masks.size:
        raise ScopeError(
            f"none of {masks.size:,} weights in {len(masks)} tensors, such as {next(iter(masks))!r}, is zero, so "
            "nothing was pruned there; name the tensors with zeros with include=[...], or their layers with types=[...]"
        )
    return masks


# --- parts ---


def _places(model: nn.Module, mask: Mapping[str, Tensor]) -> list[tuple[nn.Module, str, Tensor]]:
    """Module, attribute and mask of each weight.

    Raises:
        MaskError: if the masks do not fit, a weight cannot be set to zero, or two modules share it.
    """
    inner, weights = unwrapped(model), named_weights(model)
    fitting = matched(mask, weights, type(inner).__name__)
    uses: dict[int, list[str]] = {}
    for name, weight in weights.items():
        uses.setdefault(id(weight), []).append(name)
    for name in fitting:
        check_maskable(name, weights[name], type(inner).__name__)
        if len(tied := uses[id(weights[name])]) > 1:
            raise MaskError(
                f"{' and '.join(map(repr, tied))} are one tied weight, and PyTorch would untie them and prune only "
                f"{name!r}; leave it dense, or use MaskCallback, which keeps them tied"
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
    attributes = _parametrizations(module).items()
    return [name for name, parts in attributes if any(isinstance(part, MaskedWeight) for part in parts)]


def _kept(module: nn.Module, attribute: str) -> Tensor:
    """The weights that all masks on an attribute keep."""
    return torch.stack(
        [part.kept for part in _parametrizations(module)[attribute] if isinstance(part, MaskedWeight)]
    ).all(0)


def _parametrizations(module: nn.Module) -> dict[str, Iterable[nn.Module]]:
    if not isinstance(attributes := getattr(module, "parametrizations", None), nn.ModuleDict):
        return {}
    return {name: parts for name, parts in attributes.items() if isinstance(parts, parametrize.ParametrizationList)}


def _join(module: str, attribute: str) -> str:
    return plain(f"{module}.{attribute}" if module else attribute)


def _some(masks: dict[str, Tensor], model: nn.Module, source: str) -> MaskSet:
    if not masks:
        raise ScopeError(
            f"{type(unwrapped(model)).__name__} has no masks of {source}; if its weights have zeros, "
            "read the masks with mask_from_zeros"
        )
    return MaskSet(masks)
