"""MaskSet: the masks of one model, by parameter name."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor, nn

from randprune_lab.errors import FileError, MaskError
from randprune_lab.files import atomic_path

FORMAT = "randprune-mask-set-1"


class MaskSet(Mapping[str, Tensor]):
    """Boolean masks by parameter name; True = kept. Read it like a dict; it does not change.

    >>> mask = MaskSet({"layer.weight": torch.tensor([[True, False]])})
    >>> mask.sparsity
    0.5
    """

    def __init__(self, masks: Mapping[str, Bool[Tensor, "..."]]):
        for name, mask in masks.items():
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
        return self.keys() == other.keys() and all(torch.equal(self[name], other[name]) for name in self)

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """Number of weights under the mask."""
        return sum(mask.numel() for mask in self.values())

    @property
    def kept(self) -> int:
        """Number of weights kept."""
        return sum(int(mask.sum()) for mask in self.values())

    @property
    def sparsity(self) -> float:
        """Share of the weights removed, from 0 to 1."""
        return 1 - self.kept / self.size if self.size else 0.0

    @property
    def sha256(self) -> str:
        """Fingerprint of names, shapes and bits: equal masks, and only these, have equal fingerprints."""
        digest = hashlib.sha256()
        for name in sorted(self):
            digest.update(json.dumps([name, list(self[name].shape)]).encode())
            digest.update(_pack(self[name]).tobytes())
        return digest.hexdigest()

    def hamming(self, other: MaskSet) -> int:
        """Number of weights that one mask keeps and the other removes. Raises `MaskError` if they don't match."""
        self._check_match(other)
        return sum(int((self[name] ^ other[name]).sum()) for name in self)

    def jaccard(self, other: MaskSet) -> float:
        """Weights kept by both over weights kept by either: 1 for equal masks, 0 for disjoint ones."""
        self._check_match(other)
        both = sum(int((self[name] & other[name]).sum()) for name in self)
        either = sum(int((self[name] | other[name]).sum()) for name in self)
        return both / either if either else 1.0

    @torch.no_grad()
    def apply_(self, model: nn.Module) -> None:
        """Set the removed weights of `model` to zero, in place.

        Raises `MaskError`, and changes nothing, if a name or a shape does not fit.
        """
        self.enforcer(model)()

    def enforcer(self, model: nn.Module) -> Callable[[], None]:
        """A function that sets the removed weights of `model` to zero: made once, called after every step."""
        parameters = dict(model.named_parameters(remove_duplicate=False))
        self._check_fit({name: parameter.shape for name, parameter in parameters.items()}, type(model).__name__)
        pairs = [(parameters[name], ~mask.to(parameters[name].device)) for name, mask in self.items()]

        @torch.no_grad()
        def enforce() -> None:
            for parameter, removed in pairs:
                parameter.masked_fill_(removed, 0.0)

        return enforce

    def to(self, device: torch.device | str) -> MaskSet:
        """The same masks on another device."""
        return MaskSet({name: mask.to(device) for name, mask in self.items()})

    def save(self, path: str | Path) -> None:
        """Write the masks to a safetensors file, in little more than `N H(sparsity)` bits.

        An existing file is replaced whole or not at all.
        """
        from safetensors.numpy import save_file

        shapes = {name: list(mask.shape) for name, mask in self.items()}
        metadata = {"format": FORMAT, "shapes": json.dumps(shapes), "sha256": self.sha256}
        with atomic_path(path) as temporary:
            save_file({name: _encode(mask) for name, mask in self.items()}, temporary, metadata)

    @classmethod
    def load(cls, path: str | Path) -> MaskSet:
        """Read what `save` wrote. Raises `FileError` if the file is missing, damaged, or something else."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise FileError(f"{path} holds no mask set (format {metadata.get('format')!r}, not {FORMAT!r})")
                shapes = json.loads(metadata["shapes"])
                masks = cls({name: _decode(file.get_tensor(name), shape) for name, shape in shapes.items()})
        except FileNotFoundError:
            raise FileError(f"there is no mask file at {path}") from None
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"cannot read mask file {path}: {error.strerror or error}") from error
        except (SafetensorError, zlib.error, LookupError, ValueError, TypeError, RuntimeError) as error:
            raise FileError(f"mask file {path} is damaged or truncated ({error}); write it again") from error
        if masks.sha256 != metadata.get("sha256"):
            raise FileError(f"mask file {path} is damaged: its bits don't match its SHA-256; write it again")
        return masks

    def _check_match(self, other: MaskSet) -> None:
        self._check_fit({name: mask.shape for name, mask in other.items()}, "the other mask set")
        if missing := sorted(set(other) - set(self)):
            raise MaskError(f"the other mask set has {missing[0]!r}, this one has not")

    def _check_fit(self, shapes: Mapping[str, torch.Size], owner: str) -> None:
        if missing := [name for name in self if name not in shapes]:
            raise MaskError(
                f"mask of {missing[0]!r} has no counterpart in {owner} ({len(missing)} of {len(self)} names missing); "
                f"its names look like {', '.join(map(repr, list(shapes)[:2])) or 'nothing'}"
            )
        for name, mask in self.items():
            if mask.shape != shapes[name]:
                raise MaskError(
                    f"mask of {name!r} has shape {tuple(mask.shape)}, but in {owner} it is {tuple(shapes[name])}"
                )


def _pack(mask: Bool[Tensor, "..."]) -> UInt8[np.ndarray, " n"]:
    return np.packbits(mask.cpu().numpy().reshape(-1))


def _encode(mask: Bool[Tensor, "..."]) -> UInt8[np.ndarray, " n"]:
    """The gaps between kept weights as bytes, 255 meaning "255 further and go on", Huffman-coded by zlib.

    Within 1 % of the information-theoretic size, `N H(sparsity)` bits, for masks without a pattern.
    """
    gaps = np.diff(np.flatnonzero(mask.cpu().numpy()), prepend=-1) - 1
    skips, rest = np.divmod(gaps, 255)
    code = np.full(int((skips + 1).sum()), 255, dtype=np.uint8)
    code[np.cumsum(skips + 1) - 1] = rest
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(packer.compress(code.tobytes()) + packer.flush(), dtype=np.uint8)


def _decode(packed: UInt8[np.ndarray, " n"], shape: list[int]) -> Bool[Tensor, "..."]:
    code = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8)
    steps = np.where(code == 255, 255, code.astype(np.int64) + 1)
    mask = np.zeros(int(np.prod(shape)), dtype=bool)
    mask[(np.cumsum(steps) - 1)[code != 255]] = True
    return torch.from_numpy(mask).reshape(shape)
