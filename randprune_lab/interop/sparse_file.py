"""Sparse files: safetensors files that store only the mask and the kept values of a masked weight.

    NAME           a weight without a mask, unchanged
    NAME:kept      the kept values of a masked weight, in the order of its flattened entries
    NAME:mask      the bytes of its mask: the gaps between kept weights, Huffman-coded (see `masks/mask_file.py`)

The metadata contain the shapes of the masked weights (`shapes`), the names that share one tied weight (`tied`), and
the SHA-256 of these two and of all stored tensors (`sha256`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from randprune_lab.errors import FileError, MaskError
from randprune_lab.files import atomic_path, reading
from randprune_lab.interop.names import matched, plain, unwrapped
from randprune_lab.masks.mask_file import decode_mask, encode_mask
from randprune_lab.masks.mask_set import MaskSet

FORMAT = "randprune-sparse-1"
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
        model: a model, or its `state_dict()`.
        mask: True = kept. Weights that it removes must be zero.

    Raises:
        MaskError: if the masks remove nothing, don't fit, or remove weights that are not zero.
        FileError: if the file cannot be written.
    """
    from safetensors.torch import save_file

    weights, owner = _weights(model)
    masks = matched(mask, weights, owner)
    tied = _tied(weights, masks)
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        weight = tensor.detach().cpu().contiguous()
        if name in masks:
            kept = masks[name].cpu()
            stored[name + KEPT] = _kept(name, weight, kept)
            stored[name + MASK] = torch.from_numpy(encode_mask(kept).copy())
        elif name not in tied:
            stored[name] = weight.clone()  # weights that share memory in another way are stored separately
    shapes = {name: list(kept.shape) for name, kept in masks.items()}
    metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "tied": json.dumps(tied)}
    metadata["sha256"] = _sha256(stored, metadata)
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata)


def load_sparse(path: str | Path) -> SparseModel:
    """Read what `save_sparse` wrote, on the CPU: `model.load_state_dict(load_sparse(path).weights)`.

    Raises:
        FileError: if the file is missing, damaged, or not a sparse file.
    """
    from safetensors import safe_open

    with reading("sparse file", path):
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise FileError(
                    f"{path} is not a sparse file: its format must be {FORMAT!r}, got {metadata.get('format')!r}; "
                    "write it with save_sparse"
                )
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _sha256(stored, metadata) != metadata["sha256"]:
            raise FileError(f"sparse file {path} is damaged: its bits don't match its SHA-256; write it again")
        return _unpacked(stored, json.loads(metadata["shapes"]), json.loads(metadata["tied"]))


# --- parts ---


def _weights(model: nn.Module | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """All weights by plain name, and the name of their owner for errors."""
    if isinstance(model, nn.Module):
        model = unwrapped(model)
        weights, owner = model.state_dict(), type(model).__name__
    else:
        weights, owner = dict(model), "the state dict"
    for name, weight in weights.items():
        if not isinstance(weight, Tensor):
            raise MaskError(
                f"{name!r} in {owner} must be a tensor to be stored in a safetensors file, got a "
                f"{type(weight).__name__}; leave it out: save_sparse also takes a dict of tensors"
            )
    return {plain(name): weight for name, weight in weights.items()}, owner


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


def _unpacked(stored: Mapping[str, Tensor], shapes: Mapping[str, list[int]], tied: Mapping[str, str]) -> SparseModel:
    weights = {name: tensor for name, tensor in stored.items() if not name.endswith((KEPT, MASK))}
    masks = {name: decode_mask(stored[name + MASK].numpy(), shape) for name, shape in shapes.items()}
    for name, mask in masks.items():
        values = stored[name + KEPT]
        bits = torch.zeros(mask.shape, dtype=BITS[values.element_size()])
        bits[mask] = values.view(bits.dtype)
        weights[name] = bits.view(values.dtype)
    weights |= {name: weights[other] for name, other in tied.items()}
    return SparseModel(weights, MaskSet(masks))


def _sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256((metadata["shapes"] + metadata["tied"]).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
