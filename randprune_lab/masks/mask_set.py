"""MaskSet: the masks of one model, by parameter name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from randprune_lab.errors import FileError, MaskError, listed
from randprune_lab.masks.mask_file import read_masks, write_masks
from randprune_lab.masks.mask_table import MaskTable, removed_fraction
from randprune_lab.masks.weight_checks import check_maskable, no_entries
from randprune_lab.masks.wrappers import check_not_computed, named_weights, plain_names, unwrapped


class MaskSet(Mapping[str, Tensor]):
    """Boolean masks by parameter name; True = kept. It is an immutable mapping.

    `a & b` keeps the weights that both masks keep, `a | b` those that at least one keeps, and `~a` those that `a`
    removes. The masks must be of the same tensors; otherwise this raises `MaskError`.

    >>> mask = MaskSet({"layer.weight": torch.tensor([[True, False]])})
    >>> mask.sparsity
    0.5
    """

    def __init__(self, masks: Mapping[str, Bool[Tensor, "..."]]):
        if not isinstance(masks, Mapping):
            raise MaskError(f"masks must be a dict of bool tensors by parameter name, got a {type(masks).__name__}")
        for name, mask in masks.items():
            if not isinstance(name, str):
                raise MaskError(f"masks must have parameter names, got {name!r}")
            if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
                kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
                raise MaskError(f"mask of {name!r} must be a bool tensor (True = kept), got {kind}")
        self._masks = dict(masks)

    def __getitem__(self, name: str) -> Bool[Tensor, "..."]:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __repr__(self) -> str:
        return f"MaskSet({len(self)} tensors, {self.kept:,} of {self.size:,} kept, sparsity {self.sparsity:.4%})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskSet):
            return NotImplemented
        return self.keys() == other.keys() and all(
            torch.equal(mask, other[name].to(mask.device)) for name, mask in self.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Mapping[str, Tensor]) -> MaskSet:
        return MaskSet({name: mine & its for name, mine, its in self._pairs(other)})

    def __or__(self, other: Mapping[str, Tensor]) -> MaskSet:
        return MaskSet({name: mine | its for name, mine, its in self._pairs(other)})

    def __invert__(self) -> MaskSet:
        return MaskSet({name: ~mask for name, mask in self.items()})

    @property
    def size(self) -> int:
        """The number of weights, kept and removed."""
        return sum(mask.numel() for mask in self.values())

    @property
    def kept(self) -> int:
        """The number of kept weights."""
        return sum(int(mask.sum()) for mask in self.values())

    @property
    def sparsity(self) -> float:
        """The fraction of the weights that is removed, from 0 to 1."""
        return removed_fraction(self.size, self.kept)

    @property
    def sha256(self) -> str:
        """A hash of names, shapes and bits: two mask sets have the same hash exactly if they are equal."""
        digest = hashlib.sha256()
        for name in sorted(self):
            digest.update(json.dumps([name, list(self[name].shape)]).encode())
            digest.update(np.packbits(self[name].cpu().numpy().reshape(-1)).tobytes())
        return digest.hexdigest()

    def table(self) -> MaskTable:
        """The name, shape, size, number of kept weights and sparsity of each tensor, then their sum.

        >>> MaskSet({"w": torch.tensor([[True, False]]), "v": torch.tensor([True])}).table()
        name   shape  size  kept  sparsity
        w        1×2     2     1  50.0000%
        v          1     1     1   0.0000%
        total            3     2  33.3333%
        """
        return MaskTable.of(self)

    def hamming(self, other: MaskSet) -> int:
        """The number of weights that one mask keeps and the other removes.

        Raises:
            MaskError: if names or shapes differ.
        """
        return sum(int((mine ^ its).sum()) for _, mine, its in self._pairs(other))

    def jaccard(self, other: MaskSet) -> float:
        """The number of weights kept by both, divided by the number kept by at least one: 1 if equal, 0 if disjoint.

        Raises:
            MaskError: if names or shapes differ.
        """
        both, either = (self & other).kept, (self | other).kept
        return both / either if either else 1.0

    @torch.no_grad()
    def apply_(self, model: nn.Module) -> None:
        """Set the removed weights of a model to zero, in place.

        Raises:
            MaskError: if a name or a shape does not match, or a weight has no values (on the meta device) or none that
                can be set to zero, as those of 8 bits or made in inference mode; then nothing is changed.
        """
        self.enforcer(model)()

    def enforcer(self, model: nn.Module) -> Enforcer:
        """A function that sets the removed weights of a model to zero, to be called after every training step.

        It looks the weights up by name at every call, so it also masks those that were replaced since. It is copied and
        pickled together with its model.

        Raises:
            MaskError: if a name or a shape does not match, or a weight has no values (on the meta device) or none that
                can be set to zero, as those of 8 bits or made in inference mode; then nothing is changed.
        """
        return Enforcer(self, model)

    def to(self, device: torch.device | str) -> MaskSet:
        """The same masks on another device."""
        return MaskSet({name: mask.to(device) for name, mask in self.items()})

    def save(self, path: str | Path) -> None:
        """Write the masks to a safetensors file, which is slightly larger than their entropy, `N H(sparsity)` bits.

        An existing file is replaced atomically.

        Raises:
            FileError: if the file cannot be written.
        """
        write_masks(path, self, self.sha256)

    @classmethod
    def load(cls, path: str | Path) -> MaskSet:
        """Read a file that `save` wrote.

        Raises:
            FileError: if the file is missing or damaged, or is not a mask file.
        """
        found, fingerprint = read_masks(path)
        masks = cls(found)
        if masks.sha256 != fingerprint:
            raise FileError(f"mask file {path} is damaged: its masks do not match its SHA-256; write it again")
        return masks

    def _pairs(self, other: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each name with this mask and the other one, on the same device."""
        other = other if isinstance(other, MaskSet) else MaskSet(other)
        self._check_fit(other, "the other mask set")
        if missing := sorted(set(other) - set(self)):
            raise MaskError(
                f"the other mask set has {missing[0]!r}, which this one lacks; compare masks of the same weights"
            )
        return ((name, mask, other[name].to(mask.device)) for name, mask in self.items())

    def _check_fit(self, others: Mapping[str, Tensor], owner: str) -> None:
        if missing := [name for name in self if name not in others]:
            check_not_computed(missing[0], others, owner)
            raise MaskError(
                f"mask of {missing[0]!r} has no counterpart in {owner}, which lacks {len(missing)} of {len(self)} "
                f"names; its names are {listed(others)}"
            )
        for name, mask in self.items():
            if reason := no_entries(others[name]):
                raise MaskError(f"{name!r} of {owner} {reason}")
            if mask.shape != (shape := others[name].shape):
                raise MaskError(
                    f"mask of {name!r} has shape {tuple(mask.shape)}, but in {owner} the shape is {tuple(shape)}"
                )


