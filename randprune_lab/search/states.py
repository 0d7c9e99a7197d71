"""States of stopped trainings as tensors and plain data, and their files. Nothing in them can run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from randprune_lab.errors import ConfigError
from randprune_lab.files import check_format, reading, strict_json, write_tensors
from randprune_lab.sealed import check_sum, checksum
from randprune_lab.search.run_files import weights_sha256

KIND, FORMAT = "randprune training state", 1


@dataclass(frozen=True)
class Packed:
    """A copy of a nested value: its tensors by number, and everything else as JSON can write it."""

    tensors: dict[str, Tensor]
    structure: Any


def pack(value: Any) -> Packed:
    """Copy a value of dicts, lists, tuples, tensors, numbers, texts, truth values and None, nested in any way.

    Raises:
        ConfigError: if something else is in it; the message names the place.

    >>> unpack(pack({"step": 3, "lr": (0.1, None)}))
    {'step': 3, 'lr': (0.1, None)}
    """
    tensors: dict[str, Tensor] = {}
    return Packed(tensors, _packed(value, "state", tensors))


def unpack(packed: Packed) -> Any:
    """A copy of the value that was packed."""
    return _unpacked(packed.structure, packed.tensors)


def write_state(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and plain data to a safetensors file with a checksum, atomically.

    Raises:
        FileError: if the file cannot be written.
    """
    stored = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    sealed = {"kind": KIND, "format": FORMAT, **about, "checksum": checksum([about, weights_sha256(stored)])}
    write_tensors(path, stored, {"about": json.dumps(sealed)})


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the plain data that `write_state` wrote.

    Raises:
        FileError: if the file is missing, damaged or of another format.
    """
    from safetensors import safe_open

    with reading("training state", path), safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = strict_json((file.metadata() or {}).get("about", "{}"))
        check_format(path, about, KIND, FORMAT, "remove it, and go on without it")
        recorded = about.pop("checksum", None)
        check_sum([about, weights_sha256(tensors)], recorded)
        return tensors, about


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        if value.is_sparse or value.is_quantized or value.is_complex() or value.is_meta:
            raise ConfigError(f"{place} cannot be stored: it is no plain tensor; return a dense one of real numbers")
        name = str(len(tensors))
        tensors[name] = value.detach().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        keys = [_packed_key(key, place) for key in value]
        parts = [_packed(part, f"{place}[{key!r}]", tensors) for key, part in value.items()]
        return {"dict": [list(pair) for pair in zip(keys, parts, strict=True)]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(part, f"{place}[{number}]", tensors) for number, part in enumerate(value)]}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return {"float": float(value).hex()}  # every bit, and also NaN
    if value is None or type(value) in (bool, int, str):
        return {"plain": value}
    raise ConfigError(
        f"{place} cannot be stored: it is a {type(value).__name__}; return tensors, numbers and texts in dicts, lists "
        "and tuples, such as optimizer.state_dict()"
    )


def _packed_key(key: Any, place: str) -> Any:
    if type(key) not in (bool, int, str):
        raise ConfigError(f"{place} cannot be stored: its key {key!r} is a {type(key).__name__}; use texts or integers")
    return key


def _unpacked(structure: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, value),) = structure.items()
    if kind == "tensor":
        return tensors[value].clone()
    if kind == "dict":
        return {key: _unpacked(part, tensors) for key, part in value}
    if kind in ("list", "tuple"):
        parts = [_unpacked(part, tensors) for part in value]
        return parts if kind == "list" else tuple(parts)
    return float.fromhex(value) if kind == "float" else value
