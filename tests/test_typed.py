"""Values of the declared type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from randprune_lab.errors import ConfigError, RandpruneError
from randprune_lab.search.config import RunConfig
from randprune_lab.training.config import TrainingConfig
from randprune_lab.typed import partial_of, take_types, typed


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    rate: float | None = None
    levels: tuple[float, ...] = (0.5,)
    model: str = "tiny"
    other: Mapping[str, Any] | None = None
    masked: bool = True

    def __post_init__(self) -> None:
        take_types(self)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text() | st.integers(), parts, max_size=3),
    max_leaves=6,
)


def test_values_of_other_libraries_are_taken_for_what_they_are():
    levels, other = np.array([0.25, 0.5]), {"eta": np.float32(0.5)}
    taken = Settings(np.int64(3), torch.tensor(0.5), levels, Path("a/b"), other, np.bool_(False))
    assert taken == Settings(3, 0.5, (0.25, 0.5), "a/b", {"eta": 0.5}, False)
    values = (taken.seed, taken.rate, taken.levels, taken.levels[0], taken.model, taken.masked)
    assert list(map(type, values)) == [int, float, tuple, float, str, bool]


def test_a_number_that_yaml_reads_as_a_text_is_a_number():
    assert Settings(rate="1e-3", levels=["5e-1", 1]) == Settings(rate=0.001, levels=(0.5, 1.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"seed": 3.0}, "seed must be a whole number, got 3.0"),
        ({"seed": np.bool_(True)}, "seed must be a whole number"),
        ({"rate": "fast"}, "rate must be a number, got 'fast'"),
        ({"levels": 0.5}, r"levels must be a list, got 0.5; write \[0.5\]"),
        ({"levels": (0.5, None)}, r"levels\.1 must be a number, got None"),
        ({"model": 7}, "model must be a text, got 7; put it in quotes"),
        ({"model": b"tiny"}, "model must be a text"),
        ({"other": 5}, "other must be a mapping, got 5"),
        ({"other": {1: 2}}, "a name in other must be a text, got 1; put it in quotes"),
    ],
)
def test_an_error_names_the_place_the_value_and_what_was_expected(values, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**values)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (str | list[str], [7], "place.0 must be a text, got 7"),
        (str | list[str], 7, "place must be a text, got 7"),
        (dict[str, float | dict[str, float]], {"a": {"b": "x"}}, "place.a.b must be a number, got 'x'"),
        (Literal["one", "two"] | dict[str, int], {"c": "x"}, "place.c must be a whole number, got 'x'"),
        (float | list[tuple[str, float]], [["a", "b"]], "place.0.1 must be a number, got 'b'"),
    ],
    ids=["item", "value", "nested", "choice", "pairs"],
)
def test_an_error_in_one_of_several_types_names_the_place_alone(kind, value, message, strict):
    with pytest.raises(ConfigError) as caught:
        typed(kind, value, "place", strict=strict)
    assert str(caught.value).partition(";")[0] == message


@pytest.mark.parametrize("settings", [Settings, RunConfig, TrainingConfig])
@pytest.mark.parametrize("value", ["no", "yes", "true", "", 1, 0, 1.0, None])
def test_a_truth_value_is_true_or_false_and_nothing_else(settings, value):
    hints = get_type_hints(settings)
    for name in (each.name for each in fields(settings) if hints[each.name] is bool):
        for taken in (True, False):
            assert getattr(settings(**{name: taken}), name) is taken
        with pytest.raises(ConfigError, match=f"{name} must be true or false, got {value!r}"):
            settings(**{name: value})


def test_an_unknown_name_is_told_with_its_place_and_the_nearest():
    kind = Mapping[str, partial_of(Settings)]
    with pytest.raises(ConfigError, match=r"unknown setting in methods\.imp 'sede'; did you mean 'seed'"):
        typed(kind, {"imp": {"sede": 1}}, "methods")


@given(st.sampled_from(sorted(each.name for each in fields(RunConfig))), ANYTHING)
def test_whatever_a_setting_is_a_run_takes_it_or_refuses_it(name, value):
    try:
        config = RunConfig(**{name: value})
    except RandpruneError as error:
        assert "\n" not in str(error)
    else:
        assert RunConfig.from_dict(config.to_dict()) == config
