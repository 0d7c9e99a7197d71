"""Units that have weights in several matrices: the heads of attention, the neurons of feed-forward blocks.

Such a unit is some rows of the matrices before it and some columns of the matrix after it, so that it can be cut out of
the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, ScopeError, listed
from randprune_lab.masks.layers import Parameter, is_conv1d, parameters
from randprune_lab.masks.layout import Layout, Means, Structure, Target
from randprune_lab.masks.wrappers import plain, unwrapped

Places = Int64[Tensor, "units each"]


class Slices(NamedTuple):
    """What the units of a group have in one weight: for each unit, the places along a dimension."""

    weight: str
    dim: int
    places: Places


class Pattern(NamedTuple):
    """The layers of a group of units: those whose outputs are the units, and the one that they are the inputs of."""

    first: tuple[str, ...]
    last: str


class Found(NamedTuple):
    """The layers of a group of units: their weights, the last that of the layer after the units, and the modules."""

    weights: dict[str, Parameter]
    modules: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Coupled(Structure):
    """Units that are found by the names of their layers."""

    no_allocations: ClassVar[tuple[str, ...]] = (*Structure.no_allocations, "erk", "row")
    name: ClassVar[str]
    patterns: ClassVar[tuple[Pattern, ...]]

    def __str__(self) -> str:
        return self.name

    def layout(self, target: Target, weights: Mapping[str, Tensor]) -> Layout:
        if not isinstance(target, nn.Module):
            raise ConfigError(f"structure {self.name!r} is found in a model, got a dict of tensors; give the model")
        groups = {}
        for path, found in self.find(target).items():
            if missing := [name for name in found.weights if name not in weights]:
                if len(missing) < len(found.weights):
                    raise ScopeError(
                        f"the {self.name} of {path!r} have weights in {listed(found.weights)}, but {listed(missing)} "
                        "stays dense; include all of them, or exclude all"
                    )
                continue
            groups[path] = self.slices(path, found)
        if not groups:
            known = ", ".join("/".join((*pattern.first, pattern.last)) for pattern in self.patterns)
            raise ScopeError(
                f"{type(unwrapped(target)).__name__} has no {self.name} among the weights to prune; they are known by "
                f"the names of their layers: {known}"
            )
        return CoupledLayout(groups, weights)

    def find(self, model: nn.Module) -> dict[str, Found]:
        """The layers of all groups of units of a model, by the path of the module that they are in."""
        model = unwrapped(model)
        known, modules = parameters(model), {plain(name): module for name, module in model.named_modules()}
        found: dict[str, Found] = {}
        for path, module in modules.items():
            inside = f"{path}." if path else ""
            for pattern in self.patterns:
                layers = [f"{inside}{layer}" for layer in (*pattern.first, pattern.last)]
                weights = {f"{layer}.weight": known.get(f"{layer}.weight") for layer in layers}
                matrices = {name: part for name, part in weights.items() if part and part.tensor.ndim == 2}
                if path not in found and len(matrices) == len(layers):
                    around = [modules[owner] for layer in layers if (owner := layer.rpartition(".")[0]) in modules]
                    found[path] = Found(matrices, (module, *around))
        return found

    def slices(self, path: str, found: Found) -> tuple[Slices, ...]:
        """What the units of a group have in each of its weights.

        Raises:
            ScopeError: if the units do not follow from the shapes.
        """
        outputs = {name: int(is_conv1d(parameter.layer)) for name, parameter in found.weights.items()}
        *first, last = found.weights
        width = found.weights[last].tensor.shape[1 - outputs[last]]
        rows = {name: found.weights[name].tensor.shape[outputs[name]] for name in first}
        units = self.units(rows, width, found.modules)
        if not units or any(size % units for size in (width, *rows.values())):
            raise ScopeError(
                f"the number of {self.name} of {path!r} does not follow from its shapes: {last!r} has {width} "
                f"inputs, and the layers before it {rows} outputs; leave these weights dense with exclude=[...]"
            )
        layers = {name: found.weights[name].layer for name in first}
        parts = [Slices(name, outputs[name], self.places(name, layers[name], rows[name], units)) for name in first]
        return (*parts, Slices(last, 1 - outputs[last], torch.arange(width).view(units, -1)))

    def units(self, rows: Mapping[str, int], width: int, modules: tuple[nn.Module, ...]) -> int:
        """The number of units; 0 if it is unknown."""
        raise NotImplementedError

    def places(self, name: str, layer: nn.Module, rows: int, units: int) -> Places:
        """The outputs of a layer before the units that belong to each unit, by the name of its weight."""
        raise NotImplementedError


class CoupledLayout(Means):
    """The units of each group, in a vector."""

    def __init__(self, groups: Mapping[str, tuple[Slices, ...]], weights: Mapping[str, Tensor]):
        self.groups = dict(groups)
        self._shapes = {part.weight: weights[part.weight].shape for parts in groups.values() for part in parts}
        self._devices = {name: weights[name].device for name in self._shapes}
        super().__init__(
            {
                group: {part.weight: self._shapes[part.weight][1 - part.dim] * part.places.shape[1] for part in parts}
                for group, parts in groups.items()
            }
        )

    def means(self, tensors: Mapping[str, Float[Tensor, "..."]]) -> dict[str, Float[Tensor, "..."]]:
        found = {}
        for group, parts in self.groups.items():
            sums = []
            for part in parts:
                lanes = tensors[part.weight].double().sum(dim=1 - part.dim)
                sums.append(lanes[part.places.to(lanes.device)].sum(dim=1))
            # The order of a sum differs between machines in the last bits of float64, which float32 does not have.
            found[group] = (torch.stack(sums).sum(dim=0) / sum(self.sizes[group].values())).float()
        return found

    def spread(self, masks: Mapping[str, Bool[Tensor, "..."]]) -> dict[str, Bool[Tensor, "..."]]:
        found = {}
        for group, parts in self.groups.items():
            for part in parts:
                shape, device = self._shapes[part.weight], self._devices[part.weight]
                kept = torch.empty(shape[part.dim], dtype=torch.bool, device=device)
                kept[part.places.to(device)] = masks[group].to(device)[:, None]
                lanes = kept[:, None] if part.dim == 0 else kept[None]
                found[part.weight] = lanes.expand(shape).contiguous()
        return found
