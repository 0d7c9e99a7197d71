"""Files with a checksum, which shows that their content has changed since it was written, if only by a bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import jaxtyped

from randprune_lab.files import check_format, other_format, reading, strict_json, write_json, write_tensors

Older = Mapping[int, Callable[[dict[str, Any]], None]]
"""Formats that can still be read, and what makes their content that of the present one."""


def checksum(content: Any) -> str:
    """The SHA-256 of content that JSON can write, as hexadecimal digits."""
    return sha256(json.dumps(content, separators=(",", ":")).encode())


def check_sum(content: Any, recorded: Any) -> None:
    """Raise `ValueError` unless `recorded` is the checksum of the content."""
    if recorded != checksum(content):
        raise ValueError("its checksum is not that of its content")


def write_sealed(path: str | Path, number: int, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON with a format number and a checksum, atomically."""
    write_json(path, {"format": number, **content, "checksum": checksum(content)})


def read_sealed(
    what: str, path: str | Path, number: int, remedy: str, older: Older = MappingProxyType({})
) -> dict[str, Any]:
    """The content that `write_sealed` wrote.

    Args:
        what: the kind of file, for the message.
        number, remedy: the expected format, and how to get such a file.
        older: the older formats that are read as well.

    Raises:
        FileError: if the file is missing, damaged or of another format.
    """
    with reading(what, path):
        return unsealed(path, strict_json(Path(path).read_bytes()), number, remedy, older)


def unsealed(
    path: str | Path, content: Mapping[str, Any], number: int, remedy: str, older: Older = MappingProxyType({})
) -> dict[str, Any]:
    """The content of a sealed file without its format and checksum, which are checked.

    Raises:
        FileError: if it has another format.
        ValueError: if its checksum is wrong.
    """
    values = dict(content)
    version, recorded = values.pop("format", 1), values.pop("checksum", None)
    if not isinstance(version, int) or version not in {number, *older}:
        raise other_format(path, version, number, remedy)
    check_sum(values, recorded)
    if version in older:
        older[version](values)
    return values


def write_arrays(
    path: str | Path, kind: str, number: int, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Write arrays to a safetensors file with a checksum, atomically.

    Args:
        kind, number: the kind and the format of the file.
        about: what else is known, as JSON can write it.

    Raises:
        FileError: if the file cannot be written.
    """
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}  # safetensors takes no others
    sealed = {"kind": kind, "format": number, **about, "checksum": checksum(_content(arrays, about))}
    write_tensors(path, arrays, {"about": json.dumps(sealed, separators=(",", ":"))})


def read_arrays(
    path: str | Path, kind: str, number: int, remedy: str, older: Older = MappingProxyType({})
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `write_arrays` wrote.

    Args:
        kind, number, remedy: the expected kind and format, and how to get such a file; see `check_format`.
        older: the older formats that are read as well; the second part of what is returned is made the present one.

    Returns:
        The arrays, and what else is known.

    Raises:
        FileError: if the file is missing, damaged, of another kind or of another format.
    """
    from safetensors import safe_open

    with reading(kind.removeprefix("randprune "), path), safe_open(str(path), framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = strict_json((file.metadata() or {}).get("about", "{}"))
        version = about.get("format")
        known = isinstance(version, int) and version in older
        check_format(path, about, kind, version if known else number, remedy)
        recorded = about.pop("checksum", None)
        check_sum(_content(arrays, about), recorded)
        if version in older:
            older[version](about)
        return arrays, about


def check_arrays(arrays: Mapping[str, np.ndarray], types: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless arrays of a file have their types; equal names of dimensions are equal lengths.

    Args:
        arrays: the arrays by name.
        types: the type of each array, such as `Float32[np.ndarray, "n labels"]`.
    """
    with jaxtyped("context"):
        for name, kind in types.items():
            if name not in arrays:
                raise ValueError(f"it lacks {name}")
            if not isinstance(values := arrays[name], kind):
                shapes = ", ".join(f"{each} {arrays[each].dtype}{[*arrays[each].shape]}" for each in arrays)
                expected = str(kind).replace("ndarray, ", "")
                raise ValueError(f"{name} must be {expected}, got {values.dtype}; the arrays are {shapes}")


def _content(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> list[Any]:
    """What the checksum of a file with arrays is computed from."""
    bits = [(name, str(part.dtype), part.shape, sha256(part.tobytes())) for name, part in sorted(arrays.items())]
    return [about, bits]


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
