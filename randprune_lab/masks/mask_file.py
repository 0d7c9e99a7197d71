"""Mask sets as safetensors files, almost as small as their entropy."""

from __future__ import annotations

import json
import math
import reprlib
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped, UInt8
from pydantic import Field
from torch import Tensor

from randprune_lab.errors import FileError, listed
from randprune_lab.files import reading, strict_json, write_tensors
from randprune_lab.typed import typed

FORMAT = "randprune-mask-set-2"

DIMENSIONS = 64
"""The largest number of dimensions, which is NumPy's."""

_Length = Annotated[int, Field(ge=0, lt=2**63)]
_Shape = Annotated[list[_Length], Field(max_length=DIMENSIONS)]


def write_masks(path: str | Path, masks: Mapping[str, Bool[Tensor, "..."]], fingerprint: str) -> None:
    """Write boolean masks to a file. An existing file is replaced atomically.

    Args:
        masks: the masks by name.
        fingerprint: the SHA-256 of the mask set, which is stored with it.
    """
    shapes = {name: list(mask.shape) for name, mask in masks.items()}
    metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "sha256": fingerprint}
    write_tensors(path, {name: encode_mask(mask) for name, mask in masks.items()}, metadata)


def read_masks(path: str | Path) -> tuple[dict[str, Bool[Tensor, "..."]], str]:
    """Read a file that `write_masks` wrote.

    Returns:
        The masks by name, and their fingerprint.

    Raises:
        FileError: if the file is missing or damaged, or is not a mask file.
    """
    from safetensors import safe_open

    with reading("mask file", path), safe_open(str(path), framework="pt") as file:
        metadata = read_metadata(path, "mask file", FORMAT, ("shapes", "sha256"))
        shapes = read_shapes(metadata)
        check_names(file.keys(), shapes)
        masks = {name: decode_mask(file.get_tensor(name).numpy(), shape) for name, shape in shapes.items()}
        return masks, metadata["sha256"]


def read_metadata(
    path: str | Path, kind: str, format: str, fields: Collection[str], optional: Collection[str] = ()
) -> dict[str, str]:
    """The metadata of a file that safetensors could open; it accepts a header that gives a name twice.

    Args:
        kind: the kind of file, for the message.
        format, fields: the format, and the names of the other metadata.
        optional: the names of metadata that a file may lack; they are empty then.

    Raises:
        FileError: if the file has another format.
        ValueError: if there are other fields, or one twice.
    """
    metadata: dict[str, str] = read_header(path)[0].get("__metadata__", {})
    if (found := metadata.pop("format", None)) != format:
        raise FileError(
            f"{path} is not a {kind}: its format is {found!r}, expected {format!r}; give a file that this version wrote"
        )
    metadata = dict.fromkeys(optional, "") | metadata
    check_names(metadata, [*fields, *optional])
    return metadata


def read_header(path: str | Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where in the file the data begin."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return strict_json(file.read(length)), 8 + length


def read_shapes(metadata: Mapping[str, str]) -> dict[str, list[int]]:
    """The shapes of masks by name; raises `ValueError` with the place if they are none."""
    shapes: dict[str, list[int]] = typed(dict[str, _Shape], strict_json(metadata["shapes"]), "shapes", strict=True)
    return shapes


def check_names(found: Collection[str], expected: Collection[str]) -> None:
    """Raise `ValueError` unless the names are the same, in any order."""
    if other := sorted({*found} ^ {*expected}):
        raise ValueError(f"it lacks, or should not have, {listed(other)}")


def encode_mask(mask: Bool[Tensor, "..."]) -> UInt8[np.ndarray, " n"]:
    """The gaps before, between and after kept weights as bytes, compressed with zlib's Huffman code.

    A gap of 255 or more starts with bytes 255, each of which stands for 255; the last byte is the rest. The rest of
    the last gap, after which there is no weight, is left out. For masks without a pattern, the size is within 1 % of
    the entropy, `N H(sparsity)` bits.
    """
    flat = mask.cpu().numpy().reshape(-1)
    gaps = np.diff(np.flatnonzero(flat), prepend=-1, append=flat.size) - 1
    skips, rest = np.divmod(gaps, 255)
    code = np.full(int(skips.sum()) + len(gaps) - 1, 255, dtype=np.uint8)
    code[np.cumsum(skips[:-1] + 1) - 1] = rest[:-1]
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(packer.compress(code.tobytes()) + packer.flush(), dtype=np.uint8)


def decode_mask(packed: Shaped[np.ndarray, "..."], shape: list[int]) -> Bool[Tensor, "..."]:
    """The mask that `encode_mask` encoded.

    Args:
        packed: the encoded mask.
        shape: the shape of the mask.

    Raises:
        ValueError: if `packed` is not the code of such a mask.
    """
    places = decode_places(packed, shape)
    mask = np.zeros(math.prod(shape), dtype=bool)
    mask[places] = True
    return torch.from_numpy(mask).reshape(shape)


def decode_places(packed: Shaped[np.ndarray, "..."], shape: list[int]) -> Int64[np.ndarray, " kept"]:
    """The places of the kept weights in the flattened weight, ascending; the mask itself is not made.

    A byte of the code takes at least one bit, and stands for at most 255 weights. So unpacking is bounded, the size is
    checked before a mask is made, and a small file takes little memory, whatever it claims.

    Args:
        packed: a mask as `encode_mask` encodes it.
        shape: the shape of the mask.

    Raises:
        ValueError: if `packed` is not the code of such a mask.
    """
    if packed.dtype != np.uint8 or packed.ndim != 1:
        raise ValueError(f"a mask must be a row of bytes, got {packed.dtype} of shape {packed.shape}")
    size = math.prod(shape)
    unpacker, most = zlib.decompressobj(), min(size, 8 * packed.size)
    code = np.frombuffer(unpacker.decompress(packed.tobytes(), most + 1), dtype=np.uint8)
    ends = np.cumsum(np.where(code == 255, 255, code.astype(np.int64) + 1))
    if not unpacker.eof or unpacker.unused_data or not 0 <= size - int(ends[-1:].sum()) < 255:
        raise ValueError(f"a mask does not have its shape, {reprlib.repr(shape)}")
    return ends[code != 255] - 1
