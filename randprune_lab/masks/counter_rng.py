"""Random numbers that are a pure function of (seed, candidate, tensor, index).

There is no state, so a few integers name a mask: they are enough to draw it again on any device, in any order, and in
chunks of any size.

BLAKE2b turns names into 64-bit keys. The mixer of SplitMix64 (Steele, Lea and Flood 2014, in Stafford's variant 13)
runs twice: first over tensor and index, which gives a *salt* that all candidates share, and then over salt and
candidate. So the sequences of two tensors or two candidates are unrelated; they are not permutations of one sequence.
Everything is 64-bit integer arithmetic with wrap-around, which is the same on CPU and GPU.
"""

from __future__ import annotations

import hashlib
import struct

from jaxtyping import Float64, Int64
from torch import Tensor

from randprune_lab.errors import check_count


def check_number(name: str, value: int) -> None:
    """Raise `ConfigError` unless it is the number of a candidate, or a seed."""
    check_count(name, value, low=0, high=2**63 - 1)


def stream_key(seed: int, name: str | int, purpose: str) -> int:
    """The key of a stream of random numbers, a signed 64-bit integer.

    Args:
        name: the name of a tensor, or the number of a candidate.
        purpose: what the numbers are used for; each purpose has its own stream.
    """
    message = struct.pack("<q", seed) + str(name).encode()
    digest = hashlib.blake2b(message, digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "little", signed=True)


def salts(index: Int64[Tensor, " n"], seed: int, tensor: str) -> Int64[Tensor, " n"]:
    """64 bits for each index of a tensor, which all candidates share; different indices have different bits."""
    return _mix_(index + stream_key(seed, tensor, "tensor"))


def random_bits(salt: Int64[Tensor, " n"], seed: int, candidate: int, purpose: str = "mask") -> Int64[Tensor, " n"]:
    """64 random bits for each salt, as signed integers that are uniform on [-2⁶³, 2⁶³)."""
    return _mix_(salt ^ stream_key(seed, candidate, purpose))


def uniform(
    seed: int, candidate: int, tensor: str, index: Int64[Tensor, " n"], purpose: str = "mask"
) -> Float64[Tensor, " n"]:
    """Random numbers that are uniform on (0, 1), one for each index, in steps of 2⁻⁵².

    Args:
        index: the places in the tensor, each from 0 to 2⁶³ - 1.


    >>> uniform(seed=0, candidate=3, tensor="encoder.weight", index=torch.arange(2)).shape
    torch.Size([2])
    """
    bits = random_bits(salts(index, seed, tensor), seed, candidate, purpose)
    bits >>= 12
    bits &= 2**52 - 1
    return (bits.double() + 0.5) * 2.0**-52


def _mix_(x: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Apply the mixer of SplitMix64 in place. The bit masks turn arithmetic shifts into logical ones."""
    x ^= (x >> 30) & (2**34 - 1)
    x *= 0xBF58476D1CE4E5B9 - 2**64
    x ^= (x >> 27) & (2**37 - 1)
    x *= 0x94D049BB133111EB - 2**64
    x ^= (x >> 31) & (2**33 - 1)
    return x
