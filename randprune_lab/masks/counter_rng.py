"""Random numbers that are a pure function of (seed, candidate, tensor, index).

Nothing is stored and nothing is consumed, so a mask is *named* by a few integers: whoever knows them can
rebuild it on any device, in any order, in chunks of any size.

Names become 64-bit keys by BLAKE2b. The mixer of SplitMix64 (Steele, Lea and Flood 2014, in Stafford's variant 13)
runs twice: once over tensor and index, which gives a *salt* that all candidates share, and once over salt and
candidate. So two tensors or two candidates have unrelated sequences, and not one sequence permuted. All of it is
64-bit integer arithmetic with wrap-around, the same on CPU and GPU.
"""

from __future__ import annotations

import hashlib
import struct

from jaxtyping import Float64, Int64
from torch import Tensor


def stream_key(seed: int, name: str | int, purpose: str) -> int:
    """The key of a tensor's or a candidate's stream, a signed 64-bit integer."""
    message = struct.pack("<q", seed) + str(name).encode()
    digest = hashlib.blake2b(message, digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "little", signed=True)


def salts(index: Int64[Tensor, " n"], seed: int, tensor: str) -> Int64[Tensor, " n"]:
    """64 bits for each index of a tensor, different for different indices: what all candidates have in common."""
    return _mix_(index + stream_key(seed, tensor, "tensor"))


def random_bits(salt: Int64[Tensor, " n"], seed: int, candidate: int, purpose: str = "mask") -> Int64[Tensor, " n"]:
    """64 random bits for each salt, as signed integers uniform on [-2⁶³, 2⁶³)."""
    return _mix_(salt ^ stream_key(seed, candidate, purpose))


def uniform(
    seed: int, candidate: int, tensor: str, index: Int64[Tensor, " n"], purpose: str = "mask"
) -> Float64[Tensor, " n"]:
    """Numbers uniform on (0, 1), one for each index (0 ≤ index < 2⁶³), in steps of 2⁻⁵².

    >>> uniform(seed=0, candidate=3, tensor="encoder.weight", index=torch.arange(2)).shape
    torch.Size([2])
    """
    bits = random_bits(salts(index, seed, tensor), seed, candidate, purpose)
    bits >>= 12
    bits &= 2**52 - 1
    return (bits.double() + 0.5) * 2.0**-52


def _mix_(x: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """SplitMix64's mixer in place. Masks make the arithmetic shifts logical ones."""
    x ^= (x >> 30) & (2**34 - 1)
    x *= 0xBF58476D1CE4E5B9 - 2**64
    x ^= (x >> 27) & (2**37 - 1)
    x *= 0x94D049BB133111EB - 2**64
    x ^= (x >> 31) & (2**33 - 1)
    return x
