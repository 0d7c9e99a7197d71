"""A smaller dense copy of a model, without the attention heads and neurons that a mask removes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from randprune_lab.criteria.passes import evaluating
from randprune_lab.errors import MaskError
from randprune_lab.interop.names import matched
from randprune_lab.interop.torch_prune import mask_from_zeros
from randprune_lab.masks.coupled import Coupled, Found, Slices
from randprune_lab.masks.heads import Heads
from randprune_lab.masks.layers import parameters
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.neurons import Neurons
from randprune_lab.masks.weight_checks import check_maskable
from randprune_lab.masks.wrappers import named_weights, plain_names, unwrapped

NUMBERS = {
    "heads": ("num_attention_heads", "num_key_value_heads", "num_heads", "n_heads", "n_head"),
    "neurons": ("intermediate_size", "hidden_dim", "n_inner", "d_ff", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"),
}
"""How modules and configurations of transformers name the number of units."""

WIDTHS = ("all_head_size", "inner_dim", "split_size")
"""How modules name the width of all heads together."""

HEAD_WIDTHS = ("head_dim", "d_kv")
"""How configurations name the width of a head. Without it, it follows from the number of heads, which cannot change."""


class Group(NamedTuple):
    """The units of one module, and which of them are kept."""

    found: Found
    slices: tuple[Slices, ...]
    kept: Bool[Tensor, " units"]


def shrink(
    model: nn.Module, mask: Mapping[str, Tensor] | None = None, *, example: Mapping[str, Any] | None = None
) -> nn.Module:
    """A copy of a model without the heads and neurons that a mask removes: its matrices are smaller, and dense.

    It computes what the masked model computes, up to rounding, on any device and with any library. A head is cut out if
    the mask removes all its weights in query, key, value and output; a neuron, if it removes all before and after it.
    The bias of a removed neuron is multiplied by zeros in the masked model, so it can go as well. Where all units of a
    module are removed, one stays, with weights of zero. Other removed weights are zero in the copy.

    The configuration of a transformers model gets the new numbers if all its modules have the same; then
    `save_pretrained` and `from_pretrained` work as usual. Otherwise a warning says why they do not.

    Args:
        model: the model, which is left as it is; of a wrapped one, what is inside.
        mask: True = kept, as drawn with `structure="heads"` or `"neurons"`. None: the zeros of the prunable weights.
        example: inputs of the model by name, for which the copy must compute the same. Without it, those that a model
            of transformers has for this (`dummy_inputs`), or an image of ones.

    Raises:
        MaskError: if the mask does not fit, or removes no whole head or neuron, or if the model cannot compute without
            the removed units.
        ScopeError: without a mask, if the model has no zeros.

    Warns:
        UserWarning: if transformers cannot load the copy; if it was not checked, because the model cannot compute an
            example.
    """
    inner = unwrapped(model)
    owner, weights = type(inner).__name__, named_weights(inner)
    masks = matched(mask_from_zeros(inner) if mask is None else mask, weights, owner)
    for name in masks:
        check_maskable(name, weights[name], owner)
    small = copy.deepcopy(inner)
    MaskSet(masks).apply_(small)
    every = {structure.name: [*_groups(structure, small, masks)] for structure in (Heads(), Neurons())}
    cut = {name: groups for name, groups in every.items() if not all(bool(group.kept.all()) for group in groups)}
    if not cut:
        raise MaskError(
            f"the mask removes no whole head or neuron of {owner}, so nothing can be cut out; draw it with "
            "MaskSampler(..., structure='heads') or structure='neurons'"
        )
    given = _example(small) if example is None else example
    before = _outputs(small, given)
    if not before:
        if example is not None:
            raise MaskError(f"{owner} cannot compute the example, which has {', '.join(example)}; give other inputs")
        warnings.warn(
            f"the smaller copy of {owner} was not compared with the masked model, because there are no inputs for it; "
            "give some: shrink(model, mask, example=batch)",
            stacklevel=2,
        )
    for name, groups in cut.items():
        for group in groups:
            _cut(small, name, group)
    _check(owner, before, small, given)
    for name, groups in cut.items():
        _configure(small, name, groups)
    return small


def _groups(structure: Coupled, model: nn.Module, masks: Mapping[str, Tensor]) -> Iterator[Group]:
    """All groups of units of a model; the units of those that the mask does not cover are all kept."""
    every = structure.find(model)
    covered = {path for path, found in every.items() if all(name in masks for name in found.weights)}
    for path, found in every.items() if covered else ():
        slices = structure.slices(path, found)
        kept = torch.ones(len(slices[0].places), dtype=torch.bool)
        if path in covered:
            lanes = [masks[part.weight].any(dim=1 - part.dim).cpu()[part.places].any(dim=1) for part in slices]
            kept = torch.stack(lanes).any(dim=0)
            kept[0] |= not bool(kept.any())
        yield Group(found, slices, kept)


@torch.no_grad()
def _cut(model: nn.Module, structure: str, group: Group) -> None:
    """Remove the units of a group from its layers."""
    real = {short: name for name, short in plain_names(model).items()}
    for part in group.slices:
        layer: Any = model.get_submodule(real[part.weight].rpartition(".")[0])
        index = part.places[group.kept].flatten().sort().values.to(layer.weight.device)
        weight = layer.weight.index_select(part.dim, index)
        layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)
        outputs = part.weight != group.slices[-1].weight
        if outputs and layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias[index], requires_grad=layer.bias.requires_grad)
        for name in ("out_features", "nf") if outputs else ("in_features", "nx"):
            if hasattr(layer, name):
                setattr(layer, name, len(index))
    names = (*NUMBERS[structure], *(WIDTHS if structure == "heads" else ()))
    for module in {id(module): module for module in group.found.modules}.values():
        for name in names:
            if isinstance(number := module.__dict__.get(name), int):
                setattr(module, name, _scaled(number, group))


def _scaled(number: int, group: Group) -> int:
    """A number of units or of what each unit has, after the cut."""
    return number * int(group.kept.sum()) // len(group.kept)


def _example(model: nn.Module) -> Mapping[str, Any]:
    """The inputs that a model of transformers has for trying it; none for other models."""
    config = getattr(model, "config", None)
    if getattr(model, "main_input_name", None) == "pixel_values":
        size = getattr(config, "image_size", 224)
        sides = size if isinstance(size, list | tuple) else (size, size)
        return {"pixel_values": torch.ones(1, getattr(config, "num_channels", 3), *sides)}
    return getattr(model, "dummy_inputs", {})


@torch.no_grad()
def _outputs(model: nn.Module, example: Mapping[str, Any]) -> list[Tensor]:
    """The numbers that a model computes for an example of inputs; none if that cannot be computed."""
    weight = next(model.parameters())
    moved = {
        name: value.to(weight.device, weight.dtype if value.is_floating_point() else value.dtype)
        if isinstance(value, Tensor)
        else value
        for name, value in example.items()
    }
    try:
        with evaluating(model):
            found = model(**moved) if example else None
    except Exception:  # whatever is wrong with the example
        return []
    return [*_numbers(found)]


def _numbers(found: Any) -> Iterator[Tensor]:
    """The tensors of numbers in the outputs of a model, without those that have an axis of heads."""
    if isinstance(found, Tensor) and found.is_floating_point():
        yield found
    elif isinstance(found, Mapping):
        for name, part in found.items():
            if not name.endswith(("attentions", "past_key_values")):
                yield from _numbers(part)
    elif isinstance(found, list | tuple):
        for part in found:
            yield from _numbers(part)


def _check(owner: str, before: list[Tensor], small: nn.Module, example: Mapping[str, Any]) -> None:
    """Raise `MaskError` if the smaller model computes something else for an example of inputs."""
    after = _outputs(small, example) if before else []
    if len(after) != len(before) or not all(map(_near, before, after)):
        raise MaskError(
            f"{owner} cannot compute without the removed units: something else in it depends on them, such as a "
            "position bias of each head or a norm over all neurons; use the masked model, or remove other units"
        )


def _near(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs are the same up to rounding."""
    near = 1e-4 if one.dtype in (torch.float32, torch.float64) else 0.05
    return one.shape == other.shape and torch.allclose(one, other, rtol=near, atol=near * float(one.abs().max()))


