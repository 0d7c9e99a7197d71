"""Files with checksums."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from randprune_lab.errors import FileError
from randprune_lab.sealed import read_arrays, write_arrays

ABOUT = {"rules": [{"power": 5.0}, None], "levels": (0.1, 0.9), "name": "one"}


def written(path: Path) -> dict[str, np.ndarray]:
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "a": np.array([1, 0], dtype=np.uint8)}
    write_arrays(path, "randprune thing", 4, arrays, ABOUT)
    return arrays


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    return read_arrays(path, "randprune thing", 4, "make it again")


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    arrays = written(tmp_path / "file")
    found, about = read(tmp_path / "file")
    assert about == json.loads(json.dumps(ABOUT)) and sorted(found) == sorted(arrays)
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype and np.array_equal(found[name], values)
    before = (tmp_path / "file").read_bytes()
    written(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == before


def test_every_flipped_bit_of_arrays_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    written(path)
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 3):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(FileError) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value), bit


def test_arrays_of_another_kind_or_format_are_refused_before_their_checksum(tmp_path: Path) -> None:
    written(tmp_path / "file")
    with pytest.raises(FileError, match="is not a other; make it again"):
        read_arrays(tmp_path / "file", "randprune other", 4, "make it again")
    with pytest.raises(FileError, match="has format 4, and this version of randprune_lab reads format 5; make it"):
        read_arrays(tmp_path / "file", "randprune thing", 5, "make it again")


@pytest.mark.parametrize("about", ["[]", '"text"', "3", "{}", "{", "null"])
def test_a_file_of_others_is_refused_in_one_line(tmp_path: Path, about: str) -> None:
    save_file({"a": np.zeros(2)}, tmp_path / "file", metadata={"about": about})
    with pytest.raises(FileError, match="file"):
        read(tmp_path / "file")
