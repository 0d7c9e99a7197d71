"""Random numbers that are a pure function of (seed, candidate, tensor, index).

Nothing is stored and nothing is consumed, so a mask is *named* by a few integers: whoever knows them can
rebuild it on any device, in any order, in chunks of any size.

Two steps. BLAKE2b hashes (seed, candidate, tensor, block) into a 64-bit key; a keyed mixer, twice the 32-bit
finalizer of MurmurHash3 (A. Appleby, 2011, public domain), turns key and index into 32 bits. Key halves enter
before each pass, inside the mixing, so that two keys give unrelated sequences and not one sequence permuted.
Everything is 32-bit integer arithmetic with wrap-around, the same on CPU and GPU.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int, Int32
from torch import Tensor

BLOCK = 2**31
"""Indices per key. A larger tensor uses one key for each block, so that indices fit 32 bits."""


class StreamKey(NamedTuple):
    """Two signed 32-bit halves of the key of one stream of random numbers."""

    first: int
    second: int


def stream_key(seed: int, candidate: int, tensor: str, block: int = 0, purpose: str = "mask") -> StreamKey:
    """The key of one stream. Streams with different arguments are independent for every practical purpose."""
    message = struct.pack("<qqq", seed, candidate, block) + tensor.encode()
    digest = hashlib.blake2b(message, digest_size=8, person=purpose.encode()).digest()
    return StreamKey(*struct.unpack("<ii", digest))


def random_bits(index: Int32[Tensor, " n"], key: StreamKey) -> Int32[Tensor, " n"]:
    """32 random bits for each index, as signed integers uniform on [-2³¹, 2³¹)."""
    bits = index + key.first
    _finalize_(bits)
    bits ^= key.second
    _finalize_(bits)
    return bits


def uniform(
    seed: int, candidate: int, tensor: str, index: Int[Tensor, " n"], purpose: str = "mask"
) -> Float64[Tensor, " n"]:
    """Numbers uniform on (0, 1), one for each index (0 ≤ index < 2⁶³), in steps of 2⁻³².

    >>> uniform(seed=0, candidate=3, tensor="encoder.weight", index=torch.arange(2)).shape
    torch.Size([2])
    """
    out = torch.empty(index.shape, dtype=torch.float64, device=index.device)
    index = index.long()
    block = index // BLOCK
    for b in torch.unique(block).tolist():
        inside = block == b
        bits = random_bits((index[inside] % BLOCK).int(), stream_key(seed, candidate, tensor, b, purpose))
        out[inside] = (bits.double() + (2.0**31 + 0.5)) * 2.0**-32
    return out


def _finalize_(x: Int32[Tensor, " n"]) -> None:
    """MurmurHash3's fmix32 in place. Masks make the arithmetic shifts logical ones."""
    x ^= (x >> 16) & 0xFFFF
    x *= -0x7A143595  # 0x85EBCA6B as a signed number
    x ^= (x >> 13) & 0x7FFFF
    x *= -0x3D4D51CB  # 0xC2B2AE35
    x ^= (x >> 16) & 0xFFFF
