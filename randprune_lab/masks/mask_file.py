"""Mask sets as safetensors files, almost as small as their entropy."""

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
    """Write boolean masks to a file. An existing file is replaced atomically.

    Args:
        masks: the masks by name.
        fingerprint: the SHA-256 of the mask set, which is stored with it.
    """
    from safetensors.numpy import save_file

    shapes = {name: list(mask.shape) for name, mask in masks.items()}
    metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "sha256": fingerprint}
    with atomic_path(path) as temporary:
        save_file({name: encode_mask(mask) for name, mask in masks.items()}, temporary, metadata)


def read_masks(path: str | Path) -> tuple[dict[str, Bool[Tensor, "..."]], str]:
    """Read a file that `write_masks` wrote.

    Returns:
        The masks by name, and their fingerprint.

    Raises:
        FileError: if the file is missing or damaged, or is not a mask file.
    """
    from safetensors import safe_open

    with reading("mask file", path), safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise FileError(
                f"{path} is not a mask file: its format is {metadata.get('format')!r}, expected {FORMAT!r}; "
                "give a file that MaskSet.save wrote"
            )
        shapes = json.loads(metadata["shapes"])
        masks = {name: decode_mask(file.get_tensor(name), shape) for name, shape in shapes.items()}
        return masks, metadata.get("sha256", "")


def encode_mask(mask: Bool[Tensor, "..."]) -> UInt8[np.ndarray, " n"]:
    """The gaps between kept weights as bytes, compressed with zlib's Huffman code.

    A gap of 255 or more starts with bytes 255, each of which stands for 255; the last byte is the rest. For masks
    without a pattern, the size is within 1 % of the entropy, `N H(sparsity)` bits.
    """
    gaps = np.diff(np.flatnonzero(mask.cpu().numpy()), prepend=-1) - 1
    skips, rest = np.divmod(gaps, 255)
    code = np.full(int((skips + 1).sum()), 255, dtype=np.uint8)
    code[np.cumsum(skips + 1) - 1] = rest
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(packer.compress(code.tobytes()) + packer.flush(), dtype=np.uint8)


def decode_mask(packed: UInt8[np.ndarray, " n"], shape: list[int]) -> Bool[Tensor, "..."]:
    """The mask that `encode_mask` encoded.

    Args:
        packed: the encoded mask.
        shape: the shape of the mask.
    """
    code = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8)
    steps = np.where(code == 255, 255, code.astype(np.int64) + 1)
    mask = np.zeros(int(np.prod(shape)), dtype=bool)
    mask[(np.cumsum(steps) - 1)[code != 255]] = True
    return torch.from_numpy(mask).reshape(shape)
