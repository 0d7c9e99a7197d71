"""The header of a mask file or a sparse file is changed: the file is refused in one line, or has the same content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.mutations import changed

import randprune_lab as rp
from randprune_lab.errors import FileError

WEIGHTS = {"w": torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, -1.0]]), "v": torch.ones(2)}
MASK = rp.MaskSet({"w": WEIGHTS["w"] != 0})

anything = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(kind: str, folder: Path) -> tuple[Path, dict[str, Any], bytes]:
    """A file, its header, and the bytes after it."""
    path = folder / kind
    MASK.save(path) if kind == "mask" else rp.save_sparse({**WEIGHTS, "u": WEIGHTS["v"]}, MASK, path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return path, json.loads(content[8:end]), content[end:]


def check(kind: str, path: Path, header: bytes, rest: bytes, length: int | None = None) -> None:
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + rest)
    try:
        if kind == "mask":
            assert rp.MaskSet.load(path) == MASK
        else:
            weights, mask = rp.load_sparse(path)
            assert mask == MASK and weights.keys() == {"w", "v", "u"}
            assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    except FileError as error:
        assert str(path) in str(error) and "\n" not in str(error)


KINDS = pytest.mark.parametrize("kind", ["mask", "sparse"])


@KINDS
@anything
@given(data=st.data())
def test_a_header_with_another_value(kind, tmp_path, data):
    path, header, rest = written(kind, tmp_path)
    check(kind, path, json.dumps(data.draw(changed(header))).encode(), rest)


@KINDS
@anything
@given(data=st.data())
def test_metadata_with_another_value(kind, tmp_path, data):
    path, header, rest = written(kind, tmp_path)
    about = header["__metadata__"]
    name = data.draw(st.sampled_from(["shapes"] if kind == "mask" else ["shapes", "tied"]))
    about[name] = json.dumps(data.draw(changed(json.loads(about[name]))))
    check(kind, path, json.dumps(header).encode(), rest)


@KINDS
@anything
@given(data=st.data(), other=st.binary(max_size=4) | st.sampled_from([b'"', b"}", b"[" * 2000, b"1e999", b"\xff"]))
def test_a_header_with_other_bytes(kind, tmp_path, data, other):
    path, document, rest = written(kind, tmp_path)
    header = json.dumps(document).encode()
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(header))] * 2)))
    end = min(end, begin + 8)
    length = data.draw(st.sampled_from([None, len(header), 0, 2**63, 2**64 - 1]))
    check(kind, path, header[:begin] + other + header[end:], rest, length)
