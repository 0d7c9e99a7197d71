"""Sparse files: safetensors files that store only the mask and the kept values of a masked weight.

    NAME           a weight without a mask, unchanged
    NAME:kept      the kept values of a masked weight, in the order of its flattened entries
    NAME:mask      the bytes of its mask: the gaps between kept weights, Huffman-coded (see `masks/mask_file.py`)

The metadata contain the shapes of the masked weights (`shapes`), the names that share one tied weight (`tied`), the
name of the model's class if a model was saved (`class`), and the SHA-256 of these and of all stored tensors (`sha256`).
Only the names in `shapes` have the two parts: another weight may have a name that ends like a part.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor, nn

from randprune_lab.errors import FileError, MaskError
from randprune_lab.files import reading, strict_json, write_tensors
from randprune_lab.interop.names import matched
from randprune_lab.masks.mask_file import decode_places, encode_mask, read_header, read_metadata, read_shapes
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.weight_checks import no_entries
from randprune_lab.masks.wrappers import COMPILED, is_adapted, plain, unwrapped
from randprune_lab.typed import typed

FORMAT = "randprune-sparse-2"
SPARSE_FILE = "model.sparse.safetensors"
"""The name of the sparse file in an exported folder."""

KEPT, MASK = ":kept", ":mask"
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer types as wide as a weight: as an integer it keeps every bit, also those of NaN and negative zero."""


class SparseModel(NamedTuple):
    """The content of a sparse file: all weights by name, dense and unchanged to the bit, and the masks."""

    weights: dict[str, Tensor]
    mask: MaskSet


def save_sparse(model: nn.Module | Mapping[str, Tensor], mask: Mapping[str, Tensor], path: str | Path) -> None:
    """Write the weights of a pruned model; for a masked weight, only the mask and the kept values.

    An existing file is replaced whole or not at all.

    Args:
        model: a model without adapters, or its `state_dict()`.
        mask: True = kept. Weights that it removes must be zero.

    Raises:
        MaskError: if the masks remove nothing, don't fit, or remove weights that are not zero; if the model has
            adapters; if a weight is on the meta device, of a type that safetensors lacks, or has the name of another
            one's part.
        FileError: if the file cannot be written.
    """
    weights, owner = _weights(model)
    masks = matched(mask, weights, owner)
    tied = _tied(weights, masks)
    _check_parts(weights, masks)
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        weight = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        if name in masks:
            kept = masks[name].cpu()
            stored[name + KEPT] = _kept(name, weight, kept)
            stored[name + MASK] = torch.from_numpy(encode_mask(kept).copy())
        elif name not in tied:
            stored[name] = weight.clone()  # weights that share memory in another way are stored separately
    shapes = {name: list(kept.shape) for name, kept in masks.items()}
    metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "tied": json.dumps(tied)}
    if isinstance(model, nn.Module):
        metadata["class"] = owner
    metadata["sha256"] = _sha256(stored, metadata)
    write_tensors(path, stored, metadata)


@dataclass(frozen=True)
class SparseContent:
    """The content of a sparse file as it is stored, on the CPU.

    Args:
        dense: the weights without a mask, by name.
        packed: encoded mask and kept values of each masked weight, by name.
        shapes: the shapes of the masked weights.
        tied: further names of tied weights, each with the name that is stored.
        owner: the name of the model's class; empty if a `state_dict()` was saved.
    """

    dense: dict[str, Tensor]
    packed: dict[str, tuple[Tensor, Tensor]]
    shapes: dict[str, list[int]]
    tied: dict[str, str]
    owner: str

    @property
    def names(self) -> set[str]:
        """The names of all weights."""
        return {*self.dense, *self.shapes, *self.tied}

    def kept(self, name: str) -> tuple[Int64[Tensor, " kept"], Shaped[Tensor, " kept"]]:
        """The places of the kept weights in the flattened weight, ascending, and their values.

        Raises:
            ValueError: if the two do not fit.
        """
        packed, values = self.packed[name]
        places = torch.from_numpy(decode_places(packed.numpy(), self.shapes[name]))
        if values.shape != places.shape:
            raise ValueError(
                f"{name!r} must have a row of {len(places):,} kept values, got shape {tuple(values.shape)}"
            )
        return places, values


def load_sparse(path: str | Path) -> SparseModel:
    """Read what `save_sparse` wrote, on the CPU: `model.load_state_dict(load_sparse(path).weights)`.

    Raises:
        FileError: if the file is missing, damaged, or not a sparse file.
    """
    content = read_sparse(path)
    with reading("sparse file", path):
        weights, masks = dict(content.dense), {}
        for name, shape in content.shapes.items():
            weights[name], masks[name] = unpacked(*content.kept(name), shape)
        weights |= {name: weights[other] for name, other in content.tied.items()}
        return SparseModel(weights, MaskSet(masks))


