"""What a grader and a kernel say to each other: plain data, unchanged; anything else is an error, and never code."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from randprune_lab.exercises.kernel import decode, encode

PLAIN = [
    None, True, 1, -(2**100), 0.1, -math.inf, "", "\ud800\x00", [], [1, [2.5, "x"]], (1, 2), set(), {3},
    {}, {0: [1], "a": {"b": (None,)}, (1, 2): 3}, ["tuple", [1]],
]  # fmt: skip
ARRAYS = [
    np.float64(0.1), np.bool_(True), np.arange(6).reshape(2, 3), np.array([True]), np.array([], dtype=np.float32),
    torch.tensor([[1.5, -0.0]]), torch.tensor([True, False]), torch.tensor(3), torch.ones(2, dtype=torch.bfloat16),
    torch.ones(1, requires_grad=True),
]  # fmt: skip


def sent(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_arrive_as_they_were(value):
    assert sent(value) == value and type(sent(value)) is type(value)


@pytest.mark.parametrize("value", ARRAYS, ids=repr)
def test_arrays_and_tensors_keep_type_shape_and_numbers(value):
    got = sent(value)
    assert type(got) is type(value) and got.dtype == value.dtype and got.shape == value.shape
    assert got.tolist() == value.tolist()


def test_other_numbers_and_subclasses_become_plain_ones():
    class Liar(float):
        def __eq__(self, _: object) -> bool:
            return True

        __hash__ = float.__hash__

    assert sent(Fraction(1, 2)) == 0.5 and sent(range(2)) == [0, 1]
    assert sent(Liar(2)) != 3
    assert sent(np.array(["x", "y"])) == ["x", "y"] and sent(np.array("x")) == "x"


@pytest.mark.parametrize("value", [object(), lambda: 1, 1j, np.array([object()]), np.array([b"x"]), [print]])
def test_other_values_are_refused(value):
    with pytest.raises((TypeError, ValueError)):
        sent(value)


@pytest.mark.parametrize(
    "forged",
    [
        ["array", "O", [1]], ["array", "float64", "x"], ["tensor", "__class__", 1], ["array", "V9", 1], ["os", 1], [],
        ["dict", [1]], ["dict", 5], ["dict", [[["list", []], 1]]], ["set", [["dict", []]]], ["array", "int8", [[1], 2]],
        ["array", "int8", 10**9], ["tensor", "float32", {}], ["list"], ["array", ["x"], 1], [["list", []], 1],
    ],
)  # fmt: skip
def test_forged_data_are_an_error(forged):
    with pytest.raises((TypeError, ValueError, LookupError, OverflowError)):
        decode(forged)