def _configure(model: nn.Module, structure: str, groups: list[Group]) -> None:
    """Give the configuration of a model the new number of units, or warn that it cannot have it."""
    if (config := getattr(model, "config", None)) is None:
        return
    sizes = {(len(group.kept), int(group.kept.sum())) for group in groups}
    numbers = {name: getattr(config, name) for name in NUMBERS[structure] if hasattr(config, name)}
    ((old, new), *others) = sizes
    grouped = structure == "heads"  # a unit may be a group of heads, of which the configuration has all
    fields = [name for name, n in numbers.items() if n is None or n == old or (grouped and n % old == 0)]
    experts = [part for part in parameters(model).values() if part.kind == "experts" and old in part.shape]
    reason = None
    if others:
        kept = ", ".join(str(size) for size in sorted({kept for _, kept in sizes}))
        reason = f"its layers have different numbers of {structure} ({kept}), and the configuration has one"
    elif structure == "heads" and all(getattr(config, name, None) is None for name in HEAD_WIDTHS):
        reason = "its configuration has no width of a head, which follows from the number of heads"
    elif structure == "neurons" and experts:
        reason = "its configuration has one number of neurons for these and for those of experts"
    elif not fields:
        reason = f"its configuration does not have the number of {structure}"
    if reason:
        warnings.warn(
            f"transformers cannot load this {type(model).__name__} with from_pretrained: {reason}; save the model "
            "before shrink and its mask, and shrink again after loading",
            stacklevel=3,
        )
        return
    for name in fields:
        setattr(config, name, new if numbers[name] is None else numbers[name] * new // old)