class Enforcer:
    """Sets the removed weights of a model to zero when it is called: what `MaskSet.enforcer` returns."""

    def __init__(self, masks: MaskSet, model: nn.Module):
        model = unwrapped(model)
        self._model, self._owner = model, type(model).__name__
        weights = named_weights(model)
        masks._check_fit(weights, self._owner)
        self._removed = {name: ~mask.to(weights[name].device) for name, mask in masks.items()}
        self._paths = {plain: name.split(".") for name, plain in plain_names(model).items() if plain in masks}
        for name, (weight, _) in zip(self._removed, self._weights(), strict=True):
            check_maskable(name, weight, self._owner)

    @torch.no_grad()
    def __call__(self) -> None:
        for weight, removed in self._weights():
            weight.masked_fill_(removed, 0.0)

    def _weights(self) -> list[tuple[Tensor, Bool[Tensor, "..."]]]:
        """The masked parameters that the model has now, and where they are removed."""
        return [self._weight(name) for name in self._removed]

    def _weight(self, name: str) -> tuple[Tensor, Bool[Tensor, "..."]]:
        module: Any = self._model
        *modules, attribute = self._paths[name]
        try:
            for part in modules:
                module = module._modules[part]  # several times as fast as get_parameter
            weight = module._parameters[attribute]
        except (AttributeError, KeyError):
            weight = None
        if weight is None:
            raise MaskError(
                f"{self._owner} has no parameter {name!r} any more, which the mask is enforced on; "
                "enforce the mask on the model as it is now"
            )
        removed = self._removed[name]
        if reason := no_entries(weight):
            raise MaskError(f"{name!r} of {self._owner} {reason}")
        if weight.is_inference() and not torch.is_inference_mode_enabled():
            raise MaskError(
                f"{name!r} of {self._owner} was made in torch.inference_mode, and cannot be changed outside of it; "
                "clone the weights outside of it, as copy.deepcopy(model) does"
            )
        if weight.shape != removed.shape:
            raise MaskError(
                f"{name!r} of {self._owner} has shape {tuple(weight.shape)} now, and its mask {tuple(removed.shape)}; "
                "draw a mask for the model as it is now"
            )
        if weight.device != removed.device:
            removed = self._removed[name] = removed.to(weight.device)
        if hasattr(weight, "device_mesh") and not hasattr(removed, "device_mesh"):
            removed = self._removed[name] = _split_like(weight, removed)
        return weight, removed


def _split_like(weight: Any, whole: Tensor) -> Tensor:
    """A tensor that each process has in whole, split over the devices as a DTensor is (FSDP2's `fully_shard`)."""
    from torch.distributed.tensor import distribute_tensor  # takes seconds to import

    return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)
