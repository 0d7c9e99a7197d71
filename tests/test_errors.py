"""Errors: one base class, the built-in type that a caller would expect, and messages that help."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from randprune_lab import errors
from randprune_lab.errors import ConfigError, RandpruneError, UnknownNameError, check_range, unknown_name

INFINITY = float("inf")


def test_one_except_clause_catches_all_errors() -> None:
    ours = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert len(ours) > 5
    assert all(issubclass(kind, RandpruneError) for kind in ours)
    assert all(kind.__doc__ for kind in ours)


def test_wrong_values_are_value_errors_and_files_are_os_errors() -> None:
    values = (errors.ConfigError, errors.ScopeError, errors.WeightError, errors.MaskError, errors.DataError)
    assert all(issubclass(kind, ValueError) for kind in values)
    assert issubclass(errors.FileError, OSError)
    assert issubclass(errors.UnknownNameError, errors.ConfigError)


def test_an_unknown_name_lists_the_nearest_names_or_all() -> None:
    error = unknown_name("rule", "unifrom", ["voting", "uniform", "magnitude"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == "unknown rule 'unifrom'; did you mean 'uniform'?"
    assert str(unknown_name("task", "xyz", {"b": 1, "a": 2})) == "unknown task 'xyz'; known: a, b"
    assert str(unknown_name("model", "roberta", ["robert", "bert", "gpt2"])).endswith("'robert' or 'bert'?")


@given(
    value=st.floats(),
    low=st.floats(-10, 10),
    width=st.floats(0, 10),
    low_open=st.booleans(),
    high_open=st.booleans(),
)
@settings(max_examples=300)
def test_a_range_accepts_exactly_the_values_inside_it(
    value: float, low: float, width: float, low_open: bool, high_open: bool
) -> None:
    high = low + width
    for tried in (value, low, high, (low + high) / 2):
        inside = (low < tried if low_open else low <= tried) and (tried < high if high_open else tried <= high)
        if inside:
            check_range("x", tried, low=low, high=high, low_open=low_open, high_open=high_open)
        else:
            with pytest.raises(ConfigError, match="x must be in "):
                check_range("x", tried, low=low, high=high, low_open=low_open, high_open=high_open)


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        1j,
        [0.5],
        np.array([0.5]),
        np.array(None),
        np.datetime64("2020"),
        torch.tensor(1j),
        torch.tensor(0.5, device="meta"),
        10**400,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_real_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="x must be a number, got"):
        check_range("x", value, low=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (1.2, {"low": 0, "high": 1, "high_open": True}, "x must be in [0, 1), got 1.2"),
        (2, {"low": 0, "high": 1}, "x must be in [0, 1], got 2"),
        (0.0, {"low": 0, "low_open": True}, "x must be in (0, inf), got 0.0"),
        (float("nan"), {"low": 0}, "x must be in [0, inf), got nan"),
        (INFINITY, {"low": 0}, "x must be in [0, inf), got inf"),
        (-1e-9, {"low": 0, "high": 0.5}, "x must be in [0, 0.5], got -1e-09"),
    ],
)
def test_the_message_has_name_range_and_value(value: float, limits: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_range("x", value, **limits)
    assert str(caught.value) == message