def read_sparse(path: str | Path) -> SparseContent:
    """Read what `save_sparse` wrote, and leave masked weights as they are stored.

    Raises:
        FileError: if the file is missing, damaged, or not a sparse file.
    """
    from safetensors import safe_open

    with reading("sparse file", path):
        with safe_open(str(path), framework="pt") as mapped, Path(path).open("rb") as file:
            metadata = read_metadata(path, "sparse file", FORMAT, ("shapes", "tied", "sha256"), ("class",))
            header, begin = read_header(path)
            stored = {
                name: _read(file, begin + header[name]["data_offsets"][0], mapped.get_tensor(name))
                for name in mapped.keys()  # noqa: SIM118
            }
        if _sha256(stored, metadata) != metadata["sha256"]:
            raise FileError(f"sparse file {path} is damaged: its bits don't match its SHA-256; write it again")
        shapes, tied = read_shapes(metadata), typed(dict[str, str], strict_json(metadata["tied"]), "tied", strict=True)
        packed = {name: (stored[name + MASK], stored[name + KEPT]) for name in shapes}
        parts = {part for name in shapes for part in _parts(name)}
        dense = {name: tensor for name, tensor in stored.items() if name not in parts}
        if twice := sorted({*tied} & {*dense, *shapes}):
            raise ValueError(f"{twice[0]!r} is both stored and tied")
        if unknown := sorted({*tied.values()} - {*dense, *shapes}):
            raise ValueError(f"{unknown[0]!r} is not stored")
        return SparseContent(dense, packed, shapes, tied, metadata["class"])


def unpacked(
    places: Int64[Tensor, " kept"], values: Shaped[Tensor, " kept"], shape: Sequence[int]
) -> tuple[Shaped[Tensor, "*shape"], Bool[Tensor, "*shape"]]:
    """A masked weight to the bit, and its mask."""
    mask = torch.zeros(math.prod(shape), dtype=torch.bool)
    bits = torch.zeros(mask.shape, dtype=BITS[values.element_size()])
    mask[places], bits[places] = True, values.view(bits.dtype)
    return bits.view(values.dtype).reshape(shape), mask.reshape(shape)


# --- parts ---


def _weights(model: nn.Module | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """All weights by plain name, and the name of their owner for errors."""
    if isinstance(model, nn.Module):
        model = unwrapped(model)
        weights, owner = model.state_dict(), type(model).__name__
        if adapted := [name for name, module in model.named_modules() if is_adapted(module)]:
            raise MaskError(
                f"{adapted[0]!r} in {owner} has an adapter; a sparse file has the weights of the plain model: merge or "
                "remove adapters first, with PEFT's merge_and_unload() or unload(), and apply the mask again"
            )
    elif isinstance(model, Mapping):
        weights, owner = dict(model), "the state dict"
    else:
        raise MaskError(f"weights must be a model or its state dict, got a {type(model).__name__}")
    for name, weight in weights.items():
        _check_storable(name, weight, owner)
    found = {plain(name): weight for name, weight in weights.items()}
    if len(found) < len(weights):
        raise MaskError(f"{len(weights) - len(found)} names in {owner} differ only by {COMPILED!r}; rename the weights")
    return found, owner


def _check_storable(name: str, weight: object, owner: str) -> None:
    if not isinstance(weight, Tensor) or not isinstance(name, str):
        raise MaskError(
            f"{name!r} in {owner} must be a tensor with a name to be stored in a safetensors file, got a "
            f"{type(weight).__name__}; leave it out: save_sparse also takes a dict of tensors"
        )
    if reason := no_entries(weight):
        raise MaskError(f"{name!r} in {owner} {reason}")
    if not _storable(weight.dtype):
        raise MaskError(
            f"{name!r} in {owner} is {weight.dtype}, which safetensors files lack; convert it, or leave it out"
        )


def _storable(dtype: torch.dtype) -> bool:
    """Whether safetensors has a type; it says so only by trying."""
    from safetensors.torch import save

    try:
        save({"": torch.empty(0, dtype=dtype)})
    except (KeyError, RuntimeError):
        return False
    return True


def _parts(name: str) -> tuple[str, str]:
    """The names under which a masked weight is stored."""
    return name + KEPT, name + MASK


def _check_parts(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    taken = {part: name for name in masks for part in _parts(name)}
    if name := next((name for name in weights if name in taken), None):
        raise MaskError(
            f"{name!r} is a weight's name, and in a sparse file that of a part of {taken[name]!r}; rename the weight"
        )


def _tied(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, str]:
    """The names of tied weights that are not stored, each with the name that is: a masked one if there is any."""
    stored: dict[object, str] = {}
    tied = {}
    for name in sorted(weights, key=lambda name: name not in masks):
        weight = weights[name]
        memory = (weight.device, weight.data_ptr(), weight.dtype, weight.shape, weight.stride())
        if weight.numel() and stored.setdefault(memory, name) != name and name not in masks:
            tied[name] = stored[memory]
    return tied


def _kept(name: str, weight: Shaped[Tensor, "*shape"], kept: Bool[Tensor, "*shape"]) -> Shaped[Tensor, " kept"]:
    bits = weight.view(BITS[weight.element_size()])
    if wrong := int(bits[~kept].count_nonzero()):
        raise MaskError(
            f"{wrong:,} weights of {name!r} that the mask removes are not zero (or are negative zeros) and would be "
            "lost; zero them first: mask.apply_(model)"
        )
    return bits[kept].view(weight.dtype)


def _read(file: BinaryIO, offset: int, mapped: Tensor) -> Tensor:
    """A tensor in memory of its own; a mapped one depends on the file, and holds what was read of all others."""
    tensor = torch.empty(mapped.shape, dtype=mapped.dtype)
    file.seek(offset)
    if file.readinto(tensor.reshape(-1).view(torch.uint8).numpy()) != tensor.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it changes while it is read")
    return tensor


def _sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256((metadata["shapes"] + metadata["tied"] + metadata.get("class", "")).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
