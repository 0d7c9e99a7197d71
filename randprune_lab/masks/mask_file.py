"""Mask sets as files: safetensors, as small as information theory allows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from randprune_lab.errors import FileError
from randprune_lab.files import atomic_path, reading

FORMAT = "randprune-mask-set-1"


def write_masks(path: str | Path, masks: Mapping[str, Bool[Tensor, "..."]], fingerprint: str) -> None:
    """Write boolean masks by name. An existing file is replaced whole or not at all."""
    from safetensors.numpy import save_file

    shapes = {name: list(mask.shape) for name, mask in masks.items()}
    metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "sha256": fingerprint}
    with atomic_path(path) as temporary:
        save_file({name: encode_mask(mask) for name, mask in masks.items()}, temporary, metadata)


def read_masks(path: str | Path) -> tuple[dict[str, Bool[Tensor, "..."]], str]:
    """Read what `write_masks` wrote: masks and fingerprint. Raises `FileError` if there is nothing of the kind."""
    from safetensors import safe_open

    with reading("mask file", path), safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise FileError(f"{path} holds no mask set (format {metadata.get('format')!r}, not {FORMAT!r})")
        shapes = json.loads(metadata["shapes"])
        masks = {name: decode_mask(file.get_tensor(name), shape) for name, shape in shapes.items()}
        return masks, metadata.get("sha256", "")


def encode_mask(mask: Bool[Tensor, "..."]) -> UInt8[np.ndarray, " n"]:
    """The gaps between kept weights as bytes, 255 meaning "255 further and go on", Huffman-coded by zlib.

    Within 1 % of the information-theoretic size, `N H(sparsity)` bits, for masks without a pattern.
    """
    gaps = np.diff(np.flatnonzero(mask.cpu().numpy()), prepend=-1) - 1
    skips, rest = np.divmod(gaps, 255)
    code = np.full(int((skips + 1).sum()), 255, dtype=np.uint8)
    code[np.cumsum(skips + 1) - 1] = rest
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(packer.compress(code.tobytes()) + packer.flush(), dtype=np.uint8)


def decode_mask(packed: UInt8[np.ndarray, " n"], shape: list[int]) -> Bool[Tensor, "..."]:
    """The mask of this shape that `encode_mask` made these bytes of."""
    code = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8)
    steps = np.where(code == 255, 255, code.astype(np.int64) + 1)
    mask = np.zeros(int(np.prod(shape)), dtype=bool)
    mask[(np.cumsum(steps) - 1)[code != 255]] = True
    return torch.from_numpy(mask).reshape(shape)
