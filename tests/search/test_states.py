"""States of stopped trainings: what comes back is what was given, bit for bit, and a damaged file is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.search.custom_training import Course
from randprune_lab.search.judged import Judged
from randprune_lab.search.states import pack, unpack


def same(ours, theirs) -> bool:
    if isinstance(ours, torch.Tensor):
        return ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return [*ours] == [*theirs] and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and repr(ours) == repr(theirs)


def optimizer_state():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.randn(3, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    return optimizer.state_dict()


VALUES = {
    "nothing": {},
    "numbers": {"a": 1, 2: 0.1, "c": [True, None, "text", 2**80], "d": (math.inf, -0.0, ())},
    "NaN": [math.nan],
    "optimizer": optimizer_state(),
    "types": {"half": torch.ones(2, dtype=torch.bfloat16), "bytes": torch.get_rng_state(), "empty": torch.zeros(0, 3)},
    "views": [torch.arange(6.0).reshape(2, 3).T, torch.ones(1).expand(4)],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_state_comes_back_from_its_file(tmp_path, name):
    value, judged = VALUES[name], Judged(0.1, np.array([0.1, 0.3]))
    weights = {"weight": torch.randn(3)}
    course = Course().went_on(4, judged, weights, value, every=4, keep_best=True)
    course.save(tmp_path / "course.safetensors")
    weights["weight"].zero_()  # a course has copies
    found = Course.load(tmp_path / "course.safetensors")
    assert same(found.next_state(), value) and same(unpack(pack(value)), value)
    assert (found.step, found.at, found.scores) == (4, (4,), (0.1,)) and same(found.weights, course.weights)
    assert np.array_equal(found.examples[0], judged.examples) and same(found.best, course.weights)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "state cannot be stored: it is a object"),
        ({"a": [1, {3}]}, r"state\['a'\]\[1\] cannot be stored: it is a set"),
        ([lambda: 0], r"state\[0\] cannot be stored: it is a function"),
        (torch.ones(2, dtype=torch.complex64), "it is no plain tensor"),
        (torch.eye(2).to_sparse(), "it is no plain tensor"),
    ],
    ids=["object", "set", "function", "complex", "sparse"],
)
def test_what_cannot_be_stored_is_named(value, message):
    with pytest.raises(ConfigError, match=message):
        pack(value)


@pytest.mark.parametrize("where", [-1, 200])
def test_a_damaged_file_is_named(tmp_path, where):
    path = tmp_path / "course.safetensors"
    Course().went_on(4, Judged(0.1, np.zeros(0)), {"w": torch.ones(2)}, {}, every=4, keep_best=False).save(path)
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FileError, match=r"course.safetensors"):
        Course.load(path)
